"""The linear and mixed-integer roads find the best plan, prove it, and never run both ways."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.certificate import Proof
from loadloom.models.dispatch.linear import Planner, solve_linear, solve_mixed_integer
from loadloom.models.dispatch.linear_model import arrays, matrix, no_pairs, program
from loadloom.models.dispatch.problem import EnergyTarget, Load, Problem
from loadloom.models.dispatch.referee import cost, violations
from loadloom.models.dispatch.reference import solve_reference
from loadloom.models.dispatch.solution import Schedule, Solution
from loadloom.models.dispatch.values import dual_bound
from loadloom.models.options import SolveOptions
from loadloom.solvers.highs import Model
from loadloom.solvers.termination import Reason
from tests.models.dispatch.instances import random_problem
from tests.models.dispatch.sites import battery, site

METHODS = [solve_linear, solve_mixed_integer, solve_reference]
TIGHT = SolveOptions(relative_gap=1e-9)


def refereed(problem: Problem, solution: Solution) -> float:
    """The cost of an optimal plan that keeps every rule."""
    assert solution.termination.reason is Reason.OPTIMAL
    assert solution.schedule is not None
    assert violations(problem, solution.schedule) == []
    paid = cost(problem, solution.schedule).total
    assert paid == pytest.approx(solution.termination.objective, rel=1e-9, abs=1e-9)
    assert solution.termination.bound <= paid + 1e-9 * max(1.0, abs(paid))
    return paid


def never_both(schedule: Schedule) -> bool:
    """Whether nothing runs both ways at once, to the last digit."""
    stores = np.minimum(schedule.charge_kw, schedule.discharge_kw)
    return not stores.any() and not np.minimum(schedule.import_kw, schedule.export_kw).any()


def relaxation(problem: Problem) -> float:
    """What the linear programme alone claims the best cost to be."""
    entries = arrays(problem)
    none = no_pairs(entries)
    return Model(program(entries, none, matrix(entries, none))).solve().termination.objective


@pytest.mark.parametrize("solve", METHODS)
class TestKnownOptima:
    """Each worked out by hand."""

    def test_energy_is_moved_to_where_it_is_dear(self, solve):
        # 5 kWh drawn at 0.1 store 4.5, which give back 4.05 at 0.3: 10 x 0.1 + 0.5 + 5.95 x 0.3.
        problem = site(battery(2, efficiency=0.9), buy=[0.1, 0.3], load=10.0)
        assert refereed(problem, solve(problem, TIGHT)) == pytest.approx(3.285)

    def test_wear_beyond_the_spread_keeps_the_store_still(self, solve):
        # Moving a kWh in and out earns 0.2 and wears 2 x 0.11: better not; 10 x 0.1 + 10 x 0.3.
        problem = site(battery(2, wear_cost_per_kwh=0.11), buy=[0.1, 0.3], load=10.0)
        assert refereed(problem, solve(problem, TIGHT)) == pytest.approx(4.0)

    def test_losses_over_time_are_made_up_for_a_target(self, solve):
        # Of 10 kWh 9 are left after an hour; 9.45 need 0.45 more, 0.5 at the meter, at 0.2.
        target = EnergyTarget(interval=0, min_kwh=9.45, max_kwh=np.inf)
        store = battery(
            1, initial=10.0, efficiency=0.9, self_discharge_per_h=0.1, targets=(target,)
        )
        problem = site(store, buy=[0.2])
        assert refereed(problem, solve(problem, TIGHT)) == pytest.approx(0.1)

    def test_the_end_value_is_worth_buying_for(self, solve):
        # 5 kWh at 0.1 are worth 0.25 each at the end: 0.5 - 1.25.
        problem = site(battery(1, end_value_per_kwh=0.25), buy=[0.1])
        assert refereed(problem, solve(problem, TIGHT)) == pytest.approx(-0.75)

    def test_uneven_steps_weigh_what_they_last(self, solve):
        # Half an hour at 5 kW stores 2.5 kWh, given back within two hours: 0.25 - 0.75.
        problem = site(battery(2), buy=[0.1, 0.3], sell=[0.1, 0.3], step_h=[0.5, 2.0])
        assert refereed(problem, solve(problem, TIGHT)) == pytest.approx(-0.5)

    def test_the_better_of_two_stores_goes_first(self, solve):
        # The grid gives 5 kW: the lossless store takes them all, 5 x 0.1, and saves 5 x 0.3.
        lossy = battery(2, efficiency=0.8, name="lossy")
        problem = site(battery(2), lossy, buy=[0.1, 0.3], load=[0.0, 8.0], import_limit=5.0)
        assert refereed(problem, solve(problem, TIGHT)) == pytest.approx(0.5 + 0.9)

    def test_surplus_is_curtailed_when_feeding_in_costs(self, solve):
        # 3 of 4 kW of sun are not used; feeding in would cost 0.1 a kWh.
        problem = site(buy=[0.2], sell=[-0.1], load=[1.0], pv=[4.0], curtailable=True)
        solution = solve(problem, TIGHT)
        assert refereed(problem, solution) == pytest.approx(0.0)
        assert solution.schedule.curtailed_kw[0] == pytest.approx([3.0])

    def test_selling_dearer_than_buying_does_not_pay_at_once(self, solve):
        # Drawing and feeding in at once would earn 0.2 a kWh; the load costs 1 x 0.1.
        problem = site(buy=[0.1], sell=[0.3], load=[1.0], pv=[2.0], curtailable=True)
        idle = site(buy=[0.1], sell=[0.3], load=[3.0], pv=[2.0])
        assert refereed(problem, solve(problem, TIGHT)) == pytest.approx(-0.3)
        assert refereed(idle, solve(idle, TIGHT)) == pytest.approx(0.1)

    def test_negative_prices_do_not_pay_for_burning(self, solve):
        # The store is full, so all that can be drawn is the load: 2 x -1. Charging 4 and
        # discharging 1 at once would keep the store full and draw 3 more.
        full = battery(1, initial=10.0, charge=4.0, efficiency=0.5)
        problem = site(full, buy=[-1.0], sell=[-1.0], load=[2.0])
        assert relaxation(problem) == pytest.approx(-5.0)
        assert refereed(problem, solve(problem, TIGHT)) == pytest.approx(-2.0)

    def test_trapped_surplus_cannot_be_burnt(self, solve):
        # 3 kW of sun, no way out and a full store: only charging 4 and discharging 1 at once fits.
        full = battery(1, initial=10.0, charge=4.0, efficiency=0.5)
        problem = site(full, buy=[0.2], pv=[3.0], export_limit=0.0)
        assert relaxation(problem) < np.inf
        solution = solve(problem, TIGHT)
        assert solution.termination.reason is Reason.INFEASIBLE
        assert solution.termination.bound == np.inf
        assert solution.schedule is None

    def test_a_load_beyond_all_limits_is_infeasible(self, solve):
        problem = site(battery(1), buy=[0.2], load=[3.0], import_limit=2.0)
        assert solve(problem, TIGHT).termination.reason is Reason.INFEASIBLE

    def test_targets_that_cross_are_infeasible(self, solve):
        targets = (
            EnergyTarget(interval=0, min_kwh=4.0, max_kwh=np.inf),
            EnergyTarget(interval=0, min_kwh=-np.inf, max_kwh=3.0),
        )
        problem = site(battery(1, targets=targets), buy=[0.2])
        assert solve(problem, TIGHT).termination.reason is Reason.INFEASIBLE

    def test_no_store_and_no_plant_is_a_plan_too(self, solve):
        problem = replace(site(buy=[0.2, 0.4], load=[1.0, 2.0]), photovoltaics=())
        solution = solve(problem, TIGHT)
        assert refereed(problem, solution) == pytest.approx(1.0)
        assert solution.schedule.charge_kw.shape == (0, 2)
        assert solution.schedule.curtailed_kw.shape == (0, 2)


@pytest.mark.parametrize("convex", [True, False])
@pytest.mark.parametrize(("stores", "count"), [(0, 12), (1, 24), (2, 16), (3, 8)])
def test_the_linear_road_agrees_with_the_full_search(stores, count, convex):
    for seed in range(25):
        rng = np.random.default_rng([seed, stores, convex])
        problem = random_problem(rng, count=count, stores=stores, convex=convex)
        lazy, full = solve_linear(problem, TIGHT), solve_mixed_integer(problem, TIGHT)
        assert lazy.termination.reason is full.termination.reason
        if lazy.termination.reason is Reason.INFEASIBLE:
            continue
        best = refereed(problem, full)
        assert refereed(problem, lazy) == pytest.approx(best, rel=1e-7, abs=1e-7)
        assert never_both(lazy.schedule)
        assert never_both(full.schedule)


def test_values_prove_the_bound_of_a_convex_site():
    for seed in range(40):
        problem = random_problem(np.random.default_rng(seed), count=24, stores=2)
        solution = solve_linear(problem, TIGHT)
        if solution.proof is not Proof.DUAL:
            continue
        proven = dual_bound(problem, solution.values)
        assert proven == pytest.approx(refereed(problem, solution), rel=1e-8, abs=1e-8)
        assert solution.termination.bound == pytest.approx(proven)


def test_values_are_what_one_more_kwh_is_worth():
    # A kWh more of load is drawn at the price. Of 6 kWh 5 / 0.9 give all the power there is at 0.3;
    # the rest, and so any more, is worth 0.2 at the end.
    store = battery(2, efficiency=0.9, initial=6.0, end_value_per_kwh=0.2, charge=0.0)
    values = solve_linear(site(store, buy=[0.1, 0.3], load=10.0), TIGHT).values
    assert values.site_per_kwh == pytest.approx([0.1, 0.3])
    assert values.stored_per_kwh == pytest.approx(np.array([[0.2, 0.2]]))


def test_binaries_stand_only_where_energy_is_a_burden():
    price = np.full(24, 0.3)
    plain = solve_linear(site(battery(24, efficiency=0.9), buy=price, sell=price), TIGHT)
    assert plain.road == "linear programme"
    assert plain.proof is Proof.DUAL
    price[10:14] = -0.2  # long enough to fill the store and then want to burn
    alone = site(battery(24, efficiency=0.9), buy=price, sell=price)
    other = replace(battery(24, efficiency=0.8), name="other")
    pair = replace(alone, storages=(*alone.storages, other))
    for problem, binaries in ((alone, 4), (pair, 8)):
        burdened = solve_linear(problem, TIGHT)
        assert burdened.road == f"linear programme, {binaries} binaries"
        assert burdened.proof is Proof.BRANCH_AND_BOUND
        refereed(problem, burdened)


def test_far_limits_are_as_good_as_none():
    for seed in range(20):
        problem = random_problem(np.random.default_rng(seed), count=12, stores=2, convex=False)
        none, far = np.full(12, np.inf), np.full(12, 1e9)
        open_, wide = (
            replace(
                problem,
                meter=replace(problem.meter, import_limit_kw=limit, export_limit_kw=limit),
                storages=tuple(
                    replace(store, charge_limit_kw=far, discharge_limit_kw=far)
                    for store in problem.storages
                ),
            )
            for limit in (none, far)
        )
        first, second = solve_linear(open_, TIGHT), solve_linear(wide, TIGHT)
        assert refereed(open_, first) == pytest.approx(refereed(wide, second), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("convex", [True, False])
def test_planning_anew_ends_like_planning_afresh(convex):
    rng = np.random.default_rng(5)
    problem = random_problem(rng, count=24, stores=2, convex=convex)
    planner = Planner()
    for _ in range(25):
        problem = changed(rng, problem)
        warm, fresh = planner.solve(problem, TIGHT), solve_linear(problem, TIGHT)
        assert warm.termination.reason is fresh.termination.reason
        if fresh.schedule is not None:
            best = refereed(problem, fresh)
            assert refereed(problem, warm) == pytest.approx(best, rel=1e-7, abs=1e-7)


def changed(rng: np.random.Generator, problem: Problem) -> Problem:
    """The site with new prices, a new forecast, or a new state of charge."""
    kind = rng.integers(3)
    if kind == 0:
        factor = 1.0 + 0.2 * rng.random(24)
        buy, sell = problem.meter.buy_price_per_kwh, problem.meter.sell_price_per_kwh
        prices = {"buy_price_per_kwh": buy * factor, "sell_price_per_kwh": sell * factor}
        return replace(problem, meter=replace(problem.meter, **prices))
    if kind == 1:
        return replace(problem, loads=(Load(name="load", power_kw=rng.gamma(2.0, 1.0, 24)),))
    first, *rest = problem.storages
    initial = float(rng.uniform(first.energy_min_kwh[0], first.energy_max_kwh[0]))
    return replace(problem, storages=(replace(first, initial_energy_kwh=initial), *rest))


def test_a_planner_takes_another_site():
    planner = Planner()
    for seed, count, stores in ((0, 12, 1), (1, 12, 1), (2, 12, 2), (3, 8, 0)):
        problem = random_problem(np.random.default_rng(seed), count=count, stores=stores)
        best = refereed(problem, solve_linear(problem, TIGHT))
        assert refereed(problem, planner.solve(problem, TIGHT)) == pytest.approx(best, abs=1e-8)


def test_the_same_request_gives_the_same_plan():
    problem = random_problem(np.random.default_rng(11), count=24, stores=2, convex=False)
    first, second = (solve_linear(problem, SolveOptions(seed=3)) for _ in range(2))
    assert first.termination == second.termination
    assert np.array_equal(first.schedule.energy_kwh, second.schedule.energy_kwh)


@pytest.mark.parametrize("gap", [0.0, 1e-9, 1e-7, 1e-6, 1e-4])
def test_rounding_never_uses_up_the_gap_asked_for(gap):
    searched = 0
    for seed in range(40):
        problem = random_problem(np.random.default_rng(seed), count=24, stores=2, convex=False)
        solution = solve_linear(problem, SolveOptions(relative_gap=gap))
        if solution.schedule is None:
            assert solution.termination.reason is Reason.INFEASIBLE
            continue
        assert solution.termination.reason is Reason.OPTIMAL
        paid = refereed(problem, solution)
        allowed = max(gap, 1e-9) * max(1.0, abs(paid))
        assert paid - solution.termination.bound <= allowed * (1.0 + 1e-6)
        searched += "binaries" in solution.road
    assert searched > 10


@pytest.mark.parametrize("solve", [solve_linear, solve_mixed_integer])
def test_no_time_leaves_an_honest_answer(solve):
    for seed in range(10):
        problem = random_problem(np.random.default_rng(seed), count=24, stores=3, convex=False)
        best = solve_linear(problem, TIGHT).termination.objective
        hasty = solve(problem, SolveOptions(time_limit_s=1e-4))
        assert hasty.termination.reason in {Reason.FEASIBLE, Reason.NO_SOLUTION_FOUND}
        assert hasty.termination.bound <= best + 1e-6
        assert hasty.termination.detail
        if hasty.schedule is not None:
            assert violations(problem, hasty.schedule) == []


@pytest.mark.slow
@pytest.mark.parametrize("convex", [True, False])
def test_a_day_with_two_stores_agrees_with_the_full_search(convex):
    for seed in range(150):
        rng = np.random.default_rng([seed, convex])
        problem = random_problem(rng, count=96, stores=2, convex=convex)
        lazy, full = (solve(problem, SolveOptions()) for solve in METHODS[:2])
        assert lazy.termination.reason is full.termination.reason
        if lazy.schedule is not None:
            best = refereed(problem, full)
            assert refereed(problem, lazy) == pytest.approx(best, rel=2e-6, abs=2e-6)
