"""Days of 23 and 25 hours, a year of quarter hours: what devices do in them."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from loadloom.models.dispatch.conflicts import conflicts
from loadloom.models.dispatch.explain import reasons
from loadloom.models.dispatch.referee import cost, violations
from loadloom.models.dispatch.scenarios import Scenario
from loadloom.models.dispatch.solve import solve
from loadloom.models.horizon import Horizon
from loadloom.solvers.termination import Reason
from tests.models.dispatch import device_sites as make
from tests.models.dispatch.cases import site, target

AMSTERDAM = "Europe/Amsterdam"


def local_day(month: int, day: int, hours: int) -> Horizon:
    start = datetime(2024, month, day, tzinfo=ZoneInfo(AMSTERDAM))
    return Horizon(start=start, step_h=np.ones(hours), time_zone=AMSTERDAM)


def on(problem, horizon: Horizon):
    return replace(problem, horizon=horizon)


def test_the_hour_that_comes_twice_counts_twice():
    """A day of 25 hours, the cheapest of which is the second one from two to three."""
    prices = np.full(25, 0.3)
    prices[3] = 0.1
    problem = make.with_vehicle(prices, load=1.0, sessions=[make.stay(0, 25, 1.0)])
    problem = on(problem, local_day(10, 27, 25))
    solution = solve(problem)
    assert violations(problem, solution.schedule) == []
    assert cost(problem, solution.schedule).total == pytest.approx(24 * 0.3 + 0.1 + 0.1)
    assert np.flatnonzero(solution.schedule.vehicles[0].charge_kw).tolist() == [3]
    (told,) = reasons(problem, solution)
    assert "the cheapest interval left is 00:00 CEST" in told.text


def test_conflicts_tell_the_two_hours_apart():
    load = np.ones(25)
    load[3] = 4.0
    problem = on(site([0.1] * 25, load=load, import_limit=2.0), local_day(10, 27, 25))
    assert "from 02:00 CET to 03:00 CET" in conflicts(problem)[0].what
    certain = replace(problem, scenarios=(Scenario(name="as told", probability=1.0),))
    assert "from 02:00 CET to 03:00 CET" in conflicts(certain)[0].what


def test_the_hour_that_is_skipped_is_no_interval():
    """23 hours; a store that fills with 1 kW holds 3 kWh at four o'clock, the third hour's end."""
    store = {"capacity": 9.0, "discharge": 0.0, "targets": (target(2, low=3.0),)}
    problem = on(site([0.1] * 23, load=1.0, stores=[store]), local_day(3, 31, 23))
    assert problem.horizon.boundary(3).hour == 4
    assert cost(problem, solve(problem).schedule).total == pytest.approx(2.3 + 0.3)
    late = {**store, "targets": (target(2, low=3.5),)}
    short = on(site([0.1] * 23, load=1.0, stores=[late]), local_day(3, 31, 23))
    assert solve(short).termination.reason is Reason.INFEASIBLE
    assert any("at 04:00 CEST" in each.what for each in conflicts(short))


def test_a_car_is_charged_through_a_year_of_quarter_hours():
    """Each night from two to four it gets the 6 kWh that the day takes."""
    days, quarters = 365, np.arange(365 * 96)
    prices = np.where((quarters % 96) // 4 // 2 == 1, 0.1, 0.3)
    nights = [
        make.stay(96 * day, 96 * day + 32, 6.0, driven=6.0 if day else 0.0) for day in range(days)
    ]
    problem = make.with_vehicle(prices, step_h=0.25, capacity=40.0, power=3.0, sessions=nights)
    solution = solve(problem)
    assert solution.road == "convex kernel of a vehicle"
    assert violations(problem, solution.schedule) == []
    assert cost(problem, solution.schedule).total == pytest.approx(days * 0.6, rel=1e-9)
    assert solution.termination.bound == pytest.approx(days * 0.6, rel=1e-9)
