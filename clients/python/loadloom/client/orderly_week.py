"""The week of a schedule: local days, each divided into the same slots of the clock."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadloom.client.errors import InvalidRequest, Violation
from loadloom.v1 import orderly_pb2 as pb

if TYPE_CHECKING:
    import pandas as pd

DAY_MINUTES = 24 * 60
MOST_DAYS, MOST_SLOTS = 31, 96

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""How the words for the days of a week begin."""


@dataclass(frozen=True, kw_only=True)
class Week:
    """Local days from a midnight on, each divided into the same slots of the clock.

    A slot whose clock time is left out, on a day when clocks are put forward, lasts no time; one
    whose clock time comes twice lasts double.

    Attributes:
        start: the first day.
        day_count: the number of days, 1 to 31.
        slot_count: the number of slots of a day, at most 96: 8 shifts, 24 hours, 96 quarter hours.
        time_zone: the IANA zone whose clocks count, such as "Asia/Shanghai".
    """

    start: date
    day_count: int = 7
    slot_count: int = 24
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if violations := [Violation(f"week.{name}", told) for name, told in self._faults()]:
            raise InvalidRequest.of(violations)

    @classmethod
    def of_name(cls, name: str, *, slot_count: int = 24, time_zone: str = "UTC") -> "Week":
        """The week of a year as ISO 8601 counts them: "2026-W50" begins on a Monday.

        Raises:
            InvalidRequest: there is no such week.
        """
        try:
            start = date.fromisoformat(f"{name}-1")
        except ValueError:
            told = f"is {name!r}; must be a week of a year, such as 2026-W50"
            raise InvalidRequest.of([Violation("week", told)]) from None
        return cls(start=start, slot_count=slot_count, time_zone=time_zone)

    @classmethod
    def of_message(cls, message: pb.Week) -> "Week":
        """The week that the API tells of."""
        zone = message.time_zone or "UTC"
        start = message.start_time.ToDatetime(UTC).astimezone(ZoneInfo(zone)).date()
        return cls(
            start=start,
            day_count=message.day_count or 7,
            slot_count=message.slot_count or 24,
            time_zone=zone,
        )

    def message(self) -> pb.Week:
        """The week as the API has it."""
        message = pb.Week(
            day_count=self.day_count, slot_count=self.slot_count, time_zone=self.time_zone
        )
        message.start_time.FromDatetime(self.begin(0, 0).astimezone(UTC))
        return message

    @property
    def name(self) -> str:
        """The week as ISO 8601 names it, "2026-W50"; of another span the first and the last day."""
        if self.day_count == 7 and self.start.weekday() == 0:
            return f"{self.start:%G-W%V}"
        return f"{self.start} to {self.date(self.day_count - 1)}"

    @property
    def shape(self) -> tuple[int, int]:
        """The number of days and of slots of a day."""
        return self.day_count, self.slot_count

    @property
    def step(self) -> timedelta:
        """The length of a slot on the clock."""
        return timedelta(minutes=DAY_MINUTES // self.slot_count)

    @cached_property
    def boundaries(self) -> list[datetime]:
        """The start of each slot of the week and the end of the last, in the week's zone."""
        return [*self._starts(), self.begin(self.day_count, 0)]

    @property
    def index(self) -> "pd.DatetimeIndex":
        """The start of each slot in the week's zone, for a DataFrame."""
        import pandas as pd

        instants = [moment.astimezone(UTC) for moment in self.boundaries[:-1]]
        return pd.DatetimeIndex(instants, name="time").tz_convert(self.time_zone)

    @cached_property
    def slot_h(self) -> NDArray[np.float64]:
        """The hours that pass in each slot of the week."""
        seconds = [moment.timestamp() for moment in self.boundaries]
        return np.diff(np.array(seconds)) / 3600.0

    def date(self, day: int) -> date:
        """The date of a day."""
        return self.start + timedelta(days=day)

    def begin(self, day: int, slot: int) -> datetime:
        """When a slot begins, in the week's zone; `slot_count` is the end of the day."""
        clock = datetime.combine(self.date(day), time(0)) + self.step * slot
        zone = ZoneInfo(self.time_zone)
        # A clock time that is left out is the moment at which clocks jump: the next one there is.
        while (moment := _instant(clock, zone)).astimezone(zone).replace(tzinfo=None) != clock:
            clock += timedelta(minutes=1)
        return moment.astimezone(zone)

    def clock(self, slot: int) -> str:
        """The clock time at which a slot begins: "18:00"; "24:00" for `slot_count`."""
        minutes = slot * DAY_MINUTES // self.slot_count
        return f"{minutes // 60:02d}:{minutes % 60:02d}"

    def words(self, day: int, first_slot: int, slot_count: int) -> str:
        """A window in words: "Thu 10 Dec 18:00-20:00"."""
        span = f"{self.clock(first_slot)}-{self.clock(first_slot + slot_count)}"
        return f"{self.date(day):%a %d %b} {span}"

    def days(self, said: object) -> list[int]:
        """The days that a number from 0 on, a date, or the name of a weekday means.

        Raises:
            ValueError: it means none of this week.
        """
        if isinstance(said, date):
            found = [(said - self.start).days]
        elif str(said).strip().isdigit():
            found = [int(str(said))]
        else:
            found = self._weekdays(str(said).strip().lower())
        if not found or not 0 <= min(found) <= max(found) < self.day_count:
            raise ValueError(f"{said!s} is no day of {self.name}; name one, such as Wed")
        return found

    def sample(self, start: datetime, step: timedelta, values: ArrayLike) -> NDArray[np.float64]:
        """The mean in each slot of values of even steps that cover the week, finer or coarser.

        In a slot that lasts no time it is the value that holds at that moment.
        """
        known = np.asarray(values, dtype=np.float64)
        seconds = np.array([moment.timestamp() for moment in self.boundaries])
        at = (seconds - start.timestamp()) / step.total_seconds()
        first = np.clip(np.floor(at[:-1]).astype(np.int64), 0, len(known) - 1)
        within_one = np.ceil(at[1:]) - 1 <= first
        total = np.interp(at, np.arange(len(known) + 1), np.concatenate(([0.0], np.cumsum(known))))
        length = np.where(within_one, 1.0, np.diff(at))
        return np.where(within_one, known[first], np.diff(total) / length)

    def _starts(self) -> Iterator[datetime]:
        for day in range(self.day_count):
            for slot in range(self.slot_count):
                yield self.begin(day, slot)

    def _weekdays(self, word: str) -> list[int]:
        if len(word) < 3 or word[:3] not in WEEKDAYS:
            return []
        wanted = WEEKDAYS.index(word[:3])
        return [day for day in range(self.day_count) if self.date(day).weekday() == wanted]

    def _faults(self) -> Iterator[tuple[str, str]]:
        if not 1 <= self.day_count <= MOST_DAYS:
            yield "day_count", f"is {self.day_count}; must be from 1 to {MOST_DAYS}"
        if not 1 <= self.slot_count <= MOST_SLOTS or DAY_MINUTES % self.slot_count:
            right = f"must be at most {MOST_SLOTS} and divide a day into whole minutes"
            yield "slot_count", f"is {self.slot_count}; {right}"
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError):  # unknown, malformed, or the folder of a region
            yield "time_zone", f"is {self.time_zone!r}; must be an IANA zone, such as Asia/Shanghai"


def _instant(clock: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a clock time, the first if it comes twice."""
    return clock.replace(tzinfo=zone, fold=0).astimezone(UTC)
