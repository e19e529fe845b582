"""The referee of weekly schedules: what a plan does, costs and breaks, from problem and plan alone.

It reads the rules of `problem` event by event, and shares nothing with what makes plans.
"""

import itertools
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.ability import offered
from loadloom.models.orderly.problem import Kind, Notice, Plan, Problem

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
    hours = problem.week.slot_h
    relief = np.zeros((problem.users.count, hours.size))
    energies = np.zeros(plan.event_count)
    for number in range(plan.event_count):
        energies[number] = _apply(problem, plan, number, relief[plan.user[number]])
    rest = np.zeros(problem.users.count)
    shaped = relief.reshape(-1, *hours.shape)
    for i in np.flatnonzero(plan.rest_day >= 0).tolist():
        day, usual = plan.rest_day[i], problem.users.usual_rest_day[i]
        power = np.minimum(_free_kw(problem, i)[day], problem.measures.cap_kw[plan.rest_measure[i]])
        shaped[i, day] += power
        if usual >= 0:
            shaped[i, usual] -= power
        rest[i] = float(power @ hours[day])
    return Effect(relief_kw=shaped, curtailed_kwh=energies, rest_kwh=rest)


def event_relief_kw(problem: Problem, plan: Plan, number: int) -> FloatArray:
    """The relief of one event in its slots, (slot_count,)."""
    measure = plan.measure[number]
    free = _free_kw(problem, int(plan.user[number]))[plan.day[number]]
    first, count = plan.first_slot[number], plan.slot_count[number]
    powers, before = np.zeros(count), 0.0
    for k in range(count):
        most = min(free[first + k], problem.measures.cap_kw[measure])
        before = min(most, before + problem.measures.ramp_kw[measure])
        powers[k] = before
    return powers


def _apply(problem: Problem, plan: Plan, number: int, relief: FloatArray) -> float:
    """The energy of an event, whose relief and return are added to a user's week."""
    week, measure = problem.week, plan.measure[number]
    hours = week.slot_h.reshape(-1)
    begin = int(plan.day[number] * week.slot_count + plan.first_slot[number])
    end = begin + int(plan.slot_count[number])
    powers = event_relief_kw(problem, plan, number)
    relief[begin:end] += powers
    energy = float(powers @ hours[begin:end])
    share, slots = problem.measures.rebound_share[measure], problem.measures.rebound_slots[measure]
    if share > 0.0:
        after = hours[end : end + slots]
        span = float(after.sum()) + (slots - after.size) * week.usual_slot_h
        if span > 0.0:
            relief[end : end + slots] -= share * energy / span
    return energy


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
    by_user = np.zeros(problem.users.count)
    gamma = problem.fairness.gamma
    for user, days in _days_of(plan).items():
        for place, day in enumerate(sorted(days)):
            factor = gamma[min(place, len(gamma) - 1)]
            for number in days[day]:
                m = plan.measure[number]
                loss = (
                    measures.cost_per_kwh[m] * done.curtailed_kwh[number] + measures.start_cost[m]
                )
                by_user[user] += factor * loss
    for i in np.flatnonzero(plan.rest_day >= 0):
        m = plan.rest_measure[i]
        by_user[i] += measures.cost_per_kwh[m] * done.rest_kwh[i] + measures.start_cost[m]
    by_user *= 1.0 + problem.fairness.history_strength * problem.users.carried_burden
    whole, feeders = unserved_kw(problem, plan)
    kwh = float(((whole + feeders.sum(axis=0)) * problem.week.slot_h).sum())
    return Cost(
        loss=float(by_user.sum()),
        unserved=problem.shortage.unserved_price_per_kwh * kwh,
        by_user=by_user,
    )


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
    for number in range(plan.event_count):
        found += _event(problem, plan, number, held)
    days = _days_of(plan)
    for user, mine in days.items():
        found += _user(problem, plan, user, mine)
    for i in np.flatnonzero(plan.rest_day >= 0):
        found += _rest(problem, plan, int(i), days)
    if problem.announced is not None:
        found += _announced(problem, plan, problem.announced)
    if burden_cap is not None:
        have = burden(problem, plan)
        for i in np.flatnonzero(have > burden_cap * (1.0 + RELATIVE) + RELATIVE):
            message = f"has a burden of {have[i]:g}; must not exceed {burden_cap[i]:g}"
            found.append(Violation(f"users[{i}]", message))
    return found


def _event(
    problem: Problem, plan: Plan, number: int, held: set[tuple[int, ...]]
) -> list[Violation]:
    """What one event breaks by itself."""
    user, day = int(plan.user[number]), int(plan.day[number])
    m, first = int(plan.measure[number]), int(plan.first_slot[number])
    count, measures = int(plan.slot_count[number]), problem.measures
    path = f"users[{user}].days[{day}]"
    found: list[Violation] = []

    def require(condition: bool, message: str) -> None:
        if not condition:
            found.append(Violation(path, message))

    require(measures.user[m] == user, f"uses measure {m}, which is not the user's")
    require(measures.kind[m] != Kind.REST, f"uses measure {m} in a window; it moves the rest day")
    low, high = measures.min_slots[m], measures.max_slots[m]
    require(low <= count <= high, f"lasts {count} slots; must last {low} to {high}")
    inside = first >= 0 and first + count <= problem.week.slot_count
    require(inside, "leaves its day")
    if not inside:
        return found
    if measures.allowed is not None:
        good = bool(measures.allowed[m, day, first : first + count].all())
        require(good, "lies in slots that are not allowed")
    if _was_told(problem, plan, number, held):
        return found
    require(bool(problem.users.callable_days[user, day]), "lies on a day that is not callable")
    require(bool(offered(problem)[m]), f"uses measure {m}; the user's ability is too low for it")
    if problem.now is not None:
        ahead = problem.week.begin(day, first).timestamp() - problem.now.timestamp()
        lead = Notice(int(measures.notice[m])).lead_h
        told = f"begins in {ahead / 3600:g} h; its notice takes {lead:g} h"
        require(ahead / 3600.0 >= lead - 1e-6, told)
    return found


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
    problem: Problem, plan: Plan, user: int, days: dict[int, dict[int, list[int]]]
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
    if not offered(problem)[m]:
        found.append(Violation(path, f"moves by measure {m}; the ability is too low for it"))
    if problem.now is not None:
        usual = int(users.usual_rest_day[user])
        first = min(day, usual) if usual >= 0 else day
        ahead = problem.week.begin(first, 0).timestamp() - problem.now.timestamp()
        lead = Notice(int(problem.measures.notice[m])).lead_h
        if ahead / 3600.0 < lead - 1e-6:
            message = f"changes in {ahead / 3600:g} h; its notice takes {lead:g} h"
            found.append(Violation(path, message))
    return found


def _keys(plan: Plan) -> set[tuple[int, ...]]:
    columns = (plan.user, plan.day, plan.measure, plan.first_slot, plan.slot_count)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def _was_told(problem: Problem, plan: Plan, number: int, held: set[tuple[int, ...]]) -> bool:
    """Whether an event is one of those announced and may be kept."""
    columns = (plan.user, plan.day, plan.measure, plan.first_slot, plan.slot_count)
    key = tuple(int(column[number]) for column in columns)
    callable_day = bool(problem.users.callable_days[key[0], key[1]])
    return key in held and (callable_day or _begun(problem, key[1], key[3]))


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
