"""A re-plan under another shortage: what was announced stays or is released, notices are kept."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from benchmarks.orderly_instances import park
from loadloom.models.checks import InvalidProblem
from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import Kind, Notice
from loadloom.models.orderly.reference import solve_reference
from loadloom.models.orderly.solution import OrderlyOptions
from loadloom.models.orderly.solve import solve
from loadloom.models.orderly.values import dual_bound
from tests.models.orderly import cases

SHORT = OrderlyOptions(work_limit=3, threads=1)


def changed(problem, factor):
    short = problem.shortage
    return replace(problem, shortage=replace(short, shortage_kw=factor * short.shortage_kw))


def events(plan):
    columns = (plan.user, plan.day, plan.measure, plan.first_slot, plan.slot_count)
    return set(zip(*(c.tolist() for c in columns), strict=True))


@pytest.mark.parametrize("seed", range(30))
def test_a_replan_keeps_its_rules_and_bounds(seed):
    problem = cases.drawn(seed, users=4)
    if seed % 2:  # then the cuts take part
        problem = replace(problem, users=replace(problem.users, max_events_per_day=np.array(1)))
    first = solve(problem, SHORT)
    later = cases.later(changed(problem, 1.5), first.plan, hours=-1 + 13 * (seed % 4))
    solution = solve(later, SHORT)
    assert referee.violations(later, solution.plan) == []
    exact = solve_reference(later, OrderlyOptions())
    assert referee.violations(later, exact.plan) == []
    off = 1e-6 * max(1.0, exact.termination.objective) + 1e-3
    assert solution.termination.bound <= exact.termination.objective + off
    assert dual_bound(later, solution.prices) <= exact.termination.objective + off
    assert exact.termination.objective <= solution.termination.objective + off


def test_with_nothing_changed_nothing_changes():
    problem = cases.drawn(4, users=6)
    first = solve(problem, OrderlyOptions(work_limit=20, threads=1))
    exact = solve_reference(problem, OrderlyOptions())
    assert first.termination.objective == pytest.approx(exact.termination.objective, abs=1e-3)
    again = solve(cases.later(problem, first.plan, hours=-24 * 8), SHORT)
    assert events(again.plan) == events(first.plan)


def test_users_are_released_when_the_shortage_is_gone():
    problem = cases.drawn(4, users=6)
    first = solve(problem, SHORT)
    assert first.plan.event_count > 0
    users = replace(problem.users, feeder=np.array(-1))
    gone = replace(changed(problem, 0.0), users=users)
    solution = solve(cases.later(gone, first.plan, hours=-200), SHORT)
    assert solution.plan.event_count == 0


def test_only_those_whose_notice_permits_are_newly_called():
    problem = park(60, 8)
    first = solve(problem, SHORT)
    later = cases.later(changed(problem, 1.4), first.plan, hours=50)
    solution = solve(later, SHORT)
    assert referee.violations(later, solution.plan) == []
    new = events(solution.plan) - events(first.plan)
    assert new
    assert all(later.measures.kind[m] != Kind.SHIFT for _, _, m, _, _ in new)  # a week's notice


def test_a_little_money_may_be_given_for_fewer_changes():
    problem = park(60, 8)
    first = solve(problem, SHORT)
    later = cases.later(changed(problem, 1.02), first.plan, hours=-24)
    exact = solve(later, SHORT)
    calm = solve(replace(later, change_tolerance=0.05), SHORT)
    assert referee.violations(later, calm.plan) == []
    assert calm.termination.objective <= 1.051 * exact.termination.objective
    held = events(first.plan)
    assert len(held ^ events(calm.plan)) <= len(held ^ events(exact.plan))


def test_what_has_begun_and_breaks_the_rules_is_told():
    problem = cases.drawn(4, users=6)
    first = solve(problem, SHORT)
    late = cases.later(problem, first.plan, hours=24 * 3)
    users = replace(late.users, max_days=np.array(0))
    with pytest.raises(InvalidProblem, match="announced events that have begun"):
        solve(replace(late, users=users), SHORT)


def test_a_user_that_may_not_be_called_any_more_is_released():
    problem = cases.drawn(4, users=6)
    first = solve(problem, SHORT)
    user, day = int(first.plan.user[0]), int(first.plan.day[0])
    days = problem.users.callable_days.copy()
    days[user, day] = False
    users = replace(problem.users, callable_days=days)
    later = cases.later(replace(problem, users=users), first.plan, hours=-30)
    solution = solve(later, SHORT)
    assert referee.violations(later, solution.plan) == []
    assert not np.any((solution.plan.user == user) & (solution.plan.day == day))


def test_on_the_day_of_a_clock_change_nobody_is_called_for_what_is_past():
    # The slot from 02:00 on is left out; at 01:30 it is 30 minutes until 03:00.
    spring = cases.week(1, 24, datetime(2026, 3, 28, 23, tzinfo=UTC), "Europe/Berlin")
    short = np.zeros((1, 24))
    short[0, [1, 2, 3]] = 100.0
    problem = cases.simple(
        np.full((1, 1, 24), 100.0),
        short,
        costs=[2.0],
        week=spring,
        notice=np.array(int(Notice.QUARTER_HOUR)),
        max_slots=np.array(1),
        now=spring.start + timedelta(hours=1.5),
    )
    plan = solve(problem, SHORT).plan
    assert plan.first_slot.tolist() == [3]
    assert referee.violations(problem, plan) == []
