"""The lexicographic order of weekly schedules, held to the enumeration of all plans."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.orderly_instances import park
from loadloom.models.orderly import order, referee
from loadloom.models.orderly.problem import Fairness, FairnessMode, Kind, LegalOrder
from loadloom.models.orderly.reference import solve_reference
from loadloom.models.orderly.solution import OrderlyOptions, Road
from loadloom.models.orderly.solve import solve
from loadloom.solvers.termination import Reason
from tests.models.orderly import cases, enumeration

QUICK = OrderlyOptions(work_limit=2, threads=1, road=Road.COUPLED)

MODES = {
    "convex": (FairnessMode.CONVEX, LegalOrder.PRICED),
    "strict": (FairnessMode.CONVEX, LegalOrder.STRICT),
    "leximin": (FairnessMode.LEXIMIN, LegalOrder.PRICED),
    "strict leximin": (FairnessMode.LEXIMIN, LegalOrder.STRICT),
}


def drawn(seed, name):
    mode, legal = MODES[name]
    problem = enumeration.drawn(seed, mode=mode, legal_order=legal)
    if mode is FairnessMode.LEXIMIN:
        once = replace(problem.users, max_events_per_day=np.array(1))
        problem = replace(problem, users=once)
    return problem


def reached(problem, plan):
    """What a plan reaches in every stage, the loss last, and the units of the stages before."""
    found = order.standings(problem, plan)
    values = [standing.value for standing in found]
    return [*values, referee.cost(problem, plan).total], [standing.unit for standing in found]


def off(value):
    return 2e-3 + 3e-6 * abs(value)


def exact(seed, name):
    """The reference and the default road reach the optimum in every stage."""
    problem = drawn(seed, name)
    values = enumeration.plans(problem)
    for solution in (
        solve_reference(problem, OrderlyOptions()),
        solve(problem, replace(QUICK, road=None)),
    ):
        assert referee.violations(problem, solution.plan, solution.burden_cap) == []
        have, units = reached(problem, solution.plan)
        for mine, least in zip(have, enumeration.best(values, units), strict=True):
            assert mine == pytest.approx(least, abs=off(least))
        assert solution.termination.reason is Reason.OPTIMAL
        for stage, value in zip(solution.stages, have, strict=False):
            assert stage.value == pytest.approx(value, abs=off(value))
            assert stage.bound == pytest.approx(value, abs=off(value))


def between(seed, name):
    """Prices and search alone: every stage's bound <= its optimum, after those before <= plan."""
    problem = drawn(seed, name)
    values = enumeration.plans(problem)
    solution = solve(problem, QUICK)
    assert referee.violations(problem, solution.plan, solution.burden_cap) == []
    have, units = reached(problem, solution.plan)
    stages = [stage.value for stage in solution.stages]
    optima = enumeration.best(values, units, stages)
    bounds = [*(stage.bound for stage in solution.stages), solution.termination.bound]
    for bound, least, mine in zip(bounds, optima, have, strict=True):
        assert bound <= least + off(least)
        assert least <= mine + off(mine)
    for found, unit, mine in zip(stages, units, have, strict=False):
        assert mine <= order.enough(found, unit) + 1e-9


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("seed", range(3))
def test_small_weeks_are_lexicographic_optima(seed, name):
    exact(seed, name)


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("seed", range(6, 9))
def test_bounds_optima_and_plans_are_in_order_in_every_stage(seed, name):
    between(seed, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("seed", range(20, 100))
def test_more_small_weeks_are_lexicographic_optima(seed, name):
    exact(seed, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("seed", range(100, 180))
def test_bounds_optima_and_plans_are_in_order_for_more(seed, name):
    between(seed, name)


# By hand.


def one_evening(short_kw, kinds, costs, **options):
    """A user each for measures of 100 kW in one slot of one day that is short."""
    load = np.zeros((len(costs), 1, 24))
    load[:, :, 18] = 100.0
    short = np.zeros((1, 24))
    short[0, 18] = short_kw
    options = {"max_slots": np.array(1)} | options
    return cases.simple(load, short, costs=costs, kinds=kinds, **options)


def test_least_unserved_energy_comes_first_whatever_its_price():
    cheap = one_evening(100.0, [Kind.LIMIT], [5.0], price=1.0)
    assert solve(cheap).plan.event_count == 0
    strict = solve(cases.strict(cheap))
    assert strict.plan.event_count == 1
    assert [(s.name, s.value, s.bound) for s in strict.stages] == [
        ("least unserved", 0.0, 0.0),
        ("least limit", 100.0, 100.0),
    ]


def test_the_last_resort_takes_only_what_the_others_cannot():
    kinds = [Kind.SHIFT, Kind.CUT, Kind.CUT]
    problem = cases.strict(one_evening(150.0, kinds, [9.0, 1.0, 1.0], cap_kw=[100.0, 100.0, 60.0]))
    solution = solve(problem)
    assert solution.plan.user.tolist() == [0, 2]
    assert order.kind_kwh(problem, solution.plan, Kind.CUT) == 60.0


def test_shifting_is_the_first_resort_and_nothing_waits_for_it():
    kinds = [Kind.SHIFT, Kind.SHIFT]
    problem = cases.strict(one_evening(100.0, kinds, [9.0, 1.0]))
    solution = solve(problem)
    assert [stage.name for stage in solution.stages] == ["least unserved"]
    assert solution.plan.user.tolist() == [1]


def test_of_two_ways_to_bear_the_largest_burden_the_one_with_the_lower_second_is_taken():
    # Either user 0 alone is called for 100 kW, or 1 and 2 for 100 and 60 kW.
    load = np.zeros((3, 1, 24))
    load[:, 0, 18] = 100.0, 100.0, 60.0
    short = np.zeros((1, 24))
    short[0, 18] = 100.0
    problem = cases.simple(
        load,
        short,
        costs=[9.0, 1.0, 1.0],
        contract_kwh=np.array(1_000.0),
        carried_burden=np.array([0.0, 0.0, 0.05]),
        max_slots=np.array(1),
        fairness=Fairness(mode=FairnessMode.LEXIMIN),
    )
    solution = solve(problem)
    assert [stage.value for stage in solution.stages] == pytest.approx([0.0, 0.1, 0.05, 0.0])
    assert [stage.bound for stage in solution.stages] == pytest.approx([0.0, 0.1, 0.05, 0.0])
    assert solution.plan.user.tolist() == [1]


# Re-plans and limits.


@pytest.mark.parametrize("name", ["strict", "leximin", "strict leximin"])
@pytest.mark.parametrize("seed", range(6))
def test_a_replan_keeps_its_stages(seed, name):
    problem = drawn(seed, name)
    first = solve(problem, QUICK)
    more = replace(problem.shortage, shortage_kw=1.5 * problem.shortage.shortage_kw)
    changed = replace(problem, shortage=more)
    later = cases.later(changed, first.plan, hours=-1 + 13 * (seed % 4))
    solution = solve(later, QUICK)
    assert referee.violations(later, solution.plan, solution.burden_cap) == []
    exact_plan = solve_reference(later, OrderlyOptions()).plan
    assert referee.violations(later, exact_plan) == []
    assert not order.is_better(later, solution.plan, exact_plan)


@pytest.mark.parametrize("name", ["strict", "leximin", "strict leximin"])
def test_every_stage_has_its_share_of_the_time(name):
    mode, legal = MODES[name]
    week = park(60, 8, share=0.2)
    week = replace(week, fairness=replace(week.fairness, mode=mode), legal_order=legal)
    # A clock that is as fast as it is looked at, so that no machine's speed decides.
    ticks = itertools.count()
    options = OrderlyOptions(time_limit_s=1.0, threads=1)
    solution = solve(week, options, clock=lambda: 2e-3 * next(ticks))
    assert 2e-3 * next(ticks) <= 1.2
    assert referee.violations(week, solution.plan, solution.burden_cap) == []
    assert 0.0 < solution.termination.bound <= solution.termination.objective
    assert all(stage.bound <= stage.value for stage in solution.stages)
    have, units = reached(week, solution.plan)
    for stage, unit, value in zip(solution.stages, units, have, strict=False):
        assert value <= order.enough(stage.value, unit)
