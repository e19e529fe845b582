# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""A vehicle in the reference model."""

from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo

from loadloom.models.dispatch.devices.vehicle import Vehicle, VehiclePlan
from loadloom.models.dispatch.textbook.book import Book, column


def add(book: Book, vehicle: Vehicle) -> Callable[[], VehiclePlan]:
    """Adds a vehicle; gives the reader of its plan."""
    block, hours = book.block(vehicle.name), book.hours
    here = vehicle.plugged(book.horizon)
    room = vehicle.capacity_kwh - vehicle.energy_min_kwh
    into, out = vehicle.charge_efficiency, vehicle.discharge_efficiency
    most_in = np.minimum(vehicle.charge_limit_kw * hours, room / into) * here
    most_out = np.minimum(vehicle.discharge_limit_kw * hours, room * out) * here
    least = vehicle.charge_least_kw * hours
    sessions = vehicle.sessions
    block.k = pyo.RangeSet(0, len(sessions) - 1)
    block.charge = pyo.Var(book.t, bounds=lambda _, t: (0.0, most_in[t]))
    block.discharge = pyo.Var(book.t, bounds=lambda _, t: (0.0, most_out[t]))
    block.charging = pyo.Var(book.t, domain=pyo.Binary)
    block.energy = pyo.Var(book.t, bounds=(vehicle.energy_min_kwh, vehicle.capacity_kwh))
    block.missed = pyo.Var(block.k, bounds=lambda _, k: (0.0, sessions[k].wanted_kwh))
    block.public = pyo.Var(block.k, bounds=lambda _, k: (0.0, sessions[k].consumption_kwh))
    arrivals = {session.arrival - 1: k for k, session in enumerate(sessions) if k}

    def energy_balance(b: pyo.Block, t: int) -> object:
        before = b.energy[t - 1] if t > 0 else vehicle.initial_energy_kwh
        moved = into * b.charge[t] - b.discharge[t] / out
        if t in arrivals:
            k = arrivals[t]
            return b.energy[t] == before + moved - sessions[k].consumption_kwh + b.public[k]
        return b.energy[t] == before + moved

    block.energy_balance = pyo.Constraint(book.t, rule=energy_balance)
    block.charge_limit = pyo.Constraint(
        book.t, rule=lambda b, t: b.charge[t] <= most_in[t] * b.charging[t]
    )
    block.charge_least = pyo.Constraint(
        book.t, rule=lambda b, t: b.charge[t] >= least[t] * b.charging[t]
    )
    block.discharge_limit = pyo.Constraint(
        book.t, rule=lambda b, t: b.discharge[t] <= most_out[t] * (1 - b.charging[t])
    )
    block.wanted = pyo.Constraint(
        block.k,
        rule=lambda b, k: (
            b.energy[sessions[k].departure - 1] >= sessions[k].wanted_kwh - b.missed[k]
        ),
    )
    _add_prices(book, block, vehicle)
    book.draws(vehicle.name, lambda t: block.charge[t] - block.discharge[t])

    def read() -> VehiclePlan:
        energy = column(block.energy)
        return VehiclePlan(
            charge_kw=column(block.charge) / hours,
            discharge_kw=column(block.discharge) / hours,
            energy_kwh=energy,
            missed_kwh=np.array(
                [max(0.0, each.wanted_kwh - energy[each.departure - 1]) for each in sessions]
            ),
            public_kwh=column(block.public),
        )

    return read


def _add_prices(book: Book, block: pyo.Block, vehicle: Vehicle) -> None:
    """Wear, what is missed and what is charged on the road, less the value of what is left."""
    stored = sum(vehicle.charge_efficiency * block.charge[t] for t in book.t)
    taken = sum(block.discharge[t] / vehicle.discharge_efficiency for t in book.t)
    book.costs(vehicle.wear_cost_per_kwh * (stored + taken))
    book.costs(-vehicle.end_value_per_kwh * block.energy[book.t.last()])
    for k, session in enumerate(vehicle.sessions):
        for variable, price in (
            (block.missed[k], session.breach_price_per_kwh),
            (block.public[k], vehicle.public_price_per_kwh),
        ):
            if np.isinf(price):
                variable.fix(0.0)
            else:
                book.costs(price * variable)
