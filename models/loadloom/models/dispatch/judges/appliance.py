"""The referee of appliances, and those that start as soon as they may."""

import numpy as np

from loadloom.models.dispatch.devices.appliance import (
    Appliance,
    AppliancePlan,
    InterruptibleAppliance,
    ShiftableAppliance,
)
from loadloom.models.dispatch.judges.runs import judge_switching
from loadloom.models.dispatch.sheet import Sheet
from loadloom.models.dispatch.switching import NEAR_H, starts
from loadloom.models.horizon import FloatArray, Horizon


def judge(sheet: Sheet, path: str, appliance: Appliance, plan: AppliancePlan) -> None:
    """Charges what a plan costs and notes every rule of the appliance that it breaks."""
    if isinstance(appliance, ShiftableAppliance):
        _judge_shiftable(sheet, path, appliance, plan)
    else:
        _judge_interruptible(sheet, path, appliance, plan)
    sheet.draws(appliance.name, plan.power_kw)


def _judge_shiftable(
    sheet: Sheet, path: str, appliance: ShiftableAppliance, plan: AppliancePlan
) -> None:
    horizon, duration_h = sheet.horizon, appliance.duration_h
    boundaries = horizon.boundaries_h
    begun = np.flatnonzero(plan.starts > 0.5)
    free_h = duration_h - appliance.carried_h if appliance.carried_h > 0.0 else 0.0
    expected = np.zeros(horizon.count)
    if appliance.carried_h > 0.0:
        expected += _run_kw(horizon, appliance, -appliance.carried_h)
    for boundary in begun:
        begin_h = float(boundaries[boundary])
        inside = boundary >= appliance.earliest
        if not inside or begin_h + duration_h > boundaries[appliance.latest] + 2 * NEAR_H:
            sheet.broken(f"{path}.starts[{boundary}]", "runs outside of its window")
        if begin_h < free_h - 2 * NEAR_H:
            sheet.broken(f"{path}.starts[{boundary}]", "starts before the last run is over")
        free_h = begin_h + duration_h
        expected += _run_kw(horizon, appliance, begin_h)
    hours = sheet.hours
    sheet.equal(f"{path}.power_kw", plan.power_kw * hours, expected * hours, expected * hours)
    missed = np.array([float(appliance.run_count - begun.size)])
    sheet.equal(f"{path}.missed", np.array([plan.missed]), missed, np.zeros(1))
    if np.isfinite(appliance.breach_price_per_run) and missed[0] >= 0.0:
        sheet.breach(f"{path}.run_count", missed, appliance.breach_price_per_run, unit="runs")
    else:
        sheet.within(f"{path}.run_count", missed, 0.0, 0.0)


def _run_kw(horizon: Horizon, appliance: ShiftableAppliance, begin_h: float) -> FloatArray:
    """The mean power of a run in each interval, from the pieces into which boundaries cut it."""
    boundaries, profile = horizon.boundaries_h, appliance.profile_kw
    steps = begin_h + appliance.profile_step_h * np.arange(profile.size + 1)
    within = boundaries[(boundaries > steps[0]) & (boundaries < steps[-1])]
    cuts = np.sort(np.concatenate((steps, within)))
    middle = (cuts[1:] + cuts[:-1]) / 2.0
    drawn = profile[np.clip(np.searchsorted(steps, middle) - 1, 0, profile.size - 1)]
    interval = np.searchsorted(boundaries, middle) - 1
    inside = (interval >= 0) & (interval < horizon.count)
    kwh = (drawn * np.diff(cuts))[inside]
    return np.bincount(interval[inside], kwh, horizon.count) / horizon.step_h


def _judge_interruptible(
    sheet: Sheet, path: str, appliance: InterruptibleAppliance, plan: AppliancePlan
) -> None:
    hours, switching = sheet.hours, appliance.switching
    on = plan.power_kw > 0.5 * appliance.power_kw
    drawn = np.where(on, appliance.power_kw * hours, 0.0)
    sheet.equal(f"{path}.power_kw", plan.power_kw * hours, drawn, drawn)
    outside = on.copy()
    outside[appliance.earliest : appliance.latest] = False
    for t in np.flatnonzero(outside)[:1]:
        sheet.broken(f"{path}.power_kw[{t}]", "runs outside of its window")
    judge_switching(sheet, path, switching, on, ends=True)
    begun = starts(on.astype(float), switching.initially_on).astype(float)
    sheet.equal(f"{path}.starts", plan.starts, begun, begun)
    ran_h = float(hours[on].sum())
    short = np.array([appliance.running_min_h - ran_h])
    missed = np.array([plan.missed])
    sheet.within(f"{path}.missed", missed, np.maximum(short, 0.0), np.inf)
    sheet.within(f"{path}.running_max_h", np.array([ran_h]), 0.0, appliance.running_max_h)
    if np.isfinite(appliance.breach_price_per_h):
        sheet.breach(f"{path}.running_min_h", missed, appliance.breach_price_per_h, unit="h")
    else:
        sheet.within(f"{path}.running_min_h", missed, 0.0, 0.0)


def idle(horizon: Horizon, appliance: Appliance, needs: dict[str, FloatArray]) -> AppliancePlan:  # noqa: ARG001 -- the form of all baselines
    """The plan that starts as early as it may and runs through."""
    if isinstance(appliance, ShiftableAppliance):
        return _early_runs(horizon, appliance)
    return _early_hours(horizon, appliance)


def _early_runs(horizon: Horizon, appliance: ShiftableAppliance) -> AppliancePlan:
    power, marks = np.zeros(horizon.count), np.zeros(horizon.count)
    if appliance.carried_h > 0.0:
        power += _run_kw(horizon, appliance, -appliance.carried_h)
    free_h, left = 0.0, appliance.run_count
    for boundary in appliance.start_boundaries(horizon):
        begin_h = float(horizon.boundaries_h[boundary])
        if left and begin_h >= free_h - NEAR_H:
            marks[boundary] = 1.0
            power += _run_kw(horizon, appliance, begin_h)
            free_h, left = begin_h + appliance.duration_h, left - 1
    return AppliancePlan(power_kw=power, starts=marks, missed=float(left))


def _early_hours(horizon: Horizon, appliance: InterruptibleAppliance) -> AppliancePlan:
    """Runs from the first interval of its window for as long as it needs, or must once it does."""
    switching, hours = appliance.switching, horizon.step_h
    least_h = appliance.running_min_h
    if least_h > 0.0:
        least_h = max(least_h, switching.least_on_h)
    if switching.initially_on:
        least_h = max(least_h, switching.least_on_h - switching.initial_h)
    on, ran_h = np.zeros(horizon.count), 0.0
    for t in range(appliance.earliest, appliance.latest):
        if ran_h < least_h - NEAR_H:
            on[t], ran_h = 1.0, ran_h + float(hours[t])
    return AppliancePlan(
        power_kw=appliance.power_kw * on,
        starts=starts(on, switching.initially_on).astype(float),
        missed=max(0.0, appliance.running_min_h - ran_h),
    )
