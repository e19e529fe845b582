"""The next prices of a proximal bundle method: a small quadratic programme over a box.

    maximise   min_k (value[k] + slope[k] @ y) - sum_r (y[r] - centre[r])^2 / (2 * reach[r])
    subject to 0 <= y <= top

solved by its dual: with weights w on a simplex the best y is clip(centre + reach * w @ slope), and
pairs of weights are exchanged, that of the highest cut in use for that of the lowest, each by the
step that is best as long as no clip changes. Every step descends, and the sum of the weighted cuts
at y bounds the model from above whenever one stops.
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
def next_prices(values, slopes, centre, reach, top, weights, rounds, tolerance):
    """The prices and the model's value there; `weights` are the start and become the answer."""
    cuts, rows = slopes.shape
    total = np.zeros(rows)
    for k in range(cuts):
        if weights[k] > 0.0:
            for r in range(rows):
                total[r] += weights[k] * slopes[k, r]
    y = np.empty(rows)
    heights = np.empty(cuts)
    for _ in range(rounds):
        for r in range(rows):
            y[r] = min(max(centre[r] + reach[r] * total[r], 0.0), top[r])
        low, high = 0, -1
        mean = 0.0
        for k in range(cuts):
            heights[k] = values[k] + _dot(slopes[k], y)
            mean += weights[k] * heights[k]
            if heights[k] < heights[low]:
                low = k
            if weights[k] > 0.0 and (high < 0 or heights[k] > heights[high]):
                high = k
        if heights[high] - heights[low] <= tolerance or low == high:
            break
        bend = 0.0
        for r in range(rows):
            step = slopes[low, r] - slopes[high, r]
            inner = centre[r] + reach[r] * total[r]
            if 0.0 < inner < top[r] or (inner <= 0.0) == (step > 0.0):
                bend += reach[r] * step * step
        moved = weights[high]
        if bend > 0.0:
            moved = min(moved, (heights[high] - heights[low]) / bend)
        weights[low] += moved
        weights[high] -= moved
        if weights[high] < 1e-14:
            weights[high] = 0.0
        for r in range(rows):
            total[r] += moved * (slopes[low, r] - slopes[high, r])
    return y, heights.min()
