"""A depth-first search of one row that is covered with confidence: who is turned to keep it.

Every item of the core stands where it costs least, and turning it costs `spend` >= 0 and changes
mean and variance. Turned items gain `weight` in the linear row of `covering.chord`, and stand in
the order of spend per weight; those that gain nothing stand last. A node has decided the first
items. Its bound is the linear relaxation of what is left, which changes only where an item is not
turned. An item is not turned if one that was left alone spends no more and gives no less. A few
large items may lead: they are decided first and without a bound, since a part of one of them is
what makes the relaxation weak.
"""

import numpy as np
from numba import njit

SPEND, WEIGHT, MEAN, VARIANCE, RATE, SPEND_BEFORE, WEIGHT_BEFORE = range(7)
"""The rows of a core; the last two are sums over the items before."""
CORE_ROWS = 7
SPENT, NEED, MEANS, VARIANCES = range(4)
"""The rows of a path: what a node has spent and what it still needs of the row, and its sums."""
PATH_ROWS = 4

WINDOW = 64
"""Dominance is known of items that stand at most so far apart."""
_LOST = 4e-16  # of the variances that were added and taken off, at most, by rounding
_NEAR = 16  # the next break is mostly so near, and looked for by halves beyond


@njit(nogil=True, cache=True, error_model="numpy")
def prepare(core, count, leading, masks, runs):
    """Writes the sums before each item, who dominates it and where its likes end.

    Returns the place behind those that gain. The first `leading` items are in no sum.

    Bit k of an item's mask says that the item k + 1 places before dominates it.
    """
    gaining = leading
    core[SPEND_BEFORE, leading] = core[WEIGHT_BEFORE, leading] = 0.0
    for j in range(count):
        if j >= leading:
            if core[WEIGHT, j] > 0.0:
                gaining += 1
            core[SPEND_BEFORE, j + 1] = core[SPEND_BEFORE, j] + core[SPEND, j]
            core[WEIGHT_BEFORE, j + 1] = core[WEIGHT_BEFORE, j] + core[WEIGHT, j]
        mask = np.uint64(0)
        spend, mean, variance = core[SPEND, j], core[MEAN, j], core[VARIANCE, j]
        for back in range(min(j, WINDOW)):
            i = j - 1 - back
            if core[SPEND, i] <= spend and core[MEAN, i] >= mean and core[VARIANCE, i] <= variance:
                mask |= np.uint64(1) << np.uint64(back)
        masks[j] = mask
    for j in range(count - 1, -1, -1):
        alike = j + 1 < count
        for row in (SPEND, MEAN, VARIANCE):
            alike = alike and core[row, j] == core[row, j + 1]
        runs[j] = runs[j + 1] if alike else j + 1
    return gaining


@njit(nogil=True, cache=True, error_model="numpy")
def _variance(core, count, fixed, turned, height):
    """The variance of a choice, summed from what is chosen: nothing is taken off."""
    total, n = fixed, 0
    for j in range(count):
        is_turned = n < height and turned[n] == j
        n += is_turned
        if is_turned == (core[VARIANCE, j] > 0.0):
            total += abs(core[VARIANCE, j])
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def search(
    core,
    count,
    leading,
    gaining,
    masks,
    runs,
    path,
    breaks,
    skipped,
    turned,
    best,
    fixed,
    threshold,
    quantile,
    limit,
    enough,
    tolerance,
    nodes,
):
    """The cheapest turns that cost less than `limit` by more than `tolerance`.

    It ends, incomplete, with turns that cost no more than `enough`.

    `path` holds the root in its first column. Returns what they cost, `limit` if none was found,
    their number, the nodes that were taken and whether the search was complete; `best` begins with
    the places of the turned items. `fixed` is the variance of what is chosen outside of the core.
    """
    j, taken, height, turns = 0, 0, 0, 0
    lost = 0.0
    for i in range(count):
        lost += _LOST * abs(core[VARIANCE, i])
    breaks[0], skipped[0] = 0, np.uint64(0)
    while True:
        spent, need = path[SPENT, j], path[NEED, j]
        at = max(breaks[j], j, leading)
        closed = spent >= limit - tolerance
        if not closed and need <= 0.0:
            # What was added and taken off leaves a rounding that the root makes large.
            variance = max(0.0, path[VARIANCES, j] - lost)
            kept = path[MEANS, j] - quantile * np.sqrt(variance) >= threshold
            if kept:
                variance = _variance(core, count, fixed, turned, height)
                kept = path[MEANS, j] - quantile * np.sqrt(variance) >= threshold
            if kept:
                limit = spent
                turns = height
                for n in range(height):
                    best[n] = turned[n]
                if limit <= enough:
                    return limit, turns, taken, False
                closed = True
        elif not closed and j >= leading:
            reach = core[WEIGHT_BEFORE, j] + need
            near = min(at + _NEAR, gaining + 1)
            while at < near and core[WEIGHT_BEFORE, at] < reach:
                at += 1
            if at == near:
                end = gaining + 1
                while at < end:
                    middle = (at + end) // 2
                    if core[WEIGHT_BEFORE, middle] < reach:
                        at = middle + 1
                    else:
                        end = middle
            if at > gaining:
                closed = True
            else:
                rest = reach - core[WEIGHT_BEFORE, at - 1]
                bound = spent + core[SPEND_BEFORE, at - 1] - core[SPEND_BEFORE, j]
                closed = bound + rest * core[RATE, at - 1] >= limit - tolerance
        if not closed and j < count:
            taken += 1
            if taken > nodes:
                return limit, turns, taken, False
            breaks[j] = at
            if skipped[j] & masks[j] == 0:
                turned[height] = j
                height += 1
                breaks[j + 1] = at
                skipped[j + 1] = skipped[j] << np.uint64(1)
                path[SPENT, j + 1] = spent + core[SPEND, j]
                path[NEED, j + 1] = need - core[WEIGHT, j]
                path[MEANS, j + 1] = path[MEANS, j] + core[MEAN, j]
                path[VARIANCES, j + 1] = path[VARIANCES, j] + core[VARIANCE, j]
                j += 1
                continue
        else:
            if height == 0:
                return limit, turns, taken, True
            height -= 1
            j = turned[height]
        # Leave the item alone, and with it all that are like it.
        end = runs[j]
        ones = np.uint64(min(end - j, 63))
        skipped[end] = ((skipped[j] + np.uint64(1)) << ones) - np.uint64(1)
        breaks[end] = breaks[j]
        for row in range(PATH_ROWS):
            path[row, end] = path[row, j]
        j = end
