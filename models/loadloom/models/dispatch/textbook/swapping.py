# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""A swapping station in the reference model, each place with its energy in every interval."""

from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo

from loadloom.models.dispatch.devices.swapping import SwappingPlan, SwappingStation
from loadloom.models.dispatch.textbook.book import Book, column


def add(book: Book, station: SwappingStation) -> Callable[[], SwappingPlan]:
    """Adds a station; gives the reader of its plan."""
    block, hours, full = book.block(station.name), book.hours, station.capacity_kwh
    count, swaps, queue = book.horizon.count, station.swaps(), station.queue_kwh
    block.n = pyo.RangeSet(0, station.battery_count - 1)
    block.j = pyo.RangeSet(0, len(swaps) - 1)
    block.charge = pyo.Var(
        block.n, book.t, bounds=lambda _, *nt: (0.0, station.slot_limit_kw * hours[nt[1]])
    )
    block.energy = pyo.Var(block.n, book.t, bounds=(0.0, full))
    block.missed = pyo.Var(block.j, domain=pyo.Binary)
    if np.isinf(station.missed_price):
        block.missed.fix(0)
    else:
        book.costs(station.missed_price * sum(block.missed[j] for j in block.j))
    block.slots = pyo.Constraint(
        book.t,
        rule=lambda b, t: (
            sum(b.charge[n, t] for n in b.n)
            <= station.slot_count * station.slot_limit_kw * hours[t]
        ),
    )
    # What each place holds at a boundary, after the swaps there that have been gone through.
    held = {(n, 0): float(queue[n]) for n in block.n}
    held |= {(n, t + 1): block.energy[n, t] for n in block.n for t in book.t}
    block.ready = pyo.ConstraintList()
    for j, (n, boundary, returned) in enumerate(swaps):
        block.ready.add(full * (1 - block.missed[j]) - held[n, boundary] <= 0)
        held[n, boundary] = held[n, boundary] - (full - returned) * (1 - block.missed[j])
    block.charged = pyo.Constraint(
        block.n,
        book.t,
        rule=lambda b, n, t: b.energy[n, t] == held[n, t] + station.efficiency * b.charge[n, t],
    )
    left = sum(held[n, count] for n in block.n)
    book.costs(-station.end_value_per_kwh * left)
    book.draws(station.name, lambda t: sum(block.charge[n, t] for n in block.n))

    def read() -> SwappingPlan:
        shape = station.battery_count, count
        charge = column(block.charge).reshape(shape)
        energy = column(block.energy).reshape(shape)
        missed = np.round(column(block.missed))
        return SwappingPlan(charge_kw=charge / hours, energy_kwh=energy, missed=missed)

    return read
