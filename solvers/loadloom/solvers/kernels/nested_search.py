"""Choosers under few rows that must hold with confidence: branching on deviations and on items.

    minimise   sum of cost[i] over what choosers take
    subject to mean - z[r] * sqrt(base[r] + variance + |factors|^2) >= need[r]    for every row r

A node of the search holds states of items and, for each row, an interval of the square root of
base + variance. On an interval [a, b] that root is never below its chord, (argument + a * b) /
(a + b), which is linear in the choice; `nested_relax` bounds what is left. Where the chord is off,
the interval is cut at the root of the bound's own choice, which makes it exact there; otherwise one
item is taken or left. The open node of the least bound is next, so the search may end at any time.
"""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.nested_mend import add, settle, short_of
from loadloom.solvers.kernels.nested_relax import relax, straighten

_NONE = -1
_CHORD = 0.25  # the share of what is left between bound and best for which the chord is cut first


@njit(nogil=True, cache=True, error_model="numpy")
def _enough(value, slack, share):
    """The bound from which a node holds nothing that is worth a search."""
    return value - slack - share * abs(value) if value < np.inf else np.inf


@njit(nogil=True, cache=True, error_model="numpy")
def root_box(variance, heads, state, base, low, high):
    """The widest interval of sqrt(base + variance) of each row."""
    for r in range(base.size):
        least, most = base[r], base[r]
        for g in range(heads.size - 1):
            top = 0.0
            for i in range(heads[g], heads[g + 1]):
                if state[i] > 0:
                    least += variance[i, r]
                    top = variance[i, r]
                    break
                if state[i] == 0:
                    top = max(top, variance[i, r])
            most += top
        low[r], high[r] = np.sqrt(least), np.sqrt(most)


@njit(nogil=True, cache=True, error_model="numpy")
def linear_need(low, high, root, z, base, need, slope, level):
    """The slopes of the chords over an interval, and the needs that their entries must reach."""
    for r in range(need.size):
        width = low[r] + high[r]
        slope[r] = 1.0 / width if width > 0.0 else 0.0
        # What may be missed by rounding must not be needed by a bound.
        level[r] = need[r] - 1e-9 * max(1.0, abs(need[r]))
        if width > 0.0 and need[r] > -np.inf:
            level[r] += z[r] * root[r] * slope[r] * (base[r] + low[r] * high[r])


@njit(nogil=True, cache=True, error_model="numpy")
def search(
    cost, mean, variance, loading, direction, root, z, base, need, heads, first, nodes, slack,
    share, mend, best, prices,
):  # fmt: skip
    """The best choice and a bound: (value, bound); `best` becomes the items taken, -1 for none.

    `first` are the states of the items, `nodes` the most nodes; it ends when the bound is within
    `slack` plus `share` of the best value. Without an answer the value is inf, and `best` what a
    bound chose; the bound is inf where there is none. `prices` become those of the rows at
    the first node. Without `mend` intervals are cut and no item is decided on, for very many items.

    """
    count, rows = mean.shape
    groups = heads.size - 1
    size = nodes + 3
    states = np.empty((size, count), np.int8)
    lows, highs, tolls = np.empty((size, rows)), np.empty((size, rows)), np.zeros((size, rows))
    bounds = np.full(size, np.inf)
    under, over = np.empty(groups, np.int32), np.empty(groups, np.int32)
    pick, net = np.empty(groups, np.int32), np.empty(count)
    entry, slope, level = np.empty((count, rows)), np.empty(rows), np.empty(rows)
    sums = np.zeros((rows, 2 + loading.shape[1]))
    states[0] = first
    tolls[0] = prices
    root_box(variance, heads, first, base, lows[0], highs[0])
    bounds[0] = -np.inf
    value, closed, used = np.inf, np.inf, 1
    for visit in range(max(nodes, 1)):
        k = np.argmin(bounds[:used])
        if bounds[k] >= _enough(value, slack, share):
            break
        state, low, high, price = states[k], lows[k], highs[k], tolls[k]
        linear_need(low, high, root, z, base, need, slope, level)
        straighten(mean, variance, loading, direction, root, z, slope, entry)
        own, part = relax(cost, entry, level, heads, state, price, under, over, pick, net)
        if visit == 0:
            prices[:] = price
        if visit == 0 or not mend:
            best[:] = over
        bound = max(own, bounds[k])
        if mend and bound < _enough(value, slack, share) and (visit < 3 or visit % 4 == 0):
            pick[:] = over
            found = settle(cost, mean, variance, loading, z, base, need, heads, state, pick, sums)
            if found < value:
                value = found
                best[:] = pick
        enough = _enough(value, slack, share)
        if bound >= enough:
            closed = min(closed, bound)
            bounds[k] = np.inf
            continue
        cut, widest, middle = _loosest(
            variance, under, over, part, low, high, root, z, base, price, mend
        )
        split = _NONE
        if mend and (cut < 0 or widest < _CHORD * (value - bound)):
            if value < np.inf:
                _fix(cost, entry, price, heads, state, enough - own)
            split = _undecided(cost, entry, price, heads, state, under, over)
        bounds[k] = bound
        if split < 0 and cut < 0:
            if not mend:
                break
            # Nothing is left to decide: the choice is what it is.
            total = _decided(cost, mean, variance, loading, z, base, need, heads, state, pick, sums)
            if total < value:
                value = total
                best[:] = pick
            closed = min(closed, total)
            bounds[k] = np.inf
            continue
        states[used], lows[used], highs[used], tolls[used] = state, low, high, price
        bounds[used] = bound
        if split >= 0:
            split = _first_twin(cost, mean, variance, loading, heads, state, split)
            _leave(cost, mean, variance, loading, heads, states[used], split)
            _take(state, heads, split)
        else:
            highs[k, cut] = middle
            lows[used, cut] = middle
        used += 1
    return value, min(min(closed, bounds[:used].min()), value)


@njit(nogil=True, cache=True, error_model="numpy")
def _fix(cost, entry, price, heads, state, room):
    """Leaves the items, and takes those, without which the bound would rise by more than `room`."""
    for g in range(heads.size - 1):
        least, second, at, forced = 0.0, np.inf, _NONE, False
        for i in range(heads[g], heads[g + 1]):
            forced = forced or state[i] > 0
            if state[i] != 0:
                continue
            net = _net(cost, entry, price, i)
            if net < least:
                least, second, at = net, least, i
            else:
                second = min(second, net)
        if forced:
            continue
        for i in range(heads[g], heads[g + 1]):
            if state[i] == 0 and i != at and _net(cost, entry, price, i) - least > room:
                state[i] = -1
        if at >= 0 and second - least > room:
            state[at] = 1


@njit(nogil=True, cache=True, error_model="numpy")
def _net(cost, entry, price, i):
    """An item's cost less what its entries are worth."""
    net = cost[i]
    for r in range(price.size):
        if price[r] > 0.0:
            net -= price[r] * entry[i, r]
    return net


@njit(nogil=True, cache=True, error_model="numpy")
def _compared(cost, mean, variance, loading, i, j):
    """2 if item j is the same as i, 1 if it costs no less and gives no more anywhere, else 0."""
    if cost[j] < cost[i]:
        return 0
    same = cost[j] == cost[i]
    for r in range(mean.shape[1]):
        if mean[j, r] > mean[i, r] or variance[j, r] < variance[i, r]:
            return 0
        same = same and mean[j, r] == mean[i, r] and variance[j, r] == variance[i, r]
    for f in range(loading.shape[1]):
        if loading[j, f] != loading[i, f]:
            return 0
    # With factors a smaller mean may be of use, where it evens out another item's.
    return 2 if same else 1 if loading.shape[1] == 0 else 0


@njit(nogil=True, cache=True, error_model="numpy")
def _first_twin(cost, mean, variance, loading, heads, state, i):
    """The first free item that is the same as i, of choosers that have one item each."""
    g = np.searchsorted(heads, i, side="right") - 1
    if heads[g + 1] - heads[g] > 1:
        return i
    for h in range(g):
        j = heads[h]
        if (
            heads[h + 1] - j == 1
            and state[j] == 0
            and _compared(cost, mean, variance, loading, i, j) == 2
        ):
            return j
    return i


@njit(nogil=True, cache=True, error_model="numpy")
def _leave(cost, mean, variance, loading, heads, state, i):
    """Leaves an item, and with it all that are worse, or the same and later.

    A choice with one of those instead is no better than one with the item itself.
    """
    state[i] = -1
    g = np.searchsorted(heads, i, side="right") - 1
    if heads[g + 1] - heads[g] > 1:
        return
    for h in range(heads.size - 1):
        j = heads[h]
        if heads[h + 1] - j > 1 or state[j] != 0:
            continue
        order = _compared(cost, mean, variance, loading, i, j)
        if order == 1 or (order == 2 and j > i):
            state[j] = -1


@njit(nogil=True, cache=True, error_model="numpy")
def _take(state, heads, i):
    """Takes an item, and so leaves all others of its chooser."""
    g = np.searchsorted(heads, i, side="right") - 1
    for j in range(heads[g], heads[g + 1]):
        state[j] = -1
    state[i] = 1


@njit(nogil=True, cache=True, error_model="numpy")
def _decided(cost, mean, variance, loading, z, base, need, heads, state, pick, sums):
    """The cost of the only choice that states leave, inf if it breaks a row."""
    sums[:] = 0.0
    total = 0.0
    for g in range(heads.size - 1):
        pick[g] = _NONE
        for i in range(heads[g], heads[g + 1]):
            if state[i] > 0:
                pick[g] = i
                add(sums, mean, variance, loading, i, 1.0)
                total += cost[i]
    return np.inf if short_of(sums, loading, z, base, need) > 0.0 else total


@njit(nogil=True, cache=True, error_model="numpy")
def _middle(variance, under, over, part, base, r):
    """The square root of base + variance of the mixed choice in a row."""
    total = base[r]
    for g in range(over.size):
        if over[g] >= 0:
            total += part * variance[over[g], r]
        if under[g] >= 0:
            total += (1.0 - part) * variance[under[g], r]
    return np.sqrt(total)


@njit(nogil=True, cache=True, error_model="numpy")
def _loosest(variance, under, over, part, low, high, root, z, base, price, mend):
    """The row whose chord is furthest off, in cost, by how much, and where to cut it; -1 if none.

    It is cut where the mixed choice is, or in the middle if that is not within the interval and
    nothing else can be cut.
    """
    cut, widest, at = _NONE, 0.0, 0.0
    for r in range(base.size):
        if z[r] == 0.0 or price[r] == 0.0 or high[r] <= low[r] * (1.0 + 1e-9):
            continue
        middle = _middle(variance, under, over, part, base, r)
        if not low[r] * (1.0 + 1e-12) < middle < high[r] * (1.0 - 1e-12):
            # Items decide sooner than ever smaller intervals, where they may.
            if mend:
                continue
            middle = 0.5 * (low[r] + high[r])
        chord = (middle * middle + low[r] * high[r]) / (low[r] + high[r])
        off = price[r] * z[r] * root[r] * (middle - chord)
        if off > widest:
            cut, widest, at = r, off, middle
    return cut, widest, at


@njit(nogil=True, cache=True, error_model="numpy")
def _undecided(cost, entry, price, heads, state, under, over):
    """The free item that the bound's two choices differ on, else the one nearest to changing."""
    at, nearest, different = _NONE, np.inf, False
    for g in range(heads.size - 1):
        taken = over[g] if over[g] >= 0 else under[g]
        differs = over[g] != under[g]
        for i in range(heads[g], heads[g + 1]):
            if state[i] != 0 or (different and not differs):
                continue
            if differs and not different and i == taken:
                at, nearest, different = i, abs(cost[i]), True
            elif differs and i == taken and abs(cost[i]) > nearest:
                at, nearest = i, abs(cost[i])
            elif not different and abs(_net(cost, entry, price, i)) < nearest:
                at, nearest = i, abs(_net(cost, entry, price, i))
    return at
