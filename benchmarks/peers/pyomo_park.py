# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false
# Pyomo's components get their types when they are built.
"""A park of cars in Pyomo with HiGHS through APPSI, as one would write it for this park.

A linear programme, for cars that only charge, with variables in the intervals of stays alone.
"""

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.appsi.base import TerminationCondition

from benchmarks.peers.peer import IMPOSSIBLE, Answer
from benchmarks.peers.pyomo_model import solver
from loadloom.models.dispatch.devices.vehicle import VehiclePlan
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import Exchange, Schedule


def build(park: Problem) -> pyo.ConcreteModel:
    """The linear programme of a park."""
    cars, meter, hours = park.vehicles, park.meter, float(park.horizon.step_h[0])
    load, roof = park.loads[0].power_kw, park.photovoltaics[0].power_kw
    stays = [range(car.sessions[0].arrival, car.sessions[0].departure) for car in cars]
    m = pyo.ConcreteModel()
    m.t = pyo.RangeSet(0, park.horizon.count - 1)
    m.i = pyo.RangeSet(0, len(cars) - 1)
    m.stay = pyo.Set(initialize=[(i, t) for i, stay in enumerate(stays) for t in stay], dimen=2)
    m.charge = pyo.Var(m.stay, bounds=lambda _, i, t: (0, cars[i].charge_limit_kw[t]))
    m.energy = pyo.Var(m.stay, bounds=lambda _, i, _t: (0, cars[i].capacity_kwh))
    m.missed = pyo.Var(m.i, bounds=lambda _, i: (0, cars[i].sessions[0].wanted_kwh))
    m.bought = pyo.Var(m.t, bounds=lambda _, t: (0, meter.import_limit_kw[t]))
    m.sold = pyo.Var(m.t, bounds=lambda _, t: (0, meter.export_limit_kw[t]))
    m.curtailed = pyo.Var(m.t, bounds=lambda _, t: (0, roof[t]))
    here = [[i for i, stay in enumerate(stays) if t in stay] for t in m.t]

    @m.Constraint(m.stay)
    def store(m: pyo.ConcreteModel, i: int, t: int) -> object:
        first = t == stays[i].start
        before = cars[i].initial_energy_kwh if first else m.energy[i, t - 1]
        return m.energy[i, t] == before + hours * cars[i].charge_efficiency * m.charge[i, t]

    @m.Constraint(m.i)
    def wanted(m: pyo.ConcreteModel, i: int) -> object:
        return m.energy[i, stays[i].stop - 1] + m.missed[i] >= cars[i].sessions[0].wanted_kwh

    @m.Constraint(m.t)
    def balance(m: pyo.ConcreteModel, t: int) -> object:
        drawn = pyo.quicksum(m.charge[i, t] for i in here[t])
        return m.bought[t] - m.sold[t] == load[t] - roof[t] + m.curtailed[t] + drawn

    m.cost = pyo.Objective(
        expr=pyo.quicksum(
            hours * (meter.buy_price_per_kwh[t] * m.bought[t])
            - hours * (meter.sell_price_per_kwh[t] * m.sold[t])
            for t in m.t
        )
        + pyo.quicksum(cars[i].sessions[0].breach_price_per_kwh * m.missed[i] for i in m.i)
    )
    return m


def solve(park: Problem) -> Answer:
    """The plan of a park, its model built anew."""
    model, highs = build(park), solver()
    results = highs.solve(model)
    if results.termination_condition != TerminationCondition.optimal:
        return IMPOSSIBLE
    results.solution_loader.load_vars()
    count = park.horizon.count
    charge, energy = np.zeros((2, len(park.vehicles), count))
    for (i, t), value in model.charge.extract_values().items():
        charge[i, t] = value
    for (i, t), value in model.energy.extract_values().items():
        energy[i, t:] = value
    columns = [
        np.fromiter(each.extract_values().values(), np.float64, count)
        for each in (model.bought, model.sold, model.curtailed)
    ]
    missed = model.missed.extract_values()
    plans = {
        "vehicles": tuple(
            VehiclePlan(
                charge_kw=charge[i],
                discharge_kw=np.zeros(count),
                energy_kwh=energy[i],
                missed_kwh=np.array([missed[i]]),
                public_kwh=np.zeros(1),
            )
            for i in range(len(park.vehicles))
        )
    }
    empty = ("storages", "buses", "rooms", "swappings", "appliances", "units")
    exchange = Exchange(
        import_kw=columns[0], export_kw=columns[1], curtailed_kw=columns[2][None, :]
    )
    schedule = Schedule.of(count, plans | dict.fromkeys(empty, ()), (exchange,))
    return Answer(schedule=schedule, claimed_cost=results.best_feasible_objective)
