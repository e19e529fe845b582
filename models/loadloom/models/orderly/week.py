"""The week: local days of equal clock slots, and the hours that really pass in each."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

MOST_DAYS = 31
"""The longest schedule: a month."""

MOST_SLOTS = 96
"""The most slots of a day: quarter hours."""

_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, kw_only=True)
class Week:
    """Local days from a midnight on, each divided into the same clock slots.

    Every day has `slot_count` slots, also one of a clock change: a slot whose clock time is left
    out lasts 0 hours, one whose clock time comes twice lasts double.

    Attributes:
        start: the aware instant of local midnight at which the first day begins.
        day_count: the number of days, 1 to 31.
        slot_count: the number of slots of a day; divides a day into whole minutes, at most 96.
        time_zone: the IANA zone whose clocks count.
    """

    start: datetime
    day_count: int = 7
    slot_count: int = 24
    time_zone: str = "UTC"

    def check(self, checks: Checks, path: str = "week") -> bool:
        """Whether the week can be used; notes what is wrong with it."""
        before = len(checks.violations)
        checks.require(
            1 <= self.day_count <= MOST_DAYS,
            f"{path}.day_count",
            f"is {self.day_count}; must be from 1 to {MOST_DAYS}",
        )
        whole = 1 <= self.slot_count <= MOST_SLOTS and _DAY_MINUTES % self.slot_count == 0
        checks.require(
            whole,
            f"{path}.slot_count",
            f"is {self.slot_count}; must be at most {MOST_SLOTS} and divide a day evenly",
        )
        known = _known(self.time_zone)
        checks.require(known, f"{path}.time_zone", f"is {self.time_zone!r}; must be an IANA zone")
        checks.require(
            self.start.tzinfo is not None, f"{path}.start_time", "has no zone; must be aware"
        )
        if known and self.start.tzinfo is not None:
            local = self.start.astimezone(ZoneInfo(self.time_zone))
            checks.require(
                local == self._day(0)[0],  # where clocks leave midnight out, it comes later
                f"{path}.start_time",
                f"is {local:%H:%M:%S} in {self.time_zone}; must be local midnight",
            )
        return len(checks.violations) == before

    @property
    def shape(self) -> tuple[int, int]:
        """The number of days and of slots of a day."""
        return self.day_count, self.slot_count

    @property
    def usual_slot_h(self) -> float:
        """The hours of a slot on a day without a clock change."""
        return 24.0 / self.slot_count

    @cached_property
    def instants(self) -> tuple[tuple[datetime, ...], ...]:
        """The UTC instants at which each day's slots begin, the next midnight last."""
        return tuple(self._day(day) for day in range(self.day_count))

    @cached_property
    def slot_h(self) -> FloatArray:
        """The hours that pass in each slot, shape (day_count, slot_count)."""
        seconds = [
            [(end - begin).total_seconds() for begin, end in pairwise(day)] for day in self.instants
        ]
        return np.array(seconds, dtype=np.float64) / 3600.0

    @cached_property
    def start_h(self) -> FloatArray:
        """The hours from the start of the week to that of each slot, (day_count, slot_count)."""
        first = self.instants[0][0]
        hours = [[(i - first).total_seconds() for i in day[:-1]] for day in self.instants]
        return np.array(hours, dtype=np.float64) / 3600.0

    def hours_until(self, instant: datetime) -> float:
        """The hours from the start of the week to an aware instant; negative if it comes before."""
        return (instant.astimezone(UTC) - self.instants[0][0]).total_seconds() / 3600.0

    def date(self, day: int) -> date:
        """The local date of a day."""
        return self.start.astimezone(ZoneInfo(self.time_zone)).date() + timedelta(days=day)

    def begin(self, day: int, slot: int) -> datetime:
        """The instant at which a slot begins, in the week's zone; `slot_count` ends the day."""
        return self.instants[day][slot].astimezone(ZoneInfo(self.time_zone))

    def clock(self, slot: int) -> str:
        """The clock time at which a slot begins: "18:00"; "24:00" for `slot_count`."""
        minutes = slot * _DAY_MINUTES // self.slot_count
        return f"{minutes // 60:02d}:{minutes % 60:02d}"

    def words(self, day: int, first_slot: int, slot_count: int) -> str:
        """The window in a planner's words: "Thu 12 Nov 18:00-20:00"."""
        span = f"{self.clock(first_slot)}-{self.clock(first_slot + slot_count)}"
        return f"{self.date(day):%a %d %b} {span}"

    def _day(self, day: int) -> tuple[datetime, ...]:
        midnight = datetime.combine(self.date(day), time(0))
        step = timedelta(minutes=_DAY_MINUTES // self.slot_count)
        zone = ZoneInfo(self.time_zone)
        return tuple(_instant(midnight + step * slot, zone) for slot in range(self.slot_count + 1))


def days_before(instant: datetime, days: int) -> datetime:
    """The instant at the same time of its zone's clock, some days before an aware one.

    A time that the clock leaves out is the moment of the jump, so that who begins later may be told
    later.
    """
    zone = instant.tzinfo or UTC
    clock = instant.replace(tzinfo=None, fold=0) - timedelta(days=days)
    return _instant(clock, zone).astimezone(zone)


def _instant(clock: datetime, zone: tzinfo) -> datetime:
    """The instant of a clock time; one that is left out is the moment at which clocks jump."""
    first = clock.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = clock.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first <= second:  # the clock time comes once, or twice: it is the first
        return first
    # In a gap, fold 0 reads the clock by the offset before the jump and fold 1 by that after it,
    # so that the jump lies between them: the earliest instant from which the new offset holds.
    low, high = second, first
    after = high.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == after:
            high = middle
        else:
            low = middle
    return high.replace(microsecond=0)


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
