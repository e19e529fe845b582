"""Passes over all items of a selection: what each would choose at prices, and what that adds up to.

At prices an item's value in bin k is

    worth[i, k] - sum_t step_price[k, t] * use[i, t] - size_price[k] * size[i] - count_price[k]

and 0 in no bin. Rows are read once, as floats of 32 or 64 bits; sums are of 64.
"""

import numpy as np
from numba import njit

_SUMS = {"reassoc", "contract", "nsz"}  # in the order that suits the machine


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_SUMS)
def answers(use, size, worth, must, step_price, size_price, count_price, choice, value, lead):
    """Every item's best bin (-1 for none) and its value, and the lead over its next best one.

    `choice`, `value` and `lead` are written; the lead is inf where there is nothing else to choose.
    """
    count, steps = use.shape
    bins = worth.shape[1]
    for i in range(count):
        at, best, second = -1, 0.0, -np.inf
        if must[i]:
            best = -np.inf
        for k in range(bins):
            if worth[i, k] == -np.inf:
                continue
            paid = 0.0
            for t in range(steps):
                paid += step_price[k, t] * use[i, t]
            net = worth[i, k] - paid - size_price[k] * size[i] - count_price[k]
            if net > best:
                at, best, second = k, net, best
            elif net > second:
                second = net
        choice[i], value[i], lead[i] = at, best, best - second


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_SUMS)
def values(use, size, worth, must, step_price, size_price, count_price, value):
    """The value of each item, in no bin and in each, -inf if ruled out: (count, bins + 1)."""
    count, steps = use.shape
    for i in range(count):
        value[i, 0] = -np.inf if must[i] else 0.0
        for k in range(worth.shape[1]):
            paid = size_price[k] * size[i] + count_price[k]
            for t in range(steps):
                paid += step_price[k, t] * use[i, t]
            value[i, k + 1] = worth[i, k] - paid


@njit(nogil=True, cache=True, error_model="numpy")
def totals(use, size, choice, use_sum, size_sum, count_sum):
    """Adds what is chosen to the sums of each bin: use (bins, steps), size and count (bins,)."""
    count, steps = use.shape
    for i in range(count):
        k = choice[i]
        if k < 0:
            continue
        size_sum[k] += size[i]
        count_sum[k] += 1.0
        for t in range(steps):
            use_sum[k, t] += use[i, t]


@njit(nogil=True, cache=True, error_model="numpy")
def prefixes(use, size, worth, into, order, cost, low, high, value, kept):
    """What the first items of an order are worth, none first, and whether they keep all limits.

    Uses must not be negative. Item i goes to bin `into[i]`; `cost`, `low` and `high` are those of
    `swaps.climb`. `value` and `kept` hold one more than `order`.
    """
    steps, bins = use.shape[1], worth.shape[1]
    sums, sizes, counts = np.zeros((bins, steps)), np.zeros(bins), np.zeros(bins)
    peaks, costs = np.zeros(bins), np.zeros(bins)
    earned, paid = 0.0, 0.0
    for n in range(order.size + 1):
        if n > 0:
            i = order[n - 1]
            k = into[i]
            earned += worth[i, k]
            sizes[k] += size[i]
            counts[k] += 1.0
            for t in range(steps):
                sums[k, t] += use[i, t]
                peaks[k] = max(peaks[k], sums[k, t])
            most = -np.inf
            for line in range(cost.shape[2]):
                most = max(most, cost[0, k, line] * sizes[k] + cost[1, k, line] * peaks[k])
            paid += most - costs[k]
            costs[k] = most
        value[n] = earned - paid
        good = True
        for k in range(bins):
            good = good and low[0, k] <= sizes[k] <= high[0, k] and peaks[k] <= high[2, k]
            good = good and low[1, k] <= counts[k] <= high[1, k]
        kept[n] = good
