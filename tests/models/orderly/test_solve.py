"""Weekly schedules: worked by hand, held to the reference, and lawful whatever the week."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.orderly import referee
from loadloom.models.orderly.flat import solve_flat
from loadloom.models.orderly.problem import (
    Fairness,
    FairnessMode,
    Kind,
    LegalOrder,
    Notice,
    Shortage,
)
from loadloom.models.orderly.reference import solve_reference
from loadloom.models.orderly.solution import OrderlyOptions, Road
from loadloom.models.orderly.solve import solve
from loadloom.models.orderly.values import dual_bound
from loadloom.solvers.termination import Reason
from tests.models.orderly import cases

SHORT = OrderlyOptions(work_limit=3, threads=1, road=Road.COUPLED)


def solved(problem, options=SHORT):
    solution = solve(problem, options)
    assert referee.violations(problem, solution.plan, solution.burden_cap) == []
    cost = referee.cost(problem, solution.plan)
    assert solution.termination.objective == pytest.approx(cost.total, abs=1e-9)
    assert solution.termination.bound <= cost.total + 1e-6
    return solution, cost


# By hand.


def test_the_cheaper_of_two_is_called():
    problem = cases.simple([_evening(100)] * 2, _evening(100), costs=[5, 3])
    _, cost = solved(problem)
    assert cost.total == pytest.approx(300)


def test_both_are_called_when_one_is_not_enough():
    problem = cases.simple([_evening(100)] * 2, _evening(150), costs=[5, 3])
    _, cost = solved(problem)
    assert cost.total == pytest.approx(800)


def _evening(power):
    """A day of 24 hours with a power from 18:00 to 19:00 alone."""
    day = np.zeros((1, 24))
    day[0, 18] = power
    return day


def _restful(count):
    return cases.simple(
        np.full((count, 7, 24), 100.0),
        np.full((7, 24), 100.0),
        costs=[1.0] * count,
        kinds=[Kind.REST] * count,
        rest_days=np.ones((count, 7), bool),
        contract_kwh=np.full(count, 16_800.0),
    )


def test_seven_users_rest_on_a_day_each():
    problem = _restful(7)
    solution, _ = solved(problem)
    assert sorted(solution.plan.rest_day) == list(range(7))
    assert solution.unserved_kw.sum() == 0
    burdens = referee.burden(problem, solution.plan)
    np.testing.assert_allclose(burdens, burdens[0])


def test_six_users_leave_one_day_unserved():
    solution, _ = solved(_restful(6))
    assert solution.unserved_kw.sum() == pytest.approx(2_400)


def test_the_larger_of_two_shortages_is_served():
    short = np.zeros((2, 24))
    short[0, 18], short[1, 18] = 50, 80
    load = np.where(short > 0, 100.0, 0.0)[None]
    problem = cases.simple(load, short, costs=[2], max_days=np.array(1))
    solution, _ = solved(problem)
    assert solution.plan.day.tolist() == [1]


def test_a_full_rebound_into_an_equal_shortage_calls_nobody():
    short = np.zeros((1, 24))
    short[0, 18:20] = 100
    load = np.where(short > 0, 100.0, 0.0)[None]
    problem = cases.simple(
        load,
        short,
        costs=[2],
        max_slots=np.array(1),
        rebound_share=np.array(1.0),
        rebound_slots=np.array(1),
        allowed=np.arange(24)[None, None, :] == 18,
    )
    solution, _ = solved(problem)
    assert solution.plan.event_count == 0


def test_protected_load_is_never_cut():
    load = _evening(100)[None]
    problem = cases.simple(load, _evening(100), costs=[2], protected_kw=load)
    solution, cost = solved(problem)
    assert solution.plan.event_count == 0
    assert cost.unserved == pytest.approx(100 * 1_000)


def test_a_measure_is_called_only_if_its_notice_can_be_given():
    problem = cases.simple(
        [_evening(100)], _evening(100), costs=[2], notice=np.array(int(Notice.DAY))
    )
    soon = replace(problem, now=problem.week.start)
    assert solved(soon)[0].plan.event_count == 0
    ready = replace(soon, measures=replace(soon.measures, notice=np.array(int(Notice.IMMEDIATE))))
    assert solved(ready)[0].plan.event_count == 1


def test_a_higher_kind_waits_for_the_lower_ones():
    problem = cases.simple(
        [_evening(100)] * 2, _evening(100), costs=[5, 3], kinds=[Kind.SHIFT, Kind.CUT]
    )
    assert solved(problem)[0].plan.user.tolist() == [1]
    ordered = replace(problem, legal_order=LegalOrder.STRICT)
    assert solved(ordered)[0].plan.user.tolist() == [0]
    more = replace(ordered.shortage, shortage_kw=_evening(150))
    assert solved(replace(ordered, shortage=more))[0].plan.user.tolist() == [0, 1]


def test_leximin_shares_what_least_loss_heaps_on_one():
    load = np.zeros((2, 2, 24))
    load[:, :, 18] = 100
    short = np.zeros((2, 24))
    short[:, 18] = 100
    problem = cases.simple(load, short, costs=[1, 5], contract_kwh=np.array(1_000.0))
    assert solved(problem)[0].plan.user.tolist() == [0, 0]
    fair = replace(problem, fairness=Fairness(mode=FairnessMode.LEXIMIN))
    solution, _ = solved(fair)
    assert solution.plan.user.tolist() == [0, 1]
    np.testing.assert_allclose(referee.burden(fair, solution.plan), 0.1)


def test_gamma_spreads_days():
    load = np.zeros((2, 2, 24))
    load[:, :, 18] = 100
    short = np.zeros((2, 24))
    short[:, 18] = 100
    problem = cases.simple(load, short, costs=[4, 5])
    assert solved(problem)[0].plan.user.tolist() == [0, 0]
    fair = replace(problem, fairness=Fairness(gamma=(1.0, 2.0)))
    assert sorted(solved(fair)[0].plan.user.tolist()) == [0, 1]


# Against the reference.


def agrees(seed):
    problem = cases.drawn(seed)
    solution, cost = solved(problem)
    exact = solve_reference(problem, OrderlyOptions())
    assert exact.termination.reason is Reason.OPTIMAL
    assert referee.violations(problem, exact.plan) == []
    best = exact.termination.objective
    off = 1e-6 * max(1.0, best) + 1e-3
    proven = dual_bound(problem, solution.prices)
    assert proven <= best + off
    assert solution.termination.bound <= best + off
    assert best <= cost.total + off


@pytest.mark.parametrize("seed", range(60))
def test_bound_optimum_and_plan_are_in_order(seed):
    agrees(seed)


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_weeks_are_settled(seed):
    problem = cases.drawn(seed, users=3)
    solution, cost = solved(problem, OrderlyOptions(work_limit=1))
    assert solution.termination.reason is Reason.OPTIMAL
    assert cost.total == pytest.approx(optimum(problem), rel=1e-6)
    assert solution.prices is not None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60, 400))
def test_bound_optimum_and_plan_are_in_order_for_more(seed):
    agrees(seed)


@pytest.mark.parametrize("seed", range(20))
def test_the_flat_programme_finds_what_the_reference_finds(seed):
    problem = cases.drawn(seed)
    users = replace(problem.users, max_events_per_day=np.array(1))
    problem = replace(problem, users=users)
    flat = solve_flat(problem, OrderlyOptions(relative_gap=1e-9))
    assert referee.violations(problem, flat.plan) == []
    exact = solve_reference(problem, OrderlyOptions()).termination.objective
    assert flat.termination.objective == pytest.approx(exact, rel=1e-6, abs=1e-3)


# Laws.


def optimum(problem):
    return solve_reference(problem, OrderlyOptions()).termination.objective


@pytest.mark.parametrize("seed", range(100, 106))
def test_more_shortage_never_costs_less_and_more_rights_never_cost_more(seed):
    problem = cases.drawn(seed, feeders=0)
    best = optimum(problem)
    worse = replace(problem.shortage, shortage_kw=problem.shortage.shortage_kw + 10)
    assert optimum(replace(problem, shortage=worse)) >= best - 1e-3
    freer = replace(problem.users, max_days=problem.users.max_days + 1)
    assert optimum(replace(problem, users=freer)) <= best + 1e-3


@pytest.mark.parametrize("seed", range(106, 110))
def test_money_and_power_scale(seed):
    problem = cases.drawn(seed)
    best = optimum(problem)
    users, measures, short = problem.users, problem.measures, problem.shortage
    bigger = replace(
        problem,
        users=replace(users, load_kw=2 * users.load_kw, protected_kw=2 * users.protected_kw),
        measures=replace(
            measures,
            cap_kw=2 * measures.cap_kw,
            ramp_kw=2 * measures.ramp_kw,
            start_cost=2 * measures.start_cost,
        ),
        shortage=replace(
            short,
            shortage_kw=2 * short.shortage_kw,
            feeder_shortage_kw=2 * short.feeder_shortage_kw,
        ),
    )
    assert optimum(bigger) == pytest.approx(2 * best, rel=1e-5, abs=1e-2)
    dearer = replace(
        problem,
        measures=replace(
            measures, cost_per_kwh=3 * measures.cost_per_kwh, start_cost=3 * measures.start_cost
        ),
        shortage=replace(short, unserved_price_per_kwh=3 * short.unserved_price_per_kwh),
    )
    assert optimum(dearer) == pytest.approx(3 * best, rel=1e-5, abs=1e-2)


@pytest.mark.parametrize("seed", range(110, 116))
def test_the_order_of_users_decides_nothing(seed):
    problem = cases.drawn(seed, users=5)
    turned = cases.reordered(problem, np.random.default_rng(seed).permutation(5))
    one, two = solve(problem, SHORT), solve(turned, SHORT)
    assert one.termination.objective == pytest.approx(two.termination.objective, rel=1e-12)
    assert cases.by_name(problem, one.plan) == cases.by_name(turned, two.plan)


def test_the_same_request_gives_the_same_plan():
    problem = cases.drawn(7, users=6)
    one, two = solve(problem, SHORT), solve(problem, replace(SHORT, threads=2))
    for name in ("user", "day", "measure", "first_slot", "slot_count", "rest_day"):
        np.testing.assert_array_equal(getattr(one.plan, name), getattr(two.plan, name))
    assert one.termination == two.termination


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("mode", [FairnessMode.CONVEX, FairnessMode.LEXIMIN])
@pytest.mark.parametrize("order", LegalOrder)
def test_every_mode_keeps_the_rules_and_its_stages_in_order(seed, mode, order):
    problem = cases.drawn(seed, users=3, mode=mode)
    users = replace(problem.users, max_events_per_day=np.array(1))
    solution, _ = solved(
        replace(problem, users=users, legal_order=order), OrderlyOptions(work_limit=1, threads=1)
    )
    for stage in solution.stages:
        assert stage.bound <= stage.value + 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_the_largest_burden_is_between_its_bound_and_what_was_found(seed):
    problem = cases.drawn(seed, users=2, mode=FairnessMode.LEXIMIN)
    users = replace(problem.users, max_events_per_day=np.array(1))
    problem = replace(problem, users=users)
    solution, _ = solved(problem, OrderlyOptions(work_limit=2, threads=1))
    unserved, burden = solution.stages[:2]
    least_kwh, least_burden = cases.enumerated(problem, unserved.value)
    assert unserved.bound - 1e-6 <= least_kwh <= unserved.value + 1e-6
    assert burden.bound - 1e-6 <= least_burden <= burden.value + 1e-6


def test_removing_the_cap_never_costs_more():
    problem = cases.drawn(3, users=2, mode=FairnessMode.LEXIMIN)
    users = replace(problem.users, max_events_per_day=np.array(1))
    problem = replace(problem, users=users)
    capped, _ = solved(problem)
    free = replace(problem, fairness=replace(problem.fairness, mode=FairnessMode.CONVEX))
    assert optimum(free) <= capped.termination.objective + 1e-3


# Limits and roads.


def test_a_report_may_stop_the_search():
    heard = []

    def stop(progress):
        heard.append(progress)
        return False

    problem = cases.drawn(11, users=6)
    solution = solve(problem, OrderlyOptions(work_limit=10_000), report=stop)
    assert heard
    assert referee.violations(problem, solution.plan) == []


def test_without_time_there_is_a_plan_that_keeps_every_rule_and_no_price():
    ticks = iter(range(10**9))
    options = OrderlyOptions(time_limit_s=0.0, road=Road.COUPLED)
    problem = cases.drawn(5, users=6)
    solution = solve(problem, options, clock=lambda: float(next(ticks)))
    assert referee.violations(problem, solution.plan) == []
    assert solution.termination.bound <= optimum(problem) + 1e-3
    assert solution.termination.reason is Reason.FEASIBLE
    assert solution.prices is None


def test_roads_say_what_they_cannot_take():
    problem = replace(cases.drawn(1), legal_order=LegalOrder.STRICT)
    with pytest.raises(InvalidProblem, match="legal_order"):
        solve(problem, OrderlyOptions(road=Road.FLAT))
    with pytest.raises(InvalidProblem, match="rota"):
        solve(problem, OrderlyOptions(road=Road.ROTA))


def test_a_shortage_that_is_none_calls_nobody():
    problem = cases.drawn(2)
    none = Shortage(shortage_kw=np.full(problem.week.shape, -1e6), unserved_price_per_kwh=50.0)
    users = replace(problem.users, feeder=np.array(-1))
    solution, cost = solved(replace(problem, shortage=none, users=users))
    assert solution.plan.event_count == 0
    assert cost.total == 0
    assert solution.termination.reason is Reason.OPTIMAL
