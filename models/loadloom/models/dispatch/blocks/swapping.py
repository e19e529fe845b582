"""A swapping station in the general programme: each place of the queue is a battery of its own.

A place only ever charges between two swaps, so what it holds needs a column and a row for each swap
and one for the end, and none for the intervals in between.
"""

from collections.abc import Callable

import numpy as np

from loadloom.models.dispatch.devices.swapping import SwappingPlan, SwappingStation
from loadloom.models.dispatch.programme import IntArray, Programme, Rule
from loadloom.models.horizon import FloatArray, Horizon


def add(
    programme: Programme, path: str, station: SwappingStation
) -> Callable[[FloatArray], SwappingPlan]:
    """Adds a station; gives the reader of its plan."""
    charge = _add_charge(programme, path, station)
    swaps = station.swaps()
    soft = np.isfinite(station.missed_price)
    missed = programme.columns(
        len(swaps) if soft else 0, 0.0, 1.0, station.missed_price if soft else 0.0, integer=True
    )
    batteries, queue, turns = station.battery_count, station.queue_kwh, list(enumerate(swaps))
    for place in range(batteries):
        swapped = float(queue[place]), turns[place::batteries]
        rows = _add_place(programme, path, station, swapped, charge[place], missed)
        programme.worth(f"{path}.places[{place}]", rows)

    def read(primal: FloatArray) -> SwappingPlan:
        kwh = np.maximum(primal[charge], 0.0)
        left_out = np.round(primal[missed]) if soft else np.zeros(len(swaps))
        return SwappingPlan(
            charge_kw=kwh / programme.hours,
            energy_kwh=_energies(programme.horizon, station, kwh, left_out),
            missed=left_out,
        )

    return read


def _add_charge(programme: Programme, path: str, station: SwappingStation) -> IntArray:
    """The columns of what each place charges, shape (batteries, count), and the limit of all."""
    count, hours, batteries = programme.count, programme.hours, station.battery_count
    limit = Rule(
        path=f"{path}.slot_limit_kw",
        says=f"'{station.name}' may charge a battery with at most {{limit}}",
        scale=np.tile(hours, batteries),
    )
    charge = programme.columns(
        batteries * count,
        0.0,
        station.slot_limit_kw * np.tile(hours, batteries),
        at_most=limit,
        intervals=np.tile(np.arange(count), batteries),
        cut=station.capacity_kwh / station.efficiency,
    ).reshape(batteries, count)
    programme.draws(station.name, charge, intervals=np.arange(count))
    if station.slot_count < batteries:
        together = Rule(
            path=f"{path}.slot_count",
            says=f"'{station.name}' may charge with at most {{limit}} in all its slots",
            scale=hours,
            cure=f"give '{station.name}' slots for {{by}} more",
        )
        most = station.slot_count * station.slot_limit_kw * hours
        rows = programme.rows(count, -np.inf, most, at_most=together)
        programme.entries(np.broadcast_to(rows, charge.shape), charge, 1.0)
    return charge


def _add_place(
    programme: Programme,
    path: str,
    station: SwappingStation,
    place: tuple[float, list[tuple[int, tuple[int, int, float]]]],
    charge: IntArray,
    missed: IntArray,
) -> IntArray:
    """The energy of a place, of what it holds and its swaps, before each of them and at the end.

    What comes back is the row of each interval, (count,).
    """
    full, row_of = station.capacity_kwh, np.empty(programme.count, np.int64)
    before, begin = None, 0
    (held, swaps), dropped = place, 0.0
    for j, (_, boundary, returned) in swaps:
        hard = missed.size == 0
        rule = Rule(
            path=f"{path}.capacity_kwh",
            says=f"'{station.name}' must hand over {{limit}}",
            unit="kWh",
            at_end=True,
        )
        at = np.array([max(0, boundary - 1)])
        energy = programme.columns(
            1, full if hard else 0.0, full, at_least=rule if hard else None, intervals=at
        )
        row = programme.rows(1, held - dropped, held - dropped)
        row_of[begin:boundary] = row
        programme.entries(row, energy, 1.0)
        programme.entries(row, charge[begin:boundary], -station.efficiency)
        if before is not None:
            earlier, swap, drop = before
            programme.entries(row, earlier, -1.0)
            if not hard:
                programme.entries(row, missed[swap : swap + 1], -drop)
        if not hard:
            ready = programme.rows(1, full, np.inf)
            programme.entries(ready, energy, 1.0)
            programme.entries(ready, missed[j : j + 1], full)
        before, begin, held, dropped = (energy, j, full - returned), boundary, 0.0, full - returned
    energy = programme.columns(1, 0.0, full, -station.end_value_per_kwh)
    row = programme.rows(1, held - dropped, held - dropped)
    row_of[begin:] = row
    programme.entries(row, energy, 1.0)
    programme.entries(row, charge[begin:], -station.efficiency)
    if before is not None:
        earlier, swap, drop = before
        programme.entries(row, earlier, -1.0)
        if missed.size:
            programme.entries(row, missed[swap : swap + 1], -drop)
    return row_of


def _energies(
    horizon: Horizon, station: SwappingStation, charged: FloatArray, missed: FloatArray
) -> FloatArray:
    """What each place holds at the end of each interval, before swaps, (batteries, count)."""
    change = station.efficiency * charged
    start = station.queue_kwh.copy()
    for j, (place, boundary, returned) in enumerate(station.swaps()):
        drop = (station.capacity_kwh - returned) * (1.0 - missed[j])
        if boundary == 0:
            start[place] -= drop
        elif boundary < horizon.count:
            change[place, boundary] -= drop
    return start[:, None] + np.cumsum(change, axis=1)
