# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""A room in the reference model."""

from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo

from loadloom.models.dispatch.devices.room import Room, RoomPlan
from loadloom.models.dispatch.textbook.book import Book, column


def add(book: Book, room: Room) -> Callable[[], RoomPlan]:
    """Adds a room; gives the reader of its plan."""
    block, hours, horizon = book.block(room.name), book.hours, book.horizon
    outdoor, decay, rise = (
        room.outdoor_temperature_c,
        room.decay(horizon),
        room.rise_k_per_kw(horizon),
    )
    most_warm = room.heating_limit_kw if room.heat_bus else 0.0
    most_cool = room.cooling_limit_kw if room.cold_bus else 0.0
    block.heating = pyo.Var(book.t, bounds=(0.0, most_warm))
    block.cooling = pyo.Var(book.t, bounds=(0.0, most_cool))
    block.temperature = pyo.Var(book.t)
    block.below = pyo.Var(book.t, domain=pyo.NonNegativeReals)
    block.above = pyo.Var(book.t, domain=pyo.NonNegativeReals)

    def warming(b: pyo.Block, t: int) -> object:
        before = b.temperature[t - 1] if t > 0 else room.initial_temperature_c
        power = b.heating[t] - b.cooling[t] + room.gains_kw[t]
        return b.temperature[t] == outdoor[t] + decay[t] * (before - outdoor[t]) + rise[t] * power

    block.warming = pyo.Constraint(book.t, rule=warming)
    block.at_least = pyo.Constraint(
        book.t, rule=lambda b, t: b.temperature[t] + b.below[t] >= room.temperature_min_c[t]
    )
    block.at_most = pyo.Constraint(
        book.t, rule=lambda b, t: b.temperature[t] - b.above[t] <= room.temperature_max_c[t]
    )
    if np.isinf(room.breach_price_per_k_h):
        block.below.fix(0.0)
        block.above.fix(0.0)
    else:
        outside = sum(hours[t] * (block.below[t] + block.above[t]) for t in book.t)
        book.costs(room.breach_price_per_k_h * outside)
    if room.heat_bus:
        book.draws(room.name, lambda t: hours[t] * block.heating[t], bus=room.heat_bus)
    if room.cold_bus:
        book.draws(room.name, lambda t: hours[t] * block.cooling[t], bus=room.cold_bus)

    def read() -> RoomPlan:
        return RoomPlan(
            heating_kw=column(block.heating),
            cooling_kw=column(block.cooling),
            temperature_c=column(block.temperature),
        )

    return read
