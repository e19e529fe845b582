"""Passes over the blocks of a tree of rows: what each would choose at the prices of rows above it.

Prices reach an item as coefficients of its block, of mean, of variance and of each factor, (B, S)
and (B, S, F), and by the prices of its quotas. Sums of a choice are (B, S, 2 + F): means,
variances, factors.
"""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.nested_relax import relax, straighten
from loadloom.solvers.kernels.nested_search import search

FEW = 1_000
"""Up to so many items a block's choice is searched item by item."""

CUTS = 12
"""The most intervals of deviations of a block whose items are not decided on."""


@njit(nogil=True, cache=True, error_model="numpy")
def priced(first, last, b, cost, mean, variance, loading, tolls, quotas, quota_prices, net):
    """Writes the costs of the items from `first` to `last` less what rows above pay for them."""
    on_mean, on_variance, on_factor = tolls
    starts, which, weights = quotas
    slots, shared = mean.shape[1], loading.shape[1]
    for i in range(first, last):
        total = cost[i]
        for s in range(slots):
            paid = on_mean[b, s]
            for f in range(shared):
                paid -= on_factor[b, s, f] * loading[i, f]
            total -= paid * mean[i, s] - on_variance[b, s] * variance[i, s]
        if quota_prices.size > 0:
            for k in range(starts[i], starts[i + 1]):
                total -= quota_prices[which[k]] * weights[k]
        net[i - first] = total


@njit(nogil=True, cache=True, error_model="numpy")
def add_part(places, part, first, b, cost, mean, variance, loading, quotas, spent, sums, counted):
    """Adds a share of chosen items to a block's cost, sums and quotas."""
    starts, which, weights = quotas
    for g in range(places.size):
        i = places[g]
        if i < 0:
            continue
        i += first
        spent[b] += part * cost[i]
        for s in range(mean.shape[1]):
            sums[b, s, 0] += part * mean[i, s]
            sums[b, s, 1] += part * variance[i, s]
            for f in range(loading.shape[1]):
                sums[b, s, 2 + f] += part * loading[i, f] * mean[i, s]
        if counted.shape[1] > 0:
            for k in range(starts[i], starts[i + 1]):
                counted[b, which[k]] += part * weights[k]


@njit(nogil=True, cache=True, error_model="numpy")
def _fill(over, under, share, entry, level, prices, tolls, b, spent, sums):
    """Adds to a choice in parts what it misses of its own rows, at the rows' prices.

    Of several rows the last one alone is met; a cut through a choice that misses the others would
    promise too little at all other prices. What is added helps the rows above, too.
    """
    for r in range(level.size):
        if prices[r] == 0.0 or level[r] == -np.inf:
            continue
        missed = level[r]
        for g in range(over.size):
            if over[g] >= 0:
                missed -= share * entry[over[g], r]
            if under[g] >= 0 and share < 1.0:
                missed -= (1.0 - share) * entry[under[g], r]
        spent[b] += (prices[r] + tolls[r]) * missed
        sums[b, r, 0] += missed


@njit(nogil=True, cache=True, error_model="numpy")
def _offset(heads, begin, end):
    """The heads of some choosers, counted from the first of their items."""
    return heads[begin : end + 1] - heads[begin]


@njit(nogil=True, cache=True, error_model="numpy")
def _widest(item_at, first, last):
    """The number of items of the largest block."""
    most = 0
    for b in range(first, last):
        most = max(most, item_at[b + 1] - item_at[b])
    return most


@njit(nogil=True, cache=True, error_model="numpy")
def relax_blocks(
    first, last, cost, mean, variance, loading, state, heads, item_at, chooser_at,
    tolls, quotas, quota_prices, need, z, base, root, direction, turns, deviation, prices,
    value, spent, sums, counted,
):  # fmt: skip
    """What blocks from `first` to `last` choose in parts, with tangents for their rows' roots.

    The tangents are at `deviation`, (B, S), which follows what is chosen for so many `turns`.
    `prices` of the own rows are a start and become the answer. `value` becomes the least priced
    cost, `spent`, `sums` and `counted` are those of the choice. No bound: tangents are above roots.
    """
    slots = mean.shape[1]
    most = _widest(item_at, first, last)
    net, spare = np.empty(most), np.empty(most)
    entry = np.empty((most, slots))
    under, over = np.empty(most, np.int32), np.empty(most, np.int32)
    pick = np.empty(most, np.int32)
    slope, level = np.empty(slots), np.empty(slots)
    for b in range(first, last):
        i, e = item_at[b], item_at[b + 1]
        n, groups = e - i, chooser_at[b + 1] - chooser_at[b]
        local = _offset(heads, chooser_at[b], chooser_at[b + 1])
        priced(i, e, b, cost, mean, variance, loading, tolls, quotas, quota_prices, net)
        spread = variance[i:e]
        for turn in range(turns):
            for s in range(slots):
                tangent = max(deviation[b, s], 1e-9)
                slope[s] = 0.5 / tangent
                level[s] = need[b, s]
                level[s] += z[b, s] * root[b, s] * (0.5 * tangent + slope[s] * base[b, s])
            straighten(
                mean[i:e], spread, loading[i:e], direction[b], root[b], z[b], slope, entry[:n]
            )
            value[b], share = relax(
                net[:n], entry[:n], level, local, state[i:e], prices[b], under[:groups],
                over[:groups], pick[:groups], spare,
            )  # fmt: skip
            if value[b] == np.inf:
                # Tangents may leave no room between a need and a limit: then the limit waits.
                for s in range(slots):
                    if level[s] <= 0.0:
                        level[s] = -np.inf
                value[b], share = relax(
                    net[:n], entry[:n], level, local, state[i:e], prices[b], under[:groups],
                    over[:groups], pick[:groups], spare,
                )  # fmt: skip
            if value[b] == np.inf:
                # More than all cannot be: all that helps, at what it costs.
                value[b] = 0.0
                prices[b] = np.where(level > -np.inf, 0.0, prices[b])
                for g in range(groups):
                    over[g] = _most_helpful(entry, level, local, state[i:e], g)
                    if over[g] >= 0:
                        value[b] += net[over[g]]
                under[:groups] = over[:groups]
                share = 1.0
            spent[b] = 0.0
            sums[b] = 0.0
            counted[b] = 0.0
            add_part(over[:groups], share, i, b, cost, mean, variance, loading, quotas, spent,
                     sums, counted)  # fmt: skip
            if share < 1.0:
                add_part(under[:groups], 1.0 - share, i, b, cost, mean, variance, loading, quotas,
                         spent, sums, counted)  # fmt: skip
            _fill(
                over[:groups], under[:groups], share, entry, level, prices[b], tolls[0][b], b,
                spent, sums,
            )  # fmt: skip
            if turn + 1 < turns:
                for s in range(slots):
                    deviation[b, s] = np.sqrt(base[b, s] + sums[b, s, 1])


@njit(nogil=True, cache=True, error_model="numpy")
def _most_helpful(entry, level, heads, state, g):
    """The item of a chooser that adds most to the rows with a need; -1 if none adds anything."""
    at, most = -1, 0.0
    for i in range(heads[g], heads[g + 1]):
        if state[i] < 0:
            continue
        total = 0.0
        for s in range(level.size):
            if level[s] > -np.inf:
                total += entry[i, s]
        if state[i] > 0 or total > most:
            at, most = i, np.inf if state[i] > 0 else total
    return at


@njit(nogil=True, cache=True, error_model="numpy")
def search_blocks(
    blocks, cost, mean, variance, loading, state, heads, item_at, chooser_at,
    tolls, quotas, quota_prices, need, z, base, root, direction, nodes, share, decide, prices,
    value, bound, taken,
):  # fmt: skip
    """The best choice of some blocks by a search each: its priced cost, a bound, what is taken.

    A block ends its search within a `share` of what its rows are worth. Unless it may `decide` on
    items it cuts intervals of deviations only, which bounds but finds nothing. `taken` holds the
    place that every chooser takes, -1 for none; where the value is inf they break rows.
    """
    for b in blocks:
        i, e = item_at[b], item_at[b + 1]
        begin, end = chooser_at[b], chooser_at[b + 1]
        local = _offset(heads, begin, end)
        net = np.empty(e - i)
        priced(i, e, b, cost, mean, variance, loading, tolls, quotas, quota_prices, net)
        best = np.full(end - begin, -1, np.int32)
        price = prices[b].copy()
        usual = 0.0
        for s in range(need.shape[1]):
            if need[b, s] > -np.inf:
                usual += price[s] * abs(need[b, s])
        mend = decide and e - i <= FEW
        value[b], bound[b] = search(
            net, mean[i:e], variance[i:e], loading[i:e], direction[b], root[b], z[b], base[b],
            need[b], local, state[i:e], nodes if mend else min(nodes, CUTS), share * usual, 1e-12,
            mend, best, price,
        )  # fmt: skip
        for g in range(end - begin):
            taken[begin + g] = best[g] + i if best[g] >= 0 else -1


@njit(nogil=True, cache=True, error_model="numpy")
def lean_blocks(first, last, mean, variance, state, heads, chooser_at, rates, gained):
    """What blocks could gain at most, sum of rate * mean - variance, at some rates: (B, S, K)."""
    slots, kinds = mean.shape[1], rates.shape[1]
    for b in range(first, last):
        gained[b] = 0.0
        for g in range(chooser_at[b], chooser_at[b + 1]):
            for s in range(slots):
                for k in range(kinds):
                    most = 0.0
                    for i in range(heads[g], heads[g + 1]):
                        if state[i] >= 0:
                            most = max(most, rates[s, k] * mean[i, s] - variance[i, s])
                    gained[b, s, k] += most


@njit(nogil=True, cache=True, error_model="numpy")
def ratio_blocks(item_at, variance, state, least, most):
    """Lowers `least` and raises `most`, (B, S, S), to items' variances in slot b over those in a.

    An item without variance in slot a, but with some in b, raises the most to inf.
    """
    slots = variance.shape[1]
    for block in range(item_at.size - 1):
        for i in range(item_at[block], item_at[block + 1]):
            if state[i] < 0:
                continue
            for a in range(slots):
                for b in range(slots):
                    if variance[i, a] > 0.0:
                        ratio = variance[i, b] / variance[i, a]
                        least[block, a, b] = min(least[block, a, b], ratio)
                        most[block, a, b] = max(most[block, a, b], ratio)
                    elif variance[i, b] > 0.0:
                        most[block, a, b] = np.inf
