"""The referee of weekly schedules: what a plan does, costs and breaks, from problem and plan alone.

It reads the rules of `problem` anew, and shares nothing with what makes plans.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf

import numpy as np

from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.ability import offered
from loadloom.models.orderly.problem import Kind, Notice, Plan, Problem, notice_deadline
from loadloom.models.orderly.week import BoolArray, IntArray

RELATIVE = 1e-9
"""By how much a cap may be passed, as a share of it: rounding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cost:
    """What a plan costs, in the currency of the prices.

    `loss` is that of events and moved rest days, `by_user` the same for each user, (N,);
    `unserved` that of what is not covered.
    """

    loss: float
    unserved: float
    by_user: FloatArray

    @property
    def total(self) -> float:
        """The objective of the problem."""
        return self.loss + self.unserved


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Effect:
    """What a plan does.

    Attributes:
        relief_kw: each user's relief before compliance, less what returns, (N, D, S).
        curtailed_kwh: the energy of each event, (K,), before compliance and return.
        rest_kwh: the energy of each user's moved rest day, (N,).
    """

    relief_kw: FloatArray
    curtailed_kwh: FloatArray
    rest_kwh: FloatArray


def effect(problem: Problem, plan: Plan) -> Effect:
    """What a plan does to every load."""
    week, measures = problem.week, problem.measures
    hours = week.slot_h
    energies, relief = _events(problem, plan)
    rest = np.zeros(problem.users.count)
    shaped = relief.reshape(-1, *hours.shape)
    for i in np.flatnonzero(plan.rest_day >= 0).tolist():
        day, usual = plan.rest_day[i], problem.users.usual_rest_day[i]
        power = np.minimum(_free_kw(problem, i)[day], measures.cap_kw[plan.rest_measure[i]])
        shaped[i, day] += power
        if usual >= 0:
            shaped[i, usual] -= power
        rest[i] = float(power @ hours[day])
    return Effect(relief_kw=shaped, curtailed_kwh=energies, rest_kwh=rest)


def event_relief_kw(problem: Problem, plan: Plan) -> FloatArray:
    """The relief of each event in its slots, (K, W) for the longest of W slots; 0 after its end."""
    users, measures = problem.users, problem.measures
    powers = np.zeros((plan.event_count, int(plan.slot_count.max(initial=0))))
    before = np.zeros(plan.event_count)
    for k in range(powers.shape[1]):
        on = np.flatnonzero(plan.slot_count > k)
        at = (plan.user[on], plan.day[on], plan.first_slot[on] + k)
        free = np.maximum(users.load_kw[at] - users.protected_kw[at], 0.0)
        measure = plan.measure[on]
        most = np.minimum(free, measures.cap_kw[measure])
        powers[on, k] = before[on] = np.minimum(most, before[on] + measures.ramp_kw[measure])
    return powers


def _events(problem: Problem, plan: Plan) -> tuple[FloatArray, FloatArray]:
    """The energy of each event, (K,), and the week of each user with relief and return, (N, T)."""
    week, measures = problem.week, problem.measures
    hours = week.slot_h.reshape(-1)
    begin = plan.day * week.slot_count + plan.first_slot
    end = begin + plan.slot_count
    powers = event_relief_kw(problem, plan)
    relief, energy = np.zeros((problem.users.count, hours.size)), np.zeros(plan.event_count)
    for k in range(powers.shape[1]):
        on = np.flatnonzero(plan.slot_count > k)
        np.add.at(relief, (plan.user[on], begin[on] + k), powers[on, k])
        energy[on] += powers[on, k] * hours[begin[on] + k]
    share, slots = measures.rebound_share[plan.measure], measures.rebound_slots[plan.measure]
    slots = np.where(share > 0.0, slots, 0)
    after = np.minimum(end + slots, hours.size)
    passed_h = np.concatenate(([0.0], np.cumsum(hours)))
    span_h = passed_h[after] - passed_h[end] + (end + slots - after) * week.usual_slot_h
    returned = np.divide(share * energy, span_h, out=np.zeros_like(energy), where=span_h > 0.0)
    for k in range(int(slots.max(initial=0))):
        on = np.flatnonzero(end + k < after)
        np.add.at(relief, (plan.user[on], end[on] + k), -returned[on])
    return energy, relief


def _free_kw(problem: Problem, user: int) -> FloatArray:
    users = problem.users
    return np.maximum(users.load_kw[user] - users.protected_kw[user], 0.0)


def unserved_kw(problem: Problem, plan: Plan) -> tuple[FloatArray, FloatArray]:
    """What a plan leaves uncovered in each slot, (D, S), and by feeder, (F, D, S)."""
    expected = effect(problem, plan).relief_kw * problem.users.compliance[:, None, None]
    whole = np.maximum(problem.shortage.shortage_kw - expected.sum(axis=0), 0.0)
    feeders = np.zeros((problem.shortage.feeder_count, *problem.week.shape))
    for feeder in range(feeders.shape[0]):
        mine = expected[problem.users.feeder == feeder].sum(axis=0)
        short = problem.shortage.feeder_shortage_kw
        if short is not None:
            feeders[feeder] = np.maximum(short[feeder] - mine, 0.0)
    return whole, feeders


def cost(problem: Problem, plan: Plan) -> Cost:
    """What a plan costs."""
    done, measures = effect(problem, plan), problem.measures
    by_user, gamma = np.zeros(problem.users.count), problem.fairness.gamma
    factor = np.array(gamma)[np.minimum(day_places(plan), len(gamma) - 1)]
    m = plan.measure
    loss = factor * (measures.cost_per_kwh[m] * done.curtailed_kwh + measures.start_cost[m])
    np.add.at(by_user, plan.user, loss)
    moved = np.flatnonzero(plan.rest_day >= 0)
    m = plan.rest_measure[moved]
    by_user[moved] += measures.cost_per_kwh[m] * done.rest_kwh[moved] + measures.start_cost[m]
    by_user *= 1.0 + problem.fairness.history_strength * problem.users.carried_burden
    whole, feeders = unserved_kw(problem, plan)
    kwh = float(((whole + feeders.sum(axis=0)) * problem.week.slot_h).sum())
    return Cost(
        loss=float(by_user.sum()),
        unserved=problem.shortage.unserved_price_per_kwh * kwh,
        by_user=by_user,
    )


def day_places(plan: Plan) -> IntArray:
    """The place of each event's day among the curtailed days of its user, from 0, (K,)."""
    places = np.zeros(plan.event_count, np.int64)
    order = np.lexsort((plan.day, plan.user))
    user, day = plan.user[order], plan.day[order]
    new_user = np.diff(user, prepend=-1) != 0
    days = np.cumsum(new_user | (np.diff(day, prepend=-1) != 0)) - 1
    places[order] = days - np.maximum.accumulate(np.where(new_user, days, 0))
    return places


def burden(problem: Problem, plan: Plan) -> FloatArray:
    """Each user's burden after the week, as a share of a week's contract, (N,)."""
    done, measures = effect(problem, plan), problem.measures
    weighted = np.zeros(problem.users.count)
    kwh = done.curtailed_kwh * measures.burden_weight[plan.measure]
    np.add.at(weighted, plan.user, kwh)
    moved = plan.rest_day >= 0
    weights = measures.burden_weight[plan.rest_measure[moved]]
    weighted[moved] += done.rest_kwh[moved] * weights
    return problem.users.carried_burden + weighted / problem.users.contract_kwh


def _days_of(plan: Plan) -> dict[int, dict[int, list[int]]]:
    """The numbers of the events of each user and day."""
    found: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number in range(plan.event_count):
        found[int(plan.user[number])][int(plan.day[number])].append(number)
    return found


def violations(
    problem: Problem, plan: Plan, burden_cap: FloatArray | None = None
) -> list[Violation]:
    """Every rule that a plan breaks, each with the user and day it is broken for."""
    found: list[Violation] = []
    held = set() if problem.announced is None else _keys(problem.announced)
    may = offered(problem)
    found += _single(problem, plan, held, may)
    days = _days_of(plan)
    for user, mine in days.items():
        found += _user(problem, plan, user, mine)
    for i in np.flatnonzero(plan.rest_day >= 0):
        found += _rest(problem, plan, int(i), days, may)
    if problem.announced is not None:
        found += _announced(problem, plan, problem.announced)
    if burden_cap is not None:
        have = burden(problem, plan)
        for i in np.flatnonzero(have > burden_cap * (1.0 + RELATIVE) + RELATIVE):
            message = f"has a burden of {have[i]:g}; must not exceed {burden_cap[i]:g}"
            found.append(Violation(f"users[{i}]", message))
    return found


def _single(
    problem: Problem, plan: Plan, held: set[tuple[int, ...]], may: BoolArray
) -> list[Violation]:
    """What events break each by itself: rules as masks, words for the broken ones alone."""
    week, measures, m = problem.week, problem.measures, plan.measure
    first, count, end = plan.first_slot, plan.slot_count, plan.first_slot + plan.slot_count
    low, high, kind = measures.min_slots[m], measures.max_slots[m], measures.kind[m]
    inside = (first >= 0) & (end <= week.slot_count)
    new = inside & ~_were_told(problem, plan, held)
    late_h = _late_hours(problem, plan)
    rules: list[tuple[BoolArray, Callable[[int], str]]] = [
        (measures.user[m] != plan.user, lambda k: f"uses measure {m[k]}, which is not the user's"),
        (kind == Kind.REST, lambda k: f"uses measure {m[k]} in a window; it moves the rest day"),
        (
            (count < low) | (count > high),
            lambda k: f"lasts {count[k]} slots; must last {low[k]} to {high[k]}",
        ),
        (~inside, lambda _: "leaves its day"),
        (inside & ~_allowed(problem, plan), lambda _: "lies in slots that are not allowed"),
        (
            new & ~problem.users.callable_days[plan.user, plan.day],
            lambda _: "lies on a day that is not callable",
        ),
        (new & ~may[m], lambda k: f"uses measure {m[k]}; the user's ability is too low for it"),
        (
            new & (late_h > 1e-6),
            lambda k: f"needs a notice that is {late_h[k]:g} h late",
        ),
    ]
    broken = sorted(
        (k, rule) for rule, (mask, _) in enumerate(rules) for k in np.flatnonzero(mask).tolist()
    )
    return [
        Violation(f"users[{plan.user[k]}].days[{plan.day[k]}]", rules[rule][1](k))
        for k, rule in broken
    ]


def _late_hours(problem: Problem, plan: Plan) -> FloatArray:
    """The hours by which the notice of each event is late, (K,); negative before it."""
    if problem.now is None:
        return np.full(plan.event_count, -inf)
    begin = np.clip(plan.first_slot, 0, problem.week.slot_count - 1)
    notice = problem.measures.notice[plan.measure]
    deadline_h = problem.notice_deadline_h[notice, plan.day, begin]
    return problem.week.hours_until(problem.now) - deadline_h


def _allowed(problem: Problem, plan: Plan) -> BoolArray:
    """Whether every slot of each event, as far as it is in its day, is allowed, (K,)."""
    good = np.ones(plan.event_count, np.bool_)
    allowed = problem.measures.allowed
    if allowed is None:
        return good
    for k in range(int(plan.slot_count.max(initial=0))):
        slot = plan.first_slot + k
        on = np.flatnonzero((plan.slot_count > k) & (slot >= 0) & (slot < problem.week.slot_count))
        good[on] &= allowed[plan.measure[on], plan.day[on], slot[on]]
    return good


def _user(problem: Problem, plan: Plan, user: int, days: dict[int, list[int]]) -> list[Violation]:
    """What the events of one user break together."""
    users, path = problem.users, f"users[{user}]"
    found: list[Violation] = []
    used = sorted(days)
    if len(used) > users.max_days[user]:
        message = f"has {len(used)} curtailed days; must have at most {users.max_days[user]}"
        found.append(Violation(path, message))
    for before, after in itertools.pairwise(used):
        free = after - before - 1
        if free < users.min_gap_days[user]:
            message = f"has {free} free days before; must have {users.min_gap_days[user]}"
            found.append(Violation(f"{path}.days[{after}]", message))
    for day, numbers in days.items():
        at = f"{path}.days[{day}]"
        if len(numbers) > users.max_events_per_day[user]:
            most = users.max_events_per_day[user]
            found.append(Violation(at, f"has {len(numbers)} events; must have at most {most}"))
        numbers = sorted(numbers, key=lambda n: plan.first_slot[n])
        for one, two in itertools.pairwise(numbers):
            if plan.first_slot[two] <= plan.first_slot[one] + plan.slot_count[one]:
                found.append(Violation(at, "has events without a free slot between them"))
    return found


def _rest(
    problem: Problem,
    plan: Plan,
    user: int,
    days: dict[int, dict[int, list[int]]],
    may: BoolArray,
) -> list[Violation]:
    """What a moved rest day breaks."""
    day, m, users = int(plan.rest_day[user]), int(plan.rest_measure[user]), problem.users
    path = f"users[{user}].rest_day"
    found: list[Violation] = []
    own = 0 <= m < problem.measures.count and problem.measures.user[m] == user
    if not own or problem.measures.kind[m] != Kind.REST:
        return [Violation(path, f"moves by measure {m}, which is not a rest day of the user")]
    if day in days.get(user, {}):
        found.append(Violation(path, f"is day {day}, on which the user has an event"))
    announced = problem.announced
    if announced is not None and announced.rest_day[user] == day:
        return found
    if not users.rest_days[user, day]:
        found.append(Violation(path, f"is day {day}, to which it may not move"))
    if not users.callable_days[user, day]:
        found.append(Violation(path, f"is day {day}, which is not callable"))
    if not may[m]:
        found.append(Violation(path, f"moves by measure {m}; the ability is too low for it"))
    usual = int(users.usual_rest_day[user])
    first = min(day, usual) if usual >= 0 else day
    late_h = _late_h(problem, m, problem.week.begin(first, 0))
    if late_h > 1e-6:
        found.append(Violation(path, f"needs a notice that is {late_h:g} h late"))
    return found


def _late_h(problem: Problem, measure: int, begin: datetime) -> float:
    """The hours by which the notice of what begins at an instant is late; negative before it."""
    if problem.now is None:
        return -inf
    deadline = notice_deadline(begin, Notice(int(problem.measures.notice[measure])))
    return (problem.now.timestamp() - deadline.timestamp()) / 3600.0


def _keys(plan: Plan) -> set[tuple[int, ...]]:
    columns = (plan.user, plan.day, plan.measure, plan.first_slot, plan.slot_count)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def _were_told(problem: Problem, plan: Plan, held: set[tuple[int, ...]]) -> BoolArray:
    """Whether each event is one of those announced and may be kept, (K,)."""
    told = np.zeros(plan.event_count, np.bool_)
    if not held:
        return told
    columns = (plan.user, plan.day, plan.measure, plan.first_slot, plan.slot_count)
    for k, key in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        kept = bool(problem.users.callable_days[key[0], key[1]])
        told[k] = key in held and (kept or _begun(problem, key[1], key[3]))
    return told


def _begun(problem: Problem, day: int, slot: int) -> bool:
    now = problem.now
    return now is not None and problem.week.begin(day, slot).timestamp() <= now.timestamp() + 1e-3


def _announced(problem: Problem, plan: Plan, announced: Plan) -> list[Violation]:
    """What a plan changes of the announced one that it may not change."""
    found: list[Violation] = []
    held, now = _keys(announced), _keys(plan)
    days = {key[:2] for key in held}
    for key in sorted(now - held):
        if key[:2] in days:
            message = "has an event beside announced ones; they may be kept or released"
            found.append(Violation(f"users[{key[0]}].days[{key[1]}]", message))
    for key in sorted(held - now):
        if _begun(problem, key[1], key[3]):
            message = "lacks an announced event that has begun"
            found.append(Violation(f"users[{key[0]}].days[{key[1]}]", message))
    for i in np.flatnonzero(announced.rest_day >= 0):
        day, usual = int(announced.rest_day[i]), int(problem.users.usual_rest_day[i])
        first = min(day, usual) if usual >= 0 else day
        if plan.rest_day[i] == day and plan.rest_measure[i] == announced.rest_measure[i]:
            continue
        if plan.rest_day[i] >= 0 or _begun(problem, first, 0):
            message = f"is not day {day}, which was announced"
            found.append(Violation(f"users[{i}].rest_day", message))
    return found
