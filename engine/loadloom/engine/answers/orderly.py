"""The refereed answer to a weekly schedule; what runs in the process of a job."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from time import monotonic, perf_counter

import numpy as np

from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Progress
from loadloom.engine.task import RejectedPlan
from loadloom.models.certificate import Certificate
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import referee
from loadloom.models.orderly.ability import Ability, ability
from loadloom.models.orderly.problem import Plan, Problem
from loadloom.models.orderly.referee import Cost
from loadloom.models.orderly.solution import OrderlyOptions, Solution
from loadloom.models.orderly.solution import Progress as Step

OVERHEAD_S, OVERHEAD_SHARE = 30.0, 0.2
"""The time of an attempt beyond that of its solve: to read, to referee and to write large weeks;
and the share of a shorter attempt that goes to that at most."""

SPARE_S = 2.0
"""The time after which a solve is long enough for a plan to be put by."""

ROUNDING = 1e-6
"""The share of the cost by which a bound may exceed it before it counts as a contradiction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What the events of a plan take and cost, (K,), and what the moved rest days do, (N,).

    `energy_loss` is for lost load and `start_loss` for start-up; both carry the factors of the
    curtailed day and of the past burden. `relief_kw` has one array for each event.
    """

    relief_kw: tuple[FloatArray, ...]
    energy_kwh: FloatArray
    energy_loss: FloatArray
    start_loss: FloatArray
    rest_kwh: FloatArray
    rest_energy_loss: FloatArray
    rest_start_loss: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A solution with all that the referee says of it.

    Attributes:
        solution: what was found.
        cost: what it costs.
        certificate: the proof.
        losses: what its events take and cost.
        covered_kw, feeder_covered_kw: the relief that is expected less what returns, (D, S) and
            (F, D, S).
        burdens: the burden of each user after the week, (N,).
        abilities: the abilities of the users.
        solve_s: the time from the problem to the solution.
    """

    solution: Solution
    cost: Cost
    certificate: Certificate
    losses: Losses
    covered_kw: FloatArray
    feeder_covered_kw: FloatArray
    burdens: FloatArray
    abilities: Ability
    solve_s: float


def answer(
    problem: Problem,
    options: OrderlyOptions,
    progress: Progress,
    deadline: Deadline,
    write: Callable[[Answer], bytes],
) -> Answer:
    """The best plan within the limits, refereed; progress is told on the way.

    So is, from time to time, the response that `write` makes of the best plan so far: it is the
    operation's own if this process has to be killed.

    Raises:
        InvalidProblem: the technique does not fit the problem, or what was announced cannot be
            kept.
        RejectedPlan: the referee found the plan to break rules, or to cost less than its bound.
    """
    # Solvers and kernels take a second to load, and the server only hands jobs on.
    from loadloom.models.orderly.solve import solve

    def spare(solution: Callable[[], Solution], seconds: float) -> bytes:
        return write(refereed(problem, solution(), seconds))

    def report(step: Step) -> bool:
        seconds, best = perf_counter() - started, None
        if step.solution is not None and seconds >= SPARE_S:
            best = partial(spare, step.solution, seconds)
        stop = progress.report(
            value=_known(step.objective),
            bound=_known(step.bound),
            relative_gap=_known(step.relative_gap),
            phase=step.phase,
            best=best,
        )
        in_time = deadline.remaining_s > 0.0 and (clock is not None or seconds < limit_s)
        return in_time and not stop

    started = perf_counter()
    left_s = max(deadline.remaining_s, 0.0)
    limit_s = min(options.time_limit_s, left_s - min(OVERHEAD_S, OVERHEAD_SHARE * left_s))
    # Whoever looks at the clock does not do the same again, so a count of rounds goes without one.
    clock = None if options.work_limit else monotonic
    solution = solve(problem, replace(options, time_limit_s=limit_s), report, clock)
    found = refereed(problem, solution, perf_counter() - started)
    proof = found.certificate
    progress.report(
        value=proof.objective,
        bound=_known(proof.bound),
        relative_gap=_known(proof.relative_gap),
        phase="refereed",
    )
    return found


def refereed(problem: Problem, solution: Solution, solve_s: float) -> Answer:
    """The solution with what the referee says of it.

    Raises:
        RejectedPlan: the plan breaks rules, or costs less than its bound.
    """
    plan = solution.plan
    if broken := referee.violations(problem, plan, solution.burden_cap):
        raise RejectedPlan(f"{solution.road.value}: {'; '.join(map(str, broken[:20]))}")
    cost, effect = referee.cost(problem, plan), referee.effect(problem, plan)
    expected = effect.relief_kw * problem.users.compliance[:, None, None]
    by_feeder = np.zeros((problem.shortage.feeder_count, *problem.week.shape))
    for feeder in range(by_feeder.shape[0]):
        by_feeder[feeder] = expected[problem.users.feeder == feeder].sum(axis=0)
    return Answer(
        solution=solution,
        cost=cost,
        certificate=_certificate(solution, cost.total),
        losses=_losses(problem, plan, effect),
        covered_kw=expected.sum(axis=0),
        feeder_covered_kw=by_feeder,
        burdens=referee.burden(problem, plan),
        abilities=ability(problem),
        solve_s=solve_s,
    )


def _known(value: float) -> float | None:
    return value if isfinite(value) else None


def _certificate(solution: Solution, objective: float) -> Certificate:
    """The certificate at the referee's cost; rounding may leave a bound a hair above it."""
    bound = solution.termination.bound
    if bound > objective + ROUNDING * max(1.0, abs(objective)):
        road = solution.road.value
        raise RejectedPlan(f"{road}: costs {objective!r}, below its bound of {bound!r}")
    return Certificate(objective=objective, bound=min(bound, objective), proof=solution.proof)


def _losses(problem: Problem, plan: Plan, effect: referee.Effect) -> Losses:
    measures = problem.measures
    factor = problem.history_weight[plan.user] * problem.gamma[referee.day_places(plan)]
    powers = zip(referee.event_relief_kw(problem, plan), plan.slot_count, strict=True)
    moved = np.maximum(plan.rest_measure, 0)
    rest = problem.history_weight * (plan.rest_day >= 0)
    nothing = not measures.count
    return Losses(
        relief_kw=tuple(power[:count] for power, count in powers),
        energy_kwh=effect.curtailed_kwh,
        energy_loss=factor * measures.cost_per_kwh[plan.measure] * effect.curtailed_kwh,
        start_loss=factor * measures.start_cost[plan.measure],
        rest_kwh=effect.rest_kwh,
        rest_energy_loss=rest if nothing else rest * measures.cost_per_kwh[moved] * effect.rest_kwh,
        rest_start_loss=rest if nothing else rest * measures.start_cost[moved],
    )
