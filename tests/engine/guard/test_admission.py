"""What is shed, what is never shed, and what is given back after a peak."""

import anyio
import pytest

from loadloom.engine.guard import admission
from loadloom.engine.guard.admission import SPENT_BYTES, STREAMS, Admission
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits

pytestmark = pytest.mark.anyio

PLAN = "/loadloom.v1.DispatchService/PlanDispatch"
MIB = 2**20


@pytest.fixture
def anyio_backend():
    return "asyncio"


def admitted(admission: Admission, method: str) -> bool:
    with admission.counted(method) as places:
        try:
            if places is not None:
                places.check()
        except Refusal:
            return False
        return True


def test_calls_and_streams_are_counted_apart_and_questions_not_at_all():
    of = Admission(Limits(calls_under_way=1, streams_under_way=1), lambda: None)
    with of.counted(STREAMS[0]):
        assert admitted(of, PLAN)
        assert not admitted(of, STREAMS[0])
    with of.counted(PLAN):
        assert admitted(of, STREAMS[0])
        assert not admitted(of, PLAN)
        for method in (
            "/loadloom.v1.SystemService/GetSystemInfo",
            "/grpc.health.v1.Health/Check",
            "/loadloom.v1.OperationEventService/WatchOperation",
        ):
            assert admitted(of, method)
    assert admitted(of, PLAN)


def test_large_requests_beyond_the_limit_are_shed_and_told_when_to_try_again():
    of = Admission(Limits(bytes_under_way=MIB), lambda: None)
    with of.held(MIB // 2):
        with pytest.raises(Refusal) as shed, of.held(MIB):
            pass
        assert shed.value.reason == "OVERLOADED"
        assert shed.value.retry_s
        with of.held(MIB // 2), of.held(100):
            pass  # the rest of the room, and what is small beside what is large
    with of.held(9 * MIB):
        pass  # one alone is always taken


async def test_memory_is_given_back_after_large_requests_alone(monkeypatch):
    monkeypatch.setattr(admission, "RELIEF_S", 0.0)
    times: list[int] = []
    of = Admission(Limits(), lambda: times.append(1))
    for _ in range(10_000):
        with of.held(10_000):
            pass
    with of.held(SPENT_BYTES // 2):
        pass
    await anyio.sleep(0.05)
    assert not times
    with of.held(SPENT_BYTES // 2):
        pass
    with anyio.fail_after(10.0):
        while not times:
            await anyio.sleep(0.01)
    assert times == [1]


def test_a_tenant_takes_no_more_than_its_part():
    of = Admission(Limits(calls_under_way=3, tenant_calls=1), lambda: None)
    with of.counted(PLAN) as places, of.let_in("busy", places):
        with of.counted(PLAN) as again, pytest.raises(Refusal) as told, of.let_in("busy", again):
            pass
        assert (told.value.reason, told.value.retry_s) == ("QUOTA_EXCEEDED", 1.0)
        with of.counted(PLAN) as other, of.let_in("calm", other):
            pass
        with of.counted(STREAMS[0]) as stream, of.let_in("busy", stream):
            pass
    with of.counted(PLAN) as places, of.let_in("busy", places):
        pass
