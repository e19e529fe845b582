"""Re-plans are stable: equal optima keep the earlier plan, other ones come near to it."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.dispatch.general import Search
from loadloom.models.dispatch.referee import cost, violations
from loadloom.models.dispatch.solve import solve
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.device_instances import KINDS, random_site
from tests.models.dispatch.instances import random_problem
from tests.models.dispatch.sites import battery, site
from tests.models.dispatch.sites_general import random_general
from tests.models.dispatch.test_general_conflicts import priced


def moved(problem, schedule):
    return (schedule.charge_kw - schedule.discharge_kw) * problem.horizon.step_h


def off(problem, schedule, earlier):
    """By how many kWh the stores of two plans differ."""
    return np.abs(moved(problem, schedule) - moved(problem, earlier)).sum()


def test_nothing_new_changes_nothing():
    kept = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        make = random_general if seed % 2 else random_problem
        problem = make(rng, count=10, stores=1 + seed % 3, convex=True)
        earlier = solve(problem).schedule
        if earlier is not None:
            assert solve(problem, None, earlier).schedule is earlier
            kept += 1
    assert kept > 3


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_new_changes_nothing_for_any_device(kind):
    kept = 0
    for seed in range(4):
        problem = random_site(np.random.default_rng([seed, 5]), kind, count=8)
        earlier = solve(problem).schedule
        if earlier is not None:
            assert solve(problem, None, earlier).schedule is earlier
            kept += 1
    assert kept > 1


def test_of_equal_hours_the_one_planned_before_stays():
    # Three hours at the same price: any of them can charge the 2 kWh that the last one needs.
    problem = site(battery(4, charge=2.0), buy=[0.1, 0.1, 0.1, 0.5], load=[0.0, 0.0, 0.0, 2.0])
    for hour in range(3):
        blocked = np.zeros(4)
        blocked[hour] = 2.0
        store = replace(problem.storages[0], charge_limit_kw=blocked)
        earlier = solve(replace(problem, storages=(store,))).schedule
        dearer = replace(problem.meter, buy_price_per_kwh=problem.meter.buy_price_per_kwh + 0.05)
        again = solve(replace(problem, meter=dearer), None, earlier)
        assert again.schedule is earlier


def test_where_the_earlier_plan_is_no_longer_best_the_nearest_is_taken():
    # A little more load: the hour that charged before charges the rest too.
    before = site(battery(3, charge=4.0), buy=[0.1, 0.1, 0.5], load=[0.0, 0.0, 2.0])
    after = site(battery(3, charge=4.0), buy=[0.1, 0.1, 0.5], load=[0.0, 0.0, 2.5])
    for hour in range(2):
        limit = np.zeros(3)
        limit[hour] = 4.0
        store = replace(before.storages[0], charge_limit_kw=limit)
        earlier = solve(replace(before, storages=(store,))).schedule
        plan = solve(after, None, earlier).schedule
        assert off(after, plan, earlier) == pytest.approx(1.0)


@pytest.mark.parametrize("make", [random_problem, random_general])
def test_near_plans_cost_no_more_and_keep_the_rules(make):
    nearer = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        problem = make(rng, count=10, stores=1 + seed % 2, convex=seed % 2 == 0)
        earlier = solve(problem).schedule
        loads = tuple(replace(load, power_kw=load.power_kw * 1.01) for load in problem.loads)
        changed = replace(problem, loads=loads)
        free = solve(changed)
        if earlier is None or free.schedule is None:
            continue
        near = solve(changed, None, earlier)
        assert violations(changed, near.schedule) == []
        least = cost(changed, free.schedule).total
        assert cost(changed, near.schedule).total <= least + 2e-9 * max(1.0, abs(least))
        distances = [off(changed, each.schedule, earlier) for each in (near, free)]
        assert distances[0] <= distances[1] + 1e-5
        nearer += distances[0] < distances[1] - 1e-3
    assert nearer > 2


def test_an_earlier_plan_of_another_site_is_left_alone():
    one = site(battery(2), buy=[0.1, 0.2], load=1.0)
    two = site(battery(3), buy=[0.1, 0.2, 0.1], load=1.0)
    assert violations(two, solve(two, None, solve(one).schedule).schedule) == []


def test_what_the_earlier_plan_does_not_tell_is_free():
    problem = site(battery(4, charge=2.0), buy=[0.1, 0.1, 0.1, 0.5], load=[0.0, 0.0, 0.0, 2.0])
    limit = np.array([0.0, 2.0, 0.0, 0.0])
    store = replace(problem.storages[0], charge_limit_kw=limit)
    known = solve(replace(problem, storages=(store,))).schedule
    charge, energy = known.charge_kw.copy(), known.energy_kwh.copy()
    charge[:, 2:] = energy[:, 2:] = np.nan
    plan = solve(problem, None, replace(known, charge_kw=charge, energy_kwh=energy)).schedule
    assert plan.charge_kw[0] == pytest.approx(limit)


def test_a_plan_too_cheap_to_be_true_is_not_kept():
    """It breaks rules by less than is tolerated, in every interval, and so costs too little."""
    problem = priced(site(buy=[1.0] * 24, sell=[0.999] * 24, load=[1.0] * 24, pv=[1.0] * 24))
    best = solve(problem).schedule
    cheap = replace(best, export_kw=best.export_kw + 9e-7)
    assert violations(problem, cheap) == []
    again = solve(problem, None, cheap)
    assert cost(problem, again.schedule).total >= again.termination.bound - 1e-9


def test_without_time_the_earlier_plan_is_better_than_none():
    problem = priced(site(battery(3), buy=[0.1, 0.2, 0.3], load=[1.0, 1.0, 1.0]))
    no_time = SolveOptions(time_limit_s=0.0)
    assert solve(problem, no_time).termination.reason is Reason.NO_SOLUTION_FOUND
    earlier = solve(problem).schedule
    kept = solve(problem, no_time, earlier)
    assert kept.schedule is earlier
    assert kept.termination.reason is Reason.FEASIBLE
    assert kept.termination.objective == pytest.approx(cost(problem, earlier).total)
    assert kept.termination.bound <= kept.termination.objective
    broken = replace(earlier, import_kw=0.5 * earlier.import_kw)
    assert solve(problem, no_time, broken).schedule is None


def test_the_nearest_plan_is_found_from_the_search_that_found_the_best(monkeypatch):
    before = priced(site(battery(3), buy=[0.1, 0.1, 0.5], load=[0.0, 0.0, 2.0]))
    after = priced(site(battery(3), buy=[0.1, 0.1, 0.5], load=[0.0, 0.0, 2.5]))
    earlier, run, runs = solve(before).schedule, Search.run, []
    monkeypatch.setattr(Search, "run", lambda self: runs.append(1) or run(self))
    assert off(after, solve(after, None, earlier).schedule, earlier) == pytest.approx(1.0)
    assert len(runs) == 1
