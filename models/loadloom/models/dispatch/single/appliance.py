"""The roads for a site with one appliance: a scan over starts, or hours on and off."""

import numpy as np

from loadloom.models.dispatch.devices.appliance import (
    Appliance,
    AppliancePlan,
    InterruptibleAppliance,
    ShiftableAppliance,
)
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.single.meter import Connection, connection_of, solution_of
from loadloom.models.dispatch.solution import Solution
from loadloom.models.dispatch.switching import NEAR_H, boundaries_after, starts
from loadloom.models.horizon import FloatArray
from loadloom.solvers.kernels.switched import best_hours, best_starts

MOST_CELLS = 4_000_000
"""The most states of the programme over hours, some 60 MB; beyond it another road decides."""


def solve_appliance(problem: Problem, appliance: Appliance) -> Solution | None:
    """The best plan of a site whose only device is an appliance.

    None where it has none, or has rules that are not those of the road: steps of several lengths
    and a limit of starts of what may be interrupted, and limits of the meter that are passed while
    it is off.
    """
    if isinstance(appliance, ShiftableAppliance):
        return _solve_shiftable(problem, appliance)
    even = np.ptp(problem.horizon.step_h) <= 1e-9 * problem.horizon.step_h[0]
    if not even or appliance.switching.most_starts is not None:
        return None
    return _solve_interruptible(problem, appliance)


def _solve_shiftable(problem: Problem, appliance: ShiftableAppliance) -> Solution | None:
    horizon, hours = problem.horizon, problem.horizon.step_h
    meter = connection_of(problem)
    carried_kw = appliance.carried_kw(horizon)
    off = meter.cost(carried_kw * hours)
    if not np.isfinite(off).all():
        return None
    first = appliance.start_boundaries(horizon)
    cost = _start_costs(problem, appliance, meter, first, off)
    begin_h = horizon.boundaries_h[first]
    following = np.searchsorted(begin_h, begin_h + (appliance.duration_h - NEAR_H))
    following = np.maximum(following, np.arange(first.size) + 1)
    chosen = np.zeros(first.size)
    added = best_starts(
        cost, following, appliance.run_count, appliance.breach_price_per_run, chosen
    )
    if np.isinf(added):
        return None
    begun = first[chosen > 0.5]
    power, marks = carried_kw.copy(), np.zeros(horizon.count)
    marks[begun] = 1.0
    for boundary in begun:
        power += appliance.run_kw(horizon, int(boundary))
    plan = AppliancePlan(
        power_kw=power, starts=marks, missed=float(appliance.run_count - begun.size)
    )
    objective = float(off.sum()) + float(added)
    return solution_of(problem, power, {"appliances": (plan,)}, objective, "kernel of starts")


def _start_costs(
    problem: Problem,
    appliance: ShiftableAppliance,
    meter: Connection,
    first: np.ndarray,
    off: FloatArray,
) -> FloatArray:
    """What each start adds to the cost, shape (starts,)."""
    horizon, hours = problem.horizon, problem.horizon.step_h
    ends = appliance.ends(horizon, first)
    carried = appliance.carried_kw(horizon) * hours
    even = bool(np.ptp(hours) == 0.0)
    added, profile = np.zeros(first.size), np.empty(0)
    for i, (a, end) in enumerate(zip(first, ends, strict=True)):
        if i == 0 or not even:
            profile = appliance.part_kwh(horizon, int(a), int(end))
        part = slice(int(a), int(end))
        near = Connection(
            net=meter.net[part] + carried[part],
            free=meter.free[part],
            buy=meter.buy[part],
            sell=meter.sell[part],
            most_in=meter.most_in[part],
            most_out=meter.most_out[part],
        )
        added[i] = float((near.cost(profile) - off[part]).sum())
    return added


def _solve_interruptible(problem: Problem, appliance: InterruptibleAppliance) -> Solution | None:
    horizon, count = problem.horizon, problem.horizon.count
    step_h, switching = float(horizon.step_h[0]), appliance.switching
    meter = connection_of(problem)
    off = meter.cost(np.zeros(count))
    if not np.isfinite(off).all():
        return None
    on = meter.cost(np.full(count, appliance.power_kw * step_h))
    first, last = appliance.earliest, appliance.latest
    least_on, least_off = (
        int(boundaries_after(horizon, hours)[0])
        for hours in (switching.least_on_h, switching.least_off_h)
    )
    held, running = switching.held_count(horizon), switching.initially_on
    if running and first > 0:  # it stops at once, and stands still for its least time
        held, running = least_off, False
    held = min(max(0, held - first), last - first)
    most = int(min(last - first, (appliance.running_max_h + 1e-9) // step_h))
    if (last - first + 1) * (most + 1) > MOST_CELLS:
        return None
    state = np.zeros(last - first)
    cost = best_hours(
        on[first:last] - off[first:last],
        np.zeros(last - first),
        least_on,
        least_off,
        switching.start_cost,
        _end_costs(appliance, most, step_h),
        running,
        held,
        state,
    )
    if np.isinf(cost):
        return None
    whole = np.zeros(count)
    whole[first:last] = state
    ran_h = step_h * float(whole.sum())
    plan = AppliancePlan(
        power_kw=appliance.power_kw * whole,
        starts=starts(whole, switching.initially_on).astype(float),
        missed=max(0.0, appliance.running_min_h - ran_h),
    )
    objective = float(off.sum()) + float(cost)
    return solution_of(
        problem, plan.power_kw, {"appliances": (plan,)}, objective, "kernel of hours"
    )


def _end_costs(appliance: InterruptibleAppliance, most: int, step_h: float) -> FloatArray:
    """What the hours that are missed cost, by the number of intervals on, shape (most + 1,)."""
    short = appliance.running_min_h - step_h * np.arange(most + 1)
    near = 1e-9 * (1.0 + appliance.running_min_h)
    price = appliance.breach_price_per_h
    return np.where(short > near, price * np.maximum(short, near), 0.0)
