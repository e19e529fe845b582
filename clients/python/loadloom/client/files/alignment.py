"""One grid for series of different steps: the finest step rules, coarser values are held."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.files.faults import Fault, InputError
from loadloom.client.files.series import TimedSeries
from loadloom.client.grid import Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time from `start` up to `end`, both in UTC."""

    start: datetime
    end: datetime


def common_grid(series: Iterable[TimedSeries], span: Span, time_zone: str) -> Grid:
    """The grid of a span in the finest step among the series.

    Raises:
        InputError: the span is no whole number of steps, or a series does not cover it.
    """
    found = list(series)
    finest = min(found, key=lambda entry: entry.step)
    count, rest = divmod(span.end - span.start, finest.step)
    zone = ZoneInfo(time_zone)
    faults = [_cover(entry, span, zone) or _fit(entry, finest, span) for entry in found]
    if count < 1 or rest:
        message = f"its step of {finest.step} does not divide the time {_words(span, zone)}"
        faults.insert(0, _fault(finest, message))
    # Two prices may be of one column, which is told once.
    if told := [fault for fault in dict.fromkeys(faults) if fault is not None]:
        raise InputError(told)
    return Grid(start=span.start, step=finest.step, count=count, time_zone=time_zone)


def sample(series: TimedSeries, grid: Grid) -> NDArray[np.float64]:
    """The values of a series in each interval of a grid that it covers."""
    return series.values[rows(series, grid)]


def rows(series: TimedSeries, grid: Grid) -> NDArray[np.intp]:
    """The row of a series that holds in each interval of a grid that it covers."""
    step = grid.steps[0]
    first, parts = (grid.start - series.start) // step, series.step // step
    return (first + np.arange(grid.count)) // parts


def _cover(series: TimedSeries, span: Span, zone: ZoneInfo) -> Fault | None:
    missing = []
    if series.start > span.start:
        missing.append(_words(Span(start=span.start, end=min(series.start, span.end)), zone))
    if series.end < span.end:
        missing.append(_words(Span(start=max(series.end, span.start), end=span.end), zone))
    if not missing:
        return None
    held, count = Span(start=series.start, end=series.end), len(series.values)
    if series.whole is not None:
        whole = series.whole
        held, count = Span(start=whole.first, end=whole.last + series.step), whole.count
    there = f"{count:,} values {_words(held, zone)}"
    wanted = f"{(span.end - span.start) / series.step:,.6g} {_words(span, zone)}"
    told = f"has {there}; the horizon wants {wanted}: missing {' and '.join(missing)}"
    return _fault(series, told)


def _fit(series: TimedSeries, finest: TimedSeries, span: Span) -> Fault | None:
    if series.step % finest.step:
        return _fault(
            series,
            f"its step of {series.step} is no multiple of {finest.step}, "
            f"the step of {finest.column} in {finest.file}",
        )
    if (span.start - series.start) % finest.step:
        late = (series.start - span.start) % finest.step
        return _fault(series, f"its steps begin {late} beside those of the horizon")
    return None


def _words(span: Span, zone: ZoneInfo) -> str:
    first, last = (moment.astimezone(zone).isoformat(" ") for moment in (span.start, span.end))
    return f"from {first} to {last}"


def _fault(series: TimedSeries, message: str) -> Fault:
    return Fault(file=series.file, message=message, where=series.column)
