"""One question of demand response answered and refereed, with the seconds it took."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from statistics import median

from benchmarks.report import number
from benchmarks.response_instances import fresh
from loadloom.models.response import referee
from loadloom.models.response.problem import Problem
from loadloom.models.response.solution import PlanOptions, Solution
from loadloom.models.response.solve import plan

HEADINGS = ("customers", "called", "cost", "proven gap", "ms")
"""Of customers and the words of a run."""

Solver = Callable[[Problem], Solution]


class Wrong(RuntimeError):  # noqa: N818 -- it names the state of an answer
    """An answer breaks a rule or is not what it claims, so nothing is timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a solver found: the cost by the referee, what is proven, the median seconds."""

    solution: Solution
    seconds: float

    @property
    def cost(self) -> float:
        """The cost of the call list."""
        return self.solution.termination.objective

    @property
    def gap(self) -> float:
        """The proven gap, relative to the cost."""
        return self.solution.relative_gap

    @property
    def called(self) -> int:
        """How many are called."""
        offer = self.solution.offer
        return 0 if offer is None else int((offer >= 0).sum())

    @property
    def words(self) -> tuple[str, ...]:
        """Called, cost, proven gap and milliseconds, as a table tells them."""
        told = (number(self.cost, 7), f"{100.0 * self.gap:.5f} %", number(1e3 * self.seconds))
        return (f"{self.called:,}", *told)


def timed(problem: Problem, solver: Solver, rounds: int) -> Run:
    """The last of some runs and the median seconds of all, each from columns alone.

    Raises:
        Wrong: an answer has no call list, or the referee finds a rule that it breaks.
    """
    runs = [_once(problem, solver) for _ in range(rounds)]
    return Run(solution=runs[-1].solution, seconds=median(run.seconds for run in runs))


def _once(problem: Problem, solver: Solver) -> Run:
    asked = fresh(problem)
    begun = time.perf_counter()
    solution = solver(asked)
    seconds = time.perf_counter() - begun
    if solution.offer is None:
        raise Wrong(f"no call list: {solution.termination}")
    # How wide the gap is, is measured and told by itself.
    if broken := referee.violations(problem, solution, PlanOptions(relative_gap=inf)):
        raise Wrong(str(broken[0]))
    return Run(solution=solution, seconds=seconds)


def ours(relative_gap: float, threads: int = 2, time_limit_s: float = float("inf")) -> Solver:
    """Loadloom at a gap, on the road it chooses."""
    options = PlanOptions(relative_gap=relative_gap, threads=threads, time_limit_s=time_limit_s)
    return lambda problem: plan(problem, options, clock=time.perf_counter)
