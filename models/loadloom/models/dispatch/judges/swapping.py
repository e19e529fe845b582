"""The referee of a swapping station, and the one that charges the head of the queue first."""

import numpy as np

from loadloom.models.dispatch.devices.swapping import SwappingPlan, SwappingStation
from loadloom.models.dispatch.sheet import Sheet
from loadloom.models.horizon import FloatArray, Horizon


def judge(sheet: Sheet, path: str, station: SwappingStation, plan: SwappingPlan) -> None:
    """Charges what a plan costs and notes every rule of the station that it breaks."""
    hours, full = sheet.hours, station.capacity_kwh
    charged = plan.charge_kw * hours
    for place in range(station.battery_count):
        where = f"{path}.charge_kw[{place}]"
        sheet.within(where, charged[place], 0.0, station.slot_limit_kw * hours)
    together = charged.sum(axis=0)
    sheet.within(
        f"{path}.charge_kw", together, 0.0, station.slot_count * station.slot_limit_kw * hours
    )
    gained = np.cumsum(np.pad(station.efficiency * charged, ((0, 0), (1, 0))), axis=1)
    # What each place would hold at each boundary, had nothing been handed over up to it.
    held = station.queue_kwh[:, None] + gained
    told = np.column_stack((station.queue_kwh, plan.energy_kwh))
    for j, (place, boundary, returned) in enumerate(station.swaps()):
        served = plan.missed[j] < 0.5
        if served:
            ready = held[place, boundary : boundary + 1]
            sheet.within(f"{path}.swaps[{j}]", ready, full, np.inf)
            held[place, boundary + 1 :] -= full - returned
            # A later swap at the same boundary finds what came back.
            held[place, boundary] -= full - returned
    _judge_energies(sheet, path, station, plan, (told, held))
    missed = plan.missed
    whole = np.all((missed == 0.0) | (missed == 1.0)) and missed.shape == (len(station.swaps()),)
    if not whole:
        sheet.broken(f"{path}.missed", "must be 0 or 1 for each swap")
    if np.isfinite(station.missed_price):
        sheet.breach(f"{path}.bookings", missed, station.missed_price, unit="swaps")
    else:
        sheet.within(f"{path}.bookings", missed, 0.0, 0.0)
    sheet.charge("end value", -station.end_value_per_kwh * float(held[:, -1].sum()))
    sheet.draws(station.name, plan.charge_kw.sum(axis=0))


def _judge_energies(
    sheet: Sheet,
    path: str,
    station: SwappingStation,
    plan: SwappingPlan,
    energies: tuple[FloatArray, FloatArray],
) -> None:
    """Holds what a plan tells, before swaps, to what is there after them."""
    told, after = energies
    before = after.copy()
    for j, (place, boundary, returned) in enumerate(station.swaps()):
        if plan.missed[j] < 0.5:
            before[place, boundary] += station.capacity_kwh - returned
    for place in range(station.battery_count):
        where = f"{path}.energy_kwh[{place}]"
        sheet.equal(where, told[place, 1:], before[place, 1:], np.abs(before[place, 1:]))
        sheet.within(where, told[place, 1:], 0.0, station.capacity_kwh)
        sheet.within(where, after[place], 0.0, station.capacity_kwh)


def idle(horizon: Horizon, station: SwappingStation, needs: dict[str, FloatArray]) -> SwappingPlan:  # noqa: ARG001 -- the form of all baselines
    """The plan that charges the batteries that leave next at full power until they are full."""
    count, hours, full = horizon.count, horizon.step_h, station.capacity_kwh
    swaps, batteries = station.swaps(), station.battery_count
    charge, energy = np.zeros((batteries, count)), np.zeros((batteries, count))
    held, missed, head, done = station.queue_kwh.copy(), np.zeros(len(swaps)), 0, 0
    for t in range(count + 1):
        while done < len(swaps) and swaps[done][1] == t:
            place, _, returned = swaps[done]
            missed[done] = float(held[place] < full * (1.0 - 1e-9))
            held[place] = held[place] if missed[done] else returned
            done, head = done + 1, (place + 1) % batteries
        if t == count:
            break
        left = station.slot_count * station.slot_limit_kw
        for place in np.roll(np.arange(batteries), -head):
            room = (full - held[place]) / (station.efficiency * hours[t])
            power = min(station.slot_limit_kw, left, max(0.0, room))
            charge[place, t], left = power, left - power
            held[place] += station.efficiency * power * hours[t]
        energy[:, t] = held
    return SwappingPlan(charge_kw=charge, energy_kwh=energy, missed=missed)
