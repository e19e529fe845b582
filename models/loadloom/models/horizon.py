"""The time axis: consecutive half-open intervals, even or not."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import Checks

FloatArray = NDArray[np.float64]

LONGEST_STEP_H = 8_784.0
"""The longest interval: a year."""


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """The intervals [start + steps before, start + steps up to and with] of a problem.

    Attributes:
        start: the aware instant at which the first interval begins.
        step_h: the length of each interval in hours, shape (count,).
        time_zone: the IANA zone of the site's calendar.

    Raises:
        InvalidProblem: the start is naive, a step is not positive, or there is none.
    """

    start: datetime
    step_h: FloatArray
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        checks = Checks()
        checks.require(self.start.tzinfo is not None, "start_time", "has no zone; must be aware")
        checks.require(self.step_h.size > 0, "count", "is 0; must be at least 1")
        good = self.step_h.ndim == 1 and bool(
            np.all((self.step_h > 0.0) & (self.step_h <= LONGEST_STEP_H))
        )
        checks.require(good, "step", f"must be above 0 and at most {LONGEST_STEP_H:g} h everywhere")
        checks.finish()

    @property
    def count(self) -> int:
        """The number of intervals."""
        return self.step_h.size

    @cached_property
    def boundaries_h(self) -> FloatArray:
        """The hours from the start to each boundary, shape (count + 1,)."""
        return np.concatenate(([0.0], np.cumsum(self.step_h)))

    def boundary(self, index: int) -> datetime:
        """The instant of boundary `index`, in the zone of the site."""
        # To the millisecond, as hours are fractions and their sums a microsecond off; in UTC, as
        # Python adds to the wall clock within one local zone.
        offset = timedelta(milliseconds=round(3_600_000 * float(self.boundaries_h[index])))
        instant = self.start.astimezone(UTC) + offset
        return instant.astimezone(ZoneInfo(self.time_zone))

    def boundary_index(self, instant: datetime) -> int | None:
        """The boundary that lies at an instant to the second, or None."""
        hours = (instant.astimezone(UTC) - self.start.astimezone(UTC)).total_seconds() / 3600
        index = int(np.searchsorted(self.boundaries_h, hours - 1 / 7200))
        if index <= self.count and abs(self.boundaries_h[index] - hours) <= 1 / 7200:
            return index
        return None

    @cached_property
    def changes_clocks(self) -> bool:
        """Whether local clocks change within the horizon: an hour is missing or comes twice."""
        # A change lasts for months, or for the five weeks of Ramadan in Morocco, so that 64 looks
        # at a horizon of up to a year see every one.
        looks = range(0, self.count + 1, max(1, self.count // 64))
        return len({self.boundary(index).utcoffset() for index in (*looks, self.count)}) > 1

    def clock(self, index: int) -> str:
        """The local time of a boundary: "18:00", with day and zone where they are in doubt."""
        instant = self.boundary(index)
        same_day = instant.date() == self.boundary(0).date()
        zone = " %Z" if self.changes_clocks else ""
        return instant.strftime(("%H:%M" if same_day else "%a %d %b %H:%M") + zone)
