"""The referee of a unit, and the one that follows the heat that is needed."""

import numpy as np

from loadloom.models.dispatch.devices.unit import Unit, UnitPlan
from loadloom.models.dispatch.judges.runs import judge_switching
from loadloom.models.dispatch.sheet import Sheet
from loadloom.models.horizon import FloatArray, Horizon


def judge(sheet: Sheet, path: str, unit: Unit, plan: UnitPlan) -> None:
    """Charges what a plan costs and notes every rule of the unit that it breaks."""
    hours, on = sheet.hours, plan.on > 0.5
    if not np.all((plan.on == 0.0) | (plan.on == 1.0)):
        sheet.broken(f"{path}.on", "must be 0 or 1 in each interval")
    used = plan.input_kw * hours
    least, most = unit.input_least_kw * hours * on, unit.input_limit_kw * hours * on
    sheet.within(f"{path}.input_kw", used, least, most)
    judge_switching(sheet, path, unit.switching, on, ends=False)
    _judge_ramp(sheet, path, unit, plan)
    for name, rate in (
        ("electricity_kw", unit.electricity_per_input),
        ("heat_kw", unit.heat_per_input),
    ):
        given = getattr(plan, name) * hours
        sheet.equal(f"{path}.{name}", given, rate * used, rate * used)
    sheet.charge("fuel", float(unit.input_cost_per_kwh @ used))
    sheet.emits(unit.carbon_kg_per_kwh * used)
    sheet.draws(unit.name, plan.input_kw * unit.electric - plan.electricity_kw)
    if unit.bus:
        sheet.draws(unit.name, -plan.heat_kw, bus=unit.bus)
    if unit.electricity_per_input.any():
        free = np.maximum(unit.input_limit_kw * _ready(unit, on) - plan.input_kw, 0.0)
        sheet.spare(unit.electricity_per_input * free)


def _ready(unit: Unit, on: np.ndarray) -> np.ndarray:
    """Where a unit can give more at once: while it is on, or always if nothing depends on that."""
    return np.ones(on.size, bool) if unit.continuous else on


def _judge_ramp(sheet: Sheet, path: str, unit: Unit, plan: UnitPlan) -> None:
    """What changes faster than it may; a start or a stop may go by the least power at once."""
    if np.isinf(unit.ramp_kw_per_h):
        return
    rise, on = unit.rise_kw(sheet.horizon), plan.on > 0.5
    was_on = np.append(unit.switching.initially_on, on[:-1])
    first = unit.initial_input_kw if unit.switching.initially_on else 0.0
    before = np.append(first, plan.input_kw[:-1])
    least_before = np.append(unit.input_least_kw[0], unit.input_least_kw[:-1])
    up = np.where(was_on, rise, np.maximum(unit.input_least_kw, rise))
    down = np.where(on, rise, np.maximum(least_before, rise))
    sheet.within(f"{path}.ramp_kw_per_h", plan.input_kw - before, -down, up)


def idle(horizon: Horizon, unit: Unit, needs: dict[str, FloatArray]) -> UnitPlan:
    """The plan that gives the heat that is still needed, as far as it can, and nothing else."""
    power = np.zeros(horizon.count)
    if unit.bus and unit.bus in needs:
        need = needs[unit.bus]
        rate = np.maximum(unit.heat_per_input, 1e-12)
        power = np.where(unit.heat_per_input > 0.0, np.maximum(need, 0.0) / rate, 0.0)
        power = np.where(power > 0.0, np.maximum(power, unit.input_least_kw), 0.0)
        power = np.minimum(power, unit.input_limit_kw)
        need -= unit.heat_per_input * power
    return UnitPlan(
        on=(power > 0.0).astype(float),
        input_kw=power,
        electricity_kw=unit.electricity_per_input * power,
        heat_kw=unit.heat_per_input * power,
    )
