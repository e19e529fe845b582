"""The next prices of a proximal bundle method: a small quadratic programme over a box.

    maximise   y @ demand + sum_p min_k (cost[p, k] - use[p, k] @ y)
               - sum_r (y[r] - centre[r])^2 / (2 * reach[r])
    subject to 0 <= y <= top

where part p of all choosers has its own cuts. It is solved by its dual: with weights w[p] on a
simplex for each part, the best y is clip(centre + reach * (demand - sum_p w[p] @ use[p])). Pairs of
weights are exchanged, that of the highest cut in use for that of the lowest, each by the step
that is best as long as no clip changes. Every step descends, so one may stop at any time.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _dot(a, b):
    """The product of two vectors, summed in the order that suits the machine."""
    total = 0.0
    for r in range(a.size):
        total += a[r] * b[r]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def next_prices(demand, costs, uses, centre, reach, top, weights, sweeps, tolerance):
    """The prices and the model's value there; `weights` are the start and become the answer."""
    parts, cuts, rows = uses.shape
    total = demand.copy()
    for p in range(parts):
        for k in range(cuts):
            if weights[p, k] > 0.0:
                for r in range(rows):
                    total[r] -= weights[p, k] * uses[p, k, r]
    y = np.minimum(np.maximum(centre + reach * total, 0.0), top)
    heights = np.empty(cuts)
    for _ in range(sweeps):
        apart = 0.0
        for p in range(parts):
            low, high = 0, -1
            for k in range(cuts):
                heights[k] = costs[p, k] - _dot(uses[p, k], y)
                if heights[k] < heights[low]:
                    low = k
                if weights[p, k] > 0.0 and (high < 0 or heights[k] > heights[high]):
                    high = k
            if low == high or heights[high] <= heights[low]:
                continue
            apart += weights[p, high] * (heights[high] - heights[low])
            bend = 0.0
            for r in range(rows):
                step = uses[p, high, r] - uses[p, low, r]
                inner = centre[r] + reach[r] * total[r]
                if 0.0 < inner < top[r] or (inner <= 0.0) == (step > 0.0):
                    bend += reach[r] * step * step
            moved = weights[p, high]
            if bend > 0.0:
                moved = min(moved, (heights[high] - heights[low]) / bend)
            weights[p, low] += moved
            weights[p, high] -= moved
            if weights[p, high] < 1e-14:
                weights[p, high] = 0.0
            for r in range(rows):
                total[r] += moved * (uses[p, high, r] - uses[p, low, r])
                y[r] = min(max(centre[r] + reach[r] * total[r], 0.0), top[r])
        if apart <= tolerance:
            break
    value = _dot(demand, y)
    for p in range(parts):
        least = np.inf
        for k in range(cuts):
            least = min(least, costs[p, k] - _dot(uses[p, k], y))
        value += least
    return y, value
