"""Choices of few choosers, mended until rows hold and made cheaper while they do.

Sums of the rows are (R, 2 + F): means, variances, factors.
"""

import numpy as np
from numba import njit

_NONE = -1


@njit(nogil=True, cache=True, error_model="numpy")
def short_of(sums, loading, z, base, need):
    """By how much rows lack their needs in all, each as a share of its need."""
    total = 0.0
    for r in range(need.size):
        if need[r] == -np.inf:
            continue
        spread = base[r] + max(0.0, sums[r, 1])
        for f in range(loading.shape[1]):
            spread += sums[r, 2 + f] * sums[r, 2 + f]
        lack = need[r] - sums[r, 0] + z[r] * np.sqrt(spread)
        scale = max(1.0, abs(need[r]))
        if lack > 1e-9 * scale:
            total += lack / scale
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def add(sums, mean, variance, loading, i, sign):
    """Adds an item to the sums of the rows, or takes it off."""
    for r in range(sums.shape[0]):
        sums[r, 0] += sign * mean[i, r]
        sums[r, 1] += sign * variance[i, r]
        for f in range(loading.shape[1]):
            sums[r, 2 + f] += sign * loading[i, f] * mean[i, r]


@njit(nogil=True, cache=True, error_model="numpy")
def settle(cost, mean, variance, loading, z, base, need, heads, state, pick, sums):
    """The cost of choices that are mended and then made cheaper; inf if rows cannot be mended.

    Each mend is the change of one chooser that costs least for what it takes off the lack.
    """
    sums[:] = 0.0
    total = 0.0
    for g in range(pick.size):
        if pick[g] >= 0:
            add(sums, mean, variance, loading, pick[g], 1.0)
            total += cost[pick[g]]
    lack = short_of(sums, loading, z, base, need)
    for _ in range(2 * pick.size):
        if lack <= 0.0:
            break
        g, to = _best_mend(
            cost, mean, variance, loading, z, base, need, heads, state, pick, sums, lack
        )
        if g < 0:
            return np.inf
        total += _change(cost, mean, variance, loading, pick, g, to, sums)
        lack = short_of(sums, loading, z, base, need)
    if lack > 0.0:
        return np.inf
    return total + _cheapen(cost, mean, variance, loading, z, base, need, heads, state, pick, sums)


@njit(nogil=True, cache=True, error_model="numpy")
def _best_mend(cost, mean, variance, loading, z, base, need, heads, state, pick, sums, lack):
    """The chooser, and what it takes instead, that costs least for what is lacking less."""
    which, into, best = _NONE, _NONE, np.inf
    for g in range(pick.size):
        now = pick[g]
        if now >= 0 and state[now] > 0:
            continue
        if now >= 0:
            add(sums, mean, variance, loading, now, -1.0)
        for i in range(heads[g] - 1, heads[g + 1]):
            to = i if i >= heads[g] else _NONE
            if to == now or (to >= 0 and state[to] < 0):
                continue
            if to >= 0:
                add(sums, mean, variance, loading, to, 1.0)
            less = lack - short_of(sums, loading, z, base, need)
            if to >= 0:
                add(sums, mean, variance, loading, to, -1.0)
            if less <= 1e-9 * lack:
                continue
            more = (cost[to] if to >= 0 else 0.0) - (cost[now] if now >= 0 else 0.0)
            score = more / less if more > 0.0 else more
            if score < best:
                which, into, best = g, to, score
        if now >= 0:
            add(sums, mean, variance, loading, now, 1.0)
    return which, into


@njit(nogil=True, cache=True, error_model="numpy")
def _cheapen(cost, mean, variance, loading, z, base, need, heads, state, pick, sums):
    """What a choice that holds becomes cheaper by, chooser after chooser; never above 0."""
    gained = 0.0
    for _ in range(2):
        before = gained
        for g in range(pick.size):
            if pick[g] >= 0 and state[pick[g]] > 0:
                continue
            for i in range(heads[g] - 1, heads[g + 1]):
                was, to = pick[g], i if i >= heads[g] else _NONE
                if to == was or (to >= 0 and state[to] < 0):
                    continue
                more = (cost[to] if to >= 0 else 0.0) - (cost[was] if was >= 0 else 0.0)
                if more >= 0.0:
                    continue
                _change(cost, mean, variance, loading, pick, g, to, sums)
                if short_of(sums, loading, z, base, need) > 0.0:
                    _change(cost, mean, variance, loading, pick, g, was, sums)
                else:
                    gained += more
        if gained == before:
            break
    return gained


@njit(nogil=True, cache=True, error_model="numpy")
def _change(cost, mean, variance, loading, pick, g, to, sums):
    """Changes what a chooser takes, and says what that costs more."""
    more = 0.0
    if pick[g] >= 0:
        add(sums, mean, variance, loading, pick[g], -1.0)
        more -= cost[pick[g]]
    pick[g] = to
    if to >= 0:
        add(sums, mean, variance, loading, to, 1.0)
        more += cost[to]
    return more
