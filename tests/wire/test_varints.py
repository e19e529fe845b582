"""Integers in protobuf's bytes: protobuf itself says what they should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadloom.v1.common_pb2 import Matrix
from loadloom.v1.dispatch_pb2 import PlanBatch
from loadloom.wire import varints

INTEGERS = st.integers(-(2**31), 2**31 - 1)


def batch_with(run):
    """The bytes of a PlanBatch with a run of conflict intervals."""
    return b"\x5a" + varints.encode(len(run)) + run


@given(st.lists(INTEGERS, min_size=1, max_size=40))
def test_runs_of_integers_are_written_as_protobuf_writes_them(numbers):
    whole = PlanBatch(conflict_intervals=numbers).SerializeToString()
    assert batch_with(varints.encode_many(numbers)) == whole


@given(st.lists(st.sampled_from([-1, 0, 1, 95, 127, 128, 671]) | INTEGERS, max_size=40))
def test_runs_of_integers_come_back(numbers):
    back = varints.decode_many(varints.encode_many(numbers))
    assert back.dtype == np.int32
    assert back.tolist() == numbers


@pytest.mark.parametrize("number", [0, 1, 5, 127])
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_runs_of_one_byte_each_come_back(number, count):
    raw = varints.encode_many(np.full(count, number, np.int8))
    assert raw == bytes([number]) * count
    assert varints.decode_many(raw).tolist() == [number] * count


@given(st.integers(0, 2**31 - 1), st.integers(1, 10))
def test_filled_up_numbers_are_the_same_number_to_protobuf(number, width):
    raw = varints.encode(number, width)
    assert len(raw) == max(width, len(varints.encode(number)))
    assert varints.decode(b"?" + raw, 1, width=10) == (number, 1 + len(raw))
    assert Matrix.FromString(b"\x08" + raw).rows == number


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\xff" * 4 + b"\x08", b"\x80" * 5 + b"\x00"])
def test_numbers_cut_off_too_large_or_too_long_are_unusual(raw):
    with pytest.raises(varints.UnusualEncoding):
        varints.decode(raw, 0)


@pytest.mark.parametrize("raw", [b"\x01\x80", b"\x80" * 10 + b"\x00", b"\xff" * 9 + b"\x01\xff"])
def test_runs_cut_off_or_with_too_long_numbers_are_unusual(raw):
    with pytest.raises(varints.UnusualEncoding):
        varints.decode_many(raw)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(1, 10)), max_size=20))
def test_wide_and_filled_up_numbers_are_cut_as_protobuf_cuts_them(numbers):
    run = b"".join(varints.encode(number, width) for number, width in numbers)
    seen = PlanBatch.FromString(batch_with(run)).conflict_intervals
    assert varints.decode_many(run).tolist() == list(seen)
