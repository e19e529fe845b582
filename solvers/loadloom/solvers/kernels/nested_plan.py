"""A choice over a whole tree of rows: mended where rows lack something, pruned, exchanged.

`sums` are (V, S, 2 + F), over each node and all below; `counted` are the quotas' sums. A move takes
one item off and puts another on (-1: none) at one node, and touches the rows above that node only.
What lacks is told as a sum of shares of the needs.
"""

import numpy as np
from numba import njit

_NONE, _UNTRIED = -1, -2
_TOLERANCE = 1e-9


@njit(nogil=True, cache=True, error_model="numpy")
def lack_at(v, sums, need, z, base):
    """What the rows of a node lack, each as a share of its need."""
    total = 0.0
    for s in range(need.shape[1]):
        if need[v, s] == -np.inf:
            continue
        spread = base[v, s] + max(0.0, sums[v, s, 1])
        for f in range(2, sums.shape[2]):
            spread += sums[v, s, f] * sums[v, s, f]
        lack = need[v, s] - sums[v, s, 0] + z[v, s] * np.sqrt(spread)
        scale = max(1.0, abs(need[v, s]))
        if lack > _TOLERANCE * scale:
            total += lack / scale
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _quota_lack(q, counted, low, high):
    """What a quota's sum is outside of its limits, as a share of them."""
    slack = _TOLERANCE * max(1.0, abs(counted[q]))
    if counted[q] < low[q] - slack:
        return (low[q] - counted[q]) / max(1.0, abs(low[q]))
    if counted[q] > high[q] + slack:
        return (counted[q] - high[q]) / max(1.0, abs(high[q]))
    return 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _put(i, sign, v, mean, variance, loading, parent, sums, quotas, counted):
    """Adds an item at a node to the sums of all rows above, or takes it off."""
    starts, which, weights = quotas
    while v >= 0:
        for s in range(mean.shape[1]):
            sums[v, s, 0] += sign * mean[i, s]
            sums[v, s, 1] += sign * variance[i, s]
            for f in range(loading.shape[1]):
                sums[v, s, 2 + f] += sign * loading[i, f] * mean[i, s]
        v = parent[v]
    if counted.size > 0:
        for k in range(starts[i], starts[i + 1]):
            counted[which[k]] += sign * weights[k]


@njit(nogil=True, cache=True, error_model="numpy")
def _lack_above(v, i, j, parent, sums, need, z, base, quotas, counted, low, high, most):
    """What the rows above a node and quotas of two items lack; stops once that is over `most`."""
    total = 0.0
    while v >= 0 and total <= most:
        total += lack_at(v, sums, need, z, base)
        v = parent[v]
    if counted.size > 0 and total <= most:
        starts, which, _ = quotas
        for turn in range(2):
            item = i if turn == 0 else j
            if item >= 0:
                for k in range(starts[item], starts[item + 1]):
                    total += _quota_lack(which[k], counted, low, high)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _own_keeps(v, off, on, mean, variance, loading, sums, need, z, base):
    """Whether the rows of one node lack nothing with one item off and another on, -1 for none."""
    for s in range(need.shape[1]):
        if need[v, s] == -np.inf:
            continue
        total, spread = sums[v, s, 0], base[v, s] + sums[v, s, 1]
        if on >= 0:
            total += mean[on, s]
            spread += variance[on, s]
        if off >= 0:
            total -= mean[off, s]
            spread -= variance[off, s]
        spread = max(spread, 0.0)
        for f in range(loading.shape[1]):
            moved = sums[v, s, 2 + f]
            moved += loading[on, f] * mean[on, s] if on >= 0 else 0.0
            moved -= loading[off, f] * mean[off, s] if off >= 0 else 0.0
            spread += moved * moved
        lack = need[v, s] - total + z[v, s] * np.sqrt(spread)
        if lack > _TOLERANCE * max(1.0, abs(need[v, s])):
            return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def start_sums(taken, node, mean, variance, loading, parent, sums, quotas, counted):
    """Adds all that is taken to sums and quotas; `node` is that of every chooser."""
    for g in range(taken.size):
        if taken[g] >= 0:
            _put(taken[g], 1.0, node[g], mean, variance, loading, parent, sums, quotas, counted)


@njit(nogil=True, cache=True, error_model="numpy")
def try_move(g, to, most, taken, v, mean, variance, loading, parent, sums, need, z, base, quotas,
             counted, low, high):  # fmt: skip
    """Makes a chooser's move if what lacks then is at most a share `most` of what lacked before."""
    was = taken[g]
    before = _lack_above(v, was, to, parent, sums, need, z, base, quotas, counted, low, high,
                         np.inf)  # fmt: skip
    if most < 1.0 and before == 0.0:
        return False
    if was >= 0:
        _put(was, -1.0, v, mean, variance, loading, parent, sums, quotas, counted)
    if to >= 0:
        _put(to, 1.0, v, mean, variance, loading, parent, sums, quotas, counted)
    after = _lack_above(v, was, to, parent, sums, need, z, base, quotas, counted, low, high,
                        most * before)  # fmt: skip
    if after <= most * before:
        taken[g] = to
        return True
    if to >= 0:
        _put(to, -1.0, v, mean, variance, loading, parent, sums, quotas, counted)
    if was >= 0:
        _put(was, 1.0, v, mean, variance, loading, parent, sums, quotas, counted)
    return False


@njit(nogil=True, cache=True, error_model="numpy")
def mend(chooser, item, taken, node, mean, variance, loading, parent, sums, need, z, base, quotas,
         counted, low, high):  # fmt: skip
    """Makes the moves of a list, chooser to item, by which something lacks less; their number."""
    made = 0
    for n in range(chooser.size):
        g = chooser[n]
        if taken[g] != item[n] and try_move(
            g, item[n], 1.0 - 1e-9, taken, node[g], mean, variance, loading, parent, sums, need,
            z, base, quotas, counted, low, high,
        ):  # fmt: skip
            made += 1
    return made


@njit(nogil=True, cache=True, error_model="numpy")
def mend_pairs(
    blocks, chooser_at, taken, node, state, heads, mean, variance, loading, parent, sums, need, z,
    base, quotas, counted, low, high,
):  # fmt: skip
    """Exchanges an item for that of another chooser of its block where less lacks then; the number.

    For rows that pull in opposite ways, of which no single move mends one.
    """
    made = 0
    for b in blocks:
        begin, end = chooser_at[b], chooser_at[b + 1]
        for g in range(begin, end):
            was, v = taken[g], node[g]
            if was < 0 or state[was] > 0:
                continue
            left = _lack_above(
                v, was, _NONE, parent, sums, need, z, base, quotas, counted, low, high, np.inf
            )
            if left == 0.0:
                break
            left *= 1.0 - 1e-3
            _put(was, -1.0, v, mean, variance, loading, parent, sums, quotas, counted)
            with_whom, to = _NONE, _NONE
            for h in range(begin, end):
                if h == g or taken[h] >= 0:
                    continue
                for i in range(heads[h], heads[h + 1]):
                    if state[i] < 0:
                        continue
                    _put(i, 1.0, v, mean, variance, loading, parent, sums, quotas, counted)
                    lack = _lack_above(
                        v, was, i, parent, sums, need, z, base, quotas, counted, low, high, left
                    )
                    _put(i, -1.0, v, mean, variance, loading, parent, sums, quotas, counted)
                    if lack < left:
                        with_whom, to, left = h, i, lack
            if to >= 0:
                _put(to, 1.0, v, mean, variance, loading, parent, sums, quotas, counted)
                taken[g], taken[with_whom] = _NONE, to
                made += 1
            else:
                _put(was, 1.0, v, mean, variance, loading, parent, sums, quotas, counted)
    return made


@njit(nogil=True, cache=True, error_model="numpy")
def prune(choosers, taken, node, cost, state, heads, mean, variance, loading, parent, sums, need,
          z, base, quotas, counted, low, high):  # fmt: skip
    """Gives each chooser in turn the cheapest item by which nothing lacks; what that saves.

    Nothing must lack before.
    """
    saved = 0.0
    for g in choosers:
        if taken[g] >= 0 and state[taken[g]] > 0:
            continue
        held = cost[taken[g]] if taken[g] >= 0 else 0.0
        floor = -np.inf
        for _ in range(heads[g + 1] - heads[g] + 1):
            # The cheapest that was not tried, so that the first move that holds saves most.
            to, asked = _UNTRIED, held
            if floor < 0.0 < held:
                to, asked = _NONE, 0.0
            for i in range(heads[g], heads[g + 1]):
                if state[i] >= 0 and floor < cost[i] < asked:
                    to, asked = i, cost[i]
            if to == _UNTRIED:
                break
            # Most moves fail right here, before any sum has moved.
            if _own_keeps(
                node[g], taken[g], to, mean, variance, loading, sums, need, z, base
            ) and try_move(
                g, to, 1.0, taken, node[g], mean, variance, loading, parent, sums, need, z, base,
                quotas, counted, low, high,
            ):  # fmt: skip
                saved += held - asked
                break
            floor = asked
    return saved


@njit(nogil=True, cache=True, error_model="numpy")
def exchange(blocks, chooser_at, taken, node, cost, state, heads, mean, variance, loading, parent,
             sums, need, z, base, quotas, counted, low, high):  # fmt: skip
    """Takes a cheaper item of one chooser for that of another in the same block; what it saves."""
    saved = 0.0
    for b in blocks:
        begin, end = chooser_at[b], chooser_at[b + 1]
        for g in range(begin, end):
            if taken[g] < 0 or state[taken[g]] > 0:
                continue
            was, v = taken[g], node[g]
            before = _lack_above(v, was, _NONE, parent, sums, need, z, base, quotas, counted,
                                 low, high, np.inf)  # fmt: skip
            if before > 0.0:
                continue
            _put(was, -1.0, v, mean, variance, loading, parent, sums, quotas, counted)
            taken[g] = _NONE
            with_whom, to, held = _NONE, _NONE, cost[was]
            for h in range(begin, end):
                if h == g or taken[h] >= 0:
                    continue
                for i in range(heads[h], heads[h + 1]):
                    if state[i] < 0 or cost[i] >= held:
                        continue
                    # Most exchanges fail right here, before any sum has moved.
                    if not _own_keeps(v, _NONE, i, mean, variance, loading, sums, need, z, base):
                        continue
                    _put(i, 1.0, v, mean, variance, loading, parent, sums, quotas, counted)
                    after = _lack_above(v, was, i, parent, sums, need, z, base, quotas, counted,
                                        low, high, 0.0)  # fmt: skip
                    _put(i, -1.0, v, mean, variance, loading, parent, sums, quotas, counted)
                    if after == 0.0:
                        with_whom, to, held = h, i, cost[i]
            if to >= 0:
                _put(to, 1.0, v, mean, variance, loading, parent, sums, quotas, counted)
                taken[with_whom] = to
                saved += cost[was] - held
            else:
                _put(was, 1.0, v, mean, variance, loading, parent, sums, quotas, counted)
                taken[g] = was
    return saved


@njit(nogil=True, cache=True, error_model="numpy")
def score_moves(
    taken, node, cost, state, heads, mean, variance, loading, parent, price, slope, shift, weight,
    quotas, quota_price, quota_weight, chooser, item, score,
):  # fmt: skip
    """Writes the moves that take off what lacks, and what each costs for it; their number.

    A row's entry of an item is mean * (1 - shift @ loading) - slope * variance, with `shift`
    (V, S, F). It is paid for by `price`, and counts by `weight` for what lacks; so with quotas.
    """
    starts, which, weights = quotas
    found = 0
    worth, gain = np.zeros(2), np.zeros(2)
    for g in range(taken.size):
        helps = quota_price.size > 0
        v = node[g]
        while v >= 0 and not helps:
            for s in range(mean.shape[1]):
                helps = helps or weight[v, s] > 0.0
            v = parent[v]
        if not helps or (taken[g] >= 0 and state[taken[g]] > 0):
            continue
        for n in range(heads[g] - 1, heads[g + 1] + 1):
            # First what is taken now, by which all others are measured; then none; then each item.
            i = taken[g] if n < heads[g] else n - 1 if n > heads[g] else _NONE
            k = 0 if n < heads[g] else 1
            worth[k], gain[k] = 0.0, 0.0
            if k == 1 and (i == taken[g] or (i >= 0 and state[i] < 0)):
                continue
            if i >= 0:
                worth[k] = cost[i]
                v = node[g]
                while v >= 0:
                    for s in range(mean.shape[1]):
                        if price[v, s] == 0.0 and weight[v, s] == 0.0:
                            continue
                        moved = 1.0
                        for f in range(loading.shape[1]):
                            moved -= shift[v, s, f] * loading[i, f]
                        entry = mean[i, s] * moved - slope[v, s] * variance[i, s]
                        worth[k] -= price[v, s] * entry
                        gain[k] += weight[v, s] * entry
                    v = parent[v]
                if quota_price.size > 0:
                    for e in range(starts[i], starts[i + 1]):
                        worth[k] -= quota_price[which[e]] * weights[e]
                        gain[k] += quota_weight[which[e]] * weights[e]
            if k == 1 and gain[1] > gain[0] + 1e-12:
                more = worth[1] - worth[0]
                rise = gain[1] - gain[0]
                chooser[found], item[found] = g, i
                score[found] = more / rise if more > 0.0 else more * rise
                found += 1
    return found
