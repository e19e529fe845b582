"""What a site's devices do, as columns of tables for people at a terminal."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from loadloom.client.charts_devices import column, electric
from loadloom.client.grid import Grid
from loadloom.client.plan import Plan
from loadloom.client.site import Site

Quantity = tuple[str, NDArray[np.float64], Callable[..., float]]
"""A column: its name, its value in each interval, and how several become one."""

MOST = 5
"""Up to so many devices have columns of their own; more are summed up by kind."""

HEATERS = ("combined_heat_and_powers", "boilers", "heat_pumps", "chillers")

SEEN_KW = 1e-6
"""Heat up to this is rounding."""

BREACHES_TOLD, PRICES_TOLD = 8, 6
"""The breaches and the prices of limits that are told at a terminal."""


def electric_quantities(site: Site, plan: Plan) -> list[Quantity]:
    """What vehicles, stations, appliances and units draw; what is given is below zero, in kWh."""
    step_h = hours(plan.grid)
    found: list[Quantity] = [
        (name, power * step_h, np.sum) for name, power in electric(site, plan).items()
    ]
    if len(found) > MOST:
        total = np.sum([values for _, values, _ in found], axis=0)
        found = [(f"{len(found)} devices", total, np.sum)]
    if len(site.vehicles) == 1:
        name = site.vehicles[0].name or "vehicles"
        energy = column(plan, "vehicles", site.vehicles[0].name, "state_of_charge_kwh")
        names = [known for known, _, _ in found]
        behind = names.index(name) + 1 if name in names else len(found)
        found.insert(behind, (f"{name} stored", energy, last))
    return found


def heat_quantities(site: Site, plan: Plan) -> list[Quantity]:
    """What makes and takes heat or cold, in kWh, and the temperatures of rooms."""
    step_h, found = hours(plan.grid), []
    for kind in HEATERS:
        for unit in getattr(site, kind):
            given = column(plan, kind, unit.name, "heat_kw")
            found.append((unit.name or kind, given * step_h, np.sum))
    for tank in (storage for storage in site.storages if storage.heat_bus):
        moved = column(plan, "storages", tank.name, "charge_kw")
        moved = moved - column(plan, "storages", tank.name, "discharge_kw")
        found.append((tank.name or "tank", moved * step_h, np.sum))
    found += [
        (bus.name, constant(bus.demand_kw, plan.grid) * step_h, np.sum)
        for bus in site.heat_buses
        if bus.demand_kw is not None
    ]
    for field, quantity, word in (
        ("heat_buses", "surplus_kw", "surplus"),
        ("heat_buses", "unmet_kw", "unmet"),
        ("rooms", "heating_kw", "heat"),
        ("rooms", "cooling_kw", "cold"),
    ):
        for device in getattr(site, field):
            taken = column(plan, field, device.name, quantity)
            if np.any(taken > SEEN_KW):
                found.append((f"{device.name} {word}", taken * step_h, np.sum))
    found += [
        (f"{room.name} °C", column(plan, "rooms", room.name, "temperature_c"), last)
        for room in site.rooms
    ]
    return found


def breaches(plan: Plan, place: Callable[[str], str]) -> Table:
    """The limits that gave way: where they stand, when, how much, and what it costs."""
    table = _table("limits that gave way", "beyond", "cost")
    for breach in plan.breaches[:BREACHES_TOLD]:
        when = f", {breach.starts[0]:%a %H:%M}" if breach.starts else ""
        more = f" and {len(breach.starts) - 1} more" if len(breach.starts) > 1 else ""
        beyond = f"{sum(breach.amounts):,.2f} {breach.unit}"
        table.add_row(f"{place(breach.rule)}{when}{more}", beyond, f"{breach.cost:,.2f}")
    left = len(plan.breaches) - BREACHES_TOLD
    if left > 0:
        table.add_row(f"and {left} more; --json tells all", "", "")
    return table


def limit_prices(plan: Plan, place: Callable[[str], str]) -> Table:
    """The dearest limits: what one more unit of each would save in all."""
    table = _table("limits that bind", "intervals", "one more unit saves")
    found = [
        (sum(map(abs, limit.prices)), limit)
        for limit in plan.message.limit_prices
        if any(abs(price) > 1e-9 for price in limit.prices)
    ]
    found.sort(key=lambda entry: -entry[0])
    for total, limit in found[:PRICES_TOLD]:
        saved = f"{total:,.4g} a {limit.unit}"
        table.add_row(place(limit.rule), str(len(limit.intervals)), saved)
    return table


def peaks(site: Site, plan: Plan) -> Table:
    """The peaks of the demand charges, and when they are reached."""
    table = _table("demand charge", "peak, kW", "at")
    for peak in plan.demand_peaks:
        table.add_row(peak.name or "peak", f"{peak.peak_kw:,.1f}", f"{peak.start:%a %d %b %H:%M}")
    told = {peak.name for peak in plan.demand_peaks}
    for charge in site.meter.demand_charges:
        if charge.name not in told:
            table.add_row(charge.name or "peak", "", "at no time of this horizon")
    return table


def hours(grid: Grid) -> NDArray[np.float64]:
    """The length of each interval in hours."""
    return np.array([step / timedelta(hours=1) for step in grid.steps])


def constant(values: ArrayLike, grid: Grid) -> NDArray[np.float64]:
    """One value for each interval, also where one holds for all."""
    return np.broadcast_to(np.asarray(values, dtype=np.float64), (grid.count,))


def last(values: Sequence[float]) -> float:
    """The last of several values, for what is told at the end of a stretch."""
    return float(values[-1])


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table
