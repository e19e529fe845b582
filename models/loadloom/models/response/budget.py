"""The most confidence for a budget: the largest common z whose cheapest call list it pays for.

The least cost never falls as z rises, so that z is found by halving. Where a plan costs more than
the budget and its bound less, neither is known: plans are then looked for below, the bound above.
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

_MOST_HALVINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Costed:
    """The cheapest plan found at some z: its cost, inf if there is none, a bound, and its own z."""

    cost: float
    bound: float
    z: float


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
    cheapest: Callable[[float], Costed], budget: float, race: Race
) -> tuple[float, float]:
    """The z of the best plan, -inf if there is none, and the z that no plan surpasses.

    `cheapest` tells the cheapest plan at a z; the last one told that the budget pays for is best.
    """
    at = cheapest(0.0)
    if at.bound > budget:
        return -inf, -inf
    # Plans are looked for between `low` and `high`; above `top` there can be none.
    # Where none was found at 0, none is looked for above it: the bound alone is.
    low = max(at.z, 0.0) if at.cost <= budget else -inf
    high = LARGEST_Z if at.cost <= budget else -inf
    top, tried = LARGEST_Z, LARGEST_Z
    for _ in range(_MOST_HALVINGS):
        if low >= high - Z_STEP or race.budget.spent():
            break
        at = cheapest(tried)
        if at.cost <= budget:
            low = max(low, tried, at.z)
        else:
            high = tried
            top = min(top, tried) if at.bound > budget else top
        tried = 0.5 * (low + high)
    # Nor are there any above the smallest z whose bound the budget does not pay for.
    high = max(low, high, 0.0)
    for _ in range(_MOST_HALVINGS):
        if high >= top - Z_STEP or race.budget.spent():
            break
        tried = 0.5 * (high + top)
        at = cheapest(tried)
        if at.cost <= budget:
            low = max(low, tried, at.z)
        if at.bound > budget:
            top = tried
        else:
            high = max(tried, low)
    return low, max(low, top)
