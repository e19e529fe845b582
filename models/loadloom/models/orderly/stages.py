"""The coupled road: one stage of the lexicographic order after the other, each with its proof.

A stage minimises its own cost and unserved energy; what it finds becomes a budget or a cap of those
that follow. Unserved energy has its price in money in every stage, and in stages that count kWh a
price that makes a kWh unserved worse than any number of kWh that could serve it would count.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from loadloom.models.certificate import Proof
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import leximin, referee
from loadloom.models.orderly.changes import announced_patterns, least_change
from loadloom.models.orderly.choices import Choices, choices, plan_of
from loadloom.models.orderly.problem import FairnessMode, Kind, LegalOrder, Problem
from loadloom.models.orderly.solution import (
    OrderlyOptions,
    Prices,
    Progress,
    Report,
    Road,
    Solution,
    Stage,
)
from loadloom.solvers.coupled.budget import Budget, Clock, Race
from loadloom.solvers.coupled.oracle import Answer
from loadloom.solvers.coupled.solve import Outcome, solve_coupled
from loadloom.solvers.kernels.choosers import FAR
from loadloom.solvers.kernels.listing import count_windows
from loadloom.solvers.termination import Reason, Termination

TIERS = (Kind.CUT, Kind.LIMIT, Kind.AVOID)
"""The kinds whose energy a strict order makes least, the last resort first."""

_TIER_WEIGHT = 1e4
"""How many kWh of a tier a kWh unserved is worth where tiers are made least."""

_SLACK = 1e-7
"""By what share a budget may be passed: the rounding of sums."""

_REPLAN_SHARE = 0.8
"""The share of the time that a re-plan searches; the rest undoes changes that save too little."""

USUAL_ROUNDS = 20
"""The rounds of search where neither work nor time is limited: every search ends."""

_OPTIMAL_GAP = 1e-9

SMALLEST_WINDOWS = 250
"""Up to so many windows in all, the reference proves the optimum in well under a second."""


@dataclass(kw_only=True)
class Course:
    """What a solve has been through: the clock and limits, stages done, progress told."""

    problem: Problem
    options: OrderlyOptions
    report: Report | None
    clock: Clock | None
    pool: ThreadPoolExecutor | None
    stages: list[Stage] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    begun_s: float = 0.0

    @property
    def passed_s(self) -> float:
        """The seconds since the solve began."""
        return self.clock() - self.begun_s if self.clock else 0.0

    def race(self, phase: str, share: float) -> Race:
        """The race of a stage that may take a share of what is left."""
        limit, work = self.options.time_limit_s, self.options.work_limit
        left = max(0.0, limit - self.passed_s) * share if limit < inf else inf
        if work is None and (self.clock is None or limit == inf):
            work = USUAL_ROUNDS
        budget = Budget(clock=self.clock, time_limit_s=left, rounds=work)

        def tell(_: float, value: float, bound: float, kind: str) -> bool:
            step = Progress(
                seconds=self.passed_s,
                objective=value,
                bound=bound,
                unserved_kwh=0.0,
                phase=f"{phase}: {kind}",
            )
            self.progress.append(step)
            return self.report is None or self.report(step)

        return Race(budget=budget, relative_gap=self.options.relative_gap, listener=tell)


def solve_stages(
    problem: Problem, options: OrderlyOptions, report: Report | None, clock: Clock | None
) -> Solution:
    """The best plan by prices and search, stage after stage."""
    threads = max(1, options.threads)
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    course = Course(problem=problem, options=options, report=report, clock=clock, pool=pool)
    course.begun_s = clock() if clock else 0.0
    try:
        return _solve(course)
    finally:
        if pool is not None:
            pool.shutdown()


def _solve(course: Course) -> Solution:
    problem = course.problem
    tiers: list[Kind] = []
    budgets: list[float] = []
    if problem.legal_order is LegalOrder.STRICT:
        for kind in TIERS:
            if np.any(problem.measures.kind == kind):
                budgets.append(_least_tier(course, kind, tiers, budgets))
                tiers.append(kind)
    cap: FloatArray | None = None
    if problem.fairness.mode is FairnessMode.LEXIMIN:
        cap, stages = leximin.caps(problem, lambda cap: _cover(course, tiers, budgets, cap))
        course.stages += stages
    share = 1.0 if problem.announced is None else _REPLAN_SHARE
    made, outcome = _run(course, "loss", tiers, budgets, share=share, cap=cap)
    solution = _solution(course, made, outcome, len(budgets), cap)
    if _is_smallest(course, made, solution):
        return _settled(course, solution)
    return solution


def _is_smallest(course: Course, made: Choices, solution: Solution) -> bool:
    """Whether a week that is still open is so small that its optimum is proven in no time."""
    problem = course.problem
    staged = problem.legal_order is LegalOrder.STRICT
    staged = staged or problem.fairness.mode is FairnessMode.LEXIMIN
    if staged or problem.announced is not None or course.options.road is not None:
        return False
    open_still = solution.termination.reason is not Reason.OPTIMAL
    return open_still and int(count_windows(made.oracle.turns)[-1]) <= SMALLEST_WINDOWS


def _settled(course: Course, solution: Solution) -> Solution:
    """The solution with the optimum of the reference, if that is found in the time left."""
    # CP-SAT takes a second to import, and most weeks do not need it.
    from loadloom.models.orderly.reference import solve_reference

    left_s = max(0.1, course.options.time_limit_s - course.passed_s)
    exact = solve_reference(course.problem, replace(course.options, time_limit_s=left_s))
    if exact.termination.reason is not Reason.OPTIMAL:
        return solution
    if exact.termination.objective > solution.termination.objective:
        return solution
    return replace(
        exact,
        road=Road.COUPLED,
        prices=solution.prices,
        progress=solution.progress,
        threads=solution.threads,
    )


def _cover(
    course: Course, tiers: list[Kind], budgets: list[float], cap: FloatArray | None
) -> leximin.Coverage:
    """The least unserved energy under caps and budgets."""
    made, outcome = _run(course, "burden", tiers, budgets, share=0.1, cap=cap, nothing_costs=True)
    plan = plan_of(course.problem, made, outcome.answer.patterns)
    whole, feeders = referee.unserved_kw(course.problem, plan)
    kwh = float(((whole + feeders.sum(axis=0)) * course.problem.week.slot_h).sum())
    return leximin.Coverage(plan=plan, unserved_kwh=kwh, bound_kwh=outcome.bound)


def _least_tier(course: Course, kind: Kind, tiers: list[Kind], budgets: list[float]) -> float:
    """The least energy of a kind with which the least is unserved, within the budgets so far."""
    problem = course.problem
    share = 1.0 / (1.0 + len(TIERS) - len(tiers))
    made, outcome = _run(course, kind.name.lower(), tiers, budgets, share=share, counted=kind)
    plan = plan_of(problem, made, outcome.answer.patterns)
    mine = problem.measures.kind[plan.measure] == kind
    kwh = float(referee.effect(problem, plan).curtailed_kwh[mine].sum())
    # Whoever leaves no more unserved than this plan uses at least what the bound leaves over.
    left = outcome.bound - made.rows.cost(outcome.answer.activity)
    name = f"least {kind.name.lower()}"
    course.stages.append(Stage(name=name, unit="kWh", value=kwh, bound=min(kwh, max(0.0, left))))
    return kwh


def _run(
    course: Course,
    phase: str,
    tiers: list[Kind],
    budgets: list[float],
    *,
    share: float,
    counted: Kind | None = None,
    cap: FloatArray | None = None,
    nothing_costs: bool = False,
) -> tuple[Choices, Outcome]:
    """The outcome of a stage that makes least the loss, the energy of a kind, or the unserved."""
    problem, options = course.problem, course.options
    kwh = np.array(budgets) * (1.0 + _SLACK) + _SLACK
    made = choices(
        problem,
        seed=options.seed,
        pool=course.pool,
        budget=_budget_of(problem, tiers) if tiers else None,
        budgets_kwh=kwh if tiers else None,
        budget_price=_budget_price(problem, counted),
        counted=counted,
        nothing_costs=nothing_costs,
        unserved_price=1.0 if nothing_costs else _TIER_WEIGHT if counted is not None else None,
        burden_cap=cap,
    )
    _possible(made)
    start = _start(problem, made)
    race = course.race(phase, share)
    return made, solve_coupled(made.oracle, made.rows, race, seed=options.seed, start=start)


def _budget_of(problem: Problem, tiers: list[Kind]) -> np.ndarray:
    """The budget that each measure counts against, -1 for none."""
    budget = np.full(problem.measures.count, -1)
    for place, kind in enumerate(tiers):
        budget[problem.measures.kind == kind] = place
    return budget


def _budget_price(problem: Problem, counted: Kind | None) -> float:
    """What a kWh beyond a budget costs: more than what it could serve."""
    return 10.0 * (_TIER_WEIGHT if counted else problem.shortage.unserved_price_per_kwh)


def _start(problem: Problem, made: Choices) -> Answer | None:
    """What was announced, as an answer to begin with; None if it cannot all be kept."""
    patterns = announced_patterns(problem, made)
    return None if patterns is None else made.oracle.weighed(patterns)


def _possible(made: Choices) -> None:
    """Raises InvalidProblem if a user cannot keep both what has begun and its rules."""
    values, _ = made.oracle.priced(np.zeros(made.rows.demand.size))
    stuck = np.flatnonzero(values >= FAR / 2)
    message = "has announced events that have begun and break the user's rules"
    if stuck.size:
        raise InvalidProblem([Violation(f"users[{made.user[i]}]", message) for i in stuck.tolist()])


def _solution(
    course: Course, made: Choices, outcome: Outcome, budget_count: int, cap: FloatArray | None
) -> Solution:
    problem = course.problem
    answer = outcome.answer
    if problem.announced is not None:
        answer = least_change(problem, made, answer)
    plan = plan_of(problem, made, answer.patterns)
    whole, feeders = referee.unserved_kw(problem, plan)
    objective = referee.cost(problem, plan).total
    bound = min(outcome.bound, objective)
    closed = objective - bound <= _OPTIMAL_GAP * max(1.0, abs(objective))
    course.progress.append(
        Progress(
            seconds=course.passed_s,
            objective=objective,
            bound=bound,
            unserved_kwh=float(((whole + feeders.sum(axis=0)) * problem.week.slot_h).sum()),
            phase="answer",
        )
    )
    return Solution(
        termination=Termination(
            reason=Reason.OPTIMAL if closed else Reason.FEASIBLE, objective=objective, bound=bound
        ),
        road=Road.COUPLED,
        proof=Proof.DUAL,
        plan=plan,
        unserved_kw=whole,
        feeder_unserved_kw=feeders,
        prices=_prices(problem, outcome.prices[: outcome.prices.size - budget_count]),
        stages=tuple(course.stages),
        burden_cap=cap,
        progress=tuple(course.progress),
        threads=max(1, course.options.threads),
        seed=course.options.seed,
    )


def _prices(problem: Problem, rows: FloatArray) -> Prices:
    """The prices of a kWh in each slot; of those without hours, zero."""
    hours = problem.week.slot_h
    by_line = rows.reshape(-1, *hours.shape)
    per_kwh = np.divide(by_line, hours, out=np.zeros_like(by_line), where=hours > 0.0)
    return Prices(slot_per_kwh=per_kwh[0], feeder_per_kwh=per_kwh[1:])
