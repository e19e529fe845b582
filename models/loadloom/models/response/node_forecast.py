"""Two forecasts of loads by day and slot: the mean of similar days, and a regression.

Both say a mean and a standard deviation, (m, A, T) for m nodes, A asked days and T slots; NaN where
readings are too few. A spread found from n degrees of freedom is widened by n / (n - 2), the
variance of Student's law, of which it is one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.horizon import FloatArray
from loadloom.models.response.similar_days import IntArray, LoadArray, Span
from loadloom.models.response.weather import cooling_degrees, features
from loadloom.solvers.kernels.least_squares import fit
from loadloom.solvers.kernels.recent import weighted_sums

SIMILAR_DAYS = 7
"""The days of which a forecast by similar days is the mean."""

DEGREES_LIKE, DAYS_LIKE = 2.0, 14.0
"""So many degrees, or days between, make two days equally unlike."""

HALF_LIFE_DAYS = 90.0
"""A day as old as this weighs half in a regression."""

FEWEST_DAYS = 8
"""With fewer errors in a slot nothing is said about its spread."""

_ERROR_DAYS = 28
_RIDGE = 0.1
_NODES_OF_A_PIECE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """What is known of E days, past ones and those ahead.

    Attributes:
        kinds: (E,) see `day_kinds`.
        ordinals: (E,) each date's ordinal.
        temperature_c: (E, S) or (m, E, S), or None.
        drivers: each (1 or m, E, 1 or S).
        per_degree: whether each driver acts by cooling degrees.
    """

    kinds: NDArray[np.int8]
    ordinals: IntArray
    temperature_c: FloatArray | None
    drivers: tuple[FloatArray, ...]
    per_degree: tuple[bool, ...]


def by_similar_days(
    load_kw: LoadArray, days: Days, until: int, asked: IntArray, span: Span
) -> tuple[FloatArray, FloatArray]:
    """The mean of the days most like each asked one, of those before `until`; and its spread.

    The spread is that of what the same rule would have missed by on the last days before `until`,
    each seen from the day before.
    """
    warmth = _warmth(days)
    mean = np.stack([_alike(load_kw, days, warmth, min(until, d), d, span) for d in asked], axis=1)
    squares = np.zeros((len(load_kw), span.count))
    count = np.zeros((len(load_kw), span.count))
    for day in range(max(1, until - _ERROR_DAYS), until):
        if (days.kinds[:day] == days.kinds[day]).any():
            error = load_kw[:, day, span.slots] - _alike(load_kw, days, warmth, day, day, span)
            known = ~np.isnan(error)
            squares += np.where(known, error, 0.0) ** 2
            count += known
    freedom = np.where(count >= FEWEST_DAYS, count, np.nan)
    spread = np.sqrt(squares / (freedom - 2.0))
    return mean, np.broadcast_to(spread[:, None], mean.shape)


def by_regression(
    load_kw: LoadArray, days: Days, until: int, asked: IntArray, span: Span
) -> tuple[FloatArray, FloatArray]:
    """What least squares over the days before `until` say of the asked ones, and its spread."""
    nodes = len(load_kw)
    age = days.ordinals[until - 1] - days.ordinals[:until]
    weight = np.exp2(-age / HALF_LIFE_DAYS)[None]
    shape = (nodes, asked.size, span.count)
    mean, variance = np.empty(shape), np.empty(shape)
    freedom = np.empty((nodes, span.count), dtype=np.int64)
    shared = _of_one_table(days)
    table = _features(days, until, span, slice(None)) if shared else None
    for at in range(0, nodes, _NODES_OF_A_PIECE):
        rows = slice(at, at + _NODES_OF_A_PIECE)
        x = _features(days, until, span, rows) if table is None else table
        past, then = x[:, :until], np.ascontiguousarray(x[:, asked])
        values = load_kw[rows, :until]
        out = mean[rows], variance[rows], freedom[rows]
        fit(values, weight, np.ascontiguousarray(past), then, _RIDGE, span.first, *out)
    wide = np.where(freedom > 2, freedom / np.maximum(freedom - 2.0, 1.0), np.nan)
    return mean, np.sqrt(variance * wide[:, None])


def _warmth(days: Days) -> FloatArray:
    """The mean temperature of each day over its slots and all nodes, (E,); 0 if unknown."""
    if days.temperature_c is None:
        return np.zeros(days.kinds.size)
    of_day = days.temperature_c.mean(axis=-1)
    return of_day if of_day.ndim == 1 else of_day.mean(axis=0)


def _alike(
    load_kw: LoadArray, days: Days, warmth: FloatArray, until: int, day: int, span: Span
) -> FloatArray:
    """The mean load of the days before `until` most like a day, (m, T); NaN without a reading."""
    kind = np.flatnonzero(days.kinds[:until] == days.kinds[day])
    if not kind.size:
        kind = np.arange(until)
    apart = np.abs(warmth[kind] - warmth[day]) / DEGREES_LIKE
    apart += (days.ordinals[day] - days.ordinals[kind]) / DAYS_LIKE
    nearest = kind[np.argsort(apart, kind="stable")[:SIMILAR_DAYS]]
    weights = np.zeros((until, span.count))
    weights[nearest] = 1.0 / nearest.size
    mean = np.empty((len(load_kw), span.count))
    weighted_sums(load_kw, weights, span.first, mean)
    gaps = np.isnan(mean).any(axis=1)
    if gaps.any():
        load = load_kw[gaps][:, nearest, span.slots].astype(np.float64)
        known = ~np.isnan(load)
        count = known.sum(axis=1)
        mean[gaps] = np.where(known, load, 0.0).sum(axis=1) / np.where(count > 0, count, np.nan)
    return mean


def _of_one_table(days: Days) -> bool:
    """Whether the features are the same for all nodes."""
    of_air = days.temperature_c is None or days.temperature_c.ndim == 2
    return of_air and all(len(each) == 1 for each in days.drivers)


def _features(days: Days, until: int, span: Span, rows: slice) -> FloatArray:
    """The features of some nodes, (1 or rows, E, T, K)."""
    air = days.temperature_c
    if air is not None and air.ndim == 3:
        air = air[rows]
    origin = int(days.ordinals[until - 1])
    table = features(days.kinds, days.ordinals, air, span, origin)
    if table.ndim == 3:
        table = table[None]
    columns = [table]
    for values, per_degree in zip(days.drivers, days.per_degree, strict=True):
        some = values if len(values) == 1 else values[rows]
        column = some[:, :, span.slots] if some.shape[2] > 1 else some
        if per_degree and air is not None:
            column = column * cooling_degrees(air[..., span.slots])
        columns.append(column[..., None])
    lead = max(len(each) for each in columns)
    shape = (lead, *table.shape[1:3])
    wide = [np.broadcast_to(each, (*shape, each.shape[-1])) for each in columns]
    return np.ascontiguousarray(np.concatenate(wide, axis=-1))
