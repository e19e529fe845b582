"""The needs of nodes, foretold; what runs in a worker process."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from time import perf_counter

import numpy as np

from loadloom.engine.answers.agency import Answer, ended
from loadloom.engine.answers.response_measure import filled
from loadloom.engine.convert.response_need import Foretelling
from loadloom.engine.task import Task
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.models.response.need import (
    Ahead,
    Driver,
    Forecast,
    Need,
    NodeHistory,
    forecast,
    need,
)
from loadloom.models.response.similar_days import by_days

_PATHS = (
    (re.compile(r"^history\.(load_kw|dates)\b.*"), "load_kw"),
    (re.compile(r"^history\."), ""),
    (re.compile(r"^ahead\.temperature_c\b.*"), "temperature_ahead_c"),
    (re.compile(r"^ahead\.drivers"), "drivers"),
    (re.compile(r"^ahead\.dates\b.*"), "days_ahead"),
)
"""Where a field of the model has another name than that of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """The needs of m nodes in the U intervals ahead, and how they were found.

    Attributes:
        horizon: the intervals ahead.
        forecast, need: by local days and slots; see there.
        quantile_kw: (q, m, H, S).
        day, slot: (U,) where each interval stands in days and slots.
    """

    horizon: Horizon
    forecast: Forecast
    need: Need
    quantile_kw: FloatArray
    day: np.ndarray
    slot: np.ndarray

    def by_intervals(self, values: FloatArray) -> FloatArray:
        """Values of days and slots, (m, H, S), by the intervals ahead, (m, U)."""
        return values[:, self.day, self.slot]


def foretold(task: Task[Foretelling]) -> Answer[Foretold]:
    """The needs of nodes.

    Raises:
        InvalidProblem: days, temperatures or drivers do not fit each other.
    """
    started = perf_counter()
    try:
        found = _foretold(task.problem)
    except InvalidProblem as error:
        raise InvalidProblem(map(_renamed, error.violations)) from error
    return Answer(
        solution=ended(task.problem.method.value, is_exact=False),
        found=found,
        solve_s=perf_counter() - started,
    )


def _foretold(asked: Foretelling) -> Foretold:
    slots = round(24 / float(asked.horizon.step_h[0]))
    dates, load_kw = by_days(asked.load_kw, asked.horizon, slots)
    future = _horizon_ahead(asked.horizon, dates[-1], asked.days_ahead)
    days, _ = by_days(np.zeros((1, future.count)), future, slots)
    temperature = ahead_c = None
    if asked.temperature_c is not None and asked.temperature_ahead_c is not None:
        if asked.temperature_ahead_c.size != future.count:
            said = f"has {asked.temperature_ahead_c.size} values; must have {future.count}"
            raise InvalidProblem([Violation("temperature_ahead_c", said)])
        temperature = filled(by_days(asked.temperature_c[None], asked.horizon, slots)[1][0])
        ahead_c = filled(by_days(asked.temperature_ahead_c[None], future, slots)[1][0])
    history = NodeHistory(
        load_kw=load_kw,
        dates=dates,
        holidays=asked.holidays,
        temperature_c=temperature,
        drivers=tuple(
            Driver(
                name=driver.name,
                past=_of_days(driver.past, len(dates)),
                ahead=_of_days(driver.ahead, len(days)),
                per_degree=driver.per_degree,
            )
            for driver in asked.drivers
        ),
    )
    found = forecast(history, Ahead(dates=days, temperature_c=ahead_c), method=asked.method)
    instants = [future.boundary(index) for index in range(future.count)]
    return Foretold(
        horizon=future,
        forecast=found,
        need=need(found, asked.rating_kw, asked.confidence),
        quantile_kw=found.quantile_kw(np.array(asked.quantiles)),
        day=np.array([days.index(instant.date()) for instant in instants]),
        slot=np.array([(each.hour * 60 + each.minute) * slots // 1440 for each in instants]),
    )


def _of_days(values: FloatArray, count: int) -> FloatArray:
    """A driver's values, (count,) for all nodes, or (m, count)."""
    rows = np.broadcast_to(values, (values.shape[0], count))
    return rows[0] if rows.shape[0] == 1 else rows


def _horizon_ahead(past: Horizon, last: date, day_count: int) -> Horizon:
    """The intervals of the local days that follow the past, in its steps.

    Raises:
        InvalidProblem: the past does not end with a local day.
    """
    start = past.boundary(past.count)
    if (start.hour, start.minute, start.second) != (0, 0, 0) or start.date() <= last:
        said = f"ends {start:%Y-%m-%d %H:%M %Z}; must end with a local day"
        raise InvalidProblem([Violation("grid.count", said)])
    day = start.date() + timedelta(days=day_count)
    end = datetime(day.year, day.month, day.day, tzinfo=start.tzinfo)
    step_h = float(past.step_h[0])
    hours = (end.timestamp() - start.timestamp()) / 3600
    count = round(hours / step_h)
    return Horizon(start=start, step_h=np.full(count, step_h), time_zone=past.time_zone)


def _renamed(violation: Violation) -> Violation:
    path = violation.path
    for pattern, name in _PATHS:
        path = pattern.sub(name, path)
    return Violation(path, violation.message)
