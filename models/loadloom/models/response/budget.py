"""The most confidence for a budget: the largest common z whose cheapest call list it pays for.

The least cost never falls as z rises, so that z is found between two by the line through their
costs, and by halving now and then. Where a plan costs more than the budget and its bound less,
neither is known: plans are then looked for below, the bound above.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.response.network import MOST_CONFIDENCE
from loadloom.models.response.normal import quantile
from loadloom.models.response.problem import OfferArray, Problem
from loadloom.models.response.referee import figures
from loadloom.models.response.rows import needed
from loadloom.solvers.coupled.budget import Race

LARGEST_Z = float(quantile(np.array(MOST_CONFIDENCE)))
"""The largest z that is looked for; beyond it the normal model says nothing."""

Z_STEP = 1e-7
"""Plans and bound are brought this near to each other where roads are exact."""

_MOST_TRIES = 120
_STEEP = 6  # so often the next z is guessed by what one more costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Costed:
    """The cheapest plan found at some z.

    Attributes:
        cost: what it costs; inf if there is none.
        bound: what no plan at that z costs less than.
        z: the largest at which the plan itself holds.
        slope: what one more z would cost, about; 0 if nobody knows.
    """

    cost: float
    bound: float
    z: float
    slope: float = 0.0


def own_z(problem: Problem, offer: OfferArray) -> float:
    """The largest common z at which a call list keeps all needs and headrooms."""
    network = problem.network
    found = figures(problem, offer)
    counts = needed(problem)
    over = (found.mean_kw - network.need_kw)[counts]
    sd = np.sqrt(found.variance_kw2)[counts]
    if network.headroom_kw is not None:
        limited = np.isfinite(network.headroom_kw)
        over = np.append(over, (network.headroom_kw - found.rebound_kw)[limited])
        sd = np.append(sd, found.rebound_sd_kw[limited])
    sure = np.where(over >= -1e-9, LARGEST_Z, -inf)
    ratio = np.divide(over, sd, out=sure, where=sd > 0.0)
    return float(ratio.min(initial=LARGEST_Z))


def most_confident(
    cheapest: Callable[[float], Costed], budget: float, race: Race, *, step: float = Z_STEP
) -> tuple[float, float]:
    """The z of the best plan, -inf if there is none, and the z that no plan surpasses.

    `cheapest` tells the cheapest plan at a z; the last one told that the budget pays for is best.
    Both are found to a `step`.
    """
    at = cheapest(0.0)
    if at.bound > budget:
        return -inf, -inf
    # Plans are looked for between `low` and `high`; above `top` there can be none.
    # Where none was found at 0, none is looked for above it: the bound alone is.
    low, under = (max(at.z, 0.0), at) if at.cost <= budget else (-inf, at)
    high, over = (LARGEST_Z, None) if at.cost <= budget else (-inf, at)
    top = LARGEST_Z
    known = [(0.0, at.bound)]
    for turn in range(_MOST_TRIES):
        if low >= high - step or race.budget.spent():
            break
        tried = _next(turn, low, high, under, over, budget, step)
        at = cheapest(tried)
        known.append((tried, at.bound))
        if at.cost <= budget:
            low, under = max(low, tried, at.z), at
        else:
            high, over = tried, at
            top = min(top, tried) if at.bound > budget else top
    # Nor are there any above the smallest z whose bound the budget does not pay for.
    high = max([low, 0.0, *(z for z, bound in known if bound <= budget and z < top)])
    for turn in range(_MOST_TRIES):
        if high >= top - step or race.budget.spent():
            break
        tried = _bounded(turn, high, top, known, budget, step)
        at = cheapest(tried)
        known.append((tried, at.bound))
        if at.cost <= budget:
            low = max(low, tried, at.z)
        if at.bound > budget:
            top = tried
        else:
            high = max(tried, low)
    return low, max(low, top)


def _next(
    turn: int,
    low: float,
    high: float,
    under: Costed,
    over: Costed | None,
    budget: float,
    step: float,
) -> float:
    """Where a plan might cost as much as the budget; every third time the middle.

    Between two plans by the line through their costs; beyond the last one by what one more z costs.
    """
    middle, left = 0.5 * (low + high), budget - under.cost
    if over is None:
        beyond = low + left / under.slope if under.slope > 0.0 else high
        return float(np.clip(beyond, low + step, high)) if turn < _STEEP else middle
    if turn % 3 == 2 or over.cost == inf or over.cost <= under.cost:
        return middle
    part = left / (over.cost - under.cost)
    return float(np.clip(low + part * (high - low), low + 0.5 * step, high - 0.5 * step))


def _bounded(
    turn: int,
    high: float,
    top: float,
    known: list[tuple[float, float]],
    budget: float,
    step: float,
) -> float:
    """Where a bound might be just above the budget, by the line through those on either side."""
    below = max((z, bound) for z, bound in known if bound <= budget and z < top)
    above = min(((z, bound) for z, bound in known if bound > budget), default=(top, inf))
    rise = above[1] - below[1]
    if turn % 3 == 2 or not 0.0 < rise < inf:
        return 0.5 * (high + top)
    at = below[0] + (budget - below[1]) / rise * (above[0] - below[0])
    # A step to one side and then to the other encloses it.
    at += (0.5 if turn % 3 == 0 else -0.5) * step
    return float(np.clip(at, high + 0.5 * step, top - 0.5 * step))
