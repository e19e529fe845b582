"""The refereed portfolio; what runs in the process of a job."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from time import monotonic, perf_counter

import numpy as np

from loadloom.engine.answers.agency import BALANCE
from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Progress
from loadloom.engine.task import RejectedPlan
from loadloom.models.agency import portfolio_referee as referee
from loadloom.models.agency.portfolio import (
    PortfolioOptions,
    PortfolioProblem,
    PortfolioProgress,
    PortfolioSolution,
)
from loadloom.models.agency.portfolio_explain import (
    NaiveRule,
    Recruit,
    UserReason,
    naive_rules,
    recruits,
    user_reasons,
)
from loadloom.models.agency.portfolio_referee import ContractFigures
from loadloom.models.certificate import Certificate

OVERHEAD_S = 30.0
"""The time of an attempt beyond that of its solve: to read, to referee and to explain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A portfolio with what the referee and the explanations say of it.

    `figures` and what follows are there where a portfolio was found. The certificate is of minus
    the profit, so that less is better as everywhere.
    """

    solution: PortfolioSolution
    certificate: Certificate | None = None
    profit: float = 0.0
    figures: tuple[ContractFigures, ...] = ()
    recruits: tuple[Recruit, ...] = ()
    reasons: tuple[UserReason, ...] = ()
    rules: tuple[NaiveRule, ...] = ()
    solve_s: float


def chosen(
    problem: PortfolioProblem,
    options: PortfolioOptions,
    progress: Progress,
    deadline: Deadline,
    *,
    recruit_count: int,
    explained: np.ndarray,
) -> Chosen:
    """The best portfolio within the limits, refereed and explained; progress is told on the way.

    Args:
        problem: who could be taken.
        options: the limits.
        progress: hears of the search.
        deadline: when the attempt must have ended.
        recruit_count: how many to name that could be recruited next.
        explained: the candidates whose being taken or not to explain.

    Raises:
        RejectedPlan: the referee found it to break rules, or to earn more than its bound.
    """
    # Solvers and kernels take a second to load, and the server only hands jobs on.
    from loadloom.models.agency.portfolio import form_portfolio

    started = perf_counter()
    limit_s = min(options.time_limit_s, max(deadline.remaining_s - OVERHEAD_S, 1.0))
    limited = replace(options, time_limit_s=limit_s)
    solution = form_portfolio(problem, limited, _reporting(progress), monotonic)
    solve_s = perf_counter() - started
    if solution.contract is None:
        return Chosen(solution=solution, solve_s=solve_s)
    if broken := referee.violations(problem, solution.contract):
        raise RejectedPlan(f"{solution.road.value}: {'; '.join(map(str, broken[:20]))}")
    profit = referee.profit(problem, solution.contract)
    certificate = _certificate(solution, profit)
    progress.report(
        value=certificate.objective,
        bound=certificate.bound if isfinite(certificate.bound) else None,
        relative_gap=certificate.relative_gap if isfinite(certificate.relative_gap) else None,
        phase="refereed",
    )
    return Chosen(
        solution=solution,
        certificate=certificate,
        profit=profit,
        figures=referee.figures(problem, solution.contract),
        recruits=tuple(recruits(problem, solution, recruit_count)),
        reasons=tuple(user_reasons(problem, solution, explained)) if explained.size else (),
        rules=tuple(naive_rules(problem, solution)),
        solve_s=solve_s,
    )


def _reporting(progress: Progress) -> Callable[[PortfolioProgress], bool]:
    """Tells a job's progress of the search's, and the search whether to go on."""

    def report(step: PortfolioProgress) -> bool:
        gap = (step.bound - step.profit) / max(1.0, abs(step.profit))
        stop = progress.report(
            value=-step.profit if isfinite(step.profit) else None,
            bound=-step.bound if isfinite(step.bound) else None,
            relative_gap=gap if isfinite(gap) else None,
            phase=step.phase,
        )
        return not stop

    return report


def _certificate(solution: PortfolioSolution, profit: float) -> Certificate:
    """The certificate at the referee's profit; rounding may leave a bound a hair below it."""
    bound = solution.termination.bound
    if profit > bound + BALANCE * max(1.0, abs(profit)):
        raise RejectedPlan(f"{solution.road.value}: earns {profit!r}, above its bound of {bound!r}")
    return Certificate(objective=-profit, bound=-max(bound, profit), proof=solution.proof)
