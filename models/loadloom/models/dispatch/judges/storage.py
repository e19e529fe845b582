"""The referee's rules for a store."""

import numpy as np

from loadloom.models.dispatch.devices.storage import Storage, StoragePlan
from loadloom.models.dispatch.sheet import Sheet
from loadloom.models.horizon import FloatArray, Horizon

IDLE_KWH = 1e-6
"""Energy moved in an interval up to this is none."""


def idle(horizon: Horizon, storage: Storage, _: dict[str, FloatArray]) -> StoragePlan:
    """The baseline: the store does not move."""
    still = np.zeros(horizon.count)
    energy = np.cumprod(storage.keep(horizon)).astype(np.float64) * storage.initial_energy_kwh
    return StoragePlan(charge_kw=still, discharge_kw=still, energy_kwh=energy)


def judge(sheet: Sheet, path: str, storage: Storage, plan: StoragePlan) -> None:
    """Writes what a store's plan costs and which rules it breaks."""
    hours, energy = sheet.hours, plan.energy_kwh
    charged, taken = plan.charge_kw * hours, plan.discharge_kw * hours
    into, outof = storage.charge_efficiency, storage.discharge_efficiency
    before = np.concatenate(([storage.initial_energy_kwh], energy[:-1]))
    after = storage.keep(sheet.horizon) * before + into * charged - taken / outof
    sheet.equal(f"{path}.energy_kwh", energy, after, abs(energy) + charged + taken)
    _energies(sheet, path, storage, energy)
    sheet.within(f"{path}.charge_kw", charged, 0.0, storage.charge_limit_kw * hours)
    sheet.within(f"{path}.discharge_kw", taken, 0.0, storage.discharge_limit_kw * hours)
    for name, moved, least_kw in (
        ("charge_kw", charged, storage.least_charge_kw),
        ("discharge_kw", taken, storage.least_discharge_kw),
    ):
        if least_kw > 0.0:
            low = np.where(moved > IDLE_KWH, least_kw * hours, 0.0)
            sheet.within(f"{path}.{name}", moved, low, np.inf)
    sheet.exclusive(f"{path}.charge_kw", f"{path}.discharge_kw", charged, taken)
    sheet.draws(storage.name, plan.charge_kw - plan.discharge_kw, storage.bus)
    sheet.charge("wear", storage.wear_cost_per_kwh * float((into * charged + taken / outof).sum()))
    if storage.depth_wear:
        sheet.charge("depth wear", _depth_cost(storage, into * charged, taken / outof))
    sheet.charge("end value", -storage.end_value_per_kwh * float(energy[-1]))
    if sheet.reserve is not None and not storage.bus:
        sheet.spare(_spare(storage, plan, sheet.reserve.reserve_h))


def _energies(sheet: Sheet, path: str, storage: Storage, energy: FloatArray) -> None:
    """The bounds of what is held, and the targets."""
    low, high, price = storage.energy_min_kwh, storage.energy_max_kwh, storage.breach_price_per_kwh
    sides = [(f"{path}.targets[{i}]", each) for i, each in enumerate(storage.targets)]
    if price == np.inf:
        sheet.within(f"{path}.energy_kwh", energy, low, high)
        for name, target in sides:
            at = energy[target.interval : target.interval + 1]
            sheet.within(name, at, target.min_kwh, target.max_kwh)
        return
    sheet.within(f"{path}.energy_kwh", energy, 0.0, storage.capacity_kwh)
    sheet.breach(f"{path}.energy_min_kwh", low - energy, price)
    sheet.breach(f"{path}.energy_max_kwh", energy - high, price)
    for name, target in sides:
        off = np.zeros(energy.size)
        held = energy[target.interval]
        off[target.interval] = max(target.min_kwh - held, held - target.max_kwh, 0.0)
        sheet.breach(name, off, price)


def _depth_cost(storage: Storage, charged: FloatArray, taken: FloatArray) -> float:
    """What the cycles cost by depth: each kWh goes into, or comes out of, the cheapest share."""
    sizes, costs, held = storage.depth_segments()
    paid = 0.0
    for more, less in zip(charged, taken, strict=True):
        for part in range(sizes.size):
            step = min(max(more, 0.0), sizes[part] - held[part])
            held[part] += step
            more -= step
        for part in range(sizes.size):
            step = min(max(less, 0.0), held[part])
            held[part] -= step
            less -= step
            paid += costs[part] * step
    return paid


def _spare(storage: Storage, plan: StoragePlan, reserve_h: float) -> FloatArray:
    """The power that the store could give besides for so long, in kW, whenever in an interval."""
    hard = storage.breach_price_per_kwh == np.inf
    floor = storage.energy_min_kwh if hard else np.zeros(plan.energy_kwh.size)
    room = storage.discharge_limit_kw - plan.discharge_kw + plan.charge_kw
    at_end = plan.energy_kwh - floor
    at_start = np.append(storage.initial_energy_kwh - floor[0], at_end[:-1])
    held = np.maximum(np.minimum(at_start, at_end), 0.0) * storage.discharge_efficiency
    return np.minimum(room, held / reserve_h if reserve_h > 0.0 else np.inf)
