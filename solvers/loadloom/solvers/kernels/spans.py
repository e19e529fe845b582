"""Weighted sums of the rows of a table over spans of its columns, in float64.

A row's sums do not depend on where in the table it stands: equal rows get equal bits.
"""

import numpy as np
from numba import njit

_ANY_ORDER = {"reassoc", "contract", "nsz"}  # that suits the machine, the same for all rows


@njit(nogil=True, cache=True, error_model="numpy")
def span_sums(values, weight, start, total, sums):
    """Adds all rows to `total` (T,), and fills in each row's weighted sum in each span.

    `values` is (n, T), `weight` (T,), `start` (D + 1,) the first column of each span and the end,
    `sums` (n, D).
    """
    for i in range(values.shape[0]):
        for t in range(values.shape[1]):
            total[t] += np.float64(values[i, t])
        for d in range(start.size - 1):
            sums[i, d] = _sum(values, i, weight, start[d], start[d + 1])


@njit(nogil=True, cache=True, error_model="numpy")
def products(values, weight, sums):
    """Fills in each row's weighted sum over all columns, (n,)."""
    for i in range(values.shape[0]):
        sums[i] = _sum(values, i, weight, 0, values.shape[1])


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True, fastmath=_ANY_ORDER)
def _sum(values, i, weight, begin, end):
    found = 0.0
    for t in range(begin, end):
        found += np.float64(values[i, t]) * weight[t]
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def chosen_sums(values, column, weight, span, sums):
    """Fills in each row's weighted sum over some columns (m,), each added to its span's.

    `weight` and `span` are (m,), `sums` (n, D).
    """
    for i in range(values.shape[0]):
        for d in range(sums.shape[1]):
            sums[i, d] = 0.0
        for k in range(column.size):
            sums[i, span[k]] += np.float64(values[i, column[k]]) * weight[k]
