"""Means of a row's recent pages, page by page the columns of a few spans, straight from memory.

Values are (rows, pages, columns), NaN where there is none. Of each row's candidate pages, most
recent first, the first `last` that are whole in two spans are taken, and of these the `kept` with
the highest mean in the first span. Only the columns of the spans are read, and only on pages that
are looked at: for ten pages of ninety a small part of what a plain pass reads.
"""

import numpy as np
from numba import njit

_ANY_ORDER = {"contract", "nsz", "reassoc"}
"""Sums of pages in vectors; NaN stays NaN. So that loops over columns run in vectors at all their
indexes are unsigned: of a signed one Numba asks each time whether it counts from the end."""


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_ANY_ORDER)
def _sum(values, i, page, first, end):
    """The sum of some columns of a page; NaN if one of them is."""
    total = 0.0
    for t in range(np.uintp(first), np.uintp(end)):
        total += values[i, page, t]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _add(values, i, page, first, sums, numbers):
    """Adds the columns of a page that have a value, and counts them."""
    start = np.uintp(first)
    for t in range(np.uintp(sums.size)):
        value = np.float64(values[i, page, start + t])
        there = value == value  # not so with NaN; a selection, so that it runs in vectors
        sums[t] += value if there else 0.0
        numbers[t] += 1.0 if there else 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def recent_means(
    values, candidates, excluded, spans, last, kept, fewest, means, taken, counts, spreads
):
    """Fills in the means of each row's pages, and which pages they are.

    Args:
        values: (n, P, S) float32 or float64.
        candidates: (C,) pages, the most recent first.
        excluded: (1 or n, P) bool: pages that are not for the row.
        spans: (3, 2) the first column and that after the last: the span by which pages are ranked
            and which must be whole, another that must be whole, and the columns of `means`.
        last: how many whole pages are looked at.
        kept: how many of these count, those with the highest mean in the first span; among equals
            the more recent.
        fewest: below this number of whole pages a row has no means: all of them are NaN.
        means: (n, columns of the third span), filled in; a column is the mean of the kept pages
            that have a value there, NaN where none has.
        taken: (n, last) int32, filled in with the kept pages, the most recent first; -1 beyond.
        counts: (n,) int32, filled in with how many whole pages were found, `last` at most.
        spreads: (n,) filled in with the standard deviation of one more page's mean in the first
            span about that of the kept pages, as the whole pages found vary; NaN with one of them
            or without means.
    """
    a, b, c, d, e, f = (
        spans[0, 0], spans[0, 1], spans[1, 0], spans[1, 1], spans[2, 0], spans[2, 1],
    )  # fmt: skip
    score = np.empty(last)
    pages = np.empty(last, np.int64)
    sums = np.empty(f - e)
    numbers = np.empty(f - e)
    for i in range(values.shape[0]):
        row = min(i, excluded.shape[0] - 1)
        found = 0
        for k in range(candidates.size):
            page = candidates[k]
            if excluded[row, page]:
                continue
            level = _sum(values, i, page, a, b)
            other = level
            if c < a or d > b:
                other = _sum(values, i, page, c, d)
            if not (np.isfinite(level) and np.isfinite(other)):
                continue
            score[found] = level
            pages[found] = page
            found += 1
            if found == last:
                break
        counts[i] = found
        spreads[i] = np.nan
        for k in range(last):
            taken[i, k] = -1
        if found < fewest:
            for t in range(f - e):
                means[i, t] = np.nan
            continue
        for t in range(f - e):
            sums[t] = 0.0
            numbers[t] = 0.0
        count = 0
        for k in range(found):
            above = 0
            if found > kept:
                for m in range(found):
                    if score[m] > score[k] or (score[m] == score[k] and m < k):
                        above += 1
            if above >= kept:
                continue
            taken[i, count] = pages[k]
            count += 1
            _add(values, i, pages[k], e, sums, numbers)
        for t in range(f - e):
            means[i, t] = sums[t] / numbers[t] if numbers[t] > 0.0 else np.nan
        if found > 1:
            middle = 0.0
            for k in range(found):
                middle += score[k] / found
            squares = 0.0
            for k in range(found):
                squares += (score[k] - middle) ** 2
            spreads[i] = np.sqrt(squares / (found - 1) * (1.0 + 1.0 / count)) / (b - a)


@njit(nogil=True, cache=True, error_model="numpy")
def weighted_sums(values, weights, first, sums):
    """Fills in sums over all pages, each column with weights of its own.

    Args:
        values: (n, P, S).
        weights: (P, T); a page whose weights are all 0 is not read.
        first: the column of values that belongs to the first of the weights.
        sums: (n, T), filled in; NaN where a value with a weight is.
    """
    pages, columns = weights.shape
    read = np.zeros(pages, np.bool_)
    for p in range(pages):
        for t in range(columns):
            if weights[p, t] != 0.0:
                read[p] = True
    total = np.empty(columns)
    start, width = np.uintp(first), np.uintp(columns)
    for i in range(values.shape[0]):
        for t in range(columns):
            total[t] = 0.0
        for p in range(pages):
            if read[p]:
                for t in range(width):
                    total[t] += weights[p, t] * values[i, p, start + t]
        for t in range(columns):
            sums[i, t] = total[t]
