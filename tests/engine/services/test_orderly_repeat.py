"""The same request, asked again, gives the same plan where a count of rounds ends the search."""

import numpy as np
import pytest

from loadloom.v1 import orderly_pb2 as pb
from tests.engine.services.orderly_weeks import shortage

COUNT = 60


def request(planner, serial: int) -> pb.CreateScheduleRequest:
    """A week whose search has a gap, so that it goes on for all of its rounds."""
    found = planner.request(short=dict.fromkeys(range(5), 900.0))
    found.request_id = f"{planner.names[0]} {serial}"
    users, measures, rng = found.users, found.measures, np.random.default_rng(1)
    del users.names[:], users.industry[:], measures.user[:], measures.notice[:]
    users.names.extend(f"{planner.names[0]} {number}" for number in range(COUNT))
    measures.user.extend(range(COUNT))
    measures.cap_kw.values[:] = rng.uniform(20.0, 80.0, COUNT)
    measures.cost_per_kwh.values[:] = rng.uniform(1.0, 3.0, COUNT)
    measures.start_cost.values.extend(rng.uniform(10.0, 90.0, COUNT))
    found.options.Clear()
    found.options.method = pb.ORDERLY_METHOD_COUPLED
    found.options.seed = 1
    found.options.work_limit = 5
    return found


def plain(schedule: pb.WeeklySchedule) -> bytes:
    """The bytes of a schedule, without its name and what tells of times."""
    for name in ("name", "create_time", "provenance"):
        schedule.ClearField(name)
    return schedule.SerializeToString(deterministic=True)


def test_equal_requests_with_a_limit_of_work_give_equal_bytes(shared):
    made = [shared.stub.CreateSchedule(request(shared, serial)) for serial in range(3)]
    found = [shared.solved(one) for one in made]
    assert len({schedule.name for schedule in found}) == 3
    assert found[0].certificate.relative_gap > 1e-4
    assert len(found[0].events.users) > 50
    assert len({plain(schedule) for schedule in found}) == 1


def test_a_revision_with_a_limit_of_work_is_repeatable(shared):
    schedule = shared.publish(shared.solved(shared.stub.CreateSchedule(request(shared, 0))))
    found = []
    for _ in range(2):
        again = pb.ReviseScheduleRequest(name=schedule.name)
        again.shortage.CopyFrom(shortage(dict.fromkeys(range(5), 1100.0)))
        again.options.CopyFrom(request(shared, 0).options)
        again.plan_time.FromDatetime(shared.clock.time)
        found.append(shared.solved(shared.stub.ReviseSchedule(again)))
    assert [one.revision for one in found] == [2, 3]
    for one in found:
        one.ClearField("revision")
    assert plain(found[0]) == plain(found[1])


@pytest.mark.parametrize("rounds", [1_000_001, 2**32 - 1])
def test_more_work_than_is_allowed_is_refused(shared, failure, rounds):
    wanted = request(shared, 0)
    wanted.options.work_limit = rounds
    told = failure(lambda: shared.stub.CreateSchedule(wanted))
    assert set(told.paths) == {"options.work_limit"}
