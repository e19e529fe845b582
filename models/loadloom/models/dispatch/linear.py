"""The roads through linear and mixed-integer programming, for any number of stores.

The linear programme leaves out that nothing runs both ways at once, so it can gain where energy is
a burden: by charging and discharging at once it burns energy that nobody takes. Its bound holds all
the same, and so does its plan wherever letting nothing run both ways costs no more. Where it does
cost more, or passes a limit, binaries keep the two ways apart in every interval where energy can be
a burden, and where that does not prove enough, in all. All at once: adding them step by step where
the last solution ran both ways took up to five times as long on days of negative prices, as each
step is a search of its own. The plan of the linear programme is a good one as a rule, so a small
search goes without heuristics, which took a third of its time.
"""

from dataclasses import dataclass, field, replace
from math import inf
from time import perf_counter

import numpy as np

from loadloom.models.certificate import Proof
from loadloom.models.dispatch.flows import (
    Flows,
    breach,
    energies,
    schedule,
    settled,
    total,
    values,
)
from loadloom.models.dispatch.linear_model import (
    Arrays,
    Pairs,
    all_pairs,
    arrays,
    burdened_pairs,
    decided,
    matrix,
    no_pairs,
    program,
    same_losses,
    tightened,
)
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import Schedule, Solution, Values
from loadloom.models.dispatch.values import dual_bound, site_values
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.highs import (
    SMALL_COLUMNS,
    WITHOUT_HEURISTICS,
    Matrix,
    Model,
    Outcome,
    Program,
)
from loadloom.solvers.termination import Reason, Termination

ROUNDING = 1e-9
"""The relative gap that rounding leaves, whatever smaller one is asked for."""

ROOM_FOR_ROUNDING = 1e-7
"""How much nearer than asked for a search must come, or half: rounding can use up the rest."""

WITHIN_KWH = 1e-7
"""How far a plan may be off a rule by rounding: a tenth of what the referee allows."""


def solve_linear(problem: Problem, options: SolveOptions) -> Solution:
    """The best plan by the linear programme, with binaries in the intervals that need them."""
    return Planner(options.seed).solve(problem, options)


def solve_mixed_integer(problem: Problem, options: SolveOptions) -> Solution:
    """The best plan with a binary in every interval where one can matter."""
    search = _Search(problem=problem, options=options, site=arrays(problem))
    none = search.pairs
    base = program(search.site, none, matrix(search.site, none))
    model, pairs = Model(base, seed=options.seed), all_pairs(search.site)
    if pairs.count:
        search.branch(model, base, pairs)
    else:
        search.relax(model)
    return search.solution(Method.MIXED_INTEGER, "mixed-integer programme")


class Planner:
    """The linear road for one site again and again, each solve starting from the last basis.

    New prices, forecasts, limits and states of charge are taken over; another horizon, other stores
    or other losses start afresh.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._held: tuple[Arrays, Matrix, Model] | None = None

    @property
    def size(self) -> int:
        """The entries of the programme that is held."""
        return 0 if self._held is None else self._held[1].entries.size

    def solve(self, problem: Problem, options: SolveOptions) -> Solution:
        """The best plan of a site, as by `solve_linear`."""
        search = _Search(problem=problem, options=options, site=arrays(problem))
        model, base = self._model(search.site, search.pairs)
        search.relax(model)
        for choose in (burdened_pairs, all_pairs):
            if search.open and (pairs := choose(search.site)).count > search.pairs.count:
                search.branch(model, base, pairs)
        return search.solution(Method.LINEAR, "linear programme")

    def _model(self, site: Arrays, none: Pairs) -> tuple[Model, Program]:
        """The model held, changed to the site, or a new one."""
        if self._held is not None and same_losses(site, self._held[0]):
            _, entries, model = self._held
            base = program(site, none, entries)
            model.change(base)
        else:
            base = program(site, none, matrix(site, none))
            model = Model(base, seed=self._seed)
        self._held = site, base.matrix, model
        return model, base


@dataclass(slots=True, kw_only=True)
class _Search:
    """The best plan and the best bound so far."""

    problem: Problem
    options: SolveOptions
    site: Arrays
    best: Flows | None = None
    cost: float = inf
    bound: float = -inf
    values: Values | None = None
    proof: Proof = Proof.NONE
    pairs: Pairs = field(init=False)
    began_s: float = field(default_factory=perf_counter)
    ended: Termination | None = None

    def __post_init__(self) -> None:
        self.pairs = no_pairs(self.site)

    @property
    def proven(self) -> bool:
        """Whether cost and bound meet."""
        allowed = max(self.options.relative_gap, ROUNDING) * max(1.0, abs(self.cost))
        return self.best is not None and self.cost - self.bound <= allowed

    @property
    def open(self) -> bool:
        """Whether a search can bring more: there is neither a proof nor an end."""
        return not self.proven and self.ended is None

    def relax(self, model: Model) -> None:
        """Solves the linear programme and takes its bound from the values it proves."""
        outcome = self._solve(model)
        if outcome.row_dual is None:
            self.ended = outcome.termination
        self._try(outcome)
        if self.values is not None:
            self.bound = max(self.bound, dual_bound(self.problem, self.values))
            self.proof = Proof.DUAL

    def branch(self, model: Model, base: Program, pairs: Pairs) -> None:
        """Searches with binaries for the pairs, then solves the linear programme they leave."""
        self.pairs = pairs
        near = tightened(self.site)
        whole = program(near, pairs, matrix(near, pairs))
        small = whole.cost.size <= SMALL_COLUMNS
        search = Model(whole, seed=self.options.seed, options=WITHOUT_HEURISTICS if small else None)
        outcome = self._solve(search)
        if outcome.termination.reason is Reason.INFEASIBLE or outcome.primal is None:
            self.ended = outcome.termination
            self.bound = max(self.bound, outcome.termination.bound)
            return
        self.bound, self.proof = max(self.bound, outcome.termination.bound), Proof.BRANCH_AND_BOUND
        self._offer(energies(self.site, outcome.primal))
        model.change(decided(self.site, base, pairs, outcome.primal))
        self._try(self._solve(model))
        if outcome.termination.reason is Reason.FEASIBLE:
            self.ended = outcome.termination

    def solution(self, method: Method, road: str) -> Solution:
        """The answer as it stands."""
        if self.pairs.count:
            road = f"{road}, {self.pairs.count} binaries"
        if self.best is None:
            return Solution(termination=self._without_plan(), method=method, road=road)
        reason = Reason.OPTIMAL if self.proven else Reason.FEASIBLE
        detail = self.ended.detail if self.ended and not self.proven else ""
        bound = min(self.bound, self.cost)
        plan = schedule(self.problem, self.best)
        return Solution(
            termination=Termination(reason=reason, objective=self.cost, bound=bound, detail=detail),
            method=method,
            road=road,
            proof=self.proof,
            schedule=plan,
            values=None if self.values is None else self._fitted(self.values, plan),
        )

    def _fitted(self, found: Values, plan: Schedule) -> Values:
        """The values with those behind the meter as the plan and the meter's prices have them.

        The programme's limits of the meter are cut to what plans can use, and its duals count a kWh
        beyond such a cut as dear, which it is not. That shows in a value beyond the meter's prices.
        Where the programme's own values alone prove the bound, they stay.
        """
        meter, value = self.problem.meter, found.site_per_kwh
        near = 1e-9 * (1.0 + np.abs(value))
        beyond = value > meter.buy_price_per_kwh + near
        beyond |= value < meter.sell_price_per_kwh - near
        if not beyond.any():
            return found
        fitted = replace(found, site_per_kwh=site_values(self.problem, plan, found.stored_per_kwh))
        lost = self.bound - dual_bound(self.problem, fitted)
        if self.proof is Proof.DUAL and lost > ROUNDING * max(1.0, abs(self.cost)):
            return found
        return fitted

    def _solve(self, model: Model) -> Outcome:
        left_s = max(0.0, self.options.time_limit_s - (perf_counter() - self.began_s))
        gap = self.options.relative_gap
        nearer = gap - min(ROOM_FOR_ROUNDING, 0.5 * gap)
        return model.solve(time_limit_s=left_s, relative_gap=nearer)

    def _try(self, outcome: Outcome) -> None:
        """Takes over the values of a solved linear programme, and its plan if it is the best."""
        if outcome.row_dual is not None:
            self.values = values(self.site, outcome.row_dual)
        if outcome.primal is not None:
            self._offer(energies(self.site, outcome.primal))

    def _offer(self, energy: FloatArray) -> None:
        """The flows that give these energies, which become the best plan if they are."""
        run = settled(self.site, energy)
        paid = total(self.site, run)
        if paid < self.cost and breach(self.site, run).max() <= WITHIN_KWH:
            self.best, self.cost = run, paid

    def _without_plan(self) -> Termination:
        if self.ended is not None and self.ended.reason is Reason.INFEASIBLE:
            return self.ended
        detail = self.ended.detail if self.ended else "no plan keeps every limit to the last digit"
        return Termination(
            reason=Reason.NO_SOLUTION_FOUND, objective=inf, bound=self.bound, detail=detail
        )
