"""Weekly schedules: proven gaps at every size, beside solvers that are given the flat model."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from statistics import median

from benchmarks import orderly_cpsat as cpsat
from benchmarks.orderly_instances import park
from benchmarks.registry import Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from loadloom.models.orderly import referee
from loadloom.models.orderly.choices import plan_of
from loadloom.models.orderly.flat import flat_programme
from loadloom.models.orderly.problem import Plan, Problem
from loadloom.models.orderly.solution import OrderlyOptions
from loadloom.models.orderly.solve import solve
from loadloom.solvers.highs import Model

LARGE = (
    # users, slots, seconds, the proven gap to reach in them
    (2_000, 8, 10.0, 0.01),
    (10_000, 8, 5.0, 0.005),
    (50_000, 8, 30.0, 0.001),
    (200, 96, 60.0, inf),
    (2_000, 96, 60.0, inf),
    (10_000, 96, 60.0, 0.01),
)
"""The large weeks, and what is asked of them; inf for no bar."""

SMALL, SMALL_SEEDS = (20, 50, 100, 200), 10
"""The sizes of real parks, and how many weeks are drawn of each."""

OURS_S, PEERS_S = 10.0, 60.0
"""The seconds after which we are compared, and those that the solvers have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a contender found: refereed cost, proven bound, seconds, broken rules."""

    cost: float
    bound: float
    seconds: float
    broken: int

    @property
    def gap(self) -> float:
        """The proven gap; NaN if a rule is broken."""
        return (self.cost - self.bound) / self.cost if self.cost and not self.broken else nan


Contender = Callable[[Problem, float], Run]


def ours(problem: Problem, limit_s: float) -> Run:
    """What the coupled road finds in a time."""
    begun = time.perf_counter()
    solution = solve(
        problem, OrderlyOptions(time_limit_s=limit_s, relative_gap=1e-4), clock=time.perf_counter
    )
    seconds = time.perf_counter() - begun
    return _run(problem, solution.plan, solution.termination.bound, seconds)


def highs(problem: Problem, limit_s: float) -> Run:
    """What HiGHS finds in the flat model."""
    begun = time.perf_counter()
    flat = flat_programme(problem)
    left = max(0.1, limit_s - (time.perf_counter() - begun))
    outcome = Model(flat.program).solve(time_limit_s=left, relative_gap=1e-4)
    seconds = time.perf_counter() - begun
    none = flat.made.oracle.nobody()
    patterns = none if outcome.primal is None else flat.patterns(outcome.primal)
    plan = plan_of(problem, flat.made, patterns)
    return _run(problem, plan, outcome.termination.bound, seconds)


def cp_sat(problem: Problem, limit_s: float) -> Run:
    """What CP-SAT finds in the flat model, on two threads."""
    begun = time.perf_counter()
    flat = flat_programme(problem)
    left = max(0.1, limit_s - (time.perf_counter() - begun))
    outcome = cpsat.solve(flat.program, time_limit_s=left, relative_gap=1e-4, threads=2)
    seconds = time.perf_counter() - begun
    none = flat.made.oracle.nobody()
    patterns = none if outcome.primal is None else flat.patterns(outcome.primal)
    plan = plan_of(problem, flat.made, patterns)
    return _run(problem, plan, outcome.termination.bound, seconds)


def _run(problem: Problem, plan: Plan, bound: float, seconds: float) -> Run:
    return Run(
        cost=referee.cost(problem, plan).total,
        bound=bound,
        seconds=seconds,
        broken=len(referee.violations(problem, plan)),
    )


def _quick(effort: Effort) -> bool:
    return effort.budget_s < OURS_S


def warm() -> None:
    """Compiles what is compiled, so that nobody is timed with it."""
    ours(park(30, 8), 1.0)


def large(effort: Effort) -> Findings:
    """A region's planner waits for a proof, not for a promise, and has up to 50,000 users.

    The bar is the proven gap when time is up. Every plan is judged by the referee.
    """
    warm()
    sizes = LARGE[:1] if _quick(effort) else LARGE
    rows, bars = [], []
    for users, slots, limit_s, limit in sizes:
        found = ours(park(users, slots), limit_s)
        rows.append((f"{users:,} x {slots}", *_words(found)))
        if limit < inf:
            bars.append(
                Bar(
                    what=f"{users:,} users x {slots} slots: proven gap after {limit_s:g} s",
                    measured=100.0 * found.gap,
                    limit=100.0 * limit,
                    unit="%",
                )
            )
    headings = ("users x slots", "cost", "proven gap", "seconds", "broken rules")
    table = Table(title="Proven gaps", headings=headings, rows=tuple(rows))
    return Findings(tables=(table,), bars=tuple(bars))


def small(effort: Effort) -> Findings:
    """A real park has some tens of users, where whole numbers are what is hard.

    Our plan after some seconds beside those of HiGHS and CP-SAT after six times as many, each given
    the flat model, over several weeks.
    """
    warm()
    sizes, seeds = ((20,), 1) if _quick(effort) else (SMALL, SMALL_SEEDS)
    share = effort.budget_s / OURS_S
    tables, bars = [], []
    for users in sizes:
        weeks = [_week(users, seed + 1, share) for seed in range(seeds)]
        tables.append(_table(users, weeks))
        ratios = [w["ours"].cost / min(w["HiGHS"].cost, w["CP-SAT"].cost) for w in weeks]
        bars.append(
            Bar(
                what=f"{users} users: our cost as a multiple of the better solver's, median",
                measured=median(ratios),
                limit=0.99,
            )
        )
    return Findings(tables=tuple(tables), bars=tuple(bars))


def _week(users: int, seed: int, share: float) -> dict[str, Run]:
    problem = park(users, 8, seed)
    return {
        "ours": ours(problem, share * OURS_S),
        "HiGHS": highs(problem, share * PEERS_S),
        "CP-SAT": cp_sat(problem, share * PEERS_S),
    }


def _table(users: int, weeks: list[dict[str, Run]]) -> Table:
    rows = [
        (f"{seed + 1}", name, *_words(found))
        for seed, week in enumerate(weeks)
        for name, found in week.items()
    ]
    headings = ("week", "method", "cost", "proven gap", "seconds", "broken rules")
    return Table(title=f"{users} users x 8 slots", headings=headings, rows=tuple(rows))


def _words(found: Run) -> tuple[str, ...]:
    gap = f"{100.0 * found.gap:.2f} %"
    return number(found.cost), gap, number(found.seconds), str(found.broken)


SPECS = (
    BenchSpec(
        name="orderly-large",
        question="How close to the optimum is a region's week, provably?",
        bar="10,000 users: 0.5 % in 5 s; 50,000: 0.1 % in 30 s; 10,000 x 96 slots: 1 % in 60 s",
        run=large,
    ),
    BenchSpec(
        name="orderly-small",
        question="And a park's week, beside HiGHS and CP-SAT?",
        bar="after 10 s at most 0.99 of the better of both after 60 s",
        run=small,
    ),
)
