"""What the data of a weekly schedule must keep, all of it told at once, and its full columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import MAGNITUDE, Checks

if TYPE_CHECKING:
    from loadloom.models.orderly.problem import Measures, Plan, Problem, Shortage, Users

MOST_USERS = 100_000
"""The most users of a schedule."""

MOST_MEASURES = 1_000_000
"""The most measures of a schedule."""

NOTICES, KINDS, REST = 4, 5, 4

Column = NDArray[Any]


def checked(problem: Problem) -> tuple[Users, Measures, Shortage]:
    """The users, measures and shortage with full columns.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths.
    """
    checks = Checks()
    if not problem.week.check(checks):
        checks.finish()
    users = _users(checks, problem)
    measures = _measures(checks, problem, users)
    shortage = _shortage(checks, problem)
    _fairness(checks, problem)
    _ability(checks, problem)
    _planning(checks, problem, users, measures)
    checks.finish()
    return users, measures, shortage


def _filled(checks: Checks, path: str, values: Any, shape: tuple[int, ...], kind: type) -> Column:  # noqa: ANN401
    """The values in their full shape; notes and returns zeros if they do not fit it."""
    array = np.asarray(values)
    if kind is np.bool_ and array.dtype != np.bool_:
        checks.require(False, path, f"holds {array.dtype}; must be true or false")
        return np.zeros(shape, np.bool_)
    if kind is np.int64 and array.dtype.kind not in "iu":
        checks.require(False, path, f"holds {array.dtype}; must be whole numbers")
        return np.zeros(shape, np.int64)
    fits = array.ndim <= len(shape) and all(
        have in (1, want) for have, want in zip(array.shape[::-1], shape[::-1], strict=False)
    )
    if not fits:
        checks.require(False, path, f"has shape {array.shape}; must fit {shape}")
        return np.zeros(shape, kind)
    return np.broadcast_to(array.astype(kind, copy=False), shape)


def _within(
    checks: Checks, path: str, values: Column, low: float, high: float, *, infinite: bool = False
) -> bool:
    """Whether all values lie from `low` to `high`; notes the first that does not."""
    good = (values >= low) & (values <= high)  # NaN is neither
    if infinite:
        good = good | (values == np.inf)
    if good.all():
        return True
    first = int(np.argmin(good))
    where = "".join(f"[{i}]" for i in np.unravel_index(first, values.shape))
    more = int(good.size - np.count_nonzero(good)) - 1
    also = f" (and {more} more)" if more else ""
    value = float(values.reshape(-1)[first])
    what = f"must be from {low:g} to {high:g}" if high < MAGNITUDE else f"must be at least {low:g}"
    checks.require(False, path + where, f"is {value:g}{also}; {what}")
    return False


def _words(checks: Checks, path: str, words: Sequence[str], count: int) -> None:
    good = not words or len(words) == count
    checks.require(good, path, f"has {len(words)} values; must have none or {count}")


def _users(checks: Checks, problem: Problem) -> Users:
    users, count = problem.users, problem.users.count
    days, slots = problem.week.shape
    checks.require(
        1 <= count <= MOST_USERS, "users", f"has {count} users; must have from 1 to {MOST_USERS}"
    )
    _names(checks, "users.names", users.names)
    shapes: dict[str, tuple[tuple[int, ...], type]] = {
        "load_kw": ((count, days, slots), np.float64),
        "protected_kw": ((count, days, slots), np.float64),
        "contract_kwh": ((count,), np.float64),
        "max_days": ((count,), np.int64),
        "max_events_per_day": ((count,), np.int64),
        "min_gap_days": ((count,), np.int64),
        "callable_days": ((count, days), np.bool_),
        "rest_days": ((count, days), np.bool_),
        "usual_rest_day": ((count,), np.int64),
        "carried_burden": ((count,), np.float64),
        "compliance": ((count,), np.float64),
        "feeder": ((count,), np.int64),
        "telemetry": ((count,), np.float64),
        "control": ((count,), np.float64),
        "past_compliance": ((count,), np.float64),
    }
    full = {
        name: _filled(checks, f"users.{name}", getattr(users, name), shape, kind)
        for name, (shape, kind) in shapes.items()
    }
    ranges = {
        "load_kw": (0.0, MAGNITUDE),
        "protected_kw": (0.0, MAGNITUDE),
        "contract_kwh": (1e-6, MAGNITUDE),
        "max_days": (0, MAGNITUDE),
        "max_events_per_day": (1, MAGNITUDE),
        "min_gap_days": (0, days),
        "usual_rest_day": (-1, days - 1),
        "carried_burden": (0.0, MAGNITUDE),
        "compliance": (1e-3, 1.0),
        "feeder": (-1, problem.shortage.feeder_count - 1),
        "telemetry": (0.0, 1.0),
        "control": (0.0, 1.0),
        "past_compliance": (0.0, 1.0),
    }
    for name, (low, high) in ranges.items():
        _within(checks, f"users.{name}", full[name], low, high)
    for name in ("industry", "priority_class", "group"):
        _words(checks, f"users.{name}", getattr(users, name), count)
    _rest(checks, full)
    return replace(users, **full)


def _rest(checks: Checks, full: dict[str, Column]) -> None:
    """Notes the first user whose rest day may move to its usual one."""
    usual = full["usual_rest_day"]
    has = np.flatnonzero((usual >= 0) & (usual < full["rest_days"].shape[1]))
    own = has[full["rest_days"][has, usual[has]]]
    if own.size:
        i, day = int(own[0]), int(usual[own[0]])
        message = "is true; the usual rest day cannot be moved to itself"
        checks.require(False, f"users.rest_days[{i}][{day}]", message)


def _names(checks: Checks, path: str, names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if not name:
            checks.require(False, f"{path}[{index}]", "is empty; must be a name")
        elif seen.setdefault(name, index) != index:
            first = seen[name]
            checks.require(False, f"{path}[{index}]", f"{name!r} is also {path}[{first}]")


def _measures(checks: Checks, problem: Problem, users: Users) -> Measures:
    measures, (days, slots) = problem.measures, problem.week.shape
    count = int(np.asarray(measures.user).size)
    checks.require(
        count <= MOST_MEASURES, "measures", f"has {count}; must have at most {MOST_MEASURES}"
    )
    whole = ("user", "kind", "min_slots", "max_slots", "notice", "rebound_slots")
    real = ("cap_kw", "cost_per_kwh", "start_cost", "ramp_kw", "rebound_share", "burden_weight")
    full: dict[str, Any] = {
        name: _filled(
            checks,
            f"measures.{name}",
            getattr(measures, name),
            (count,),
            np.int64 if name in whole else np.float64,
        )
        for name in (*whole, *real)
    }
    if measures.allowed is not None:
        full["allowed"] = _filled(
            checks, "measures.allowed", measures.allowed, (count, days, slots), np.bool_
        )
    ranges = {
        "user": (0, users.count - 1),
        "kind": (0, KINDS - 1),
        "cap_kw": (0.0, MAGNITUDE),
        "cost_per_kwh": (0.0, MAGNITUDE),
        "start_cost": (0.0, MAGNITUDE),
        "min_slots": (1, slots),
        "max_slots": (1, MAGNITUDE),
        "notice": (0, NOTICES - 1),
        "rebound_share": (0.0, 1.0),
        "rebound_slots": (0, days * slots),
        "burden_weight": (0.0, MAGNITUDE),
    }
    for name, (low, high) in ranges.items():
        _within(checks, f"measures.{name}", full[name], low, high)
    _within(checks, "measures.ramp_kw", full["ramp_kw"], 1e-6, MAGNITUDE, infinite=True)
    _together(checks, full)
    return replace(measures, **full)


def _together(checks: Checks, full: dict[str, Column]) -> None:
    """Notes measures whose columns do not fit each other."""
    crossed = np.flatnonzero(full["min_slots"] > full["max_slots"])
    if crossed.size:
        m = int(crossed[0])
        message = f"is {full['max_slots'][m]}; must be at least min_slots, {full['min_slots'][m]}"
        checks.require(False, f"measures.max_slots[{m}]", message)
    nowhere = np.flatnonzero((full["rebound_share"] > 0.0) & (full["rebound_slots"] < 1))
    if nowhere.size:
        message = "is 0; what rebounds must return over at least 1 slot"
        checks.require(False, f"measures.rebound_slots[{int(nowhere[0])}]", message)
    rest = full["kind"] == REST
    for name, unset in (("ramp_kw", np.inf), ("rebound_share", 0.0)):
        odd = np.flatnonzero(rest & (full[name] != unset))
        if odd.size:
            message = f"is {full[name][odd[0]]:g}; a rest day that moves has none"
            checks.require(False, f"measures.{name}[{int(odd[0])}]", message)


def _shortage(checks: Checks, problem: Problem) -> Shortage:
    shortage, shape = problem.shortage, problem.week.shape
    whole = _filled(checks, "shortage.shortage_kw", shortage.shortage_kw, shape, np.float64)
    _within(checks, "shortage.shortage_kw", whole, -MAGNITUDE, MAGNITUDE)
    checks.numbers("shortage.unserved_price_per_kwh", shortage.unserved_price_per_kwh, low=1e-6)
    _names(checks, "shortage.feeders", shortage.feeders)
    given = shortage.feeder_shortage_kw
    if given is None:
        given = np.zeros((0, *shape)) if not shortage.feeders else np.full((1, 1, 1), np.nan)
    by_feeder = _filled(
        checks, "shortage.feeder_shortage_kw", given, (shortage.feeder_count, *shape), np.float64
    )
    _within(checks, "shortage.feeder_shortage_kw", by_feeder, -MAGNITUDE, MAGNITUDE)
    return replace(shortage, shortage_kw=whole, feeder_shortage_kw=by_feeder)


def _fairness(checks: Checks, problem: Problem) -> None:
    gamma = np.array(problem.fairness.gamma, dtype=np.float64)
    checks.require(gamma.size > 0, "fairness.gamma", "is empty; must begin with 1")
    if gamma.size and _within(checks, "fairness.gamma", gamma, 1.0, 1e6):
        checks.require(gamma[0] == 1.0, "fairness.gamma[0]", f"is {gamma[0]:g}; must be 1")
        falls = np.flatnonzero(np.diff(gamma) < 0.0)
        if falls.size:
            j = int(falls[0]) + 1
            message = f"is {gamma[j]:g}; must be at least the one before, {gamma[j - 1]:g}"
            checks.require(False, f"fairness.gamma[{j}]", message)
    checks.numbers(
        "fairness.history_strength", problem.fairness.history_strength, low=0.0, high=1e6
    )
    levels = problem.fairness.leximin_levels
    message = f"is {levels}; must be at least 1"
    checks.require(levels >= 1, "fairness.leximin_levels", message)


def _ability(checks: Checks, problem: Problem) -> None:
    rule = problem.ability
    names = ("curtailable", "notice", "ramp", "past_compliance", "telemetry", "control")
    weights = [getattr(rule, f"{name}_weight") for name in names]
    good = [
        checks.numbers(f"ability.{name}_weight", weight, low=0.0, high=1e6)
        for name, weight in zip(names, weights, strict=True)
    ]
    if all(good):
        checks.require(sum(weights) > 0.0, "ability", "has no weight above 0; one must be")
    scores = np.array(rule.least_score, dtype=np.float64)
    if checks.length("ability.least_score", scores, NOTICES):
        checks.numbers("ability.least_score", scores, low=0.0, high=1.0)
    shares = np.array([level.least_share for level in problem.warning_levels])
    checks.numbers("warning_levels.least_share", shares, low=0.0, high=1e3)


def _planning(checks: Checks, problem: Problem, users: Users, measures: Measures) -> None:
    now, plan = problem.now, problem.announced
    checks.require(now is None or now.tzinfo is not None, "now", "has no zone; must be aware")
    checks.numbers("change_tolerance", problem.change_tolerance, low=0.0, high=1.0)
    if plan is None:
        return
    checks.require(now is not None, "now", "is missing; needed beside an announced plan")
    check_plan(checks, problem, users, measures, plan)


def check_plan(
    checks: Checks, problem: Problem, users: Users, measures: Measures, plan: Plan
) -> None:
    """Notes what in a plan leads nowhere, and an order that is not by user, day and slot."""
    days, slots = problem.week.shape
    columns = ("user", "day", "measure", "first_slot", "slot_count")
    count = plan.user.size
    shaped = True
    for name in columns:
        values = getattr(plan, name)
        good = values.shape == (count,) and values.dtype.kind in "iu"
        checks.require(good, f"announced.{name}", f"must be {count} whole numbers, as users are")
        shaped &= good
    for name in ("rest_day", "rest_measure"):
        values = getattr(plan, name)
        good = values.shape == (users.count,) and values.dtype.kind in "iu"
        checks.require(good, f"announced.{name}", f"must be {users.count} whole numbers")
        shaped &= good
    if not shaped:
        return
    high = {
        "user": users.count - 1,
        "day": days - 1,
        "measure": measures.count - 1,
        "first_slot": slots - 1,
        "slot_count": slots,
    }
    good = [
        _within(checks, f"announced.{name}", getattr(plan, name), int(name == "slot_count"), top)
        for name, top in high.items()
    ]
    good.append(_within(checks, "announced.rest_day", plan.rest_day, -1, days - 1))
    good.append(
        _within(checks, "announced.rest_measure", plan.rest_measure, -1, measures.count - 1)
    )
    if all(good):
        key = (plan.user * days + plan.day) * slots + plan.first_slot
        rising = bool(np.all(np.diff(key) > 0))
        checks.require(rising, "announced", "is out of order; must be by user, day and first slot")
