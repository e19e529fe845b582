"""Why a schedule is as it is, in the planner's terms: who, instead of whom, and what it is worth.

Slot prices are what one more kWh of shortage would cost; a user's week is judged at them, by the
exact oracle of that user alone. They are exact for a week that could be shared out in any parts,
and close where many users take turns: a week may then be a little dearer for its user than another
that would leave gaps to others.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import referee
from loadloom.models.orderly.choices import choices, plan_of
from loadloom.models.orderly.problem import (
    Fairness,
    LegalOrder,
    Measures,
    Plan,
    Problem,
    Shortage,
    Users,
)
from loadloom.models.orderly.solution import OrderlyOptions, Prices, Solution
from loadloom.models.orderly.solve import solve
from loadloom.models.orderly.week import BoolArray
from loadloom.solvers.coupled.budget import Clock
from loadloom.solvers.kernels.choosers import FAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A week that a user could have instead, and how much more it would cost at the slot prices."""

    words: str
    extra_cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UserReason:
    """Why a user is called.

    Attributes:
        user: its index.
        cost: what its week costs.
        worth: what its relief is worth at the slot prices.
        alternatives: the best week without each of its curtailed days, and not being called at all,
            the cheapest first.
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
class Exemption:
    """What excusing a user costs: the difference of both plans, and what is proven of it.

    `least` and `most` come from the bounds and plans of both weeks; all three are the same where
    both are optimal.
    """

    cost: float
    least: float
    most: float


def worth_per_kw(problem: Problem, prices: Prices, user: int) -> FloatArray:
    """What a kW of relief by a user is worth in each slot, (D, S)."""
    per_kwh = prices.slot_per_kwh
    if problem.users.feeder[user] >= 0:
        per_kwh = per_kwh + prices.feeder_per_kwh[problem.users.feeder[user]]
    return per_kwh * problem.week.slot_h


def one_more_mw(problem: Problem, prices: Prices) -> FloatArray:
    """What one more MW of capacity in each slot is worth, (D, S)."""
    return 1_000.0 * prices.slot_per_kwh * problem.week.slot_h


def one_more_mw_on_feeders(problem: Problem, prices: Prices) -> FloatArray:
    """What one more MW of capacity of each feeder is worth in each slot, (F, D, S)."""
    return 1_000.0 * prices.feeder_per_kwh * problem.week.slot_h


def why(problem: Problem, solution: Solution, user: int) -> UserReason:
    """Why a user is called, beside its next best weeks.

    Those keep all rules of the user, what was announced to it and its notices among them.
    """
    prices = solution.prices or _no_prices(problem)
    worth = worth_per_kw(problem, prices, user)
    plan, cap = solution.plan, solution.burden_cap
    cost = float(referee.cost(problem, plan).by_user[user])
    relief = referee.effect(problem, plan).relief_kw[user] * problem.users.compliance[user]
    value = float((worth * relief).sum())
    now = cost - value
    alone, held = _alone(problem, user), _weeks_plan(plan, problem, user)
    limit = None if cap is None else cap[user : user + 1]
    days = np.unique(held.day).tolist()
    others = []
    for day in days:
        without = np.ones(problem.week.day_count, np.bool_)
        without[day] = False
        others.append(_other(alone, held, worth, without, limit, now))
    if len(days) > 1 or held.rest_day[0] >= 0:
        none = np.zeros(problem.week.day_count, np.bool_)
        others.append(_other(alone, held, worth, none, limit, now))
    found = {other.words: other for other in others if other is not None}
    return UserReason(
        user=user,
        cost=cost,
        worth=value,
        alternatives=tuple(sorted(found.values(), key=lambda other: other.extra_cost)),
        exemption_cost=max(0.0, -now),
        binding=binding(problem, plan, user, cap),
    )


def _other(
    alone: Problem,
    held: Plan,
    worth: FloatArray,
    days: BoolArray,
    burden_cap: FloatArray | None,
    now: float,
) -> Alternative | None:
    """The best week of a user by itself on some of its days; None if there is no other."""
    callable_days = alone.users.callable_days & days
    problem = replace(alone, users=replace(alone.users, callable_days=callable_days))
    made = choices(problem, burden_cap=burden_cap)
    values, patterns = made.oracle.priced(worth.reshape(-1))
    if values[0] >= FAR / 2:
        return None
    words = _change_words(problem, held, plan_of(problem, made, patterns))
    return Alternative(words=words, extra_cost=float(values[0]) - now) if words else None


def _change_words(problem: Problem, held: Plan, other: Plan) -> str:
    """What another week has instead: "Thu 12 Nov 18:00-20:00 instead of Mon 09 Nov 17:00-19:00"."""
    before, after = _windows(problem, held), _windows(problem, other)
    more = [words for words in after if words not in before]
    less = [words for words in before if words not in after]
    if not after:
        return "not called"
    if not less:
        return f"{', '.join(more)} as well" if more else ""
    return f"{', '.join(more)} instead of {', '.join(less)}" if more else f"no {', '.join(less)}"


def _windows(problem: Problem, plan: Plan) -> list[str]:
    """The events of a user by itself, and its moved rest day, in words."""
    columns = zip(plan.day, plan.first_slot, plan.slot_count, strict=True)
    found = [problem.week.words(int(d), int(first), int(count)) for d, first, count in columns]
    if plan.rest_day[0] >= 0:
        found.append(f"rest on {problem.week.date(int(plan.rest_day[0])):%a %d %b}")
    return found


def _alone(problem: Problem, user: int) -> Problem:
    """The week of one user by itself, under the same rules, without any shortage."""
    users, measures = problem.users, problem.measures
    columns = {f.name: getattr(users, f.name) for f in fields(Users)}
    own: dict[str, Any] = {
        name: column[user : user + 1] for name, column in columns.items() if len(column)
    }
    mine = measures.user == user
    offered = {f.name: getattr(measures, f.name) for f in fields(Measures)}
    rows: dict[str, Any] = {
        name: column[mine] for name, column in offered.items() if column is not None
    }
    own["feeder"], rows["user"] = np.array(-1), np.zeros(int(mine.sum()), np.int64)
    announced = None
    if problem.announced is not None:
        announced = _weeks_plan(problem.announced, problem, user)
    return replace(
        problem,
        users=Users(**own),
        measures=Measures(**rows),
        shortage=Shortage(
            shortage_kw=np.zeros(problem.week.shape),
            unserved_price_per_kwh=problem.shortage.unserved_price_per_kwh,
        ),
        fairness=Fairness(
            gamma=problem.fairness.gamma, history_strength=problem.fairness.history_strength
        ),
        legal_order=LegalOrder.PRICED,
        announced=announced,
    )


def _weeks_plan(plan: Plan, problem: Problem, user: int) -> Plan:
    """The part of a plan that is one user's, in the numbers of that user by itself."""
    place = np.cumsum(problem.measures.user == user) - 1
    mine = plan.user == user
    rest = plan.rest_measure[user : user + 1]
    return Plan(
        user=np.zeros(int(mine.sum()), np.int64),
        day=plan.day[mine],
        measure=place[plan.measure[mine]],
        first_slot=plan.first_slot[mine],
        slot_count=plan.slot_count[mine],
        rest_day=plan.rest_day[user : user + 1].copy(),
        rest_measure=np.where(rest >= 0, place[rest], -1),
    )


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
    used = np.unique(plan.day[plan.user == user])
    most, gap = int(users.max_days[user]), int(users.min_gap_days[user])
    if used.size >= most:
        found.append(f"at most {most} curtailed day{'' if most == 1 else 's'}")
    days = np.arange(problem.week.day_count)
    near = (np.abs(days[:, None] - used[None, :]) <= gap).any(axis=1)
    if np.any(near & users.callable_days[user] & ~np.isin(days, used)):
        found.append(f"{gap} free day{'' if gap == 1 else 's'} between curtailed days")
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
    """The same problem in which a user can be called on no day; what has begun is kept."""
    callable_days = problem.users.callable_days.copy()
    callable_days[user] = False
    return replace(problem, users=replace(problem.users, callable_days=callable_days))


def exemption(
    problem: Problem, solution: Solution, user: int, options: OrderlyOptions, clock: Clock | None
) -> Exemption:
    """What excusing a user costs, by solving again without it."""
    free = replace(options, road=None)
    without = solve(exempted(problem, user), free, clock=clock).termination
    held = solution.termination
    return Exemption(
        cost=max(0.0, without.objective - held.objective),
        least=max(0.0, without.bound - held.objective),
        most=max(0.0, without.objective - held.bound),
    )
