"""Those who plan a week: we ourselves, and HiGHS and CP-SAT on the flat model, all refereed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan

from benchmarks import orderly_cpsat as cpsat
from benchmarks.orderly_instances import park
from benchmarks.report import number
from loadloom.models.orderly import referee
from loadloom.models.orderly.choices import patterns_of, plan_of
from loadloom.models.orderly.flat import Flat, flat_programme
from loadloom.models.orderly.problem import Plan, Problem
from loadloom.models.orderly.solution import OrderlyOptions, Progress, Solution
from loadloom.models.orderly.solve import solve
from loadloom.models.orderly.solve import warm as compiled
from loadloom.solvers.highs import FloatArray, Model, Outcome

GAP = 1e-4
"""The proven gap at which everybody may stop."""


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


def planned(problem: Problem, limit_s: float) -> tuple[Solution, Run]:
    """What the coupled road finds in a time."""
    begun = time.perf_counter()
    options = OrderlyOptions(time_limit_s=limit_s, relative_gap=GAP)
    solution = solve(problem, options, clock=time.perf_counter)
    seconds = time.perf_counter() - begun
    return solution, judged(problem, solution.plan, solution.termination.bound, seconds)


def ours(problem: Problem, limit_s: float) -> Run:
    """What the coupled road finds in a time, refereed."""
    return planned(problem, limit_s)[1]


def part_way(solution: Solution, after_s: float, broken: int) -> Run:
    """Where a solve stood after so many seconds, by what it told of its progress."""
    told = [step for step in solution.progress if step.seconds <= after_s]
    nothing = Progress(seconds=0.0, objective=inf, bound=-inf, unserved_kwh=0.0, phase="")
    last = told[-1] if told else nothing
    return Run(cost=last.objective, bound=last.bound, seconds=last.seconds, broken=broken)


def highs(problem: Problem, limit_s: float, hint: Plan | None = None) -> Run:
    """What HiGHS finds in the flat model, perhaps from a plan on."""

    def search(flat: Flat, start: FloatArray | None, left_s: float) -> Outcome:
        model = Model(flat.program)
        if start is not None:
            model.begin_with(start)
        return model.solve(time_limit_s=left_s, relative_gap=GAP)

    return _flat(problem, limit_s, hint, search)


def cp_sat(problem: Problem, limit_s: float, hint: Plan | None = None) -> Run:
    """What CP-SAT finds in the flat model on two threads, perhaps with a plan as its hint."""

    def search(flat: Flat, start: FloatArray | None, left_s: float) -> Outcome:
        return cpsat.solve(
            flat.program, time_limit_s=left_s, relative_gap=GAP, threads=2, hint=start
        )

    return _flat(problem, limit_s, hint, search)


def _flat(
    problem: Problem,
    limit_s: float,
    hint: Plan | None,
    search: Callable[[Flat, FloatArray | None, float], Outcome],
) -> Run:
    begun = time.perf_counter()
    flat = flat_programme(problem)
    start = None if hint is None else flat.primal(patterns_of(problem, flat.made, hint))
    outcome = search(flat, start, max(0.1, limit_s - (time.perf_counter() - begun)))
    seconds = time.perf_counter() - begun
    none = flat.made.oracle.nobody()
    patterns = none if outcome.primal is None else flat.patterns(outcome.primal)
    plan = plan_of(problem, flat.made, patterns)
    return judged(problem, plan, outcome.termination.bound, seconds)


def judged(problem: Problem, plan: Plan, bound: float, seconds: float) -> Run:
    """A plan in the words of the referee."""
    return Run(
        cost=referee.cost(problem, plan).total,
        bound=bound,
        seconds=seconds,
        broken=len(referee.violations(problem, plan)),
    )


def words(found: Run) -> tuple[str, ...]:
    """A run as a row of a table: cost, gap, seconds, broken rules."""
    gap = f"{100.0 * found.gap:.2f} %"
    return number(found.cost), gap, number(found.seconds), str(found.broken)


def warm() -> None:
    """Compiles what is compiled, so that nobody is timed with it."""
    compiled()
    ours(park(30, 8), 1.0)
