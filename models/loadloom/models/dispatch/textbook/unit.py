# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""A unit in the reference model."""

from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo

from loadloom.models.dispatch.devices.unit import Unit, UnitPlan
from loadloom.models.dispatch.textbook.book import Book, column
from loadloom.models.dispatch.textbook.three_binaries import add_three_binaries


def add(book: Book, unit: Unit) -> Callable[[], UnitPlan]:
    """Adds a unit; gives the reader of its plan."""
    block, hours = book.block(unit.name), book.hours
    most, least = unit.input_limit_kw, unit.input_least_kw
    add_three_binaries(book, block, unit.switching, (0, book.horizon.count), ends=False)
    block.input_kw = pyo.Var(book.t, bounds=lambda _, t: (0.0, most[t]))
    block.at_most = pyo.Constraint(book.t, rule=lambda b, t: b.input_kw[t] <= most[t] * b.on[t])
    block.at_least = pyo.Constraint(book.t, rule=lambda b, t: b.input_kw[t] >= least[t] * b.on[t])
    if np.isfinite(unit.ramp_kw_per_h):
        _add_ramp(book, block, unit)
    used = {t: hours[t] * block.input_kw[t] for t in book.t}
    book.costs(sum(unit.input_cost_per_kwh[t] * used[t] for t in book.t))
    electricity, heat = unit.electricity_per_input, unit.heat_per_input
    if unit.electric:
        book.draws(unit.name, lambda t: used[t])
    if electricity.any():
        book.draws(unit.name, lambda t: -electricity[t] * used[t])
        if book.reserve is not None:
            book.spare(lambda t: electricity[t] * (most[t] * block.on[t] - block.input_kw[t]))
    if unit.bus:
        book.draws(unit.name, lambda t: -heat[t] * used[t], bus=unit.bus)
    if unit.carbon_kg_per_kwh > 0.0:
        book.emits(lambda t: unit.carbon_kg_per_kwh * used[t])

    def read() -> UnitPlan:
        on = np.round(column(block.on))
        power = column(block.input_kw)
        return UnitPlan(
            on=on, input_kw=power, electricity_kw=electricity * power, heat_kw=heat * power
        )

    return read


def _add_ramp(book: Book, block: pyo.Block, unit: Unit) -> None:
    """How fast the power may change, from interval to interval."""
    rise, least, switching = unit.rise_kw(book.horizon), unit.input_least_kw, unit.switching

    def before(t: int) -> tuple[object, object, float]:
        """Whether it was on, its power, and the least power then."""
        if t > 0:
            return block.on[t - 1], block.input_kw[t - 1], least[t - 1]
        power = unit.initial_input_kw if switching.initially_on else 0.0
        return int(switching.initially_on), power, least[0]

    def up(b: pyo.Block, t: int) -> object:
        was_on, power, _ = before(t)
        return b.input_kw[t] - power <= rise[t] * was_on + max(least[t], rise[t]) * b.start[t]

    def down(b: pyo.Block, t: int) -> object:
        _, power, was_least = before(t)
        return power - b.input_kw[t] <= rise[t] * b.on[t] + max(was_least, rise[t]) * (1 - b.on[t])

    block.up = pyo.Constraint(book.t, rule=up)
    block.down = pyo.Constraint(book.t, rule=down)
