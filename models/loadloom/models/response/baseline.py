"""Baselines: what customers would have drawn during an event, had they not been called.

    last days       b[i, t] = mean over the last 10 days alike of load[i, day, t]
    highest days    the same over the 5 of these 10 with the highest mean in the event's window
    regression      b[i, t] = x[day, t].beta[i, t], by least squares over the days before, with
                    x = 1, rest day, day of the history, cooling, heating and the day's mean degrees
    control group   b[i, t] = mean over i's matches c of load[c, event day, t]
                              + (mean of i less that of its matches) on the last 10 days alike

with the same-day adjustment, from slots of the event's day before anybody was called:

    ratio           b[i, t] * clip(actual / b, lowest, highest)
    difference      b[i, t] + clip(actual - b, (lowest - 1) |b|, (highest - 1) |b|)

Ten days of 100 kW, 130 kW on the morning of the event, at most 1.2: the baseline is 120 kW. A day
is looked at if it is alike, the customer was not called on it, and no reading of the event's window
and the adjustment's is missing. A ratio says nothing of loads that feed in: take the difference.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import MAGNITUDE, InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.response.baseline_rule import (
    Adjust,
    Adjustment,
    BaselineRule,
    Baselines,
    Event,
    Method,
    Note,
    check,
)
from loadloom.models.response.control_group import matches, moved_as_controls, profiles
from loadloom.models.response.similar_days import BoolArray, Readings, Span
from loadloom.models.response.weather import features
from loadloom.solvers.kernels.least_squares import predict
from loadloom.solvers.kernels.recent import recent_means

RIDGE = 1e-6
"""Tells features apart that say the same; 90 days of readings weigh 90."""

_ROWS_OF_A_PIECE = 8192


def baselines(
    readings: Readings,
    event: Event,
    rule: BaselineRule,
    *,
    controls: Readings | None = None,
    threads: int = 1,
) -> Baselines:
    """The baselines of all customers in the measured slots of an event's day.

    Args:
        readings: of the customers that were called, the event's day among them.
        event: see there.
        rule: see there.
        controls: readings on the same days of customers who were not called on the event's day, for
            CONTROL_GROUP.
        threads: how many go over the customers at once; the answer is the same.

    Raises:
        InvalidProblem: a rule, the event or readings that are used break what they ask.
    """
    check(readings, event, rule, controls)
    shown = _shown(event, rule.adjustment)
    if rule.method is Method.CONTROL_GROUP and controls is not None:
        usual = _by_controls(readings, event, rule, shown, controls, threads)
    else:
        usual = _usual(readings, event, rule, shown, threads)
    return _adjusted(readings, event, rule.adjustment, shown, usual)


@dataclass(frozen=True, slots=True)
class _Usual:
    """What is known before the same-day adjustment; `kw` is (n, slots shown)."""

    kw: FloatArray
    days: NDArray[np.int32]
    day_count: NDArray[np.int32]
    note: NDArray[np.uint8]
    noise_kw: FloatArray


def _usual(
    readings: Readings, event: Event, rule: BaselineRule, shown: Span, threads: int
) -> _Usual:
    """The baselines before the adjustment, of one customer after the other."""
    count = readings.shape[0]
    kw = np.empty((count, shown.count))
    days = np.full((count, rule.last), -1, dtype=np.int32)
    day_count = np.zeros(count, dtype=np.int32)
    noise_kw = np.full(count, np.nan)
    find = _by_weather if rule.method is Method.REGRESSION else _by_days

    def one(rows: slice) -> None:
        find(
            readings,
            event,
            rule,
            shown,
            rows,
            kw[rows],
            days[rows],
            day_count[rows],
            noise_kw[rows],
        )

    _each(
        one, [slice(at, at + _ROWS_OF_A_PIECE) for at in range(0, count, _ROWS_OF_A_PIECE)], threads
    )
    note = np.where(day_count < rule.fewest, Note.TOO_FEW_DAYS, Note.NONE).astype(np.uint8)
    return _Usual(kw, days, day_count, note, noise_kw)


def _shown(event: Event, adjustment: Adjustment) -> Span:
    """The slots of which means are needed: from the adjustment's first to the last measured."""
    first = event.window.first
    if adjustment.kind is not Adjust.NONE and adjustment.span is not None:
        first = adjustment.span.first
    return Span(first=first, count=event.measured.end - first)


def _by_days(
    readings: Readings,
    event: Event,
    rule: BaselineRule,
    shown: Span,
    rows: slice,
    kw: FloatArray,
    days: NDArray[np.int32],
    day_count: NDArray[np.int32],
    noise_kw: FloatArray,
) -> None:
    """Fills in the means over days alike."""
    span, window = rule.adjustment.span, event.window
    if rule.adjustment.kind is Adjust.NONE or span is None:
        span = window
    spans = np.array([[window.first, window.end], [span.first, span.end], [shown.first, shown.end]])
    kept = rule.kept if rule.method is Method.HIGHEST_DAYS else rule.last
    recent_means(
        readings.load_kw[rows],
        readings.before(event.day, rule.lookback_days),
        _of(readings.excluded, rows),
        spans,
        rule.last,
        kept,
        rule.fewest,
        kw,
        days,
        day_count,
        noise_kw,
    )


def _by_weather(
    readings: Readings,
    event: Event,
    rule: BaselineRule,
    shown: Span,
    rows: slice,
    kw: FloatArray,
    _days: NDArray[np.int32],
    day_count: NDArray[np.int32],
    _noise_kw: FloatArray,
) -> None:
    """Fills in what the weather of the event's day says, after the days before it.

    Customers share days and temperatures, so each slot is one weighted sum of readings but where
    one is missing, or a customer was called on one of the days.
    """
    past = np.sort(readings.before(event.day, rule.lookback_days, alike=False))
    excluded = _of(readings.excluded, rows)[:, past]
    load_kw = readings.load_kw[rows]
    ordinals = np.array([each.toordinal() for each in readings.dates])
    origin = int(ordinals[event.day])
    table = features(readings.kinds, ordinals, readings.temperature_c, shown, origin)
    x, asked = table[past], table[event.day]
    some = ~excluded.all(axis=0)
    past, x, excluded = past[some], x[some], np.ascontiguousarray(excluded[:, some])
    span = np.array([event.window.first, event.window.end])
    predict(load_kw, past, excluded, x, asked, RIDGE, shown.first, span, kw, day_count)
    kw[day_count < rule.fewest] = np.nan


def _by_controls(
    readings: Readings,
    event: Event,
    rule: BaselineRule,
    shown: Span,
    controls: Readings,
    threads: int,
) -> _Usual:
    """The usual loads moved as those of matched controls were on the event's day.

    A control has readings in all slots shown of that day, and was not called on it.
    """
    whole = Span(first=0, count=readings.shape[2])
    own = _usual(readings, event, rule, whole, threads)
    others = _usual(controls, event, rule, whole, threads)
    called, pool = profiles(own.kw), profiles(others.kw)
    actual_kw = controls.load_kw[:, event.day, shown.slots].astype(np.float64)
    fit_as_control = ~np.isnan(pool).any(axis=1) & ~np.isnan(actual_kw).any(axis=1)
    fit_as_control &= ~_of(controls.excluded, slice(None))[:, event.day]
    known = ~np.isnan(called).any(axis=1)
    note = np.where(known | (own.note > 0), own.note, Note.TOO_FEW_DAYS).astype(np.uint8)
    kw = np.full((called.shape[0], shown.count), np.nan)
    among = np.flatnonzero(fit_as_control)
    if among.size < rule.matches:
        note[known] = Note.NO_CONTROLS
        return _Usual(kw, own.days, own.day_count, note, own.noise_kw)
    match = among[matches(called[known], pool[among], rule.matches)]
    usual_kw = own.kw[known][:, shown.slots]
    kw[known] = moved_as_controls(usual_kw, others.kw[:, shown.slots], actual_kw, match)
    return _Usual(kw, own.days, own.day_count, note, own.noise_kw)


def _adjusted(
    readings: Readings, event: Event, rule: Adjustment, shown: Span, usual: _Usual
) -> Baselines:
    """The baselines in the measured slots, after the same-day adjustment."""
    start = event.window.first - shown.first
    unadjusted = usual.kw[:, start:]
    kw, note = unadjusted, usual.note.copy()
    adjustment = np.full(len(kw), 1.0 if rule.kind is Adjust.RATIO else 0.0)
    if rule.kind is not Adjust.NONE and rule.span is not None:
        expected, actual = _compared(readings, event, rule.span, shown, usual.kw)
        if rule.kind is Adjust.RATIO:
            good = (expected > 0.0) & (actual >= 0.0)
            capped = np.clip(actual[good] / expected[good], rule.lowest, rule.highest)
            adjustment[good] = capped
            kw = unadjusted * adjustment[:, None]
        else:
            good = ~np.isnan(expected)
            size = np.abs(unadjusted[good, : event.window.count].mean(axis=1))
            low, high = (rule.lowest - 1.0) * size, (rule.highest - 1.0) * size
            adjustment[good] = np.clip(actual[good] - expected[good], low, high)
            kw = unadjusted + adjustment[:, None]
        note[~good & (note == Note.NONE)] = Note.NOT_ADJUSTED
    lacking = np.isnan(kw[:, : event.window.count]).any(axis=1)
    note[lacking & (note != Note.NO_CONTROLS)] = Note.TOO_FEW_DAYS
    kw[note == Note.TOO_FEW_DAYS] = np.nan
    _check_found(kw)
    return Baselines(
        kw=kw,
        unadjusted_kw=unadjusted,
        adjustment=adjustment,
        day_count=usual.day_count,
        days=usual.days,
        note=note,
        noise_kw=usual.noise_kw,
    )


def _check_found(kw: FloatArray) -> None:
    """Raises InvalidProblem at a baseline that is no power; its readings are none."""
    # Extremes make no table as large as the baselines, which would cost more than finding them.
    if (
        not kw.size
        or max(np.fmax.reduce(kw, axis=None), -np.fmin.reduce(kw, axis=None)) <= MAGNITUDE
    ):
        return
    large = np.flatnonzero((np.abs(kw) > MAGNITUDE).any(axis=1))
    if large.size:
        message = f"makes a baseline beyond {MAGNITUDE:g} kW; readings must be powers, or NaN"
        raise InvalidProblem([Violation(f"load_kw[{large[0]}]", message)])


def _compared(
    readings: Readings, event: Event, span: Span, shown: Span, usual_kw: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The mean usual and actual load of each customer in the adjustment's slots, where both are.

    Both are NaN without such a slot.
    """
    expected = usual_kw[:, span.first - shown.first : span.end - shown.first]
    actual = readings.load_kw[:, event.day, span.slots].astype(np.float64)
    good = ~(np.isnan(expected) | np.isnan(actual))
    if event.spoiled is not None:
        good &= ~np.atleast_2d(event.spoiled)[:, span.slots]
    count = good.sum(axis=1)
    many = np.where(count > 0, count, np.nan)
    return (
        np.where(good, expected, 0.0).sum(axis=1) / many,
        np.where(good, actual, 0.0).sum(axis=1) / many,
    )


def _of(excluded: BoolArray, rows: slice) -> BoolArray:
    """The rows of a table that may have one row for all."""
    return excluded if excluded.shape[0] == 1 else excluded[rows]


def _each(one: Callable[[slice], None], pieces: Iterable[slice], threads: int) -> None:
    """Does all pieces, by threads if there are to be any."""
    if threads <= 1:
        for piece in pieces:
            one(piece)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, pieces):
            pass
