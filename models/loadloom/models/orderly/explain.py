"""Why a schedule is as it is, in the planner's terms: who, instead of whom, and what it is worth.

Slot prices are what one more kWh of shortage would cost; a user's week is judged at them. They are
exact for a week that could be shared out in any parts, and close where many users take turns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import Kind, Plan, Problem
from loadloom.models.orderly.solution import OrderlyOptions, Prices, Solution
from loadloom.models.orderly.solve import solve
from loadloom.models.orderly.values import least_week
from loadloom.solvers.coupled.budget import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A week that a user could have instead, and how much more it would cost at the slot prices."""

    words: str
    extra_cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UserReason:
    """Why a user is called.

    Attributes:
        cost: what its week costs.
        worth: what its relief is worth at the slot prices.
        alternatives: other days for each of its curtailed days, and not being called at all, the
            cheapest first.
        exemption_cost: about what excusing it would cost: its worth less its cost, at the prices.
        binding: the rules that keep it from being called more.
    """

    user: int
    cost: float
    worth: float
    alternatives: tuple[Alternative, ...]
    exemption_cost: float
    binding: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A slot in which something stays unserved, and the powers that rules keep out of it."""

    day: int
    slot: int
    unserved_kw: float
    excluded_kw: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """A rule, what the week would cost without it, and how much that is less."""

    rule: str
    objective: float
    saved: float


def worth_per_kw(problem: Problem, prices: Prices, user: int) -> FloatArray:
    """What a kW of relief by a user is worth in each slot, (D, S)."""
    per_kwh = prices.slot_per_kwh
    if problem.users.feeder[user] >= 0:
        per_kwh = per_kwh + prices.feeder_per_kwh[problem.users.feeder[user]]
    return per_kwh * problem.week.slot_h


def one_more_mw(problem: Problem, prices: Prices) -> FloatArray:
    """What one more MW of capacity in each slot is worth, (D, S)."""
    return 1_000.0 * prices.slot_per_kwh * problem.week.slot_h


def why(problem: Problem, solution: Solution, user: int) -> UserReason:
    """Why a user is called, beside its next best weeks."""
    prices = solution.prices or _no_prices(problem)
    worth = worth_per_kw(problem, prices, user)
    plan = solution.plan
    cost = float(referee.cost(problem, plan).by_user[user])
    relief = referee.effect(problem, plan).relief_kw[user] * problem.users.compliance[user]
    value = float((worth * relief).sum())
    now = cost - value
    days = sorted(set(plan.day[plan.user == user].tolist()))
    others = [_without_day(problem, user, worth, day, now) for day in days]
    if days or plan.rest_day[user] >= 0:
        others.append(Alternative(words="not called", extra_cost=-now))
    return UserReason(
        user=user,
        cost=cost,
        worth=value,
        alternatives=tuple(sorted(others, key=lambda other: other.extra_cost)),
        exemption_cost=max(0.0, -now),
        binding=binding(problem, plan, user, solution.burden_cap),
    )


def _without_day(
    problem: Problem, user: int, worth: FloatArray, day: int, now: float
) -> Alternative:
    """The best week of a user that leaves one day free."""
    callable_days = problem.users.callable_days.copy()
    callable_days[user, day] = False
    users = replace(problem.users, callable_days=callable_days)
    other = replace(problem, users=users, announced=None, now=None)
    extra = least_week(other, user, worth.reshape(-1)) - now
    return Alternative(words=f"without {problem.week.date(day):%A}", extra_cost=extra)


def _no_prices(problem: Problem) -> Prices:
    none = np.zeros(problem.week.shape)
    return Prices(
        slot_per_kwh=none, feeder_per_kwh=np.zeros((problem.shortage.feeder_count, *none.shape))
    )


def binding(
    problem: Problem, plan: Plan, user: int, burden_cap: FloatArray | None = None
) -> tuple[str, ...]:
    """The rules that keep a user from being called more."""
    users, found = problem.users, []
    days = set(plan.day[plan.user == user].tolist())
    if len(days) >= users.max_days[user]:
        found.append(f"at most {users.max_days[user]} curtailed days")
    if users.min_gap_days[user] > 0 and days:
        found.append(f"{users.min_gap_days[user]} free days between curtailed days")
    if plan.rest_day[user] >= 0:
        found.append("the rest day moves at most once")
    if burden_cap is not None:
        left = burden_cap[user] - referee.burden(problem, plan)[user]
        if left <= 1e-3 * max(1.0, burden_cap[user]):
            found.append(f"a burden of at most {burden_cap[user]:.3g}")
    if not users.callable_days[user].all():
        found.append("days on which it is not callable")
    return tuple(found)


def exempted(problem: Problem, user: int) -> Problem:
    """The same problem without the user's measures."""
    measures = problem.measures
    keep = measures.user != user
    columns = {
        name: getattr(measures, name)[keep]
        for name in measures.__dataclass_fields__
        if getattr(measures, name) is not None
    }
    return replace(problem, measures=replace(measures, **columns), announced=None, now=problem.now)


def exemption_cost(
    problem: Problem, solution: Solution, user: int, options: OrderlyOptions, clock: Clock | None
) -> tuple[float, float]:
    """At least and at most what excusing a user costs, by solving again without its measures.

    The two ends come from the bounds and plans of both weeks; they meet where both are optimal.
    """
    without = solve(exempted(problem, user), options, clock=clock).termination
    held = solution.termination
    return max(0.0, without.bound - held.objective), max(0.0, without.objective - held.bound)


def shortfalls(problem: Problem, plan: Plan) -> tuple[Shortfall, ...]:
    """Every slot in which something stays unserved, and what could have served it otherwise."""
    whole, _ = referee.unserved_kw(problem, plan)
    relief = referee.effect(problem, plan).relief_kw
    found = []
    for day, slot in zip(*np.nonzero(whole > 1e-6), strict=True):
        idle = np.maximum(relief[:, day, slot], 0.0) <= 0.0
        found.append(
            Shortfall(
                day=int(day),
                slot=int(slot),
                unserved_kw=float(whole[day, slot]),
                excluded_kw=_excluded(problem, plan, int(day), int(slot), idle),
            )
        )
    return tuple(found)


def _excluded(
    problem: Problem, plan: Plan, day: int, slot: int, idle: np.ndarray
) -> dict[str, float]:
    """The power of users that are not called in a slot, by the rule that keeps them out."""
    users, powers = problem.users, _potential_kw(problem, day, slot)
    load = users.load_kw[:, day, slot]
    found = {"protection": float(np.minimum(users.protected_kw[:, day, slot], load).sum())}
    left = idle & (powers > 0.0)
    rules = {
        "not callable": ~users.callable_days[:, day],
        "curtailed days": np.bincount(_used_days(problem, plan)[0], minlength=users.count)
        >= users.max_days,
    }
    for name, kept_out in rules.items():
        found[name] = float(powers[left & kept_out].sum())
        left = left & ~kept_out
    found["other rules or cost"] = float(powers[left].sum())
    return found


def _used_days(problem: Problem, plan: Plan) -> np.ndarray:
    """The distinct pairs of user and day with events, (2, pairs)."""
    pairs = np.unique(plan.user * problem.week.day_count + plan.day)
    return np.stack((pairs // problem.week.day_count, pairs % problem.week.day_count))


def _potential_kw(problem: Problem, day: int, slot: int) -> FloatArray:
    """What each user's best measure could relieve in a slot, (N,)."""
    users, measures = problem.users, problem.measures
    free = np.maximum(users.load_kw - users.protected_kw, 0.0)[:, day, slot]
    best = np.zeros(users.count)
    window = measures.kind != Kind.REST
    relief = np.minimum(free[measures.user], measures.cap_kw) * users.compliance[measures.user]
    np.maximum.at(best, measures.user[window], relief[window])
    return best


def shortage_words(problem: Problem, plan: Plan) -> str:
    """What the week lacks, as a planner would say it; empty if nothing is unserved."""
    whole, _ = referee.unserved_kw(problem, plan)
    hours = problem.week.slot_h
    slots = int(np.count_nonzero(whole > 1e-6))
    if not slots:
        return ""
    short = np.maximum(problem.shortage.shortage_kw, 0.0)
    days = np.flatnonzero((whole > 1e-6).any(axis=1))
    need = float((short[days] * hours[days]).sum()) / 1_000.0
    left = float((whole * hours).sum()) / 1_000.0
    names = ", ".join(f"{problem.week.date(int(day)):%a}" for day in days)
    return (
        f"{names} need {need:.1f} MWh, the plan covers {need - left:.1f}; {left:.1f} MWh in "
        f"{slots} slots stay unserved"
    )


def relaxations(
    problem: Problem, solution: Solution, options: OrderlyOptions, clock: Clock | None = None
) -> tuple[Relaxation, ...]:
    """What the week would cost if one rule were relaxed for all, the cheapest week first."""
    users = problem.users
    changed: Sequence[tuple[str, Problem]] = (
        ("one more curtailed day", _with(problem, max_days=users.max_days + 1)),
        ("no free days between", _with(problem, min_gap_days=np.zeros_like(users.min_gap_days))),
        ("all days callable", _with(problem, callable_days=np.ones_like(users.callable_days))),
        ("all days for rest", _with(problem, rest_days=_all_rest_days(problem))),
    )
    found = []
    for rule, other in changed:
        objective = solve(other, options, clock=clock).termination.objective
        saved = solution.termination.objective - objective
        found.append(Relaxation(rule=rule, objective=objective, saved=saved))
    return tuple(sorted(found, key=lambda relaxation: relaxation.objective))


def _with(problem: Problem, **columns: np.ndarray) -> Problem:
    return replace(problem, users=replace(problem.users, **columns))


def _all_rest_days(problem: Problem) -> np.ndarray:
    days = np.ones_like(problem.users.rest_days)
    has = np.flatnonzero(problem.users.usual_rest_day >= 0)
    days[has, problem.users.usual_rest_day[has]] = False
    return days
