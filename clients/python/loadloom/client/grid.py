"""The time axis of a request: consecutive half-open intervals, even or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from loadloom.client.errors import InvalidRequest, Violation
from loadloom.v1.common_pb2 import TimeGrid

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The intervals of a request.

    Attributes:
        start: the aware instant at which the first interval begins.
        step: the length of every interval, or of each one.
        count: the number of intervals; needless when `step` tells each length.
        time_zone: the IANA zone of the site's calendar; that of `start` if it has one, else UTC.
    """

    start: datetime
    step: timedelta | Sequence[timedelta]
    count: int = 0
    time_zone: str = ""

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise _invalid("grid.start_time", "has no time zone; give it one, such as UTC")
        if not isinstance(self.step, timedelta):
            object.__setattr__(self, "step", tuple(self.step))
            object.__setattr__(self, "count", self.count or len(self.steps))
        object.__setattr__(self, "time_zone", self.time_zone or _zone_name(self.start))

    @property
    def steps(self) -> tuple[timedelta, ...]:
        """The length of each interval."""
        return (self.step,) * self.count if isinstance(self.step, timedelta) else tuple(self.step)

    @cached_property
    def boundaries(self) -> list[datetime]:
        """The start of each interval and the end of the last, in the site's zone."""
        zone, moments = ZoneInfo(self.time_zone), [self.start.astimezone(UTC)]
        for step in self.steps:
            moments.append(moments[-1] + step)
        return [moment.astimezone(zone) for moment in moments]

    @property
    def index(self) -> "pd.DatetimeIndex":
        """The start of each interval in the site's zone, for a DataFrame."""
        import pandas as pd

        instants = [moment.astimezone(UTC) for moment in self.boundaries[:-1]]
        return pd.DatetimeIndex(instants, name="time").tz_convert(self.time_zone)

    @classmethod
    def of_index(cls, index: "pd.Index", *, uneven: bool = False) -> "Grid":
        """The grid of a DataFrame's index of interval starts.

        The last interval is as long as the index's `freq`, or else as the one before it. Steps of
        different lengths are more often a gap than meant, and must be asked for.

        Raises:
            InvalidRequest: the index is not one of increasing times with a zone, or has a gap.
        """
        import pandas as pd

        if not isinstance(index, pd.DatetimeIndex):
            raise _invalid("grid", f"is a {type(index).__name__}; must be a DatetimeIndex")
        if index.tz is None:
            raise _invalid(
                "grid.start_time",
                "the index has no time zone; use index.tz_localize('Europe/Amsterdam') or the like",
            )
        if index.hasnans or not index.is_monotonic_increasing or not index.is_unique:
            raise _invalid("grid", "the times of the index must increase, without duplicates")
        if index.empty:
            raise _invalid("grid.count", "is 0; the index has no times")
        steps = _steps(index)
        start = _moments(index)[0].astimezone(index.tz)
        even = len(set(steps)) == 1
        if not even and not uneven and index.freq is None:
            usual = max(set(steps), key=steps.count)
            odd = next(n for n, step in enumerate(steps) if step != usual)
            message = f"its step after {index[odd]} is {steps[odd]}, elsewhere {usual}"
            cure = "fill the gap, or give Grid.of_index(index, uneven=True)"
            raise _invalid("grid.steps", f"{message}; {cure}")
        return cls(start=start, step=steps[0] if even else steps, count=len(steps))

    def message(self) -> TimeGrid:
        """The grid as the API has it."""
        grid = TimeGrid(count=self.count, time_zone=self.time_zone)
        grid.start_time.FromDatetime(self.start.astimezone(UTC))
        if isinstance(self.step, timedelta):
            grid.step.FromTimedelta(self.step)
        else:
            for step in self.steps:
                grid.steps.add().FromTimedelta(step)
        return grid


def _moments(index: "pd.DatetimeIndex") -> list[datetime]:
    # In UTC: the difference of two moments of one local zone would be that of their wall clocks.
    return index.tz_convert("UTC").to_pydatetime().tolist()


def _steps(index: "pd.DatetimeIndex") -> list[timedelta]:
    moments = _moments(index)
    if index.freq is not None:
        moments.append(_moments(index.shift(1))[-1])
    elif len(moments) > 1:
        moments.append(2 * (moments[-1] - moments[-2]) + moments[-2])
    else:
        raise _invalid("grid.step", "is not known from an index of one time without a freq")
    return [end - start for start, end in pairwise(moments)]


def _zone_name(moment: datetime) -> str:
    """The IANA name of the moment's zone; a bare offset has none and is told in UTC."""
    zone = moment.tzinfo
    return zone.key if isinstance(zone, ZoneInfo) else getattr(zone, "zone", None) or "UTC"


def _invalid(path: str, message: str) -> InvalidRequest:
    return InvalidRequest.of([Violation(path, message)])
