"""The refereed answer to a dispatch problem; what runs in a thread or a worker process."""

from dataclasses import dataclass
from time import perf_counter

from loadloom.engine.task import RejectedPlan, Task
from loadloom.models.certificate import Certificate
from loadloom.models.dispatch import referee
from loadloom.models.dispatch.explain import Reason, reasons
from loadloom.models.dispatch.planners import Planners
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.referee import Baseline, Cost
from loadloom.models.dispatch.sheet import Breach
from loadloom.models.dispatch.solution import Conflict, Solution
from loadloom.models.dispatch.solve import fits_inline, solve, solve_single
from loadloom.solvers import termination

COST, SCHEDULE, VALUES, REASONS = 1, 2, 3, 4
"""The levels of detail in the numbers of PlanDetail."""

DIAGNOSIS_S, DIAGNOSIS_SHARE = 5.0, 0.5
"""The most time to spend on naming the conflicts of an infeasible site, and the share of what is
left for its solve; the share, because the answer that it is infeasible must come in any case."""

INLINE_REASONS = 200
"""Reasons for up to so many intervals take less than some 5 ms."""

PLANNERS = Planners(sites=1_000, entries=2_000_000)
"""The sites that this process remembers; of a worker, some hundred MB of their models at most."""

ROUNDING = 1e-6
"""The share of the cost by which a bound may exceed it before it counts as a contradiction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A solution with all that the referee and the explanations say of it.

    `cost`, `baseline`, `certificate` and `breaches` are there when there is a plan, `conflicts`
    when there can be none.
    """

    solution: Solution
    cost: Cost | None = None
    baseline: Baseline | None = None
    certificate: Certificate | None = None
    reasons: tuple[Reason, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    breaches: tuple[Breach, ...] = ()
    solve_s: float


def light(task: Task[Problem]) -> bool:
    """Whether the task is quick enough for a thread beside others."""
    if task.earlier is not None:
        return False
    if task.detail >= REASONS and task.problem.horizon.count > INLINE_REASONS:
        return False
    return fits_inline(task.problem, task.options)


def quick_answer(task: Task[Problem]) -> Answer | None:
    """The answer to a light task; None if it is infeasible, as naming the conflicts is not light.

    So is a site with a single device that its short road cannot take.
    """
    started = perf_counter()
    problem = task.problem
    solution = solve(problem, task.options) if problem.plain else solve_single(problem)
    if solution is None or solution.termination.reason is termination.Reason.INFEASIBLE:
        return None
    return _refereed(task, solution, started)


def answer(task: Task[Problem]) -> Answer:
    """The answer to a task.

    Raises:
        RejectedPlan: the referee found the plan to break rules, or to cost less than its bound.
    """
    started = perf_counter()
    with PLANNERS.of(task.warm_key, task.options.seed) as planner:
        solution = solve(task.problem, task.options, task.earlier, planner)
    return _refereed(task, solution, started)


def _refereed(task: Task[Problem], solution: Solution, started: float) -> Answer:
    solve_s = perf_counter() - started
    problem, schedule = task.problem, solution.schedule
    if solution.termination.reason is termination.Reason.INFEASIBLE:
        left_s = DIAGNOSIS_SHARE * max(task.options.time_limit_s - solve_s, 1e-3)
        left_s = min(DIAGNOSIS_S, left_s)
        return Answer(solution=solution, conflicts=_conflicts(problem, left_s), solve_s=solve_s)
    if schedule is None:
        return Answer(solution=solution, solve_s=solve_s)
    found = referee.verdict(problem, schedule)
    if found.violations:
        raise RejectedPlan(f"{solution.road}: {'; '.join(map(str, found.violations))}")
    return Answer(
        solution=solution,
        cost=found.cost,
        baseline=referee.baseline(problem),
        certificate=_certificate(solution, found.cost.total),
        breaches=tuple(found.breaches),
        reasons=tuple(reasons(problem, solution)) if task.detail >= REASONS else (),
        solve_s=solve_s,
    )


def _certificate(solution: Solution, objective: float) -> Certificate:
    """The certificate at the referee's cost; rounding may leave a bound a hair above it."""
    bound = solution.termination.bound
    if bound > objective + ROUNDING * max(1.0, abs(objective)):
        raise RejectedPlan(f"{solution.road}: costs {objective!r}, below its bound of {bound!r}")
    return Certificate(objective=objective, bound=min(bound, objective), proof=solution.proof)


def _conflicts(problem: Problem, time_limit_s: float) -> tuple[Conflict, ...]:
    # It brings HiGHS, which a server of feasible sites never needs.
    from loadloom.models.dispatch.conflicts import conflicts

    return tuple(conflicts(problem, time_limit_s=time_limit_s))
