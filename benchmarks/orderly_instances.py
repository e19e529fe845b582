"""Weeks to plan: industrial parks of any size, drawn from a seed."""

from datetime import UTC, datetime

import numpy as np

from loadloom.models.orderly.problem import (
    Fairness,
    Kind,
    Measures,
    Notice,
    Problem,
    Shortage,
    Users,
)
from loadloom.models.orderly.week import Week

START = datetime(2026, 12, 7, tzinfo=UTC)
"""The Monday on which all weeks begin."""

INDUSTRIES = ("steel", "cement", "textiles", "food", "chemistry", "offices")


def park(count: int, slots: int, seed: int = 1, *, share: float = 0.1) -> Problem:
    """A week of `count` users whose evenings and mornings are short of some of their load.

    Loads follow shifts, are lower at weekends and differ by orders of magnitude. Users offer one to
    three measures: shifting with a rebound, limiting, cutting; cheap ones need more notice.
    `share` is how much of the peak load is missing in the worst slot.
    """
    rng = np.random.default_rng(seed)
    load = _load(rng, count, slots)
    measures = _measures(rng, load, slots)
    total = load.sum(axis=0)
    users = Users(
        names=tuple(f"user {i:05d}" for i in range(count)),
        load_kw=load,
        protected_kw=load * rng.uniform(0.2, 0.6, count)[:, None, None],
        contract_kwh=load.sum(axis=(1, 2)) * 24.0 / slots,
        max_days=rng.integers(1, 4, count),
        min_gap_days=rng.integers(0, 2, count),
        carried_burden=rng.uniform(0.0, 0.2, count),
        compliance=rng.uniform(0.85, 1.0, count),
        telemetry=rng.uniform(0.3, 1.0, count),
        control=rng.uniform(0.0, 1.0, count),
        past_compliance=rng.uniform(0.5, 1.0, count),
        industry=tuple(INDUSTRIES[i] for i in rng.integers(0, len(INDUSTRIES), count)),
    )
    return Problem(
        week=Week(start=START, slot_count=slots),
        users=users,
        measures=measures,
        shortage=Shortage(shortage_kw=_shortage(rng, total, share), unserved_price_per_kwh=60.0),
        fairness=Fairness(gamma=(1.0, 1.3, 1.7), history_strength=1.0),
    )


def _load(rng: np.random.Generator, count: int, slots: int) -> np.ndarray:
    """Forecast loads: one, two or three shifts, an individual size, less at weekends."""
    size = rng.lognormal(np.log(300.0), 0.9, count)
    hours = (np.arange(slots) + 0.5) * 24.0 / slots
    shifts = rng.integers(1, 4, count)
    begin = 6.0 + rng.uniform(-1.0, 1.0, count)
    end = np.where(shifts == 3, 30.0, begin + 8.0 * shifts)
    inside = (hours >= begin[:, None]) & (hours < end[:, None])
    inside |= hours + 24.0 < end[:, None]
    day = np.where(inside, 1.0, rng.uniform(0.1, 0.4, count)[:, None])
    week = np.ones((count, 7))
    week[:, 5:] = rng.uniform(0.2, 1.0, (count, 1))
    noise = rng.uniform(0.9, 1.1, (count, 7, slots))
    return size[:, None, None] * week[:, :, None] * day[:, None, :] * noise


def _shortage(rng: np.random.Generator, total: np.ndarray, share: float) -> np.ndarray:
    """A shortage each working evening and some mornings, room at all other times."""
    days, slots = total.shape
    hours = (np.arange(slots) + 0.5) * 24.0 / slots
    shape = np.exp(-(((hours - 18.5) / 2.5) ** 2)) + 0.6 * np.exp(-(((hours - 10.5) / 2.0) ** 2))
    strength = rng.uniform(0.4, 1.0, days) * np.array([1, 1, 1, 1, 1, 0.4, 0.2])[:days]
    peak = total.max()
    short = share * peak * strength[:, None] * shape
    return np.where(short > 0.02 * share * peak, short, -0.05 * peak)


def _measures(rng: np.random.Generator, load: np.ndarray, slots: int) -> Measures:
    """One to three measures a user."""
    count = load.shape[0]
    per_hour = slots / 24.0
    offered = rng.integers(1, 4, count)
    user = np.repeat(np.arange(count), offered)
    number = np.arange(user.size) - np.repeat(np.cumsum(offered) - offered, offered)
    kind = np.array([Kind.CUT, Kind.LIMIT, Kind.SHIFT])[number]
    notice = np.array([Notice.IMMEDIATE, Notice.DAY, Notice.WEEK])[number]
    peak = load.max(axis=(1, 2))[user]
    factor = np.array([1.0, 0.5, 0.3])[number] * rng.uniform(0.5, 1.0, user.size)
    base = rng.lognormal(np.log(4.0), 0.5, count)[user]
    cost = base * np.array([1.0, 0.8, 0.5])[number] * rng.uniform(0.8, 1.2, user.size)
    shortest = np.maximum(1, np.round(rng.choice([1, 2, 3], user.size) * per_hour)).astype(int)
    longest = shortest + np.round(rng.choice([1, 3, 5], user.size) * per_hour).astype(int)
    return Measures(
        user=user,
        kind=kind,
        cap_kw=factor * peak,
        cost_per_kwh=cost,
        start_cost=cost * factor * peak * rng.uniform(0.0, 1.0, user.size),
        min_slots=np.minimum(shortest, slots),
        max_slots=np.maximum(np.minimum(longest, slots), np.minimum(shortest, slots)),
        notice=notice,
        rebound_share=np.where(kind == Kind.SHIFT, 0.5, 0.0),
        rebound_slots=np.where(kind == Kind.SHIFT, max(1, round(4 * per_hour)), 0),
    )
