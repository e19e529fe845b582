# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""Appliances in the reference model."""

from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo

from loadloom.models.dispatch.devices.appliance import (
    Appliance,
    AppliancePlan,
    InterruptibleAppliance,
    ShiftableAppliance,
)
from loadloom.models.dispatch.switching import NEAR_H
from loadloom.models.dispatch.textbook.book import Book, column
from loadloom.models.dispatch.textbook.three_binaries import add_three_binaries


def add(book: Book, appliance: Appliance) -> Callable[[], AppliancePlan]:
    """Adds an appliance; gives the reader of its plan."""
    if isinstance(appliance, ShiftableAppliance):
        return _add_shiftable(book, appliance)
    return _add_interruptible(book, appliance)


def _add_shiftable(book: Book, appliance: ShiftableAppliance) -> Callable[[], AppliancePlan]:
    block, horizon, hours = book.block(appliance.name), book.horizon, book.hours
    boundaries, duration_h = horizon.boundaries_h, appliance.duration_h
    block.start = pyo.Var(book.t, domain=pyo.Binary)
    block.missed = pyo.Var(domain=pyo.NonNegativeIntegers, bounds=(0, appliance.run_count))
    left_h = duration_h - appliance.carried_h if appliance.carried_h > 0.0 else 0.0
    for a in book.t:
        late = boundaries[a] + duration_h > boundaries[appliance.latest] + NEAR_H
        if a < appliance.earliest or a >= appliance.latest or late:
            block.start[a].fix(0)
        if boundaries[a] < left_h - NEAR_H:
            block.start[a].fix(0)
    block.runs = pyo.Constraint(
        expr=sum(block.start[a] for a in book.t) + block.missed == appliance.run_count
    )

    def one_at_a_time(b: pyo.Block, t: int) -> object:
        # Those that started so lately that they still run when interval t begins.
        running = [a for a in range(t + 1) if boundaries[a] + duration_h > boundaries[t] + NEAR_H]
        return sum(b.start[a] for a in running) <= 1

    block.one_at_a_time = pyo.Constraint(book.t, rule=one_at_a_time)
    if np.isinf(appliance.breach_price_per_run):
        block.missed.fix(0)
    else:
        book.costs(appliance.breach_price_per_run * block.missed)
    runs = [appliance.run_kw(horizon, a) for a in book.t]
    carried = appliance.carried_kw(horizon)
    book.draws(
        appliance.name,
        lambda t: (carried[t] + sum(runs[a][t] * block.start[a] for a in book.t)) * hours[t],
    )

    def read() -> AppliancePlan:
        marks = np.round(column(block.start))
        power = carried + sum(marks[a] * runs[a] for a in book.t)
        return AppliancePlan(
            power_kw=power, starts=marks, missed=appliance.run_count - float(marks.sum())
        )

    return read


def _add_interruptible(
    book: Book, appliance: InterruptibleAppliance
) -> Callable[[], AppliancePlan]:
    block, hours = book.block(appliance.name), book.hours
    window = appliance.earliest, appliance.latest
    add_three_binaries(book, block, appliance.switching, window, ends=True)
    block.missed = pyo.Var(bounds=(0.0, appliance.running_min_h))
    ran_h = sum(hours[t] * block.on[t] for t in book.t)
    near = 1e-9 * book.horizon.boundaries_h[-1]
    block.least = pyo.Constraint(expr=ran_h + block.missed >= appliance.running_min_h - near)
    if np.isfinite(appliance.running_max_h):
        block.most = pyo.Constraint(expr=ran_h <= appliance.running_max_h + near)
    if np.isinf(appliance.breach_price_per_h):
        block.missed.fix(0.0)
    else:
        book.costs(appliance.breach_price_per_h * block.missed)
    book.draws(appliance.name, lambda t: appliance.power_kw * hours[t] * block.on[t])

    def read() -> AppliancePlan:
        on = np.round(column(block.on))
        return AppliancePlan(
            power_kw=appliance.power_kw * on,
            starts=np.round(column(block.start)),
            missed=max(0.0, appliance.running_min_h - float(on @ hours)),
        )

    return read
