"""Sites of any size in numbers of one size: energies in a unit that is a power of two kWh.

Solvers keep rows to the same 1e-9 in whatever they are measured, and lose themselves where a column
of 1e8 kWh stands beside a binary. A large site is therefore solved in a larger unit: energies,
powers and masses are divided by it, and so is money that is not paid by the kWh. A power of two
changes no digit, so a site a thousand and twenty-four times as large is the same programme.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import LimitPrice, Solution
from loadloom.models.horizon import FloatArray

USUAL_KWH = 1_024.0
"""Sites that move no more than this in half of their intervals are solved in kWh."""

LARGEST_UNIT = 4_096.0
"""The largest unit: with a larger one the small devices of a large site would lose their digits."""

GROWING = ("_kw", "_kwh", "_kg", "_kw_per_h", "_kw_per_k", "_kwh_per_k")
"""How the names of fields end that grow with a site; what is said per kW, kWh or kg does not."""

PER_EVENT = {
    "start_cost",
    "missed_price",
    "breach_price_per_run",
    "breach_price_per_h",
    "breach_price_per_k_h",
}
"""The prices of what is no energy, which grow with a site as well."""

UNITS_OF_ENERGY = {"kW", "kWh", "kg", "kW/h"}
"""The units of limits whose prices do not grow with a site."""

T = TypeVar("T")


def unit_kwh(problem: Problem) -> float:
    """The unit to solve a site in, by what it has to meet, or by what its devices can hold."""
    hours = problem.horizon.step_h
    known = _median(
        [each.power_kw * hours for each in (*problem.loads, *problem.photovoltaics)]
        + [bus.demand_kw * hours for bus in problem.buses]
    )
    if known == 0.0:
        held = [np.minimum(x.charge_limit_kw * hours, x.energy_max_kwh) for x in problem.storages]
        held += [np.minimum(x.charge_limit_kw * hours, x.capacity_kwh) for x in problem.vehicles]
        known = _median(held)
    if known <= 2.0 * USUAL_KWH:
        return 1.0
    return min(LARGEST_UNIT, float(2.0 ** np.floor(np.log2(known / USUAL_KWH))))


def _median(series: list[FloatArray]) -> float:
    """The median of all numbers above zero; zero if there are none."""
    values = np.concatenate([np.zeros(0), *series])
    return float(np.median(values[values > 0.0])) if (values > 0.0).any() else 0.0


def scaled(part: T, factor: float) -> T:
    """A problem, a schedule or a part of one with all that grows with a site times a factor."""
    return part if factor == 1.0 else _scaled(part, factor)


def _scaled(part: Any, factor: float) -> Any:  # noqa: ANN401 -- any part
    if not is_dataclass(part) or isinstance(part, type):
        return part
    changed: dict[str, Any] = {}
    for each in fields(part):
        value = getattr(part, each.name)
        grows = each.name in PER_EVENT or (
            each.name.endswith(GROWING)
            and not each.name.endswith(("_per_kw", "_per_kwh", "_per_kg"))
        )
        new = _times(value, factor) if grows else _below(value, factor)
        if new is not value:
            changed[each.name] = new
    if isinstance(part, Problem):
        return _unchecked(part, changed)
    return replace(part, **changed) if changed else part


def enlarged(solution: Solution, unit: float) -> Solution:
    """The solution of a site from that of the site in another unit."""
    if unit == 1.0:
        return solution
    ended, values = solution.termination, solution.values
    if values is not None:
        values = replace(values, limits=tuple(_priced(x, unit) for x in values.limits))
    return replace(
        solution,
        termination=replace(ended, objective=unit * ended.objective, bound=unit * ended.bound),
        schedule=None if solution.schedule is None else scaled(solution.schedule, unit),
        values=values,
    )


def _times(value: Any, factor: float) -> Any:  # noqa: ANN401 -- numbers in any container
    """All numbers in a value times a factor."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: factor * each for name, each in value.items()}
    if isinstance(value, tuple):
        return tuple(factor * each for each in value)
    return factor * value


def _below(value: Any, factor: float) -> Any:  # noqa: ANN401 -- a part, or parts
    if isinstance(value, tuple):
        new = tuple(_below(each, factor) for each in value)
        return new if any(a is not b for a, b in zip(new, value, strict=True)) else value
    return _scaled(value, factor)


def _unchecked(problem: Problem, changed: dict[str, Any]) -> Problem:
    """The problem with other numbers, whose rules hold in the caller's unit and not in this one."""
    new = object.__new__(Problem)
    for each in fields(Problem):
        object.__setattr__(new, each.name, changed.get(each.name, getattr(problem, each.name)))
    return new


def _priced(limit: LimitPrice, unit: float) -> LimitPrice:
    return limit if limit.unit in UNITS_OF_ENERGY else replace(limit, price=unit * limit.price)
