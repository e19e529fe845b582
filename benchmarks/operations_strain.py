"""A server under strain: deadlines that solves do not keep by themselves, and too many calls."""

import threading
import time
from dataclasses import dataclass, field

import grpc
import psutil
from google.longrunning import operations_pb2 as longrunning

from benchmarks import instances
from benchmarks.operations import SERVER, quantile_ms, submitter, table
from benchmarks.registry import Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from benchmarks.servers import running, settle
from benchmarks.unary_client import GRID, spoken
from loadloom.client.operations import unpacked
from loadloom.client.request import plan_request
from loadloom.v1.dispatch_pb2 import PlanDispatchRequest
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub

LIMIT_S = 0.3
"""The limit of the jobs that are measured."""

DEADLINES_SHARE = 50
"""Jobs with a limit are this many times fewer than submissions: each takes that much longer."""

ADMITTED = 32
"""The calls that the strained server admits: enough that its workers never wait for callers."""

TIMES = 10
"""How many times more is asked for than the server can do."""

STRAIN_S = 10.0
"""How long it is asked for."""

STRAINED = ("loadloom.engine.main", "--port=0", "--log-level=error", "--job-workers=0")


def deadline(effort: Effort) -> Findings:
    """A plan that comes late is worth nothing to whoever has to act on it.

    Jobs that would go on for ever have a limit of 0.3 s, which one kind heeds and the other, which
    never returns from a call, is killed for a second later. The time is that of the database, from
    the claim to the end, less the limit; each job ends with the best plan it had.
    """
    count = max(5, effort.calls // DEADLINES_SHARE)
    late: dict[str, list[float]] = {}
    with running((*SERVER, "--job-workers=1")) as server:
        settle(server)
        with submitter(server.address) as (send, operations):
            for name, deaf in (("heeded", False), ("killed", True)):
                asked = [send(seconds=1e6, deaf=deaf, limit_s=LIMIT_S) for _ in range(count)]
                late[name] = []
                for one in asked:
                    request = longrunning.WaitOperationRequest(name=one.name)
                    late[name].append(_spent_s(operations.WaitOperation(request)) - LIMIT_S)
    bars = (
        Bar(what="p99, heeded", measured=quantile_ms(late["heeded"], 99), limit=100.0, unit="ms"),
        Bar(what="most", measured=1e3 * max(map(max, late.values())), limit=1_500.0, unit="ms"),
    )
    return Findings(tables=(table("Beyond a limit of 0.3 s", late),), bars=bars)


def _spent_s(ended: longrunning.Operation) -> float:
    if not ended.HasField("response"):
        msg = f"a job with a limit ended with {ended.error.message}"
        raise RuntimeError(msg)
    told = unpacked(ended.metadata)
    return (told.end_time.ToNanoseconds() - told.start_time.ToNanoseconds()) / 1e9


@dataclass(slots=True)
class _Tally:
    """What came of calls."""

    done: int = 0
    shed_s: list[float] = field(default_factory=list)
    without_advice: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, call: grpc.Future, began: float) -> None:
        seconds = time.perf_counter() - began
        error = call.exception()
        with self.lock:
            if error is None:
                self.done += 1
            elif call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:  # type: ignore[attr-defined] -- a call too
                self.shed_s.append(seconds)
                told = dict(call.trailing_metadata() or ())  # type: ignore[attr-defined] -- a call too
                self.without_advice += b"RetryInfo" not in told.get("grpc-status-details-bin", b"")
            else:
                self.wrong.append(str(error))


def overload(effort: Effort) -> Findings:
    """Ten times too many callers must not keep a server from its work.

    Sites are asked for that take a worker some 20 ms. First as many callers as the server admits
    wait for each other's answers, then twice as many calls as they made come every second, whatever
    the answers; the better of the two is the peak. Then come ten times as many as that. The
    client's own share of the machine is in all of it.
    """
    seconds = min(STRAIN_S, effort.budget_s)
    arguments = (*STRAINED, f"--limits.calls-under-way={ADMITTED}")
    with running(arguments) as server, grpc.insecure_channel(server.address) as channel:
        settle(server)
        stub, process = DispatchServiceStub(channel), psutil.Process(server.pid)
        _again(stub)
        closed = _peak(stub, seconds)
        peak = max(closed, _strained(stub, 2.0 * closed, seconds)[0].done / seconds)
        before = process.memory_info().rss
        tally, offered = _strained(stub, TIMES * peak, seconds)
        grown = process.memory_info().rss - before
        began = time.perf_counter()
        _again(stub)
        recovered_s = time.perf_counter() - began
    if tally.wrong or tally.without_advice:
        msg = f"{tally.without_advice} without RetryInfo, {tally.wrong[:3]}"
        raise RuntimeError(msg)
    goodput = tally.done / seconds
    headings = ("peak/s", "offered/s", "done/s", "shed", "p50 ms", "p99 ms", "MB more", "s after")
    row = (
        peak,
        offered,
        goodput,
        len(tally.shed_s),
        *(quantile_ms(tally.shed_s, q) for q in (50, 99)),
    )
    rows = (tuple(map(number, (*row, grown / 2**20, recovered_s))),)
    bars = (
        Bar(what="goodput", measured=goodput / peak, limit=0.8, at_least=True),
        Bar(what="shed, median", measured=quantile_ms(tally.shed_s, 50), limit=10.0, unit="ms"),
        Bar(what="memory", measured=grown / 2**20, limit=64.0, unit="MB"),
        Bar(what="recovery", measured=recovered_s, limit=5.0, unit="s"),
    )
    return Findings(tables=(Table(title="Overload", headings=headings, rows=rows),), bars=bars)


def _peak(stub: DispatchServiceStub, seconds: float) -> float:
    """The calls a second that callers who wait for their answers get done."""
    until, done, lock = time.perf_counter() + seconds, 0, threading.Lock()

    def ask() -> None:
        nonlocal done
        while time.perf_counter() < until:
            stub.PlanDispatch(_site())
            with lock:
                done += 1

    callers = [threading.Thread(target=ask) for _ in range(ADMITTED)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return done / seconds


def _strained(stub: DispatchServiceStub, rate: float, seconds: float) -> tuple[_Tally, float]:
    """What came of calls at a rate, and the rate that was reached."""
    tally, request, calls = _Tally(), _site(), []
    began = time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        call = stub.PlanDispatch.future(request)
        call.add_done_callback(lambda call, now=now: tally.count(call, now))
        calls.append(call)
        time.sleep(max(0.0, began + len(calls) / rate - time.perf_counter()))
    for call in calls:
        call.exception()
    return tally, len(calls) / seconds


def _again(stub: DispatchServiceStub) -> None:
    """Returns once a call is answered."""
    while True:
        try:
            stub.PlanDispatch(_site())
        except grpc.RpcError:
            time.sleep(0.01)
        else:
            return


def _site() -> PlanDispatchRequest:
    """A home with a battery, to be solved by a worker."""
    home = instances.street_batch(1, seed=0).site(0)
    return plan_request(spoken(home), GRID, {"method": "mixed-integer"})[0]


SPECS = (
    BenchSpec(
        name="deadline",
        question="How late is a job that has a limit?",
        bar="p99 at most 100 ms when the solve heeds it, and never more than 1.5 s",
        run=deadline,
    ),
    BenchSpec(
        name="overload",
        question="What does a server do when ten times too much is asked for?",
        bar="at least 80 % of its peak; others shed within 10 ms; recovered within 5 s",
        run=overload,
    ),
)
