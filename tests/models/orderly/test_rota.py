"""The rota: as many off as the stage says, everybody equally often, higher stages on top."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import Fairness, FairnessMode, Kind, LegalOrder, Notice
from loadloom.models.orderly.rota import balanced, rota, spread_stage
from loadloom.models.orderly.solution import Road
from loadloom.models.orderly.solve import solve
from loadloom.solvers.termination import Reason
from tests.models.orderly import cases


@pytest.mark.parametrize("stage", range(1, 9))
def test_sixteen_areas_for_a_month_at_every_stage(stage):
    place = rota(16, 31 * 12)
    off = place < stage
    assert (off.sum(axis=0) == stage).all()
    counts = off.sum(axis=1)
    assert counts.max() - counts.min() <= 1
    assert (off <= (place < stage + 1)).all()


@pytest.mark.parametrize("users", range(1, 20))
def test_counts_differ_by_at_most_one_whatever_the_size(users):
    for slots in range(1, 40):
        place = rota(users, slots)
        for stage in range(1, users + 1):
            counts = (place < stage).sum(axis=1)
            assert counts.max() - counts.min() <= 1


def test_counts_stay_balanced_when_needs_change():
    needed = np.random.default_rng(1).integers(0, 8, 300)
    off = balanced(needed, 7 + 1)
    np.testing.assert_array_equal(off.sum(axis=0), needed)
    for t in range(300):
        counts = off[:, :t].sum(axis=1)
        assert counts.max() - counts.min() <= 1


def areas(stage, **columns):
    columns = {"max_days": np.array(31), "max_events_per_day": np.array(12)} | columns
    return cases.simple(
        np.full((16, 31, 12), 100.0),
        np.full((31, 12), 100.0 * stage),
        costs=[1.0] * 16,
        fairness=Fairness(mode=FairnessMode.EQUAL_HOURS),
        **columns,
    )


@pytest.mark.parametrize("stage", [1, 4, 8])
def test_a_rota_is_a_plan_that_keeps_every_rule(stage):
    problem = areas(stage)
    solution = solve(problem)
    assert solution.road is Road.ROTA
    assert referee.violations(problem, solution.plan) == []
    assert solution.unserved_kw.sum() == 0
    burdens = referee.burden(problem, solution.plan)
    assert burdens.max() - burdens.min() <= 200 + 1e-6  # one slot of two hours at 100 kW


def test_rules_that_a_rota_cannot_keep_are_all_told():
    with pytest.raises(InvalidProblem) as told:
        solve(areas(2, max_days=np.array(5), max_events_per_day=np.array(1)))
    assert [v.path for v in told.value.violations] == [
        "users.max_days",
        "users.max_events_per_day",
    ]


def slots_off(problem, plan):
    off = np.zeros(problem.users.count, int)
    np.add.at(off, plan.user, plan.slot_count)
    return off


def two_groups(short_kw, costs=(1.0, 3.0), **changes):
    """Two groups of four, of 100 and of 60 kW."""
    power = np.repeat([100.0, 60.0], 4)
    problem = cases.simple(
        np.broadcast_to(power[:, None, None], (8, 7, 6)).copy(),
        np.broadcast_to(short_kw, (7, 6)).copy(),
        costs=list(np.repeat(costs, 4)),
        fairness=Fairness(mode=FairnessMode.EQUAL_HOURS),
        max_days=np.array(7),
        max_events_per_day=np.array(6),
    )
    groups = ("north",) * 4 + ("south",) * 4
    return replace(problem, users=replace(problem.users, group=groups), **changes)


def test_a_rota_without_starts_is_proven_and_tells_its_spread():
    solution = solve(areas(5))
    assert solution.termination.reason is Reason.OPTIMAL
    (stage,) = solution.stages
    # 372 slots of 5 are 1,860 turns for 16, so four have one more than the others
    assert (stage.value, stage.bound) == (1.0, 1.0)


@pytest.mark.parametrize("seed", range(8))
def test_groups_take_turns_among_themselves_and_cover_at_least_cost(seed):
    random = np.random.default_rng(seed)
    short = np.where(random.random((7, 6)) < 0.5, random.uniform(0.0, 700.0, (7, 6)), 0.0)
    problem = two_groups(short)
    solution = solve(problem)
    assert referee.violations(problem, solution.plan) == []
    off = slots_off(problem, solution.plan)
    assert np.ptp(off[:4]) <= 1
    assert np.ptp(off[4:]) <= 1
    assert spread_stage(problem, solution.plan) == solution.stages[0]
    best, price = 0.0, problem.shortage.unserved_price_per_kwh
    for kw in short.reshape(-1):
        choices = [
            100.0 * n + 180.0 * s + price * max(0.0, kw - 100.0 * n - 60.0 * s)
            for n in range(5)
            for s in range(5)
        ]
        best += min(choices) * 4.0
    assert solution.termination.objective == pytest.approx(best)
    assert solution.termination.bound == pytest.approx(best)


def test_nobody_is_called_at_too_short_notice():
    problem = two_groups(90.0)
    notice = np.full(8, Notice.DAY)
    now = problem.week.begin(2, 0)
    problem = replace(problem, measures=replace(problem.measures, notice=notice), now=now)
    solution = solve(problem)
    assert referee.violations(problem, solution.plan) == []
    assert solution.plan.day.min() == 3
    assert (solution.unserved_kw[:3] == 90.0).all()
    assert (solution.unserved_kw[3:] == 0.0).all()
    assert np.ptp(slots_off(problem, solution.plan)[:4]) <= 1


def test_who_carries_least_has_the_extra_turn():
    problem = two_groups(90.0)  # 42 turns for the four of the north
    carried = np.array([0.3, 0.1, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0])
    problem = replace(problem, users=replace(problem.users, carried_burden=carried))
    np.testing.assert_array_equal(slots_off(problem, solve(problem).plan)[:4], [10, 11, 10, 11])


def test_a_rota_is_revised_by_releasing_and_by_calling_whom_notice_reaches():
    problem = two_groups(90.0)
    plan = solve(problem).plan
    now = problem.week.begin(3, 0) + timedelta(hours=1)
    calm = problem.shortage.shortage_kw.copy()
    calm[5:] = 0.0
    later = replace(
        problem, announced=plan, now=now, shortage=replace(problem.shortage, shortage_kw=calm)
    )
    revised = solve(later)
    assert referee.violations(later, revised.plan) == []
    assert revised.plan.day.max() == 4
    assert revised.unserved_kw.sum() == 0.0
    assert revised.stages[-1].name == "spread of slots off"


def test_a_strict_order_of_different_kinds_does_not_fit_a_rota():
    problem = two_groups(90.0, legal_order=LegalOrder.STRICT)
    assert solve(problem).road is Road.ROTA
    kinds = np.repeat([Kind.SHIFT, Kind.CUT], 4)
    mixed = replace(problem, measures=replace(problem.measures, kind=kinds))
    with pytest.raises(InvalidProblem) as told:
        solve(mixed)
    assert [v.path for v in told.value.violations] == ["legal_order"]
