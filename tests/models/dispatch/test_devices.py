"""Every device on sites whose optimum is known by hand."""

import numpy as np
import pytest

from loadloom.models.dispatch import referee
from loadloom.models.dispatch.blocks.site import build
from loadloom.models.dispatch.conflicts import conflicts
from loadloom.models.dispatch.devices.swapping import SwappingStation
from loadloom.models.dispatch.general import solve_general
from loadloom.models.dispatch.reference import solve_reference
from loadloom.models.dispatch.single.road import solve_single
from loadloom.models.dispatch.solve import solve_kernel
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch import device_sites as make
from tests.models.dispatch.device_cases import CASES

CONFLICTS = {
    "cannot be charged": {"vehicles[0].charge_limit_kw", "vehicles[0].sessions[0].wanted_kwh"},
    "too late": {"appliances[0].run_count"},
    "no room to run": {"appliances[0].running_min_h"},
    "too cold": {"units[0].input_limit_kw", "buses[0].demand_kw"},
    "no time": {"swappings[0].capacity_kwh"},
    "limited": {"rooms[0].heating_limit_kw", "rooms[0].temperature_min_c"},
    "held on without fuel": {
        "units[0].input_limit_kw",
        "units[0].input_least_kw",
        "units[0].switching.least_on_h",
    },
}
"""The rules that stand against each other where there is no plan."""

OPTIONS = SolveOptions(relative_gap=1e-9)


@pytest.mark.parametrize("solve", [solve_general, solve_reference])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_road_finds_the_known_optimum(case, solve):
    solution = solve(case.problem, OPTIONS)
    if np.isinf(case.optimum):
        assert solution.termination.reason is Reason.INFEASIBLE
        return
    assert solution.termination.reason is Reason.OPTIMAL
    assert solution.schedule is not None
    assert referee.violations(case.problem, solution.schedule) == []
    cost = referee.cost(case.problem, solution.schedule).total
    assert cost == pytest.approx(case.optimum, abs=1e-7)
    assert solution.termination.bound <= case.optimum + 1e-7


@pytest.mark.parametrize("case", [case for case in CASES if np.isinf(case.optimum)], ids=str)
def test_the_rules_without_a_plan_are_told(case):
    found = conflicts(case.problem)
    named = {conflict.rule.removeprefix("site.") for conflict in found}
    assert named
    assert named <= CONFLICTS[case.name]


def test_a_kwh_in_a_vehicle_is_worth_what_it_saves_also_while_it_is_away():
    """0.5 of 1.5 kWh are charged at 0.2; after the last departure only the end value counts."""
    first = make.stay(0, 2)
    problem = make.with_vehicle(
        [0.4, 0.3, 0.0, 0.1, 0.2, 0.0], initial=0.2, sessions=[first, make.stay(3, 5, 1.7)]
    )
    for solution in (solve_general(problem, OPTIONS), solve_single(problem, solve_kernel)):
        assert solution is not None
        assert solution.values is not None
        assert solution.values.held["vehicles[0]"] == pytest.approx([0.2] * 5 + [0.0])


def test_a_kwh_in_a_room_is_worth_the_heat_it_saves():
    """Two kWh warm it by the kelvin it needs by two o'clock, at 0.1; what is left is worth none."""
    problem = make.with_room([0.3, 0.1, 0.2], low=[0, 21, 0], capacity=2.0)
    values = solve_general(problem, OPTIONS).values
    assert values is not None
    assert values.held["rooms[0]"] == pytest.approx([0.1, 0.1, 0.0])


def test_a_kwh_in_a_battery_of_a_station_is_worth_what_it_saves_until_its_swap():
    """Half of it is charged at 0.1, then the half that is missing in what came back at 0.2."""
    problem = make.with_station([0.5], [(2, [0.5])], end_value_per_kwh=0.3)
    values = solve_general(problem, OPTIONS).values
    assert values is not None
    assert values.held["swappings[0].places[0]"] == pytest.approx([0.1, 0.1, 0.2, 0.2])


def test_a_station_sorts_its_swaps_once_and_not_for_each_battery(monkeypatch):
    problem = make.with_station([1.0] * 50, [(1, [0.0] * 50)])
    swaps, calls = SwappingStation.swaps, []
    monkeypatch.setattr(SwappingStation, "swaps", lambda self: calls.append(1) or swaps(self))
    build(problem)
    assert len(calls) < 10
