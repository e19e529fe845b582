"""Call lists of many rows by prices, and what is missing where none keeps all rules."""

from dataclasses import dataclass, replace
from math import inf

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.response.constraints import covering_problem
from loadloom.models.response.problem import OfferArray, Problem
from loadloom.models.response.rows import Reduced, offer_of, taken_of
from loadloom.models.response.solution import PlanOptions, Unsecured
from loadloom.models.response.unsecured import BELOW, unsecured, unsecured_by
from loadloom.solvers.coupled.budget import Budget, Race
from loadloom.solvers.covering.missing import least_missing
from loadloom.solvers.covering.nested import cover as cover_nested
from loadloom.solvers.covering.relaxed import relaxed_bound
from loadloom.solvers.covering.rows import levels

_TOGETHER = "each need can be secured, but not all of them with all other rules"
_RULES = "quotas, headrooms and who must be called cannot be kept together, whatever is needed"

_SHARE = 0.2  # of the time that is left, for one of several solves
_FRACTIONS = 8  # halvings of the share of needs that can be secured together


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Which offers are taken, (m,), or None; the bound, and prices of rows and of room.

    `jointly` tells that needs were lowered since other rules stood in their way.
    """

    chosen: np.ndarray | None
    bound: float
    price: FloatArray
    room_price: FloatArray
    jointly: bool = False


def by_prices(
    problem: Problem,
    rows: Reduced,
    need: FloatArray,
    options: PlanOptions,
    race: Race,
    start: OfferArray | None = None,
) -> Found:
    """The plan and the bound by prices of the rows."""
    asked = covering_problem(problem, rows, need)
    begun = None if start is None else taken_of(problem, start)
    found = cover_nested(asked, race, seed=options.seed, threads=options.threads, start=begun)
    return proven(problem, rows, need, _parted(rows, found.chosen, found.bound, found.row_price))


def proven(problem: Problem, rows: Reduced, need: FloatArray, found: Found) -> Found:
    """What was found, with a bound at once where time ended the search before any proof."""
    if found.bound > -inf:
        return found
    bound = relaxed_bound(covering_problem(problem, rows, need))
    return replace(found, bound=bound)


def part_of(race: Race) -> Race:
    """A race for one of several solves, with a share of the time that is left."""
    whole = race.budget
    budget = whole
    if whole.timed:
        budget = Budget(clock=whole.clock, time_limit_s=_SHARE * whole.left_s)
    return Race(budget=budget, relative_gap=race.relative_gap)


def _parted(rows: Reduced, chosen: np.ndarray | None, bound: float, price: FloatArray) -> Found:
    """What the solver of many rows found, its prices parted into those of needs and of room."""
    kinds = rows.need.shape[1]
    room = price[:, kinds] if rows.has_room_rows else np.zeros(rows.need.shape[0])
    return Found(chosen=chosen, bound=bound, price=price[:, :kinds], room_price=room)


def missing(
    problem: Problem, rows: Reduced, options: PlanOptions, race: Race
) -> tuple[tuple[Unsecured, ...], str]:
    """The needs that are missed where nothing keeps all rules, and why in words.

    Where each of them could be secured by itself, they are those of a call list that misses least
    in all; or, of very many customers, of one that secures as large a share of all as was found.
    """
    alone = unsecured(problem, rows)
    if alone:
        return alone, ""
    asked = covering_problem(problem, rows, rows.need)
    least = least_missing(asked, part_of(race))
    chosen = least.chosen
    if chosen is None and least.bound == inf:
        return (), _RULES
    if chosen is None:
        chosen = together(problem, rows, rows.need, options, race).chosen
    if chosen is None:
        return (), _TOGETHER
    short = unsecured_by(problem, offer_of(problem, chosen))
    missing = sum(each.missing_kw for each in short)
    return short, f"{_TOGETHER}: {missing:.6g} kW are missing in all"


def together(
    problem: Problem, rows: Reduced, need: FloatArray, options: PlanOptions, race: Race
) -> Found:
    """A plan that misses least of the needs in all, or the largest share of them, by halving.

    The bound is what no plan costs less than that secures as much of each need.
    """
    asked = covering_problem(problem, rows, need)
    least = least_missing(asked, part_of(race))
    if least.chosen is not None:
        reached = levels(asked, least.chosen)[:, : need.shape[1]]
        short = reached - BELOW * np.maximum(1.0, np.abs(reached))
        begun = offer_of(problem, least.chosen)
        part = np.where(reached < need, short, need)
        found = by_prices(problem, rows, part, options, part_of(race), begun)
        if found.chosen is not None:
            return replace(found, jointly=True)
    # At a share of 0 nothing is needed at all, whatever deviates.
    nothing = np.full(need.shape, -inf)
    found = by_prices(problem, rows, nothing, options, part_of(race))
    best = None if found.chosen is None else found
    low, high = 0.0, 1.0
    for _ in range(_FRACTIONS if best is not None else 0):
        if race.budget.spent():
            break
        tried = 0.5 * (low + high)
        part = np.where(need > 0.0, tried * np.maximum(need, 0.0), need)
        found = by_prices(problem, rows, part, options, part_of(race))
        if found.chosen is None:
            high = tried
        else:
            low, best = tried, found
    return found if best is None else replace(best, jointly=True)
