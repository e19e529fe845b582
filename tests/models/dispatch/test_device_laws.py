"""Laws of further devices: room to move never costs, and what a baseline does can be run."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from loadloom.models.dispatch import referee
from loadloom.models.dispatch.devices.appliance import ShiftableAppliance
from loadloom.models.dispatch.general import solve_general
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.switching import Switching
from loadloom.models.options import SolveOptions
from tests.models.dispatch.device_instances import random_site

Change = Callable[[Problem], Problem]


def each(family: str, **changes: object) -> Change:
    """The site with every device of a family changed, by a value or a function of the device."""

    def changed(problem: Problem) -> Problem:
        devices = []
        for device in getattr(problem, family):
            values = {
                name: value(device) if callable(value) else value
                for name, value in changes.items()
                if hasattr(device, name)
            }
            devices.append(replace(device, **values))
        return replace(problem, **{family: tuple(devices)})

    return changed


def freer(switching: Switching) -> Switching:
    return replace(switching, least_on_h=0.0, least_off_h=0.0, start_cost=0.0, most_starts=None)


def softer(sessions):
    return tuple(replace(each, breach_price_per_kwh=0.01) for each in sessions)


LAWS = [
    ("vehicle", each("vehicles", charge_least_kw=0.0)),
    ("vehicle", each("vehicles", charge_limit_kw=lambda d: 2.0 * d.charge_limit_kw)),
    ("vehicle", each("vehicles", discharge_limit_kw=lambda d: 1.0 + d.discharge_limit_kw)),
    ("vehicle", each("vehicles", sessions=lambda d: softer(d.sessions))),
    ("vehicle", each("vehicles", public_price_per_kwh=0.1)),
    ("swapping", each("swappings", slot_count=lambda d: d.slot_count + 1)),
    ("swapping", each("swappings", missed_price=0.02)),
    ("appliance", each("appliances", latest=12, earliest=0)),
    ("appliance", each("appliances", breach_price_per_run=0.01, breach_price_per_h=0.01)),
    ("appliance", each("appliances", running_max_h=inf)),
    ("appliance", each("appliances", switching=lambda d: freer(d.switching))),
    ("unit", each("units", switching=lambda d: freer(d.switching))),
    ("unit", each("units", ramp_kw_per_h=inf)),
    # A start may go to the least power at once, so that alone is no room.
    ("unit", each("units", ramp_kw_per_h=inf, input_least_kw=lambda d: 0.0 * d.input_least_kw)),
    ("unit", each("units", input_limit_kw=lambda d: 1.5 * d.input_limit_kw)),
    ("heat", each("buses", dump=True)),
    ("heat", each("buses", breach_price_per_kwh=0.05)),
    ("heat", each("storages", energy_max_kwh=lambda d: 2.0 * d.energy_max_kwh)),
    ("room", each("rooms", temperature_min_c=lambda d: d.temperature_min_c - 1.0)),
    ("room", each("rooms", heating_limit_kw=inf)),
    ("room", each("rooms", breach_price_per_k_h=0.1)),
]


@pytest.mark.parametrize(("kind", "change"), LAWS)
def test_more_room_never_costs_more(kind, change):
    rng = np.random.default_rng(11)
    compared = 0
    for _ in range(6):
        problem = random_site(rng, kind, count=12)
        before, after = (
            solve_general(site, SolveOptions(relative_gap=1e-9))
            for site in (problem, change(problem))
        )
        if before.schedule is not None:
            assert after.schedule is not None
            most = referee.cost(problem, before.schedule).total
            cost = referee.cost(change(problem), after.schedule).total
            assert cost <= most + 1e-6 * max(1.0, abs(most))
            compared += 1
    assert compared >= 2


@pytest.mark.parametrize("kind", ["vehicle", "swapping", "appliance", "unit", "heat", "room"])
def test_no_plan_costs_more_than_a_baseline_that_keeps_the_rules(kind):
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(25):
        problem = random_site(rng, kind, count=10)
        plain = referee.baseline(problem)
        if not plain.within_limits:
            continue
        held += 1
        best = solve_general(problem, SolveOptions(relative_gap=1e-9))
        assert best.schedule is not None
        cost = referee.cost(problem, best.schedule).total
        assert cost <= plain.cost.total + 1e-6 * max(1.0, abs(cost))
    assert held >= 3


def test_runs_follow_the_hours_and_not_the_intervals():
    rng = np.random.default_rng(13)
    for _ in range(5):
        problem = random_site(rng, "appliance", count=12)
        washer = ShiftableAppliance(
            name="washer",
            profile_kw=np.array([2.0, 0.5]),
            profile_step_h=0.75,
            earliest=0,
            latest=12,
            run_count=2,
            breach_price_per_run=5.0,
        )
        problem = replace(problem, appliances=(washer,))
        solution = solve_general(problem, SolveOptions(relative_gap=1e-9))
        assert solution.schedule is not None
        plan = solution.schedule.appliances[0]
        begun = problem.horizon.boundaries_h[:-1][plan.starts > 0.5]
        assert np.all(np.diff(begun) >= 1.5 - 1e-9)
        drawn = float(plan.power_kw @ problem.horizon.step_h)
        assert drawn == pytest.approx(begun.size * 1.875)
