"""A store in the general programme."""

from collections.abc import Callable

import numpy as np

from loadloom.models.dispatch.devices.storage import Storage, StoragePlan
from loadloom.models.dispatch.programme import IntArray, Programme, Rule
from loadloom.models.horizon import FloatArray


def add(programme: Programme, path: str, storage: Storage) -> Callable[[FloatArray], StoragePlan]:
    """Adds a store; what comes back reads its plan from a solution."""
    count, hours = programme.count, programme.hours
    name, into, outof = storage.name, storage.charge_efficiency, storage.discharge_efficiency
    charge = _way(programme, path, storage, "charge")
    discharge = _way(programme, path, storage, "discharge")
    energy = _energy(programme, path, storage)
    keep = storage.keep(programme.horizon)
    kept = np.append(keep[0] * storage.initial_energy_kwh, np.zeros(count - 1))
    rows = programme.rows(count, kept, kept)
    programme.entries(rows, energy)
    programme.entries(rows[1:], energy[:-1], -keep[1:])
    programme.entries(rows, charge, -into)
    programme.entries(rows, discharge, 1.0 / outof)
    programme.worth(path, rows)
    programme.draws(name, charge, bus=storage.bus)
    programme.draws(name, discharge, -1.0, bus=storage.bus)
    _never_both(programme, storage, charge, discharge)
    _depths(programme, path, storage, (charge, discharge))
    if programme.reserved.size and not storage.bus:
        _spare(programme, path, storage, (charge, discharge, energy))

    def read(primal: FloatArray) -> StoragePlan:
        return StoragePlan(
            charge_kw=primal[charge] / hours,
            discharge_kw=primal[discharge] / hours,
            energy_kwh=primal[energy],
        )

    return read


def _way(programme: Programme, path: str, storage: Storage, way: str) -> IntArray:
    """The columns of charging or discharging; with a least power, of running with it or not."""
    hours, count = programme.hours, programme.count
    inward = way == "charge"
    limit_kw = storage.charge_limit_kw if inward else storage.discharge_limit_kw
    least_kw = storage.least_charge_kw if inward else storage.least_discharge_kw
    into, outof = storage.charge_efficiency, storage.discharge_efficiency
    cost = storage.wear_cost_per_kwh * (into if inward else 1.0 / outof)
    # Twice what the store has room for: no plan comes near it, and far limits cost digits.
    cut = 2.0 * storage.capacity_kwh * (1.0 / into if inward else outof)
    limit = Rule(
        path=f"{path}.{way}_limit_kw",
        says=f"{storage.name!r} may {way} with at most {{limit}}",
        scale=hours,
        shift=limit_kw if least_kw > 0.0 else 0.0,
    )
    if least_kw == 0.0:
        return programme.columns(count, high=limit_kw * hours, cost=cost, at_most=limit, cut=cut)
    least = Rule(
        path=f"{path}.least_{way}_kw",
        says=f"{storage.name!r} must {way} with at least {{limit}} if it does",
        scale=hours,
        shift=least_kw,
    )
    moved = programme.columns(count, cost=cost, cut=np.minimum(cut, limit_kw * hours))
    on = programme.columns(count, high=1.0, integer=True)
    rows = programme.rows(count, -np.inf, 0.0, at_most=limit)
    programme.entries(rows, moved)
    programme.entries(rows, on, -limit_kw * hours)
    rows = programme.rows(count, 0.0, np.inf, at_least=least)
    programme.entries(rows, moved)
    programme.entries(rows, on, -least_kw * hours)
    return moved


def _energy(programme: Programme, path: str, storage: Storage) -> IntArray:
    """The columns of what the store holds, within its bounds or at a price beyond them."""
    count, price = programme.count, storage.breach_price_per_kwh
    low, high = storage.energy_min_kwh, storage.energy_max_kwh
    least = Rule(
        path=f"{path}.energy_min_kwh",
        says=f"{storage.name!r} must hold at least {{limit}}",
        unit="kWh",
        at_end=True,
    )
    most = Rule(
        path=f"{path}.energy_max_kwh",
        says=f"{storage.name!r} may hold at most {{limit}}",
        unit="kWh",
        at_end=True,
    )
    worth = np.zeros(count)
    worth[-1] = -storage.end_value_per_kwh
    if price == np.inf:
        energy = programme.columns(count, low, high, worth, at_least=least, at_most=most)
    else:
        energy = programme.columns(count, 0.0, storage.capacity_kwh, worth)
        _soft(programme, energy, np.where(low > 0.0, low, -np.inf), price, missing=True)
        full = high < storage.capacity_kwh
        _soft(programme, energy, np.where(full, high, np.inf), price, missing=False)
    for index, target in enumerate(storage.targets):
        at = np.array([target.interval])
        for side, field, rule, missing in (
            (target.min_kwh, "min_kwh", least, True),
            (target.max_kwh, "max_kwh", most, False),
        ):
            if not np.isfinite(side):
                continue
            if price < np.inf:
                _soft(programme, energy[at], np.array([side]), price, missing=missing)
                continue
            named = Rule(
                path=f"{path}.targets[{index}]",
                number=field,
                says=rule.says,
                unit="kWh",
                at_end=True,
            )
            row = programme.rows(
                1,
                side if missing else -np.inf,
                np.inf if missing else side,
                at_least=named if missing else None,
                at_most=None if missing else named,
                intervals=at,
            )
            programme.entries(row, energy[at])
    return energy


def _soft(
    programme: Programme, energy: IntArray, side: FloatArray, price: float, *, missing: bool
) -> None:
    """Prices what is missing to a side, or beyond it, wherever the side is finite."""
    where = np.flatnonzero(np.isfinite(side))
    off = programme.columns(where.size, cost=price)
    low, high = (side[where], np.inf) if missing else (-np.inf, side[where])
    rows = programme.rows(where.size, low, high)
    programme.entries(rows, energy[where])
    programme.entries(rows, off, 1.0 if missing else -1.0)


def _never_both(
    programme: Programme, storage: Storage, charge: IntArray, discharge: IntArray
) -> None:
    """Keeps charge and discharge apart, each bounded by what the store has room for or holds."""
    low, high = storage.energy_bounds_kwh()
    if storage.breach_price_per_kwh < np.inf:
        low, high = np.zeros(low.size), np.full(high.size, storage.capacity_kwh)
    keep, initial = storage.keep(programme.horizon), storage.initial_energy_kwh
    least, most = (keep * np.append(initial, bound[:-1]) for bound in (low, high))
    into, outof = storage.charge_efficiency, storage.discharge_efficiency
    programme.pair(
        charge,
        discharge,
        most_one=np.maximum(high - least, 0.0) / into,
        most_other=np.maximum(most - low, 0.0) * outof,
        rate=into * outof,
    )


def _depths(
    programme: Programme, path: str, storage: Storage, ways: tuple[IntArray, IntArray]
) -> None:
    """Splits what the store holds into shares of rising cost; the cheapest are used first."""
    if not storage.depth_wear:
        return
    count, (charge, discharge) = programme.count, ways
    sizes, costs, held = storage.depth_segments()
    inside, outside = programme.rows(count, 0.0, 0.0), programme.rows(count, 0.0, 0.0)
    programme.entries(inside, charge, -storage.charge_efficiency)
    programme.entries(outside, discharge, -1.0 / storage.discharge_efficiency)
    for part, (size, cost, initial) in enumerate(zip(sizes, costs, held, strict=True)):
        share = programme.columns(count, high=size)
        taken_in = programme.columns(count)
        given_out = programme.columns(count, cost=cost)
        start = np.append(initial, np.zeros(count - 1))
        rows = programme.rows(count, start, start)
        programme.worth(f"{path}.depth_wear[{part}]", rows)
        programme.entries(rows, share)
        programme.entries(rows[1:], share[:-1], -1.0)
        programme.entries(rows, taken_in, -1.0)
        programme.entries(rows, given_out)
        programme.entries(inside, taken_in)
        programme.entries(outside, given_out)


def _spare(
    programme: Programme, path: str, storage: Storage, columns: tuple[IntArray, IntArray, IntArray]
) -> None:
    """The power that the store could give besides, out of what it holds at both ends."""
    reserve, where = programme.reserve, programme.reserved
    if reserve is None:
        return
    charge, discharge, energy = columns
    hours, price = programme.hours[where], storage.breach_price_per_kwh
    floor = storage.energy_min_kwh if price == np.inf else np.zeros(programme.count)
    kwh_per_kw = reserve.reserve_h / storage.discharge_efficiency
    most = np.full(where.size, np.inf)
    if where[0] == 0 and kwh_per_kw > 0.0:
        most[0] = max(storage.initial_energy_kwh - floor[0], 0.0) / kwh_per_kw
    spare = programme.columns(where.size, high=most)
    limit = Rule(
        path=f"{path}.discharge_limit_kw",
        says=f"{storage.name!r} may discharge with at most {{limit}}",
    )
    rows = programme.rows(
        where.size, -np.inf, storage.discharge_limit_kw[where], at_most=limit, intervals=where
    )
    programme.entries(rows, spare)
    programme.entries(rows, discharge[where], 1.0 / hours)
    programme.entries(rows, charge[where], -1.0 / hours)
    least = Rule(
        path=f"{path}.energy_min_kwh",
        says=f"{storage.name!r} must hold at least {{limit}}",
        unit="kWh",
        at_end=True,
    )
    hard = least if price == np.inf else None
    later = where > 0
    for ends, given in ((where, spare), (where[later] - 1, spare[later])):
        rows = programme.rows(ends.size, floor[ends], np.inf, at_least=hard, intervals=ends)
        programme.entries(rows, energy[ends])
        programme.entries(rows, given, -kwh_per_kw)
    programme.spare(spare, where)
