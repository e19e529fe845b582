"""More than a server takes: idle streams, calls and bytes beyond limits, and who is let in."""

import asyncio
import queue
from contextlib import ExitStack

import grpc
import pytest

from loadloom.engine.settings import Limits
from loadloom.v1 import common_pb2
from loadloom.v1.dispatch_pb2 import StreamSetup
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub
from loadloom.wire.columns import decode_response, encode_setup
from tests.engine.conftest import eventually

STREAM = "/loadloom.v1.DispatchService/StreamPlanDispatch"

IDLE = 300
"""Streams that say nothing, far more than the calls that may be under way."""


def under_way(engine) -> float:
    return engine.metrics.registry.get_sample_value("loadloom_calls_in_flight")


async def beside_idle_streams(engine, setup: bytes | None, request) -> list[object]:
    """What comes of three kinds of call beside streams that are open and idle."""
    async with grpc.aio.insecure_channel(engine.address) as channel:
        idle = [channel.stream_stream(STREAM)() for _ in range(IDLE)]
        if setup is not None:
            for stream in idle:
                await stream.write(setup)
            for stream in idle:
                assert decode_response(await stream.read()).points > 0
        while under_way(engine) < IDLE:
            await asyncio.sleep(0.01)
        system = await SystemServiceStub(channel).GetSystemInfo(GetSystemInfoRequest(), timeout=60)
        plan = await DispatchServiceStub(channel).PlanDispatch(request, timeout=60)
        code = await asyncio.wait_for(channel.stream_stream(STREAM)().code(), timeout=60)
        for stream in idle:
            stream.cancel()
        return [system, plan, code]


@pytest.mark.parametrize("begun", [True, False])
def test_idle_streams_take_no_place_of_calls(start, request_one, begun):
    limits = Limits(calls_under_way=5, streams_under_way=IDLE)
    setup = encode_setup(StreamSetup(grid=request_one.grid)) if begun else None
    with start(limits=limits) as engine:
        told = asyncio.run(beside_idle_streams(engine, setup, request_one))
    system, answer, code = told
    assert system.limits.streams_under_way == IDLE
    assert answer.plan.termination.reason == common_pb2.TERMINATION_REASON_OPTIMAL
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_stream_that_does_not_begin_is_ended(start, connect, failure):
    silent = queue.Queue()
    with start(setup_s=0.2) as engine, connect(engine.address) as channel:
        call = channel.stream_stream(STREAM)(iter(silent.get, None), timeout=60)
        told = failure(lambda: list(call))
        silent.put(None)
    assert told.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert told.reason == "SETUP_MISSING"


@pytest.fixture
def held(start, connect, request_hard):
    """Begins a call that takes a worker's time on a server with limits, and gives its channel."""

    def begin(limits: Limits):
        engine = stack.enter_context(start(limits=limits))
        channel = stack.enter_context(connect(engine.address))
        call = DispatchServiceStub(channel).PlanDispatch.future(request_hard)
        stack.callback(call.cancel)
        eventually(lambda: under_way(engine), lambda count: count == 1)
        return engine, channel, call

    with ExitStack() as stack:
        yield begin


def test_calls_beyond_the_limit_are_shed_and_told_when_to_try_again(held, failure, request_one):
    engine, channel, call = held(Limits(calls_under_way=1))
    stub = DispatchServiceStub(channel)
    told = failure(lambda: stub.PlanDispatch(request_one))
    assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert told.reason == "OVERLOADED"
    assert told.retry_s > 0
    assert SystemServiceStub(channel).GetSystemInfo(GetSystemInfoRequest()).engine_version
    call.cancel()
    eventually(lambda: under_way(engine), lambda count: count == 0)
    assert stub.PlanDispatch(request_one).plan.HasField("schedule")


def test_bytes_beyond_the_limit_are_shed_and_small_requests_are_not(held, failure, request_one):
    engine, channel, call = held(Limits(bytes_under_way=50_000))
    stub = DispatchServiceStub(channel)
    assert stub.PlanDispatch(request_one).plan.HasField("schedule")
    request_one.site.loads[0].power_kw.values.extend([1.0] * 10_000)
    told = failure(lambda: stub.PlanDispatch(request_one))
    assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert told.reason == "OVERLOADED"
    assert told.retry_s > 0
    call.cancel()
    eventually(lambda: under_way(engine), lambda count: count == 0)
    told = failure(lambda: stub.PlanDispatch(request_one))
    assert set(told.paths) == {"site.loads[0].power_kw"}
