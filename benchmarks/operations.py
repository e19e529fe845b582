"""Operations over gRPC: how soon a job is safe, and how soon a worker is free again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import grpc
import numpy as np
from google.longrunning import operations_pb2 as longrunning
from google.longrunning.operations_pb2_grpc import OperationsStub
from google.protobuf.struct_pb2 import Struct

from benchmarks import operations_week
from benchmarks.orderly_instances import park
from benchmarks.registry import Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from benchmarks.servers import running, settle
from loadloom.v1 import orderly_pb2
from loadloom.v1.orderly_pb2_grpc import OrderlyServiceStub

ENGINE = ("loadloom.engine.main", "--port=0", "--log-level=error", "--job-workers=1")
SERVER = ("benchmarks.operations_server", "--port=0", "--log-level=error")
METHOD = "/loadloom.benchmark.SleepService/Sleep"
CANCELS_SHARE = 50
"""Cancels are this many times fewer than submissions: each takes that much longer."""

SLEEP_S = 600.0
"""Longer than any measurement."""

USERS, SLOTS = 2_000, 8
"""The week that is revised."""

SEARCH_S = 0.4
"""The time in which a revision may search for a better plan; the rest is what a job costs."""

REVISIONS_SHARE = 150
"""Revisions are this many times fewer than submissions."""


@contextmanager
def submitter(
    address: str,
) -> Iterator[tuple[Callable[..., longrunning.Operation], OperationsStub]]:
    """What submits a sleep to a server of `operations_server`, and the operations."""
    with grpc.insecure_channel(address) as channel:
        sleep = channel.unary_unary(
            METHOD,
            request_serializer=Struct.SerializeToString,
            response_deserializer=longrunning.Operation.FromString,
        )

        def submit(**asked: float | str) -> longrunning.Operation:
            request = Struct()
            request.update(asked)
            return sleep(request, timeout=60)

        yield submit, OperationsStub(channel)


def submit(effort: Effort) -> Findings:
    """A job that is acknowledged must be on the disk, and a planner must not notice the wait.

    One caller submits jobs of the size of a small park's request to a server on SQLite with
    synchronous writes, first with no worker, then while a worker writes the progress of a job.
    """
    latencies = {}
    for name, workers in (("no worker", 0), ("beside a running job", 1)):
        with running((*SERVER, f"--job-workers={workers}")) as server:
            settle(server)
            with submitter(server.address) as (send, operations):
                first = send(seconds=SLEEP_S)
                if workers:
                    _until_running(operations, first.name)
                latencies[name] = [
                    _seconds(lambda: send(seconds=SLEEP_S, body="x" * 20_000))
                    for _ in range(effort.calls)
                ]
    bars = [
        Bar(what=f"p99, {name}", measured=quantile_ms(one, 99), limit=25.0, unit="ms")
        for name, one in latencies.items()
    ]
    return Findings(tables=(table("Submitted until on the disk", latencies),), bars=tuple(bars))


def cancel(effort: Effort) -> Findings:
    """A worker that is told to drop a job must be there for the next one.

    One worker sleeps, in Python that looks for a cancel or in a call that does not return; the time
    is from the call of cancel until the next job, which waits already, has ended.
    """
    count = max(5, effort.calls // CANCELS_SHARE)
    latencies = {}
    with running((*SERVER, "--job-workers=1")) as server:
        settle(server)
        with submitter(server.address) as (send, operations):
            for name, deaf in (("heeded", False), ("killed", True)):
                latencies[name] = [_cancelled_s(send, operations, deaf) for _ in range(count)]
    limits = {"heeded": 300.0, "killed": 1_500.0}
    bars = [
        Bar(what=f"p99, {name}", measured=quantile_ms(one, 99), limit=limits[name], unit="ms")
        for name, one in latencies.items()
    ]
    return Findings(tables=(table("Cancelled until the next ended", latencies),), bars=tuple(bars))


def _cancelled_s(
    send: Callable[..., longrunning.Operation], operations: OperationsStub, deaf: bool
) -> float:
    busy, probe = send(seconds=SLEEP_S, deaf=deaf), send(seconds=0.0)
    _until_running(operations, busy.name)

    def pass_on() -> None:
        operations.CancelOperation(longrunning.CancelOperationRequest(name=busy.name))
        ended = operations.WaitOperation(longrunning.WaitOperationRequest(name=probe.name))
        if not ended.HasField("response"):
            msg = f"the job after a cancelled one ended with {ended.error.message}"
            raise RuntimeError(msg)

    return _seconds(pass_on)


def revise(effort: Effort) -> Findings:
    """A plant trips, and somebody waits for the week of a whole town to be planned anew.

    A week is planned and announced; then ever more is short. The time is from the call of
    ReviseSchedule until its operation has ended with a refereed plan that is on the disk.
    """
    week = park(USERS, SLOTS)
    asked = operations_week.request(week, "benchmark")
    asked.options.time_limit.seconds = 5
    latencies, solves, gaps = [], [], []
    with running(ENGINE) as server, grpc.insecure_channel(server.address) as channel:
        settle(server)
        stub, operations = OrderlyServiceStub(channel), OperationsStub(channel)
        made = _planned(operations, stub.CreateSchedule(asked))
        announce = orderly_pb2.PublishScheduleRequest(name=made.name, revision=made.revision)
        stub.PublishSchedule(announce)
        for turn in range(max(5, effort.calls // REVISIONS_SHARE)):
            change = orderly_pb2.ReviseScheduleRequest(name=made.name)
            change.shortage.CopyFrom(operations_week.shortage(week, 1.05 + 0.01 * turn))
            change.options.time_limit.FromNanoseconds(round(SEARCH_S * 1e9))
            began = time.perf_counter()
            found = _planned(operations, stub.ReviseSchedule(change))
            latencies.append(time.perf_counter() - began)
            solves.append(found.provenance.solve_time.ToNanoseconds() / 1e9)
            gaps.append(found.certificate.relative_gap)
    rows = Table(
        title=f"{USERS:,} users, {SLOTS} slots a day, revised as a job",
        headings=("number", "median s", "most s", "of which solve s", "gap %"),
        rows=(
            (
                str(len(latencies)),
                *(number(value) for value in (median(latencies), max(latencies), median(solves))),
                number(100.0 * median(gaps)),
            ),
        ),
    )
    bar = Bar(what="median", measured=median(latencies), limit=1.0, unit="s")
    return Findings(tables=(rows,), bars=(bar,))


def _planned(operations: OperationsStub, made: longrunning.Operation) -> orderly_pb2.WeeklySchedule:
    """The schedule that an operation ends with."""
    ended = operations.WaitOperation(longrunning.WaitOperationRequest(name=made.name))
    found = orderly_pb2.WeeklySchedule()
    if not ended.response.Unpack(found):
        msg = f"a schedule ended with {ended.error.message}"
        raise RuntimeError(msg)
    return found


def _until_running(operations: OperationsStub, name: str) -> None:
    """Waits until the solve of an operation has reported."""
    from loadloom.client.operations import unpacked

    request = longrunning.GetOperationRequest(name=name)
    while not unpacked(operations.GetOperation(request).metadata).progress.phase:
        time.sleep(0.02)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def quantile_ms(latencies_s: list[float], percent: float) -> float:
    """A percentile of times in seconds, in milliseconds."""
    return 1e3 * float(np.percentile(latencies_s, percent))


def table(title: str, latencies: dict[str, list[float]]) -> Table:
    """The median, the p99 and the most of times in seconds, by case."""
    rows = tuple(
        (name, str(len(one)), *(number(quantile_ms(one, percent)) for percent in (50, 99, 100)))
        for name, one in latencies.items()
    )
    return Table(title=title, headings=("case", "number", "p50 ms", "p99 ms", "most ms"), rows=rows)


SPECS = (
    BenchSpec(
        name="submit",
        question="How soon is a job safe?",
        bar="p99 at most 25 ms on SQLite, with and without a running job beside",
        run=submit,
    ),
    BenchSpec(
        name="cancel",
        question="How soon is a worker free again?",
        bar="p99 at most 300 ms when the solve heeds a cancel, 1.5 s when it is killed",
        run=cancel,
    ),
    BenchSpec(
        name="revise",
        question="How soon is an announced week of 2,000 users planned anew?",
        bar="at most 1 s from the request until the operation is done",
        run=revise,
    ),
)
