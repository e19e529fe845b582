"""Stable plans: of several best plans the earlier one, or the one nearest to it.

Without this, plans of equal cost would take turns whenever a site is planned anew.

    minimise   sum over devices, buses and intervals of |drawn - drawn earlier|
    subject to the rules of the site, its cost at most the optimum, all that is whole as in the plan
"""

from dataclasses import dataclass, replace

import numpy as np

from loadloom.models.dispatch.blocks.site import Site
from loadloom.models.dispatch.general import Planner, Search
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.programme import IntArray
from loadloom.models.dispatch.referee import cost, drawn_kw, violations
from loadloom.models.dispatch.scaled import scaled
from loadloom.models.dispatch.solution import Schedule, Solution
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason

EQUAL = 1e-9
"""Costs that differ by less than this share, or this much below 1, are equal."""

SETTLED_S = 10.0
"""The most time to look for the nearest plan."""


KEPT = "the earlier plan is kept"


def settle_on(
    problem: Problem,
    options: SolveOptions,
    solution: Solution,
    earlier: Schedule,
    search: Search | None = None,
) -> Solution:
    """The solution with the earlier plan in place of its own, or the nearest of the same cost.

    The time limit is what is left after the solve; `search` is that of the solve, if it was one.
    """
    if solution.schedule is None:
        return _instead(problem, solution, earlier)
    if _as_good(problem, earlier, solution, solution.schedule):
        return _with(solution, earlier, KEPT)
    near = _nearest(problem, options, earlier, search)
    if near is None or not _as_good(problem, near, solution, solution.schedule):
        return solution
    return _with(solution, near, "nearest to the earlier plan")


def _instead(problem: Problem, solution: Solution, earlier: Schedule) -> Solution:
    """The earlier plan where there was no time to find one, if it keeps every rule."""
    ended = solution.termination
    if ended.reason is not Reason.NO_SOLUTION_FOUND or violations(problem, earlier):
        return solution
    paid = cost(problem, earlier).total
    known = replace(ended, reason=Reason.FEASIBLE, objective=paid, bound=min(ended.bound, paid))
    return _with(replace(solution, termination=known), earlier, KEPT)


def _as_good(problem: Problem, schedule: Schedule, solution: Solution, best: Schedule) -> bool:
    """Whether a schedule keeps every rule and costs as much as the best.

    One that breaks rules by what is tolerated can cost less than is proven.
    """
    if violations(problem, schedule):
        return False
    paid, least = cost(problem, schedule).total, cost(problem, best).total
    near = EQUAL * max(1.0, abs(least))
    return min(solution.termination.bound, least) - near <= paid <= least + near


def _with(solution: Solution, schedule: Schedule, how: str) -> Solution:
    return replace(solution, schedule=schedule, road=f"{solution.road}, {how}")


def _nearest(
    problem: Problem, options: SolveOptions, earlier: Schedule, search: Search | None
) -> Schedule | None:
    """The best plan nearest to an earlier one; None if it was not found."""
    within_s = min(SETTLED_S, options.time_limit_s)
    if within_s <= 0.0:
        return None
    if search is None:
        limited = replace(options, time_limit_s=within_s, method=None)
        planner = Planner()
        planner.solve(problem, limited)
        search = planner.search
    if search is None:
        return None
    distance = _add_distance(search.site, scaled(earlier, 1.0 / search.unit))
    if distance is None:
        return None
    return search.nearest(distance.row, distance.off, within_s)


@dataclass(frozen=True, slots=True, eq=False)
class _Distance:
    """The row of the cost, and the columns that measure how far a plan is off the earlier one."""

    row: int
    off: IntArray


def _add_distance(site: Site, earlier: Schedule) -> _Distance | None:
    """Adds what measures the distance; None if the earlier plan is one of other devices."""
    programme, hours = site.programme, site.programme.hours
    before = drawn_kw(site.problem, earlier)
    if before is None:
        return None
    priced = np.flatnonzero(site.cost)
    row = programme.rows(1, -np.inf, np.inf)
    programme.entries(row, priced, site.cost[priced])
    columns = []
    for (name, bus), kw in before.items():
        flows = [draw for draw in programme.flows(bus) if draw.name == name and draw.scene is None]
        where = np.flatnonzero(np.isfinite(kw))
        if not flows or not where.size:
            continue
        kwh = kw[where] * hours[where] - programme.demand(bus, names={name})[where]
        rows = programme.rows(where.size, kwh, kwh)
        place = np.full(programme.count, -1)
        place[where] = rows
        for draw in flows:
            at = place[draw.intervals]
            there = at >= 0
            programme.entries(at[there], draw.columns[there], draw.kwh[there])
        for sign in (1.0, -1.0):
            off = programme.columns(where.size)
            programme.entries(rows, off, sign)
            columns.append(off)
    return _Distance(int(row[0]), np.concatenate(columns)) if columns else None
