"""Minutes of everything at once, without memory growth or a fault."""

import itertools
import math
import os
import signal
import threading
import time

import grpc
import numpy as np
import psutil
import pytest

from loadloom.v1 import common_pb2
from loadloom.v1 import dispatch_pb2 as pb
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub
from loadloom.wire.columns import decode_response, encode_setup, encode_sites

MINUTES = 5
GROWTH_BYTES = 64 * 2**20
HARMLESS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
}


@pytest.mark.slow
def test_five_minutes_of_mixed_load_do_not_grow_the_server(
    launch, connect, request_one, request_hard
):
    with launch("--workers=2", "--log-level=error") as server, connect(server.address) as channel:
        load = Load(DispatchServiceStub(channel), channel, request_one, request_hard)
        kinds = (load.single, load.batch, load.stream, load.bad, load.heavy, load.cancelled)
        threads = [threading.Thread(target=load.repeat, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        process = psutil.Process(server.popen.pid)
        sizes = []
        for minute in range(MINUTES):
            load.over.wait(60)
            sizes.append(process.memory_info().rss)
            if minute == 1:
                os.kill(next(iter(server.workers())), signal.SIGKILL)
        load.over.set()
        for thread in threads:
            thread.join()
        workers = len(server.workers())
    assert not load.wrong
    assert min(load.done.values()) > 10
    assert max(sizes[2:]) - sizes[1] < GROWTH_BYTES
    assert workers <= 3
    assert not server.events()


class Load:
    """Calls of six kinds, each from a thread of its own, until it is over."""

    def __init__(self, stub, channel, request_one, request_hard) -> None:
        self.stub, self.channel = stub, channel
        self.request, self.hard = request_one, request_hard
        self.over = threading.Event()
        self.done: dict[str, int] = {}
        self.wrong: list[object] = []

    def repeat(self, call) -> None:
        for turn in itertools.count():
            if self.over.is_set():
                return
            try:
                call(turn)
            except grpc.RpcError as error:
                if error.code() not in HARMLESS:
                    self.wrong.append(error)
            self.done[call.__name__] = turn

    def single(self, _turn: int) -> None:
        self.stub.PlanDispatch(self.request, timeout=30)
        time.sleep(0.005)

    def batch(self, turn: int) -> None:
        sites = [self.request.site] * (1 + turn % 200)
        answer = self.stub.BatchPlanDispatch(
            pb.BatchPlanDispatchRequest(grid=self.request.grid, sites=sites), timeout=30
        )
        if len(answer.items) != len(sites):
            self.wrong.append(answer)
        time.sleep(0.05)

    def stream(self, turn: int) -> None:
        setup = pb.StreamSetup(
            grid=self.request.grid, buy_price_per_kwh=self.request.site.meter.buy_price_per_kwh
        )
        batch = {
            "load_kw": np.random.default_rng(turn).uniform(0, 3, (1_000, 24)),
            "energy_max_kwh": 10.0,
            "charge_limit_kw": 5.0,
            "discharge_limit_kw": 5.0,
        }
        messages = [encode_setup(setup), *(encode_sites(str(i), 1_000, batch) for i in range(20))]
        method = "/loadloom.v1.DispatchService/StreamPlanDispatch"
        call = self.channel.stream_stream(method)(iter(messages), timeout=60)
        keys = {decode_response(raw).key for raw in itertools.islice(call, 1, None)}
        if keys != {str(i) for i in range(20)}:
            self.wrong.append(keys)

    def bad(self, turn: int) -> None:
        request = pb.PlanDispatchRequest()
        request.CopyFrom(self.request)
        request.site.meter.buy_price_per_kwh.values[turn % 24] = math.nan
        time.sleep(0.01)
        self.stub.PlanDispatch(request, timeout=30)

    def heavy(self, _turn: int) -> None:
        request = pb.PlanDispatchRequest()
        request.CopyFrom(self.request)
        request.options.method = common_pb2.METHOD_MIXED_INTEGER
        self.stub.PlanDispatch(request, timeout=30)

    def cancelled(self, _turn: int) -> None:
        call = self.stub.PlanDispatch.future(self.hard, timeout=30)
        time.sleep(1.0)
        call.cancel()
