"""Sums of chosen items over the nodes of a tree, and the largest level of each of its rows."""

import numpy as np
from numba import njit

_SWEEPS = 20  # changes of all items one by one
_FEW = 1_000  # up to so many choosers change their items from every start


@njit(nogil=True, cache=True, error_model="numpy")
def add_chosen(chosen, mean, variance, loading, node, upward, parent, means, variances, factors):
    """Adds the chosen items to the sums of their nodes and of all nodes above."""
    slots, shared = mean.shape[1], loading.shape[1]
    own_mean, own_variance = np.zeros_like(means), np.zeros_like(variances)
    own_factor = np.zeros_like(factors)
    for i in range(chosen.size):
        if not chosen[i]:
            continue
        v = node[i]
        for s in range(slots):
            own_mean[v, s] += mean[i, s]
            own_variance[v, s] += variance[i, s]
            for f in range(shared):
                own_factor[v, s, f] += loading[i, f] * mean[i, s]
    for v in upward:
        up = parent[v]
        for s in range(slots):
            if up >= 0:
                own_mean[up, s] += own_mean[v, s]
                own_variance[up, s] += own_variance[v, s]
            means[v, s] += own_mean[v, s]
            variances[v, s] += own_variance[v, s]
            for f in range(shared):
                if up >= 0:
                    own_factor[up, s, f] += own_factor[v, s, f]
                factors[v, s, f] += own_factor[v, s, f]


@njit(nogil=True, cache=True, error_model="numpy")
def _best_prefix(mean, variance, z, begin):
    """The largest mean - z * sqrt(variance) over the first items by mean per variance."""
    keep = np.flatnonzero(mean > 0.0)
    order = keep[np.argsort(variance[keep] / mean[keep])]
    total, spread = begin
    best = total - z * np.sqrt(spread)
    for i in order:
        total += mean[i]
        spread += variance[i]
        best = max(best, total - z * np.sqrt(spread))
    return best


@njit(nogil=True, cache=True, error_model="numpy")
def _fixed_point(mean, variance, loading, heads, state, z, base, start, taken):
    """The largest level that choosers reach who take turns with the root's slopes.

    At slopes the best item of each chooser is that of the largest linear level; the slopes at
    what they chose are the next ones. `taken` becomes what each takes, -1 for nothing.
    """
    shared = loading.shape[1]
    chosen = np.empty(heads.size - 1, np.int64)
    direction = np.zeros(shared)
    deviation, share = start, 1.0
    best = -np.inf
    for _ in range(12):
        total, spread = 0.0, base
        moved = np.zeros(shared)
        for h in range(heads.size - 1):
            at, most = -1, 0.0
            for i in range(heads[h], heads[h + 1]):
                if state[i] < 0:
                    continue
                value = mean[i] - 0.5 * z * share * variance[i] / max(deviation, 1e-300)
                for f in range(shared):
                    value -= z * direction[f] * loading[i, f] * mean[i]
                if state[i] > 0 or value > most:
                    at, most = i, np.inf if state[i] > 0 else value
            chosen[h] = at
            if at >= 0:
                total += mean[at]
                spread += variance[at]
                for f in range(shared):
                    moved[f] += loading[at, f] * mean[at]
        norm = np.sqrt(spread + (moved * moved).sum())
        level = total - z * norm
        if level <= best:
            break
        best = level
        taken[:] = chosen
        if norm <= 0.0:
            break
        deviation, share = np.sqrt(spread), np.sqrt(spread) / norm
        direction = moved / norm
    return best


@njit(nogil=True, cache=True, error_model="numpy")
def _ascended(mean, variance, loading, heads, state, z, base, taken):
    """The level that choosers reach who change their item one by one, as long as it rises.

    From `taken`, which becomes what they end with.
    """
    shared = loading.shape[1]
    total, spread, moved = 0.0, base, np.zeros(shared)
    for at in taken:
        if at >= 0:
            total += mean[at]
            spread += variance[at]
            for f in range(shared):
                moved[f] += loading[at, f] * mean[at]
    best = total - z * np.sqrt(spread + (moved * moved).sum())
    rose = True
    for _ in range(_SWEEPS):
        if not rose:
            break
        rose = False
        for h in range(heads.size - 1):
            old, better = taken[h], taken[h]
            if old >= 0 and state[old] > 0:
                continue
            for i in range(heads[h] - 1, heads[h + 1]):
                new = -1 if i < heads[h] else i
                if new == old or (new >= 0 and state[new] < 0):
                    continue
                level, square = total, max(spread, 0.0)
                if old >= 0:
                    level -= mean[old]
                    square -= variance[old]
                if new >= 0:
                    level += mean[new]
                    square += variance[new]
                for f in range(shared):
                    factor = moved[f]
                    if old >= 0:
                        factor -= loading[old, f] * mean[old]
                    if new >= 0:
                        factor += loading[new, f] * mean[new]
                    square += factor * factor
                level -= z * np.sqrt(max(square, 0.0))
                if level > best + 1e-12 * abs(best):
                    best, better = level, new
            if better != old:
                rose = True
                taken[h] = better
                for at, sign in ((old, -1.0), (better, 1.0)):
                    if at >= 0:
                        total += sign * mean[at]
                        spread += sign * variance[at]
                        for f in range(shared):
                            moved[f] += sign * loading[at, f] * mean[at]
    return best


@njit(nogil=True, cache=True, error_model="numpy")
def best_level(mean, variance, loading, heads, state, z, base):
    """The largest level of one row: exact if choosers have one item each and nothing is shared.

    Else it is the best that was found: what choosers reach who follow the root's slopes from 24
    starts on, and then change their items one by one.
    """
    total, spread = 0.0, base
    free = state == 0
    for i in range(mean.size):
        if state[i] > 0:
            total += mean[i]
            spread += variance[i]
    alone = heads.size - 1 == mean.size
    if alone and loading.shape[1] == 0:
        return _best_prefix(mean[free], variance[free], z, (total, spread))
    most = np.sqrt(base + variance.sum())
    best, few = -np.inf, heads.size <= _FEW
    taken = np.full(heads.size - 1, -1, np.int64)
    kept = taken.copy()
    for k in range(24):
        start = most * 0.7**k
        level = _fixed_point(mean, variance, loading, heads, state, z, base, start, taken)
        if few:
            level = _ascended(mean, variance, loading, heads, state, z, base, taken)
        if level > best:
            best = level
            kept[:] = taken
    return best if few else _ascended(mean, variance, loading, heads, state, z, base, kept)
