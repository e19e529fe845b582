"""The refereed answers about whom to call; what runs in a worker process."""

from dataclasses import dataclass, replace
from functools import cache
from time import perf_counter

import numpy as np

from loadloom.engine.answers.agency import Answer, Ended, ended
from loadloom.engine.convert.response import Targeting
from loadloom.engine.convert.response_detail import TrueLaw
from loadloom.engine.task import RejectedPlan, Task
from loadloom.models.certificate import Certificate
from loadloom.models.options import Method, SolveOptions
from loadloom.models.response import referee
from loadloom.models.response.calibrated import MOST_TURNS, calibrated
from loadloom.models.response.confidence import ConfidenceCheck, Law, check, law_of
from loadloom.models.response.explain import (
    GroupFigures,
    MeanRanking,
    Why,
    equity,
    explain,
    mean_ranking,
)
from loadloom.models.response.normal import probability
from loadloom.models.response.problem import OfferArray, Problem
from loadloom.models.response.ranking import Reserve, reserve
from loadloom.models.response.referee import Figures
from loadloom.models.response.solution import PlanOptions, Road, Solution
from loadloom.models.response.solve import plan, warm

THREADS = 2
"""The threads that plan; nearly all plans take milliseconds, and the largest need both cores."""

PLAN_SHARE = 0.85
"""The share of the time that a plan may take; the rest is for the referee and what is told."""

LEAST_S = 0.05
"""The time that a plan may take at least, however late it begins."""

SAMPLES = 4_000
"""The draws of a check of confidence unless asked otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """A plan and what is told of it; all but the solution is empty where there is no plan."""

    solution: Solution
    figures: Figures | None = None
    reserves: tuple[Reserve, ...] = ()
    ranking: MeanRanking | None = None
    ranking_figures: Figures | None = None
    groups: tuple[GroupFigures, ...] = ()
    reasons: tuple[Why, ...] = ()
    confidence: ConfidenceCheck | None = None


def planned(task: Task[Targeting]) -> Answer[Targets]:
    """The customers to call, with the proof, or what stands in the way.

    Raises:
        InvalidProblem: the law to draw from is none.
        RejectedPlan: the referee found the plan to break rules.
    """
    started, problem = perf_counter(), task.problem.problem
    by_reference = task.options.method is Method.REFERENCE
    if not by_reference:
        _warmed()
    spent_s = perf_counter() - started
    options = _plan_options(task, spent_s)
    solution, confidence = _searched(task, options)
    if broken := referee.violations(problem, solution, options):
        raise RejectedPlan(f"{solution.road.value}: {'; '.join(map(str, broken[:20]))}")
    solve_s = perf_counter() - started
    targets = Targets(solution=solution)
    certificate = None
    if solution.offer is not None:
        targets = _told(task, solution, solution.offer, confidence)
        certificate = _certificate(problem, solution)
    return Answer(
        solution=Ended(
            termination=solution.termination,
            method=Method.REFERENCE if by_reference else Method.KERNEL,
            road=solution.road.value,
        ),
        found=targets,
        certificate=certificate,
        solve_s=solve_s,
    )


@cache
def _warmed() -> None:
    """Loads the kernels, or compiles them where nobody has yet, which takes a minute."""
    warm()


def _searched(
    task: Task[Targeting], options: PlanOptions
) -> tuple[Solution, ConfidenceCheck | None]:
    """The plan; with draws that confirm its confidence, if that is asked for."""
    asked, detail = task.problem, task.problem.detail
    if not detail.confirmed:
        return plan(asked.problem, options, clock=perf_counter), None
    found = calibrated(
        asked.problem,
        replace(options, time_limit_s=options.time_limit_s / (MOST_TURNS + 1)),
        None if detail.law is None else _law(asked.problem, detail.law),
        samples=detail.samples or SAMPLES,
        clock=perf_counter,
    )
    return found.solution, found.check


def _plan_options(task: Task[Targeting], spent_s: float) -> PlanOptions:
    options = task.options
    left_s = max(PLAN_SHARE * (options.time_limit_s - spent_s), LEAST_S)
    return PlanOptions(
        time_limit_s=min(task.problem.time_limit_s, left_s),
        relative_gap=options.relative_gap,
        seed=options.seed,
        threads=THREADS,
        road=Road.REFERENCE if options.method is Method.REFERENCE else None,
    )


def _told(
    task: Task[Targeting],
    solution: Solution,
    offer: OfferArray,
    confidence: ConfidenceCheck | None,
) -> Targets:
    problem, detail = task.problem.problem, task.problem.detail
    ranking = mean_ranking(problem, solution) if detail.mean_ranking else None
    ranked = None
    if ranking is not None and ranking.offer is not None:
        ranked = referee.figures(problem, ranking.offer)
    if detail.samples and confidence is None:
        confidence = drawn(task.problem, offer, detail.law, solution, detail.samples, task.options)
    return Targets(
        solution=solution,
        figures=referee.figures(problem, offer, _z(problem, solution)),
        reserves=reserve(problem, solution, detail.reserve_count) if detail.reserve_count else (),
        ranking=ranking,
        ranking_figures=ranked,
        groups=equity(problem, offer),
        reasons=explain(problem, solution, detail.reasons) if detail.reasons else (),
        confidence=confidence,
    )


def _z(problem: Problem, solution: Solution) -> np.ndarray:
    """The quantile of each node's confidence; with a budget that of all in common."""
    if solution.common_z is None:
        return problem.network.z
    return np.full(problem.network.count, solution.common_z)


def drawn(
    asked: Targeting,
    offer: OfferArray,
    law: TrueLaw | None,
    solution: Solution | None,
    samples: int,
    options: SolveOptions,
) -> ConfidenceCheck:
    """The confidence of a choice by draws from the law of what customers do."""
    problem = asked.problem
    return check(
        problem,
        offer,
        law_of(problem) if law is None else _law(problem, law),
        common_z=None if solution is None else solution.common_z,
        samples=samples or SAMPLES,
        seed=options.seed,
    )


def _law(problem: Problem, told: TrueLaw) -> Law:
    own, offers = law_of(problem), problem.offers
    loading = own.loading
    if told.shock_share is not None:
        shape = (problem.customers.count, told.shock_share.shape[1])
        loading = np.broadcast_to(told.shock_share, shape)[offers.customers]
    return replace(
        own,
        degrees_of_freedom=told.degrees_of_freedom,
        shock_degrees_of_freedom=told.shock_degrees_of_freedom,
        loading=loading,
        outage_probability=told.outage_probability,
        outage_group=told.outage_group,
    )


def _certificate(problem: Problem, solution: Solution) -> Certificate:
    """The certificate; with a budget, of minus the confidence, so that less is better."""
    its = solution.termination
    if problem.budget is not None:
        objective, bound = (-float(probability(np.array(z))) for z in (its.objective, its.bound))
    else:
        objective, bound = its.objective, its.bound
    return Certificate(objective=objective, bound=min(bound, objective), proof=solution.proof)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A choice whose confidence is asked for: the offer of each customer, and the law."""

    asked: Targeting
    offer: OfferArray
    law: TrueLaw | None
    samples: int


def checked(task: Task[Choice]) -> Answer[ConfidenceCheck]:
    """The confidence of a choice.

    Raises:
        InvalidProblem: the law to draw from is none.
    """
    started, choice = perf_counter(), task.problem
    found = drawn(choice.asked, choice.offer, choice.law, None, choice.samples, task.options)
    return Answer(
        solution=ended("draws", is_exact=False),
        found=found,
        solve_s=perf_counter() - started,
    )
