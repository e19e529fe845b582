"""Call lists that keep their confidence by the customers' own law, and not by the normal one alone.

Few customers who come all or nothing add up to a skewed sum: the normal model then says 95 % where
93 % hold. Planning and simulating take turns:

    offer         = plan with need[v,s] + raised[v,s]
    raised[v,s]   = secured by the normal model - secured in draws, where a need is missed too often

until no need is warned of. Draws of each turn are others than those by which needs were raised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.response.confidence import ConfidenceCheck, Law, check
from loadloom.models.response.normal import probability
from loadloom.models.response.problem import OfferArray, Problem
from loadloom.models.response.referee import figures
from loadloom.models.response.solution import PlanOptions, Report, Solution, Unsecured
from loadloom.models.response.solve import plan
from loadloom.models.response.unsecured import unsecured_by
from loadloom.solvers.coupled.budget import Clock
from loadloom.solvers.termination import Reason

MOST_TURNS = 4
"""Two are enough for transformers of fifty customers; law and model may be further apart."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibrated:
    """A call list, and what draws say of it.

    Attributes:
        solution: the plan. Its bound is what no call list costs less than that secures the needs by
            the normal model, so its gap is also what the rest of the confidence costs.
        check: what the draws find; warnings are left where needs cannot be raised further.
        raised_kw: by how much each need was raised, (V, S).
    """

    solution: Solution
    check: ConfidenceCheck | None
    raised_kw: FloatArray


def calibrated(
    problem: Problem,
    options: PlanOptions | None = None,
    law: Law | None = None,
    *,
    samples: int = 4_000,
    most_turns: int = MOST_TURNS,
    report: Report | None = None,
    clock: Clock | None = None,
    start: OfferArray | None = None,
) -> Calibrated:
    """The call list of least cost whose confidence draws of a law confirm, in some turns.

    The law is the problem's own if none is given. Each turn has the time limit of the options for
    itself. With a budget nothing is raised: the plan is that of `plan`, and the draws judge it.
    `start` is a call list to begin from, as for `plan`.
    Repeatable by the options' seed where time does not end a search.

    Raises:
        InvalidProblem: the law is not of this problem's offers, slots and customers.
    """
    options = options or PlanOptions()
    raised = np.zeros(problem.network.need_kw.shape)
    solution = first = plan(problem, options, report, clock, start)
    if first.offer is None:
        return Calibrated(solution=first, check=None, raised_kw=raised)

    def tried(offer: OfferArray, turn: int) -> ConfidenceCheck:
        z, seed = first.common_z, options.seed + turn
        return check(problem, offer, law, common_z=z, samples=samples, seed=seed)

    offer = first.offer
    found = tried(offer, 0)
    for turn in range(1, most_turns + 1):
        if problem.budget is not None or not found.warnings:
            break
        higher = _raised(problem, offer, found, first.unsecured, raised)
        asked = replace(problem.network, need_kw=problem.network.need_kw + higher)
        after = plan(replace(problem, network=asked), options, report, clock, offer)
        if after.offer is None or len(after.unsecured) > len(first.unsecured):
            break
        offer, raised = after.offer, higher
        solution = _of_the_needs(problem, offer, after, first)
        found = tried(offer, turn)
    return Calibrated(solution=solution, check=found, raised_kw=raised)


def _raised(
    problem: Problem,
    offer: OfferArray,
    found: ConfidenceCheck,
    unsecured: Sequence[Unsecured],
    raised: FloatArray,
) -> FloatArray:
    """By how much needs are raised next: what the normal model overstates where one is missed."""
    network = problem.network
    missed = network.needed & (found.probability < probability(network.z)[:, None])
    for each in unsecured:
        missed[each.node, each.slot] = False
    over = figures(problem, offer).secured_kw - found.quantile_kw
    return np.maximum(raised, np.where(missed, over, 0.0))


def _of_the_needs(
    problem: Problem, offer: OfferArray, after: Solution, first: Solution
) -> Solution:
    """A plan of raised needs as one of the needs themselves, with their bound."""
    cost = after.termination.objective
    bound = min(first.termination.bound, cost)
    ended = replace(after.termination, reason=Reason.FEASIBLE, bound=bound)
    short = unsecured_by(problem, offer) if problem.best_effort else ()
    return replace(after, termination=ended, unsecured=short)
