"""The fleet's road: prices for the shared limits, exact answers of every site, a proven gap.

At prices on top of its own tariff each site is an exact dynamic programme of some microseconds.
Column generation (`solvers/coupled/generation.py`) finds prices that prove a bound, and a mix of
answers that keeps the limits. Sites stand in groups that mix alike. Large fleets begin with a part
of their sites, whose prices are almost those of all. Each site's plan is the mean of its answers,
since energies and what is drawn are convex, or one of them where its costs are not. What a plan
then breaks of a limit, by moving less than its parts did, is left free of it in another mix. Sites
with any mix of devices are a group each; where the mean of their answers is no plan, they are fixed
to one of them, few at a time, and the others answer anew.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadloom.models.crew import Crew, of_threads
from loadloom.models.dispatch.fleet.answer import Mixed
from loadloom.models.dispatch.fleet.infeasible import conflicts, least_breach
from loadloom.models.dispatch.fleet.members import Members, grouped
from loadloom.models.dispatch.fleet.problem import Fleet
from loadloom.models.dispatch.fleet.referee import Judgement, judge
from loadloom.models.dispatch.fleet.solution import FleetSolution, Plan, SiteConflict
from loadloom.models.dispatch.kernel import INFEASIBLE, OPTIMAL
from loadloom.models.dispatch.solution import Schedule
from loadloom.models.horizon import FloatArray
from loadloom.models.options import SolveOptions
from loadloom.solvers.coupled.budget import Budget, Clock, Listener
from loadloom.solvers.coupled.generation import SMALL, Generation, Start, generate
from loadloom.solvers.coupled.limits import Bools, Limits, Oracle, Response
from loadloom.solvers.termination import Reason, Termination

OPTIONS = SolveOptions(relative_gap=1e-4)
"""What is wished of a solve if nothing is said."""

SITE_GAP = 0.25
"""The share of the wanted gap to which each mixed site is solved."""

PART, LARGE, EACH = 10, 4_000, 20
"""A fleet of LARGE sites or more begins with one in PART, if each node keeps EACH of its sites."""

GROUPS, FINE = 16, 64
"""The groups of a fleet that begins from nothing, and of one that begins from its part's prices.

Few groups make a small programme, many make each answer tell more."""

_PART_GAP = 0.3
"""The share of the wanted gap that is closed for a part."""

_REPAIRS = 6
"""How often a mix is tightened until plans keep all limits."""

_FAR = 0.25
"""A breach costs this many times the highest tariff at first.

Limits that bind seldom cost as much, and prices that cannot leap far are soon the right ones."""

_RAISES, _UNPROVEN = 6, 1
"""How often the cost of a breach becomes ten times as high, where it need not be paid; and how
often before it is asked whether it must be."""

_BREACHED_KWH = 1e-6
"""A mix that breaks hard limits by no more than this in all keeps them."""

_TOLD_CONFLICTS = 100

_UNKNOWN = np.inf, -np.inf, "a part of the sites"
"""What is heard while a part is solved, whose value and bound say nothing of the whole."""

_LAST_PASSES = 4
"""Plans of all sites take about as long as so many passes."""

_MOST = 200
"""The most prices that are asked for before it is looked at what is wrong."""

_STEP = 1.05
"""A limit is tightened by so many times what was broken of it."""

_REST_GAP = 0.3
"""The share of the wanted gap that is closed for what fixed sites leave."""


@dataclass(kw_only=True, eq=False)
class _Search:
    """A search under way: whoever listens hears of it, and the budget ends it."""

    crew: Crew
    threads: int
    budget: Budget
    listener: Listener | None
    passes: int = 0
    pass_s: float = 0.0

    def heard(self, value: float, bound: float, phase: str) -> bool:
        """Whether to go on; the time that plans take at the end is kept."""
        told = self.listener
        if told and not told(self.budget.seconds, value, min(bound, value), phase):
            self.budget.stopped = True
        near = self.budget.timed and self.budget.left_s < _LAST_PASSES * self.pass_s
        return not (self.budget.spent() or near)

    def asking(self, ask: Oracle) -> Oracle:
        """The oracle, counted and timed."""

        def counted(prices: FloatArray, asked: Bools) -> Response:
            begun = self.budget.seconds
            answer = ask(prices, asked)
            self.pass_s = max(self.pass_s, self.budget.seconds - begun)
            self.passes += 1
            return answer

        return counted


def solve(
    fleet: Fleet,
    options: SolveOptions = OPTIONS,
    *,
    threads: int = 1,
    crew: Crew | None = None,
    clock: Clock | None = None,
    listener: Listener | None = None,
) -> FleetSolution:
    """The refereed plan of every site, with the bound that proves how good it is.

    Args:
        fleet: the sites and their network.
        options: the relative gap that is wanted, and the time limit, which needs a clock.
        threads: how many threads of this process work; the answer is the same for any number.
        crew: who solves the sites, if not these threads; the answer is the same whoever does.
        clock: seconds, for the time limit and for what the listener hears.
        listener: told of seconds, value, bound and phase; answers whether to go on. The value is
            that of the mix, which plans meet where costs are convex.
    """
    budget = Budget(clock=clock, time_limit_s=options.time_limit_s)
    with nullcontext(crew) if crew else of_threads(threads) as workers:
        search = _Search(crew=workers, threads=threads, budget=budget, listener=listener)
        return _solved(fleet, options, search)


def _solved(fleet: Fleet, options: SolveOptions, search: _Search) -> FleetSolution:
    gap = options.relative_gap
    members = grouped(fleet, search.crew, FINE if _has_part(fleet) else GROUPS, SITE_GAP * gap)
    start = _start(fleet, gap, search)
    hard = _FAR * max(_highest_price(fleet), 1e-3)
    found = _generated(members, fleet.limits, hard, gap, start, search)
    if not members.sound:
        return _refused(members, search.passes)
    for raised in range(_RAISES):
        if found.mix is None or found.mix.breached <= _BREACHED_KWH or found.stopped:
            break
        short = None
        if raised >= _UNPROVEN:
            ask = members.respond_free
            short = least_breach(fleet, ask, members.node, found.best, search.heard)
        if short is not None and short.proven:
            return FleetSolution(
                termination=Termination(reason=Reason.INFEASIBLE, objective=np.inf, bound=np.inf),
                conflicts=conflicts(fleet, short),
                passes=search.passes,
            )
        hard *= 10.0
        found.mixture.dearer(hard)
        found.mixed("prices")
        found.improve(gap, _MOST, "prices")
    return _planned(fleet, members, found, options, search)


def _highest_price(fleet: Fleet) -> float:
    highest = 0.0
    if (sites := fleet.sites) is not None:
        worth = np.abs(sites.end_value_per_kwh).max()
        tariff = max(np.abs(sites.buy_price_per_kwh).max(), np.abs(sites.sell_price_per_kwh).max())
        highest = float(max(worth, tariff)) + float(sites.wear_cost_per_kwh.max())
    for problem in fleet.mixed:
        meter = problem.meter
        for price in (meter.buy_price_per_kwh, meter.sell_price_per_kwh):
            highest = max(highest, float(np.abs(price).max()))
    return highest


def _has_part(fleet: Fleet) -> bool:
    """Whether a part of the fleet can stand for all of it."""
    if fleet.plain_count < LARGE:
        return False
    smallest = np.unique(fleet.site_nodes, return_counts=True)[1].min()
    return bool(smallest >= PART * EACH)


def _start(fleet: Fleet, gap: float, search: _Search) -> Start | None:
    """The prices of a part of the sites, and of a part of that before it."""
    if not _has_part(fleet):
        return None
    order = np.argsort(fleet.site_nodes, kind="stable")
    mixed = np.arange(len(fleet.mixed))
    part = fleet.part(np.sort(order[PART // 2 :: PART]), mixed[PART // 2 :: PART])
    groups = FINE if _has_part(part) else 2 * GROUPS
    members = grouped(part, search.crew, groups, SITE_GAP * gap)
    start = _start(part, gap, search)
    hard = _FAR * max(_highest_price(fleet), 1e-3)
    told = search.listener
    hushed = None if told is None else lambda s, _value, _bound, _phase: told(s, *_UNKNOWN)
    quiet = replace(search, listener=hushed)
    found = _generated(members, part.limits, hard, _PART_GAP * gap, start, quiet)
    prices, share = found.used()
    return Start(best=found.best, prices=prices, share=share)


def _generated(
    members: Members,
    limits: Limits,
    hard: float,
    gap: float,
    start: Start | None,
    search: _Search,
) -> Generation:
    return generate(
        search.asking(members.respond),
        limits,
        members.node,
        hard=hard,
        tolerance=gap,
        start=start,
        most=_MOST,
        tell=lambda value, bound, phase: members.sound and search.heard(value, bound, phase),
    )


def _refused(members: Members, passes: int) -> FleetSolution:
    """The answer where sites have no plan of their own, whatever is shared."""
    bad = np.flatnonzero(members.outcomes == INFEASIBLE)
    reason = Reason.INFEASIBLE if bad.size else Reason.NO_SOLUTION_FOUND
    undecided = int((members.outcomes != OPTIMAL).sum()) - bad.size
    detail = f"{undecided} sites could not be decided" if undecided else ""
    bound = np.inf if bad.size else -np.inf
    return FleetSolution(
        termination=Termination(reason=reason, objective=np.inf, bound=bound, detail=detail),
        site_conflicts=tuple(
            SiteConflict(site=int(row), interval=int(members.conflicts[row]))
            for row in bad[:_TOLD_CONFLICTS]
        ),
        passes=passes,
    )


def _planned(
    fleet: Fleet, members: Members, found: Generation, options: SolveOptions, search: _Search
) -> FleetSolution:
    """The plans of the mix, tightened until they keep all limits."""
    tight = Limits(
        tree=fleet.limits.tree,
        low=fleet.limits.low.copy(),
        high=fleet.limits.high.copy(),
        breach=fleet.limits.breach,
    )
    best: tuple[Judgement, Plan] | None = None
    for _ in range(_REPAIRS):
        schedules = _scheduled(members, found, tight, options.relative_gap)
        lacking = len(schedules) < len(fleet.mixed)
        if found.mix is None or found.mix.breached > _BREACHED_KWH or lacking:
            break
        columns, singled = members.plans(_mixes(found, tight))
        search.passes += 1
        word = judge(fleet, columns, schedules, search.threads)
        if not word.violations:
            best = (
                word,
                Plan(
                    columns=columns,
                    schedules=schedules,
                    verdicts=word.verdicts,
                    amounts=word.amounts,
                    power_kw=word.power_kw,
                    breach_cost=word.breach_cost,
                    singled=singled + int(np.count_nonzero(found.mixture.fixed >= 0)),
                ),
            )
            break
        tight.high[:] -= _STEP * word.over_kwh
        tight.low[:] += _STEP * word.under_kwh
        if (tight.low > tight.high).any() or not (word.over_kwh.any() or word.under_kwh.any()):
            break
        found.mixture.tighten(tight)
        found.mixed("plans")
    return _answer(found, best, options, search)


def _scheduled(
    members: Members, found: Generation, limits: Limits, gap: float
) -> tuple[Schedule, ...]:
    """The plans of all mixed sites, of which as many are fixed to one answer as must be."""
    wanted = np.zeros(members.node.size, np.bool_)
    while found.mix is not None:
        # Who takes one answer has a plan, so the others are asked first.
        wanted[members.mixed_groups] = True
        several = (found.mix.share > SMALL).sum(axis=0) > 1
        mixes = _mixes(found, limits)
        plans = members.schedules(mixes, wanted & several)
        none = np.array([group for group, plan in plans.items() if plan is None], np.int64)
        if not none.size:
            plans |= members.schedules(mixes, wanted & ~several)
            return tuple(plan for _, plan in sorted(plans.items()) if plan is not None)
        found.settle(none, _REST_GAP * gap, "whole plans")
    return ()


def _mixes(found: Generation, limits: Limits) -> list[Mixed]:
    """What each group takes of its answers."""
    if found.mix is None:
        return []
    tight = _pressed(found, limits)[found.mixture.node]
    return [
        Mixed(prices=prices, share=share, tight=own)
        for (prices, share), own in zip(found.at_prices(found.mix.share), tight, strict=True)
    ]


def _pressed(found: Generation, limits: Limits) -> NDArray[np.bool_]:
    """Where a node or one above it feeds in as much as it may, (nodes, T)."""
    if found.mix is None:
        return np.zeros(limits.low.shape, np.bool_)
    total = found.mix.total
    low = np.where(np.isfinite(limits.low), limits.low, -np.finfo(np.float64).max)
    near = total <= low + 1e-3 * (1.0 + np.abs(np.maximum(low, -np.abs(total))))
    return limits.tree.along(near.astype(np.float64)) > 0.0


def _answer(
    found: Generation,
    best: tuple[Judgement, Plan] | None,
    options: SolveOptions,
    search: _Search,
) -> FleetSolution:
    if best is None:
        bound = min(found.bound, np.inf)
        termination = Termination(reason=Reason.NO_SOLUTION_FOUND, objective=np.inf, bound=bound)
        plan = None
    else:
        word, plan = best
        bound = min(found.bound, word.cost)
        gap = (word.cost - bound) / max(1.0, abs(word.cost))
        reason = Reason.OPTIMAL if gap <= options.relative_gap else Reason.FEASIBLE
        termination = Termination(reason=reason, objective=word.cost, bound=bound)
    return FleetSolution(
        termination=termination,
        plan=plan,
        import_price_per_kwh=np.maximum(found.best, 0.0),
        export_price_per_kwh=np.maximum(-found.best, 0.0),
        passes=search.passes,
    )
