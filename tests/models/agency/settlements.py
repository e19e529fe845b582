"""Settlements for tests: by hand, and random ones full of awkward corners."""

from datetime import UTC, datetime

import numpy as np

from loadloom.models.agency import prices
from loadloom.models.agency.problem import (
    Currency,
    Curves,
    Mode,
    Peak,
    PeakMode,
    Problem,
    Purchase,
    SharingRule,
)
from loadloom.models.horizon import Horizon

START = datetime(2024, 3, 1, tzinfo=UTC)


def settlement_of(
    load_kw,
    *,
    names=None,
    step_h=1.0,
    start=START,
    time_zone="UTC",
    schedule=None,
    digits=2,
    highest=0.6,
    rate=0.1,
    **terms,
) -> Problem:
    """A settlement of loads (n, T); the schedule is 0.3 + 0.1 u unless something else is given."""
    load = np.asarray(load_kw)
    count, slots = load.shape
    horizon = Horizon(start=start, step_h=np.full(slots, step_h), time_zone=time_zone)
    names = names or tuple(f"user {i:02d}" for i in range(count))
    if schedule is None and "purchase" not in terms:
        schedule = prices.affine(0.3, 0.1)
    return Problem(
        curves=Curves(names=tuple(names), load_kw=load, horizon=horizon),
        schedule=schedule,
        highest_price_per_kwh=np.asarray(highest, dtype=np.float64),
        profit_rate=rate,
        currency=Currency(code="EUR", minor_digits=digits),
        **terms,
    )


def by_hand(**terms) -> Problem:
    """The two users of the design: A = (4, 3), LF = 7/8, x = (1.8, 1.1), bills 1.86 and 1.17."""
    return settlement_of([[3.0, 1.0], [1.0, 2.0]], names=("one", "two"), **terms)


def schedule(rng: np.random.Generator) -> prices.PriceSchedule:
    """A random schedule of any kind, most of them not stable."""
    base, slope = rng.uniform(0.1, 0.5), rng.uniform(0.01, 0.2)
    return (
        prices.affine(base, slope),
        prices.load_factor(base + slope, slope),
        prices.piecewise((1.0, 1.3, 2.5), (base, base + slope, base + 4.0 * slope)),
        prices.tiers((0.0, 0.5, 0.8), (base + slope, base + slope / 2.0, base)),
    )[rng.integers(4)]


def random_settlement(rng: np.random.Generator, *, rule: SharingRule | None = None) -> Problem:
    """A random settlement of a few users over some days, of any mode."""
    count, days = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    slots = 4 * days
    load = rng.gamma(1.0, 2.0, (count, slots)) * (rng.random((count, slots)) < 0.8)
    load = load.round(int(rng.integers(0, 4)))  # ties among slots and users
    load[0, 0] += 1.0
    if rng.random() < 0.3:
        load = load.astype(np.float32)
    owner = {"schedule": schedule(rng)}
    if rule in (SharingRule.OWEN_DUALS,):
        owner = {"purchase": purchase(rng, load, 6.0)}
    digits = int(rng.integers(0, 5))
    each = rng.random() < 0.5
    highest = rng.uniform(0.2, 0.9, count) if each else rng.uniform(0.2, 0.9)
    prepaid = None
    if rng.random() < 0.5:
        prepaid = rng.integers(0, 100 * 10**digits, count)
    return settlement_of(
        load,
        step_h=6.0,
        digits=digits,
        highest=highest,
        rate=float(rng.choice([0.0, 0.1, rng.random(), 1.0])),
        prepaid_minor=prepaid,
        mode=Mode.COST_PLUS if rng.random() < 0.3 else Mode.BENEFIT_SHARE,
        peak=Peak(mode=list(PeakMode)[rng.integers(3)], count=int(rng.integers(1, days + 1))),
        rule=rule,
        **owner,
    )


def purchase(rng: np.random.Generator, load, step_h: float) -> Purchase:
    """A purchase with a few slot prices, and a rent."""
    price = rng.choice([0.1, 0.25, 0.4], load.shape[1])
    brought = float(load.sum(axis=0, dtype=np.float64) @ price) * step_h
    rent = float(rng.choice([0.0, 0.1])) * brought
    return Purchase(cost=brought - rent, slot_price_per_kwh=price, rent=rent)
