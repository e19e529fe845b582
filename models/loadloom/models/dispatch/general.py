"""The general road: any mix of devices, as one linear or mixed-integer programme.

First it is solved without the binaries of pairs, so as a linear programme if no device is integral
by nature. Where that plan can be run, nothing running both ways, it is the best. Otherwise each
pair is fixed to the way in which it runs on balance, which often costs nothing; where it costs
something, the search has binaries wherever energy can be a burden, and after that in every pair.
The last step is a linear programme with all that is whole fixed, whose duals are the values.

Where devices are integral, the linear programme without that comes before any search: its decisions
may be whole, and those of the last plan of the site may be as good as its bound.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf
from time import perf_counter

import numpy as np
from highspy import HighsBasis

from loadloom.models.certificate import Proof
from loadloom.models.dispatch.blocks.site import Site, build, repriced
from loadloom.models.dispatch.pairs import BoolArray, IntArray
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.scaled import enlarged, scaled, unit_kwh
from loadloom.models.dispatch.solution import Schedule, Solution, Values
from loadloom.models.dispatch.warm import Held, Start
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.highs import (
    WITHOUT_HEURISTICS,
    Model,
    NumberTooLarge,
    Options,
    Outcome,
    Program,
)
from loadloom.solvers.termination import Reason, Termination

ROUNDING = 1e-9
"""The relative gap that rounding leaves, whatever smaller one is asked for."""

NEAR = 1e-10
"""The relative cost that a plan near an earlier one may have on top, for rounding."""

NEARLY_WHOLE: Options = {
    "mip_feasibility_tolerance": 1e-6,
    "primal_feasibility_tolerance": 1e-7,
    "dual_feasibility_tolerance": 1e-7,
}
"""How far off a search may be, as HiGHS has it: its heuristics find no points that are better. The
linear programme after it, with all that is whole fixed, keeps every row; a search to all digits
follows only where that has no solution."""

NEARLY = 1e-6
"""How far numbers of a relaxation may be off whole ones to be taken for them."""

SEARCH_SHARE = 0.9
"""The share of the time for a search; the rest is for the linear programme after it."""

WARM = "from where the last solve of the site ended"
"""What a road is told with where it began so."""

FIXINGS = 4
"""So often pairs that run both ways are fixed one after the other, before all of them are."""


def solve_general(problem: Problem, options: SolveOptions) -> Solution:
    """The best plan of any site."""
    return Planner().solve(problem, options)


class Planner:
    """The general road for one site again and again, each solve going on from the last one.

    It begins from the last bases and the last plan, moved along where the horizon has rolled on.
    Where devices or their parts have changed, what is left of them is still used.
    """

    def __init__(self) -> None:
        self.search: Search | None = None
        self._site: Site | None = None
        self._held: Held | None = None

    @property
    def size(self) -> int:
        """The entries of the programme that is held."""
        return 0 if self._held is None else self._held.base.matrix.entries.size

    def solve(self, problem: Problem, options: SolveOptions) -> Solution:
        """The best plan of a site, as by `solve_general`; `search` is how it was found."""
        unit = unit_kwh(problem)
        small = scaled(problem, 1.0 / unit)
        site = (self._site and repriced(self._site, small)) or build(small)
        self.search = Search(site=site, options=options, unit=unit, held=self._held)
        solution = self.search.run()
        self._site, self._held = site, self.search.kept()
        return enlarged(solution, unit)


@dataclass(slots=True, kw_only=True)
class Search:
    """The best plan and the best bound so far, of a site in a unit of so many kWh."""

    site: Site
    options: SolveOptions
    unit: float = 1.0
    held: Held | None = None
    primal: FloatArray | None = None
    cost: float = inf
    bound: float = -inf
    values: Values | None = None
    proof: Proof = Proof.NONE
    binaries: int = 0
    began_s: float = field(default_factory=perf_counter)
    ended: Termination | None = None
    base: Program = field(init=False)
    whole: Program = field(init=False)
    linear: Model | None = None
    start: Start = field(init=False)
    relaxed: HighsBasis | None = None
    settled: HighsBasis | None = None
    fixed: tuple[FloatArray, FloatArray] | None = None

    def __post_init__(self) -> None:
        self.whole = self.site.programme.program(self.site.cost)
        self.base = replace(self.whole, integer=np.zeros_like(self.whole.integer))
        self.start = Start()
        if self.held is not None:
            self.start = self.held.start(self.site.programme, self.base)

    def run(self) -> Solution:
        """The best plan, by as few binaries as it takes."""
        mixed = self.options.method is Method.MIXED_INTEGER
        for masks in self._choices():
            last = all(mask.all() for mask in masks)
            if mixed and not last:
                continue
            try:
                self._round(masks)
            except NumberTooLarge as refused:
                self.ended = Termination(
                    reason=Reason.NO_SOLUTION_FOUND, objective=inf, bound=-inf, detail=str(refused)
                )
            if self.proven or self.ended is not None:
                break
        return self._solution()

    @property
    def proven(self) -> bool:
        """Whether cost and bound meet."""
        return self.primal is not None and self.cost - self.bound <= self._allowed

    @property
    def _allowed(self) -> float:
        """The gap that is none."""
        return max(self.options.relative_gap, ROUNDING) * max(1.0, abs(self.cost))

    def _choices(self) -> Iterator[list[BoolArray]]:
        """The pairs that have binaries, round by round."""
        pairs = self.site.programme.pairs
        none = [np.zeros(pair.one.size, np.bool_) for pair in pairs]
        yield none
        some = [self._burdened[pair.intervals] for pair in pairs]
        if any(mask.any() for mask in some) and not all(mask.all() for mask in some):
            yield some
        if pairs:
            yield [~mask for mask in none]

    @property
    def _burdened(self) -> BoolArray:
        """The intervals in which more energy can cost something, (count,)."""
        found = np.zeros(self.site.programme.count, np.bool_)
        problem = self.site.problem
        for scene in problem.scenes:
            found |= (scene.buy < 0.0) | (scene.sell < 0.0) | (scene.sell > scene.buy)
            fixed = [not plant.curtailable for plant in problem.photovoltaics]
            found |= scene.plants_kw[fixed].sum(axis=0) > scene.loads_kw.sum(axis=0)
        if self.primal is None and self._relaxed is not None:
            for pair in self.site.programme.pairs:
                found[pair.intervals[pair.both(self._relaxed)]] = True
        return found

    _relaxed: FloatArray | None = None

    def _round(self, masks: list[BoolArray]) -> None:
        """One search with these binaries, and the linear programme that it leaves."""
        self.binaries = sum(int(np.count_nonzero(mask)) for mask in masks)
        whole = self.whole
        if self.binaries:
            whole = self.site.programme.program(self.site.cost, masks)
        if not whole.integer.any():
            self.proof = Proof.RELAXATION
            self._take(self._relax(), masks)
            return
        asked = self.options.method is Method.MIXED_INTEGER
        if self.relaxed is None and not asked and self._settle_first(masks):
            return
        self.proof = Proof.BRANCH_AND_BOUND
        for told in (NEARLY_WHOLE, None):
            search = Model(whole, seed=self.options.seed, options=self._how(told))
            if self.primal is not None:
                search.begin_with(self._with_binaries(self.primal, masks))
            outcome = self._solve(search, SEARCH_SHARE)
            if told and outcome.termination.reason is Reason.INFEASIBLE:
                continue  # that is said of all digits only
            self._take(outcome, masks)
            if outcome.primal is None or self.primal is not None:
                return

    def _relax(self) -> Outcome:
        """How the linear programme without binaries ends, from its last basis if there is one."""
        model, start = self._linear(self.base), self.start
        if start.relaxed is not None and (start.settled is not None or not start.same_rows):
            model.begin_from(start.relaxed, feasible=start.same_rows)
        outcome = self._solve(model)
        self.relaxed = model.basis
        return outcome

    def _settle_first(self, masks: list[BoolArray]) -> bool:
        """Whether decisions at hand are proven to be the best by the relaxation without binaries.

        They are those of the last plan, or those of the relaxation itself where they are whole.
        """
        outcome = self._relax()
        if outcome.row_dual is None or outcome.primal is None:
            return False  # a search tells why
        self.proof, self.bound = Proof.RELAXATION, max(self.bound, outcome.termination.bound)
        primal, whole = self.start.primal, outcome.primal[self.whole.integer]
        if primal is None and np.abs(whole - np.round(whole)).max(initial=0.0) <= NEARLY:
            primal = outcome.primal
        if primal is not None:
            self._settle(replace(outcome, primal=primal, row_dual=None), masks)
        return self.proven

    def _how(self, told: Options | None) -> Options | None:
        """What a search is told; one that begins with a plan needs no heuristics to find one."""
        if self.primal is None:
            return told
        return dict(told or {}) | dict(WITHOUT_HEURISTICS)

    def _with_binaries(self, primal: FloatArray, masks: list[BoolArray]) -> FloatArray:
        """A solution with the binaries of marked pairs: 1 where the first way runs."""
        pairs = zip(self.site.programme.pairs, masks, strict=True)
        first = [(primal[pair.one[mask]] > 0.0).astype(np.float64) for pair, mask in pairs]
        return np.concatenate([primal, *first])

    def _take(self, outcome: Outcome, masks: list[BoolArray]) -> None:
        """Takes over the bound of a search, and the plan that its solution leads to."""
        if outcome.termination.reason is not Reason.OPTIMAL:
            self.ended = outcome.termination
        # A search that finds nothing as good as the plan at hand is off by rounding.
        if self.primal is None or outcome.termination.bound <= self.cost + self._allowed:
            self.bound = max(self.bound, outcome.termination.bound)
        if outcome.primal is not None:
            self._relaxed = outcome.primal[: self.base.cost.size]
            self._settle(outcome, masks)

    def _settle(self, outcome: Outcome, masks: list[BoolArray]) -> None:
        """Fixes what is whole and the ways of pairs until a linear programme's plan can be run."""
        if outcome.primal is None:
            return
        primal = outcome.primal[: self.base.cost.size]
        low, high = self.base.low.copy(), self.base.high.copy()
        natural = self.whole.integer
        low[natural] = high[natural] = np.round(primal[natural])
        for pair, mask in zip(self.site.programme.pairs, masks, strict=True):
            pair.close(low, high, primal, mask)
        duals = outcome.row_dual
        for attempt in range(FIXINGS + 1):
            clash = [pair.both(primal) for pair in self.site.programme.pairs]
            if duals is not None and not any(mask.any() for mask in clash):
                self._offer(primal, duals, (low, high))
                return
            for pair, mask in zip(self.site.programme.pairs, clash, strict=True):
                pair.close(low, high, primal, mask | (attempt == FIXINGS - 1))
            model = self._linear(replace(self.base, low=low.copy(), high=high.copy()))
            if attempt == 0 and self.start.settled is not None:
                model.begin_from(self.start.settled, feasible=self.start.same_rows)
            outcome = self._solve(model)
            if outcome.primal is None:
                return
            self.settled = model.basis
            primal, duals = outcome.primal, outcome.row_dual

    def _linear(self, program: Program) -> Model:
        """The model of linear programmes, changed to this one."""
        if self.linear is None:
            self.linear = self.start.model or Model(program, seed=self.options.seed)
        self.linear.change(program)
        return self.linear

    def kept(self) -> Held | None:
        """What the next solve of the site can go on from."""
        if self.linear is None:
            return None
        programme = self.site.programme
        return Held(
            horizon=programme.horizon,
            columns=programme.column_layout,
            rows=programme.row_layout,
            base=self.base,
            model=self.linear,
            relaxed=self.relaxed,
            settled=self.settled,
            primal=self.primal,
        )

    def nearest(self, row: int, off: IntArray, within_s: float) -> Schedule | None:
        """The plan with the least sum of some columns among those that cost no more.

        The row holds the cost of plans; it and the columns were added after the search.
        """
        if self.primal is None or self.fixed is None:
            return None
        programme, known = self.site.programme, self.base.cost.size
        cost = np.zeros(programme.column_count)
        cost[off] = 1.0
        program = programme.program(cost)
        high = program.row_high.copy()
        high[row] = float(self.base.cost @ self.primal) + NEAR * max(1.0, abs(self.cost))
        program = replace(
            program,
            low=np.append(self.fixed[0], program.low[known:]),
            high=np.append(self.fixed[1], program.high[known:]),
            row_high=high,
            integer=np.zeros_like(program.integer),
            offset=0.0,
        )
        left_s = min(within_s, self._left_s)
        outcome = Model(program, seed=self.options.seed).solve(time_limit_s=left_s)
        if outcome.primal is None:
            return None
        primal = np.clip(outcome.primal[:known], self.base.low, self.base.high)
        return scaled(self._schedule(primal), self.unit)

    def _offer(
        self, primal: FloatArray, row_dual: FloatArray, fixed: tuple[FloatArray, FloatArray]
    ) -> None:
        """Takes over a plan, if it is the best, and the values that its duals tell."""
        primal = np.clip(primal, self.base.low, self.base.high)
        cost = self.base.offset + float(self.base.cost @ primal)
        if cost < self.cost:
            self.primal, self.cost, self.fixed = primal, cost, fixed
            reduced = self.base.cost - _products(self.base, row_dual)
            self.values = self.site.values(self.whole, primal, row_dual, reduced)

    @property
    def _left_s(self) -> float:
        """What is left of the time."""
        return max(0.0, self.options.time_limit_s - (perf_counter() - self.began_s))

    def _solve(self, model: Model, share: float = 1.0) -> Outcome:
        """How a model ends within a share of what is left of the time."""
        gap = self.options.relative_gap
        return model.solve(time_limit_s=share * self._left_s, relative_gap=0.5 * gap)

    def _solution(self) -> Solution:
        """The answer as it stands."""
        method = self.options.method or Method.LINEAR
        whole = self.binaries or self.whole.integer.any()
        if whole and self.options.method is None:
            method = Method.MIXED_INTEGER
        road = "general programme"
        if whole:
            count = self.binaries + int(np.count_nonzero(self.whole.integer))
            road = f"{road}, {count} whole numbers"
        if self.start.relaxed is not None or self.start.settled is not None:
            road = f"{road}, {WARM}"
        if self.primal is None:
            return Solution(termination=self._without_plan(), method=method, road=road)
        reason = Reason.OPTIMAL if self.proven else Reason.FEASIBLE
        detail = self.ended.detail if self.ended and not self.proven else ""
        return Solution(
            termination=Termination(
                reason=reason,
                objective=self.cost,
                bound=min(self.bound, self.cost),
                detail=detail,
            ),
            method=method,
            road=road,
            proof=self.proof,
            schedule=self._schedule(self.primal),
            values=self.values,
        )

    def _schedule(self, primal: FloatArray) -> Schedule:
        """The plan, of each pair only the greater way."""
        primal = primal.copy()
        for pair in self.site.programme.pairs:
            one, other = primal[pair.one], primal[pair.other]
            primal[pair.other] = np.where(one * pair.rate >= other, 0.0, other)
            primal[pair.one] = np.where(one * pair.rate >= other, one, 0.0)
        return self.site.schedule(primal)

    def _without_plan(self) -> Termination:
        if self.ended is not None and self.ended.reason is Reason.INFEASIBLE:
            return self.ended
        detail = self.ended.detail if self.ended else "no plan keeps every limit to the last digit"
        return Termination(
            reason=Reason.NO_SOLUTION_FOUND, objective=inf, bound=self.bound, detail=detail
        )


def _products(program: Program, row_dual: FloatArray) -> FloatArray:
    """What the rows' duals add up to in each column."""
    matrix = program.matrix
    column = np.repeat(np.arange(program.cost.size), np.diff(matrix.starts))
    weights = matrix.entries * row_dual[matrix.rows]
    return np.bincount(column, weights, program.cost.size).astype(np.float64)
