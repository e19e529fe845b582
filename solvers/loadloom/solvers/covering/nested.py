"""The least cost at which rows of a tree are reached with confidence, with a bound, until stopped.

Prices of the upper rows come from a bundle method, a bound from searching every block at those
prices, and a plan from what the searches chose, mended where rows lack something. Then prices are
varied and the best plan is kept. The formulation is that of `covering.rows`.
"""

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from loadloom.solvers.coupled.budget import Budget, Race
from loadloom.solvers.covering.layout import Layout, lay_out
from loadloom.solvers.covering.passes import OutOfTimeError, Passes, Prices, node_sums
from loadloom.solvers.covering.plan import Plan
from loadloom.solvers.covering.programme import Programme, is_programme, settle
from loadloom.solvers.covering.proof import Prover
from loadloom.solvers.covering.rows import Problem, keeps, shortfall
from loadloom.solvers.covering.terms import Flags, Floats, Indices
from loadloom.solvers.covering.tolls import Tolls, tangents
from loadloom.solvers.covering.whole import is_small, search_whole

ROUNDS, ROUNDS_WORK = 40, 4_000_000
"""The most rounds in which prices are varied after the first plan, and items in all of them."""

EXTRA_S = 0.5
"""The seconds that a first plan may take beyond the limit; one of a million items needs as much."""

_PRICE_SHARE = 0.35  # of the time that goes to prices before blocks are searched
_PRICED, _PROVEN = 0.5, 0.85  # the shares of the time at which prices and proofs are broken off
_NEAR, _NEAR_SHARE, _FAR_SHARE = 0.01, 0.1, 0.5  # gaps and the shares of time for a programme
_HURRY = 0.5  # the share of the time after which the first plan comes before any proof
_BAD = 0.02  # the gap from which other prices are tried, too
_NODES, _FEW_NODES = 60, 8  # of the search of one block, for a bound and for another plan
_NODES_WORK, _MOST_NODES = 3_000_000, 1_000  # by items, there may be more for a bound
_FINE, _COARSE = 2e-4, 1e-3  # the shares of a block's worth within which such searches end
_PUSHED = 1.1  # by what a row's price rises that no plan has met
_VARIED = 0.01  # how far prices are varied, as a standard deviation of their logarithm


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cover:
    """The best choice that was found, and what is proven.

    Attributes:
        chosen: whether each item is chosen, (N,); None if no choice was found.
        cost: what it costs; inf without one.
        bound: what no choice costs less than; inf if it is proven that there is none.
        row_price: what one more unit of each need costs, (V, S).
        quota_price: what one more unit of each quota's least costs, negative for its most, (Q,).
    """

    chosen: Flags | None
    cost: float
    bound: float
    row_price: Floats
    quota_price: Floats


def cover(
    problem: Problem,
    race: Race,
    *,
    seed: int = 0,
    threads: int = 2,
    start: Flags | None = None,
) -> Cover:
    """The best choice when the gap is reached, time or rounds are over, or nothing is left to do.

    `start` is a choice to begin from, which may break rules.
    """
    if problem.items.count == 0:
        return _nothing(problem, np.zeros(0, bool))
    lay = lay_out(problem.in_units())
    if _impossible(lay):
        return _nothing(problem, None)
    pool = ThreadPoolExecutor(threads) if threads > 1 else nullcontext()
    with pool as executor:
        passes = Passes(layout=lay, pool=executor if isinstance(executor, Executor) else None)
        found = _Search(passes, race, seed).run(start)
    return replace(found, row_price=found.row_price / problem.unit)


class _Search:
    """One run: the best choice so far, and how it goes on."""

    def __init__(self, passes: Passes, race: Race, seed: int) -> None:
        self.passes, self.race = passes, race
        self.random = np.random.default_rng(seed)
        self.best: Indices | None = None
        self.value, self.bound = inf, -inf
        self.prover = Prover(passes=passes)
        lay = passes.layout
        self.push = np.ones(lay.need.shape)
        half = 0.5 * node_sums(lay, lay.node, _totals(lay))
        self.tolls = Tolls(passes=passes, planes=tangents(lay.base + half[:, :, 1], half[:, :, 2:]))

    def run(self, start: Flags | None) -> Cover:
        """The whole run."""
        lay = self.passes.layout
        if start is not None:
            self._keep(lay.picked(start), "start")
        held = self.best is not None
        if self._within(_PRICED, self._price) or self.tolls.price.any():
            self._within(_PROVEN, self._prove)
        if self.best is None and self.bound < inf:
            # A plan is worth a little more time than there is.
            nothing = np.full(lay.heads.size - 1, -1, np.int32)
            self._within(1.0, lambda: self._keep(nothing, "mended"), EXTRA_S)
        if is_small(lay) and not self.race.over and self.bound < inf:
            self._search_small()
        self._within(1.0, self._rounds)
        # A start that holds and is nearly as cheap as can be is not changed for the last of a gap.
        stays = held and self.race.gap <= _NEAR
        if is_programme(lay) and not self.race.over and self.bound < inf and not stays:
            self._settle()
        return self._answer()

    def _within(self, share: float, work: Callable[[], None], more_s: float = 0.0) -> bool:
        """Whether some work was done to its end, within a share of all time and a little more."""
        budget = self.race.budget
        until_s = share * budget.time_limit_s + more_s
        self.passes.halt = lambda: budget.stopped or (budget.timed and budget.seconds >= until_s)
        try:
            work()
        except OutOfTimeError:
            return False
        return True

    def _prove(self) -> None:
        """The first bounds and plans, if any are still wanted."""
        if self.bound < inf and (self.best is None or not self.race.over):
            size = max(1, self.passes.layout.cost.size)
            most = int(np.clip(_NODES_WORK // size, _NODES, _MOST_NODES))
            self._first_rounds(1 if self.race.budget.spent(_HURRY) else most)

    def _rounds(self) -> None:
        """Other plans at varied prices, as long as there is time for a round."""
        lay, budget, round_s = self.passes.layout, self.race.budget, 0.0
        for _ in range(int(np.clip(ROUNDS_WORK // max(1, lay.cost.size), 2, ROUNDS))):
            # A round that does not fit into the time left finds nothing.
            if self.race.over or self.bound == inf or round_s > budget.left_s or not budget.take():
                break
            begun_s = budget.seconds
            self._round(float(np.exp(self.random.normal(0.0, _VARIED))))
            round_s = budget.seconds - begun_s

    def _first_rounds(self, nodes: int) -> None:
        """Proves and plans at the prices found; at lower ones, too, where the bound is bad.

        It is bad where tangents are far from roots, and most so where needs and limits are close,
        since there the prices of both are high.
        """
        for needs, limits in ((1.0, 1.0), (1.0, 0.0), (0.5, 0.5), (0.0, 0.0)):
            prices = self._scaled(needs, limits)
            proof = self.prover.prove(prices, self.tolls.planes, nodes=nodes, share=_FINE)
            if proof.bound > self.bound:
                self.bound = proof.bound
                self.race.proved(proof.bound, "prices")
            if self.best is None:
                self._keep(proof.searched.taken, "prices")
            near = self.best is not None and self.value - self.bound <= _BAD * abs(self.value)
            if near or self.bound == inf or self.race.over:
                break

    def _scaled(self, needs: float, limits: float) -> Prices:
        """The prices times factors, of rows whose need is positive and of all others."""
        prices = self.tolls.prices
        scale = np.where(self.passes.layout.need > 0.0, needs, limits)
        return Prices(row=prices.row * scale, quota=prices.quota * limits)

    def _price(self) -> None:
        """Finds prices, and moves the tangents to what they lead to, twice."""
        self.tolls.refresh()
        for tolerance in (1e-3, 1e-4):
            self.tolls.find(self.race, most=25, tolerance=tolerance, share=_PRICE_SHARE)
            self.tolls.refresh()

    def _search_small(self) -> None:
        """Settles a small problem in one search, if its nodes suffice."""
        found = search_whole(
            self.passes.layout,
            self.tolls.planes,
            self._row_price(),
            self.tolls.prices.quota,
            share=0.5 * self.race.relative_gap,
        )
        if found.bound > self.bound:
            self.bound = found.bound
            self.race.proved(found.bound, "search")
        if found.value < inf:
            self._keep(found.taken, "search")
        if found.bound >= found.value:
            self.race.done = True

    def _settle(self) -> None:
        """Settles a problem of some hundred items as a programme, made finer step by step.

        Without a plan it has all of the time; where plan and bound are near, little of it, since
        the last of a gap may take for ever.
        """
        programme = Programme(layout=self.passes.layout)
        programme.near(self.tolls.planes.touched)
        race, near = self.race, self.race.gap <= _NEAR
        share = 1.0 if self.best is None else _NEAR_SHARE if near else _FAR_SHARE
        budget = race.budget
        if budget.timed:
            budget = Budget(clock=budget.clock, time_limit_s=share * budget.left_s)
        part = Race(
            budget=budget,
            relative_gap=race.relative_gap,
            listener=lambda *_: race.ask("programme"),
            value=self.value,
            bound=self.bound,
        )

        def keep(found: Indices) -> None:
            self._keep(found, "programme")
            part.found(self.value, "programme")

        bound = settle(programme, part, self.best, keep)
        if bound > self.bound:
            self.bound = bound
            race.proved(bound, "programme")

    def _round(self, scale: float) -> None:
        """Searches all blocks at prices times a factor, and makes a plan of what they choose."""
        prices = self._scaled(scale, scale)
        if self.best is None:
            # Where no plan is found yet, what it lacked is worth more from round to round.
            prices = Prices(row=prices.row * self.push, quota=prices.quota)
        searched = self.passes.searched(prices, self.tolls.planes, nodes=_FEW_NODES, share=_COARSE)
        self._keep(searched.taken, "rounds")

    def _keep(self, taken: Indices, phase: str) -> None:
        """Improves a choice and keeps it if it is the best."""
        plan = Plan(passes=self.passes, taken=taken.copy())
        if not plan.improve(self.tolls.prices, self.tolls.planes):
            self.push[plan.lacking()] *= _PUSHED
            return
        value = plan.cost
        if value < self.value and keeps(
            self.passes.layout.problem, self.passes.layout.chosen(plan.taken)
        ):
            self.value, self.best = value, plan.taken
            self.race.found(value, phase)

    def _answer(self) -> Cover:
        lay = self.passes.layout
        return Cover(
            chosen=None if self.best is None else lay.chosen(self.best),
            cost=self.value,
            bound=min(self.bound, self.value) if self.best is not None else self.bound,
            row_price=self._row_price()[:-1],
            quota_price=self.tolls.prices.quota,
        )

    def _row_price(self) -> Floats:
        """The prices of all rows, those of blocks too, (V + 1, S)."""
        return self.passes.row_price(self.tolls.prices)


def _totals(lay: Layout) -> Floats:
    """The sums of all items of each block, (B, S, 2 + F)."""
    factor = lay.mean[:, :, None] * lay.loading[:, None, :]
    columns = np.concatenate((lay.mean[:, :, None], lay.variance[:, :, None], factor), axis=2)
    return np.add.reduceat(columns, lay.item_at[:-1], axis=0)


def _impossible(lay: Layout) -> bool:
    """Whether a row without any item below it lacks something."""
    problem = lay.problem
    none = np.zeros(problem.items.count, bool)
    lack = shortfall(problem, none)
    counts = node_sums(lay, lay.node, np.diff(lay.item_at).astype(float)[:, None])
    return bool((lack[counts[:-1, 0] == 0] > 0.0).any())


def _nothing(problem: Problem, chosen: Flags | None) -> Cover:
    """The answer where there is nothing to choose, or no choice keeps all rows."""
    cost = 0.0 if chosen is not None and keeps(problem, chosen) else inf
    return Cover(
        chosen=chosen if cost == 0.0 else None,
        cost=cost,
        bound=cost,
        row_price=np.zeros(problem.rows.need.shape),
        quota_price=np.zeros(problem.quotas.count),
    )
