"""Conflicts in words that a planner can act on."""

from math import ceil

import numpy as np

from loadloom.models.dispatch.programme import WHOLE, BoolArray, Limit, Rule
from loadloom.models.dispatch.solution import Conflict
from loadloom.models.horizon import FloatArray, Horizon


def conflict(
    horizon: Horizon, limit: Limit, numbers: FloatArray, change: FloatArray, mask: BoolArray
) -> Conflict:
    """The conflict of a limit over a run of its places, and its cure where it gives way there.

    `numbers` are those of the request, `change` is by how much the limit gives way in the unit of
    its rows or columns, and `mask` marks the run; all have the shape of the limit.
    """
    where, rule = np.flatnonzero(mask), limit.rule
    first, last = int(limit.intervals[where[0]]), int(limit.intervals[where[-1]])
    given, numbers = change[where], numbers[where]
    more = given / np.broadcast_to(rule.scale, mask.size)[where]
    amount, peak = round(float(given.sum()), 6), float(given.max())
    when = _when(horizon, limit, first, last)
    says = f"{rule.says.replace('{limit}', _range(rule, numbers))}{when}"
    by = _counted(rounded_up(more.max()), rule.unit)
    cure = rule.cure or f"{'raise' if limit.high else 'lower'} site.{rule.field} by {{by}}"
    giving = amount > 0.0
    return Conflict(
        what=f"{says}, but up to {_beyond(limit, numbers + more, given, by)}" if giving else says,
        rule=f"site.{rule.path}",
        interval=max(first, 0),
        interval_count=horizon.count if first == WHOLE else last - first + 1,
        amount=amount,
        peak=peak,
        # What a limit of power gives way by is energy, as all columns are.
        unit="kWh" if _is_power(rule) else rule.unit,
        cure=f"{cure.replace('{by}', by)}{when}" if giving else "",
    )


def rounded_up(amount: float) -> str:
    """An amount rounded up to a thousandth, so that doing what is said is enough."""
    return f"{ceil(amount * 1000.0 - 1e-6) / 1000.0:.10g}"


def _is_power(rule: Rule) -> bool:
    """Whether it limits the power over intervals, so that what is beyond it is energy."""
    return rule.unit == "kW" and np.ndim(rule.scale) > 0


def _beyond(limit: Limit, numbers: FloatArray, given: FloatArray, by: str) -> str:
    """By how much the rule cannot be kept, where it takes these numbers instead of its own."""
    rule = limit.rule
    if limit.high and _is_power(rule):
        most, more = rounded_up(numbers.max()), rounded_up(given.sum())
        return f"{most} kW are {rule.beyond}, {more} kWh more in all"
    if limit.high and rule.unit == "kWh":
        return f"{by} too much must be held"
    be = "is" if by.startswith("1 ") else "are"
    return f"{by} more {be} {rule.beyond}" if limit.high else f"{by} {be} missing"


def _when(horizon: Horizon, limit: Limit, first: int, last: int) -> str:
    """The time: stretches for what holds over intervals, their ends for what holds there."""
    clock = horizon.clock
    if first == WHOLE:
        return ""
    if not limit.rule.at_end:
        return f" from {clock(first)} to {clock(last + 1)}"
    if first == last:
        return f" at {clock(last + 1)}"
    return f" from {clock(first + 1)} to {clock(last + 1)}"


def _range(rule: Rule, numbers: FloatArray) -> str:
    """The number of a limit in its own unit, as a range where it varies."""
    one, other = f"{numbers.min():.6g}", f"{numbers.max():.6g}"
    return _counted(one, rule.unit) if one == other else f"{one} to {other} {rule.unit}"


def _counted(number: str, unit: str) -> str:
    """A number and its unit: one run, but two runs."""
    return f"{number} {unit.removesuffix('s') if number == '1' else unit}"
