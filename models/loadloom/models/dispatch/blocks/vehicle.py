"""A vehicle in the general programme, with columns only where it is plugged in.

Each interval at the charger has a row for what the battery holds at its end; the trip before a
session is in the row of its first interval, and a row of its own says that the trip can be made. A
battery that is only charged holds most when it leaves, so that one row a session does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadloom.models.dispatch.devices.vehicle import Vehicle, VehiclePlan
from loadloom.models.dispatch.programme import IntArray, Programme, Rule
from loadloom.models.horizon import FloatArray, Horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The columns by interval plugged in, missed and public by session; no discharge, no column.

    `told` are the intervals plugged in at whose ends there is an energy, as places in `here`.
    """

    here: IntArray
    told: IntArray
    charge: IntArray
    discharge: IntArray
    energy: IntArray
    missed: IntArray
    public: IntArray


def add(programme: Programme, path: str, vehicle: Vehicle) -> Callable[[FloatArray], VehiclePlan]:
    """Adds a vehicle; gives the reader of its plan."""
    here = np.flatnonzero(vehicle.plugged(programme.horizon))
    if here.size == 0:
        programme.constant(-vehicle.end_value_per_kwh * vehicle.initial_energy_kwh)
    charge, discharge = _add_powers(programme, path, vehicle, here)
    missed, public = _add_prices(programme, vehicle)
    told = np.arange(here.size)
    if not discharge.size:
        lasts = [session.departure - 1 for session in vehicle.sessions]
        told = np.searchsorted(here, lasts)
    columns = _Columns(
        here=here,
        told=told,
        charge=charge,
        discharge=discharge,
        energy=_add_energies(programme, path, vehicle, here[told]),
        missed=missed,
        public=public,
    )
    _add_balance(programme, path, vehicle, columns)
    _add_sessions(programme, path, vehicle, columns)

    def read(primal: FloatArray) -> VehiclePlan:
        return _plan(programme.horizon, vehicle, columns, primal)

    return read


def _add_powers(
    programme: Programme, path: str, vehicle: Vehicle, here: IntArray
) -> tuple[IntArray, IntArray]:
    """The columns of what is charged and discharged at the charger, in kWh."""
    hours, room = programme.hours[here], vehicle.capacity_kwh - vehicle.energy_min_kwh
    into, out = vehicle.charge_efficiency, vehicle.discharge_efficiency
    most = np.minimum(vehicle.charge_limit_kw[here] * hours, room / into)
    limit = Rule(
        path=f"{path}.charge_limit_kw",
        says=f"'{vehicle.name}' may charge with at most {{limit}}",
        scale=hours,
        shift=vehicle.charge_limit_kw[here] if vehicle.charge_least_kw > 0.0 else 0.0,
    )
    stepless = vehicle.charge_least_kw <= 0.0
    charge = programme.columns(
        here.size,
        0.0,
        vehicle.charge_limit_kw[here] * hours if stepless else room / into,
        vehicle.wear_cost_per_kwh * into,
        at_most=limit if stepless else None,
        intervals=here,
        cut=most,
    )
    programme.draws(vehicle.name, charge, intervals=here)
    discharge = np.empty(0, np.int64)
    if vehicle.discharge_limit_kw[here].any():
        discharge = _add_discharge(programme, path, vehicle, here, room * out)
    high = np.minimum(vehicle.discharge_limit_kw[here] * hours, room * out)
    if not stepless:
        least_kwh = vehicle.charge_least_kw * hours
        on = programme.columns(here.size, 0.0, 1.0, integer=True, intervals=here)
        rows = programme.rows(here.size, -np.inf, 0.0, at_most=limit, intervals=here)
        programme.entries(rows, charge, 1.0)
        programme.entries(rows, on, -most)
        rows = programme.rows(here.size, 0.0, np.inf)
        programme.entries(rows, charge, 1.0)
        programme.entries(rows, on, -least_kwh)
        if discharge.size:
            rows = programme.rows(here.size, -np.inf, high)
            programme.entries(rows, discharge, 1.0)
            programme.entries(rows, on, high)
    elif discharge.size and into * out < 1.0:
        programme.pair(
            charge, discharge, intervals=here, most_one=most, most_other=high, rate=into * out
        )
    return charge, discharge


def _add_discharge(
    programme: Programme, path: str, vehicle: Vehicle, here: IntArray, most: float
) -> IntArray:
    hours = programme.hours[here]
    discharge = programme.columns(
        here.size,
        0.0,
        vehicle.discharge_limit_kw[here] * hours,
        vehicle.wear_cost_per_kwh / vehicle.discharge_efficiency,
        at_most=Rule(
            path=f"{path}.discharge_limit_kw",
            says=f"'{vehicle.name}' may discharge with at most {{limit}}",
            scale=hours,
        ),
        intervals=here,
        cut=most,
    )
    programme.draws(vehicle.name, discharge, -1.0, intervals=here)
    return discharge


def _add_energies(programme: Programme, path: str, vehicle: Vehicle, here: IntArray) -> IntArray:
    """The columns of what the battery holds at the end of each interval at the charger."""
    value = np.zeros(here.size)
    value[-1:] = -vehicle.end_value_per_kwh
    least = Rule(
        path=f"{path}.energy_min_kwh",
        says=f"'{vehicle.name}' must hold at least {{limit}}",
        unit="kWh",
        at_end=True,
    )
    return programme.columns(
        here.size,
        vehicle.energy_min_kwh,
        vehicle.capacity_kwh,
        value,
        at_least=least if vehicle.energy_min_kwh > 0.0 else None,
        intervals=here,
    )


def _add_prices(programme: Programme, vehicle: Vehicle) -> tuple[IntArray, IntArray]:
    """The columns of what is missed by session, and of what the trip before it buys."""
    sessions, public_price = vehicle.sessions, vehicle.public_price_per_kwh
    price = np.array([session.breach_price_per_kwh for session in sessions])
    wanted = np.array([session.wanted_kwh for session in sessions])
    driven = np.array([session.consumption_kwh for session in sessions])
    soft = np.isfinite(price)
    missed = programme.columns(
        len(sessions), 0.0, np.where(soft, wanted, 0.0), np.where(soft, price, 0.0)
    )
    bought = np.isfinite(public_price)
    public = programme.columns(
        len(sessions), 0.0, driven if bought else 0.0, public_price if bought else 0.0
    )
    return missed, public


def _add_balance(programme: Programme, path: str, vehicle: Vehicle, columns: _Columns) -> None:
    """What the battery holds, from one interval at the charger to the next."""
    here, told = columns.here, columns.told
    if here.size == 0:
        return
    firsts = np.searchsorted(here, [session.arrival for session in vehicle.sessions])
    first_rows = np.searchsorted(told, firsts)
    change = np.zeros(told.size)
    change[first_rows] = [-session.consumption_kwh for session in vehicle.sessions]
    change[0] += vehicle.initial_energy_kwh
    rows = programme.rows(told.size, change, change)
    programme.entries(rows, columns.energy, 1.0)
    programme.entries(rows[1:], columns.energy[:-1], -1.0)
    of = rows[np.searchsorted(told, np.arange(here.size))]
    programme.entries(of, columns.charge, -vehicle.charge_efficiency)
    if columns.discharge.size:
        programme.entries(of, columns.discharge, 1.0 / vehicle.discharge_efficiency)
    programme.entries(rows[first_rows], columns.public, -1.0)
    # While it is away a kWh is worth what it is worth in the next interval at the charger.
    until_last = np.arange(here[-1] + 1)
    programme.worth(path, of[np.searchsorted(here, until_last)], intervals=until_last)


def _add_sessions(programme: Programme, path: str, vehicle: Vehicle, columns: _Columns) -> None:
    """What each session must leave with, and what the trip before it needs."""
    before = None
    for k, session in enumerate(vehicle.sessions):
        place = np.searchsorted(columns.here, session.departure - 1)
        last = columns.energy[np.searchsorted(columns.told, place)]
        if before is not None and session.consumption_kwh > 0.0:
            trip = Rule(
                path=f"{path}.sessions[{k}].consumption_kwh",
                says=f"'{vehicle.name}' must hold at least {{limit}} for its next trip",
                unit="kWh",
                at_end=True,
            )
            left, at = before
            needed = vehicle.energy_min_kwh + session.consumption_kwh
            row = programme.rows(1, needed, np.inf, at_least=trip, intervals=at)
            programme.entries(row, left, 1.0)
            programme.entries(row, columns.public[k], 1.0)
        at = np.array([session.departure - 1])
        if session.wanted_kwh > vehicle.energy_min_kwh:
            wanted = Rule(
                path=f"{path}.sessions[{k}].wanted_kwh",
                says=f"'{vehicle.name}' must leave with at least {{limit}}",
                unit="kWh",
                at_end=True,
            )
            hard = np.isinf(session.breach_price_per_kwh)
            row = programme.rows(
                1, session.wanted_kwh, np.inf, at_least=wanted if hard else None, intervals=at
            )
            programme.entries(row, last, 1.0)
            programme.entries(row, columns.missed[k], 1.0)
        before = last, at


def _plan(horizon: Horizon, vehicle: Vehicle, columns: _Columns, primal: FloatArray) -> VehiclePlan:
    hours, here = horizon.step_h[columns.here], columns.here
    charge, discharge = np.zeros(horizon.count), np.zeros(horizon.count)
    charge[here] = np.maximum(primal[columns.charge], 0.0) / hours
    if columns.discharge.size:
        discharge[here] = np.maximum(primal[columns.discharge], 0.0) / hours
    if vehicle.charge_efficiency * vehicle.discharge_efficiency == 1.0:
        # Without losses both at once are as good as their difference to the programme.
        both = np.minimum(charge, discharge)
        charge, discharge = charge - both, discharge - both
    public = np.maximum(primal[columns.public], 0.0)
    energy = np.full(horizon.count, float(vehicle.initial_energy_kwh))
    held = primal[columns.energy]
    missed = np.zeros(len(vehicle.sessions))
    for k, session in enumerate(vehicle.sessions):
        if k:
            energy[session.arrival - 1] += public[k] - session.consumption_kwh
        stay = np.arange(session.arrival, session.departure)
        if columns.discharge.size:
            energy[stay] = held[np.searchsorted(here, stay)]
        else:
            arrived = energy[session.arrival - 1] if k else vehicle.initial_energy_kwh
            taken = vehicle.charge_efficiency * charge[stay] * horizon.step_h[stay]
            energy[stay] = np.minimum(arrived + np.cumsum(taken), vehicle.capacity_kwh)
        energy[session.departure :] = energy[session.departure - 1]
        missed[k] = max(0.0, session.wanted_kwh - energy[session.departure - 1])
    return VehiclePlan(
        charge_kw=charge,
        discharge_kw=discharge,
        energy_kwh=energy,
        missed_kwh=missed,
        public_kwh=public,
    )
