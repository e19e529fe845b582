"""Series to arrays and back."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from loadloom.v1.common_pb2 import FloatMatrix, Series
from loadloom.v1.dispatch_pb2 import DispatchPlan
from loadloom.wire.arrays import (
    from_floats,
    from_series,
    packed,
    to_floats,
    to_matrix,
    to_series,
)

VALUES = arrays_of.arrays(np.float64, st.integers(0, 300), elements=st.floats(width=64))


@given(VALUES)
def test_values_come_back_to_the_bit(values):
    assert from_series(to_series(values)).tobytes() == values.tobytes()


@given(VALUES)
def test_protobuf_sees_the_same_values(values):
    assert np.array(to_series(values).values).tobytes() == values.tobytes()
    assert to_series(values).SerializeToString() == packed(values)
    assert from_series(Series(values=values)).tobytes() == values.tobytes()


@pytest.mark.parametrize("count", [0, 1, 15, 16, 2047, 2048, 35_040])
def test_every_width_of_length_is_read(count):
    values = np.arange(count, dtype=float)
    assert from_series(Series(values=values)).tolist() == values.tolist()


@pytest.mark.parametrize(
    "unknown",
    [
        b"\x10\x05",
        b"\x11" + bytes(8),
        b"\x12\x10" + bytes(16),
        b"\x13\x08\x01\x14",
        b"\x15" + bytes(4),
        b"\x08\x07",
        b"\x0d" + bytes(4),
    ],
    ids=["number", "fixed64", "bytes", "group", "fixed32", "other-number", "other-fixed32"],
)
@pytest.mark.parametrize("values", [[], [1.5], [1.5, -2.0]], ids=len)
def test_fields_of_another_version_are_not_values(unknown, values):
    known = packed(values)
    for raw in (unknown + known, known + unknown):
        assert from_series(Series.FromString(raw)).tolist() == values


def test_split_and_unpacked_values_are_all_read():
    one, two, three = (struct.pack("<d", value) for value in (1.0, 2.0, 3.0))
    series = Series.FromString(b"\x09" + one + b"\x0a\x08" + two + b"\x0a\x00" + b"\x09" + three)
    assert from_series(series).tolist() == [1.0, 2.0, 3.0]


def test_arrays_are_owned_aligned_and_writable():
    series = Series(values=[1.0, 2.0])
    values = from_series(series)
    assert values.flags.owndata
    assert values.flags.aligned
    values[0] = 5.0
    assert list(series.values) == [1.0, 2.0]


@pytest.mark.parametrize(
    "values",
    [[1, 2, 3], (1.0,), np.arange(9)[::3], np.arange(3, dtype=">f8")],
    ids=["list", "tuple", "strided", "big-endian"],
)
def test_whatever_makes_an_array_makes_a_series(values):
    assert list(to_series(values).values) == [float(value) for value in values]


def test_a_field_is_filled_in_place():
    plan = DispatchPlan()
    plan.schedule.import_kw.MergeFromString(packed([1.0, 2.0]))
    assert list(plan.schedule.import_kw.values) == [1.0, 2.0]


TABLES = arrays_of.arrays(
    np.float32, st.tuples(st.integers(0, 20), st.integers(0, 20)), elements=st.floats(width=32)
)


@given(TABLES)
def test_floats_come_back_to_the_bit(table):
    matrix = to_floats(table)
    assert (matrix.rows, matrix.cols) == table.shape
    assert from_floats(matrix).tobytes() == table.tobytes()
    again = FloatMatrix.FromString(matrix.SerializeToString())
    assert np.array(again.values, dtype=np.float32).tobytes() == table.tobytes()


@pytest.mark.parametrize("rows", [0, 1, 300])
def test_floats_are_read_beside_unknown_fields(rows):
    known = FloatMatrix(rows=rows, cols=2, values=[1.5, -2.0])
    odd = FloatMatrix.FromString(known.SerializeToString() + b"\x28\x05\x35" + bytes(4))
    assert from_floats(odd).tolist() == [1.5, -2.0]


def test_a_table_becomes_a_matrix():
    matrix = to_matrix([[1, 2, 3], [4, 5, 6]])
    assert (matrix.rows, matrix.cols) == (2, 3)
    assert from_series(matrix.values).tolist() == [1, 2, 3, 4, 5, 6]
