"""Workers that die, hang, or are no longer wanted; and limits that come from deadlines."""

import os
import signal
import time

import grpc
import psutil
import pytest

from loadloom.v1 import common_pb2
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub
from tests.pace import Stopwatch, slowness

WITHIN_S = 2.0
"""The time after a worker's end in which the next call must be answered."""


@pytest.fixture(scope="module")
def server(launch):
    # A solve may overrun its limit by much on a busy machine; only the test of that cuts it short.
    arguments = ("--workers=2", "--overrun-s=10", "--reserve-s=1", "--reserve-share=0.3")
    with launch(*arguments, "--log-level=warning") as server:
        yield server


@pytest.fixture
def busy_stub(server, connect):
    server.settle(3)
    with connect(server.address) as channel:
        yield DispatchServiceStub(channel)


@pytest.fixture
def small(request_one):
    """A request that takes a worker no time."""
    request_one.options.method = common_pb2.METHOD_MIXED_INTEGER
    return request_one


def assert_answered_in_time(stub, request, since: Stopwatch):
    plan = stub.PlanDispatch(request, timeout=60).plan
    assert since.seconds < WITHIN_S
    assert plan.termination.reason == common_pb2.TERMINATION_REASON_OPTIMAL


def test_a_killed_worker_fails_its_own_call_alone(server, busy_stub, request_hard, small, failure):
    request_hard.options.time_limit.seconds = 3
    calls = [busy_stub.PlanDispatch.future(request_hard) for _ in range(2)]
    killed, other = server.busy(2)
    os.kill(killed, signal.SIGKILL)
    died = Stopwatch()
    small.options.method = common_pb2.METHOD_KERNEL  # threads know nothing of it
    assert_answered_in_time(busy_stub, small, died)
    errors = [call.exception() for call in calls]
    (hit,) = [index for index, error in enumerate(errors) if error]
    told = failure(calls[hit].result)
    assert told.code is grpc.StatusCode.UNAVAILABLE
    assert told.reason == "WORKER_DIED"
    assert told.retry_s > 0
    neighbour = calls[1 - hit].result().plan
    assert neighbour.termination.reason == common_pb2.TERMINATION_REASON_FEASIBLE
    pids = server.settle(3)
    assert other in pids
    assert killed not in pids


def test_the_next_call_after_a_death_is_answered_in_time(
    server, busy_stub, request_hard, small, failure
):
    call = busy_stub.PlanDispatch.future(request_hard)
    os.kill(server.busy(1)[0], signal.SIGKILL)
    died = Stopwatch()
    assert_answered_in_time(busy_stub, small, died)
    assert failure(call.result).code is grpc.StatusCode.UNAVAILABLE


def test_a_hung_worker_is_killed_soon_after_its_limit(
    launch, connect, request_hard, small, failure
):
    request_hard.options.time_limit.seconds = 3  # on a slow machine it must be met before its end
    launching = launch("--workers=2", "--overrun-s=0.5", "--log-level=warning")
    with launching as server, connect(server.address) as channel:
        stub = DispatchServiceStub(channel)
        server.settle(3)
        watch = Stopwatch()
        call = stub.PlanDispatch.future(request_hard)
        (hung,) = server.busy(1)
        os.kill(hung, signal.SIGSTOP)
        told = failure(call.result)
        assert watch.clock_s >= 3.5
        assert watch.seconds < 5.0
        ended = Stopwatch()
        assert told.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert told.reason == "OUT_OF_TIME"
        assert_answered_in_time(stub, small, ended)
        assert hung not in server.settle(3)
        assert "a worker was killed for overrun" in {event["event"] for event in server.events()}


def test_a_cancelled_call_frees_its_worker(server, busy_stub, request_hard, small):
    calls = [busy_stub.PlanDispatch.future(request_hard) for _ in range(2)]
    stopped = server.busy(2)
    for call in calls:
        call.cancel()
    assert_answered_in_time(busy_stub, small, Stopwatch())
    assert not set(stopped) & set(server.settle(3))


def test_the_callers_limit_ends_the_solve_with_a_gap(busy_stub, request_hard):
    request_hard.options.time_limit.seconds = 1
    watch = Stopwatch()
    plan = busy_stub.PlanDispatch(request_hard).plan
    assert watch.seconds < 2.0
    assert plan.termination.reason == common_pb2.TERMINATION_REASON_FEASIBLE
    assert plan.certificate.relative_gap > 0
    assert plan.certificate.proof == common_pb2.PROOF_BRANCH_AND_BOUND


def test_the_deadline_of_the_call_becomes_the_limit_of_the_solve(busy_stub, request_hard):
    watch, given_s = Stopwatch(), 3.0 * slowness()  # of which reading and telling take some
    plan = busy_stub.PlanDispatch(request_hard, timeout=given_s).plan
    assert plan.termination.reason == common_pb2.TERMINATION_REASON_FEASIBLE
    solve_s = plan.provenance.solve_time.ToNanoseconds() / 1e9
    assert solve_s < given_s - 0.1
    assert watch.clock_s > 1.9  # of which a slow machine takes some before the solve begins


def test_waiting_for_a_worker_counts_as_queue_time(server, busy_stub, request_hard, small):
    request_hard.options.time_limit.seconds = 2
    calls = [busy_stub.PlanDispatch.future(request_hard) for _ in range(2)]
    server.busy(2)
    watch = Stopwatch()
    waited_s = busy_stub.PlanDispatch(small).plan.provenance.queue_time.ToNanoseconds() / 1e9
    assert 0.2 < waited_s < watch.clock_s
    assert watch.seconds < 3.0
    assert all(call.result().plan.HasField("schedule") for call in calls)


def test_single_calls_are_quick_while_workers_are_busy(server, busy_stub, request_hard, small):
    request_hard.options.time_limit.seconds = 2
    calls = [busy_stub.PlanDispatch.future(request_hard) for _ in range(6)]
    server.busy(2)
    small.options.method = common_pb2.METHOD_UNSPECIFIED
    watch = Stopwatch()
    assert busy_stub.PlanDispatch(small).plan.HasField("schedule")
    assert watch.seconds < 1.0
    for call in calls:
        call.cancel()


def test_workers_that_died_idle_fail_nobody_and_live_ones_end_with_the_server(
    launch, connect, small
):
    with launch("--workers=1", "--overrun-s=0.5") as server, connect(server.address) as channel:
        for pid in server.settle(2):
            os.kill(pid, signal.SIGKILL)
        assert DispatchServiceStub(channel).PlanDispatch(small).plan.HasField("schedule")
        pids = server.workers()
        assert pids
        server.popen.kill()
        server.popen.wait()
        watch = Stopwatch()
        while any(map(psutil.pid_exists, pids)):
            assert watch.seconds < 10.0
            time.sleep(0.05)
