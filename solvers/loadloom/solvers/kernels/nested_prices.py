"""The next prices of a proximal bundle whose parts each see few of the rows.

    maximise   y @ demand + sum_p min_k (cost[p, k] - use[p, k] @ y[row[p]])
               - sum_r (y[r] - centre[r])^2 / (2 * reach[r])
    subject to 0 <= y <= top

As in `kernels.bundle`, by exchanges of weights between pairs of a part's cuts; but a part of a
tree touches only the rows above it, `row[p, j]`, -1 beyond the last. So an exchange costs as many
steps as there are rows above one part, and every part may have cuts of its own.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, error_model="numpy")
def next_tree_prices(
    demand, costs, uses, row, centre, reach, top, weights, cuts, sweeps, tolerance
):
    """The prices and the model's value there; `weights` are the start and become the answer.

    `costs` and `weights` are (P, K), `uses` is (P, K, J), of which the first `cuts` count.
    """
    parts, wide = row.shape
    total = demand.copy()
    for p in range(parts):
        for k in range(cuts):
            if weights[p, k] > 0.0:
                for j in range(wide):
                    if row[p, j] >= 0:
                        total[row[p, j]] -= weights[p, k] * uses[p, k, j]
    y = np.minimum(np.maximum(centre + reach * total, 0.0), top)
    for _ in range(sweeps):
        apart = 0.0
        for p in range(parts):
            low, high = 0, -1
            lowest, highest = np.inf, -np.inf
            for k in range(cuts):
                height = costs[p, k]
                for j in range(wide):
                    if row[p, j] >= 0:
                        height -= uses[p, k, j] * y[row[p, j]]
                if height < lowest:
                    low, lowest = k, height
                if weights[p, k] > 0.0 and height > highest:
                    high, highest = k, height
            if low == high or highest <= lowest:
                continue
            apart += weights[p, high] * (highest - lowest)
            bend = 0.0
            for j in range(wide):
                r = row[p, j]
                if r < 0:
                    continue
                step = uses[p, high, j] - uses[p, low, j]
                inner = centre[r] + reach[r] * total[r]
                if 0.0 < inner < top[r] or (inner <= 0.0) == (step > 0.0):
                    bend += reach[r] * step * step
            moved = weights[p, high]
            if bend > 0.0:
                moved = min(moved, (highest - lowest) / bend)
            weights[p, low] += moved
            weights[p, high] -= moved
            if weights[p, high] < 1e-14:
                weights[p, high] = 0.0
            for j in range(wide):
                r = row[p, j]
                if r >= 0:
                    total[r] += moved * (uses[p, high, j] - uses[p, low, j])
                    y[r] = min(max(centre[r] + reach[r] * total[r], 0.0), top[r])
        if apart <= tolerance:
            break
    value = 0.0
    for r in range(demand.size):
        value += demand[r] * y[r]
    for p in range(parts):
        least = np.inf
        for k in range(cuts):
            height = costs[p, k]
            for j in range(wide):
                if row[p, j] >= 0:
                    height -= uses[p, k, j] * y[row[p, j]]
            least = min(least, height)
        value += least
    return y, value
