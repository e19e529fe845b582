"""Streams of batches through a real server."""

import logging
import math
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import grpc
import numpy as np
import psutil
import pytest

from loadloom.engine.convert import batches
from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb
from loadloom.wire.columns import Plans, decode_response, encode_setup, encode_sites

METHOD = "/loadloom.v1.DispatchService/StreamPlanDispatch"


@pytest.fixture
def setup(request_one) -> pb.StreamSetup:
    meter = request_one.site.meter
    return pb.StreamSetup(
        grid=request_one.grid,
        buy_price_per_kwh=meter.buy_price_per_kwh,
        sell_price_per_kwh=meter.sell_price_per_kwh,
    )


@pytest.fixture
def home(request_one) -> dict[str, object]:
    """The home of `request_one` in columns."""
    site = request_one.site
    return {
        "load_kw": 1.0,
        "pv_kw": np.array([site.photovoltaics[0].power_kw.values]),
        "pv_curtailable": 1.0,
        "energy_max_kwh": 10.0,
        "initial_energy_kwh": 2.0,
        "charge_limit_kw": 5.0,
        "discharge_limit_kw": 5.0,
        "charge_efficiency": 0.95,
        "discharge_efficiency": 0.95,
    }


@pytest.fixture(scope="module")
def stream(channel):
    """Sends messages, and returns what comes back, read."""
    call = channel.stream_stream(METHOD)
    return lambda *messages: [decode_response(raw) for raw in call(iter(messages))]


def test_the_consent_tells_the_limits(stream, setup):
    (ready,) = stream(encode_setup(setup))
    assert (ready.sites_per_batch, ready.points, ready.batches_under_way) == (10_000, 2_000_000, 4)


def test_a_batch_gets_the_plan_that_a_single_call_gets(stream, stub, request_one, setup, home):
    _, plans = stream(encode_setup(setup), encode_sites("a", 3, home))
    single = stub.PlanDispatch(request_one).plan
    assert plans.key == "a"
    assert plans.error is None
    assert plans.reasons.tolist() == [common_pb2.TERMINATION_REASON_OPTIMAL] * 3
    assert plans.conflict_intervals.tolist() == [-1] * 3
    assert plans.solve_time_s > 0
    assert plans.series["objective"] == pytest.approx([single.certificate.objective] * 3)
    assert plans.series["baseline_cost"] == pytest.approx([single.baseline_cost] * 3)
    schedule = single.schedule.storages[0]
    assert plans.matrices["charge_kw"][1] == pytest.approx(list(schedule.charge_kw.values))
    assert plans.matrices["state_of_charge_kwh"].shape == (3, 24)


def test_only_the_columns_wanted_come_back(stream, setup, home):
    setup.columns.extend([pb.PLAN_COLUMN_IMPORT_KW, pb.PLAN_COLUMN_STORED_VALUE_PER_KWH])
    _, plans = stream(encode_setup(setup), encode_sites("a", 1, home))
    assert set(plans.matrices) == {"import_kw", "stored_value_per_kwh"}


def test_the_origin_comes_when_it_is_asked_for(stream, setup, home):
    rows = np.array([[-0.1], [0.2]])  # of the first row the cost is not convex
    batch = encode_sites("day", 2, {**home, "buy_price_per_kwh": rows, "sell_price_per_kwh": rows})
    _, without = stream(encode_setup(setup), batch)
    assert without.provenance is None
    setup.provenance = True
    _, plans = stream(encode_setup(setup), batch)
    origin = plans.provenance
    assert origin.request_digest == sha256(batch).hexdigest()
    assert origin.method == common_pb2.METHOD_KERNEL
    assert origin.road == "convex kernel 1, non-convex kernel 1"
    assert "loadloom" in {version.name for version in origin.versions}
    assert origin.solve_time.ToNanoseconds() > 0


def test_every_batch_is_answered_under_its_key(stream, setup, home):
    batches = [
        encode_sites(f"batch {i}", 1 + i % 3 * 700, {**home, "load_kw": float(i)})
        for i in range(30)
    ]
    _, *answers = stream(encode_setup(setup), *batches)
    assert {plans.key for plans in answers} == {f"batch {i}" for i in range(30)}
    for plans in answers:
        assert plans.reasons.size == 1 + int(plans.key[6:]) % 3 * 700
        assert plans.series["objective"].std() < 1e-12


def test_rows_that_span_threads_are_each_solved(stream, setup, home):
    loads = np.linspace(0.0, 4.0, 6_000)[:, np.newaxis]
    _, plans = stream(encode_setup(setup), encode_sites("wide", 6_000, {**home, "load_kw": loads}))
    assert (plans.reasons == common_pb2.TERMINATION_REASON_OPTIMAL).all()
    assert (np.diff(plans.series["objective"]) > 0).all()


def test_an_impossible_row_is_an_answer(stream, setup, home):
    caps = np.array([[100.0], [0.0]])
    batch = {**home, "import_limit_kw": caps, "pv_kw": 0.0, "initial_energy_kwh": 0.0}
    _, plans = stream(encode_setup(setup), encode_sites("a", 2, batch))
    assert plans.reasons.tolist() == [
        common_pb2.TERMINATION_REASON_OPTIMAL,
        common_pb2.TERMINATION_REASON_INFEASIBLE,
    ]
    assert plans.conflict_intervals[0] == -1
    assert plans.conflict_intervals[1] >= 0
    assert np.isnan(plans.matrices["charge_kw"][1]).all()
    assert np.isnan(plans.series["objective"][1])


def nan_load(home):
    loads = np.ones((5, 24))
    loads[3, 17] = math.nan
    return {**home, "load_kw": loads}


def test_an_unforeseen_fault_in_one_batch_does_not_end_the_stream(
    stream, setup, home, told, monkeypatch, caplog
):
    """The fault that must not exist is made: reading fails for one batch of three."""
    real = batches.parse_batch

    def failing(sites, setup):
        if sites.key == "cursed":
            raise ZeroDivisionError("who would have thought")
        return real(sites, setup)

    monkeypatch.setattr(batches, "parse_batch", failing)
    messages = [encode_sites(key, 5, home) for key in ("one", "cursed", "other")]
    with caplog.at_level(logging.ERROR, logger="loadloom"):
        _, *answers = stream(encode_setup(setup), *messages)
    errors = {plans.key: plans.error for plans in answers}
    assert errors["one"] is errors["other"] is None
    error = told(errors["cursed"])
    assert error.code is grpc.StatusCode.INTERNAL
    (record,) = [r for r in caplog.records if r.getMessage() == "fault"]
    assert record.facts == {"error_id": error.facts["error_id"]}


BAD = [
    (nan_load, {"load_kw[3,17]"}),
    (lambda home: {**home, "load_kw": np.ones((4, 24))}, {"load_kw"}),
    (lambda home: {**home, "load_kw": np.ones((5, 23))}, {"load_kw"}),
    (lambda home: {**home, "charge_efficiency": 1.5}, {"charge_efficiency[0,0]"}),
    (lambda home: {**home, "charge_efficiency": np.ones((1, 24))}, {"charge_efficiency"}),
    (lambda home: {**home, "pv_curtailable": 0.5}, {"pv_curtailable[0,0]"}),
    (
        lambda home: {"load_kw": home["load_kw"], "energy_max_kwh": -1.0},
        {"energy_max_kwh[0,0]", "charge_limit_kw", "discharge_limit_kw"},
    ),
]


@pytest.mark.parametrize(("change", "paths"), BAD)
def test_a_bad_batch_is_told_and_does_not_end_the_stream(stream, setup, home, told, change, paths):
    bad, good = encode_sites("bad", 5, change(home)), encode_sites("good", 5, home)
    _, *answers = stream(encode_setup(setup), good, bad, encode_sites("more", 1, home))
    by_key = {plans.key: plans for plans in answers}
    assert by_key["good"].error is by_key["more"].error is None
    error = told(by_key["bad"].error)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(error.paths) == paths


def test_a_matrix_that_is_not_full_is_a_bad_batch(stream, setup, home, told):
    batch = pb.SiteBatch(key="torn", site_count=1)
    batch.load_kw.rows, batch.load_kw.cols = 2, 2
    message = pb.StreamPlanDispatchRequest(sites=batch).SerializeToString()
    _, *answers = stream(encode_setup(setup), message, encode_sites("good", 1, home))
    by_key = {plans.key: plans for plans in answers}
    assert by_key["good"].error is None
    assert set(told(by_key["torn"].error).paths) == {"load_kw"}


def test_a_batch_without_any_price_is_bad(stream, setup, home, told):
    setup.ClearField("buy_price_per_kwh")
    _, plans = stream(encode_setup(setup), encode_sites("a", 1, home))
    assert set(told(plans.error).paths) == {"buy_price_per_kwh"}
    own = {**home, "buy_price_per_kwh": 0.3}
    _, plans = stream(encode_setup(setup), encode_sites("a", 1, own))
    assert plans.error is None


def test_what_is_too_large_is_a_bad_batch(stream, setup, home, told):
    many = encode_sites("many", 10_001, home)
    wide = encode_sites("wide", 10_000, {**home, "load_kw": np.ones((10_000, 24))})
    setup.columns.extend(number for number in pb.PlanColumn.values() if number)
    grown = pb.StreamSetup()
    grown.CopyFrom(setup)
    grown.grid.count = 48
    grown.buy_price_per_kwh.values[:] = [0.3]
    flat = {**home, "pv_kw": 0.0}
    _, *answers = stream(encode_setup(setup), many, wide)
    _, answered = stream(encode_setup(grown), encode_sites("answer", 10_000, flat))
    errors = {plans.key: told(plans.error) for plans in answers if plans.error}
    assert set(errors) == {"many"}
    assert errors["many"].code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert set(errors["many"].paths) == {"site_count"}
    assert set(told(answered.error).paths) == {"columns"}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("s.grid.time_zone = 'Nowhere'", "setup.grid.time_zone"),
        ("s.ClearField('grid')", "setup.grid"),
        ("s.buy_price_per_kwh.values[2] = float('nan')", "setup.buy_price_per_kwh[2]"),
        ("s.buy_price_per_kwh.values.append(1)", "setup.buy_price_per_kwh"),
        ("s.sell_price_per_kwh.values.pop()", "setup.sell_price_per_kwh"),
        ("s.columns.append(0)", "setup.columns[0]"),
        ("s.columns.extend([2, 2])", "setup.columns"),
        ("s.columns.append(99)", "setup.columns[0]"),
        ("s.currency_code = 'eur'", "setup.currency_code"),
    ],
)
def test_a_bad_setup_ends_the_stream_with_its_paths(stream, setup, failure, change, path):
    exec(change, {"s": setup})
    told = failure(lambda: stream(encode_setup(setup)))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert path in told.paths


def test_messages_out_of_order_end_the_stream(stream, setup, home, failure):
    first, batch = encode_setup(setup), encode_sites("a", 1, home)
    torn = pb.StreamPlanDispatchRequest(sites=pb.SiteBatch(load_kw=common_pb2.Matrix(rows=1)))
    for messages in (
        (),
        (batch,),
        (torn.SerializeToString(),),
        (b"",),
        (first, first),
        (first, b""),
        (first, b"\xff"),
    ):
        told = failure(lambda messages=messages: stream(*messages))
        assert told.code is grpc.StatusCode.INVALID_ARGUMENT
        assert told.reason == "MALFORMED_MESSAGE"


def test_what_came_before_a_malformed_message_is_answered(channel, setup, home):
    messages = [encode_setup(setup), encode_sites("a", 2_000, home), b"\xff"]
    call = channel.stream_stream(METHOD)(iter(messages))
    next(call)
    assert decode_response(next(call)).key == "a"
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_key_that_is_under_way_is_refused(channel, setup, home, told):
    sent: queue.Queue[bytes | None] = queue.Queue()
    call = channel.stream_stream(METHOD)(iter(sent.get, None))
    sent.put(encode_setup(setup))
    next(call)
    sent.put(encode_sites("a", 8_000, home))
    sent.put(encode_sites("a", 1, home))
    answers = [decode_response(next(call)) for _ in range(2)]
    sent.put(encode_sites("a", 1, home))  # answered by now, so the key is free again
    answers.append(decode_response(next(call)))
    sent.put(None)
    assert sorted(plans.reasons.size for plans in answers) == [0, 1, 8_000]
    (error,) = [told(plans.error) for plans in answers if plans.error]
    assert set(error.paths) == {"key"}


def test_a_caller_that_does_not_read_its_answers_is_not_solved_for(engine, connect, setup, home):
    """All 300 batches are small, and their answers 1.4 GB: they must stay unsolved, not pile up."""
    messages = [encode_setup(setup), *(encode_sites(str(i), 4_000, home) for i in range(300))]
    process, before = psutil.Process(), solved(engine)
    with connect(engine.address) as channel:
        call = channel.stream_stream(METHOD)(iter(messages))
        assert isinstance(decode_response(next(call)), pb.StreamReady)
        assert isinstance(decode_response(next(call)), Plans)
        memory = process.memory_info().rss
        count = settled(lambda: solved(engine)) - before
        grown = process.memory_info().rss - memory
        call.cancel()
    assert 4 <= count < 30
    assert grown < 200 * 2**20


def solved(engine) -> float:
    return engine.metrics.registry.get_sample_value("loadloom_batches_total")


def settled(number: Callable[[], float]) -> float:
    """The number once it has stayed the same for half a second."""
    last, since = number(), time.monotonic()
    while time.monotonic() - since < 0.5:
        if number() != last:
            last, since = number(), time.monotonic()
        time.sleep(0.02)
    return last


def test_a_cancelled_stream_leaves_the_server_ready(channel, stub, request_one, setup, home):
    call = channel.stream_stream(METHOD)(
        iter([encode_setup(setup), *(encode_sites(str(i), 4_000, home) for i in range(8))])
    )
    next(call)
    call.cancel()
    assert stub.PlanDispatch(request_one, timeout=60).plan.HasField("schedule")


def batch_of(index: int, home: dict) -> bytes:
    """A batch of some 570,000 values, answered with some 5 MB."""
    return encode_sites(str(index), 3_400, home)


ROOM = {"points_under_way": 2_000_000}
"""Room for three such batches."""


def test_many_greedy_streams_share_the_room_and_none_starves(start, connect, setup, home):
    """Eight streams with four batches each ask for ten times the room that there is."""
    messages = [encode_setup(setup), *(batch_of(i, home) for i in range(6))]
    with (
        start(limits=ROOM, bulk_threads=1) as engine,
        connect(engine.address) as channel,
        ThreadPoolExecutor(8) as readers,
    ):
        call = channel.stream_stream(METHOD)
        answers = [readers.submit(lambda: len(list(call(iter(messages))))) for _ in range(8)]
        most = 0.0
        while not all(answer.done() for answer in answers):
            most = max(most, taken(engine))
            time.sleep(0.001)
        assert eventually_zero(lambda: taken(engine))
    assert [answer.result() for answer in answers] == [1 + 6] * 8
    assert 1_000_000 < most <= 2_000_000


def taken(engine) -> float:
    return engine.metrics.registry.get_sample_value("loadloom_stream_values_under_way")


def eventually_zero(number: Callable[[], float]) -> bool:
    until = time.monotonic() + 60
    while number():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_callers_that_never_read_are_cut_off_when_others_wait(start, connect, setup, home, failure):
    with start(limits=ROOM, unread_s=0.5) as engine, connect(engine.address) as greedy:
        messages = [encode_setup(setup), *(batch_of(i, home) for i in range(6))]
        unread = [greedy.stream_stream(METHOD)(iter(messages)) for _ in range(4)]
        for call in unread:
            next(call)
        settled(lambda: taken(engine))
        with connect(engine.address) as other:
            answers = list(other.stream_stream(METHOD)(iter(messages), timeout=60))
        assert len(answers) == 7
        codes = set()
        for call in unread:
            told = failure(lambda call=call: list(call))
            codes.add((told.code, told.reason))
        assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "ANSWER_UNREAD") in codes
        assert eventually_zero(lambda: taken(engine))
