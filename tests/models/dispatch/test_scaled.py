"""Sites of any size: the same programme in another unit, and the same plan."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from loadloom.models.dispatch.blocks.site import build
from loadloom.models.dispatch.general import solve_general
from loadloom.models.dispatch.referee import verdict
from loadloom.models.dispatch.reference import solve_reference
from loadloom.models.dispatch.replan import KEPT
from loadloom.models.dispatch.scaled import LARGEST_UNIT, scaled, unit_kwh
from loadloom.models.dispatch.solve import solve
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.device_instances import random_site
from tests.models.dispatch.sites import battery, site
from tests.models.dispatch.sites_general import random_general
from tests.models.dispatch.test_general_conflicts import priced

EXACT = SolveOptions(relative_gap=1e-9, time_limit_s=60.0)
GROWN = 2.0**20
"""From kW to GW."""


def make(seed):
    rng = np.random.default_rng([11, seed])
    if seed % 3 == 2:
        return random_site(rng, "mixed", count=6)
    return random_general(rng, count=8, stores=2, convex=bool(seed % 2))


def numbers(part):
    """All numbers of a site, in order."""
    if isinstance(part, np.ndarray | float | int):
        return [np.asarray(part, np.float64).ravel()]
    if isinstance(part, dict):
        part = tuple(part.values())
    if isinstance(part, tuple):
        return [x for each in part for x in numbers(each)]
    return numbers(tuple(getattr(part, f.name) for f in fields(part))) if is_dataclass(part) else []


@pytest.mark.parametrize("seed", range(6))
def test_a_site_a_million_times_as_large_costs_a_million_times_as_much(seed):
    small = make(seed)
    large = scaled(small, GROWN)
    assert unit_kwh(small) == 1.0
    assert unit_kwh(large) > 1.0
    one, other = solve_general(small, EXACT), solve_general(large, EXACT)
    reference = solve_reference(large, EXACT)
    assert other.termination.reason is one.termination.reason
    assert reference.termination.reason is one.termination.reason
    if one.schedule is None:
        return
    told = verdict(large, other.schedule)
    assert told.violations == []
    assert told.cost.total == pytest.approx(other.termination.objective)
    for found in (other, reference):
        assert found.termination.objective / GROWN == pytest.approx(
            one.termination.objective, rel=1e-6, abs=1e-6
        )
        assert found.termination.bound <= found.termination.objective


def test_the_unit_brings_back_the_very_same_programme():
    for seed in range(6):
        small = make(seed)
        again = scaled(scaled(small, GROWN), 1.0 / GROWN)
        assert all(map(np.array_equal, numbers(small), numbers(again)))
        one, other = build(small), build(again)
        assert one.cost.tolist() == other.cost.tolist()
        entries = [each.programme.program(each.cost).matrix.entries for each in (one, other)]
        assert entries[0].tolist() == entries[1].tolist()


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_everything_that_is_energy_or_money_grows_and_nothing_else(seed):
    small = make(seed)
    large = scaled(small, 2.0)
    for (name, one), (_, other) in zip(named(small), named(large), strict=True):
        grown = not np.array_equal(one, other)
        fixed = name.endswith(("_per_kwh", "_per_kg", "_per_kw", "efficiency", "_h", "_c", "share"))
        if np.any(one) and np.isfinite(one).all() and "breach_price_per_" not in name:
            assert grown is not (fixed and name != "ramp_kw_per_h") or name in OTHERS, name


OTHERS = {
    "arrival", "departure", "boundary", "earliest", "latest", "interval", "electric", "rated",
    "heat_per_input", "electricity_per_input", "curtailable", "probability", "run_count",
    "slot_count", "dump", "intervals", "initially_on", "most_starts", "from_share", "weight",
    "level",
}  # fmt: skip
"""What grows with no site, and does not say so by the end of its name."""


def named(part, name=""):
    """All numbers of a site with the names of their fields."""
    if isinstance(part, np.ndarray | float | int):
        return [(name, np.asarray(part, np.float64))]
    if isinstance(part, dict):
        part = tuple(part.values())
    if isinstance(part, tuple):
        return [x for each in part for x in named(each, name)]
    if not is_dataclass(part):
        return []
    return [x for f in fields(part) for x in named(getattr(part, f.name), f.name)]


def test_a_tank_without_end_does_not_make_a_home_large():
    problem = site(battery(4, capacity=1e9, charge=1e9), buy=[0.1, 0.2, 0.3, 0.4], load=1.0)
    assert unit_kwh(problem) == 1.0
    assert unit_kwh(scaled(problem, 2.0**40)) == LARGEST_UNIT


def test_the_earlier_plan_of_a_large_site_is_kept():
    large = scaled(priced(site(battery(4), buy=[0.1, 0.1, 0.3, 0.3], load=1.0)), GROWN)
    earlier = solve(large, EXACT).schedule
    again = solve(large, EXACT, earlier)
    assert KEPT in again.road
    assert again.termination.reason is Reason.OPTIMAL
