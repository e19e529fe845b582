"""Re-plans are stable: equal optima keep the earlier plan, other ones come near to it."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.dispatch.referee import cost, violations
from loadloom.models.dispatch.solve import solve
from tests.models.dispatch.instances import random_problem
from tests.models.dispatch.sites import battery, site
from tests.models.dispatch.sites_general import random_general


def moved(problem, schedule):
    return (schedule.charge_kw - schedule.discharge_kw) * problem.horizon.step_h


def off(problem, schedule, earlier):
    """By how many kWh the stores of two plans differ."""
    return np.abs(moved(problem, schedule) - moved(problem, earlier)).sum()


@pytest.mark.parametrize("seed", range(6))
def test_nothing_new_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    make = random_general if seed % 2 else random_problem
    problem = make(rng, count=10, stores=1 + seed % 3, convex=True)
    earlier = solve(problem).schedule
    if earlier is None:
        pytest.skip("no plan to keep")
    assert solve(problem, None, earlier).schedule is earlier


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


def test_near_plans_cost_no_more_and_keep_the_rules():
    nearer = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        problem = random_problem(rng, count=10, stores=1 + seed % 2)
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
