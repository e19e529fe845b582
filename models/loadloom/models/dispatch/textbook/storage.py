# pyright: reportOperatorIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIndexIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""A store in the textbook's words."""

from collections.abc import Callable

import numpy as np
import pyomo.environ as pyo

from loadloom.models.dispatch.devices.storage import Storage, StoragePlan
from loadloom.models.dispatch.textbook.book import Book, column


def add(book: Book, storage: Storage) -> Callable[[], StoragePlan]:
    """Adds a store; what comes back reads its plan after the solve."""
    block, hours = book.block("storage"), book.hours
    into, outof = storage.charge_efficiency, storage.discharge_efficiency
    # No store takes in or gives out more than it can hold; far limits would blunt the binaries.
    most_in = np.minimum(storage.charge_limit_kw * hours, storage.capacity_kwh / into)
    most_out = np.minimum(storage.discharge_limit_kw * hours, outof * storage.capacity_kwh)
    block.charge = pyo.Var(book.t, bounds=lambda _, t: (0.0, most_in[t]))
    block.discharge = pyo.Var(book.t, bounds=lambda _, t: (0.0, most_out[t]))
    block.energy = pyo.Var(book.t, bounds=(0.0, storage.capacity_kwh))
    book.exclusive(block, block.charge, block.discharge)
    keep = storage.keep(book.horizon)

    def energy_balance(_: pyo.Block, t: int) -> object:
        before = block.energy[t - 1] if t > 0 else storage.initial_energy_kwh
        moved = into * block.charge[t] - block.discharge[t] / outof
        return block.energy[t] == keep[t] * before + moved

    block.energy_balance = pyo.Constraint(book.t, rule=energy_balance)
    _bounds(book, block, storage)
    _bands(book, block, storage)
    _depths(book, block, storage)
    _reserve(book, block, storage)
    book.draws(storage.name, lambda t: block.charge[t] - block.discharge[t], storage.bus)
    moved = sum(into * block.charge[t] + block.discharge[t] / outof for t in book.t)
    book.costs(storage.wear_cost_per_kwh * moved)
    book.costs(-storage.end_value_per_kwh * block.energy[book.t.last()])
    return lambda: StoragePlan(
        charge_kw=column(block.charge) / hours,
        discharge_kw=column(block.discharge) / hours,
        energy_kwh=column(block.energy),
    )


def _bounds(book: Book, block: pyo.Block, storage: Storage) -> None:
    """energy_min <= energy <= energy_max and every target; soft ones may be missed at a price."""
    block.sides = pyo.ConstraintList()
    block.missed = pyo.VarList(domain=pyo.NonNegativeReals)
    price = storage.breach_price_per_kwh
    sides = [(t, storage.energy_min_kwh[t], storage.energy_max_kwh[t]) for t in book.t]
    sides += [(each.interval, each.min_kwh, each.max_kwh) for each in storage.targets]
    for t, low, high in sides:
        for side, sign in ((low, 1.0), (high, -1.0)):
            if not np.isfinite(side):
                continue
            missed = 0.0
            if price < np.inf:
                missed = block.missed.add()
                book.costs(price * missed)
            block.sides.add(sign * block.energy[t] + missed >= sign * side)


def _bands(book: Book, block: pyo.Block, storage: Storage) -> None:
    """Charging and discharging power is zero or at least the least power."""
    if storage.least_charge_kw == storage.least_discharge_kw == 0.0:
        return
    block.on = pyo.Var(["charge", "discharge"], book.t, domain=pyo.Binary)
    for name, least_kw in (
        ("charge", storage.least_charge_kw),
        ("discharge", storage.least_discharge_kw),
    ):
        if least_kw == 0.0:
            continue
        moved, least = getattr(block, name), least_kw * book.hours
        low = pyo.Constraint(
            book.t, rule=lambda b, t, m=moved, n=name, k=least: m[t] >= k[t] * b.on[n, t]
        )
        high = pyo.Constraint(
            book.t, rule=lambda b, t, m=moved, n=name: m[t] <= m[t].ub * b.on[n, t]
        )
        block.add_component(f"least_{name}", low)
        block.add_component(f"most_{name}", high)


def _depths(book: Book, block: pyo.Block, storage: Storage) -> None:
    """What is held is split into shares; what comes out of a deeper share costs more."""
    if not storage.depth_wear:
        return
    sizes, costs, held = storage.depth_segments()
    block.part = pyo.RangeSet(0, sizes.size - 1)
    block.share = pyo.Var(block.part, book.t, bounds=lambda _, j, *_at: (0.0, sizes[j]))
    block.taken_in = pyo.Var(block.part, book.t, domain=pyo.NonNegativeReals)
    block.given_out = pyo.Var(block.part, book.t, domain=pyo.NonNegativeReals)

    def share_balance(_: pyo.Block, j: int, t: int) -> object:
        before = block.share[j, t - 1] if t > 0 else held[j]
        return block.share[j, t] == before + block.taken_in[j, t] - block.given_out[j, t]

    block.share_balance = pyo.Constraint(block.part, book.t, rule=share_balance)
    block.all_in = pyo.Constraint(
        book.t,
        rule=lambda _, t: (
            sum(block.taken_in[j, t] for j in block.part)
            == storage.charge_efficiency * block.charge[t]
        ),
    )
    block.all_out = pyo.Constraint(
        book.t,
        rule=lambda _, t: (
            sum(block.given_out[j, t] for j in block.part) * storage.discharge_efficiency
            == block.discharge[t]
        ),
    )
    book.costs(sum(costs[j] * block.given_out[j, t] for j in block.part for t in book.t))


def _reserve(book: Book, block: pyo.Block, storage: Storage) -> None:
    """The power that the store could give besides, at the start of an interval and at its end."""
    reserve, outof = book.reserve, storage.discharge_efficiency
    if reserve is None or storage.bus:
        return
    floor = storage.energy_min_kwh if storage.breach_price_per_kwh == np.inf else 0.0
    floor = np.broadcast_to(floor, book.hours.size)
    block.spare = pyo.Var(book.t, domain=pyo.NonNegativeReals)
    block.spare_power = pyo.Constraint(
        book.t,
        rule=lambda _, t: (
            block.spare[t]
            <= storage.discharge_limit_kw[t]
            + (block.charge[t] - block.discharge[t]) / book.hours[t]
        ),
    )
    block.spare_at_end = pyo.Constraint(
        book.t,
        rule=lambda block, t: (
            block.spare[t] * reserve.reserve_h <= (block.energy[t] - floor[t]) * outof
        ),
    )
    known = max(storage.initial_energy_kwh - floor[0], 0.0)

    def spare_at_start(block: pyo.Block, t: int) -> object:
        if reserve.reserve_h == 0.0:
            return pyo.Constraint.Feasible
        held = block.energy[t - 1] - floor[t - 1] if t > 0 else known
        return block.spare[t] * reserve.reserve_h <= held * outof

    block.spare_at_start = pyo.Constraint(book.t, rule=spare_at_start)
    book.spare(lambda t: block.spare[t])
