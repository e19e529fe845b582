"""Weeks by the clocks of places: days that begin late, deadlines across clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from loadloom.models.checks import Checks
from loadloom.models.orderly.problem import Notice, notice_deadline
from loadloom.models.orderly.week import Week, days_before


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Africa/Cairo", datetime(2026, 4, 23, 22, tzinfo=UTC)),
        ("America/Havana", datetime(2026, 3, 8, 5, tzinfo=UTC)),
        ("Asia/Beirut", datetime(2026, 3, 28, 22, tzinfo=UTC)),
    ],
)
def test_a_day_whose_midnight_is_left_out_begins_when_clocks_jump(zone, start):
    local = start.astimezone(ZoneInfo(zone))
    assert local.hour == 1
    week, checks = Week(start=start, time_zone=zone), Checks()
    assert week.check(checks), checks.violations
    assert week.begin(0, 0) == start
    assert week.slot_h[0, :3].tolist() == [0.0, 1.0, 1.0]
    assert not Week(start=start + timedelta(hours=1), time_zone=zone).check(Checks())


def test_days_are_those_of_the_calendar_and_hours_those_that_pass():
    zone = ZoneInfo("Europe/Berlin")
    monday = datetime(2026, 10, 26, 18, tzinfo=zone)
    assert days_before(monday, 7) == datetime(2026, 10, 19, 18, tzinfo=zone)
    begin = datetime(2026, 10, 26, 0, 5, tzinfo=zone)
    hours = [
        (begin.timestamp() - notice_deadline(begin, notice).timestamp()) / 3600.0
        for notice in Notice
    ]
    assert hours == [169.0, 25.0, 0.25, 0.0]


def test_a_deadline_that_is_left_out_is_the_moment_at_which_clocks_jump():
    zone = ZoneInfo("Europe/Berlin")
    jump = datetime(2027, 3, 28, 1, tzinfo=UTC)
    for minute in (0, 30, 59):
        begin = datetime(2027, 3, 29, 2, minute, tzinfo=zone)
        assert notice_deadline(begin, Notice.DAY).timestamp() == jump.timestamp()
