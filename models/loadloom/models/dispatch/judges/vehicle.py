"""The referee of a vehicle, and the one that is charged as soon as it is plugged in."""

import numpy as np

from loadloom.models.dispatch.audit import ABSOLUTE_KWH
from loadloom.models.dispatch.devices.vehicle import Vehicle, VehiclePlan
from loadloom.models.dispatch.sheet import Sheet
from loadloom.models.horizon import FloatArray, Horizon


def judge(sheet: Sheet, path: str, vehicle: Vehicle, plan: VehiclePlan) -> None:
    """Charges what a plan costs and notes every rule of the vehicle that it breaks."""
    hours, here = sheet.hours, vehicle.plugged(sheet.horizon)
    charged, given = plan.charge_kw * hours, plan.discharge_kw * hours
    least = np.where(charged > ABSOLUTE_KWH, vehicle.charge_least_kw * hours, 0.0)
    sheet.within(f"{path}.charge_kw", charged, least, vehicle.charge_limit_kw * hours * here)
    sheet.within(f"{path}.discharge_kw", given, 0.0, vehicle.discharge_limit_kw * hours * here)
    sheet.exclusive(f"{path}.charge_kw", f"{path}.discharge_kw", charged, given)
    stored = vehicle.charge_efficiency * charged
    taken = given / vehicle.discharge_efficiency
    before = np.append(vehicle.initial_energy_kwh, plan.energy_kwh[:-1])
    after = before + stored - taken + _trips(vehicle, plan)
    sheet.equal(
        f"{path}.energy_kwh", plan.energy_kwh, after, np.abs(plan.energy_kwh) + charged + given
    )
    sheet.within(
        f"{path}.energy_kwh", plan.energy_kwh, vehicle.energy_min_kwh, vehicle.capacity_kwh
    )
    sheet.charge("wear", vehicle.wear_cost_per_kwh * float((stored + taken).sum()))
    sheet.charge("end value", -vehicle.end_value_per_kwh * float(plan.energy_kwh[-1]))
    _judge_sessions(sheet, path, vehicle, plan)
    sheet.draws(vehicle.name, plan.charge_kw - plan.discharge_kw)


def _trips(vehicle: Vehicle, plan: VehiclePlan) -> FloatArray:
    """What trips take and charge on the road, at the ends of the intervals in which they end."""
    change = np.zeros(plan.energy_kwh.size)
    for k, session in enumerate(vehicle.sessions):
        if k:
            change[session.arrival - 1] += plan.public_kwh[k] - session.consumption_kwh
    return change


def _judge_sessions(sheet: Sheet, path: str, vehicle: Vehicle, plan: VehiclePlan) -> None:
    price = vehicle.public_price_per_kwh
    for k, session in enumerate(vehicle.sessions):
        where = f"{path}.sessions[{k}]"
        public = plan.public_kwh[k : k + 1]
        most = session.consumption_kwh if np.isfinite(price) else 0.0
        sheet.within(f"{where}.public_kwh", public, 0.0, most)
        if np.isfinite(price):
            sheet.charge("public charging", price * float(public[0]))
        missed = plan.missed_kwh[k : k + 1]
        short = session.wanted_kwh - plan.energy_kwh[session.departure - 1 : session.departure]
        sheet.within(f"{where}.missed_kwh", missed, np.maximum(short, 0.0), np.inf)
        if np.isfinite(session.breach_price_per_kwh):
            sheet.breach(f"{where}.wanted_kwh", missed, session.breach_price_per_kwh)
        else:
            sheet.within(f"{where}.wanted_kwh", missed, 0.0, 0.0)


def idle(horizon: Horizon, vehicle: Vehicle, needs: dict[str, FloatArray]) -> VehiclePlan:  # noqa: ARG001 -- the form of all baselines
    """The plan that charges as fast as it can until what is wanted and driven next is there."""
    count, hours, into = horizon.count, horizon.step_h, vehicle.charge_efficiency
    charge, energy = np.zeros(count), np.full(count, float(vehicle.initial_energy_kwh))
    sessions = len(vehicle.sessions)
    public, missed = np.zeros(sessions), np.zeros(sessions)
    held = vehicle.initial_energy_kwh
    for k, session in enumerate(vehicle.sessions):
        if k:
            needed = vehicle.energy_min_kwh + session.consumption_kwh - held
            public[k] = min(max(0.0, needed), session.consumption_kwh)
            held += public[k] - session.consumption_kwh
            energy[session.arrival - 1] = held
        later = vehicle.sessions[k + 1].consumption_kwh if k + 1 < sessions else 0.0
        goal = min(max(session.wanted_kwh, vehicle.energy_min_kwh + later), vehicle.capacity_kwh)
        for t in range(session.arrival, session.departure):
            power = min(vehicle.charge_limit_kw[t], max(0.0, goal - held) / (into * hours[t]))
            if 0.0 < power < vehicle.charge_least_kw:
                room = (vehicle.capacity_kwh - held) / (into * hours[t])
                most = min(vehicle.charge_limit_kw[t], room)
                power = vehicle.charge_least_kw if vehicle.charge_least_kw <= most else 0.0
            charge[t] = power
            held += into * power * hours[t]
            energy[t] = held
        energy[session.departure :] = held
        missed[k] = max(0.0, session.wanted_kwh - held)
    return VehiclePlan(
        charge_kw=charge,
        discharge_kw=np.zeros(count),
        energy_kwh=energy,
        missed_kwh=missed,
        public_kwh=public,
    )
