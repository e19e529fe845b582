"""The road for a site with one heat bus and its tank: heat comes from the cheapest sources first.

Where only one unit touches electricity, the cost of heat in an interval is convex: the pieces of
each unit, of its electricity at the meter, and of demand left unmet, by rising price. A tank that
loses nothing on the way in and out is a stock under these costs,

    energy[t+1] = keep[t] * energy[t] + heat[t] - demand[t] + unmet[t] - dumped[t]

Where heat may be dumped, what costs less than nothing is always made.
"""

from dataclasses import dataclass

import numpy as np

from loadloom.models.dispatch.devices.heat import BusPlan, HeatBus
from loadloom.models.dispatch.devices.storage import Storage
from loadloom.models.dispatch.devices.unit import Unit, UnitPlan
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.single.meter import Connection, connection_of, solution_of
from loadloom.models.dispatch.solution import Solution
from loadloom.models.horizon import FloatArray
from loadloom.solvers.kernels.general_stock import SOLVED, control, local_prices

LEAST_KEEP = 1e-3
"""Where less than this survives an interval, dividing by it would cost the road its digits."""

ROOM = 256
"""The pieces of value functions by interval; costs that are convex need no more as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Supply:
    """Sources of heat in the order of units, the last of them demand left unmet, by interval.

    `slope` and `width` (pieces, count) are the price of a kWh and the most of them, `source`
    (pieces,) to which source a piece belongs.
    """

    slope: FloatArray
    width: FloatArray
    source: np.ndarray


def solve_tank(problem: Problem) -> Solution | None:
    """The best plan of a site with a bus, its tank and units; None where this is no road for it."""
    if not _fits(problem):
        return None
    bus, tank, meter = problem.buses[0], problem.storages[0], connection_of(problem)
    off = meter.cost(np.zeros(problem.horizon.count))
    if not np.isfinite(off).all():
        return None
    supply = _supply(problem, bus, meter)
    keep, hours = tank.keep(problem.horizon), problem.horizon.step_h
    stages = _stages(bus, tank, supply, hours)
    if keep.min() < LEAST_KEEP or stages is None:
        return None
    first, base, slope, width = stages
    low, high = tank.energy_bounds_kwh()
    count, pieces = hours.size, slope.shape[0]
    offset = np.arange(count + 1) * pieces
    flat = np.ascontiguousarray(slope.T).ravel(), np.ascontiguousarray(width.T).ravel()
    start, energy = tank.initial_energy_kwh, np.empty(count)
    largest = 1.0 + max(start, float(high.max()))
    near = 1e-13 * (1.0 + float(np.abs(slope).max()) * largest)
    if np.any(low > high):
        return None
    status, _, cost = control(
        keep, low, high, start, -tank.end_value_per_kwh, first, base + off, offset, *flat,
        1e-9 * largest, near, ROOM * count, energy,
    )  # fmt: skip
    if status != SOLVED:
        return None
    price = np.empty(count)
    local_prices(
        keep, low, high, start, -tank.end_value_per_kwh, first, offset, *flat, energy,
        np.empty((2, count)), price,
    )  # fmt: skip
    change = energy - keep * np.append(start, energy[:-1])
    return _solution(problem, supply, change, energy, float(cost), -price)


def _fits(problem: Problem) -> bool:
    """Whether the site has one bus with a tank, and units of which one touches electricity."""
    others = (problem.rooms, problem.vehicles, problem.swappings, problem.appliances)
    if any(others) or len(problem.buses) != 1 or len(problem.storages) != 1 or not problem.units:
        return False
    bus, tank, meter = problem.buses[0], problem.storages[0], problem.meter
    banded = tank.least_charge_kw > 0.0 or tank.least_discharge_kw > 0.0
    lossless = tank.charge_efficiency == tank.discharge_efficiency == 1.0
    free = tank.wear_cost_per_kwh == 0.0 and np.isinf(tank.breach_price_per_kwh)
    if banded or tank.depth_wear or not (lossless and free and tank.bus == bus.name):
        return False
    electric = [unit for unit in problem.units if unit.electric or unit.electricity_per_input.any()]
    convex = bool(np.all(meter.sell_price_per_kwh <= meter.buy_price_per_kwh))
    return convex and len(electric) <= 1 and all(_simple(unit, bus) for unit in problem.units)


def _simple(unit: Unit, bus: HeatBus) -> bool:
    gives = bool(np.all(unit.heat_per_input > 0.0))
    return gives and unit.bus == bus.name and unit.continuous and np.isinf(unit.ramp_kw_per_h)


def _supply(problem: Problem, bus: HeatBus, meter: Connection) -> _Supply:
    """The sources of heat, by rising price in each interval."""
    hours = problem.horizon.step_h
    slopes, widths, sources = [], [], []
    for number, unit in enumerate(problem.units):
        for slope, width in _pieces(unit, meter, unit.input_limit_kw * hours):
            slopes.append((slope + unit.input_cost_per_kwh) / unit.heat_per_input)
            widths.append(width * unit.heat_per_input)
            sources.append(number)
    if np.isfinite(bus.breach_price_per_kwh):
        slopes.append(np.full(hours.size, bus.breach_price_per_kwh))
        widths.append(bus.demand_kw * hours)
        sources.append(len(problem.units))
    return _Supply(slope=np.array(slopes), width=np.array(widths), source=np.array(sources))


def _pieces(unit: Unit, meter: Connection, most: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """What a kWh of input costs or earns at the meter, and how many there are, piece by piece."""
    rate = np.where(unit.electric, 1.0, 0.0) - unit.electricity_per_input
    if not rate.any():
        return [(np.zeros(most.size), most)]
    # The meter's cost over its demand, three pieces by rising slope; no plan goes beyond `far`.
    far = np.abs(meter.net) + meter.free + most * np.abs(rate) + 1.0
    into, out = np.minimum(meter.most_in, far), np.minimum(meter.most_out, far)
    slopes, lengths = (
        np.stack((meter.sell, 0.0 * far, meter.buy)),
        np.stack((out, meter.free, into)),
    )
    order = np.argsort(slopes, axis=0, kind="stable")
    slopes, lengths = (np.take_along_axis(each, order, axis=0) for each in (slopes, lengths))
    ends = np.cumsum(np.concatenate((-(out + meter.free)[None], lengths)), axis=0)
    last = meter.net + most * rate
    lowest, highest = np.minimum(meter.net, last), np.maximum(meter.net, last)
    found = []
    for piece in range(3):
        begin, end = np.maximum(ends[piece], lowest), np.minimum(ends[piece + 1], highest)
        width = np.maximum(end - begin, 0.0) / np.maximum(np.abs(rate), 1e-300)
        found.append((rate * slopes[piece], np.where(rate == 0.0, 0.0, width)))
    return [*found, (np.zeros(most.size), np.where(rate == 0.0, most, 0.0))]


def _stages(
    bus: HeatBus, tank: Storage, supply: _Supply, hours: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray] | None:
    """The first change of the tank, its cost, and slopes and widths from there (pieces, count)."""
    demand = bus.demand_kw * hours
    order = np.argsort(supply.slope, axis=0, kind="stable")
    slope = np.take_along_axis(supply.slope, order, axis=0)
    width = np.take_along_axis(supply.width, order, axis=0)
    begin, base = -demand, np.zeros(hours.size)
    if bus.dump:
        base = (np.minimum(slope, 0.0) * width).sum(axis=0)
        slope = np.maximum(slope, 0.0)
        thrown = np.maximum(tank.discharge_limit_kw * hours - demand, 0.0)
        slope = np.concatenate((np.zeros((1, hours.size)), slope))
        width = np.concatenate((thrown[None], width))
        begin = begin - thrown
    ends = begin + np.concatenate((np.zeros((1, hours.size)), np.cumsum(width, axis=0)))
    left = np.maximum(begin, -tank.discharge_limit_kw * hours)
    right = np.minimum(ends[-1], tank.charge_limit_kw * hours)
    if np.any(right < left - 1e-9 * (1.0 + demand)):
        return None
    right = np.maximum(left, right)
    cut = np.clip(ends, left, right)
    base = base + (slope * np.diff(np.minimum(ends, left), axis=0)).sum(axis=0)
    return left, base, slope, np.diff(cut, axis=0)


def _solution(
    problem: Problem,
    supply: _Supply,
    change: FloatArray,
    energy: FloatArray,
    cost: float,
    value: FloatArray,
) -> Solution:
    """The plan that changes what the tank holds like this, by the cheapest sources."""
    bus, hours = problem.buses[0], problem.horizon.step_h
    needed = change + bus.demand_kw * hours
    made = np.maximum(needed, 0.0)
    if bus.dump:
        made = np.maximum(made, np.where(supply.slope < 0.0, supply.width, 0.0).sum(axis=0))
    order = np.argsort(supply.slope, axis=0, kind="stable")
    width = np.take_along_axis(supply.width, order, axis=0)
    before = np.cumsum(width, axis=0) - width
    taken = np.empty_like(width)
    np.put_along_axis(taken, order, np.clip(made - before, 0.0, width), axis=0)
    by_source = [
        taken[supply.source == number].sum(axis=0) / hours
        for number in range(len(problem.units) + 1)
    ]
    units = tuple(
        _unit_plan(unit, heat) for unit, heat in zip(problem.units, by_source[:-1], strict=True)
    )
    # Rounding aside, the tank takes what is made beyond the demand, and the rest is thrown away.
    dumped = np.maximum(made - needed, 0.0) / hours if bus.dump else 0.0 * hours
    plan = BusPlan(dumped_kw=dumped, unmet_kw=by_source[-1])
    drawn = [
        plan.input_kw * unit.electric - plan.electricity_kw
        for unit, plan in zip(problem.units, units, strict=True)
    ]
    moved = change / hours
    return solution_of(
        problem,
        np.sum(drawn, axis=0),
        {"buses": (plan,), "units": units},
        cost,
        "kernel of a tank",
        tank=(np.maximum(moved, 0.0), np.maximum(-moved, 0.0), energy, value),
    )


def _unit_plan(unit: Unit, heat_kw: FloatArray) -> UnitPlan:
    power = heat_kw / unit.heat_per_input
    return UnitPlan(
        on=(power > 1e-9).astype(float),
        input_kw=power,
        electricity_kw=unit.electricity_per_input * power,
        heat_kw=heat_kw,
    )
