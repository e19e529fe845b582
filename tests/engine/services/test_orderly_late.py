"""Notice that can no longer be given: what is planned, announced and refused, by a set clock."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from loadloom.v1 import orderly_pb2 as pb
from tests.engine.services.orderly_weeks import MONDAY, SHORT, keys, shortage

DAY = timedelta(days=1)


def test_a_plan_is_refused_when_the_notice_it_needs_can_no_longer_be_given(shared, failure):
    schedule = shared.create(short={3: 150.0})
    assert {user for user, *_ in keys(schedule)} == {0, 1}
    begin = MONDAY + 3 * DAY + timedelta(hours=18)
    shared.clock.time = begin - 7 * DAY + timedelta(seconds=1)
    told = failure(lambda: shared.publish(schedule))
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    assert f"1 times, the first {shared.names[0]} on Thu 10 Dec 18:00" in told.message
    assert shared.get(schedule.name).state == pb.SCHEDULE_STATE_SOLVED
    assert not shared.notices(schedule.name)
    shared.clock.time = begin - 7 * DAY
    assert shared.publish(schedule).published_revision == 1


def test_a_planner_who_means_it_announces_late_and_all_are_told_at_once(shared):
    schedule = shared.create(short={0: 320.0})
    shared.clock.time = MONDAY + 8 * DAY
    published = shared.publish(schedule, late_notice=True)
    assert published.state == pb.SCHEDULE_STATE_RUNNING
    missed = shared.notices(schedule.name, states=[pb.NOTICE_STATE_MISSED])
    assert {notice.user for notice in missed} == set(shared.names)


def test_what_was_announced_in_time_needs_no_notice_again(shared):
    schedule = shared.published()
    shared.clock.time = MONDAY - DAY
    revised = shared.revise(schedule.name, {**SHORT, 4: 300.0})
    # Some keep an event that needs a week's notice, with a day to go.
    assert {user for user, day, *_ in keys(schedule) & keys(revised) if day < 5} >= {0}
    assert shared.publish(revised).published_revision == 2


def test_notice_that_runs_out_between_plan_and_publication_is_seen(shared, failure):
    schedule = shared.published(short={0: 70.0})
    begin = MONDAY + 2 * DAY + timedelta(hours=18)
    shared.clock.time = begin - DAY - timedelta(hours=6)
    revised = shared.revise(schedule.name, {0: 70.0, 2: 75.0})
    new = keys(revised) - keys(schedule)
    assert {(user, day) for user, day, *_ in new} == {(1, 2)}
    shared.clock.time = begin - DAY + timedelta(seconds=1)
    assert "revise again" in failure(lambda: shared.publish(revised)).message


def test_a_time_to_plan_for_must_not_be_past_unless_that_is_meant(shared, failure):
    request = shared.request()
    request.plan_time.FromDatetime(shared.clock.time - timedelta(minutes=6))
    told = failure(lambda: shared.stub.CreateSchedule(request))
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "must not be past" in told.paths["plan_time"]
    # The clocks of callers may be behind a little, and it takes time to send a request.
    request.plan_time.FromDatetime(shared.clock.time - timedelta(minutes=4))
    request.request_id = "asked again an hour later"
    operation = shared.stub.CreateSchedule(request)
    schedule = shared.publish(shared.solved(operation))
    shared.clock.time += timedelta(hours=1)
    assert shared.stub.CreateSchedule(request).name == operation.name
    shared.clock.time = MONDAY
    revise = pb.ReviseScheduleRequest(name=schedule.name, shortage=shortage(SHORT))
    revise.plan_time.FromDatetime(MONDAY - 14 * DAY)
    assert set(failure(lambda: shared.stub.ReviseSchedule(revise)).paths) == {"plan_time"}
    revise.late_notice = True
    revise.options.method = pb.ORDERLY_METHOD_REFERENCE
    assert shared.solved(shared.stub.ReviseSchedule(revise)).revision == 2


# Clocks in Berlin are put back on Sunday 25 October 2026 and forward on 28 March 2027.
@pytest.mark.parametrize(
    ("start", "hours"),
    [(datetime(2026, 10, 18, 22, tzinfo=UTC), 169), (datetime(2027, 3, 21, 23, tzinfo=UTC), 167)],
)
def test_planner_and_notices_mean_the_same_week_across_a_clock_change(shared, start, hours):
    last = start + timedelta(days=6) + (hours - 168) * timedelta(hours=1) + timedelta(hours=18)
    request = {"start": start, "zone": "Europe/Berlin", "short": {6: 75.0}}
    for late_s, called in ((0, 0), (1, 1)):
        shared.clock.time = last - timedelta(hours=hours) + timedelta(seconds=late_s)
        wanted = shared.request(**request)
        wanted.plan_time.FromDatetime(shared.clock.time)
        schedule = shared.solved(shared.stub.CreateSchedule(wanted))
        assert {user for user, *_ in keys(schedule)} == {called}
        shared.publish(schedule)


def test_of_callers_who_announce_the_same_plan_at_once_none_is_refused(shared):
    for _ in range(3):
        schedule = shared.create(short={0: 70.0})
        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(lambda _, s=schedule: shared.publish(s), range(8)))
        assert {one.published_revision for one in said} == {1}
        assert len(shared.notices(schedule.name)) == 3
