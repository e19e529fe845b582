"""The time axis keeps local days, uneven steps and instants apart."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import Horizon

AMSTERDAM = "Europe/Amsterdam"


def local(*moment):
    return datetime(*moment, tzinfo=ZoneInfo(AMSTERDAM))


@pytest.mark.parametrize(
    ("day", "hours"), [((2024, 3, 31), 23), ((2024, 10, 27), 25), ((2024, 5, 13), 24)]
)
def test_a_local_day_has_the_hours_of_its_clock_change(day, hours):
    horizon = Horizon(start=local(*day), step_h=np.ones(hours), time_zone=AMSTERDAM)
    assert horizon.boundary(hours) == local(*day) + timedelta(days=1)
    assert horizon.boundary(hours).hour == 0


def test_the_hour_that_comes_twice_is_told_apart():
    horizon = Horizon(start=local(2024, 10, 27), step_h=np.ones(25), time_zone=AMSTERDAM)
    assert (horizon.clock(2), horizon.clock(3)) == ("02:00 CEST", "02:00 CET")
    assert horizon.boundary(3).timestamp() - horizon.boundary(2).timestamp() == 3600


def test_uneven_steps_add_up():
    horizon = Horizon(start=datetime(2024, 1, 1, tzinfo=UTC), step_h=np.array([0.25, 1.0, 2.0]))
    np.testing.assert_allclose(horizon.boundaries_h, [0, 0.25, 1.25, 3.25])
    assert horizon.clock(2) == "01:15"


@pytest.mark.parametrize("minutes", [1, 20])
def test_every_boundary_of_a_year_of_short_steps_is_a_whole_minute(minutes):
    count = 365 * 24 * 60 // minutes
    horizon = Horizon(start=datetime(2023, 1, 1, tzinfo=UTC), step_h=np.full(count, minutes / 60))
    length = timedelta(minutes=minutes)
    wrong = [i for i in range(count + 1) if horizon.boundary(i) != horizon.start + i * length]
    assert not wrong


def test_an_instant_between_boundaries_has_no_index():
    horizon = Horizon(start=datetime(2024, 1, 1, tzinfo=UTC), step_h=np.full(96, 0.25))
    assert horizon.boundary_index(horizon.start + timedelta(hours=24)) == 96
    assert horizon.boundary_index(horizon.start + timedelta(minutes=30)) == 2
    assert horizon.boundary_index(horizon.start + timedelta(minutes=31)) is None
    assert horizon.boundary_index(horizon.start - timedelta(minutes=15)) is None
    assert horizon.boundary_index(horizon.start + timedelta(hours=25)) is None


def test_times_of_another_day_carry_it():
    horizon = Horizon(start=local(2024, 5, 13, 22), step_h=np.ones(4), time_zone=AMSTERDAM)
    assert horizon.clock(1) == "23:00"
    assert horizon.clock(2) == "Tue 14 May 00:00"


@pytest.mark.parametrize(
    ("start", "step_h", "path"),
    [
        (datetime(2024, 1, 1), np.ones(2), "start_time"),
        (datetime(2024, 1, 1, tzinfo=UTC), np.ones(0), "count"),
        (datetime(2024, 1, 1, tzinfo=UTC), np.array([1.0, 0.0]), "step"),
        (datetime(2024, 1, 1, tzinfo=UTC), np.array([1.0, np.nan]), "step"),
    ],
)
def test_a_faulty_axis_is_refused_by_path(start, step_h, path):
    with pytest.raises(InvalidProblem) as refused:
        Horizon(start=start, step_h=step_h)
    assert [v.path for v in refused.value.violations] == [path]
