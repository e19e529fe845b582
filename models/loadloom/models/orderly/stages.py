"""The coupled road: one stage of the lexicographic order after the other, each with its proof.

A stage makes its own amount least; what it finds is kept by all further ones. Energy of a kind is
kept as a budget, a row with a price of its own; burdens as caps on the weeks of each user. Least
unserved energy is a stage of its own, at once over where everything can be covered.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from math import inf

import numpy as np

from loadloom.models.certificate import Proof
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import leximin, order, referee
from loadloom.models.orderly.changes import least_change
from loadloom.models.orderly.choices import Choices, choices, plan_of
from loadloom.models.orderly.problem import FairnessMode, Kind, Plan, Problem
from loadloom.models.orderly.solution import (
    OrderlyOptions,
    Prices,
    Progress,
    Report,
    Road,
    Solution,
    Stage,
)
from loadloom.models.orderly.stage import (
    Course,
    Found,
    Kept,
    bound_for_any_exempt,
    choices_of,
    exempting,
    run_stage,
)
from loadloom.solvers.coupled.budget import Clock
from loadloom.solvers.coupled.oracle import Answer
from loadloom.solvers.coupled.solve import Outcome
from loadloom.solvers.kernels.listing import count_windows
from loadloom.solvers.termination import Reason, Termination

_LEVELS_WEIGHT, _LOSS_WEIGHT = 3.0, 2.0
"""The time of all burdens and of the loss, where each stage before has 1."""

_REPLAN_SHARE = 0.8
"""The share of the time that a re-plan searches; the rest undoes changes that save too little."""

_SETTLING_SHARE = 0.9
"""The share of the time that the reference has where it settles a week."""

_OPTIMAL_GAP = 1e-9

SMALLEST_WINDOWS = 250
"""Up to so many windows in all, the reference proves the optimum in well under a second."""


def solve_stages(
    problem: Problem, options: OrderlyOptions, report: Report | None, clock: Clock | None
) -> Solution:
    """The best plan by prices and search, stage after stage."""
    threads = max(1, options.threads)
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    course = Course(problem=problem, options=options, report=report, clock=clock, pool=pool)
    course.begun_s = clock() if clock else 0.0
    smallest = _is_smallest(problem, options)
    course.limit_s = options.time_limit_s * ((1.0 - _SETTLING_SHARE) if smallest else 1.0)
    try:
        solution = _solve(course)
        return _settled(course, solution) if smallest and not course.stopped else solution
    finally:
        if pool is not None:
            pool.shutdown()


def _solve(course: Course) -> Solution:
    problem, kept = course.problem, Kept()
    fair = problem.fairness.mode is FairnessMode.LEXIMIN
    if fair:
        leximin.one_event_a_day(problem)
    if order.is_staged(problem):
        kinds = order.tiers(problem)
        ahead = 1.0 + len(kinds) + _LEVELS_WEIGHT * fair + _LOSS_WEIGHT
        kept = _least_unserved(course, kept, 1.0 / ahead)
        for number, kind in enumerate(kinds):
            kept = _least_of_kind(course, kept, kind, 1.0 / (ahead - 1.0 - number))
        if fair:
            kept = _fairest(course, kept)
    share = 1.0 if problem.announced is None else _REPLAN_SHARE
    seconds, best = course.left_s * share, partial(_best, course)
    return _solution(course, kept, run_stage(course, "loss", kept, seconds, best=best))


def _is_smallest(problem: Problem, options: OrderlyOptions) -> bool:
    """Whether a week is so small that its optimum is proven in no time."""
    if problem.announced is not None or options.road is not None:
        return False
    if problem.measures.count > SMALLEST_WINDOWS:
        return False
    turns = choices(problem, seed=options.seed).oracle.turns
    return int(count_windows(turns)[-1]) <= SMALLEST_WINDOWS


def _settled(course: Course, solution: Solution) -> Solution:
    """The solution with the optimum of the reference, if that is found in the time left."""
    if solution.termination.reason is Reason.OPTIMAL:
        return solution
    # CP-SAT takes a second to import, and most weeks do not need it.
    from loadloom.models.orderly.reference import solve_reference

    problem, options = course.problem, course.options
    left_s = max(0.1, options.time_limit_s - course.passed_s)
    exact = solve_reference(problem, replace(options, time_limit_s=left_s), course.clock)
    optimal = exact.termination.reason is Reason.OPTIMAL
    if not optimal and not order.is_better(problem, exact.plan, solution.plan):
        return solution
    return replace(
        exact,
        road=Road.COUPLED,
        prices=solution.prices,
        progress=solution.progress,
        threads=solution.threads,
    )


def _least_unserved(course: Course, kept: Kept, share: float) -> Kept:
    """The least unserved energy, kept; at once where nothing need stay unserved."""
    problem = course.problem
    found = run_stage(course, "unserved", kept, course.left_s * share, nothing_costs=True)
    kwh = order.unserved_kwh(problem, found.plan)
    bound = max(0.0, min(kwh, found.bound))
    course.stages.append(Stage(name="least unserved", unit="kWh", value=kwh, bound=bound))
    return replace(kept, unserved_kwh=order.enough(kwh, "kWh"), patterns=found.patterns)


def _least_of_kind(course: Course, kept: Kept, kind: Kind, share: float) -> Kept:
    """The least energy of a kind with which all that was found before is kept."""
    name = kind.name.lower()
    found = run_stage(course, name, kept, course.left_s * share, counted=kind)
    kwh = order.kind_kwh(course.problem, found.plan, kind)
    bound = max(0.0, min(kwh, found.bound))
    course.stages.append(Stage(name=f"least {name}", unit="kWh", value=kwh, bound=bound))
    return replace(
        kept,
        kinds=(*kept.kinds, kind),
        kinds_kwh=(*kept.kinds_kwh, order.enough(kwh, "kWh")),
        patterns=found.patterns,
    )


def _fairest(course: Course, kept: Kept) -> Kept:
    """The largest burdens as low as found in the time, kept as caps."""
    problem = course.problem
    if kept.patterns is None:
        raise ValueError("burdens are lowered from a plan")
    limit_s = course.left_s * _LEVELS_WEIGHT / (_LEVELS_WEIGHT + _LOSS_WEIGHT)
    end_s = course.left_s - limit_s if limit_s < inf else 0.0
    prices: FloatArray | None = None
    least = order.least_burdens(problem)

    def enough(value: float, bound: float) -> bool:
        return value <= kept.unserved_kwh or bound > kept.unserved_kwh

    def hold(so_far: leximin.Course, cap: FloatArray, seconds: float) -> leximin.Trial:
        nonlocal prices
        cap = np.maximum(cap, least)
        # Those above their cap begin with nothing, and respond to what the others leave.
        above = (so_far.burdens > cap)[made.user]
        start = np.where(above[:, None], nothing, so_far.patterns)
        capped = replace(kept, cap=cap, patterns=start)
        found = run_stage(
            course, "burden", capped, seconds, nothing_costs=True, stop=enough, prices=prices
        )
        prices = found.outcome.prices
        held = kept.holds(problem, found.plan)
        return leximin.Trial(
            patterns=found.patterns if held else None,
            burdens=referee.burden(problem, found.plan),
            bound_kwh=found.bound,
            prices=prices,
        )

    made = choices_of(course, kept, 1.0, nothing_costs=True)
    _, nothing = made.oracle.priced(np.zeros(made.rows.demand.size))
    court = leximin.Court(
        enough_kwh=kept.unserved_kwh,
        hold=hold,
        exempting=lambda prices, low, high: exempting(
            problem, made, prices, np.maximum(low, least), np.maximum(high, least)
        ),
        left_s=lambda: 0.0 if course.stopped else max(0.0, course.left_s - end_s),
        longest_s=lambda: course.longest_s,
    )
    plan = plan_of(problem, made, kept.patterns)
    burdens = referee.burden(problem, plan)
    done, stages = leximin.levelled(problem, kept.patterns, burdens, least, court)
    course.stages += stages
    cap = order.ranked_caps(done.burdens, done.levels)
    return replace(kept, cap=cap, patterns=done.patterns)


def _solution(course: Course, kept: Kept, found: Found) -> Solution:
    problem, made, plan = course.problem, found.made, found.plan
    if problem.announced is not None:
        answer = least_change(problem, made, made.oracle.weighed(found.patterns))
        plan = plan_of(problem, made, answer.patterns)
    whole, feeders = referee.unserved_kw(problem, plan)
    objective = referee.cost(problem, plan).total
    rows = found.outcome.prices[: made.oracle.line_rows]
    bound = min(bound_for_any_exempt(problem, kept, found), objective)
    closed = objective - bound <= _OPTIMAL_GAP * max(1.0, abs(objective))
    closed = closed and all(s.value <= order.enough(s.bound, s.unit) for s in course.stages)
    course.progress.append(
        Progress(
            seconds=course.passed_s,
            objective=objective,
            bound=bound,
            unserved_kwh=float(((whole + feeders.sum(axis=0)) * problem.week.slot_h).sum()),
            phase="answer",
        )
    )
    # Where time ended before there were prices, zeros would say that nothing is worth anything.
    prices = _prices(problem, rows) if rows.any() or objective <= 0.0 else None
    termination = Termination(
        reason=Reason.OPTIMAL if closed else Reason.FEASIBLE, objective=objective, bound=bound
    )
    proof = Proof.DUAL if prices and _proves(found.outcome) else Proof.RELAXATION
    return replace(_told(course, kept, plan, termination), proof=proof, prices=prices)


def _told(course: Course, kept: Kept, plan: Plan, termination: Termination) -> Solution:
    """A plan of this road as a solution, without prices."""
    whole, feeders = referee.unserved_kw(course.problem, plan)
    return Solution(
        termination=termination,
        road=Road.COUPLED,
        proof=Proof.RELAXATION,
        plan=plan,
        unserved_kw=whole,
        feeder_unserved_kw=feeders,
        stages=tuple(course.stages),
        burden_cap=kept.cap,
        progress=tuple(course.progress),
        threads=max(1, course.options.threads),
        seed=course.options.seed,
    )


def _proves(outcome: Outcome) -> bool:
    """Whether the prices alone prove the bound, without inequalities."""
    return outcome.bound <= outcome.price_bound + _OPTIMAL_GAP * max(1.0, abs(outcome.bound))


def _best(course: Course, kept: Kept, made: Choices, answer: Answer, bound: float) -> Solution:
    """The solution if the search for the least loss found nothing better than the answer."""
    problem = course.problem
    plan = plan_of(problem, made, answer.patterns)
    if kept.patterns is not None and not kept.holds(problem, plan):
        plan = plan_of(problem, made, kept.patterns)
    objective = referee.cost(problem, plan).total
    # No plan costs less than nothing; under caps, all else that is proven takes work.
    proven = 0.0 if kept.cap is not None else min(max(bound, 0.0), objective)
    termination = Termination(reason=Reason.FEASIBLE, objective=objective, bound=proven)
    return _told(course, kept, plan, termination)


def _prices(problem: Problem, rows: FloatArray) -> Prices:
    """The prices of a kWh in each slot; of those without hours, zero."""
    hours = problem.week.slot_h
    by_line = rows.reshape(-1, *hours.shape)
    per_kwh = np.divide(by_line, hours, out=np.zeros_like(by_line), where=hours > 0.0)
    return Prices(slot_per_kwh=per_kwh[0], feeder_per_kwh=per_kwh[1:])
