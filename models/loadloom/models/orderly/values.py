"""What published prices prove: the dual bound, evaluated anew from problem and prices alone.

    bound = sum_r,d,t price * slot_h * shortage + sum_i least over user i's weeks of
            cost - sum_d,t price * slot_h * compliance * net relief

holds for 0 <= price <= unserved price, since whatever is short may be bought at those prices or
left unserved. It is taken event by event in plain Python: some milliseconds for each user.
"""

from functools import cache

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.events import Event, day_sets, rest_events, user_events
from loadloom.models.orderly.problem import Problem
from loadloom.models.orderly.solution import Prices


def dual_bound(problem: Problem, prices: Prices) -> float:
    """The bound that prices prove on the whole objective of a problem without stages or caps."""
    top = problem.shortage.unserved_price_per_kwh
    hours = problem.week.slot_h
    whole = np.clip(prices.slot_per_kwh, 0.0, top) * hours
    feeders = np.clip(prices.feeder_per_kwh, 0.0, top) * hours
    short = problem.shortage.feeder_shortage_kw
    bound = float((whole * problem.shortage.shortage_kw).sum())
    if short is not None:
        bound += float((feeders * short).sum())
    for user in range(problem.users.count):
        worth = whole.copy()
        if problem.users.feeder[user] >= 0:
            worth += feeders[problem.users.feeder[user]]
        bound += least_week(problem, user, worth.reshape(-1))
    return bound


def least_week(problem: Problem, user: int, worth_per_kw: FloatArray) -> float:
    """The least cost of a user's week, less what its relief is worth, (D * S,)."""
    by_day: list[list[Event]] = [[] for _ in range(problem.week.day_count)]
    for event in user_events(problem, user):
        by_day[event.day].append(event)
    sets = [day_sets(problem, user, events) for events in by_day]
    gamma = problem.fairness.gamma
    most, gap = int(problem.users.max_days[user]), int(problem.users.min_gap_days[user])

    def value(chosen: tuple[Event, ...], used: int) -> float:
        factor = gamma[min(used, len(gamma) - 1)]
        return sum(factor * e.cost - float(worth_per_kw @ e.relief_kw) for e in chosen)

    def week(rest: int) -> float:
        @cache
        def onward(day: int, used: int, free_from: int) -> float:
            if day == problem.week.day_count:
                return 0.0
            best = np.inf
            for chosen in sets[day]:
                if not chosen:
                    best = min(best, onward(day + 1, used, free_from))
                elif day >= free_from and used < most and day != rest:
                    later = onward(day + 1, used + 1, day + 1 + gap)
                    best = min(best, value(chosen, used) + later)
            return best

        return onward(0, 0, 0)

    moves = rest_events(problem, user)
    weeks = [value((move,), 0) + week(move.day) for move in moves]
    if not any(move.forced for move in moves):
        weeks.append(week(-1))
    return min(weeks)
