from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from loadloom.client.errors import InvalidRequest
from loadloom.client.orderly_week import Week

BERLIN = "Europe/Berlin"


def test_a_week_of_a_year_begins_on_its_monday():
    week = Week.of_name("2026-W53", time_zone=BERLIN)
    assert week.start == date(2026, 12, 28)
    assert week.name == "2026-W53"
    assert week.boundaries[0] == datetime(2026, 12, 27, 23, tzinfo=UTC)
    assert len(week.boundaries) == 169


def test_other_spans_are_named_by_their_days():
    assert Week(start=date(2026, 12, 8), day_count=3).name == "2026-12-08 to 2026-12-10"


@pytest.mark.parametrize("name", ["2026-W54", "2026-50", "week 50", "2025-W53", ""])
def test_there_are_weeks_that_there_are_not(name):
    with pytest.raises(InvalidRequest, match="must be a week of a year, such as 2026-W50"):
        Week.of_name(name)


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"day_count": 0}, "week.day_count"),
        ({"day_count": 32}, "week.day_count"),
        ({"slot_count": 97}, "week.slot_count"),
        ({"slot_count": 7}, "week.slot_count"),
        ({"time_zone": "Europe"}, "week.time_zone"),
        ({"time_zone": "Mars/Base"}, "week.time_zone"),
    ],
)
def test_a_week_that_cannot_be_is_told_by_its_field(said, path):
    with pytest.raises(InvalidRequest) as caught:
        Week(start=date(2026, 12, 7), **said)
    assert [violation.path for violation in caught.value.violations] == [path]


@pytest.mark.parametrize(
    ("start", "zone", "slot", "hours"),
    [
        (date(2026, 3, 23), BERLIN, 6 * 24 + 2, 0.0),
        (date(2026, 10, 19), BERLIN, 6 * 24 + 2, 2.0),
        (date(2026, 4, 20), "Africa/Cairo", 4 * 24, 0.0),
    ],
)
def test_a_slot_of_a_clock_change_lasts_no_time_or_double(start, zone, slot, hours):
    week = Week(start=start, time_zone=zone)
    assert week.slot_h[slot] == hours
    assert np.delete(week.slot_h, slot).tolist() == [1.0] * 167


def test_a_message_and_back():
    week = Week(start=date(2026, 4, 20), day_count=5, slot_count=96, time_zone="Africa/Cairo")
    assert Week.of_message(week.message()) == week


def test_days_by_number_date_and_name():
    week = Week.of_name("2026-W50")
    assert week.days(2) == week.days("2") == week.days("Wed") == week.days("wednesday") == [2]
    assert week.days(date(2026, 12, 13)) == [6]
    assert Week(start=date(2026, 12, 1), day_count=31).days("Tue") == [0, 7, 14, 21, 28]


@pytest.mark.parametrize("said", [7, -1, "Foo", "", date(2026, 12, 14)])
def test_days_that_a_week_has_not(said):
    with pytest.raises(ValueError, match="is no day of 2026-W50"):
        Week.of_name("2026-W50").days(said)


@pytest.mark.parametrize("minutes", [5, 15, 60, 240])
@pytest.mark.parametrize("start", [date(2026, 3, 23), date(2026, 10, 19), date(2026, 12, 7)])
def test_energy_is_the_same_in_slots_and_in_steps(start, minutes):
    week = Week(start=start, slot_count=24, time_zone=BERLIN)
    first, last = week.boundaries[0], week.boundaries[-1]
    step = timedelta(minutes=minutes)
    count = -((first.astimezone(UTC) - last.astimezone(UTC)) // step)
    values = np.random.default_rng(1).uniform(0, 100, count)
    means = week.sample(first, step, values)
    energy = values.sum() * minutes / 60
    beyond = first.astimezone(UTC) + count * step - last.astimezone(UTC)
    energy -= values[-1] * (beyond / timedelta(hours=1))
    assert (means * week.slot_h).sum() == pytest.approx(energy, rel=1e-12)


def test_values_of_the_slots_themselves_are_not_touched():
    week = Week.of_name("2026-W50", time_zone=BERLIN)
    values = np.random.default_rng(2).uniform(0, 100, 168)
    assert week.sample(week.boundaries[0], timedelta(hours=1), values).tolist() == values.tolist()


def test_the_index_is_local():
    index = Week.of_name("2026-W50", time_zone=BERLIN).index
    assert index[0] == pd.Timestamp("2026-12-07", tz=BERLIN)
    assert str(index.tz) == BERLIN
