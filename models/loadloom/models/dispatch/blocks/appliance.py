"""Appliances in the general programme: a binary for each start, or for each interval of running."""

from collections.abc import Callable

import numpy as np

from loadloom.models.dispatch.blocks.commitment import add_commitment, add_sums
from loadloom.models.dispatch.devices.appliance import (
    Appliance,
    AppliancePlan,
    InterruptibleAppliance,
    ShiftableAppliance,
)
from loadloom.models.dispatch.programme import WHOLE, IntArray, Programme, Rule
from loadloom.models.dispatch.switching import NEAR_H, starts
from loadloom.models.horizon import FloatArray

_WHOLE = np.array([WHOLE])


def add(
    programme: Programme, path: str, appliance: Appliance
) -> Callable[[FloatArray], AppliancePlan]:
    """Adds an appliance; gives the reader of its plan."""
    if isinstance(appliance, ShiftableAppliance):
        return _add_shiftable(programme, path, appliance)
    return _add_interruptible(programme, path, appliance)


def _add_shiftable(
    programme: Programme, path: str, appliance: ShiftableAppliance
) -> Callable[[FloatArray], AppliancePlan]:
    horizon, runs = programme.horizon, float(appliance.run_count)
    first = appliance.start_boundaries(horizon)
    start = programme.columns(first.size, 0.0, 1.0, integer=True, intervals=first)
    chosen, intervals, kwh = _drawn(programme, appliance, first)
    programme.draws(appliance.name, start[chosen], kwh, intervals=intervals)
    programme.demands(appliance.name, appliance.carried_kw(horizon) * programme.hours)
    soft = np.isfinite(appliance.breach_price_per_run)
    rule = Rule(
        path=f"{path}.run_count",
        says=f"'{appliance.name}' must make at least {{limit}}",
        unit="runs",
    )
    row = programme.rows(1, runs, runs, at_least=None if soft else rule, intervals=_WHOLE)
    programme.entries(row, start, 1.0)
    if soft:
        missed = programme.columns(1, 0.0, runs, appliance.breach_price_per_run)
        programme.entries(row, missed, 1.0)
    if appliance.run_count > 1:
        _add_one_at_a_time(programme, appliance, first, start)

    def read(primal: FloatArray) -> AppliancePlan:
        begun = first[primal[start] > 0.5]
        power, marks = appliance.carried_kw(horizon), np.zeros(horizon.count)
        marks[begun] = 1.0
        for boundary in begun:
            power = power + appliance.run_kw(horizon, boundary)
        return AppliancePlan(power_kw=power, starts=marks, missed=runs - begun.size)

    return read


def _drawn(
    programme: Programme, appliance: ShiftableAppliance, first: IntArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """What each start draws: which start, in which interval, and how many kWh, entry by entry."""
    horizon, hours = programme.horizon, programme.hours
    lengths = appliance.ends(horizon, first) - first
    chosen = np.repeat(np.arange(first.size), lengths)
    offset = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    intervals = first[chosen] + offset
    if first.size and np.ptp(hours) == 0.0:  # every run looks the same
        run = appliance.part_kwh(horizon, int(first[0]), int(first[0] + lengths[0]))
        return chosen, intervals, run[offset]
    ends = first + lengths
    parts = [appliance.part_kwh(horizon, int(a), int(b)) for a, b in zip(first, ends, strict=True)]
    return chosen, intervals, np.concatenate([np.empty(0), *parts])


def _add_one_at_a_time(
    programme: Programme, appliance: ShiftableAppliance, first: IntArray, start: IntArray
) -> None:
    """Of the starts from one on until its run would be over only one is made."""
    begin_h = programme.horizon.boundaries_h[first]
    over = np.searchsorted(begin_h, begin_h + (appliance.duration_h - NEAR_H))
    rows, place = programme.rows(first.size, -np.inf, 1.0), np.arange(first.size)
    add_sums(programme, rows, start, place, np.maximum(over, place + 1))


def _add_interruptible(
    programme: Programme, path: str, appliance: InterruptibleAppliance
) -> Callable[[FloatArray], AppliancePlan]:
    window = appliance.earliest, appliance.latest
    running = add_commitment(
        programme, path, appliance.name, appliance.switching, window, within=True
    )
    intervals = np.arange(*window)
    hours = programme.hours[intervals]
    programme.draws(appliance.name, running.on, appliance.power_kw * hours, intervals=intervals)
    soft = np.isfinite(appliance.breach_price_per_h)
    least, most = (
        Rule(
            path=f"{path}.{name}",
            says=f"'{appliance.name}' must run for {how} {{limit}}",
            unit="h",
        )
        for name, how in (("running_min_h", "at least"), ("running_max_h", "at most"))
    )
    near = 1e-9 * programme.horizon.boundaries_h[-1]  # sums of steps are off by rounding
    row = programme.rows(
        1,
        appliance.running_min_h - near,
        np.inf,
        at_least=None if soft else least,
        intervals=_WHOLE,
    )
    programme.entries(row, running.on, hours)
    if soft:
        price = appliance.breach_price_per_h
        missed = programme.columns(1, 0.0, appliance.running_min_h, price)
        programme.entries(row, missed, 1.0)
    if np.isfinite(appliance.running_max_h):
        row = programme.rows(
            1, -np.inf, appliance.running_max_h + near, at_most=most, intervals=_WHOLE
        )
        programme.entries(row, running.on, hours)

    def read(primal: FloatArray) -> AppliancePlan:
        on = np.zeros(programme.count)
        on[intervals] = np.round(primal[running.on])
        ran_h = float(on @ programme.hours)
        return AppliancePlan(
            power_kw=appliance.power_kw * on,
            starts=starts(on, appliance.switching.initially_on).astype(float),
            missed=max(0.0, appliance.running_min_h - ran_h),
        )

    return read
