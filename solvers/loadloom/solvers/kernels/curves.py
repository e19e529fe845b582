"""Passes over rows of a table: totals of columns that are exact, and figures of each row.

A total is an integer of two limbs: `coarse` counts units of 2^-20, `fine` units of 2^-46, and
`carry` moves from the second to the first what is over. Integers do not care for order: a total is
the same to the last bit in whatever pieces, threads or machines it was summed, and ten million rows
of float32 lose nothing. Each value is rounded to 2^-46, 1.4e-14.

Adding 96 to a value of at most 32 leaves its multiple of 2^-46 in the last bits of the sum, so that
a value costs one addition of floats and one of integers, which hide behind memory: a million rows
of 96 columns take 23 ms with all their figures, where one core reads them in 13.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from loadloom.solvers.kernels.native import native

COARSE_BITS, FINE_BITS = 20, 46
SHIFT = FINE_BITS - COARSE_BITS
"""A unit of the coarse limb is 2^SHIFT of the fine one."""

SMALL = 32.0
"""Rows whose values are all from 0 to here are added by their last bits."""

_MASK = (1 << SHIFT) - 1
_COARSE_ANCHOR, _FINE_ANCHOR = 1.5 * 2.0 ** (52 - COARSE_BITS), 1.5 * 2.0 ** (52 - FINE_BITS)
_COARSE_BITS = int(np.float64(_COARSE_ANCHOR).view(np.int64))
_FINE_BITS = int(np.float64(_FINE_ANCHOR).view(np.int64))
_ROWS_BEFORE_CARRY = 2048
"""A value adds at most 2^51 units to a limb of 63 bits."""

_LINE_BYTES, _AHEAD_BYTES = 64, 6144
"""Rows are asked for so far ahead. The processor foresees the rows of long tables by itself, but
not those of 96 columns, four at a time: asking takes 23 ns a row, waiting 47."""

_ANY_ORDER = {"contract", "nsz", "reassoc"}


@native
def _key(_context, value):
    """The bits of a float as an unsigned integer of its width."""
    integer = types.uint32 if value == types.float32 else types.uint64

    def cast(_context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(signature.return_type.bitwidth))

    return integer(value), cast


@native
def _number(_context, key):
    """The float of such bits."""
    number = types.float32 if key == types.uint32 else types.float64

    def cast(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return number(key), cast


@native
def _rank(_context, value):
    """An unsigned integer as large among others as a float is; those of NaN lie beyond infinity."""
    integer = types.uint32 if value == types.float32 else types.uint64

    def turn(_context, builder, signature, arguments):
        kind = ir.IntType(signature.return_type.bitwidth)
        bits = builder.bitcast(arguments[0], kind)
        negative = builder.icmp_signed("<", bits, ir.Constant(kind, 0))
        top = ir.Constant(kind, 1 << (kind.width - 1))
        return builder.xor(bits, builder.select(negative, ir.Constant(kind, -1), top))

    return integer(value), turn


@native
def _ranked(_context, rank):
    """The float of such a rank."""
    number = types.float32 if rank == types.uint32 else types.float64

    def turn(context, builder, signature, arguments):
        kind = arguments[0].type
        positive = builder.icmp_signed("<", arguments[0], ir.Constant(kind, 0))
        top = ir.Constant(kind, 1 << (kind.width - 1))
        bits = builder.xor(arguments[0], builder.select(positive, top, ir.Constant(kind, -1)))
        return builder.bitcast(bits, context.get_value_type(signature.return_type))

    return number(rank), turn


@native
def _fetch(_context, values, index):
    """Asks for the line of the cache with an element of a contiguous array; beyond its end too."""

    def ask(context, builder, signature, arguments):
        begin = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        at = context.cast(builder, arguments[1], signature.args[1], types.intp)
        place = builder.gep(begin, [at])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), (place.type, number, number, number))
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        to_read, near, is_data = (ir.Constant(number, k) for k in (0, 3, 1))
        builder.call(fetch, (place, to_read, near, is_data))
        return context.get_dummy_value()

    return types.void(values, index), ask


@njit(nogil=True, cache=True, error_model="numpy")
def add_rows(values, group, weight, coarse, fine, table, begin, largest, smallest, watch, watched):
    """Adds rows to the totals of their groups, and fills in the figures of each row.

    Four rows at a time, which are read from memory once and then stay in the cache: side by side
    they hide each other's latencies, and share what they read of the weights and the totals.

    Args:
        values: (n, T) float32 or float64.
        group: (n,) which totals the row belongs to.
        weight: (K, T).
        coarse: (G, T) integers, added to.
        fine: (G, T) integers, added to; carried when the function returns.
        table: (K or more, n or more), a column a row: filled in with its sums by each weight.
        begin: the column of the first row.
        largest: (n,) filled in with the row's largest value.
        smallest: (n,) zeros, filled in with the row's smallest value where one is negative: memory
            that is not written to costs nothing. Infinity shows in one of the two, NaN in both.
        watch: (m,) columns.
        watched: (n, m or more), filled in with the values in those columns.
    """
    since, count = 0, values.shape[0]
    small = _key(largest.dtype.type(SMALL))
    slots, line = values.shape[1], _LINE_BYTES // values.itemsize
    ahead = slots * (_AHEAD_BYTES // (slots * values.itemsize)) if slots else 0
    for i in range(0, count, 4):
        if ahead >= 4 * slots:
            for place in range(slots * i + ahead, slots * (i + 4) + ahead, line):
                _fetch(values, place)
        # Where fewer than four are left, the last one is its own neighbour: no figure of a row
        # depends on its place.
        b, c, d = min(i + 1, count - 1), min(i + 2, count - 1), min(i + 3, count - 1)
        top = _largest(values, i, b, c, d, largest)
        _sums(values, i, b, c, d, weight, table, begin)
        end, g = min(i + 4, count), group[i]
        for j in range(i, end):
            for m in range(watch.size):
                watched[j, m] = values[j, watch[m]]
        alike = group[b] == g and group[c] == g and group[d] == g
        if top <= small and alike and end - i == 4:
            _add_four(values, i, g, fine)
        else:
            for j in range(i, end):
                if _key(largest[j]) <= small:
                    _add_small(values, j, group[j], fine)
                else:
                    largest[j], smallest[j] = _extremes(values, j)
                    _add_any(values, j, group[j], coarse, fine)
        since += 4
        if since >= _ROWS_BEFORE_CARRY:
            carry(coarse, fine)
            since = 0
    carry(coarse, fine)


@njit(nogil=True, cache=True, error_model="numpy")
def add_totals(values, group, coarse, fine):
    """Adds rows (n, T) of any size to the totals of their groups, and nothing else."""
    for i in range(values.shape[0]):
        _add_any(values, i, group[i], coarse, fine)
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


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _add_four(values, i, g, fine):
    """Four rows at once: a quarter of the traffic with the totals."""
    for t in range(values.shape[1]):
        fine[g, t] += (
            (_last_bits(values[i, t]) + _last_bits(values[i + 1, t]))
            + (_last_bits(values[i + 2, t]) + _last_bits(values[i + 3, t]))
            - 4 * _FINE_BITS
        )


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _add_small(values, i, g, fine):
    for t in range(values.shape[1]):
        fine[g, t] += _last_bits(values[i, t]) - _FINE_BITS


@njit(nogil=True, cache=True, error_model="numpy")
def _last_bits(value):
    """The multiple of 2^-46 nearest to a value from -32 to 32, and the bits of the anchor."""
    return np.int64(_key(np.float64(value) + _FINE_ANCHOR))


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _add_any(values, i, g, coarse, fine):
    """A row of values of either sign, up to 2^31: first the multiple of 2^-20, then the rest."""
    for t in range(values.shape[1]):
        anchored = np.float64(values[i, t]) + _COARSE_ANCHOR
        coarse[g, t] += np.int64(_key(anchored)) - _COARSE_BITS
        rest = np.float64(values[i, t]) - (anchored - _COARSE_ANCHOR)
        fine[g, t] += _last_bits(rest) - _FINE_BITS


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _largest(values, a, b, c, d, largest):
    """The largest key of four rows; fills in those of each row, which are beyond if one is < 0.

    As unsigned integers the bits of numbers from 0 are in their order, and those of negative ones
    and of NaN are beyond. The largest integer is found by vectors, the largest float is not.
    """
    p, q, r, s = _key(values[a, 0]), _key(values[b, 0]), _key(values[c, 0]), _key(values[d, 0])
    for t in range(values.shape[1]):
        w, x, y, z = _key(values[a, t]), _key(values[b, t]), _key(values[c, t]), _key(values[d, t])
        p = w if w > p else p
        q = x if x > q else q
        r = y if y > r else r
        s = z if z > s else s
    largest[a], largest[b], largest[c], largest[d] = _number(p), _number(q), _number(r), _number(s)
    return max(max(p, q), max(r, s))


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _extremes(values, i):
    """The largest value of a row, and the smallest of it and 0; one of them is NaN if there is."""
    low = _rank(values.dtype.type(0.0))
    high = _rank(values[i, 0])
    for t in range(values.shape[1]):
        rank = _rank(values[i, t])
        high = rank if rank > high else high
        low = rank if rank < low else low
    return _ranked(high), _ranked(low)


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True, fastmath=_ANY_ORDER)
def _sums(values, i, j, k, m, weight, table, begin):
    """Fills in the sums of four rows by each weight: by three weights at once."""
    w, p, q, r, s = 0, begin + i, begin + j, begin + k, begin + m
    while w + 3 <= weight.shape[0]:
        a0 = a1 = a2 = b0 = b1 = b2 = c0 = c1 = c2 = d0 = d1 = d2 = 0.0
        for t in range(values.shape[1]):
            a, b = np.float64(values[i, t]), np.float64(values[j, t])
            c, d = np.float64(values[k, t]), np.float64(values[m, t])
            w0, w1, w2 = weight[w, t], weight[w + 1, t], weight[w + 2, t]
            a0, a1, a2 = a0 + a * w0, a1 + a * w1, a2 + a * w2
            b0, b1, b2 = b0 + b * w0, b1 + b * w1, b2 + b * w2
            c0, c1, c2 = c0 + c * w0, c1 + c * w1, c2 + c * w2
            d0, d1, d2 = d0 + d * w0, d1 + d * w1, d2 + d * w2
        table[w, p], table[w + 1, p], table[w + 2, p] = a0, a1, a2
        table[w, q], table[w + 1, q], table[w + 2, q] = b0, b1, b2
        table[w, r], table[w + 1, r], table[w + 2, r] = c0, c1, c2
        table[w, s], table[w + 1, s], table[w + 2, s] = d0, d1, d2
        w += 3
    while w < weight.shape[0]:
        a0 = b0 = c0 = d0 = 0.0
        for t in range(values.shape[1]):
            a0 += np.float64(values[i, t]) * weight[w, t]
            b0 += np.float64(values[j, t]) * weight[w, t]
            c0 += np.float64(values[k, t]) * weight[w, t]
            d0 += np.float64(values[m, t]) * weight[w, t]
        table[w, p], table[w, q], table[w, r], table[w, s] = a0, b0, c0, d0
        w += 1


@njit(nogil=True, cache=True, error_model="numpy")
def figures_at_peak(values, order, total, ties, tie_weight, smallest, rest, figures):
    """Fills in what rows have to do with the largest total; returns for how many it is not known.

    Args:
        values: (n, m or more) the rows' values in m columns, or in all.
        order: (m,) those columns, the ones with the largest totals first.
        total: (m,) their totals in that order.
        ties: (k,) the columns whose totals count as largest.
        tie_weight: (k,) their weights, which add up to 1.
        smallest: (n,) at most the smallest value of each row, and at most 0: it bounds what a
            column that was not looked at can come to.
        rest: the largest total of all columns that are not in `values`.
        figures: (n, 2), filled in with the row's weighted mean over the ties, and the largest total
            without the row, which is NaN where `rest` may be larger. They may lie in the memory of
            `values`, from its beginning on and a row no longer than there: a row is read first.
    """
    unknown, lead = 0, order[0]
    second = max(total[1], rest) if order.size > 1 else rest
    for i in range(values.shape[0]):
        at_peak = np.float64(values[i, lead])
        without = total[0] - at_peak
        if second - np.float64(smallest[i]) > without:
            without = _largest_without(values, i, order, total, smallest[i], rest)
            unknown += np.isnan(without)
        if ties.size > 1:
            at_peak = 0.0
            for m in range(ties.size):
                at_peak += np.float64(values[i, ties[m]]) * tie_weight[m]
        figures[i, 0], figures[i, 1] = at_peak, without
    return unknown


@njit(nogil=True, cache=True, error_model="numpy")
def _largest_without(values, i, order, total, smallest, rest):
    floor, best = np.float64(smallest), -np.inf
    for k in range(order.size):
        if total[k] - floor <= best:  # nor can any column after it: they are in order
            break
        best = max(best, total[k] - np.float64(values[i, order[k]]))
    return best if rest - floor <= best else np.nan


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
