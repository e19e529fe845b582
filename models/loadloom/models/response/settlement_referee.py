"""The referee of events that were settled: everything anew from the request and the answer alone.

Payments and their sums are checked of all customers, in integers and without any tolerance.
Baselines and deliveries are written out customer by customer, as one would do it by hand, for all
or for those who are asked for.
"""

from collections.abc import Iterable
from math import sqrt
from statistics import stdev

import numpy as np

from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.response.baseline_rule import Adjust, Method, Note
from loadloom.models.response.pay import PRICE_STEPS, Rounding
from loadloom.models.response.settle import Settlement, SettlementRequest
from loadloom.models.response.similar_days import IntArray, Readings, Span

TOLERANCE = 1e-6
"""The share of a baseline, or of a kW, by which two ways to add it up may differ."""

ROWS_LOOKED_AT = 200


def violations(
    request: SettlementRequest, answer: Settlement, rows: Iterable[int] | None = None
) -> list[Violation]:
    """Every rule that the answer breaks.

    Args:
        request: what was asked.
        answer: what was found.
        rows: the customers whose baselines and deliveries are looked at; None for all of up to 200,
            and as many spread evenly over more.
    """
    count = request.readings.shape[0]
    found = _shapes(request, answer)
    if found:
        return found
    even = np.linspace(0, count - 1, min(count, ROWS_LOOKED_AT)).astype(int).tolist()
    for i in sorted(set(even)) if rows is None else rows:
        found += _baseline(request, answer, i)
        found += _delivery(request, answer, i)
    return found + _payments(request, answer)


def _shapes(request: SettlementRequest, answer: Settlement) -> list[Violation]:
    count, event = request.readings.shape[0], request.event
    window, measured = event.window.count, event.measured.count
    shapes = {
        "baselines.kw": (answer.baselines.kw, (count, measured)),
        "baselines.unadjusted_kw": (answer.baselines.unadjusted_kw, (count, measured)),
        "baselines.adjustment": (answer.baselines.adjustment, (count,)),
        "baselines.day_count": (answer.baselines.day_count, (count,)),
        "baselines.days": (answer.baselines.days, (count, request.baseline_rule.last)),
        "baselines.note": (answer.baselines.note, (count,)),
        "baselines.noise_kw": (answer.baselines.noise_kw, (count,)),
        "measured.delivered_wh": (answer.measured.delivered_wh, (count, window)),
        "measured.rebound_kwh": (answer.measured.rebound_kwh, (count,)),
        "measured.net_kw": (answer.measured.net_kw, (count,)),
        "payments.energy_minor": (answer.payments.energy_minor, (count,)),
        "payments.fixed_minor": (answer.payments.fixed_minor, (count,)),
    }
    return [
        Violation(path, f"has shape {values.shape}; must have shape {shape}")
        for path, (values, shape) in shapes.items()
        if values.shape != shape
    ]


def _days_looked_at(readings: Readings, request: SettlementRequest, i: int) -> list[int]:
    """The days alike of a customer that the request's rule looks at, the latest first."""
    rule, event = request.baseline_rule, request.event
    today = readings.dates[event.day]
    looked_at = []
    for day in range(len(readings.dates) - 1, -1, -1):
        back = (today - readings.dates[day]).days
        alike = _rests(readings, day) == _rests(readings, event.day)
        if not (0 < back <= rule.lookback_days and alike) or _was_called(readings, i, day):
            continue
        needed = [readings.load_kw[i, day, event.window.slots]]
        if rule.adjustment.kind is not Adjust.NONE and rule.adjustment.span is not None:
            needed.append(readings.load_kw[i, day, rule.adjustment.span.slots])
        if np.isfinite(np.concatenate(needed)).all() and len(looked_at) < rule.last:
            looked_at.append(day)
    return looked_at


def _days_kept(
    readings: Readings, request: SettlementRequest, i: int, looked_at: list[int]
) -> list[int]:
    """The days of which a baseline is the mean, the latest first."""
    rule, window = request.baseline_rule, request.event.window
    if rule.method is not Method.HIGHEST_DAYS:
        return looked_at
    level = {
        day: float(readings.load_kw[i, day, window.slots].astype(np.float64).mean())
        for day in looked_at
    }
    highest = sorted(looked_at, key=lambda day: (-level[day], -day))[: rule.kept]
    return sorted(highest, reverse=True)


def _usual_load(
    readings: Readings, request: SettlementRequest, i: int, slots: slice
) -> tuple[FloatArray, float] | None:
    """A customer's mean load on its days alike, and its noise; None with too few days."""
    rule, event = request.baseline_rule, request.event
    looked_at = _days_looked_at(readings, request, i)
    if len(looked_at) < rule.fewest:
        return None
    kept = _days_kept(readings, request, i, looked_at)
    window = readings.load_kw[i, :, event.window.slots].astype(np.float64).mean(axis=1)
    load = readings.load_kw[i, kept, slots].astype(np.float64)
    known = ~np.isnan(load)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, load, 0.0).sum(axis=0) / known.sum(axis=0)
    if len(looked_at) < 2:
        return mean, np.nan
    return mean, stdev(window[looked_at].tolist()) * sqrt(1.0 + 1.0 / len(kept))


def _rests(readings: Readings, day: int) -> bool:
    date = readings.dates[day]
    return date in readings.holidays or date.weekday() in readings.weekend


def _was_called(readings: Readings, i: int, day: int) -> bool:
    called = readings.called
    if called is None:
        return False
    return bool(called[day] if called.ndim == 1 else called[i, day])


def _fitted_load(request: SettlementRequest, i: int, span: Span) -> tuple[FloatArray, float] | None:
    """What a regression over the days before says, slot by slot; None with too few days."""
    readings, rule, event = request.readings, request.baseline_rule, request.event
    air = readings.temperature_c
    if air is None:
        return None
    today = readings.dates[event.day]
    days = [
        day
        for day, date in enumerate(readings.dates)
        if 0 < (today - date).days <= rule.lookback_days and not _was_called(readings, i, day)
    ]

    def row(day: int, t: int) -> list[float]:
        months = (readings.dates[day] - today).days / 30.0
        warm, cold = max(0.0, air[day, t] - 22.0), max(0.0, 15.0 - air[day, t])
        of_day = float(np.maximum(0.0, air[day] - 22.0).mean())
        return [1.0, float(_rests(readings, day)), months, warm, cold, of_day]

    found, whole = [], set(days)
    for t in range(span.first, span.end):
        known = [day for day in days if not np.isnan(readings.load_kw[i, day, t])]
        if event.window.first <= t < event.window.end:
            whole &= set(known)
        if not known:
            found.append(np.nan)
            continue
        x = np.array([row(day, t) for day in known]).reshape(len(known), 6)
        y = readings.load_kw[i, known, t].astype(np.float64)
        penalty = np.sqrt(1e-6) * np.eye(6)[1:]
        beta = np.linalg.lstsq(np.vstack([x, penalty]), np.append(y, np.zeros(5)), rcond=None)[0]
        found.append(float(np.dot(row(event.day, t), beta)))
    return (np.array(found), np.nan) if len(whole) >= rule.fewest else None


def _moved_load(
    request: SettlementRequest, i: int, slots: slice
) -> tuple[FloatArray, float] | None:
    """The usual load moved as the nearest controls' were, and its noise; None without them."""
    rule, event, controls = request.baseline_rule, request.event, request.controls
    whole = slice(0, request.readings.shape[2])
    usual_and_noise = _usual_load(request.readings, request, i, whole)
    if usual_and_noise is None or controls is None or np.isnan(usual_and_noise[0]).any():
        return None
    own, noise = usual_and_noise
    near = []
    for c in range(controls.shape[0]):
        actual = controls.load_kw[c, event.day, slots].astype(np.float64)
        found = _usual_load(controls, request, c, whole)
        if found is None or np.isnan(found[0]).any() or np.isnan(actual).any():
            continue
        usual = found[0]
        if _was_called(controls, c, event.day):
            continue
        apart = float(((_hourly(own) - _hourly(usual)) ** 2).sum())
        near.append((apart, c, actual - usual[slots]))
    if len(near) < rule.matches:
        return None
    near.sort(key=lambda each: each[:2])
    moved = own[slots] + np.mean([change for *_, change in near[: rule.matches]], axis=0)
    return moved, noise


def _hourly(load: FloatArray) -> FloatArray:
    return load.reshape(-1, load.size // 24).mean(axis=1) if load.size % 24 == 0 else load


def _baseline(request: SettlementRequest, answer: Settlement, i: int) -> list[Violation]:
    """What is wrong with a customer's baseline."""
    rule, event, found = request.baseline_rule, request.event, answer.baselines
    span = rule.adjustment.span if rule.adjustment.kind is not Adjust.NONE else None
    first = event.window.first if span is None else span.first
    shown = Span(first=first, count=event.measured.end - first)
    wrong = _days_told(request, answer, i)
    if rule.method is Method.REGRESSION:
        right = _fitted_load(request, i, shown)
    elif rule.method is Method.CONTROL_GROUP:
        right = _moved_load(request, i, shown.slots)
    else:
        right = _usual_load(request.readings, request, i, shown.slots)
    change = None
    if right is None:
        load, note = np.full(shown.count, np.nan), _why_none(request, i)
        noise, after = found.noise_kw[i], load
    else:
        (load, noise), note = right, Note.NONE
        after = load
        if span is not None:
            after, change = _adjusted(request, i, load, span)
            note = Note.NONE if change is not None else Note.NOT_ADJUSTED
    nothing = 1.0 if rule.adjustment.kind is Adjust.RATIO else 0.0
    start = event.window.first - first
    for name, values, expected in (
        ("note", found.note[i], note),
        ("noise_kw", found.noise_kw[i], noise),
        ("adjustment", found.adjustment[i], nothing if change is None else change),
        ("unadjusted_kw", found.unadjusted_kw[i], load[start:]),
        ("kw", found.kw[i], after[start:]),
    ):
        own, by_hand = np.atleast_1d(values), np.atleast_1d(expected)
        near = np.isclose(own, by_hand, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        if not near.all():
            t = int(np.argmin(near))
            words = f"is {own[t]:.9g}; is {by_hand[t]:.9g} by {rule.method.value}"
            where = f"{i}, {t}" if own.size > 1 else f"{i}"
            wrong.append(Violation(f"baselines.{name}[{where}]", words))
    return wrong


def _days_told(request: SettlementRequest, answer: Settlement, i: int) -> list[Violation]:
    """What is wrong with the days that a customer's baseline is said to come from."""
    readings, rule, event = request.readings, request.baseline_rule, request.event
    if rule.method is Method.REGRESSION:
        today, kept = readings.dates[event.day], []
        count = sum(
            0 < (today - date).days <= rule.lookback_days
            and not _was_called(readings, i, day)
            and not np.isnan(readings.load_kw[i, day, event.window.slots]).any()
            for day, date in enumerate(readings.dates)
        )
    else:
        looked_at = _days_looked_at(readings, request, i)
        count = len(looked_at)
        kept = _days_kept(readings, request, i, looked_at) if count >= rule.fewest else []
    found, wrong = answer.baselines, []
    if found.day_count[i] != count:
        words = f"is {found.day_count[i]}; there are {count}"
        wrong.append(Violation(f"baselines.day_count[{i}]", words))
    if found.days[i].tolist() != kept + [-1] * (rule.last - len(kept)):
        words = f"is {found.days[i].tolist()}; must be {kept}, and -1 beyond"
        wrong.append(Violation(f"baselines.days[{i}]", words))
    return wrong


def _why_none(request: SettlementRequest, i: int) -> Note:
    """Why a customer has no baseline: its own days, or else its controls."""
    if request.baseline_rule.method is not Method.CONTROL_GROUP:
        return Note.TOO_FEW_DAYS
    whole = slice(0, request.readings.shape[2])
    own = _usual_load(request.readings, request, i, whole)
    known = own is not None and not np.isnan(own[0]).any()
    return Note.NO_CONTROLS if known else Note.TOO_FEW_DAYS


def _adjusted(
    request: SettlementRequest, i: int, load: FloatArray, span: Span
) -> tuple[FloatArray, float | None]:
    """The load after the same-day adjustment, and the ratio or difference; None without one."""
    rule, event = request.baseline_rule.adjustment, request.event
    spoiled = event.spoiled
    usual, drawn = [], []
    for t in range(span.first, span.end):
        actual = float(request.readings.load_kw[i, event.day, t])
        disturbed = spoiled is not None and (spoiled[t] if spoiled.ndim == 1 else spoiled[i, t])
        if not (np.isnan(actual) or np.isnan(load[t - span.first]) or disturbed):
            usual.append(float(load[t - span.first]))
            drawn.append(actual)
    if not usual:
        return load, None
    expected, actual = sum(usual) / len(usual), sum(drawn) / len(drawn)
    if rule.kind is Adjust.RATIO:
        if expected <= 0.0 or actual < 0.0:
            return load, None
        ratio = min(max(actual / expected, rule.lowest), rule.highest)
        return load * ratio, ratio
    start = event.window.first - span.first
    size = abs(float(load[start : start + event.window.count].mean()))
    change = min(max(actual - expected, (rule.lowest - 1.0) * size), (rule.highest - 1.0) * size)
    return load + change, change


def _delivery(request: SettlementRequest, answer: Settlement, i: int) -> list[Violation]:
    """What is wrong with what a customer is said to have delivered."""
    readings, event, rule = request.readings, request.event, request.delivery_rule
    called, offered = request.called.slots, request.called.offered_kw
    saved = moved = rebound = offered_kwh = net_kwh = net_h = 0.0
    by_slot, begun, missing = [], False, 0
    for t in range(event.measured.count):
        slot = event.window.first + t
        hours = float(readings.hours[slot])
        change = answer.baselines.kw[i, t] - float(readings.load_kw[i, event.day, slot])
        kwh = 0.0 if np.isnan(change) else float(change) * hours
        if t >= event.window.count:
            rebound += max(0.0, -kwh)
            continue
        now = called is None or bool(called[i, t])
        begun = begun or now
        by_slot.append(max(0.0, kwh) if now else 0.0)
        saved += by_slot[-1]
        moved += max(0.0, -kwh) if begun else 0.0
        if now:
            missing += bool(np.isnan(change))
            net_kwh, net_h = net_kwh + kwh, net_h + (0.0 if np.isnan(change) else hours)
            if offered is not None:
                offered_kwh += float(offered[i] if offered.ndim == 1 else offered[i, t]) * hours
    left = max(0.0, saved - moved - rule.deducted_rebound_share * rebound)
    if rule.least_share > 0.0 and left < rule.least_share * offered_kwh - TOLERANCE * 1e-3:
        left = 0.0
    if rule.most_share < np.inf:
        left = min(left, rule.most_share * offered_kwh)
    path = f"measured.delivered_wh[{i}]"
    m, found = answer.measured, []
    delivered = m.delivered_wh[i]
    slack = 1e-3 + 1e-9 * saved * 1000.0
    if abs(int(delivered.sum()) - left * 1000.0) > 0.5 + slack:
        found.append(
            Violation(path, f"adds up to {int(delivered.sum())}; {left:.6f} kWh were left")
        )
    share = left / saved * 1000.0 if saved > 0.0 else 0.0
    if any(abs(int(d) - s * share) > 1.0 + slack for d, s in zip(delivered, by_slot, strict=True)):
        found.append(Violation(path, "is not what was saved in each slot, in proportion"))
    net_kw = net_kwh / net_h if net_h > 0.0 else np.nan
    for name, value, right in (
        ("moved_kwh", m.moved_kwh[i], moved),
        ("rebound_kwh", m.rebound_kwh[i], rebound),
        ("net_kw", m.net_kw[i], net_kw),
        ("missing_count", m.missing_count[i], missing),
        ("offered_kwh", m.offered_kwh[i], np.nan if offered is None else offered_kwh),
    ):
        if not np.isclose(value, right, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            found.append(Violation(f"measured.{name}[{i}]", f"is {value:.9g}; must be {right:.9g}"))
    return found + _as_read(request, answer, i, by_slot)


def _as_read(
    request: SettlementRequest, answer: Settlement, i: int, saved_kwh: list[float]
) -> list[Violation]:
    """What is not as a customer's readings say."""
    event, found = request.event, answer.measured
    drawn = request.readings.load_kw[i, event.day, event.measured.slots]
    pairs = (("saved_kwh", found.saved_kwh, saved_kwh), ("actual_kw", found.actual_kw, drawn))
    return [
        Violation(f"measured.{name}[{i}]", "is not what the readings say")
        for name, values, right in pairs
        if not np.allclose(values[i], right, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    ]


def _payments(request: SettlementRequest, answer: Settlement) -> list[Violation]:
    """What is wrong with amounts, of all customers, in whole numbers."""
    terms, paid, wh = request.terms, answer.payments, answer.measured.delivered_wh
    prices = np.broadcast_to(np.atleast_2d(terms.price_per_kwh), wh.shape)
    micro = np.array([round(price * PRICE_STEPS) for price in prices.reshape(-1).tolist()])
    exact = (wh * micro.reshape(wh.shape)).sum(axis=1)  # in billionths of the currency
    step = 10**9 // 10**terms.currency.minor_digits
    rest = exact - paid.energy_minor * step
    found = []
    if terms.rounding is Rounding.NEAREST:
        bad = np.flatnonzero((2 * rest >= step) | (2 * rest < -step))
        if bad.size:
            words = "is not the nearest minor unit, halves away from zero"
            found.append(Violation(f"payments.energy_minor[{bad[0]}]", words))
    else:
        found += _by_largest_remainder(request, rest, step)
    if (paid.energy_minor < 0).any():
        found.append(Violation("payments.energy_minor", "is negative"))
    found += _fixed(request, answer)
    total = int(paid.energy_minor.sum()) + int(paid.fixed_minor.sum())
    if paid.sum_minor != total or (paid.total_minor != paid.energy_minor + paid.fixed_minor).any():
        found.append(Violation("payments.sum_minor", f"is {paid.sum_minor}; parts make {total}"))
    return found


def _by_largest_remainder(request: SettlementRequest, rest: IntArray, step: int) -> list[Violation]:
    """Amounts add up to the nearest of their sum, and the largest remainders are rounded up."""
    path = "payments.energy_minor"
    if ((rest <= -step) | (rest >= step)).any():
        return [Violation(path, "is off by a whole minor unit")]
    missing = int(rest.sum())
    if not -step <= 2 * missing < step:
        return [Violation(path, "does not add up to the nearest minor unit of the sum")]
    names = request.names or [f"{i:09d}" for i in range(rest.size)]
    up = [(step + r, names[i]) for i, r in enumerate(rest.tolist()) if r < 0]
    down = [(r, names[i]) for i, r in enumerate(rest.tolist()) if r >= 0]
    if not up or not down:
        return []
    least, most = min(up)[0], max(down)[0]
    if most > least:
        return [Violation(path, "is rounded down somewhere, and up where the rest is smaller")]
    last_up = max(name for r, name in up if r == least)
    first_down = min(name for r, name in down if r == most)
    if most == least and first_down < last_up:
        return [Violation(path, f"rounds {last_up!r} up before {first_down!r}")]
    return []


def _fixed(request: SettlementRequest, answer: Settlement) -> list[Violation]:
    """Who is due the promise for taking part gets it, and nobody else."""
    terms, measured = request.terms, answer.measured
    count = len(measured.delivered_wh)
    promise = np.broadcast_to(0 if terms.fixed_minor is None else terms.fixed_minor, (count,))
    least_wh = 0.0
    if terms.fixed_from_share > 0.0:
        least_wh = terms.fixed_from_share * measured.offered_kwh * 1000.0 - 1e-3
    due = measured.delivered_wh.sum(axis=1) >= least_wh
    if terms.taking_part is not None:
        due &= terms.taking_part
    bad = np.flatnonzero(answer.payments.fixed_minor != np.where(due, promise, 0))
    if bad.size:
        words = "is not what was promised for taking part"
        return [Violation(f"payments.fixed_minor[{bad[0]}]", words)]
    return []
