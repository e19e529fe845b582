"""The refereed plan of a fleet; what runs in the process of a job."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import isfinite
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from loadloom.engine.answers.dispatch import ROUNDING
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Progress
from loadloom.engine.settings import cores
from loadloom.engine.task import RejectedPlan
from loadloom.models.certificate import Certificate, Proof
from loadloom.models.dispatch.fleet.problem import Fleet
from loadloom.models.dispatch.fleet.solution import FleetSolution
from loadloom.models.options import SolveOptions

if TYPE_CHECKING:
    from loadloom.models.crew import Crew
    from loadloom.models.dispatch.fleet.explain import Explanation
    from loadloom.models.dispatch.fleet.referee import Judgement

OVERHEAD_S = 30.0
"""The time of an attempt beyond that of its solve: to read, referee, explain, and write plans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The plan of a fleet with what the referee and the explanations say of it.

    What follows the solution is there where there is a plan.

    Attributes:
        solution: the solution.
        word: what the referee says.
        certificate: the proof, at the referee's cost.
        explanation: what the limits do.
        baseline_breaking: the number of sites whose own rules the baseline breaks.
        threads: how many solved.
        solve_s: the seconds that it took.
    """

    solution: FleetSolution
    word: "Judgement | None" = None
    certificate: Certificate | None = None
    explanation: "Explanation | None" = None
    baseline_breaking: int = 0
    threads: int
    solve_s: float


def planned(
    fleet: Fleet,
    options: SolveOptions,
    progress: Progress,
    deadline: Deadline,
    *,
    threads: int,
    cluster: str,
) -> Planned:
    """The plan of a fleet, refereed and explained; progress is told on the way.

    Args:
        fleet: the sites and their nodes.
        options: the limits.
        progress: hears of the search.
        deadline: when the attempt must have ended.
        threads: how many threads are wished for; zero for one a core.
        cluster: the scheduler of the cluster that solves the sites; empty for these threads.

    Raises:
        Refusal: the cluster is not there.
        RejectedPlan: the referee found plans to break rules, or to cost less than their bound.
    """
    # Solvers and kernels take a second to load, and the server only hands jobs on.
    from loadloom.models.dispatch.fleet.explain import explain
    from loadloom.models.dispatch.fleet.idle import breaking
    from loadloom.models.dispatch.fleet.referee import judge
    from loadloom.models.dispatch.fleet.solve import solve

    started = perf_counter()
    threads = min(threads or cores(), cores())
    limit_s = min(options.time_limit_s, max(deadline.remaining_s - OVERHEAD_S, 1.0))
    with _crew(cluster) as crew:
        solution = solve(
            fleet,
            replace(options, time_limit_s=limit_s),
            threads=threads,
            crew=crew,
            clock=monotonic,
            listener=_reporting(progress),
        )
        solve_s = perf_counter() - started
        plan = solution.plan
        if plan is None:
            return Planned(solution=solution, threads=threads, solve_s=solve_s)
        word = judge(fleet, plan.columns, plan.schedules, threads)
        if word.violations:
            raise RejectedPlan("; ".join(map(str, word.violations[:20])))
        certificate = _certificate(solution.termination.bound, word.cost)
        progress.report(
            value=certificate.objective,
            bound=certificate.bound,
            relative_gap=certificate.relative_gap,
            phase="refereed",
        )
        return Planned(
            solution=solution,
            word=word,
            certificate=certificate,
            explanation=explain(fleet, solution, threads, crew),
            baseline_breaking=breaking(fleet),
            threads=threads,
            solve_s=solve_s,
        )


@contextmanager
def _crew(cluster: str) -> Iterator["Crew | None"]:
    """The workers of a cluster, or None for the threads of this process.

    Raises:
        Refusal: the cluster is not there.
    """
    if not cluster:
        yield None
        return
    from loadloom.engine.run.cluster import NoCluster, connected, crew_of

    try:
        with connected(cluster) as client:
            yield crew_of(client)
    except NoCluster as error:
        raise refusal.no_cluster(str(error)) from error


def _reporting(progress: Progress) -> Callable[[float, float, float, str], bool]:
    """Tells a job's progress of the search's, and the search whether to go on."""

    def heard(_seconds: float, value: float, bound: float, phase: str) -> bool:
        gap = (value - bound) / max(1.0, abs(value))
        stop = progress.report(
            value=value if isfinite(value) else None,
            bound=bound if isfinite(bound) else None,
            relative_gap=gap if isfinite(gap) else None,
            phase=phase,
        )
        return not stop

    return heard


def _certificate(bound: float, cost: float) -> Certificate:
    """The certificate at the referee's cost; rounding may leave a bound a hair above it."""
    if bound > cost + ROUNDING * max(1.0, abs(cost)):
        raise RejectedPlan(f"plans cost {cost!r}, below their bound of {bound!r}")
    return Certificate(objective=cost, bound=min(bound, cost), proof=Proof.DUAL)
