# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""The formulation in the textbook's words, for readers and as the oracle of every faster road.

The names of variables, rules and indices are those of `problem`; a pair that never runs together
has a binary in every interval. Energies are in kWh. Pyomo redirects the process's standard output
while it solves, so a process takes one of these at a time.
"""

from math import inf

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.solver.common.results import Results, SolutionStatus, TerminationCondition
from pyomo.contrib.solver.solvers.highs import Highs

from loadloom.models.certificate import Proof
from loadloom.models.dispatch.flows import Flows, schedule
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import Schedule, Solution
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers.termination import Reason, Termination

_TOLERANCE = 1e-9
_REASONS = {
    TerminationCondition.convergenceCriteriaSatisfied: Reason.OPTIMAL,
    TerminationCondition.provenInfeasible: Reason.INFEASIBLE,
    # Every variable has bounds, so nothing is unbounded.
    TerminationCondition.infeasibleOrUnbounded: Reason.INFEASIBLE,
}


def solve_reference(problem: Problem, options: SolveOptions) -> Solution:
    """The best plan by the reference model."""
    model = _model(problem)
    results = Highs().solve(
        model,
        load_solutions=False,
        raise_exception_on_nonoptimal_result=False,
        threads=1,
        time_limit=options.time_limit_s if options.time_limit_s < inf else None,
        rel_gap=options.relative_gap,
        abs_gap=options.relative_gap,
        solver_options={
            "random_seed": options.seed,
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
            "mip_feasibility_tolerance": _TOLERANCE,
        },
    )
    found = results.solution_status in {SolutionStatus.feasible, SolutionStatus.optimal}
    if found:
        results.solution_loader.load_vars()
    return Solution(
        termination=_termination(results, found),
        method=Method.REFERENCE,
        road="reference model",
        proof=Proof.BRANCH_AND_BOUND if found else Proof.NONE,
        schedule=_schedule(problem, model) if found else None,
    )


def _model(problem: Problem) -> pyo.ConcreteModel:
    """The model of a problem, in the order of its formulation."""
    site = pyo.ConcreteModel()
    site.t = pyo.RangeSet(0, problem.horizon.count - 1)
    site.s = pyo.RangeSet(0, len(problem.storages) - 1)
    _add_meter(site, problem)
    _add_stores(site, problem)
    _add_balances(site, problem)
    _add_exclusions(site)
    _add_cost(site, problem)
    return site


def _add_meter(site: pyo.ConcreteModel, problem: Problem) -> None:
    """0 <= import <= import_limit, 0 <= export <= export_limit, 0 <= curtailed <= curtailable."""
    step_h = problem.horizon.step_h
    import_limit, export_limit = (limit * step_h for limit in problem.grid_limits_kw)
    curtailable = problem.curtailable_kw * step_h
    site.grid_import = pyo.Var(site.t, bounds=lambda _, t: (0.0, import_limit[t]))
    site.grid_export = pyo.Var(site.t, bounds=lambda _, t: (0.0, export_limit[t]))
    site.curtailed = pyo.Var(site.t, bounds=lambda _, t: (0.0, curtailable[t]))


def _add_stores(site: pyo.ConcreteModel, problem: Problem) -> None:
    """0 <= charge <= charge_limit, 0 <= discharge <= discharge_limit, energy_min <= energy <=
    energy_max and every target.
    """  # noqa: D205
    storages, step_h = problem.storages, problem.horizon.step_h
    bounds = [storage.energy_bounds_kwh() for storage in storages]
    # No store takes in or gives out more than it can hold; far limits would blunt the binaries.
    most_in = [
        np.minimum(each.charge_limit_kw * step_h, each.energy_max_kwh / each.charge_efficiency)
        for each in storages
    ]
    most_out = [
        np.minimum(
            each.discharge_limit_kw * step_h,
            each.discharge_efficiency * max(each.initial_energy_kwh, each.energy_max_kwh.max()),
        )
        for each in storages
    ]
    site.charge = pyo.Var(site.s, site.t, bounds=lambda _, s, t: (0.0, most_in[s][t]))
    site.discharge = pyo.Var(site.s, site.t, bounds=lambda _, s, t: (0.0, most_out[s][t]))
    site.energy = pyo.Var(site.s, site.t)
    site.energy_min = pyo.Constraint(
        site.s, site.t, rule=lambda m, s, t: m.energy[s, t] >= bounds[s][0][t]
    )
    site.energy_max = pyo.Constraint(
        site.s, site.t, rule=lambda m, s, t: m.energy[s, t] <= bounds[s][1][t]
    )


def _add_balances(site: pyo.ConcreteModel, problem: Problem) -> None:
    """The balance of the meter and the energy of every store."""
    storages, net_load = problem.storages, problem.net_load_kw * problem.horizon.step_h
    keep = [storage.keep(problem.horizon) for storage in storages]

    def balance(m: pyo.ConcreteModel, t: int) -> object:
        stored = sum(m.charge[s, t] - m.discharge[s, t] for s in m.s)
        return m.grid_import[t] - m.grid_export[t] == net_load[t] + m.curtailed[t] + stored

    def energy_balance(m: pyo.ConcreteModel, s: int, t: int) -> object:
        before = m.energy[s, t - 1] if t > 0 else storages[s].initial_energy_kwh
        taken_in = storages[s].charge_efficiency * m.charge[s, t]
        given_out = m.discharge[s, t] / storages[s].discharge_efficiency
        return m.energy[s, t] == keep[s][t] * before + taken_in - given_out

    site.balance = pyo.Constraint(site.t, rule=balance)
    site.energy_balance = pyo.Constraint(site.s, site.t, rule=energy_balance)


def _add_exclusions(site: pyo.ConcreteModel) -> None:
    """Charge and discharge, import and export, never both in one interval."""
    site.charging = pyo.Var(site.s, site.t, domain=pyo.Binary)
    site.importing = pyo.Var(site.t, domain=pyo.Binary)
    _add_exclusion(site, "charge", "discharge", site.charging)
    _add_exclusion(site, "grid_import", "grid_export", site.importing)


def _add_exclusion(site: pyo.ConcreteModel, one: str, other: str, chosen: pyo.Var) -> None:
    """The rules `<one>_alone` and `<other>_alone`: each only where the binary leaves it room."""
    first, second = getattr(site, one), getattr(site, other)
    where = first.index_set()
    rule = pyo.Constraint(where, rule=lambda _, *i: first[i] <= first[i].ub * chosen[i])
    site.add_component(f"{one}_alone", rule)
    rule = pyo.Constraint(where, rule=lambda _, *i: second[i] <= second[i].ub * (1 - chosen[i]))
    site.add_component(f"{other}_alone", rule)


def _add_cost(site: pyo.ConcreteModel, problem: Problem) -> None:
    """Energy bought less energy sold, wear, less the value of the energy left."""
    meter, storages = problem.meter, problem.storages
    buy, sell = meter.buy_price_per_kwh, meter.sell_price_per_kwh
    bought = sum(buy[t] * site.grid_import[t] for t in site.t)
    sold = sum(sell[t] * site.grid_export[t] for t in site.t)
    wear, end_value = 0.0, 0.0
    for s, storage in enumerate(storages):
        taken_in = sum(storage.charge_efficiency * site.charge[s, t] for t in site.t)
        given_out = sum(site.discharge[s, t] / storage.discharge_efficiency for t in site.t)
        wear += storage.wear_cost_per_kwh * (taken_in + given_out)
        end_value += storage.end_value_per_kwh * site.energy[s, site.t.last()]
    site.cost = pyo.Objective(expr=bought - sold + wear - end_value)


def _termination(results: Results, found: bool) -> Termination:
    short = Reason.FEASIBLE if found else Reason.NO_SOLUTION_FOUND
    reason = _REASONS.get(results.termination_condition, short)
    objective = results.incumbent_objective if found else inf
    bound = inf if reason is Reason.INFEASIBLE else results.objective_bound
    return Termination(
        reason=reason,
        objective=objective,
        bound=min(bound, objective) if bound is not None else -inf,
        detail="" if reason is not short else f"stopped by {results.termination_condition.name}",
    )


def _schedule(problem: Problem, site: pyo.ConcreteModel) -> Schedule:
    """The values of the variables as a schedule."""
    stores = (len(problem.storages), problem.horizon.count)

    def column(variable: pyo.Var) -> FloatArray:
        # A variable that no rule needs has no value.
        return np.array([value or 0.0 for value in variable.get_values().values()])

    moved = Flows(
        charge=column(site.charge).reshape(stores),
        discharge=column(site.discharge).reshape(stores),
        energy=column(site.energy).reshape(stores),
        drawn=column(site.grid_import),
        export=column(site.grid_export),
        curtailed=column(site.curtailed),
    )
    return schedule(problem, moved)
