"""Weeks that wait for a worker: which goes first, and by when one must be there."""

from google.protobuf.timestamp_pb2 import Timestamp

from loadloom.v1 import common_pb2, operations_pb2
from loadloom.v1 import orderly_pb2 as pb
from tests.engine.operations.processes import SLACK_S
from tests.engine.services.orderly_weeks import shortage
from tests.engine.services.test_orderly_repeat import request
from tests.pace import slowness


def told(operation) -> operations_pb2.OperationMetadata:
    found = operations_pb2.OperationMetadata()
    assert operation.metadata.Unpack(found)
    return found


def seconds(time: Timestamp) -> float:
    return time.seconds + 1e-9 * time.nanos


def submitted(planner, priority: int):
    """The operation of a small week of a priority."""
    week = planner.request(short={0: 70.0})
    week.options.priority = priority
    return planner.stub.CreateSchedule(week, timeout=60)


def test_a_week_ends_by_its_deadline_and_then_those_of_higher_priority_go_first(shared):
    shared.create(short={0: 70.0})  # has the worker begin, which solves one week at a time
    long = request(shared, 0)
    long.options.work_limit = 0
    long.options.relative_gap = 1e-9
    long.options.time_limit.seconds = 60
    long.options.deadline.seconds = 4
    first = shared.stub.CreateSchedule(long, timeout=60)
    asked = {priority: submitted(shared, priority) for priority in (0, -5, 7)}
    assert {p: told(operation).priority for p, operation in asked.items()} == {0: 0, -5: -5, 7: 7}
    found = told(ended := shared.ended(first))
    took_s = seconds(found.end_time) - seconds(found.create_time)
    assert took_s > 1.0
    assert took_s / slowness() < 4.0 + SLACK_S
    schedule = shared.solved(ended)
    assert schedule.termination.reason == common_pb2.TERMINATION_REASON_FEASIBLE
    assert len(schedule.events.users) > 50
    begun = {p: told(shared.ended(operation)).start_time for p, operation in asked.items()}
    assert sorted(begun, key=lambda priority: seconds(begun[priority])) == [7, 0, -5]


def test_a_revision_may_have_a_priority_and_must_be_there_by_a_time_too(shared):
    schedule = shared.published(short={1: 150.0})
    again = pb.ReviseScheduleRequest(name=schedule.name)
    again.shortage.CopyFrom(shortage({1: 70.0}))
    again.options.method = pb.ORDERLY_METHOD_REFERENCE
    again.options.priority = 9
    again.options.deadline.seconds = 50
    ended = shared.ended(shared.stub.ReviseSchedule(again))
    assert told(ended).priority == 9
    assert shared.solved(ended).revision == 2
