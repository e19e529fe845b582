"""Why devices that are no stores run when they do: the value of energy then, and at the next best.

A device that draws runs where energy is cheap for it; the next best interval is the cheapest of
those in which it could run more. One that gives runs where energy is dear, and its next best is the
dearest that is left. The values are duals, so they count what limits cost as well.
"""

import numpy as np

from loadloom.models.dispatch.blocks.site import build
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.programme import Programme
from loadloom.models.dispatch.reason import Action, Reason
from loadloom.models.dispatch.referee import drawn_kw
from loadloom.models.dispatch.smallest_sets import runs
from loadloom.models.dispatch.solution import Solution
from loadloom.models.horizon import FloatArray

IDLE_KW = 1e-6
"""Power up to this is rounding."""


def device_reasons(problem: Problem, solution: Solution) -> list[Reason]:
    """The reasons of all devices that decide but stores, in order of device and time."""
    if solution.schedule is None or solution.values is None:
        return []
    drawn = drawn_kw(problem, solution.schedule) or {}
    programme = build(problem).programme
    found: list[Reason] = []
    names = [device.name for family, _, device in problem.devices() if family != "storages"]
    for name in dict.fromkeys(names):
        for (of, bus), kw in drawn.items():
            if of == name:
                value = solution.values.on_bus(bus)
                found += _reasons(programme, name, bus, kw, value)
    return found


def _reasons(
    programme: Programme, name: str, bus: str, kw: FloatArray, value: FloatArray
) -> list[Reason]:
    """The reasons of what one device does on one bus, run by run."""
    most, least = _reach(programme, name, bus)
    more = (most - kw > IDLE_KW, kw - least > IDLE_KW)
    found = []
    for action, sign, room in ((Action.DRAW, 1.0, more[0]), (Action.GIVE, -1.0, more[1])):
        for run in runs(sign * kw > IDLE_KW):
            energy = np.where(run, sign * kw * programme.hours, 0.0)
            here = float(value @ energy) / float(energy.sum())
            left = np.flatnonzero(room & ~run)
            then = None
            if left.size:
                then = int(left[np.argmin(sign * value[left])])
            first = int(np.flatnonzero(run)[0])
            found.append(
                _reason(
                    programme, (name, bus), action, first, int(run.sum()), energy, here, then, value
                )
            )
    return sorted(found, key=lambda reason: reason.interval)


def _reason(
    programme: Programme,
    where: tuple[str, str],
    action: Action,
    first: int,
    count: int,
    energy: FloatArray,
    here: float,
    then: int | None,
    value: FloatArray,
) -> Reason:
    there = None if then is None else float(value[then])
    (name, bus), draws = where, action is Action.DRAW
    verb = "runs on power" if draws else "gives power"
    if bus:
        verb = f"takes energy from bus {bus!r}" if draws else f"gives energy to bus {bus!r}"
    text = f"{verb} worth {here:.4f} here"
    if then is None or there is None:
        text += "; there is no other interval in which it could do more"
    else:
        best = "cheapest" if draws else "dearest"
        text += f"; the {best} interval left is {programme.horizon.clock(then)}, at {there:.4f}"
    return Reason(
        storage=name,
        interval=first,
        interval_count=count,
        action=action,
        energy_kwh=float(energy.sum()),
        site_value_per_kwh=here,
        counterpart_interval=then,
        counterpart_value_per_kwh=there,
        worth_per_kwh=here if there is None else there,
        next_best_per_kwh=here if there is None else there,
        text=text,
    )


def _reach(programme: Programme, name: str, bus: str) -> tuple[FloatArray, FloatArray]:
    """The most and the least power that a device could draw from a bus, in kW, (count,)."""
    fixed = programme.demand(bus, names={name})
    most, least = fixed.copy(), fixed.copy()
    low, high = programme.low, programme.reach
    for draw in programme.flows(bus):
        if draw.name == name and draw.scene is None:
            with np.errstate(invalid="ignore"):
                ends = np.stack((draw.kwh * low[draw.columns], draw.kwh * high[draw.columns]))
            ends = np.nan_to_num(ends, nan=0.0, posinf=np.inf, neginf=-np.inf)
            np.add.at(most, draw.intervals, ends.max(axis=0))
            np.add.at(least, draw.intervals, ends.min(axis=0))
    return most / programme.hours, least / programme.hours
