"""The greatest confidence, common to all rows, that a budget buys."""

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.covering.nested import Cover, cover
from loadloom.solvers.covering.rows import Problem, summed
from loadloom.solvers.covering.terms import Flags, Floats

MOST = 9.0
"""The largest z that is looked for: one in 10^19."""

_TRIES = 24
_CLOSE = 1e-4  # in z
_BEYOND = (0.003, 0.01, 0.03, 0.1, 0.3)  # shares of 1 + z by which a bound may be further on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confident:
    """The choice of the greatest common z found, and what is proven.

    Attributes:
        cover: the choice at that z, with its bound and prices; without one if nothing was found.
        z: the largest z at which it keeps all rows; -inf without one.
        z_bound: no choice within the budget keeps all rows at a larger z; -inf if none does at 0.
    """

    cover: Cover
    z: float
    z_bound: float


def most_confident(
    problem: Problem, budget: float, race: Race, *, seed: int = 0, threads: int = 2
) -> Confident:
    """The choice of the greatest common z whose cost is within the budget.

    Rows with a positive z share it; those of z = 0 stay certain. Costs at the ends of the interval
    in which z must be say where to look next.
    """
    shared = problem.rows.z > 0.0
    best = Confident(cover=_none(problem), z=-inf, z_bound=MOST)
    low, high, low_cost, high_cost = 0.0, MOST, 0.0, inf
    tried = 0.0
    for turn in range(_TRIES):
        found = _at(problem, shared, tried, race, seed, threads, best.cover.chosen)
        if found.chosen is not None and found.cost <= budget * (1.0 + 1e-12):
            reached = _reached(problem, shared, found.chosen)
            if reached >= best.z:
                best = replace(best, cover=found, z=min(reached, MOST))
            low, low_cost = max(tried, best.z), found.cost
        else:
            if found.bound > budget:
                best = replace(best, z_bound=min(best.z_bound, tried))
            high, high_cost = min(high, tried), found.cost
        near = low_cost >= budget * (1.0 - race.relative_gap) and turn > 0
        if best.z == -inf or near or high - low <= _CLOSE or (turn > 0 and race.budget.spent()):
            break
        tried = _next(low, high, low_cost, high_cost, budget, turn)
    if best.z == -inf:
        return replace(best, z_bound=-inf if best.z_bound == 0.0 else best.z_bound)
    for share in _BEYOND:
        # A bound may say nothing right at the end, and does a little further on.
        tried = best.z + share * (1.0 + best.z)
        if tried >= best.z_bound or race.budget.spent():
            break
        found = _at(problem, shared, tried, race, seed, threads, None)
        if found.bound > budget:
            best = replace(best, z_bound=tried)
    return replace(best, z_bound=max(best.z_bound, best.z))


def _next(
    low: float, high: float, low_cost: float, high_cost: float, budget: float, turn: int
) -> float:
    """Where to look next: where costs would cross the budget, or the middle every other time."""
    if high == MOST and high_cost == inf:
        return min(MOST, max(1.0, 2.0 * low)) if low < MOST / 2 else 0.5 * (low + high)
    if turn % 2 == 1 or high_cost == inf or high_cost <= low_cost:
        return 0.5 * (low + high)
    part = (budget - low_cost) / (high_cost - low_cost)
    return low + float(np.clip(part, 0.05, 0.95)) * (high - low)


def _at(
    problem: Problem,
    shared: Flags,
    z: float,
    race: Race,
    seed: int,
    threads: int,
    start: Flags | None,
) -> Cover:
    """The least cost at one z, in a race of its own within the time of the whole."""
    rows = replace(problem.rows, z=np.where(shared, z, problem.rows.z))
    own = Race(budget=race.budget, relative_gap=race.relative_gap)
    return cover(replace(problem, rows=rows), own, seed=seed, threads=threads, start=start)


def _reached(problem: Problem, shared: Flags, chosen: Flags) -> float:
    """The largest z at which a choice keeps the rows that share it."""
    sums = summed(problem, chosen)
    deviation: Floats = sums.deviation()
    rows = shared & np.isfinite(problem.rows.need)
    margin = (sums.mean - problem.rows.need)[rows]
    certain = deviation[rows] <= 0.0
    if (margin[certain] < -1e-9).any():
        return -inf
    ratios = margin[~certain] / deviation[rows][~certain]
    return float(ratios.min(initial=inf))


def _none(problem: Problem) -> Cover:
    """No choice."""
    return Cover(
        chosen=None,
        cost=inf,
        bound=-inf,
        row_price=np.zeros(problem.rows.need.shape),
        quota_price=np.zeros(problem.quotas.count),
    )
