"""A unit in the general programme: its input, and whether it is on where that matters."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from loadloom.models.dispatch.blocks.commitment import Commitment, add_commitment
from loadloom.models.dispatch.devices.unit import Unit, UnitPlan
from loadloom.models.dispatch.programme import IntArray, Programme, Rule
from loadloom.models.horizon import FloatArray


def add(programme: Programme, path: str, unit: Unit) -> Callable[[FloatArray], UnitPlan]:
    """Adds a unit; gives the reader of its plan."""
    most = unit.input_limit_kw * programme.hours
    limit = Rule(
        path=f"{path}.input_limit_kw",
        says=f"'{unit.name}' may run at no more than {{limit}}",
        scale=programme.hours / unit.rated,
        shift=0.0 if unit.continuous else unit.rated * unit.input_limit_kw,
    )
    running = None
    if unit.continuous:
        drawn = programme.columns(
            programme.count, 0.0, most, unit.input_cost_per_kwh, at_most=limit
        )
    else:
        drawn = programme.columns(programme.count, 0.0, np.inf, unit.input_cost_per_kwh, cut=most)
        running = _add_running(programme, path, unit, drawn, limit)
    if np.isfinite(unit.ramp_kw_per_h):
        _add_ramp(programme, path, unit, drawn, running)
    _add_outputs(programme, unit, drawn)
    if programme.reserved.size:
        _add_spare(programme, unit, drawn, running, limit)

    def read(primal: FloatArray) -> UnitPlan:
        power = np.maximum(primal[drawn], 0.0) / programme.hours
        on = (power > 1e-9).astype(float) if running is None else np.round(primal[running.on])
        power = np.where(on > 0.5, power, 0.0)
        return UnitPlan(
            on=on,
            input_kw=power,
            electricity_kw=unit.electricity_per_input * power,
            heat_kw=unit.heat_per_input * power,
        )

    return read


def _add_running(
    programme: Programme, path: str, unit: Unit, drawn: IntArray, limit: Rule
) -> Commitment:
    """The columns of being on, and the limits that hold while it is."""
    count, hours = programme.count, programme.hours
    running = add_commitment(
        programme,
        path,
        unit.name,
        unit.switching,
        (0, count),
        within=False,
        starts=bool(np.isfinite(unit.ramp_kw_per_h)),
    )
    rows = programme.rows(count, -np.inf, 0.0, at_most=limit)
    programme.entries(rows, drawn, 1.0)
    programme.entries(rows, running.on, -unit.input_limit_kw * hours)
    if unit.input_least_kw.any():
        least = Rule(
            path=f"{path}.input_least_kw",
            says=f"'{unit.name}' must run at no less than {{limit}} while it is on",
            scale=hours / unit.rated,
            shift=unit.rated * unit.input_least_kw,
        )
        rows = programme.rows(count, 0.0, np.inf, at_least=least)
        programme.entries(rows, drawn, 1.0)
        programme.entries(rows, running.on, -unit.input_least_kw * hours)
    return running


def _add_ramp(
    programme: Programme, path: str, unit: Unit, drawn: IntArray, running: Commitment | None
) -> None:
    """The limits of the change of power; a start or a stop may go to the least power at once."""
    rise = unit.rise_kw(programme.horizon)
    on_before = unit.switching.initially_on
    before_kw = unit.initial_input_kw if on_before else 0.0
    stop = np.maximum(np.append(unit.input_least_kw[0], unit.input_least_kw[:-1]), rise)
    most_up, most_down = (
        (rise.copy(), rise.copy()) if running is None else (0.0 * rise, stop.copy())
    )
    if running is not None and on_before:
        most_up[0] = rise[0]
    most_up[0] += before_kw
    most_down[0] -= before_kw
    up, down = (_change_rows(programme, path, unit, most) for most in (most_up, most_down))
    for rows, sign in ((up, 1.0), (down, -1.0)):
        programme.entries(rows, drawn, sign / programme.hours)
        programme.entries(rows[1:], drawn[:-1], -sign / programme.hours[:-1])
    if running is not None and running.start is not None:
        programme.entries(up[1:], running.on[:-1], -rise[1:])
        programme.entries(up, running.start, -np.maximum(unit.input_least_kw, rise))
        programme.entries(down, running.on, stop - rise)


def _change_rows(programme: Programme, path: str, unit: Unit, most: FloatArray) -> IntArray:
    """Rows for a change of power of at most so many kW, with what starts and stops in them."""
    scale = unit.since_h(programme.horizon) / unit.rated
    limit = Rule(
        path=f"{path}.ramp_kw_per_h",
        says=f"'{unit.name}' may change its power by no more than {{limit}}",
        unit="kW/h",
        scale=scale,
        shift=unit.rated * unit.ramp_kw_per_h - most / scale,
    )
    return programme.rows(programme.count, -np.inf, most, at_most=limit)


def _add_outputs(programme: Programme, unit: Unit, drawn: IntArray) -> None:
    """What the input draws, gives and emits."""
    if unit.electric:
        programme.draws(unit.name, drawn)
    if unit.electricity_per_input.any():
        programme.draws(unit.name, drawn, -unit.electricity_per_input)
    if unit.heat_per_input.any():
        programme.draws(unit.name, drawn, -unit.heat_per_input, bus=unit.bus)
    if unit.carbon_kg_per_kwh > 0.0:
        programme.emits(drawn, unit.carbon_kg_per_kwh)


def _add_spare(
    programme: Programme,
    unit: Unit,
    drawn: IntArray,
    running: Commitment | None,
    limit: Rule,
) -> None:
    """The electricity that it could give besides while it runs, in kW."""
    where = programme.reserved[unit.electricity_per_input[programme.reserved] > 0.0]
    given = unit.electricity_per_input[where]
    most = given * unit.input_limit_kw[where]
    spare = programme.columns(where.size)
    shift = 0.0 if running is None else unit.rated * unit.input_limit_kw[where]
    rows = programme.rows(
        where.size,
        -np.inf,
        most if running is None else 0.0,
        at_most=replace(limit, scale=given / unit.rated, shift=shift),
        intervals=where,
    )
    programme.entries(rows, spare, 1.0)
    programme.entries(rows, drawn[where], given / programme.hours[where])
    if running is not None:
        programme.entries(rows, running.on[where], -most)
    programme.spare(spare, where)
