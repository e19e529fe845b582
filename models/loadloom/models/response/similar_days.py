"""Readings of customers by local days, and which days are alike.

A day is a workday or a rest day: a weekend's day or a holiday. Days alike are of one kind, lie
before the event within a number of days, and are none on which the customer was called.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import MAGNITUDE, Checks, InvalidProblem, Violation
from loadloom.models.horizon import FloatArray, Horizon

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
LoadArray = NDArray[np.floating]

WEEKEND = frozenset({5, 6})
"""Saturday and Sunday, as `date.weekday` counts."""

MOST_DAYS = 800
"""The most days of readings: two years and a few weeks."""

COLDEST_C, HOTTEST_C = -90.0, 70.0
"""No air has been colder or hotter."""

_DAY_MINUTES = 24 * 60
_CHECKED_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The slots [first, first + count) of one local day."""

    first: int
    count: int

    @property
    def end(self) -> int:
        """The slot after the last."""
        return self.first + self.count

    @property
    def slots(self) -> slice:
        """The slots, as an index."""
        return slice(self.first, self.end)

    def check(self, checks: Checks, path: str, slot_count: int) -> bool:
        """Whether the span is not empty and lies within a day; notes what is wrong."""
        good = self.first >= 0 and self.count >= 1 and self.end <= slot_count
        message = f"is slots {self.first} to {self.end}; must be within a day of {slot_count} slots"
        checks.require(good, path, message)
        return good


@dataclass(frozen=True, kw_only=True)
class Readings:
    """What customers drew on some local days, valid once made.

    Attributes:
        load_kw: (n, D, S) the mean power in each clock slot of each day, float32 or float64,
            positive when drawn; NaN is a reading that is missing. Kept as it is, not copied.
        dates: D distinct days in order; days may be left out.
        holidays: days that are rest days whatever their weekday.
        weekend: the weekdays that are rest days, 0 for Monday.
        called: (D,) or (n, D): on which days a customer was called. None for on no day.
        temperature_c: (D, S) of the air, or None where nobody knows it.
        slot_h: (S,) the hours that pass in each slot of the event's day; None for 24 / S in all.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths.
    """

    load_kw: LoadArray
    dates: tuple[date, ...]
    holidays: Collection[date] = frozenset()
    weekend: Collection[int] = WEEKEND
    called: BoolArray | None = None
    temperature_c: FloatArray | None = None
    slot_h: FloatArray | None = None

    def __post_init__(self) -> None:
        checks = Checks()
        shape = self.load_kw.shape
        if len(shape) != 3 or self.load_kw.dtype not in (np.float32, np.float64):
            message = f"is {self.load_kw.dtype} of shape {shape}; must be float (n, days, slots)"
            raise InvalidProblem([Violation("load_kw", message)])
        days, slots = shape[1:]
        check_slots(checks, "load_kw", slots)
        check_dates(checks, "dates", self.dates, days)
        # Loads are judged where they are used: a look at all would cost more than the baselines.
        check_shape(checks, "called", self.called, ((days,), (shape[0], days)))
        check_shape(checks, "temperature_c", self.temperature_c, ((days, slots),))
        if self.temperature_c is not None:
            checks.numbers("temperature_c", self.temperature_c, low=COLDEST_C, high=HOTTEST_C)
        check_shape(checks, "slot_h", self.slot_h, ((slots,),))
        if self.slot_h is not None:
            checks.numbers("slot_h", self.slot_h, low=0.0, high=24.0)
        checks.finish()

    @property
    def shape(self) -> tuple[int, int, int]:
        """The number of customers, of days and of a day's slots."""
        count, days, slots = self.load_kw.shape
        return count, days, slots

    @cached_property
    def kinds(self) -> NDArray[np.int8]:
        """The kind of each day, (D,): see `day_kinds`."""
        return day_kinds(self.dates, self.holidays, self.weekend)

    @cached_property
    def hours(self) -> FloatArray:
        """The hours of each slot of the event's day, (S,)."""
        slots = self.shape[2]
        return np.full(slots, 24.0 / slots) if self.slot_h is None else self.slot_h

    @cached_property
    def excluded(self) -> BoolArray:
        """(1 or n, D): the days on which customers were called."""
        if self.called is None:
            return np.zeros((1, len(self.dates)), dtype=np.bool_)
        return np.ascontiguousarray(np.atleast_2d(self.called).astype(np.bool_))

    def before(self, day: int, lookback_days: int, *, alike: bool = True) -> IntArray:
        """The days before one and within a number of days, of its kind if alike; latest first."""
        ordinals = np.array([each.toordinal() for each in self.dates])
        good = (ordinals < ordinals[day]) & (ordinals >= ordinals[day] - lookback_days)
        if alike:
            good &= self.kinds == self.kinds[day]
        return np.flatnonzero(good)[::-1].astype(np.int64)


def day_kinds(
    dates: Sequence[date], holidays: Collection[date] = (), weekend: Collection[int] = WEEKEND
) -> NDArray[np.int8]:
    """The kind of each day: 0 for a workday, 1 for a rest day."""
    rest = frozenset(holidays)
    days = (each in rest or each.weekday() in weekend for each in dates)
    return np.fromiter(days, dtype=np.int8, count=len(dates))


def by_days(
    load_kw: LoadArray, horizon: Horizon, slot_count: int
) -> tuple[tuple[date, ...], LoadArray]:
    """The local days of loads by instants, and the loads by day and clock slot, (n, D, S).

    A slot is the mean, by hours, of the intervals that begin in it, so that an hour that comes
    twice is the mean of both; one that the clock leaves out, or that has no interval, is NaN.

    Args:
        load_kw: (n, T), NaN where a reading is missing.
        horizon: the T intervals, none longer than a slot.
        slot_count: S, which divides a day into whole minutes.

    Raises:
        InvalidProblem: an interval is longer than a slot, or shapes do not fit.
    """
    checks = Checks()
    check_slots(checks, "slot_count", slot_count)
    good = load_kw.ndim == 2 and load_kw.shape[1] == horizon.count
    message = (
        f"has shape {load_kw.shape}; must have one column for each of {horizon.count} intervals"
    )
    checks.require(good, "load_kw", message)
    longest = float(horizon.step_h.max())
    message = f"is up to {longest:g} h; must be at most a slot, {24 / max(slot_count, 1):g} h"
    checks.require(longest <= 24 / max(slot_count, 1) + 1e-9, "step", message)
    checks.finish()
    zone = ZoneInfo(horizon.time_zone)
    clocks = [horizon.boundary(t).astimezone(zone) for t in range(horizon.count)]
    minutes = np.array([each.hour * 60 + each.minute for each in clocks])
    ordinal = np.array([each.toordinal() for each in clocks])
    days, day = np.unique(ordinal, return_inverse=True)
    slot = minutes * slot_count // _DAY_MINUTES
    place = day * slot_count + slot
    order = np.argsort(place, kind="stable")
    places, first = np.unique(place[order], return_index=True)
    hours = np.add.reduceat(horizon.step_h[order], first)
    sums = np.add.reduceat((load_kw * horizon.step_h)[:, order], first, axis=1)
    found = np.full((load_kw.shape[0], days.size * slot_count), np.nan, dtype=load_kw.dtype)
    found[:, places] = sums / hours
    dates = tuple(date.fromordinal(int(each)) for each in days)
    return dates, found.reshape(load_kw.shape[0], days.size, slot_count)


def check_slots(checks: Checks, path: str, slot_count: int) -> None:
    """Notes a number of slots that does not divide a day into whole minutes."""
    good = 1 <= slot_count <= _DAY_MINUTES and _DAY_MINUTES % slot_count == 0
    checks.require(
        good, path, f"has {slot_count} slots a day; must divide a day into whole minutes"
    )


def check_dates(checks: Checks, path: str, dates: Sequence[date], count: int) -> None:
    """Notes days that are too many, not one for each table, or not in order."""
    good = len(dates) == count and 1 <= count <= MOST_DAYS
    message = f"has {len(dates)} days for {count}; must have one for each, 1 to {MOST_DAYS}"
    checks.require(good, path, message)
    wrong = [k for k in range(1, len(dates)) if dates[k] <= dates[k - 1]]
    if wrong:
        message = f"is {dates[wrong[0]]}, not after the day before it; days must be in order"
        checks.require(False, f"{path}[{wrong[0]}]", message)


def check_powers(
    checks: Checks, path: str, load_kw: LoadArray, *, first_day: int = 0, first_slot: int = 0
) -> None:
    """Notes the first power of (rows, days, slots) that is too large to be one; NaN is missing."""
    for at in range(0, load_kw.shape[0], _CHECKED_ROWS):
        rows = load_kw[at : at + _CHECKED_ROWS]
        if not rows.size:
            return
        # Extremes skip NaN without a mask as large as the rows.
        low, high = np.fmin.reduce(rows, axis=None), np.fmax.reduce(rows, axis=None)
        if low < -MAGNITUDE or high > MAGNITUDE:
            i, day, slot = np.argwhere(np.abs(rows) > MAGNITUDE)[0].tolist()
            where = f"{path}[{at + i}, {first_day + day}, {first_slot + slot}]"
            value = float(rows[i, day, slot])
            message = f"is {value:g}; must be at most {MAGNITUDE:g} in size, or NaN if missing"
            checks.require(False, where, message)
            return


def check_shape(
    checks: Checks, path: str, values: NDArray[np.generic] | None, shapes: Sequence[tuple[int, ...]]
) -> None:
    """Notes values that are there and have none of the shapes."""
    if values is not None:
        allowed = " or ".join(map(str, shapes))
        message = f"has shape {values.shape}; must have shape {allowed}"
        checks.require(values.shape in shapes, path, message)
