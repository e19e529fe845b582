"""Why a site has no plan, and what least change gives it one.

First comes the least change. Then, conflict by conflict, a smallest set of rules is sought that
cannot be kept together whatever the others say: rules are dropped one by one, and stay dropped if
the rest still has no plan.

Without binaries stores burn energy by charging and discharging at once, so a linear programme may
cure too little, or find a plan where there is none. Its word is taken where its plan can be run
with nothing running both ways; elsewhere binaries decide.
"""

from dataclasses import replace
from math import inf

import numpy as np

from loadloom.models.dispatch.conflict_words import conflict
from loadloom.models.dispatch.flows import breach, settled
from loadloom.models.dispatch.general_conflicts import general_conflicts
from loadloom.models.dispatch.least_change import WITHIN_KWH, Clock, least_change, store_pairs
from loadloom.models.dispatch.linear_model import (
    Arrays,
    matrix,
    no_pairs,
    program,
    tightened,
)
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.rules import Rule, relaxed, rules_of
from loadloom.models.dispatch.smallest_sets import Part, runs, smallest_sets
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
    if not problem.plain:
        return general_conflicts(problem, time_limit_s)
    rules = rules_of(problem)
    clock = Clock(time_limit_s)
    change = least_change(problem, rules, clock)
    if not change.any():
        return []
    givers = [Part(r, run) for r in range(len(rules)) for run in runs(change[r] > 0.0)]
    others = [
        Part(r, mask)
        for r, rule in enumerate(rules)
        if (mask := np.isfinite(rule.limit) & (change[r] == 0.0)).any()
    ]
    parts = smallest_sets(_Sets(problem, rules, clock, change), others, givers)
    told = [conflict(problem, rules[part.rule], part.mask, change[part.rule]) for part in parts]
    return sorted(dict.fromkeys(told), key=lambda conflict: conflict.interval)


class _Sets:
    """What knows which rules of a plain site can be kept together.

    `cured` holds by how much rules have given way already, shape (rules, count).
    """

    def __init__(
        self, problem: Problem, rules: list[Rule], clock: Clock, change: FloatArray
    ) -> None:
        self._problem, self._rules, self._clock, self._change = problem, rules, clock, change
        self._cured = np.zeros((len(rules), problem.horizon.count))
        none = no_pairs(site := relaxed(problem, rules, self._cured))
        self._entries = matrix(site, none)
        self._model = Model(self._moving_least(site))

    @property
    def left_s(self) -> float:
        """The time left."""
        return self._clock.left_s

    def cure(self, part: Part) -> None:
        """Lets a part give way by what the least change asks of it."""
        self._cured[part.rule, part.mask] = self._change[part.rule, part.mask]

    def possible(self, parts: list[Part]) -> bool:
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
