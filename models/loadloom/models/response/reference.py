# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""The formulation of `problem` word by word, as the oracle of the faster roads; for few customers.

The deviation of a row, sqrt(w^2 + |g|^2) with w = sqrt(base + s2.x) and g = G'x, is approached from
below by cuts, and the programme is solved again until no row is off:

    w >= sqrt(base) + sum_k pi[k] * x[k],   pi[k] = what item k adds to the root after those before
                                            it in an order: w is submodular, so this holds for
                                            every x, with equality for the first so many items
    deviation >= (w0 * w + g0 . g) / sqrt(w0^2 + |g0|^2)             as the norm is convex

The first are the extended polymatroid inequalities of Atamtürk and Narayanan (2008). Pyomo
redirects the process's standard output while it solves, so a process takes one at a time.
"""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.solver.common.results import Results, SolutionStatus, TerminationCondition
from pyomo.contrib.solver.solvers.highs import Highs

from loadloom.models.certificate import Proof
from loadloom.models.horizon import FloatArray
from loadloom.models.response import referee
from loadloom.models.response.normal import quantile
from loadloom.models.response.problem import Problem
from loadloom.models.response.rows import needed, offer_of, reduced
from loadloom.models.response.solution import PlanOptions, Road, Solution
from loadloom.models.response.unsecured import lowered, unsecured_by
from loadloom.solvers.coupled.budget import Budget, Clock
from loadloom.solvers.termination import Reason, Termination

_OFF = 1e-9  # the share by which a deviation may be above the programme's
_RELAXED_ROUNDS, _MOST_ROUNDS = 60, 400
_Z_STEP = 1e-7  # by how much a common z is to be surpassed
_LARGEST_Z = float(quantile(np.array(1.0 - 1e-9)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Row:
    """What a row must reach with `z` deviations to spare, and what its items bring."""

    items: np.ndarray
    mean: FloatArray
    variance: FloatArray
    loading: FloatArray
    need: float
    z: float
    base: float

    def deviation(self, chosen: np.ndarray) -> tuple[float, FloatArray]:
        """The own part of the deviation, w, and the parts by shocks, g."""
        x = chosen[self.items]
        return sqrt(self.base + float(self.variance @ x)), self.loading.T @ x

    def slack(self, chosen: np.ndarray) -> tuple[float, float]:
        """By how much the mean is above the need, and the deviation."""
        w, g = self.deviation(chosen)
        return float(self.mean @ chosen[self.items]) - self.need, sqrt(w * w + float(g @ g))


def reference_plan(
    problem: Problem, options: PlanOptions | None = None, clock: Clock | None = None
) -> Solution:
    """The best call list by the reference model, without prices of nodes.

    It has no call list before it has the best one: where time ends it, there is a bound alone.
    """
    options = options or PlanOptions()
    time = Budget(clock=clock, time_limit_s=options.time_limit_s)
    if problem.budget is not None:
        return _most_confident(problem, problem.budget, options, time)
    reason, chosen, bound = _least(problem, _rows(problem, problem.network.z), options, time)
    offer = None if chosen is None else offer_of(problem, chosen)
    cost = inf if offer is None else referee.objective(problem, offer)
    bound += float(problem.toll.sum())
    return Solution(
        termination=Termination(reason=reason, objective=cost, bound=min(bound, cost)),
        road=Road.REFERENCE,
        proof=Proof.BRANCH_AND_BOUND,
        offer=offer,
        unsecured=unsecured_by(problem, offer) if problem.best_effort and offer is not None else (),
        seed=options.seed,
    )


def _most_confident(
    problem: Problem, budget: float, options: PlanOptions, time: Budget
) -> Solution:
    """The plan of the largest common z: each is asked to surpass the one before it."""
    best, z, asked = None, -inf, 0.0
    proven = False
    while not proven and asked <= _LARGEST_Z:
        rows = _rows(problem, np.full(problem.network.count, asked))
        reason, chosen, bound = _least(problem, rows, options, time)
        proven = reason is Reason.INFEASIBLE or bound > budget * (1.0 + 1e-9) + 1e-9
        if proven or chosen is None or problem.offers.cost @ chosen > budget * (1.0 + 1e-9) + 1e-9:
            break
        own = [over / sd for over, sd in (row.slack(chosen) for row in rows) if sd > 0.0]
        best, z = chosen, min([_LARGEST_Z, *own])
        asked = max(asked, z) + _Z_STEP
    top = z if proven and best is not None else -inf if proven else _LARGEST_Z
    if best is None:
        reason = Reason.INFEASIBLE if proven else Reason.NO_SOLUTION_FOUND
    else:
        reason = Reason.OPTIMAL if proven or z >= _LARGEST_Z else Reason.FEASIBLE
    return Solution(
        termination=Termination(reason=reason, objective=z, bound=max(top, z)),
        road=Road.REFERENCE,
        proof=Proof.BRANCH_AND_BOUND,
        offer=None if best is None else offer_of(problem, best),
        common_z=None if best is None else z,
        seed=options.seed,
    )


def _rows(problem: Problem, z: FloatArray) -> list[_Row]:
    """The rows of all needs and headrooms, each with the items below its node."""
    network, offers = problem.network, problem.offers
    first, last = network.span
    place = first[problem.customers.nodes[offers.customers]]
    need = network.need_kw
    if problem.best_effort:
        need = np.minimum(need, lowered(problem, reduced(problem)))
    found = []

    def add(v: int, mean: FloatArray, variance: FloatArray, need: float, spread: float) -> None:
        items = np.flatnonzero((first[v] <= place) & (place < last[v]))
        shares = np.zeros((items.size, 0)) if offers.loading is None else offers.loading[items]
        found.append(
            _Row(
                items=items,
                mean=mean[items],
                variance=variance[items],
                loading=shares * mean[items, None],
                need=need,
                z=float(z[v]),
                base=spread**2,
            )
        )

    for v, s in np.argwhere(needed(problem)).tolist():
        mean, variance = problem.mean_kw[:, s], problem.variance_kw2[:, s]
        add(v, mean, variance, float(need[v, s]), float(network.spread_kw[v, s]))
    headroom, profile = network.headroom_kw, network.rebound_profile
    if headroom is not None and profile is not None:
        for v, u in np.argwhere(np.isfinite(headroom)).tolist():
            part = float(profile[u])
            variance = (part * problem.rebound_sd_kw) ** 2
            add(v, -part * problem.rebound_kw, variance, -float(headroom[v, u]), 0.0)
    return found


def _least(
    problem: Problem, rows: list[_Row], options: PlanOptions, time: Budget
) -> tuple[Reason, np.ndarray | None, float]:
    """How the search for the least cost ended, which offers are taken, and the bound."""
    model = _model(problem, rows)
    solver = Highs()
    # First with parts of offers, where a round costs next to nothing.
    ended = _rounds(solver, model, rows, options, time, pyo.UnitInterval, _RELAXED_ROUNDS)
    if ended[0] is Reason.INFEASIBLE:
        return ended
    reason, x, bound = _rounds(solver, model, rows, options, time, pyo.Binary, _MOST_ROUNDS)
    return reason, None if x is None else x > 0.5, bound


def _rounds(
    solver: Highs,
    model: pyo.ConcreteModel,
    rows: list[_Row],
    options: PlanOptions,
    time: Budget,
    domain: object,
    most: int,
) -> tuple[Reason, FloatArray | None, float]:
    """How solving and cutting in turn ended, the solution that needs no more cuts, and a bound."""
    for i in model.i:
        model.taken[i].domain = domain
    least = -inf
    for _ in range(most):
        if time.spent():
            break
        results = _solved(solver, model, options, time)
        if results.solution_status not in {SolutionStatus.feasible, SolutionStatus.optimal}:
            infeasible = results.termination_condition in {
                TerminationCondition.provenInfeasible,
                TerminationCondition.infeasibleOrUnbounded,
            }
            reason = Reason.INFEASIBLE if infeasible else Reason.NO_SOLUTION_FOUND
            return reason, None, inf if infeasible else least
        bound = results.objective_bound
        least = max(least, -inf if bound is None else float(bound))
        results.solution_loader.load_vars()
        x = np.array([model.taken[i].value for i in model.i], dtype=np.float64)
        if domain is pyo.Binary:
            x = np.rint(x)
        optimal = results.solution_status is SolutionStatus.optimal
        if not _cut(model, rows, x):
            return Reason.OPTIMAL if optimal else Reason.FEASIBLE, x, least
    return Reason.NO_SOLUTION_FOUND, None, least


def _solved(solver: Highs, model: pyo.ConcreteModel, options: PlanOptions, time: Budget) -> Results:
    return solver.solve(
        model,
        time_limit=time.left_s if time.timed else None,
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
        threads=1,
        rel_gap=0.0,
        abs_gap=0.0,
        solver_options={
            "random_seed": options.seed,
            "mip_feasibility_tolerance": 1e-9,
            "primal_feasibility_tolerance": 1e-9,
        },
    )


def _model(problem: Problem, rows: list[_Row]) -> pyo.ConcreteModel:
    """The programme with deviations that are free but for the first cuts."""
    offers, customers = problem.offers, problem.customers
    model = pyo.ConcreteModel()
    model.i = pyo.RangeSet(0, offers.count - 1)
    model.r = pyo.RangeSet(0, len(rows) - 1)
    model.taken = pyo.Var(model.i, domain=pyo.Binary)
    model.own = pyo.Var(model.r, bounds=lambda _, r: (sqrt(rows[r].base), None))
    model.deviation = pyo.Var(model.r, domain=pyo.NonNegativeReals)
    model.secured = pyo.ConstraintList()
    model.rules = pyo.ConstraintList()
    model.cuts = pyo.ConstraintList()
    for r, row in enumerate(rows):
        mean = sum(float(row.mean[k]) * model.taken[i] for k, i in enumerate(row.items.tolist()))
        model.secured.add(mean - row.z * model.deviation[r] >= row.need)
        model.cuts.add(model.deviation[r] >= model.own[r])
    first = problem.first_offer
    for customer in range(customers.count):
        called = sum(model.taken[i] for i in range(first[customer], first[customer + 1]))
        if not customers.callable[customer]:
            for i in range(first[customer], first[customer + 1]):
                model.taken[i].fix(0)
        elif customers.musts[customer]:
            model.rules.add(called - 1 == 0)
        elif first[customer + 1] - first[customer] > 1:
            model.rules.add(called <= 1)
    _add_quotas(model, problem)
    weight = offers.cost - problem.toll
    model.cost = pyo.Objective(expr=sum(float(weight[i]) * model.taken[i] for i in model.i))
    return model


def _add_quotas(model: pyo.ConcreteModel, problem: Problem) -> None:
    if problem.customers.group is None:
        return
    of = problem.customers.group[problem.offers.customers]
    for quota in problem.quotas:
        items = np.flatnonzero(of == quota.group).tolist()
        calls = sum((model.taken[i] for i in items), 0.0 * model.taken[0])
        cost = sum(
            (float(problem.offers.cost[i]) * model.taken[i] for i in items), 0.0 * model.taken[0]
        )
        model.rules.add((quota.call_min, calls, quota.call_max))
        model.rules.add((quota.cost_min, cost, quota.cost_max if quota.cost_max < inf else None))


def _cut(model: pyo.ConcreteModel, rows: list[_Row], x: FloatArray) -> bool:
    """Whether some row's deviation was too small for x, whole or in parts; it is cut off."""
    some = False
    for r, row in enumerate(rows):
        items, own = row.items.tolist(), x[row.items]
        order = np.argsort(-own, kind="stable")
        root = np.sqrt(row.base + np.concatenate(([0.0], np.cumsum(row.variance[order]))))
        adds = np.diff(root)
        w, g = float(root[0] + adds @ own[order]), row.loading.T @ own
        deviation = sqrt(w * w + float(g @ g))
        told = model.deviation[r].value or 0.0
        over = float(row.mean @ own) - row.need
        size = max(1.0, abs(row.need))
        if over - row.z * deviation >= -_OFF * size or told >= deviation - _OFF:
            continue
        some = True
        model.cuts.add(
            model.own[r]
            >= float(root[0])
            + sum(float(a) * model.taken[items[k]] for a, k in zip(adds, order, strict=True))
        )
        if g.size and deviation > 0.0:
            by = row.loading @ g
            model.cuts.add(
                deviation * model.deviation[r]
                >= w * model.own[r]
                + sum(float(by[k]) * model.taken[i] for k, i in enumerate(items))
            )
    return some
