"""Weighted least squares of many small tables at once, each with its own gaps.

For row i and column t, over the pages p that count and have a value:

    minimise over b   sum_p w[p] (y[i, p, t] - x[p, t].b)^2 + ridge * sum_{k > 0} b[k]^2

and at the asked features z: the value z.b, the mean squared residual with its degrees of freedom,
and the leverage z'(X'WX + ridge)^-1 z. Solved by Cholesky; a feature that says nothing new (a
pivot of rounding alone) takes the coefficient 0. Where all rows share features and weights, a
column without a gap takes the factor that all of them have: a third of the work.
"""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.recent import weighted_sums

_PIVOT = 1e-10
"""The share of its diagonal below which a pivot is rounding."""

_ALMOST_ALONE = 1e-3
"""A page that the others say so little of is not filled in: rounding would be divided by it."""

_ROWS_AT_ONCE = 16
"""Rows of a hundred pages that a core's cache holds, so that gaps are read from there."""


@njit(nogil=True, cache=True, error_model="numpy")
def _factor(gram, size, live):
    """Replaces the lower triangle by its Cholesky factor, and fills in which features are live."""
    for j in range(size):
        whole = gram[j, j]
        pivot = whole
        for k in range(j):
            pivot -= gram[j, k] * gram[j, k]
        live[j] = pivot > _PIVOT * whole and pivot > 0.0
        if not live[j]:
            for i in range(j, size):
                gram[i, j] = 0.0
            continue
        root = np.sqrt(pivot)
        gram[j, j] = root
        for i in range(j + 1, size):
            total = gram[i, j]
            for k in range(j):
                total -= gram[i, k] * gram[j, k]
            gram[i, j] = total / root


@njit(nogil=True, cache=True, error_model="numpy")
def _gram(values, i, column, weight, w, features, u, t, ridge, gram):
    """Fills in the lower triangle of the normal equations of row i."""
    size = gram.shape[0]
    for j in range(size):
        for k in range(j + 1):
            gram[j, k] = 0.0
    for p in range(features.shape[1]):
        if np.isnan(values[i, p, column]) or weight[w, p] == 0.0:
            continue
        for j in range(size):
            scaled = weight[w, p] * features[u, p, t, j]
            for k in range(j + 1):
                gram[j, k] += scaled * features[u, p, t, k]
    for j in range(1, size):
        gram[j, j] += ridge


@njit(nogil=True, cache=True, error_model="numpy")
def _forward(gram, size, live, right):
    """Solves L y = right in place; features that are not live are 0."""
    for j in range(size):
        if not live[j]:
            right[j] = 0.0
            continue
        total = right[j]
        for k in range(j):
            total -= gram[j, k] * right[k]
        right[j] = total / gram[j, j]


@njit(nogil=True, cache=True, error_model="numpy")
def _backward(gram, size, live, right):
    """Solves L' b = right in place."""
    for j in range(size - 1, -1, -1):
        if not live[j]:
            right[j] = 0.0
            continue
        total = right[j]
        for k in range(j + 1, size):
            total -= gram[k, j] * right[k]
        right[j] = total / gram[j, j]


@njit(nogil=True, cache=True, error_model="numpy")
def predict(values, pages, excluded, features, asked, ridge, first, span, predicted, counts):
    """Fills in what least squares say of rows that share features, pages counting all alike.

    What all rows have in common is found once, and a row without a gap is a weighted sum. One
    missing value of a column takes the value that the fit without it gives it, which changes no
    coefficient: by the hat matrix, hat = X (X'X + ridge)^-1 X', that is
    sum_(c not m) hat[m, c] y[c] / (1 - hat[m, m]). Of more than one the pages are taken off the
    normal equations.

    Args:
        values: (n, P, S), NaN where there is none.
        pages: (C,) the pages that count.
        excluded: (1 or n, C) bool: which of them are not for the row.
        features: (C, T, K); the first is the constant.
        asked: (T, K).
        ridge: the penalty on every coefficient but the first.
        first: the column of values that belongs to column 0 of T.
        span: (2,) the first column of values and that after the last in which gaps are counted.
        predicted: (n, T), filled in; NaN with no value at all.
        counts: (n,) filled in with the pages that the row has without a gap in the span.
    """
    columns, size = asked.shape
    x = np.empty((columns, pages.size, size))  # one column after the other in memory
    whole = np.zeros((columns, size, size))
    # Of each column, the hat matrix and, as its last row, the weights of the asked prediction.
    hat = np.zeros((columns, pages.size + 1, pages.size))
    half = np.empty((pages.size + 1, size))
    weights = np.zeros((values.shape[1], columns))
    gram = np.empty((size, size))
    right = np.empty(size)
    live = np.empty(size, np.bool_)
    for t in range(columns):
        for c in range(pages.size):
            for j in range(size):
                x[t, c, j] = features[c, t, j]
                for k in range(j + 1):
                    whole[t, j, k] += features[c, t, j] * features[c, t, k]
        for j in range(1, size):
            whole[t, j, j] += ridge
        for j in range(size):
            for k in range(j + 1):
                gram[j, k] = whole[t, j, k]
        _factor(gram, size, live)
        for c in range(pages.size + 1):
            for j in range(size):
                right[j] = x[t, c, j] if c < pages.size else asked[t, j]
            _forward(gram, size, live, right)
            for j in range(size):
                half[c, j] = right[j]
        for c in range(pages.size + 1):
            for d in range(pages.size):
                for j in range(size):
                    hat[t, c, d] += half[c, j] * half[d, j]
        for c in range(pages.size):
            weights[pages[c], t] = hat[t, pages.size, c]
    gone = np.empty(pages.size, np.bool_)
    for i in range(values.shape[0]):
        if i % _ROWS_AT_ONCE == 0:
            end = i + _ROWS_AT_ONCE
            weighted_sums(values[i:end], weights, first, predicted[i:end])
        row = min(i, excluded.shape[0] - 1)
        some = pages.size == 0
        for c in range(pages.size):
            gone[c] = excluded[row, c]
            some |= gone[c]
        for t in range(columns):
            if not (some or np.isnan(predicted[i, t])):
                continue
            counted = span[0] <= first + t < span[1]
            gaps, gap = 0, 0
            for c in range(pages.size):
                if np.isnan(values[i, pages[c], first + t]) or excluded[row, c]:
                    gone[c] |= counted
                    gaps += 1
                    gap = c
            if gaps == pages.size:
                predicted[i, t] = np.nan
                continue
            rest = 1.0 - hat[t, gap, gap]
            if gaps == 1 and rest > _ALMOST_ALONE:
                value, filled = 0.0, 0.0
                for c in range(pages.size):
                    if c != gap:
                        known = values[i, pages[c], first + t]
                        value += hat[t, pages.size, c] * known
                        filled += hat[t, gap, c] * known
                predicted[i, t] = value + hat[t, pages.size, gap] * filled / rest
                continue
            for j in range(size):
                right[j] = 0.0
                for k in range(j + 1):
                    gram[j, k] = whole[t, j, k]
            for c in range(pages.size):
                known = values[i, pages[c], first + t]
                if np.isnan(known) or excluded[row, c]:
                    for j in range(size):
                        for k in range(j + 1):
                            gram[j, k] -= x[t, c, j] * x[t, c, k]
                else:
                    for j in range(size):
                        right[j] += x[t, c, j] * known
            _factor(gram, size, live)
            _forward(gram, size, live, right)
            _backward(gram, size, live, right)
            value = 0.0
            for j in range(size):
                value += asked[t, j] * right[j]
            predicted[i, t] = value
        count = pages.size
        for c in range(pages.size):
            count -= gone[c]
        counts[i] = count


@njit(nogil=True, cache=True, error_model="numpy")
def fit(values, weight, features, asked, ridge, first, predicted, variance, freedom):
    """Fills in what least squares say at the asked features, column by column.

    Args:
        values: (n, P, S), NaN where there is none.
        weight: (1 or n, P), never negative; 0 for pages that do not count.
        features: (1 or n, P, T, K); the first is the constant.
        asked: (1 or n, A, T, K).
        ridge: the penalty on every coefficient but the first.
        first: the column of values that belongs to column 0 of T.
        predicted: (n, A, T), filled in; NaN with no value at all.
        variance: (n, A, T), filled in with the variance of a new value there, that of the
            coefficients with it; NaN with fewer values than features and one.
        freedom: (n, T) filled in with the values less the features.
    """
    pages, columns, size = features.shape[1], features.shape[2], features.shape[3]
    gram = np.empty((size, size))
    right = np.empty(size)
    lever = np.empty(size)
    live = np.empty(size, np.bool_)
    shared = features.shape[0] == 1 and weight.shape[0] == 1
    factors = np.empty((columns, size, size))
    lives = np.empty((columns, size), np.bool_)
    full = 0
    for p in range(pages):
        full += weight[0, p] > 0.0
    ready = np.zeros(columns, np.bool_)
    for i in range(values.shape[0]):
        u = min(i, features.shape[0] - 1)
        v = min(i, asked.shape[0] - 1)
        w = min(i, weight.shape[0] - 1)
        for t in range(columns):
            count = 0
            total_weight = 0.0
            for j in range(size):
                right[j] = 0.0
            for p in range(pages):
                value = values[i, p, first + t]
                if np.isnan(value) or weight[w, p] == 0.0:
                    continue
                count += 1
                total_weight += weight[w, p]
                for j in range(size):
                    right[j] += weight[w, p] * features[u, p, t, j] * value
            whole = shared and count == full
            if whole and ready[t]:
                for j in range(size):
                    live[j] = lives[t, j]
                    for k in range(j + 1):
                        gram[j, k] = factors[t, j, k]
            else:
                _gram(values, i, first + t, weight, w, features, u, t, ridge, gram)
                _factor(gram, size, live)
                if whole:
                    ready[t] = True
                    for j in range(size):
                        lives[t, j] = live[j]
                        for k in range(j + 1):
                            factors[t, j, k] = gram[j, k]
            rank = 0
            for j in range(size):
                rank += live[j]
            freedom[i, t] = count - rank
            _forward(gram, size, live, right)
            _backward(gram, size, live, right)
            squares = 0.0
            for p in range(pages):
                value = values[i, p, first + t]
                if np.isnan(value) or weight[w, p] == 0.0:
                    continue
                rest = float(value)
                for j in range(size):
                    rest -= features[u, p, t, j] * right[j]
                squares += weight[w, p] * rest * rest
            # Weights are what a page's variance is divided by, relative to their mean.
            spread = np.nan
            if count > rank:
                spread = squares / total_weight * count / (count - rank)
            for a in range(asked.shape[1]):
                value = 0.0
                for j in range(size):
                    value += asked[v, a, t, j] * right[j]
                    lever[j] = asked[v, a, t, j]
                _forward(gram, size, live, lever)
                square = 0.0
                for j in range(size):
                    square += lever[j] * lever[j]
                predicted[i, a, t] = value if count > 0 else np.nan
                mean_weight = total_weight / count if count > 0 else np.nan
                variance[i, a, t] = spread * (1.0 + square * mean_weight)
