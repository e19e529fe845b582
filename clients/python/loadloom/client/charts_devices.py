"""The panels of a plan's chart for devices beyond batteries: vehicles, units, heat and rooms."""

from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from loadloom.client.plan import Plan
from loadloom.client.site import Site

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#1d3557", "#2a9d8f", "#e76f51", "#8338ec", "#f4a100", "#6d6875", "#118ab2", "#9c6644")

NAMED = 8
"""Up to so many devices of a kind are drawn one by one; more are drawn together."""

Panel = Callable[["Axes", NDArray[np.float64]], None]
"""Draws on axes, given the edges of the intervals."""

Lines = dict[str, NDArray[np.float64]]


def panels(site: Site, plan: Plan) -> list[Panel]:
    """The panels that a site's devices call for, in the order in which they are drawn."""
    found: list[Panel] = []
    if powers := electric(site, plan):
        found.append(lambda axes, times: _draw_stack(axes, times, powers, "kW of devices"))
    if heat := _heat(site, plan):
        found.append(lambda axes, times: _draw_heat(axes, times, site, plan, heat))
    if site.rooms:
        found.append(lambda axes, times: _draw_rooms(axes, times, site, plan))
    return found


def electric(site: Site, plan: Plan) -> Lines:
    """The electric power of each device that runs; what is given is below zero."""
    found = _of(plan, "vehicles", _names(site.vehicles), ("charge_kw", "discharge_kw"))
    found |= _of(plan, "swap_stations", _names(site.swap_stations), ("charge_kw",))
    found |= _of(plan, "appliances", _names(site.appliances), ("power_kw",))
    for kind in ("generators", "combined_heat_and_powers", "boilers", "heat_pumps", "chillers"):
        found |= _of(plan, kind, _names(getattr(site, kind)), ("power_kw",))
    return {name: power for name, power in found.items() if np.any(np.abs(power) > 1e-9)}


def _heat(site: Site, plan: Plan) -> Lines:
    """The heat, or cold, that each unit and tank gives to its bus."""
    found: Lines = {}
    for kind in ("combined_heat_and_powers", "boilers", "heat_pumps", "chillers"):
        found |= _of(plan, kind, _names(getattr(site, kind)), ("heat_kw",))
    tanks = [storage.name for storage in site.storages if storage.heat_bus]
    return found | _of(plan, "storages", tanks, ("discharge_kw", "charge_kw"))


def column(plan: Plan, kind: str, name: str, quantity: str) -> NDArray[np.float64]:
    """A column of the schedule of one device."""
    own = f"{name}.{quantity}" if name else quantity
    return plan.columns.get(f"{kind}.{own}", plan.columns.get(own, np.zeros(plan.grid.count)))


def _names(devices: Iterable[object]) -> list[str]:
    return [str(getattr(device, "name", "")) for device in devices]


def _of(plan: Plan, kind: str, names: Sequence[str], quantities: tuple[str, ...]) -> Lines:
    """The first quantity of each device less the second; of many devices together."""
    found = {}
    for name in names:
        values = [column(plan, kind, name, quantity) for quantity in quantities]
        found[name or kind] = values[0] - values[1] if len(values) > 1 else values[0]
    if len(found) > NAMED:
        return {f"{len(found)} {kind.replace('_', ' ')}": sum(found.values())}  # type: ignore[dict-item]
    return found


def _draw_stack(axes: "Axes", times: NDArray[np.float64], lines: Lines, label: str) -> None:
    """Draws powers on top of each other, those drawn above zero and those given below."""
    size = len(times) - 1
    above, below = np.zeros(size), np.zeros(size)
    for (name, power), color in zip(lines.items(), cycle(COLORS), strict=False):
        drawn, given = above + np.maximum(power, 0.0), below + np.minimum(power, 0.0)
        axes.stairs(drawn, times, baseline=above, fill=True, color=color, alpha=0.8, label=name)
        axes.stairs(given, times, baseline=below, fill=True, color=color, alpha=0.8)
        above, below = drawn, given
    axes.set_ylabel(label)


def _draw_heat(
    axes: "Axes", times: NDArray[np.float64], site: Site, plan: Plan, heat: Lines
) -> None:
    _draw_stack(axes, times, heat, "kW of heat")
    demand = np.zeros(plan.grid.count)
    for bus in site.heat_buses:
        if bus.demand_kw is not None:
            demand = demand + np.asarray(bus.demand_kw, dtype=np.float64)
    for room in site.rooms:
        demand = demand + column(plan, "rooms", room.name, "heating_kw")
        demand = demand + column(plan, "rooms", room.name, "cooling_kw")
    label = "demand and rooms" if site.rooms else "demand"
    axes.stairs(demand, times, baseline=None, color="#3b4252", linewidth=1.4, label=label)


def _draw_rooms(axes: "Axes", times: NDArray[np.float64], site: Site, plan: Plan) -> None:
    for room, color in zip(site.rooms, cycle(COLORS), strict=False):
        found = column(plan, "rooms", room.name, "temperature_c")
        path = np.concatenate(([room.initial_temperature_c], found))
        for side in (room.temperature_min_c, room.temperature_max_c):
            limit = np.broadcast_to(np.asarray(side, dtype=np.float64), (plan.grid.count,))
            axes.stairs(limit, times, baseline=None, color=color, linewidth=0.8, linestyle=":")
        axes.plot(times, path, color=color, linewidth=1.6, label=room.name or "room")
    axes.set_ylabel("°C")
    axes.margins(y=0.15)
