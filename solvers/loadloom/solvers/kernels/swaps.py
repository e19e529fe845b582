"""Better selections by moving one item or exchanging two, until none of these helps.

A code is 0 for no bin and k + 1 for bin k. Bin k costs the most of its lines

    per_size[k, l] * size_sum[k] + per_peak[k, l] * max(0, max_t use_sum[k, t])

and is broken by as much as size, count and peak are out of their limits, in units of each. Less
broken is better, then more value. With the regrets of a dual bound, no unbroken selection is worth
more than `most` less the sum of its items' regrets, which rules out nearly all exchanges unseen.
Steps come highest first, so that most others are ruled out by the first steps.
"""

import numpy as np
from numba import njit

_ROUNDING = 1e-9


@njit(nogil=True, cache=True, error_model="numpy")
def _after(
    k, i, more, j, less, use, size, use_sum, size_sum, count_sum, cost, low, high, unit, allowed
):
    """The cost of bin k and how far it is broken, once item i joined (1) or left (-1), and j.

    Both are inf as soon as the cost is seen to be more than `allowed`.
    """
    total, number = size_sum[k], count_sum[k]
    if i >= 0:
        total += more * size[i]
        number += more
    if j >= 0:
        total += less * size[j]
        number += less
    limit = np.inf
    for line in range(cost.shape[2]):
        if cost[1, k, line] > 0.0:
            limit = min(limit, (allowed - cost[0, k, line] * total) / cost[1, k, line])
    peak = 0.0
    if peak > limit:
        return np.inf, np.inf
    for t in range(use.shape[1]):
        level = use_sum[k, t]
        if i >= 0:
            level += more * use[i, t]
        if j >= 0:
            level += less * use[j, t]
        if level > peak:
            peak = level
            if peak > limit:
                return np.inf, np.inf
    most = -np.inf
    for line in range(cost.shape[2]):
        most = max(most, cost[0, k, line] * total + cost[1, k, line] * peak)
    broken = max(0.0, low[0, k] - total, total - high[0, k]) / unit[0]
    broken += max(0.0, low[1, k] - number, number - high[1, k])
    broken += max(0.0, peak - high[2, k]) / unit[1]
    return most, broken if broken > _ROUNDING * (1.0 + number) else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _shift(k, i, more, use, size, use_sum, size_sum, count_sum):
    """Lets item i join (1) or leave (-1) bin k."""
    for t in range(use.shape[1]):
        use_sum[k, t] += more * use[i, t]
    size_sum[k] += more * size[i]
    count_sum[k] += more


@njit(nogil=True, cache=True, error_model="numpy")
def climb(
    code,
    order,
    use,
    size,
    worth,
    regret,
    most,
    use_sum,
    size_sum,
    count_sum,
    cost,
    low,
    high,
    unit,
    first,
    last,
):
    """The value and how far it is broken after one climb, and whether anything got better.

    Moved are the items `order[first:last]`, alone or for a later one; `code` and the sums change
    with them.

    `worth` and `regret` are (items, bins + 1) with -inf and inf where ruled out; `cost` is
    (2, bins, lines), `low` (2, bins) of size and count, `high` (3, bins) of size, count and peak.
    """
    count, bins = code.size, use_sum.shape[0]
    costs, breaks = np.zeros(bins + 1), np.zeros(bins + 1)
    value, broken, regrets = 0.0, 0.0, 0.0
    for k in range(bins):
        costs[k + 1], breaks[k + 1] = _after(
            k, -1, 0, -1, 0, use, size, use_sum, size_sum, count_sum, cost, low, high, unit, np.inf
        )
        value -= costs[k + 1]
        broken += breaks[k + 1]
    for i in range(count):
        value += worth[i, code[i]]
        regrets += regret[i, code[i]]
    better = False
    for a in range(first, last):
        i = order[a]
        for b in range(a, a + bins + count - a):
            # First every other bin for i alone, then every exchange with a later item.
            p = code[i]
            j = -1
            if b - a <= bins:
                q = b - a
            else:
                j = order[b - bins]
                q = code[j]
            if p == q or worth[i, q] == -np.inf:
                continue
            extra = regret[i, q] - regret[i, p]
            gain = worth[i, q] - worth[i, p]
            if j >= 0:
                if worth[j, p] == -np.inf:
                    continue
                extra += regret[j, p] - regret[j, q]
                gain += worth[j, p] - worth[j, q]
            if broken == 0.0 and most - regrets - extra <= value:
                continue
            now_broken = broken
            left_cost = joined_cost = left_broken = joined_broken = 0.0
            if p > 0:
                # What one bin may cost at most is known once the other one's cost is.
                alone = broken == 0.0 and q == 0
                allowed = costs[p] + gain if alone else np.inf
                left_cost, left_broken = _after(
                    p - 1, i, -1, j, 1, use, size,
                    use_sum, size_sum, count_sum, cost, low, high, unit, allowed,
                )  # fmt: skip
                gain -= left_cost - costs[p]
                now_broken += left_broken - breaks[p]
            if q > 0:
                allowed = costs[q] + gain if broken == 0.0 else np.inf
                joined_cost, joined_broken = _after(
                    q - 1, i, 1, j, -1, use, size,
                    use_sum, size_sum, count_sum, cost, low, high, unit, allowed,
                )  # fmt: skip
                gain -= joined_cost - costs[q]
                now_broken += joined_broken - breaks[q]
            if now_broken <= _ROUNDING:
                now_broken = 0.0
            if now_broken > broken or (
                now_broken >= broken - _ROUNDING and gain <= _ROUNDING * (1.0 + abs(value))
            ):
                continue
            if p > 0:
                _shift(p - 1, i, -1.0, use, size, use_sum, size_sum, count_sum)
                if j >= 0:
                    _shift(p - 1, j, 1.0, use, size, use_sum, size_sum, count_sum)
                costs[p], breaks[p] = left_cost, left_broken
            if q > 0:
                _shift(q - 1, i, 1.0, use, size, use_sum, size_sum, count_sum)
                if j >= 0:
                    _shift(q - 1, j, -1.0, use, size, use_sum, size_sum, count_sum)
                costs[q], breaks[q] = joined_cost, joined_broken
            code[i] = q
            if j >= 0:
                code[j] = p
            value += gain
            regrets += extra
            broken = now_broken
            better = True
    return value, broken, better
