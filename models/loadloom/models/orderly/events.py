"""Every event that the rules let a user have, one by one, as the textbook would write them down.

Slow and plain: the reference model and the second opinion on dual bounds read these, and neither
shares anything with the compiled oracle.
"""

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.ability import offered
from loadloom.models.orderly.problem import Kind, Notice, Plan, Problem, notice_deadline
from loadloom.models.orderly.referee import effect
from loadloom.models.orderly.week import BoolArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event:
    """A window of a measure, or a moved rest day, whose `slot_count` is then 0.

    `kwh` is its energy, `cost` what it costs as the first curtailed day of its user, `relief_kw`
    what it takes off the demand of the week, compliance and return included, (D * S,). `forced` if
    it has begun.
    """

    user: int
    day: int
    measure: int
    first_slot: int
    slot_count: int
    kwh: float
    cost: float
    relief_kw: FloatArray
    forced: bool = False


def user_events(problem: Problem, user: int) -> list[Event]:
    """The events that a user may have, in the order of days."""
    may = offered(problem)
    return [
        event
        for day in range(problem.week.day_count)
        for event in _day_events(problem, user, day, may)
    ]


def _day_events(problem: Problem, user: int, day: int, may: BoolArray) -> list[Event]:
    announced = _announced(problem, user, day)
    if announced is not None:
        return announced
    measures, found = problem.measures, []
    if not problem.users.callable_days[user, day]:
        return []
    for m in np.flatnonzero((measures.user == user) & (measures.kind != Kind.REST) & may):
        for first in range(problem.week.slot_count):
            if _late(problem, int(m), day, first):
                continue
            longest = min(int(measures.max_slots[m]), problem.week.slot_count - first)
            for count in range(int(measures.min_slots[m]), longest + 1):
                open_slots = measures.allowed
                if open_slots is None or open_slots[m, day, first : first + count].all():
                    found.append(_event(problem, user, day, int(m), first, count))
    return found


def _announced(problem: Problem, user: int, day: int) -> list[Event] | None:
    """The announced events of a day that may be kept; None for a day without any."""
    plan = problem.announced
    if plan is None or problem.now is None:
        return None
    mine = np.flatnonzero((plan.user == user) & (plan.day == day))
    if not mine.size:
        return None
    found = []
    for n in mine:
        first = int(plan.first_slot[n])
        begun = problem.week.begin(day, first) <= problem.now
        if begun or problem.users.callable_days[user, day]:
            m, count = int(plan.measure[n]), int(plan.slot_count[n])
            found.append(_event(problem, user, day, m, first, count, forced=begun))
    return found


def rest_events(problem: Problem, user: int) -> list[Event]:
    """The ways in which the rest day of a user may move."""
    users, measures, found = problem.users, problem.measures, []
    plan, may = problem.announced, offered(problem)
    for m in np.flatnonzero((measures.user == user) & (measures.kind == Kind.REST)):
        for day in range(problem.week.day_count):
            usual = int(users.usual_rest_day[user])
            first = min(day, usual) if usual >= 0 else day
            begun = problem.now is not None and problem.week.begin(first, 0) <= problem.now
            good = users.rest_days[user, day] and users.callable_days[user, day]
            good = good and may[m] and not _late(problem, int(m), first, 0)
            if plan is not None and plan.rest_day[user] >= 0:
                same = plan.rest_day[user] == day and plan.rest_measure[user] == m
                good = same and (begun or users.callable_days[user, day])
                begun = begun and same
            else:
                begun = False
            if good:
                found.append(_event(problem, user, day, int(m), 0, 0, forced=begun))
    return found


def _late(problem: Problem, measure: int, day: int, first: int) -> bool:
    """Whether the notice can no longer be given."""
    if problem.now is None:
        return False
    notice = Notice(int(problem.measures.notice[measure]))
    deadline = notice_deadline(problem.week.begin(day, first), notice)
    return deadline.timestamp() < problem.now.timestamp()


def _event(
    problem: Problem,
    user: int,
    day: int,
    measure: int,
    first: int,
    count: int,
    *,
    forced: bool = False,
) -> Event:
    """The event, weighed by the referee as the only one of a week."""
    nobody = np.full(problem.users.count, -1)
    rest_day, rest_measure = nobody.copy(), nobody.copy()
    columns = [np.array([value]) for value in (user, day, measure, first, count)]
    if not count:
        rest_day[user], rest_measure[user] = day, measure
        columns = [np.zeros(0, np.int64)] * 5
    plan = Plan(
        user=columns[0],
        day=columns[1],
        measure=columns[2],
        first_slot=columns[3],
        slot_count=columns[4],
        rest_day=rest_day,
        rest_measure=rest_measure,
    )
    done = effect(problem, plan)
    kwh = float(done.curtailed_kwh.sum() + done.rest_kwh.sum())
    measures = problem.measures
    loss = measures.cost_per_kwh[measure] * kwh + measures.start_cost[measure]
    weight = 1.0 + problem.fairness.history_strength * problem.users.carried_burden[user]
    return Event(
        user=user,
        day=day,
        measure=measure,
        first_slot=first,
        slot_count=count,
        kwh=kwh,
        cost=float(weight * loss),
        relief_kw=done.relief_kw[user].reshape(-1) * problem.users.compliance[user],
        forced=forced,
    )


def day_sets(problem: Problem, user: int, events: list[Event]) -> list[tuple[Event, ...]]:
    """The sets of events that a user may have on the day of `events`, the empty one if it may."""
    forced = [event for event in events if event.forced]
    most = int(problem.users.max_events_per_day[user])
    found = []
    for size in range(len(forced), min(most, len(events)) + 1):
        for chosen in combinations(sorted(events, key=lambda e: e.first_slot), size):
            apart = all(
                one.first_slot + one.slot_count < two.first_slot for one, two in pairwise(chosen)
            )
            if apart and all(event in chosen for event in forced):
                found.append(chosen)
    return found


def plan_from(problem: Problem, chosen: list[Event]) -> Plan:
    """The plan that consists of some events."""
    windows = sorted(
        (e for e in chosen if e.slot_count), key=lambda e: (e.user, e.day, e.first_slot)
    )
    rest_day = np.full(problem.users.count, -1)
    rest_measure = rest_day.copy()
    for event in chosen:
        if not event.slot_count:
            rest_day[event.user], rest_measure[event.user] = event.day, event.measure
    return Plan(
        user=np.array([e.user for e in windows], np.int64),
        day=np.array([e.day for e in windows], np.int64),
        measure=np.array([e.measure for e in windows], np.int64),
        first_slot=np.array([e.first_slot for e in windows], np.int64),
        slot_count=np.array([e.slot_count for e in windows], np.int64),
        rest_day=rest_day,
        rest_measure=rest_measure,
    )
