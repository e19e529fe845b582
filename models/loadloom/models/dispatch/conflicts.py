"""Why a site has no plan, and what least change gives it one.

First comes the least change. Then, conflict by conflict, a smallest set of rules is sought that
cannot be kept together whatever the others say: rules are dropped one by one, and stay dropped if
the rest still has no plan.

Without binaries stores burn energy by charging and discharging at once, so a linear programme may
cure too little, or find a plan where there is none. Its word is taken where its plan can be run
with nothing running both ways; elsewhere binaries decide.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from loadloom.models.dispatch.conflict_words import conflict
from loadloom.models.dispatch.flows import breach, settled
from loadloom.models.dispatch.least_change import WITHIN_KWH, Clock, least_change, store_pairs
from loadloom.models.dispatch.linear_model import (
    Arrays,
    BoolArray,
    matrix,
    no_pairs,
    program,
    tightened,
)
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.rules import Rule, relaxed, rules_of
from loadloom.models.dispatch.solution import Conflict
from loadloom.models.horizon import FloatArray
from loadloom.solvers.highs import Model, Program
from loadloom.solvers.termination import Reason


def conflicts(problem: Problem, time_limit_s: float = 5.0) -> list[Conflict]:
    """The rules in conflict by time, each over a run of intervals; none if the site has a plan.

    Those that give way in the least change come with their amounts, the others of each conflict
    with zero. When the time is over the changes still cure, but may not be the least, nor the sets
    the smallest.
    """
    rules = rules_of(problem)
    clock = Clock(time_limit_s)
    change = least_change(problem, rules, clock)
    if not change.any():
        return []
    givers = [Part(r, run) for r in range(len(rules)) for run in _runs(change[r] > 0.0)]
    others = [
        Part(r, mask)
        for r, rule in enumerate(rules)
        if (mask := np.isfinite(rule.limit) & (change[r] == 0.0)).any()
    ]
    sets = _Sets(problem, rules, clock)
    parts = sets.all(others, givers, change)
    told = [conflict(problem, rules[part.rule], part.mask, change[part.rule]) for part in parts]
    return sorted(dict.fromkeys(told), key=lambda conflict: conflict.interval)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A rule in some intervals, given as a mask of shape (count,)."""

    rule: int
    mask: BoolArray


def _runs(mask: BoolArray) -> list[BoolArray]:
    """The runs of consecutive intervals of a mask, each as a mask."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False]))))
    index = np.arange(mask.size)
    pairs = edges.reshape(-1, 2)
    return [(index >= first) & (index < end) for first, end in pairs]


class _Sets:
    """The search for smallest sets of rules that no plan keeps.

    `cured` holds by how much rules have given way already, shape (rules, count).
    """

    def __init__(self, problem: Problem, rules: list[Rule], clock: Clock) -> None:
        self._problem, self._rules, self._clock = problem, rules, clock
        self._cured = np.zeros((len(rules), problem.horizon.count))
        none = no_pairs(site := relaxed(problem, rules, self._cured))
        self._entries = matrix(site, none)
        self._model = Model(self._moving_least(site))

    def all(self, others: list[Part], givers: list[Part], change: FloatArray) -> list[Part]:
        """The parts of every set, each cured before the next is sought; givers first."""
        found: list[Part] = []
        left = list(givers)
        while left and self._clock.left_s > 0.0 and not self._possible(others + givers):
            smallest = self._smallest(others, givers)
            giving = [part for part in smallest if part in left]
            if not giving:
                break
            for part in giving:
                self._cured[part.rule, part.mask] = change[part.rule, part.mask]
                left.remove(part)
            found += giving + [part for part in smallest if part not in givers]
        return found + left

    def _smallest(self, others: list[Part], givers: list[Part]) -> list[Part]:
        """A smallest set; a rule that does not give way is narrowed to the intervals that count."""
        kept = self._filtered(others + givers)
        for part in [part for part in kept if part not in givers]:
            rest = [other for other in kept if other is not part]
            kept = [Part(part.rule, run) for run in _runs(self._narrowed(part, rest))] + rest
        return self._filtered(kept)

    def _filtered(self, parts: list[Part]) -> list[Part]:
        """The parts that remain when each in turn is dropped unless a plan is possible then."""
        kept = parts
        for part in parts:
            rest = [other for other in kept if other is not part]
            if not self._possible(rest):
                kept = rest
        return kept

    def _narrowed(self, part: Part, rest: list[Part]) -> BoolArray:
        """The shortest stretch of a part that leaves no plan beside the rest, found by halving."""
        where = np.flatnonzero(part.mask)

        def enough(first: int, end: int) -> bool:
            mask = np.zeros_like(part.mask)
            mask[where[first:end]] = True
            return not self._possible([*rest, Part(part.rule, mask)])

        end = _least(1, where.size, lambda size: enough(0, size))
        begin = end - _least(1, end, lambda size: enough(end - size, end))
        mask = np.zeros_like(part.mask)
        mask[where[begin:end]] = True
        return mask

    def _possible(self, parts: list[Part]) -> bool:
        """Whether a plan keeps these parts, all others dropped; so also when the time is over."""
        if self._clock.left_s <= 0.0:
            return True
        slack = np.full(self._cured.shape, inf)
        for part in parts:
            slack[part.rule, part.mask] = self._cured[part.rule, part.mask]
        site = relaxed(self._problem, self._rules, slack)
        self._model.change(self._moving_least(site))
        outcome = self._clock.solve(site, self._model)
        if outcome.primal is None:
            return outcome.termination.reason is not Reason.INFEASIBLE
        cells = site.keep.size
        energy = outcome.primal[2 * cells : 3 * cells].reshape(site.shape)
        if breach(site, settled(site, energy)).max() <= WITHIN_KWH:
            return True
        site = tightened(site)
        pairs = store_pairs(site)
        binary = program(site, pairs, matrix(site, pairs))
        feasibility = replace(binary, cost=np.zeros(binary.cost.size), offset=0.0)
        outcome = self._clock.solve(site, Model(feasibility))
        return outcome.termination.reason is not Reason.INFEASIBLE

    def _moving_least(self, site: Arrays) -> Program:
        """The programme of a site that moves as little energy through its stores as it can."""
        made = program(site, no_pairs(site), self._entries)
        cost = np.zeros(made.cost.size)
        cost[: 2 * site.keep.size] = 1.0
        return replace(made, cost=cost, offset=0.0)


def _least(low: int, high: int, enough: Callable[[int], bool]) -> int:
    """The least number from `low` to `high` that is enough; `high` is known to be."""
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high
