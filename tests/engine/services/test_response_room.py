"""Large questions of whom to call wait for each other, and for no longer than their callers do."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from anyio import CancelScope

from loadloom.engine.convert import response
from loadloom.engine.run.room import Room
from loadloom.v1 import response_pb2 as pb
from tests.engine.services.response_calls import event_request, operating, problem_of_homes


def test_a_question_is_as_large_as_its_longest_columns():
    problem = problem_of_homes(40)
    assert response.points(problem) == response.COLUMNS * 40 * 2 * 2
    problem.customers.ClearField("names")
    problem.customers.count = 2_000_000
    assert response.points(problem) == response.COLUMNS * 2_000_000 * 2 * 2


@pytest.fixture
def sizes(monkeypatch) -> list[int]:
    """The values under way, whenever a question has got its room."""
    found, take = [], Room.take

    async def watched(self: Room, points: int, stream: CancelScope) -> int:
        taken = await take(self, points, stream)
        found.append(self.taken)
        return taken

    monkeypatch.setattr(Room, "take", watched)
    return found


def test_no_more_is_under_way_than_there_is_room_for(new_url, sizes):
    points = response.points(problem_of_homes())
    limits = {"points_under_way": 2 * points}
    with operating(new_url("sqlite"), limits=limits) as operator, ThreadPoolExecutor(8) as pool:
        request = pb.PlanTargetsRequest(problem=problem_of_homes())
        plans = list(pool.map(lambda _: operator.stub.PlanTargets(request, timeout=120), range(8)))
        event = operator.stub.CreateEvent(event_request(), timeout=120).event
        again = pb.RetargetEventRequest(request_id="again", name=event.name)
        operator.stub.RetargetEvent(again, timeout=120)
    assert {plan.plan.called_count for plan in plans} == {plans[0].plan.called_count}
    assert len(sizes) == 10
    assert max(sizes) <= 2 * points


def test_a_question_that_gets_no_room_ends_with_its_time(new_url, monkeypatch, failure):
    with operating(new_url("sqlite")) as operator:
        request = pb.PlanTargetsRequest(problem=problem_of_homes())
        operator.stub.PlanTargets(request, timeout=120)
        monkeypatch.setattr(Room, "_admit", lambda _: None)
        told = failure(lambda: operator.stub.PlanTargets(request, timeout=3))
        assert told.code is grpc.StatusCode.DEADLINE_EXCEEDED
        monkeypatch.undo()  # and it is in nobody's way
        operator.stub.PlanTargets(request, timeout=120)
