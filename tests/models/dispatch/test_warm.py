"""Solves that go on from the last one of their site: the same optima, within bounds of memory."""

from dataclasses import fields, is_dataclass, replace
from datetime import timedelta

import numpy as np
import pytest

from loadloom.models.dispatch.blocks.site import build
from loadloom.models.dispatch.general import WARM, Planner, solve_general
from loadloom.models.dispatch.planners import Planners
from loadloom.models.dispatch.referee import verdict
from loadloom.models.dispatch.solve import solve
from loadloom.models.options import SolveOptions
from tests.models.dispatch.device_instances import KINDS, random_site
from tests.models.dispatch.instances import random_problem
from tests.models.dispatch.sites_general import random_general
from tests.models.dispatch.test_general import with_meter
from tests.models.dispatch.test_general_conflicts import priced

EXACT = SolveOptions(relative_gap=0.0)
COUNT = 12


def repriced(problem, rng, spread):
    """New prices, and a new forecast of the loads that spreads so far around the last."""
    buy = problem.meter.buy_price_per_kwh * rng.uniform(0.7, 1.3, problem.horizon.count)
    sell = np.minimum(problem.meter.sell_price_per_kwh, buy)
    loads = tuple(
        replace(load, power_kw=load.power_kw * rng.uniform(1.0 - spread, 1.0 + spread))
        for load in problem.loads
    )
    new = with_meter(problem, buy_price_per_kwh=buy, sell_price_per_kwh=sell)
    return replace(new, loads=loads)


def rolled(part, by, count):
    """A site whose series have rolled on by some intervals, what was first being last."""
    if isinstance(part, np.ndarray):
        return np.roll(part, -by) if part.shape == (count,) else part
    if isinstance(part, tuple):
        return tuple(rolled(each, by, count) for each in part)
    if isinstance(part, dict):
        return {name: rolled(each, by, count) for name, each in part.items()}
    if not is_dataclass(part):
        return part
    changed = {f.name: rolled(getattr(part, f.name), by, count) for f in fields(part)}
    if "start" in changed:
        changed["start"] += timedelta(hours=float(part.step_h[:by].sum()))
    return replace(part, **changed)


def general(rng):
    return random_general(rng, count=COUNT, stores=2, convex=bool(rng.random() < 0.7))


def devices(rng):
    return random_site(rng, str(rng.choice(KINDS)), count=COUNT)


@pytest.mark.parametrize("make", [general, devices])
@pytest.mark.parametrize("seed", range(6))
def test_sequences_of_solves_have_the_optima_of_fresh_ones(make, seed):
    rng, planner, warm = np.random.default_rng([7, seed]), Planner(), 0
    problem, planned = make(rng), 0
    for step in range(6):
        found, fresh = planner.solve(problem, EXACT), solve_general(problem, EXACT)
        assert found.termination.reason is fresh.termination.reason
        if fresh.schedule is not None:
            planned += 1
            told = verdict(problem, found.schedule)
            assert told.violations == []
            assert told.cost.total == pytest.approx(fresh.termination.objective, abs=1e-6)
            assert found.termination.bound == pytest.approx(fresh.termination.bound, abs=1e-6)
        warm += WARM in found.road
        problem = repriced(problem, rng, spread=0.0 if step < 2 else 0.05)
        if step % 2 and not problem.appliances:  # whose windows are as long as they must be
            problem = rolled(problem, int(rng.integers(1, 4)), COUNT)
    assert warm >= planned - 1


def test_new_prices_alone_leave_the_programme_as_it_is_but_for_its_costs():
    rng, planner = np.random.default_rng(4), Planner()
    problem = priced(random_problem(rng, count=COUNT, stores=2))
    planner.solve(problem, EXACT)
    programme = planner.search.site.programme
    for spread, kept in ((0.0, True), (0.1, False)):
        problem = repriced(problem, rng, spread)
        planner.solve(problem, EXACT)
        assert (planner.search.site.programme is programme) is kept
        fresh = build(problem)
        assert planner.search.base.cost.tolist() == fresh.cost.tolist()


def test_sites_with_scenarios_are_remembered_too():
    rng, planner, warm = np.random.default_rng(0), Planner(), 0
    while warm < 2:
        problem = general(rng)
        if not problem.scenarios:
            continue
        for _ in range(2):
            found, fresh = planner.solve(problem, EXACT), solve_general(problem, EXACT)
            assert found.termination.objective == pytest.approx(fresh.termination.objective)
            problem = repriced(problem, rng, 0.0)
        warm += 1


def test_a_site_that_has_changed_altogether_is_solved_all_the_same():
    planner, rng = Planner(), np.random.default_rng(2)
    for stores in (1, 3, 2):
        problem = priced(random_problem(rng, count=COUNT, stores=stores))
        found, fresh = planner.solve(problem, EXACT), solve_general(problem, EXACT)
        assert found.termination.objective == pytest.approx(fresh.termination.objective)


def test_only_so_many_sites_are_remembered_those_of_last():
    planners, problem = Planners(sites=3, entries=10**9), priced(small())
    for key in ("a", "b", "c", "a", "d"):
        with planners.of(key, 0) as planner:
            solve(problem, EXACT, None, planner)
    assert len(planners) == 3
    assert [WARM in road(planners, problem, key) for key in ("c", "a", "d")] == [True] * 3
    assert WARM not in road(planners, problem, "b")


def test_only_so_much_of_programmes_is_remembered():
    problem = priced(small())
    with Planners(sites=9, entries=10**9).of("a", 0) as planner:
        solve(problem, EXACT, None, planner)
    planners = Planners(sites=9, entries=2 * planner.size)
    for key in ("a", "b", "c"):
        road(planners, problem, key)
    assert len(planners) == 2
    assert WARM not in road(planners, problem, "a")


def test_without_a_key_nothing_is_remembered_and_a_failure_is_forgotten():
    planners, problem = Planners(sites=9, entries=10**9), priced(small())
    assert [WARM in road(planners, problem, "") for _ in range(2)] == [False] * 2
    road(planners, problem, "a")
    with pytest.raises(RuntimeError), planners.of("a", 0):
        raise RuntimeError
    assert WARM not in road(planners, problem, "a")
    assert WARM in road(planners, problem, "a")
    assert WARM not in road(planners, problem, "a", seed=1)


def small():
    return random_problem(np.random.default_rng(1), count=4, stores=1)


def road(planners, problem, key, seed=0):
    with planners.of(key, seed) as planner:
        return solve(problem, replace(EXACT, seed=seed), None, planner).road
