# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""The formulations of `portfolio` and `purchase` word by word, as the oracle of the faster roads.

Pyomo redirects the process's standard output while it solves, so a process takes one at a time.
"""

from itertools import pairwise
from math import inf

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.solver.common.results import Results, SolutionStatus, TerminationCondition
from pyomo.contrib.solver.solvers.highs import Highs

from loadloom.models.agency.portfolio import (
    LEFT_OUT,
    PortfolioOptions,
    PortfolioProblem,
    PortfolioRoad,
    PortfolioSolution,
)
from loadloom.models.agency.prices import PriceSchedule
from loadloom.models.agency.purchase import (
    Plant,
    PurchasePlan,
    PurchaseProblem,
    PurchaseSolution,
)
from loadloom.models.certificate import Proof
from loadloom.models.horizon import FloatArray
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason, Termination

_REASONS = {
    TerminationCondition.convergenceCriteriaSatisfied: Reason.OPTIMAL,
    TerminationCondition.provenInfeasible: Reason.INFEASIBLE,
    TerminationCondition.infeasibleOrUnbounded: Reason.INFEASIBLE,
    TerminationCondition.unbounded: Reason.UNBOUNDED,
}


def reference_portfolio(
    problem: PortfolioProblem, options: PortfolioOptions | None = None
) -> PortfolioSolution:
    """The most profitable portfolio by the reference model."""
    options = options or PortfolioOptions()
    model = _portfolio(problem)
    results, found = _solved(model, options.time_limit_s, options.relative_gap, options.seed)
    termination = _termination(results, found, sign=-1.0)
    contract = None
    if found:
        contract = np.full(problem.curves.count, LEFT_OUT, np.int32)
        for (i, k), taken in model.taken.get_values().items():
            if taken is not None and taken > 0.5:
                contract[i] = k
    return PortfolioSolution(
        termination=termination,
        road=PortfolioRoad.REFERENCE,
        proof=Proof.BRANCH_AND_BOUND if found else Proof.NONE,
        contract=contract,
        seed=options.seed,
    )


def _portfolio(problem: PortfolioProblem) -> pyo.ConcreteModel:
    load, energy = problem.curves.load_kw.astype(np.float64), problem.energy_kwh
    model = pyo.ConcreteModel()
    model.i = pyo.RangeSet(0, problem.curves.count - 1)
    model.k = pyo.RangeSet(0, len(problem.contracts) - 1)
    model.t = pyo.RangeSet(0, problem.curves.horizon.count - 1)
    model.taken = pyo.Var(model.i, model.k, domain=pyo.Binary)
    model.cost = pyo.Var(model.k)
    model.peak = pyo.Var(
        model.k, bounds=lambda _, k: (0.0, _limit(problem.contracts[k].peak_max_kw))
    )
    model.alone = pyo.Constraint(model.i, rule=lambda m, i: sum(m.taken[i, k] for k in m.k) <= 1)
    for i in model.i:
        if problem.musts[i]:
            model.add_component(
                f"must_{i}", pyo.Constraint(expr=sum(model.taken[i, k] for k in model.k) >= 1)
            )
        if problem.nevers[i]:
            for k in model.k:
                model.taken[i, k].fix(0)

    def energy_of(m: pyo.ConcreteModel, k: int) -> object:
        return sum(float(energy[i]) * m.taken[i, k] for i in m.i)

    def load_of(m: pyo.ConcreteModel, k: int, t: int) -> object:
        return sum(float(load[i, t]) * m.taken[i, k] for i in m.i)

    model.at_peak = pyo.Constraint(
        model.k, model.t, rule=lambda m, k, t: m.peak[k] >= load_of(m, k, t)
    )
    limits = pyo.ConstraintList()
    model.limits = limits
    for k, contract in enumerate(problem.contracts):
        users = sum(model.taken[i, k] for i in model.i)
        for per_kwh, per_peak in _lines(contract.schedule):
            limits.add(
                model.cost[k]
                >= per_kwh * energy_of(model, k) + per_peak * problem.hours * model.peak[k]
            )
        limits.add((contract.energy_min_kwh, energy_of(model, k), _limit(contract.energy_max_kwh)))
        limits.add((contract.user_count_min, users, contract.user_count_max))
    revenue = sum(
        float(problem.revenue[i, k]) * model.taken[i, k] for i in model.i for k in model.k
    )
    model.loss = pyo.Objective(expr=sum(model.cost[k] for k in model.k) - revenue)
    return model


def reference_purchase(
    problem: PurchaseProblem, options: SolveOptions | None = None
) -> PurchaseSolution:
    """The cheapest purchase by the reference model, without slot prices."""
    options = options or SolveOptions()
    model = _purchase(problem)
    results, found = _solved(model, options.time_limit_s, options.relative_gap, options.seed)
    return PurchaseSolution(
        termination=_termination(results, found, sign=1.0),
        plan=_plan(problem, model) if found else None,
    )


def _purchase(problem: PurchaseProblem) -> pyo.ConcreteModel:
    model = pyo.ConcreteModel()
    model.t = pyo.RangeSet(0, problem.horizon.count - 1)
    model.j = pyo.RangeSet(0, len(problem.plants) - 1)
    model.rules = pyo.ConstraintList()
    model.power = pyo.Var(
        model.j,
        model.t,
        bounds=lambda _, j, t: (
            float(problem.column(problem.plants[j].power_min_kw)[t]),
            _limit(problem.column(problem.plants[j].power_max_kw)[t]),
        ),
    )
    model.block = pyo.Var(
        ((j, b, t) for j in model.j for b in range(len(problem.plants[j].blocks)) for t in model.t),
        domain=pyo.NonNegativeReals,
    )
    model.peak = pyo.Var(model.j, domain=pyo.NonNegativeReals)
    model.priced = pyo.Var(model.j)
    total = sum(_plant_cost(model, problem, j) for j in model.j)
    total += _add_spot(model, problem)
    _add_store(model, problem)

    def balance(m: pyo.ConcreteModel, t: int) -> object:
        got = sum(m.power[j, t] for j in m.j) + m.bought[t] - m.sold[t]
        return got + m.discharged[t] - m.charged[t] == float(problem.load_kw[t])

    model.balance = pyo.Constraint(model.t, rule=balance)
    model.cost = pyo.Objective(expr=total)
    return model


def _plant_cost(model: pyo.ConcreteModel, problem: PurchaseProblem, j: int) -> object:
    """The cost of a plant; its rules are added."""
    plant: Plant = problem.plants[j]
    hours, price = problem.horizon.step_h, problem.column(plant.price_per_kwh)
    energy = sum(float(hours[t]) * model.power[j, t] for t in model.t)
    cost = sum(float(hours[t] * price[t]) * model.power[j, t] for t in model.t)
    model.rules.add((plant.energy_min_kwh, energy, _limit(plant.energy_max_kwh)))
    for t in model.t:
        model.rules.add(model.peak[j] >= model.power[j, t])
        if plant.blocks:
            split = sum(model.block[j, b, t] for b in range(len(plant.blocks)))
            model.rules.add(split == model.power[j, t])
    for b, block in enumerate(plant.blocks):
        own = sum(float(hours[t]) * model.block[j, b, t] for t in model.t)
        cost += block.price_per_kwh * own
        if block.energy_kwh < inf:
            model.rules.add(own <= block.energy_kwh)
        if block.power_kw < inf:
            for t in model.t:
                model.rules.add(model.block[j, b, t] <= block.power_kw)
    if plant.schedule is None:
        model.priced[j].fix(0.0)
    else:
        for per_kwh, per_peak in _lines(plant.schedule):
            model.rules.add(
                model.priced[j] >= per_kwh * energy + per_peak * float(hours.sum()) * model.peak[j]
            )
    return cost + model.priced[j] + plant.capacity_price_per_kw * model.peak[j]


def _add_spot(model: pyo.ConcreteModel, problem: PurchaseProblem) -> object:
    """What the market costs; without one nothing is bought or sold."""
    spot, hours = problem.spot, problem.horizon.step_h
    buy_max = problem.column(0.0 if spot is None else spot.buy_max_kw)
    sell_max = problem.column(0.0 if spot is None else spot.sell_max_kw)
    model.bought = pyo.Var(model.t, bounds=lambda _, t: (0.0, _limit(buy_max[t])))
    model.sold = pyo.Var(model.t, bounds=lambda _, t: (0.0, _limit(sell_max[t])))
    if spot is None:
        return 0.0
    buy, sell = problem.column(spot.buy_price_per_kwh), problem.column(spot.sell_price_per_kwh)
    return sum(
        float(hours[t]) * (float(buy[t]) * model.bought[t] - float(sell[t]) * model.sold[t])
        for t in model.t
    )


def _add_store(model: pyo.ConcreteModel, problem: PurchaseProblem) -> None:
    """The store, which never runs both ways; without one its columns are 0."""
    store, hours = problem.store, problem.horizon.step_h
    model.charged = pyo.Var(model.t, domain=pyo.NonNegativeReals)
    model.discharged = pyo.Var(model.t, domain=pyo.NonNegativeReals)
    model.stored = pyo.Var(model.t, domain=pyo.NonNegativeReals)
    if store is None:
        for column in (model.charged, model.discharged, model.stored):
            for t in model.t:
                column[t].fix(0.0)
        return
    model.charging = pyo.Var(model.t, domain=pyo.Binary)
    for t in model.t:
        before = model.stored[t - 1] if t > 0 else store.initial_energy_kwh
        moved = store.charge_efficiency * model.charged[t]
        moved -= model.discharged[t] / store.discharge_efficiency
        model.rules.add(model.stored[t] == before + float(hours[t]) * moved)
        model.rules.add(model.stored[t] <= store.energy_max_kwh)
        model.rules.add(model.charged[t] <= store.charge_max_kw * model.charging[t])
        model.rules.add(model.discharged[t] <= store.discharge_max_kw * (1 - model.charging[t]))
    model.rules.add(model.stored[model.t.last()] >= store.end_energy_min_kwh)


def _plan(problem: PurchaseProblem, model: pyo.ConcreteModel) -> PurchasePlan:
    steps = problem.horizon.count

    def column(variable: pyo.Var) -> FloatArray:
        # A variable that no rule needs has no value.
        return np.array([value or 0.0 for value in variable.get_values().values()])

    bought, sold = column(model.bought), column(model.sold)
    both = np.minimum(bought, sold)
    blocks = column(model.block).reshape(-1, steps)
    edges = np.cumsum([0, *(len(plant.blocks) for plant in problem.plants)])
    return PurchasePlan(
        power_kw=column(model.power).reshape(-1, steps),
        block_kw=tuple(blocks[a:b] for a, b in pairwise(edges)),
        spot_buy_kw=bought - both,
        spot_sell_kw=sold - both,
        charge_kw=column(model.charged),
        discharge_kw=column(model.discharged),
        energy_kwh=column(model.stored),
    )


def _lines(schedule: PriceSchedule) -> list[tuple[float, float]]:
    """The tangents (a, b) of a schedule, whose cost is the highest a E + b H P."""
    return [(float(a), float(b)) for a, b in zip(*schedule.supports(1.0), strict=True)]


def _limit(value: float) -> float | None:
    return None if value == inf else float(value)


def _solved(
    model: pyo.ConcreteModel, time_limit_s: float, relative_gap: float, seed: int
) -> tuple[Results, bool]:
    results = Highs().solve(
        model,
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
        threads=1,
        time_limit=time_limit_s if time_limit_s < inf else None,
        rel_gap=relative_gap,
        abs_gap=relative_gap,
        solver_options={"random_seed": seed, "mip_feasibility_tolerance": 1e-9},
    )
    found = results.solution_status in {SolutionStatus.feasible, SolutionStatus.optimal}
    if found:
        results.solution_loader.load_vars()
    return results, found


def _termination(results: Results, found: bool, *, sign: float) -> Termination:
    """The end of a run whose objective is counted with a sign: -1 for what is earned."""
    short = Reason.FEASIBLE if found else Reason.NO_SOLUTION_FOUND
    reason = _REASONS.get(results.termination_condition, short)
    objective = results.incumbent_objective if found else inf
    bound = inf if reason is Reason.INFEASIBLE else results.objective_bound
    bound = objective if bound is None and reason is Reason.OPTIMAL else bound
    return Termination(
        reason=reason,
        objective=sign * objective,
        bound=sign * (min(bound, objective) if bound is not None else -inf),
        detail="" if reason is not short else f"stopped by {results.termination_condition.name}",
    )
