"""Choosers under few linear rows: the bound by prices, and the two choices that meet at it.

    maximise over p >= 0    p @ need + sum_g min(0, min over items i of g of cost[i] - entry[i] @ p)

A chooser g has the items from heads[g] to heads[g + 1] and takes one or none; an item of state 1
must be taken, one of -1 must not. Along one price the function is concave and made of lines, so
that the crossing of the steepest known lines on either side is the next price to try; it ends after
some five of them. Every price proves a bound, so one may stop anywhere.
"""

import numpy as np
from numba import njit

_TRIES = 60
_SWEEPS = 6


@njit(nogil=True, cache=True, error_model="numpy")
def answer(cost, entry, r, heads, state, price, pick):
    """The choosers' least value and their sum in row r at its price; `pick` is what they take."""
    value, total = 0.0, 0.0
    for g in range(heads.size - 1):
        at, least = -1, 0.0
        for i in range(heads[g], heads[g + 1]):
            if state[i] < 0:
                continue
            net = cost[i] - price * entry[i, r]
            if state[i] > 0:
                at, least = i, net
                break
            if net < least:
                at, least = i, net
        pick[g] = at
        if at >= 0:
            value += least
            total += entry[at, r]
    return value, total


@njit(nogil=True, cache=True, error_model="numpy")
def most_of(entry, r, heads, state):
    """The largest sum that the choosers can reach in a row."""
    total = 0.0
    for g in range(heads.size - 1):
        most = 0.0
        for i in range(heads[g], heads[g + 1]):
            if state[i] > 0:
                most = entry[i, r]
                break
            if state[i] == 0:
                most = max(most, entry[i, r])
        total += most
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def along(cost, entry, r, need, heads, state, price, under, over, spare):
    """The best price of one row: value, price, and the share of `over` that just meets the need.

    `under` and `over` become choices on either side of it. The value is inf if no choice can reach
    the need.
    """
    value, total = answer(cost, entry, r, heads, state, price, over)
    value += price * need
    if total >= need:
        high, high_value, high_total = price, value, total
        if price == 0.0:
            under[:] = over
            return value, 0.0, 1.0
        low = 0.0
        low_value, low_total = answer(cost, entry, r, heads, state, 0.0, under)
        if low_total >= need:
            over[:] = under
            return low_value, 0.0, 1.0
    else:
        low, low_value, low_total = price, value, total
        under[:] = over
        most = most_of(entry, r, heads, state)
        if most < need - 1e-9 * max(1.0, abs(need)):
            return np.inf, price, 1.0
        high = 2.0 * price
        if high == 0.0:
            # The steepest line so far and that of all who can help cross near a usual price.
            high = (np.abs(cost).sum() + 1e-12) / max(np.abs(entry[:, r]).sum(), 1e-300)
        high_value, high_total = -np.inf, total
        for _ in range(_TRIES):
            high_value, high_total = answer(cost, entry, r, heads, state, high, over)
            high_value += high * need
            if high_total >= need:
                break
            low, low_value, low_total = high, high_value, high_total
            under[:] = over
            high *= 3.0
        if high_total < need:
            return low_value, low, 1.0
    best, at = low_value, low
    if high_value > best:
        best, at = high_value, high
    for _ in range(_TRIES):
        slope = high_total - low_total
        if slope <= 0.0:
            break
        crossing = (high_value - low_value + high * (high_total - need)
                    + low * (need - low_total)) / slope  # fmt: skip
        if not low < crossing < high:
            break
        line = low_value + (crossing - low) * (need - low_total)
        value, total = answer(cost, entry, r, heads, state, crossing, spare)
        value += crossing * need
        if value > best:
            best, at = value, crossing
        if value >= line - 1e-12 * (1.0 + abs(line)):
            break
        if total >= need:
            high, high_value, high_total = crossing, value, total
            over[:] = spare
        else:
            low, low_value, low_total = crossing, value, total
            under[:] = spare
    slope = high_total - low_total
    share = 1.0 if slope <= 0.0 else min(1.0, max(0.0, (need - low_total) / slope))
    return best, at, share


@njit(nogil=True, cache=True, error_model="numpy")
def relax(cost, entry, need, heads, state, prices, under, over, spare, net):
    """The best bound by the prices of all rows, in turn, and the share of `over` at the last one.

    `prices` is the start and becomes the answer; a need of -inf is no row. The bound is inf if a
    row alone cannot be reached.
    """
    count, rows = entry.shape
    some, active = -1, 0
    for r in range(rows):
        if need[r] > -np.inf:
            some, active = r, active + 1
        else:
            prices[r] = 0.0
    if active == 0:
        value = _value(cost, heads, state, over)
        under[:] = over
        return value, 1.0
    if active == 1:
        value, prices[some], share = along(
            cost, entry, some, need[some], heads, state, prices[some], under, over, spare
        )
        return value, share
    best, share = -np.inf, 1.0
    for sweep in range(_SWEEPS):
        before = best
        for r in range(rows):
            if need[r] == -np.inf:
                continue
            fixed = 0.0
            net[:count] = cost
            for q in range(rows):
                if q != r and prices[q] > 0.0:
                    fixed += prices[q] * need[q]
                    for i in range(count):
                        net[i] -= prices[q] * entry[i, q]
            value, price, part = along(
                net[:count], entry, r, need[r], heads, state, prices[r], under, over, spare
            )
            if value == np.inf:
                return np.inf, 1.0
            prices[r] = price
            best, share = value + fixed, part
        if sweep > 0 and best <= before + 1e-6 * (1e-9 + abs(best)):
            break
    return best, share


@njit(nogil=True, cache=True, error_model="numpy")
def _value(cost, heads, state, pick):
    """The least value of choosers without any row."""
    value = 0.0
    for g in range(heads.size - 1):
        at, least = -1, 0.0
        for i in range(heads[g], heads[g + 1]):
            if state[i] < 0:
                continue
            if state[i] > 0:
                at, least = i, cost[i]
                break
            if cost[i] < least:
                at, least = i, cost[i]
        pick[g] = at
        if at >= 0:
            value += least
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def straighten(mean, variance, loading, direction, root, z, slope, entry):
    """The linear entries below a root: mean less z times a plane under the deviation.

    The deviation is the length of the vector (sqrt(variance), factors) and so never below its
    product with a unit vector (`root`, `direction`); the square root is never below `slope` times
    its argument plus a constant that the caller adds to the need.
    """
    count, rows = mean.shape
    shared = loading.shape[1]
    for i in range(count):
        for r in range(rows):
            moved = 0.0
            for f in range(shared):
                moved += direction[r, f] * loading[i, f]
            entry[i, r] = mean[i, r] * (1.0 - z[r] * moved)
            entry[i, r] -= z[r] * root[r] * slope[r] * variance[i, r]
