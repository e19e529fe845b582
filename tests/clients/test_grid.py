from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from loadloom.client.errors import InvalidRequest
from loadloom.client.grid import Grid

ZONE = ZoneInfo("Europe/Amsterdam")
QUARTER = timedelta(minutes=15)


def day(text, freq="15min", tz="Europe/Amsterdam"):
    start = pd.Timestamp(text, tz=tz)
    return pd.date_range(start, start + pd.DateOffset(days=1), freq=freq, inclusive="left")


@pytest.mark.parametrize(
    ("text", "count"), [("2024-06-01", 96), ("2024-03-31", 92), ("2024-10-27", 100)]
)
def test_an_index_of_a_local_day_becomes_an_even_grid_and_back(text, count):
    index = day(text)
    grid = Grid.of_index(index)
    assert (grid.step, grid.count, grid.time_zone) == (QUARTER, count, "Europe/Amsterdam")
    assert (grid.index == index).all()
    assert grid.index.tz == index.tz
    message = grid.message()
    assert message.step.ToTimedelta() == QUARTER
    assert (message.count, len(message.steps)) == (count, 0)
    assert message.start_time.ToDatetime(UTC) == index[0]


def test_an_uneven_index_tells_the_length_of_each_interval():
    index = pd.DatetimeIndex(["2024-06-01 00:00", "2024-06-01 00:15", "2024-06-01 01:15"], tz=ZONE)
    grid = Grid.of_index(index, uneven=True)
    assert grid.steps == (QUARTER, 4 * QUARTER, 4 * QUARTER)
    assert [step.ToTimedelta() for step in grid.message().steps] == list(grid.steps)
    assert not grid.message().HasField("step")


def test_calendar_days_have_23_hours_when_clocks_are_put_forward():
    index = pd.date_range("2024-03-30", periods=2, freq="D", tz="Europe/Amsterdam")
    assert Grid.of_index(index).steps == (timedelta(hours=24), timedelta(hours=23))


def test_boundaries_are_in_the_zone_of_the_site():
    start = datetime(2024, 3, 31, tzinfo=UTC)
    grid = Grid(start=start, step=timedelta(hours=1), count=3, time_zone="Europe/Amsterdam")
    assert [moment.hour for moment in grid.boundaries] == [1, 3, 4, 5]
    assert grid.boundaries[-1] == start + timedelta(hours=3)


@pytest.mark.parametrize(
    ("zone", "name"),
    [(ZONE, "Europe/Amsterdam"), (UTC, "UTC"), (timezone(timedelta(hours=2)), "UTC")],
)
def test_the_zone_is_that_of_the_start_and_utc_for_a_bare_offset(zone, name):
    assert Grid(start=datetime(2024, 6, 1, tzinfo=zone), step=QUARTER, count=1).time_zone == name


def test_a_zone_that_is_told_goes_before_that_of_the_start():
    start = datetime(2024, 6, 1, tzinfo=ZONE)
    assert Grid(start=start, step=QUARTER, count=1, time_zone="UTC").time_zone == "UTC"


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (day("2024-06-01", tz=None), "no time zone; use index.tz_localize"),
        (day("2024-06-01")[::-1], "must increase"),
        (day("2024-06-01").repeat(2), "must increase"),
        (day("2024-06-01")[:0], "the index has no times"),
        (pd.DatetimeIndex([day("2024-06-01")[0]]), "not known from an index of one time"),
        (pd.RangeIndex(96), "is a RangeIndex; must be a DatetimeIndex"),
    ],
)
def test_an_index_that_is_no_grid_is_refused(index, words):
    with pytest.raises(InvalidRequest, match=words):
        Grid.of_index(index)


def test_a_start_without_a_zone_is_refused():
    with pytest.raises(InvalidRequest, match=r"grid\.start_time: has no time zone"):
        Grid(start=datetime(2024, 6, 1), step=QUARTER, count=1)


def test_a_gap_in_an_index_is_not_taken_for_a_long_interval():
    index = pd.date_range("2024-06-01", periods=24, freq="h", tz=ZONE).delete(5)
    with pytest.raises(InvalidRequest, match="fill the gap"):
        Grid.of_index(index)
