"""Notices under a clock that is set: due, streamed, resumed, acknowledged, missed."""

import time
from datetime import UTC, datetime, timedelta
from threading import Thread

import grpc
import pytest

from loadloom.engine.store import notices as store
from loadloom.v1 import orderly_pb2 as pb
from loadloom.v1.orderly_pb2_grpc import OrderlyServiceStub
from tests.engine.services.held import held
from tests.engine.services.orderly_weeks import MONDAY, Clock, keys, planning

ANNOUNCEMENT, REMINDER = pb.NOTICE_KIND_ANNOUNCEMENT, pb.NOTICE_KIND_REMINDER
CALL, RELEASE = pb.NOTICE_KIND_CALL, pb.NOTICE_KIND_RELEASE
EVENING = timedelta(hours=18)


def times(notices: list[pb.Notice]) -> list[tuple[int, datetime]]:
    return [(n.kind, n.due_time.ToDatetime(UTC)) for n in notices]


def test_each_user_is_told_as_early_as_its_measure_asks(planner):
    schedule = planner.published(short={3: 320.0})
    begin = MONDAY + timedelta(days=3) + EVENING
    found = [planner.notices(schedule.name, user=user) for user in planner.names]
    week, day, call = (begin - timedelta(days=7), begin - timedelta(days=1), begin - QUARTER)
    assert times(found[0]) == [(ANNOUNCEMENT, week), (REMINDER, day), (CALL, call)]
    assert times(found[1]) == [(REMINDER, day), (CALL, call)]
    assert times(found[2]) == times(found[3]) == [(CALL, call)]
    (last,) = found[2]
    assert last.event_start_time.ToDatetime(UTC) == begin
    assert last.event_end_time.ToDatetime(UTC) == begin + timedelta(hours=3)
    assert (last.measure, last.day, last.first_slot) == (pb.MEASURE_KIND_LIMIT, 3, 6)
    assert last.relief_kw == pytest.approx(80.0)
    assert (last.state, last.number) == (pb.NOTICE_STATE_PLANNED, 0)


QUARTER = timedelta(minutes=15)


def test_notices_are_numbered_and_streamed_in_the_order_in_which_they_fall_due(planner):
    schedule = planner.published()
    planner.clock.time = MONDAY + timedelta(days=4, hours=20)
    everything = planner.notices(schedule.name, page_size=1000)
    assert all(notice.number for notice in everything)
    assert [n.number for n in everything] == sorted(n.number for n in everything)
    due = [n.due_time.ToDatetime(UTC) for n in everything]
    assert due == sorted(due)
    streamed = planner.due(len(everything), schedule=schedule.name)
    assert streamed == everything
    some = planner.due(3, schedule=schedule.name, after_notice=everything[4].number)
    assert some == everything[5:8]
    mine = planner.due(2, schedule=schedule.name, user=planner.names[1])
    assert mine == [n for n in everything if n.user == planner.names[1]][:2]
    pages, token = [], ""
    while not pages or token:
        page = planner.stub.ListNotices(
            pb.ListNoticesRequest(schedule=schedule.name, page_size=4, page_token=token)
        )
        pages += page.notices
        token = page.next_page_token
    assert pages == everything


def test_a_subscriber_hears_of_a_notice_when_it_falls_due(planner):
    schedule = planner.published(short={0: 80.0})
    call = planner.stub.StreamNotices(pb.StreamNoticesRequest(schedule=schedule.name), timeout=60)
    heard: list[pb.Notice] = []

    def listen() -> None:
        heard.extend(next(call).notice for _ in range(2))

    listener = Thread(target=listen)
    listener.start()
    first = planner.notices(schedule.name)[0]
    planner.clock.time = first.due_time.ToDatetime(UTC) - timedelta(seconds=1)
    time.sleep(0.3)
    assert not heard
    planner.clock.time = MONDAY - timedelta(hours=6)
    listener.join(60)
    call.cancel()
    assert [n.kind for n in heard] == [ANNOUNCEMENT, REMINDER]
    assert heard[0].number < heard[1].number


def test_a_subscriber_is_told_no_answer_older_than_what_it_knows(planner, monkeypatch):
    schedule = planner.published(short={0: 150.0})
    asked = pb.StreamNoticesRequest(schedule=schedule.name)
    with held(monkeypatch, store, "due_after") as nothing_due:
        early = planner.stub.StreamNotices(asked, timeout=80)
        listener = Thread(target=lambda: next(early))
        listener.start()
        assert nothing_due()
        planner.clock.time = MONDAY - timedelta(days=5)
        late = planner.stub.StreamNotices(asked, timeout=60)
        assert next(late).notice.schedule == schedule.name
    listener.join(80)
    assert not listener.is_alive()
    early.cancel()
    late.cancel()


def test_an_acknowledgement_counts_once_and_is_the_users_own(planner, failure):
    schedule = planner.published(short={0: 80.0})
    planner.clock.time = MONDAY - timedelta(days=6)
    (notice,) = planner.due(1, schedule=schedule.name)
    assert notice.state == pb.NOTICE_STATE_DUE
    said = planner.acknowledge(notice)
    assert said.state == pb.NOTICE_STATE_ACKNOWLEDGED
    planner.clock.time += timedelta(hours=1)
    assert planner.acknowledge(notice) == said
    notice.user = planner.names[1]
    assert failure(lambda: planner.acknowledge(notice)).code is grpc.StatusCode.NOT_FOUND
    notice.number = 2**62
    assert failure(lambda: planner.acknowledge(notice)).code is grpc.StatusCode.NOT_FOUND


def test_who_was_not_reached_is_missed_and_not_called(planner, failure):
    schedule = planner.published(short={0: 150.0})
    assert len(keys(schedule)) == 2
    planner.clock.time = MONDAY - timedelta(days=1)
    reached = planner.due(1, schedule=schedule.name, user=planner.names[0])[0]
    planner.acknowledge(reached)
    planner.clock.time = MONDAY + EVENING
    missed = planner.notices(schedule.name, states=[pb.NOTICE_STATE_MISSED])
    assert {n.user for n in missed} == {planner.names[1]}
    told = failure(lambda: planner.acknowledge(missed[0]))
    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE")
    # The reminders of whom one notice has reached are not missed, read or not.
    others = planner.notices(schedule.name, user=planner.names[0])
    states = [pb.NOTICE_STATE_ACKNOWLEDGED, pb.NOTICE_STATE_DUE, pb.NOTICE_STATE_DUE]
    assert [n.state for n in others] == states


def test_what_is_announced_late_is_told_at_once_and_only_once(planner):
    planner.clock.time = MONDAY - timedelta(days=2)
    schedule = planner.publish(planner.create(short={0: 320.0}), late_notice=True)
    found = [planner.notices(schedule.name, user=user) for user in planner.names]
    begin, now = MONDAY + EVENING, planner.clock.time
    day, call = begin - timedelta(days=1), begin - QUARTER
    assert times(found[0]) == [(ANNOUNCEMENT, now), (REMINDER, day), (CALL, call)]
    assert found[0][0].state == pb.NOTICE_STATE_DUE
    assert times(found[1]) == [(REMINDER, day), (CALL, call)]


# The Sundays on which clocks change in Berlin, and the instants of 18:00 there.
CHANGES = [
    (datetime(2026, 3, 22, 23, tzinfo=UTC), 16, 17),
    (datetime(2026, 10, 18, 22, tzinfo=UTC), 17, 16),
]


@pytest.mark.parametrize(("start", "sunday_utc", "saturday_utc"), CHANGES)
def test_a_day_ahead_is_the_same_clock_time_across_a_clock_change(
    shared, start, sunday_utc, saturday_utc
):
    shared.clock.time = start - timedelta(days=10)
    schedule = shared.published(start=start, zone="Europe/Berlin", short={6: 160.0})
    notices = shared.notices(schedule.name)
    saturday = (start + timedelta(days=6)).date()
    sunday = saturday + timedelta(days=1)
    assert {n.event_start_time.ToDatetime(UTC) for n in notices} == {at(sunday, sunday_utc)}
    due = {n.kind: n.due_time.ToDatetime(UTC) for n in notices}
    assert due[REMINDER] == at(saturday, saturday_utc)
    assert due[ANNOUNCEMENT] == at(sunday - timedelta(days=7), saturday_utc)
    assert due[CALL] == at(sunday, sunday_utc) - QUARTER


def at(day, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_restart_in_between_loses_and_repeats_no_notice(new_url, kind):
    url, clock = new_url(kind), Clock()
    with planning(url, clock) as planner:
        schedule = planner.published(short={0: 150.0})
        clock.time = MONDAY - timedelta(days=5)
        before = planner.due(1)
    clock.time = MONDAY + timedelta(hours=17, minutes=50)
    with planning(url, clock, job_workers=0) as planner:
        after = planner.due(4, after_notice=before[-1].number)
        everything = planner.notices(schedule.name)
        assert before + after == everything
        assert [n.number for n in everything] == [1, 2, 3, 4, 5]


def test_a_stream_ends_when_the_server_goes(new_url):
    with planning(new_url("sqlite"), job_workers=0) as planner:
        channel = grpc.insecure_channel(planner.address, options=[("grpc.enable_retries", 0)])
        stub = OrderlyServiceStub(channel)
        call = stub.StreamNotices(pb.StreamNoticesRequest(), timeout=60)
        heard: list[object] = []

        def listen() -> None:
            try:
                next(call)
            except grpc.RpcError as error:
                heard.append(error.code())

        listener = Thread(target=listen)
        listener.start()
        time.sleep(0.3)
    listener.join(60)
    channel.close()
    assert heard == [grpc.StatusCode.UNAVAILABLE]
