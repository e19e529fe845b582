"""Readings of customers to settle events by, and random events with everything that goes wrong."""

from datetime import date, timedelta

import numpy as np

from loadloom.models.agency.problem import Currency
from loadloom.models.response.baseline_rule import Adjust, Adjustment, BaselineRule, Event, Method
from loadloom.models.response.measure import Called, DeliveryRule
from loadloom.models.response.pay import Rounding, Terms
from loadloom.models.response.settle import SettlementRequest
from loadloom.models.response.similar_days import Readings, Span

MONDAY = date(2026, 6, 1)
EVENT_DAY = 21
"""A Monday, after three whole weeks."""


def days(count, first=MONDAY):
    return tuple(first + timedelta(days=k) for k in range(count))


def flat(count=1, level=100.0, day_count=EVENT_DAY + 1, slots=24, **kinds):
    """Customers who draw the same in every slot."""
    load = np.full((count, day_count, slots), level)
    return Readings(load_kw=load, dates=days(day_count), **kinds)


def evening(**kinds):
    """An event from 17 to 19 o'clock on the last day."""
    return Event(**{"day": EVENT_DAY, "window": Span(first=17, count=2)} | kinds)


def random_request(seed, count=5, controls=6):
    """A small settlement with gaps, holidays, days of other events, and any rule."""
    rng = np.random.default_rng(seed)
    day_count = EVENT_DAY + 1 + int(rng.integers(0, 3))
    dates = days(day_count)
    slots = int(rng.choice([24, 48, 12]))
    air = 20.0 + 8.0 * rng.random((day_count, slots))

    def of(rows):
        load = rng.gamma(2.0, 2.0, (rows, day_count, slots)) + np.maximum(0.0, air - 22.0)
        load -= rng.choice([0.0, 6.0], p=[0.8, 0.2])  # some feed in
        load[rng.random(load.shape) < rng.choice([0.0, 0.01])] = np.nan
        shape = [(day_count,), (rows, day_count)][int(rng.integers(2))]
        called = rng.random(shape) < 0.1
        called[..., EVENT_DAY] = False
        return Readings(
            load_kw=load.astype(rng.choice([np.float32, np.float64])),
            dates=dates,
            holidays=frozenset(rng.choice(np.array(dates), 2).tolist()),
            called=called if rng.random() < 0.7 else None,
            temperature_c=air,
        )

    window = Span(first=slots // 2, count=int(rng.integers(1, 4)))
    kind = Adjust(rng.choice([each.value for each in Adjust]))
    event = Event(
        day=EVENT_DAY,
        window=window,
        after_count=int(rng.integers(0, 3)),
        spoiled=rng.random((count, slots)) < 0.3 if rng.random() < 0.5 else None,
    )
    rule = BaselineRule(
        method=Method(rng.choice([each.value for each in Method])),
        last=int(rng.integers(4, 11)),
        kept=int(rng.integers(1, 4)),
        fewest=int(rng.integers(1, 5)),
        lookback_days=int(rng.integers(15, 60)),
        adjustment=Adjustment(
            kind=kind, span=Span(first=window.first - 4, count=3), lowest=0.8, highest=1.2
        ),
        matches=2,
    )
    width = window.count
    called = Called(
        slots=rng.random((count, width)) < 0.8 if rng.random() < 0.6 else None,
        offered_kw=rng.choice([0.5, 1.0, 2.0], count),
    )
    delivery = DeliveryRule(
        most_share=float(rng.choice([np.inf, 1.2])),
        least_share=float(rng.choice([0.0, 0.5])),
        deducted_rebound_share=float(rng.choice([0.0, 0.5])),
    )
    shape = [(1, 1), (count, 1), (1, width), (count, width)][int(rng.integers(4))]
    terms = Terms(
        currency=Currency(code="EUR", minor_digits=int(rng.choice([0, 2, 3]))),
        price_per_kwh=rng.integers(0, 900_000, shape) / 1e6,
        fixed_minor=rng.integers(0, 500, count) if rng.random() < 0.5 else None,
        fixed_from_share=float(rng.choice([0.0, 0.7])),
        taking_part=rng.random(count) < 0.8 if rng.random() < 0.5 else None,
        rounding=Rounding(rng.choice([each.value for each in Rounding])),
    )
    names = [f"customer {k}" for k in rng.permutation(count)]
    return SettlementRequest(
        readings=of(count),
        event=event,
        terms=terms,
        baseline_rule=rule,
        controls=of(controls) if rule.method is Method.CONTROL_GROUP else None,
        called=called,
        delivery_rule=delivery,
        names=names if rng.random() < 0.5 else None,
    )
