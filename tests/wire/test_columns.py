"""Batches of sites and of plans: there and back, and as protobuf sees them."""

import gc

import numpy as np
import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from loadloom.v1 import dispatch_pb2 as dispatch
from loadloom.v1.common_pb2 import Provenance
from loadloom.wire import columns

MATRICES = arrays_of.arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(1, 20)), elements=st.floats(width=64)
)
SERIES = arrays_of.arrays(np.float64, st.integers(0, 20), elements=st.floats(width=64))
KEYS = st.text(max_size=20)
INTEGERS = st.lists(st.integers(-1, 700), max_size=20)


def some(names, values):
    return st.dictionaries(st.sampled_from(names), values, max_size=6)


def as_message(kind, series, matrices):
    """A batch built by protobuf from single values."""
    message = kind()
    for name, values in series.items():
        getattr(message, name).SetInParent()
        getattr(message, name).values.extend(values)
    for name, values in matrices.items():
        matrix = getattr(message, name)
        matrix.rows, matrix.cols = values.shape
        matrix.values.values.extend(values.ravel())
    return message


def canonical(message):
    return message.SerializeToString(deterministic=True)


def identical(left, right):
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].shape == right[name].shape
        assert left[name].tobytes() == right[name].tobytes()


def no_plans(**changes):
    plans = {"reasons": [], "conflict_intervals": [], "series": {}, "matrices": {}}
    return columns.encode_plans("k", **plans | {"solve_time_s": 0.0} | changes)


@given(KEYS, st.integers(0, 2**32 - 1), some(columns.SITE_MATRICES, MATRICES))
def test_sites_come_back_and_are_the_same_to_protobuf(key, site_count, matrices):
    raw = columns.encode_sites(key, site_count, matrices)
    sites = columns.decode_request(raw)
    assert (sites.key, sites.site_count) == (key, site_count)
    identical(sites.matrices, matrices)
    batch = as_message(dispatch.SiteBatch, {}, matrices)
    batch.key, batch.site_count = key, site_count
    seen = dispatch.StreamPlanDispatchRequest.FromString(raw)
    assert canonical(seen.sites) == canonical(batch)


@given(
    KEYS,
    INTEGERS,
    INTEGERS,
    some(columns.PLAN_SERIES, SERIES),
    some(columns.PLAN_MATRICES, MATRICES),
    st.integers(0, 10**13),
)
def test_plans_come_back_and_are_the_same_to_protobuf(
    key, reasons, conflict_intervals, series, matrices, nanoseconds
):
    raw = columns.encode_plans(
        key,
        reasons=reasons,
        conflict_intervals=conflict_intervals,
        series=series,
        matrices=matrices,
        solve_time_s=nanoseconds / 1e9,
    )
    plans = columns.decode_response(raw)
    assert plans.key == key
    assert plans.error is None
    assert plans.reasons.tolist() == reasons
    assert plans.conflict_intervals.tolist() == conflict_intervals
    assert plans.solve_time_s == pytest.approx(nanoseconds / 1e9, abs=1e-9)
    identical(plans.series, series)
    identical(plans.matrices, matrices)
    batch = as_message(dispatch.PlanBatch, series, matrices)
    batch.key = key
    batch.reasons.extend(reasons)
    batch.conflict_intervals.extend(conflict_intervals)
    batch.solve_time.FromNanoseconds(nanoseconds)
    seen = dispatch.StreamPlanDispatchResponse.FromString(raw)
    assert canonical(seen.plans) == canonical(batch)


def test_a_provenance_comes_back_among_columns_that_are_read_in_place():
    origin = Provenance(request_digest="ab" * 32, road="convex kernel 3", seed=7)
    matrices = {"charge_kw": np.arange(6.0).reshape(2, 3)}
    raw = no_plans(matrices=matrices, provenance=origin)
    plans = columns.decode_response(raw)
    assert plans.provenance == origin
    assert not plans.matrices["charge_kw"].flags.owndata  # protobuf would have made new ones
    assert dispatch.StreamPlanDispatchResponse.FromString(raw).plans.provenance == origin
    assert columns.decode_response(no_plans()).provenance is None


def test_a_provenance_that_comes_twice_is_merged_as_protobuf_does():
    first = dispatch.PlanBatch(key="k", provenance=Provenance(road="a", seed=1))
    second = dispatch.PlanBatch(provenance=Provenance(road="b"))
    body = first.SerializeToString() + second.SerializeToString()
    whole = dispatch.PlanBatch.FromString(body)
    raw = dispatch.StreamPlanDispatchResponse(plans=whole).SerializeToString()
    tag = raw[:1]
    plans = columns.decode_response(tag + bytes([len(body)]) + body)
    assert plans.provenance == Provenance(road="b", seed=1)


def test_the_names_are_those_of_the_messages():
    assert columns.SITE_MATRICES[0] == "load_kw"
    assert columns.SITE_MATRICES[-1] == "end_energy_max_kwh"
    assert columns.PLAN_SERIES[0] == "objective"
    assert columns.PLAN_MATRICES[-1] == "stored_value_per_kwh"
    assert len(columns.SITE_MATRICES) == len(dispatch.SiteBatch.DESCRIPTOR.fields) - 2


def test_setup_ready_and_error_come_back():
    setup = dispatch.StreamSetup(currency_code="EUR", columns=[1, 3])
    assert columns.decode_request(columns.encode_setup(setup)) == setup
    raw = columns.encode_ready(sites_per_batch=1000, points=2**40, batches_under_way=4)
    ready = dispatch.StreamReady(sites_per_batch=1000, points=2**40, batches_under_way=4)
    assert columns.decode_response(raw) == ready
    error = Status(code=3, message="load_kw has 3 rows")
    plans = columns.decode_response(columns.encode_error("b", error))
    assert (plans.key, plans.error) == ("b", error)
    assert plans.series == plans.matrices == {}
    assert plans.reasons.size == plans.conflict_intervals.size == 0


@pytest.mark.parametrize("key", ["", "a", "longer", "straße" * 30])
@pytest.mark.parametrize("rows", [1, 3, 200])
def test_arrays_stand_aligned_in_the_messages_we_write(key, rows):
    matrices = {name: np.ones((rows, 7)) for name in columns.SITE_MATRICES[:8]}
    raw = columns.encode_sites(key, rows, matrices)
    for values in columns.decode_request(raw).matrices.values():
        assert np.shares_memory(values, np.frombuffer(raw, np.uint8))
        assert values.flags.aligned
        assert values.flags.c_contiguous


@pytest.mark.parametrize("key", ["k" * length for length in range(8)])
def test_every_array_is_aligned_contiguous_and_cannot_be_written(key):
    matrices = {"load_kw": np.ones((2, 3)), "pv_kw": np.ones((1, 1))}
    batch = as_message(dispatch.SiteBatch, {}, matrices)
    batch.key = key
    raw = dispatch.StreamPlanDispatchRequest(sites=batch).SerializeToString()
    unusual = raw + b"\x12\x00"  # merged by protobuf
    for values in (
        *columns.decode_request(raw).matrices.values(),
        *columns.decode_request(unusual).matrices.values(),
    ):
        assert values.flags.aligned
        assert values.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            values[0, 0] = 5.0


def test_arrays_outlive_the_message_they_were_read_from():
    load_kw = np.random.default_rng(0).random((1000, 96))
    sites = columns.decode_request(columns.encode_sites("k", 1000, {"load_kw": load_kw}))
    gc.collect()
    _others = [bytes(load_kw.nbytes) for _ in range(20)]
    assert np.array_equal(sites.matrices["load_kw"], load_kw)


def test_more_rows_than_can_be_aligned_are_still_read():
    load_kw = np.arange(2.0**21)[:, np.newaxis]
    for key in ("", "k", "kk"):
        raw = columns.encode_sites(key, 2**21, {"load_kw": load_kw})
        assert np.array_equal(columns.decode_request(raw).matrices["load_kw"], load_kw)


@pytest.mark.parametrize(
    "values",
    [3, 3.0, np.float32(3), [[3]], np.full((4, 6), 3)[::2, ::2], np.full((2, 2), 3.0).T],
    ids=["integer", "number", "single", "list", "strided", "transposed"],
)
def test_whatever_makes_a_matrix_is_sent_as_one(values):
    raw = columns.encode_sites("k", 1, {"load_kw": values})
    assert (columns.decode_request(raw).matrices["load_kw"] == 3).all()


def test_rows_and_columns_keep_their_places():
    values = np.arange(6.0).reshape(2, 3)
    raw = columns.encode_sites("k", 3, {"load_kw": values.T})
    assert columns.decode_request(raw).matrices["load_kw"].tolist() == values.T.tolist()


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3)])
def test_other_numbers_of_dimensions_are_refused(shape):
    with pytest.raises(ValueError, match=f"load_kw has {len(shape)} dimensions"):
        columns.encode_sites("k", 1, {"load_kw": np.ones(shape)})


def test_names_that_are_no_columns_are_refused():
    with pytest.raises(ValueError, match="'key' is not a column; must be one of load_kw, pv_kw"):
        columns.encode_sites("k", 1, {"key": 1.0})
    with pytest.raises(ValueError, match="'charge_kw' is not a column; must be one of objective"):
        no_plans(series={"charge_kw": [1.0]})
    with pytest.raises(ValueError, match="'bound' is not a column; must be one of charge_kw"):
        no_plans(matrices={"bound": 1.0})


def test_every_matrix_that_its_values_do_not_fill_is_named():
    sites = {
        "key": "north",
        "load_kw": {"rows": 2, "cols": 3, "values": {"values": [1.0] * 5}},
        "pv_kw": {"rows": 1, "cols": 1, "values": {"values": [1.0]}},
        "energy_max_kwh": {},
        "charge_limit_kw": {"rows": 0, "cols": 4, "values": {"values": []}},
        "discharge_limit_kw": {"cols": 1, "values": {"values": [1.0]}},
    }
    raw = dispatch.StreamPlanDispatchRequest(sites=sites).SerializeToString()
    with pytest.raises(columns.BadMatrix) as caught:
        columns.decode_request(raw)
    assert caught.value.key == "north"
    names = ["load_kw", "energy_max_kwh", "charge_limit_kw", "discharge_limit_kw"]
    assert [name for name, _ in caught.value.violations] == names
    assert str(caught.value).startswith(
        "load_kw has 5 values for 2 rows of 3; must have one for each, and at least one; energy_max"
    )


@pytest.mark.parametrize("raw", [b"", b"\x12", b"\xff" * 40, b"\x12\x05\x0a\x03\xff\xfe\xfd"])
def test_bytes_that_are_no_message_are_malformed(raw):
    for decode in (columns.decode_request, columns.decode_response):
        with pytest.raises(columns.MalformedMessage):
            decode(raw)


def test_empty_batches_are_batches():
    assert columns.decode_request(b"\x12\x00").matrices == {}
    assert columns.decode_response(b"\x12\x00").series == {}


def test_batches_sent_in_parts_are_merged():
    one = {"load_kw": {"rows": 2, "values": {"values": [1.0]}}, "key": "first"}
    two = {"load_kw": {"cols": 1, "values": {"values": [2.0]}}, "key": "last"}
    raw = b"".join(
        dispatch.StreamPlanDispatchRequest(sites=part).SerializeToString() for part in (one, two)
    )
    sites = columns.decode_request(raw)
    assert sites.key == "last"
    assert sites.matrices["load_kw"].tolist() == [[1.0], [2.0]]
