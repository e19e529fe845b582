"""Eight numbers side by side, for kernels that solve eight problems of one shape at once.

Numba makes vector instructions of simple loops only. Where the steps of a recurrence wait for each
other, or branch as the numbers have it, eight problems side by side keep the whole width of the
processor busy: each value below is eight float64 in a register, one of each problem, and each array
holds them as (rows, LANES). Where the processor's registers are narrower, LLVM takes several.
"""

import operator

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import models, overload, register_model

from loadloom.solvers.kernels.native import native

LANES = 8
"""How many problems stand side by side."""

_NUMBERS = ir.VectorType(ir.DoubleType(), LANES)
_FLAGS = ir.VectorType(ir.IntType(1), LANES)
_LINE_BYTES = 64


class Numbers(types.Type):
    """The type of eight float64."""

    def __init__(self) -> None:
        super().__init__(name="Numbers")


class Flags(types.Type):
    """The type of eight truth values."""

    def __init__(self) -> None:
        super().__init__(name="Flags")


numbers, flags = Numbers(), Flags()


@register_model(Numbers)
class _NumbersModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _NUMBERS)


@register_model(Flags)
class _FlagsModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _FLAGS)


def _pointer(context, builder, signature, arguments, stride):
    """The address of the numbers that begin at an index of a contiguous array, times `stride`."""
    array_type, index_type = signature.args[:2]
    begin = context.make_array(array_type)(context, builder, arguments[0]).data
    at = context.cast(builder, arguments[1], index_type, types.intp)
    at = builder.mul(at, ir.Constant(at.type, stride))
    return builder.bitcast(builder.gep(begin, [at]), _NUMBERS.as_pointer())


def _reader(name, stride):
    @native
    def read(_, array, index):
        def emit(context, builder, signature, arguments):
            place = _pointer(context, builder, signature, arguments, stride)
            return builder.load(place, align=8)

        return numbers(array, index), emit

    read.__name__ = name
    return read


def _writer(name, stride):
    @native
    def write(_, array, index, value):
        def emit(context, builder, signature, arguments):
            place = _pointer(context, builder, signature, arguments, stride)
            builder.store(arguments[2], place, align=8)
            return context.get_dummy_value()

        return types.void(array, index, value), emit

    write.__name__ = name
    return write


# A row of a contiguous array (rows, LANES), read or written.
load, store = _reader("load", LANES), _writer("store", LANES)
# What stands in a contiguous array from an element on, counted row after row.
_load_run, _store_run = _reader("_load_run", 1), _writer("_store_run", 1)


@native
def alike(_, value):
    """The same number in every lane."""

    def emit(context, builder, signature, arguments):
        number = context.cast(builder, arguments[0], signature.args[0], types.float64)
        one = builder.insert_element(
            ir.Constant(_NUMBERS, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
        )
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, ir.Constant(_NUMBERS, ir.Undefined), mask)

    return numbers(value), emit


@native
def where(_, condition, yes, no):
    """The numbers of `yes` in the lanes where the condition holds, of `no` elsewhere."""

    def emit(_context, builder, _signature, arguments):
        return builder.select(*arguments)

    return numbers(condition, yes, no), emit


@native
def some(_, condition):
    """Whether a condition holds in any lane."""

    def emit(_context, builder, _signature, arguments):
        bits = builder.bitcast(arguments[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(condition), emit


def _binary(name, result, emit_one):
    """An operation on two values of eight."""

    @native
    def operation(_, left, right):
        def emit(_context, builder, _signature, arguments):
            return emit_one(builder, *arguments)

        return result(left, right), emit

    operation.__name__ = name
    return operation


def _lesser(builder, left, right):
    return builder.select(builder.fcmp_ordered("<", left, right), left, right)


def _greater(builder, left, right):
    return builder.select(builder.fcmp_ordered(">", left, right), left, right)


least = _binary("least", numbers, _lesser)
most = _binary("most", numbers, _greater)
both = _binary("both", flags, lambda builder, left, right: builder.and_(left, right))


def _operator(symbol, result, emit_one):
    """Lets an operator of Python take eight numbers, or eight and one that holds for all."""
    operation = _binary(symbol.__name__, result, emit_one)

    @overload(symbol, inline="never")
    def operate(left, right):
        if left is numbers and right is numbers:
            return lambda left, right: operation(left, right)
        if left is numbers and isinstance(right, types.Number):
            return lambda left, right: operation(left, alike(right))
        if right is numbers and isinstance(left, types.Number):
            return lambda left, right: operation(alike(left), right)
        return None

    return operate


_CONTRACT = ("contract", "nsz")
_operator(operator.add, numbers, lambda b, left, right: b.fadd(left, right, flags=_CONTRACT))
_operator(operator.sub, numbers, lambda b, left, right: b.fsub(left, right, flags=_CONTRACT))
_operator(operator.mul, numbers, lambda b, left, right: b.fmul(left, right, flags=_CONTRACT))
_operator(operator.truediv, numbers, lambda b, left, right: b.fdiv(left, right))
_operator(operator.lt, flags, lambda b, left, right: b.fcmp_ordered("<", left, right))
_operator(operator.le, flags, lambda b, left, right: b.fcmp_ordered("<=", left, right))
_operator(operator.gt, flags, lambda b, left, right: b.fcmp_ordered(">", left, right))
_operator(operator.ge, flags, lambda b, left, right: b.fcmp_ordered(">=", left, right))


def _picked(name, lanes):
    """Takes lanes of two values of eight: below LANES from the first, then from the second."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes)
    return _binary(name, numbers, lambda builder, a, b: builder.shuffle_vector(a, b, mask))


_even = _picked("_even", [0, 8, 2, 10, 4, 12, 6, 14])
_odd = _picked("_odd", [1, 9, 3, 11, 5, 13, 7, 15])
_former = _picked("_former", [0, 1, 8, 9, 4, 5, 12, 13])
_latter = _picked("_latter", [2, 3, 10, 11, 6, 7, 14, 15])
_lower = _picked("_lower", [0, 1, 2, 3, 8, 9, 10, 11])
_upper = _picked("_upper", [4, 5, 6, 7, 12, 13, 14, 15])


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _turned(a, b, c, d, e, f, g, h):
    """The columns of a square of eight by eight, given its rows."""
    a, b, c, d = _even(a, b), _odd(a, b), _even(c, d), _odd(c, d)
    e, f, g, h = _even(e, f), _odd(e, f), _even(g, h), _odd(g, h)
    a, b, c, d = _former(a, c), _former(b, d), _latter(a, c), _latter(b, d)
    e, f, g, h = _former(e, g), _former(f, h), _latter(e, g), _latter(f, h)
    return (
        _lower(a, e), _lower(b, f), _lower(c, g), _lower(d, h),
        _upper(a, e), _upper(b, f), _upper(c, g), _upper(d, h),
    )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def interleave(by_problem, source, by_row):
    """Writes (n, LANES): in each lane the row of `by_problem` (problems, n) that `source` says."""
    count = by_row.shape[0]
    for block in range(count // LANES):
        t = LANES * block
        turned = _turned(
            _load_run(by_problem, source[0] * count + t),
            _load_run(by_problem, source[1] * count + t),
            _load_run(by_problem, source[2] * count + t),
            _load_run(by_problem, source[3] * count + t),
            _load_run(by_problem, source[4] * count + t),
            _load_run(by_problem, source[5] * count + t),
            _load_run(by_problem, source[6] * count + t),
            _load_run(by_problem, source[7] * count + t),
        )
        store(by_row, t, turned[0])
        store(by_row, t + 1, turned[1])
        store(by_row, t + 2, turned[2])
        store(by_row, t + 3, turned[3])
        store(by_row, t + 4, turned[4])
        store(by_row, t + 5, turned[5])
        store(by_row, t + 6, turned[6])
        store(by_row, t + 7, turned[7])
    for t in range(LANES * (count // LANES), count):
        for lane in range(LANES):
            by_row[t, lane] = by_problem[source[lane], t]


@njit(nogil=True, cache=True, error_model="numpy")
def separate(by_row, by_problem):
    """Writes (LANES, n): the lanes of `by_row` (n, LANES), one after the other."""
    count = by_row.shape[0]
    for block in range(count // LANES):
        t = LANES * block
        turned = _turned(
            load(by_row, t), load(by_row, t + 1), load(by_row, t + 2), load(by_row, t + 3),
            load(by_row, t + 4), load(by_row, t + 5), load(by_row, t + 6), load(by_row, t + 7),
        )  # fmt: skip
        _store_run(by_problem, t, turned[0])
        _store_run(by_problem, count + t, turned[1])
        _store_run(by_problem, 2 * count + t, turned[2])
        _store_run(by_problem, 3 * count + t, turned[3])
        _store_run(by_problem, 4 * count + t, turned[4])
        _store_run(by_problem, 5 * count + t, turned[5])
        _store_run(by_problem, 6 * count + t, turned[6])
        _store_run(by_problem, 7 * count + t, turned[7])
    for t in range(LANES * (count // LANES), count):
        for lane in range(LANES):
            by_problem[lane, t] = by_row[t, lane]


@njit(nogil=True, cache=True, error_model="numpy")
def rows(count):
    """Room for `count` rows of eight numbers, each in one line of the cache."""
    flat = np.empty(LANES * count + LANES)
    skip = (-flat.ctypes.data % _LINE_BYTES) // 8
    return flat[skip : skip + LANES * count].reshape((count, LANES))
