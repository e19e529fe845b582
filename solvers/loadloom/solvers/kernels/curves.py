"""Passes over rows of a table: totals of columns that are exact, and figures of each row.

A total is an integer of two limbs: `coarse` counts units of 2^-20, `fine` units of 2^-46, and
`carry` moves from the second to the first what is over. Integers do not care for order: a total is
the same to the last bit in whatever pieces, threads or machines it was summed, and ten million rows
of float32 lose nothing. Each value is rounded to 2^-46, 1.4e-14.

Adding 96 to a value of at most 32 leaves its multiple of 2^-46 in the last bits of the sum, so that
a value costs one addition of floats and one of integers, both of which hide behind memory: for a
million rows of 96 columns 17 ms, where reading them takes 14 and two float64 a total took 33.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

COARSE_BITS, FINE_BITS = 20, 46
SHIFT = FINE_BITS - COARSE_BITS
"""A unit of the coarse limb is 2^SHIFT of the fine one."""

SMALL = 32.0
"""Rows whose values are all from 0 to here are added by their last bits."""

_MASK = (1 << SHIFT) - 1
_ANCHOR = 1.5 * 2.0 ** (52 - FINE_BITS)
_ANCHOR_BITS = int(np.float64(_ANCHOR).view(np.int64))
_ROWS_BEFORE_CARRY = 2048
"""A value adds at most 2^51 units to a limb of 63 bits."""

BLOCK = 64
"""Rows of a block are gone over several times while they are in the cache."""

_ANY_ORDER = {"contract", "nsz", "reassoc"}


@intrinsic
def _bits(_context, _value):
    """The bits of a float64 as an integer."""

    def cast(_context, builder, _signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), cast


@njit(nogil=True, cache=True, error_model="numpy")
def add_rows(
    values, keys, small_key, group, weight, coarse, fine, sums, largest, smallest, watch, watched
):
    """Adds rows to the totals of their groups, and fills in the figures of each row.

    Args:
        values: (n, T) float32 or float64.
        keys: the same memory as unsigned integers of the same width. Those of numbers that are not
            negative are in their order, and those of negative ones and NaN are beyond; the largest
            of integers is found by vectors, that of floats is not.
        small_key: the key of SMALL.
        group: (n,) which totals the row belongs to.
        weight: (K, T).
        coarse: (G, T) integers, added to.
        fine: (G, T) integers, added to; carried when the function returns.
        sums: (K, n), filled in with the rows' sums by each weight.
        largest: (n,) filled in with the key of the row's largest value.
        smallest: (n,) likewise of its smallest value, or of 0 where none is negative. NaN and
            infinity show in one of the two.
        watch: (m,) columns.
        watched: (n, m), filled in with the values in those columns.
    """
    since = 0
    for first in range(0, values.shape[0], BLOCK):
        last = min(first + BLOCK, values.shape[0])
        _extremes(values, keys, small_key, first, last, largest, smallest)
        _sums(values, first, last, weight, sums)
        for i in range(first, last):
            for m in range(watch.size):
                watched[i, m] = values[i, watch[m]]
        _add_block(values, first, last, group, largest, smallest, small_key, coarse, fine)
        since += BLOCK
        if since >= _ROWS_BEFORE_CARRY:
            carry(coarse, fine)
            since = 0
    carry(coarse, fine)


@njit(nogil=True, cache=True, error_model="numpy")
def add_totals(values, group, coarse, fine):
    """Adds rows (n, T) of any size to the totals of their groups, and nothing else."""
    for i in range(values.shape[0]):
        _add_one(values, i, group[i], coarse, fine)
        if i % _ROWS_BEFORE_CARRY == _ROWS_BEFORE_CARRY - 1:
            carry(coarse, fine)
    carry(coarse, fine)


@njit(nogil=True, cache=True, error_model="numpy")
def carry(coarse, fine):
    """Moves what is over from the fine limbs to the coarse: one pair for each total."""
    for g in range(coarse.shape[0]):
        for t in range(coarse.shape[1]):
            coarse[g, t] += fine[g, t] >> SHIFT
            fine[g, t] &= _MASK


@njit(nogil=True, cache=True, error_model="numpy")
def _add_block(values, first, last, group, largest, smallest, small_key, coarse, fine):
    """Adds rows to the totals, eight at once where they are small and of one group."""
    i = first
    while i < last:
        g, end = group[i], min(i + 8, last)
        quick = True
        for j in range(i, end):
            quick &= smallest[j] == 0 and largest[j] <= small_key and group[j] == g
        if quick and end - i == 8:
            _add_eight(values, i, g, fine)
        else:
            for j in range(i, end):
                if smallest[j] == 0 and largest[j] <= small_key:
                    _add_small(values, j, group[j], fine)
                else:
                    _add_one(values, j, group[j], coarse, fine)
        i = end


@njit(nogil=True, cache=True, error_model="numpy")
def _add_eight(values, i, g, fine):
    """Eight rows at once: an eighth of the traffic with the totals."""
    for t in range(values.shape[1]):
        fine[g, t] += (
            (_last_bits(values[i, t]) + _last_bits(values[i + 1, t]))
            + (_last_bits(values[i + 2, t]) + _last_bits(values[i + 3, t]))
            + (_last_bits(values[i + 4, t]) + _last_bits(values[i + 5, t]))
            + (_last_bits(values[i + 6, t]) + _last_bits(values[i + 7, t]))
            - 8 * _ANCHOR_BITS
        )


@njit(nogil=True, cache=True, error_model="numpy")
def _add_small(values, i, g, fine):
    for t in range(values.shape[1]):
        fine[g, t] += _last_bits(values[i, t]) - _ANCHOR_BITS


@njit(nogil=True, cache=True, error_model="numpy")
def _last_bits(value):
    """The multiple of 2^-46 nearest to a value from 0 to 32, and the bits of the anchor."""
    return _bits(np.float64(value) + _ANCHOR)  # pyright: ignore[reportCallIssue]


@njit(nogil=True, cache=True, error_model="numpy")
def _add_one(values, i, g, coarse, fine):
    """A row of any size and sign."""
    for t in range(values.shape[1]):
        value = np.float64(values[i, t])
        units = np.floor(value * 2.0**COARSE_BITS)
        coarse[g, t] += np.int64(units)
        rest = value - units * 2.0**-COARSE_BITS
        fine[g, t] += np.int64(np.rint(rest * 2.0**FINE_BITS))


@njit(nogil=True, cache=True, error_model="numpy")
def _extremes(values, keys, small_key, first, last, largest, smallest):
    for i in range(first, last):
        high = keys[i, 0]
        for t in range(keys.shape[1]):
            key = keys[i, t]
            high = key if key > high else high
        largest[i] = high
        smallest[i] = 0
        if high > small_key:
            _signed_extremes(values, keys, i, largest, smallest)


@njit(nogil=True, cache=True, error_model="numpy")
def _signed_extremes(values, keys, i, largest, smallest):
    """The extremes of a row with values that are large, negative or NaN."""
    high = low = 0
    for t in range(values.shape[1]):
        if np.isnan(values[i, t]):
            largest[i] = smallest[i] = keys[i, t]
            return
        high = t if values[i, t] > values[i, high] else high
        low = t if values[i, t] < values[i, low] else low
    largest[i] = keys[i, high]
    smallest[i] = keys[i, low] if values[i, low] < 0.0 else 0


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_ANY_ORDER)
def _sums(values, first, last, weight, sums):
    """Fills in the sums of rows by each weight: by three weights two rows at once."""
    k = 0
    while k + 3 <= weight.shape[0]:
        for i in range(first, last, 2):
            j = min(i + 1, last - 1)  # an odd row is its own pair: no sum depends on its place
            a0 = a1 = a2 = b0 = b1 = b2 = 0.0
            for t in range(values.shape[1]):
                a, b = np.float64(values[i, t]), np.float64(values[j, t])
                w0, w1, w2 = weight[k, t], weight[k + 1, t], weight[k + 2, t]
                a0, a1, a2 = a0 + a * w0, a1 + a * w1, a2 + a * w2
                b0, b1, b2 = b0 + b * w0, b1 + b * w1, b2 + b * w2
            sums[k, i], sums[k + 1, i], sums[k + 2, i] = a0, a1, a2
            sums[k, j], sums[k + 1, j], sums[k + 2, j] = b0, b1, b2
        k += 3
    while k < weight.shape[0]:
        for i in range(first, last):
            _sum(values, i, weight, k, sums)
        k += 1


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_ANY_ORDER)
def _sum(values, i, weight, k, sums):
    total = 0.0
    for t in range(values.shape[1]):
        total += np.float64(values[i, t]) * weight[k, t]
    sums[k, i] = total


@njit(nogil=True, cache=True, error_model="numpy")
def figures_at_peak(
    values,
    order,
    total,
    ties,
    tie_weight,
    smallest,
    rest,
    hours,
    everything,
    sums,
    largest,
    figures,
):
    """Fills in what rows have to do with the largest total; returns for how many it is not known.

    Args:
        values: (n, m) the rows' values in some columns, or in all.
        order: (m,) those columns, the ones with the largest totals first.
        total: (m,) their totals in that order.
        ties: (k,) the columns whose totals count as largest.
        tie_weight: (k,) their weights, which add up to 1.
        smallest: (n,) at most the smallest value of each row, and at most 0: it bounds what a
            column that was not looked at can come to.
        rest: the largest total of all columns that are not in `values`.
        hours: the sum of all weights.
        everything: the weighted sum of all rows.
        sums: (K, n) the rows' weighted sums.
        largest: (n,) the rows' largest values.
        figures: (5, n), filled in with the sum over K; that over `hours` times the row's largest;
            the weighted mean over the ties; the largest total without the row; and what is left of
            `everything` over `hours` times it. Ratios to 0 or less are 0. The largest total without
            a row is NaN where `rest` may be larger.
    """
    unknown, lead = 0, order[0]
    second = max(total[1], rest) if order.size > 1 else rest
    for first in range(0, values.shape[0], BLOCK):
        last = min(first + BLOCK, values.shape[0])
        doubtful = 0
        for i in range(first, last):
            figures[2, i] = values[i, lead]
        for i in range(first, last):
            figures[3, i] = total[0] - figures[2, i]
            doubtful += second - np.float64(smallest[i]) > figures[3, i]
        if doubtful > 0:
            for i in range(first, last):
                if second - np.float64(smallest[i]) > figures[3, i]:
                    figures[3, i] = _largest_without(values, i, order, total, smallest[i], rest)
                    unknown += np.isnan(figures[3, i])
        if ties.size > 1:
            for i in range(first, last):
                tied = 0.0
                for k in range(ties.size):
                    tied += np.float64(values[i, ties[k]]) * tie_weight[k]
                figures[2, i] = tied
        for i in range(first, last):
            figures[0, i] = sums[0, i]
        for k in range(1, sums.shape[0]):
            for i in range(first, last):
                figures[0, i] += sums[k, i]
        for i in range(first, last):
            full, others = hours * np.float64(largest[i]), hours * figures[3, i]
            figures[1, i] = figures[0, i] / full if full > 0.0 else 0.0
            figures[4, i] = (everything - figures[0, i]) / others if others > 0.0 else 0.0
    return unknown


@njit(nogil=True, cache=True, error_model="numpy")
def _largest_without(values, i, order, total, smallest, rest):
    floor, best = np.float64(smallest), -np.inf
    for k in range(order.size):
        if total[k] - floor <= best:  # nor can any column after it: they are in order
            break
        best = max(best, total[k] - np.float64(values[i, order[k]]))
    return best if rest - floor <= best else np.nan


@njit(nogil=True, cache=True, error_model="numpy")
def transpose(columns, rows):
    """Fills in `rows` (n, T) from `columns` (T, n), a square of cache lines at a time."""
    slots, n = columns.shape
    for first in range(0, n, 16):
        last = min(first + 16, n)
        for begin in range(0, slots, 16):
            end = min(begin + 16, slots)
            for t in range(begin, end):
                for i in range(first, last):
                    rows[i, t] = columns[t, i]


BIN_SHIFT = 16
"""Float32 without their last 16 bits are bins that are 2^-7 wide, relative to their lower end."""

LOWEST_BIN = int(np.float32(2.0**-11).view(np.int32)) >> BIN_SHIFT
BIN_COUNT = int(np.float32(2.0**31).view(np.int32) >> BIN_SHIFT) - LOWEST_BIN + 1
"""Bins for values from 2^-11 to 2^31; the first one holds all that is smaller, or negative."""


@njit(nogil=True, cache=True, error_model="numpy")
def count_bins(keys, counts):
    """Counts values, given as their float32 keys (n, T), by column and bin in `counts` (T, bins).

    A block of rows stays in the cache while its columns are gone through one after the other, and
    the bins of a column with it.
    """
    rows = max(1, 262_144 // keys.shape[1])
    for first in range(0, keys.shape[0], rows):
        last = min(first + rows, keys.shape[0])
        for t in range(keys.shape[1]):
            for i in range(first, last):
                place = (keys[i, t] >> BIN_SHIFT) - LOWEST_BIN
                counts[t, min(max(place, 0), BIN_COUNT - 1)] += 1
