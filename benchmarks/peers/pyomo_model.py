# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false
# Pyomo's components get their types when they are built.
"""Pyomo with HiGHS through APPSI: built for each solve, or held and given new prices.

The held one follows APPSI's documentation: prices are mutable parameters, and the solver is told
that nothing else changes, so that it neither searches the model for changes nor rebuilds it.
"""

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.appsi.base import TerminationCondition
from pyomo.contrib.appsi.solvers import Highs

from benchmarks.peers.peer import (
    IMPOSSIBLE,
    Answer,
    Answerer,
    Peer,
    Site,
    fresh,
    schedule_of,
    site_of,
)
from loadloom.models.dispatch.problem import Problem
from loadloom.models.horizon import FloatArray


def build(site: Site, *, mutable_prices: bool = False) -> pyo.ConcreteModel:
    """The linear programme of a site; with mutable prices, in parameters `buy` and `sell`."""
    battery, hours = site.battery, site.step_h
    low, high = site.energy_min_kwh, site.energy_max_kwh
    curtailable_kw = site.pv_kw * site.curtailable
    m = pyo.ConcreteModel()
    m.t = pyo.RangeSet(0, site.count - 1)
    m.charge = pyo.Var(m.t, bounds=lambda _, t: (0, battery.charge_limit_kw[t]))
    m.discharge = pyo.Var(m.t, bounds=lambda _, t: (0, battery.discharge_limit_kw[t]))
    m.bought = pyo.Var(m.t, bounds=lambda _, t: (0, site.import_limit_kw[t]))
    m.sold = pyo.Var(m.t, bounds=lambda _, t: (0, site.export_limit_kw[t]))
    m.curtailed = pyo.Var(m.t, bounds=lambda _, t: (0, curtailable_kw[t]))
    m.energy = pyo.Var(m.t, bounds=lambda _, t: (low[t], high[t]))
    buy, sell = site.buy_per_kwh, site.sell_per_kwh
    if mutable_prices:
        buy = m.buy = pyo.Param(m.t, mutable=True, initialize=dict(enumerate(buy)))
        sell = m.sell = pyo.Param(m.t, mutable=True, initialize=dict(enumerate(sell)))

    @m.Constraint(m.t)
    def store(m: pyo.ConcreteModel, t: int) -> object:
        before = m.energy[t - 1] if t else battery.initial_energy_kwh
        gained = battery.charge_efficiency * m.charge[t]
        taken = m.discharge[t] / battery.discharge_efficiency
        return m.energy[t] == site.keep * before + hours * (gained - taken)

    @m.Constraint(m.t)
    def meter(m: pyo.ConcreteModel, t: int) -> object:
        load = site.load_kw[t] - site.pv_kw[t] + m.curtailed[t]
        return m.bought[t] - m.sold[t] == load + m.charge[t] - m.discharge[t]

    m.cost = pyo.Objective(
        expr=hours
        * pyo.quicksum(
            buy[t] * m.bought[t]
            - sell[t] * m.sold[t]
            + site.charge_wear * m.charge[t]
            + site.discharge_wear * m.discharge[t]
            for t in m.t
        )
    )
    return m


def solver() -> Highs:
    """HiGHS behind APPSI on one thread, which reports failure rather than raise."""
    highs = Highs()
    highs.config.load_solution = False
    highs.highs_options = {"threads": 1}
    return highs


def answer(model: pyo.ConcreteModel, highs: Highs) -> Answer:
    """The schedule that a solver finds for a model."""
    results = highs.solve(model)
    if results.termination_condition != TerminationCondition.optimal:
        return IMPOSSIBLE
    results.solution_loader.load_vars()
    schedule = schedule_of(
        charge_kw=_column(model.charge),
        discharge_kw=_column(model.discharge),
        energy_kwh=_column(model.energy),
        curtailed_kw=_column(model.curtailed),
        import_kw=_column(model.bought),
        export_kw=_column(model.sold),
    )
    return Answer(schedule=schedule, claimed_cost=results.best_feasible_objective)


def _column(variable: pyo.Var) -> FloatArray:
    return np.fromiter(variable.extract_values().values(), np.float64, len(variable))


def solve(problem: Problem) -> Answer:
    """The schedule of a problem, its model built anew."""
    return answer(build(site_of(problem)), solver())


def _prepare_held(problem: Problem) -> Answerer:
    """A model in a persistent solver, solved once; later solves change its prices only."""
    model, highs = build(site_of(problem), mutable_prices=True), solver()
    answer(model, highs)
    for check in (
        "check_for_new_or_removed_constraints",
        "check_for_new_or_removed_vars",
        "check_for_new_or_removed_params",
        "check_for_new_objective",
        "update_constraints",
        "update_vars",
        "update_named_expressions",
        "update_objective",
    ):
        setattr(highs.update_config, check, False)

    def solve(other: Problem) -> Answer:
        model.buy.store_values(dict(enumerate(other.meter.buy_price_per_kwh)))
        model.sell.store_values(dict(enumerate(other.meter.sell_price_per_kwh)))
        return answer(model, highs)

    return solve


PLAIN = fresh("Pyomo + HiGHS", solve)
HELD = Peer(name="Pyomo + HiGHS, held", prepare=_prepare_held)
