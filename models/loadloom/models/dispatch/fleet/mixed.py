"""Sites of a fleet with any mix of devices, each decided alone by the road that fits it.

At prices of its node a site is the same site with these on top of its buying and selling prices.
What a search has not proven to be best proves its bound. A mix of answers is a plan where the mean
of what the site draws can be kept at the mean of the costs, as it can where costs are convex.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadloom.models.dispatch import general
from loadloom.models.dispatch.blocks.site import build
from loadloom.models.dispatch.fleet.answer import Answer, Mixed
from loadloom.models.dispatch.kernel import INFEASIBLE, OPTIMAL, UNDECIDED
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.referee import verdict
from loadloom.models.dispatch.solution import Schedule, Solution
from loadloom.models.dispatch.solve import solve
from loadloom.models.horizon import FloatArray
from loadloom.models.options import SolveOptions
from loadloom.solvers.highs import Model
from loadloom.solvers.termination import Reason

IntArray = NDArray[np.int64]

LIMIT_S = 10.0
"""The time that a search for one site may take; what it has found by then proves its bound."""

_DEARER = 1e-6
"""A plan at the mean that costs this share more than its parts is left for one of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MixedSites:
    """Some sites, each a group of its own.

    Attributes:
        problems: the sites.
        groups: the numbers of their groups among all, (sites,).
        gap: the relative gap to which each is solved.
    """

    problems: tuple[Problem, ...]
    groups: IntArray
    gap: float

    def respond(self, prices: FloatArray, asked: NDArray[np.bool_], free: bool) -> Answer:
        """What those sites answer to prices (sites, T) that are asked, (sites,); zero for others.

        `free` is where nothing costs but these prices.
        """
        size = len(self.problems)
        flow, cost, value = np.zeros(prices.shape), np.zeros(size), np.zeros(size)
        outcomes, conflicts = np.full(size, OPTIMAL, np.int8), np.full(size, -1, np.int32)
        for at in np.flatnonzero(asked):
            problem, own = self.problems[at], prices[at]
            found = _free(problem, own, self.gap) if free else _priced(problem, own, self.gap)
            value[at] = found.termination.bound
            if found.schedule is None:
                infeasible = found.termination.reason is Reason.INFEASIBLE
                outcomes[at] = INFEASIBLE if infeasible else UNDECIDED
                continue
            flow[at] = _flow(problem, found.schedule)
            cost[at] = found.termination.objective - own @ flow[at]
        value[outcomes != OPTIMAL] = 0.0
        return Answer(flow=flow, cost=cost, value=value, outcomes=outcomes, conflicts=conflicts)

    def schedules(self, mixed: Sequence[Mixed | None]) -> list[Schedule | None]:
        """The plan of each site that is asked for; None as well where its mix is none."""
        return [
            None if one is None else _mixed(problem, one, self.gap)
            for problem, one in zip(self.problems, mixed, strict=True)
        ]


def _priced(problem: Problem, prices: FloatArray, gap: float) -> Solution:
    """The best plan of a site with prices on top of its own."""
    meter = problem.meter
    priced = replace(
        meter,
        buy_price_per_kwh=meter.buy_price_per_kwh + prices,
        sell_price_per_kwh=meter.sell_price_per_kwh + prices,
    )
    options = SolveOptions(relative_gap=gap, time_limit_s=LIMIT_S)
    return solve(replace(problem, meter=priced), options)


def _free(problem: Problem, prices: FloatArray, gap: float) -> Solution:
    """The best plan of a site whose rules all hold, and which pays nothing but these prices."""
    meter = replace(problem.meter, buy_price_per_kwh=prices, sell_price_per_kwh=prices)
    site = build(replace(problem, meter=meter))
    cost = np.zeros(site.cost.size)
    cost[site.crossings[0].drawn], cost[site.crossings[0].fed] = prices, -prices
    site.programme.offset = 0.0
    options = SolveOptions(relative_gap=gap, time_limit_s=LIMIT_S)
    return general.Search(site=replace(site, cost=cost), options=options).run()


def _flow(problem: Problem, schedule: Schedule) -> FloatArray:
    """What the site draws in kWh of each interval, less what it feeds in."""
    return (schedule.import_kw - schedule.export_kw) * problem.horizon.step_h


def _mixed(problem: Problem, one: Mixed, gap: float) -> Schedule | None:
    """The plan that draws the mean of the answers and costs no more, if there is one."""
    found = [_priced(problem, prices, gap) for prices in one.prices]
    plans = [solution.schedule for solution in found]
    if any(plan is None for plan in plans):
        return None
    if len(plans) == 1:
        return plans[0]
    flow, wanted, size = np.zeros(problem.horizon.count), 0.0, 0.0
    for plan, share in zip(plans, one.share, strict=True):
        if plan is not None:
            flow += share * _flow(problem, plan)
            wanted += share * verdict(problem, plan).cost.total
    size = float(np.abs(flow) @ np.abs(problem.meter.buy_price_per_kwh)) + abs(wanted)
    schedule = _drawing(problem, flow)
    if schedule is None:
        return None
    word = verdict(problem, schedule)
    if word.violations or word.cost.total > wanted + _DEARER * size:
        return None
    return schedule


def _drawing(problem: Problem, flow: FloatArray) -> Schedule | None:
    """The cheapest plan that draws just this, of a site that decides nothing by whole numbers."""
    site = build(problem)
    program = site.programme.program(site.cost)
    if program.integer.any():
        return None
    low, high = program.low.copy(), program.high.copy()
    for columns, amount in ((site.crossings[0].drawn, flow), (site.crossings[0].fed, -flow)):
        low[columns] = high[columns] = np.maximum(amount, 0.0)
    primal = Model(replace(program, low=low, high=high)).solve().primal
    if primal is None:
        return None
    primal = np.clip(primal, low, high)
    if any(pair.both(primal).any() for pair in site.programme.pairs):
        return None
    return site.schedule(primal)
