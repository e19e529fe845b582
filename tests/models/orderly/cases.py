"""Small weeks: worked by hand, and drawn at random with every rule in them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product

import numpy as np

from loadloom.models.orderly.problem import (
    Fairness,
    FairnessMode,
    Kind,
    LegalOrder,
    Measures,
    Problem,
    Shortage,
    Users,
)
from loadloom.models.orderly.week import Week

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)


def week(days=7, slots=24, start=MONDAY, zone="UTC"):
    return Week(start=start, day_count=days, slot_count=slots, time_zone=zone)


def simple(load_kw, short_kw, *, costs, kinds=None, price=1_000.0, **columns):
    """Users that each offer one measure of their whole load; load (N, D, S), short (D, S)."""
    load, short = np.array(load_kw, float), np.array(short_kw, float)
    count, days, slots = load.shape
    measure = {k: columns.pop(k) for k in list(columns) if k in Measures.__dataclass_fields__}
    options = {k: columns.pop(k) for k in list(columns) if k in Problem.__dataclass_fields__}
    return Problem(
        week=options.pop("week", week(days, slots)),
        users=Users(names=tuple(f"u{i}" for i in range(count)), load_kw=load, **columns),
        measures=Measures(
            user=measure.pop("user", np.arange(count)),
            kind=np.array(kinds or [Kind.CUT] * len(costs)),
            cap_kw=measure.pop("cap_kw", np.full(len(costs), 1e6)),
            cost_per_kwh=np.array(costs, float),
            **measure,
        ),
        shortage=Shortage(shortage_kw=short, unserved_price_per_kwh=price),
        **options,
    )


def drawn(seed, *, users=None, days=3, slots=4, feeders=None, mode=FairnessMode.CONVEX, **options):
    """A random week with all rules."""
    rng = np.random.default_rng(seed)
    n = users or int(rng.integers(1, 7))
    f = int(rng.integers(0, 2)) if feeders is None else feeders
    per = rng.integers(1, 3, n)
    user = np.repeat(np.arange(n), per)
    m = user.size
    kind = rng.choice([Kind.SHIFT, Kind.AVOID, Kind.LIMIT, Kind.CUT, Kind.REST], m)
    rest = kind == Kind.REST
    load = np.round(rng.uniform(0, 100, (n, days, slots)), 1)
    usual = rng.integers(-1, days, n)
    rest_days = rng.random((n, days)) < 0.6
    rest_days[np.flatnonzero(usual >= 0), usual[usual >= 0]] = False
    short = rng.uniform(-30, 25 * n, (days, slots)) * (rng.random((days, slots)) < 0.6)
    low = rng.integers(1, 3, m)
    # One in four days of a clock change: a slot of no length, or of twice the length.
    start = MONDAY
    zone = "UTC"
    if rng.random() < 0.25:
        zone = "Europe/Berlin"
        start = (
            datetime(2026, 3, 27, 23, tzinfo=UTC)
            if rng.random() < 0.5
            else datetime(2026, 10, 23, 22, tzinfo=UTC)
        )
    slots_of_day = slots
    return Problem(
        week=Week(start=start, day_count=days, slot_count=slots_of_day, time_zone=zone),
        users=Users(
            names=tuple(f"u{i}" for i in range(n)),
            load_kw=load,
            protected_kw=np.round(load * rng.uniform(0, 0.5, (n, 1, 1)), 1),
            contract_kwh=np.full(n, 500.0),
            max_days=rng.integers(0, days + 1, n),
            max_events_per_day=rng.integers(1, 3, n),
            min_gap_days=rng.integers(0, 2, n),
            callable_days=rng.random((n, days)) < 0.9,
            rest_days=rest_days,
            usual_rest_day=usual,
            carried_burden=np.round(rng.uniform(0, 0.3, n), 2),
            compliance=rng.choice([1.0, 0.9], n),
            feeder=rng.integers(-1, f, n),
        ),
        measures=Measures(
            user=user,
            kind=kind,
            cap_kw=np.round(rng.uniform(10, 80, m), 1),
            cost_per_kwh=np.round(rng.uniform(1, 6, m), 2),
            start_cost=np.round(rng.uniform(0, 60, m), 1),
            min_slots=low,
            max_slots=low + rng.integers(0, 3, m),
            ramp_kw=np.where(~rest & (rng.random(m) < 0.3), 25.0, np.inf),
            rebound_share=np.where(~rest & (rng.random(m) < 0.3), 0.5, 0.0),
            rebound_slots=rng.integers(1, 4, m),
            burden_weight=rng.choice([1.0, 0.5], m),
            allowed=(rng.random((m, 1, slots)) < 0.85) if rng.random() < 0.3 else None,
        ),
        shortage=Shortage(
            shortage_kw=np.round(short, 1),
            unserved_price_per_kwh=50.0,
            feeder_shortage_kw=np.round(rng.uniform(-20, 30, (f, days, slots)), 1),
            feeders=tuple(f"f{k}" for k in range(f)),
        ),
        fairness=Fairness(mode=mode, gamma=(1.0, 1.5), history_strength=0.5),
        **options,
    )


def strict(problem):
    return replace(problem, legal_order=LegalOrder.STRICT)


def later(problem, announced, hours):
    """The same problem some hours after the start of its week, with an announced plan."""
    return replace(problem, announced=announced, now=problem.week.start + timedelta(hours=hours))


def reordered(problem, order):
    """The same problem with its users in another order."""
    users, place = problem.users, np.argsort(order)
    columns = {
        name: getattr(users, name)[order]
        for name in (
            *("load_kw", "protected_kw", "contract_kwh", "max_days", "max_events_per_day"),
            *("min_gap_days", "callable_days", "rest_days", "usual_rest_day", "carried_burden"),
            *("compliance", "feeder", "telemetry", "control", "past_compliance"),
        )
    }
    names = tuple(users.names[i] for i in order)
    return replace(
        problem,
        users=replace(users, names=names, **columns),
        measures=replace(problem.measures, user=place[problem.measures.user]),
    )


def by_name(problem, plan):
    """The events of a plan by the names of their users."""
    columns = (plan.day, plan.measure, plan.first_slot, plan.slot_count)
    names = [problem.users.names[i] for i in plan.user]
    return sorted(zip(names, *(c.tolist() for c in columns), strict=True))


def weeks(problem, user):
    """Every week that a user may have: its events."""
    from loadloom.models.orderly.events import day_sets, rest_events, user_events

    by_day = [[] for _ in range(problem.week.day_count)]
    for event in user_events(problem, user):
        by_day[event.day].append(event)
    sets = [day_sets(problem, user, events) for events in by_day]
    found = []
    for chosen in product(*sets):
        used = [d for d, events in enumerate(chosen) if events]
        gap = problem.users.min_gap_days[user]
        apart = all(b - a - 1 >= gap for a, b in pairwise(used))
        if len(used) <= problem.users.max_days[user] and apart:
            events = [event for day in chosen for event in day]
            found.append(events)
            found += [[*events, r] for r in rest_events(problem, user) if r.day not in used]
    return found


def enumerated(problem, enough_kwh):
    """The least unserved kWh, and the least largest burden that leaves at most so much unserved."""
    hours = problem.week.slot_h.reshape(-1)
    weight = problem.measures.burden_weight
    whole = problem.shortage.shortage_kw.reshape(-1)
    feeders = [f.reshape(-1) for f in problem.shortage.feeder_shortage_kw]
    columns = []
    for i in range(problem.users.count):
        mine = weeks(problem, i)
        relief = np.array([sum((e.relief_kw for e in w), np.zeros(hours.size)) for w in mine])
        burden = np.array([sum(e.kwh * weight[e.measure] for e in w) for w in mine])
        columns.append((relief, problem.users.carried_burden[i] + burden / 500.0))
    least, fairest = np.inf, np.inf
    first, second = columns
    for relief, burden in zip(*first, strict=True):
        both = relief + second[0]
        kwh = np.maximum(whole - both, 0) @ hours
        for f, short in enumerate(feeders):
            here = [np.where(problem.users.feeder[i] == f, 1.0, 0.0) for i in (0, 1)]
            kwh = kwh + np.maximum(short - here[0] * relief - here[1] * second[0], 0) @ hours
        least = min(least, float(kwh.min()))
        good = kwh <= enough_kwh + 1e-3
        if good.any():
            fairest = min(fairest, float(np.maximum(burden, second[1][good]).min()))
    return least, fairest
