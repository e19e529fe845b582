"""Requests for the needs of nodes, read."""

from dataclasses import dataclass
from datetime import date
from functools import partial

import numpy as np

from loadloom.engine.convert import common
from loadloom.engine.convert.response import without_missing
from loadloom.engine.convert.response_columns import column, table
from loadloom.engine.convert.response_measure import check_steps, days
from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Task
from loadloom.models.checks import Checks, Violation
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.options import SolveOptions
from loadloom.models.response.need import ForecastMethod
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import from_series

METHODS = {
    pb.FORECAST_METHOD_UNSPECIFIED: ForecastMethod.BEST,
    pb.FORECAST_METHOD_SIMILAR_DAYS: ForecastMethod.SIMILAR_DAYS,
    pb.FORECAST_METHOD_REGRESSION: ForecastMethod.REGRESSION,
}

QUANTILES = (0.05, 0.5, 0.95)
"""The shares of outcomes that are told of unless asked otherwise."""

FIGURES = 6
"""The figures of each interval ahead that are told beside quantiles, and those found on the way."""

CONFIDENCE = 0.95
"""The confidence with which ratings are kept unless asked otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDriver:
    """What drives loads: `past` (m or 1, D), `ahead` (m or 1, H)."""

    name: str
    past: FloatArray
    ahead: FloatArray
    per_degree: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretelling:
    """What a request for needs asks for.

    Attributes:
        horizon: the intervals of the past.
        load_kw: (m, T), NaN where it is missing.
        rating_kw: (m,).
        days_ahead: H.
        temperature_c, temperature_ahead_c: by intervals, or None.
        drivers: see there.
        holidays: local days.
        quantiles: the shares of outcomes that are told of.
        confidence: with which ratings are to be kept.
        method: the way to foretell.
    """

    horizon: Horizon
    load_kw: FloatArray
    rating_kw: FloatArray
    days_ahead: int
    temperature_c: FloatArray | None
    temperature_ahead_c: FloatArray | None
    drivers: tuple[NamedDriver, ...]
    holidays: frozenset[date]
    quantiles: tuple[float, ...]
    confidence: float
    method: ForecastMethod


def parse(message: pb.ForecastNeedRequest, limits: Limits) -> Task[Foretelling]:
    """What a request for needs asks for.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    axis = common.grid(message.grid, limits)
    found.extend(axis.violations)
    check_steps(axis, found)
    nodes, count = len(message.names), axis.count or 1
    asked = nodes * count
    if asked > limits.customer_points:
        raise refusal.too_large("load_kw", "values of nodes", asked, limits.customer_points)
    checks = Checks()
    first: dict[str, int] = {}
    for index, name in enumerate(message.names):
        before = first.setdefault(name, index)
        said = f"{name!r} is also names[{before}]; every node must have its own"
        checks.require(before == index, f"names[{index}]", said)
    load_kw = table(checks, "load_kw", message.load_kw, nodes, count, low=-1e9, gaps=True)
    rating_kw = column(checks, "rating_kw", message.rating_kw, nodes, 0.0)
    confidence = message.confidence or CONFIDENCE
    checks.require(
        confidence >= 0.5, "confidence", f"is {confidence:g}; must be at least 0.5 and below 1"
    )
    ahead = message.days_ahead or 1
    told = len(message.quantiles or QUANTILES) + FIGURES
    asked = nodes * ahead * round(24 / float(axis.horizon.step_h[0])) * told
    if asked > limits.customer_points:
        what = "values foretold of nodes"
        raise refusal.too_large("days_ahead", what, asked, limits.customer_points)
    day_count = round(float(axis.horizon.boundaries_h[-1]) / 24)
    drivers = tuple(
        NamedDriver(
            name=driver.name,
            past=table(checks, f"drivers[{k}].past", driver.past, nodes, day_count, low=-1e9),
            ahead=table(checks, f"drivers[{k}].ahead", driver.ahead, nodes, ahead, low=-1e9),
            per_degree=driver.per_degree,
        )
        for k, driver in enumerate(message.drivers)
    )
    past = _temperatures(checks, "temperature_c", message)
    if past is not None and axis.count is not None:
        said = f"has {past.size} values; must have {count}, one for each interval"
        checks.require(past.size == count, "temperature_c", said)
    future = _temperatures(checks, "temperature_ahead_c", message)
    both = (past is None) == (future is None)
    checks.require(both, "temperature_ahead_c", "must be given with temperature_c, or not at all")
    found.extend(checks.violations)
    holidays = partial(days, message, found=found)("holidays")
    declared = common.declared(message)
    asked_for = Foretelling(
        horizon=axis.horizon,
        load_kw=np.broadcast_to(load_kw, (nodes, count)) if not checks.violations else load_kw,
        rating_kw=np.broadcast_to(rating_kw, (nodes,)) if rating_kw.ndim == 0 else rating_kw,
        days_ahead=ahead,
        temperature_c=past,
        temperature_ahead_c=future,
        drivers=drivers,
        holidays=holidays,
        quantiles=tuple(message.quantiles) or QUANTILES,
        confidence=confidence,
        method=METHODS.get(message.method, ForecastMethod.BEST),
    )
    task = Task(problem=asked_for, options=SolveOptions(), detail=0)
    return common.accepted(task, without_missing(found, declared), declared)


def _temperatures(checks: Checks, name: str, message: pb.ForecastNeedRequest) -> FloatArray | None:
    if not message.HasField(name):  # pyright: ignore[reportArgumentType] -- one of its fields
        return None
    values = from_series(getattr(message, name))
    checks.numbers(name, values, low=-90.0, high=70.0)
    return values
