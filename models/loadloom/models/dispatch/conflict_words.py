"""Conflicts in words that a planner can act on."""

from math import ceil

import numpy as np

from loadloom.models.dispatch.linear_model import BoolArray, IntArray
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.rules import Kind, Rule
from loadloom.models.dispatch.solution import Conflict
from loadloom.models.horizon import FloatArray


def conflict(problem: Problem, rule: Rule, mask: BoolArray, change: FloatArray) -> Conflict:
    """The conflict of a rule over a run of intervals, and its cure where it gives way.

    `mask` marks the run, `change` is by how much the rule gives way, in kWh; both (count,).
    """
    where = np.flatnonzero(mask)
    given = change[where]
    amount, peak = round(float(given.sum()), 6), float(given.max())
    stated = _stated(problem, rule, where)
    return Conflict(
        what=stated if amount == 0.0 else f"{stated}, {_missed(problem, rule, where, given)}",
        rule=rule.path,
        interval=int(where[0]),
        interval_count=where.size,
        amount=amount,
        peak=peak,
        unit="kWh",
        cure=_cure(problem, rule, where, given) if amount > 0.0 else "",
    )


def _stated(problem: Problem, rule: Rule, where: IntArray) -> str:
    """What the rule says, and when."""
    name = problem.storages[rule.store].name if rule.store >= 0 else ""
    limit = _limit(problem, rule, where)
    verb = {
        Kind.IMPORT: f"at most {limit} may be drawn",
        Kind.EXPORT: f"at most {limit} may be fed in",
        Kind.CHARGE: f"{name!r} may charge with at most {limit}",
        Kind.DISCHARGE: f"{name!r} may discharge with at most {limit}",
        Kind.LEAST: f"{name!r} must hold at least {limit}",
        Kind.MOST: f"{name!r} may hold at most {limit}",
    }[rule.kind]
    return f"{verb} {_when(problem, rule, where)}"


def _missed(problem: Problem, rule: Rule, where: IntArray, given: FloatArray) -> str:
    """By how much the rule cannot be kept."""
    if rule.kind is Kind.LEAST:
        return f"but up to {rounded_up(given.max())} kWh are missing"
    if rule.kind is Kind.MOST:
        return f"but up to {rounded_up(given.max())} kWh too much must be held"
    most_kw = ((rule.limit[where] + given) / problem.horizon.step_h[where]).max()
    end = "are left over" if rule.kind is Kind.EXPORT else "are needed"
    return f"but up to {rounded_up(most_kw)} kW {end}, {rounded_up(given.sum())} kWh more in all"


def _cure(problem: Problem, rule: Rule, where: IntArray, given: FloatArray) -> str:
    """What to change, by how much and when."""
    verb = "lower" if rule.kind is Kind.LEAST else "raise"
    if rule.kind in {Kind.LEAST, Kind.MOST}:
        by = f"{rounded_up(given.max())} kWh"
    else:
        by = f"{rounded_up((given / problem.horizon.step_h[where]).max())} kW"
    return f"{verb} {rule.field} by {by} {_when(problem, rule, where)}"


def _limit(problem: Problem, rule: Rule, where: IntArray) -> str:
    """The limit in its own unit, as a range where it varies."""
    unit = "kWh" if rule.kind in {Kind.LEAST, Kind.MOST} else "kW"
    hours = 1.0 if unit == "kWh" else problem.horizon.step_h[where]
    limits = rule.limit[where] / hours
    low, high = f"{limits.min():.6g}", f"{limits.max():.6g}"
    return f"{low} {unit}" if low == high else f"{low} to {high} {unit}"


def _when(problem: Problem, rule: Rule, where: IntArray) -> str:
    """The time: stretches for power, ends of intervals for energy held."""
    clock, first, last = problem.horizon.clock, int(where[0]), int(where[-1])
    if rule.kind not in {Kind.LEAST, Kind.MOST}:
        return f"from {clock(first)} to {clock(last + 1)}"
    if first == last:
        return f"at {clock(last + 1)}"
    return f"from {clock(first + 1)} to {clock(last + 1)}"


def rounded_up(amount: float) -> str:
    """An amount rounded up to a thousandth, so that doing what is said is enough."""
    return f"{ceil(amount * 1000.0 - 1e-6) / 1000.0:.10g}"
