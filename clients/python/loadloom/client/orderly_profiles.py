"""Profiles and masks over the slots of a week, in the shapes that the API takes."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadloom.client.errors import InvalidRequest
from loadloom.client.grid import Grid
from loadloom.client.orderly import Day
from loadloom.client.orderly_week import DAY_MINUTES, Week
from loadloom.client.request import Reading, index_of
from loadloom.v1 import orderly_pb2 as pb
from loadloom.v1.common_pb2 import Matrix
from loadloom.wire.arrays import to_series

HOURS = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")
"""A window of the clock, such as 17:00-22:00."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """The reading of profiles over a week; what cannot be one is noted."""

    week: Week
    reading: Reading

    def rows(self, contents: Iterable[Any], path: str, name: str) -> NDArray[np.float64]:
        """A row for each content, of the slots of the week."""
        return np.stack(
            [self.row(content, f"{path}[{i}].{name}") for i, content in enumerate(contents)]
        )

    def row(self, content: Any, path: str) -> NDArray[np.float64]:  # noqa: ANN401 -- a profile
        """The value in each slot of the week; zeros where there are none to be had."""
        try:
            index = index_of(content)
            array = np.asarray(content, dtype=np.float64)
            return self._shaped(array) if index is None else self._timed(index, array)
        except (TypeError, ValueError) as error:
            self.reading.fault(path, str(error))
        except InvalidRequest as error:
            for violation in error.violations:
                self.reading.fault(path, violation.message)
        return np.zeros(self.week.day_count * self.week.slot_count)

    def days(self, contents: Iterable[Sequence[Day] | range], name: str) -> NDArray[np.bool_]:
        """For each user a row of the days that are meant."""
        rows = []
        for index, said in enumerate(contents):
            row = np.zeros(self.week.day_count, np.bool_)
            for day in [said] if isinstance(said, str) else said:
                try:
                    row[self.week.days(day)] = True
                except ValueError as error:
                    self.reading.fault(f"users[{index}].{name}", str(error))
            rows.append(row)
        return np.stack(rows)

    def _shaped(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        days, slots = self.week.shape
        if array.ndim == 0 or array.shape == (1,):
            return np.full(days * slots, float(array.reshape(())))
        if array.shape == (slots,):
            return np.tile(array, days)
        if array.shape in {(days * slots,), (days, slots)}:
            return array.reshape(-1)
        raise ValueError(
            f"has shape {array.shape}; must be a number, {slots} for the slots of a day, or "
            f"{days * slots} for those of the week"
        )

    def _timed(self, index: Any, array: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ANN401
        """The means of a pandas Series over the slots."""
        grid = Grid.of_index(index)
        first, last = self.week.boundaries[0], self.week.boundaries[-1]
        start, end = grid.boundaries[0], grid.boundaries[-1]
        if start > first or end < last:
            raise ValueError(f"covers {start} to {end}; the week is {first} to {last}")
        return self.week.sample(start, grid.steps[0], array)


def allowed_slots(
    allowed: str | ArrayLike | None, path: str, profiles: Profiles
) -> NDArray[np.bool_]:
    """The slots of the week in which events of a measure may lie."""
    if allowed is None:
        return np.ones(profiles.week.day_count * profiles.week.slot_count, np.bool_)
    if not isinstance(allowed, str):
        return profiles.row(allowed, f"{path}.allowed") != 0.0
    try:
        return np.tile(clock_slots(allowed, profiles.week), profiles.week.day_count)
    except ValueError as error:
        profiles.reading.fault(f"{path}.allowed", str(error))
        return np.zeros(profiles.week.day_count * profiles.week.slot_count, np.bool_)


def clock_slots(words: str, week: Week) -> NDArray[np.bool_]:
    """The slots of a day that lie in windows such as "17:00-22:00 23:00-24:00".

    Raises:
        ValueError: they are no windows, or do not begin and end with slots.
    """
    slots = np.zeros(week.slot_count, np.bool_)
    for word in words.split():
        found = HOURS.fullmatch(word)
        first, last = (0, 0) if found is None else _minutes(found)
        if not 0 <= first < last <= DAY_MINUTES:
            raise ValueError(f"{word!r} is no window; write it as 17:00-22:00")
        step = DAY_MINUTES // week.slot_count
        if first % step or last % step:
            raise ValueError(f"{word!r} must begin and end with slots, which last {step} min")
        slots[first // step : last // step] = True
    return slots


def mask(rows: NDArray[np.bool_]) -> pb.Mask:
    """The mask as the API has it."""
    return pb.Mask(rows=rows.shape[0], cols=rows.shape[1], values=rows.ravel().tolist())


def matrix(rows: NDArray[np.float64], week: Week) -> Matrix:
    """The rows as the API has them: those of a day, or single values, where these hold for all."""
    days = rows.reshape(len(rows), *week.shape)
    if (days == days[:, :1]).all():
        rows = days[:, 0]
        rows = rows[:, :1] if (rows == rows[:, :1]).all() else rows
    return Matrix(rows=rows.shape[0], cols=rows.shape[1], values=to_series(rows.ravel()))


def _minutes(found: re.Match[str]) -> tuple[int, int]:
    hour, minute, end_hour, end_minute = map(int, found.groups())
    return 60 * hour + minute, 60 * end_hour + end_minute
