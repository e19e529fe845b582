"""When notices are due, by the calendar and across clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from loadloom.engine.answers.notices import Kind, due_time, due_times
from loadloom.models.orderly.problem import Notice

BERLIN = ZoneInfo("Europe/Berlin")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("begin", "kind", "due"),
    [
        ("2026-03-29T18:00+02:00", Kind.REMINDER, "2026-03-28T18:00+01:00"),
        ("2026-03-29T18:00+02:00", Kind.ANNOUNCEMENT, "2026-03-22T18:00+01:00"),
        ("2026-10-25T18:00+01:00", Kind.REMINDER, "2026-10-24T18:00+02:00"),
        # A quarter of an hour passes even where the clock says otherwise.
        ("2026-03-29T03:00+02:00", Kind.CALL, "2026-03-29T01:45+01:00"),
        ("2026-10-25T02:00+01:00", Kind.CALL, "2026-10-25T02:45+02:00"),
        # 02:30 was left out the day before: it is due as the clock jumps from 02:00 to 03:00.
        ("2026-03-30T02:30+02:00", Kind.REMINDER, "2026-03-29T03:00+02:00"),
        # 02:30 came twice the day before: it is due the first time.
        ("2026-10-26T02:30+01:00", Kind.REMINDER, "2026-10-25T02:30+02:00"),
    ],
)
def test_a_day_and_a_week_ahead_are_those_of_the_calendar(begin, kind, due):
    found = due_time(datetime.fromisoformat(begin).astimezone(BERLIN), kind)
    assert found.astimezone(UTC) == datetime.fromisoformat(due).astimezone(UTC)


@pytest.mark.parametrize(
    ("notice", "kinds"),
    [
        (Notice.WEEK, [Kind.ANNOUNCEMENT, Kind.REMINDER, Kind.CALL]),
        (Notice.DAY, [Kind.REMINDER, Kind.CALL]),
        (Notice.QUARTER_HOUR, [Kind.CALL]),
        (Notice.IMMEDIATE, [Kind.CALL]),
    ],
)
def test_none_is_given_sooner_than_the_measure_asks(notice, kinds):
    begin = datetime(2026, 11, 12, 18, tzinfo=BERLIN)
    found = due_times(begin, notice, LONG_AGO)
    assert [kind for kind, _ in found] == kinds
    assert [due for _, due in found] == sorted(due for _, due in found)


@pytest.mark.parametrize(
    ("ahead", "kinds"),
    [
        (timedelta(days=8), [Kind.ANNOUNCEMENT, Kind.REMINDER, Kind.CALL]),
        (timedelta(days=3), [Kind.ANNOUNCEMENT, Kind.REMINDER, Kind.CALL]),
        (timedelta(hours=2), [Kind.ANNOUNCEMENT, Kind.CALL]),
        (timedelta(minutes=5), [Kind.ANNOUNCEMENT]),
        (timedelta(minutes=-5), [Kind.ANNOUNCEMENT]),
    ],
)
def test_what_should_have_been_said_before_is_said_once_and_now(ahead, kinds):
    begin = datetime(2026, 11, 12, 18, tzinfo=BERLIN)
    now = begin - ahead
    found = due_times(begin, Notice.WEEK, now)
    assert [kind for kind, _ in found] == kinds
    assert all(due >= now for _, due in found)
