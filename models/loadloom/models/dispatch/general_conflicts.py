"""Why a site of any devices has no plan, and what least change gives it one.

First comes the least change of named rules. Then, conflict by conflict, a smallest set of rules is
sought that cannot be kept together; the rules looked at are those that the duals of the least
change say take part, or all where these are not enough.
"""

import numpy as np

from loadloom.models.dispatch.blocks.site import build
from loadloom.models.dispatch.conflict_words import rounded_up
from loadloom.models.dispatch.elastic import Elastic
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.programme import WHOLE, BoolArray, Limit
from loadloom.models.dispatch.smallest_sets import Part, smallest_sets
from loadloom.models.dispatch.solution import Conflict
from loadloom.models.horizon import FloatArray

TAKES_PART = 1e-7
"""A dual below this is rounding."""


def general_conflicts(problem: Problem, time_limit_s: float = 5.0) -> list[Conflict]:
    """The rules in conflict by time, each over a run of intervals; none if the site has a plan,
    or if time ended before a cure was found.

    Those that give way in the least change come with their amounts, the others with zero.
    """  # noqa: D205
    elastic = Elastic(build(problem), time_limit_s)
    duals = elastic.least()
    if duals is None or not any(change.any() for change in elastic.change):
        return []
    givers, others, beside = [], [], []
    for index, (limit, change) in enumerate(zip(elastic.limits, elastic.change, strict=True)):
        givers += [Part(index, run) for run in runs_of(limit, change > 0.0)]
        kept = change == 0.0
        taking = kept & (np.abs(duals[index]) > TAKES_PART)
        others += [Part(index, taking)] if taking.any() else []
        beside += [Part(index, kept)] if kept.any() else []
    if elastic.possible(others + givers):
        others = beside
    parts = smallest_sets(elastic, others, givers)
    told = [
        _conflict(problem, elastic, part.rule, run)
        for part in parts
        for run in runs_of(elastic.limits[part.rule], part.mask)
    ]
    return sorted(dict.fromkeys(told), key=lambda conflict: conflict.interval)


def runs_of(limit: Limit, mask: BoolArray) -> list[BoolArray]:
    """The runs of consecutive intervals in which a mask marks a limit, each as a mask."""
    where = np.flatnonzero(mask)
    if not where.size:
        return []
    cuts = np.flatnonzero(np.diff(limit.intervals[where]) != 1) + 1
    found = []
    for run in np.split(where, cuts):
        found.append(np.zeros(mask.size, np.bool_))
        found[-1][run] = True
    return found


def _conflict(problem: Problem, elastic: Elastic, index: int, mask: BoolArray) -> Conflict:
    """The conflict of a limit over a run of intervals, and its cure where it gives way."""
    limit, change, where = elastic.limits[index], elastic.change[index], np.flatnonzero(mask)
    first, last = int(limit.intervals[where[0]]), int(limit.intervals[where[-1]])
    rule, given = limit.rule, change[where]
    scale = np.broadcast_to(rule.scale, mask.size)[where]
    amount, peak = round(float(given.sum()), 6), float(given.max())
    when = _when(problem, limit, first, last)
    says = f"{rule.says.replace('{limit}', _number(limit, elastic.numbers(index)[where]))}{when}"
    by = f"{rounded_up((given / scale).max())} {rule.unit}"
    if amount > 0.0:
        end = "more are needed" if limit.high else "are missing"
        says = f"{says}, but up to {by} {end}"
    cure = rule.cure or f"{'raise' if limit.high else 'lower'} site.{rule.field} by {{by}}"
    # What a limit of power gives way by is energy, as all columns are.
    unit = "kWh" if rule.unit == "kW" and np.ndim(rule.scale) else rule.unit
    return Conflict(
        what=says,
        rule=f"site.{rule.path}",
        interval=max(first, 0),
        interval_count=problem.horizon.count if first == WHOLE else last - first + 1,
        amount=amount,
        peak=peak,
        unit=unit,
        cure=f"{cure.replace('{by}', by)}{when}" if amount > 0.0 else "",
    )


def _when(problem: Problem, limit: Limit, first: int, last: int) -> str:
    """The time: stretches for what holds over intervals, their ends for what holds there."""
    clock = problem.horizon.clock
    if first == WHOLE:
        return ""
    if not limit.rule.at_end:
        return f" from {clock(first)} to {clock(last + 1)}"
    if first == last:
        return f" at {clock(last + 1)}"
    return f" from {clock(first + 1)} to {clock(last + 1)}"


def _number(limit: Limit, numbers: FloatArray) -> str:
    """The number of a limit in its own unit, as a range where it varies."""
    one, other = f"{numbers.min():.6g}", f"{numbers.max():.6g}"
    unit = limit.rule.unit
    return f"{one} {unit}" if one == other else f"{one} to {other} {unit}"
