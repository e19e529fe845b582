"""Passes over the members of a game, and over all its coalitions.

A coalition of up to 20 members is a number whose bit i says whether member i belongs to it.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def best_members(rows, worth, weights, edges, margins, totals, worths):
    """The sum over all rows of what their worth is above their weighted sum, where it is.

    Row i is worth `worth[i] - rows[i] @ weights`, which goes to `margins`. The rows from edges[p]
    up to edges[p + 1] that are worth more than nothing are added up in totals[p], and their
    `worth` in worths[p].
    """
    width = rows.shape[1]
    value = 0.0
    for p in range(edges.size - 1):
        for t in range(width):
            totals[p, t] = 0.0
        worths[p] = 0.0
        for i in range(edges[p], edges[p + 1]):
            weighed = 0.0
            for t in range(width):
                weighed += weights[t] * rows[i, t]
            margin = worth[i] - weighed
            margins[i] = margin
            if margin > 0.0:
                value += margin
                worths[p] += worth[i]
                for t in range(width):
                    totals[p, t] += rows[i, t]
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def sizes(count):
    """The number of members of each of the 2^count coalitions."""
    found = np.zeros(1 << count, np.uint8)
    for coalition in range(1, 1 << count):
        found[coalition] = found[coalition >> 1] + (coalition & 1)
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def mean_marginals(values, count):
    """What each member adds to those before it, in the mean over all orders of joining."""
    size = sizes(count)
    # A coalition of s comes just before a given member in s! (count - 1 - s)! orders of count!.
    share = np.empty(count)
    share[0] = 1.0 / count
    for s in range(1, count):
        share[s] = share[s - 1] * s / (count - s)
    means = np.zeros(count)
    for i in range(count):
        bit = 1 << i
        total = 0.0
        for high in range(0, 1 << count, 2 * bit):
            for coalition in range(high, high + bit):
                total += share[size[coalition]] * (values[coalition + bit] - values[coalition])
        means[i] = total
    return means


@njit(nogil=True, cache=True, error_model="numpy")
def subset_sums(amounts):
    """The sum of the members' amounts in each of all coalitions."""
    sums = np.zeros(1 << amounts.size)
    for i in range(amounts.size):
        bit = 1 << i
        for coalition in range(bit):
            sums[bit + coalition] = sums[coalition] + amounts[i]
    return sums
