"""Windows of time in site files: hours of the day, on some days, or spans between two instants."""

from collections.abc import Iterator, Sequence
from datetime import datetime, time, tzinfo

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from loadloom.client.files.entries import Entry
from loadloom.client.files.series import one_instant, parse_time
from loadloom.client.grid import Grid

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Window(Entry):
    """A window: `{days: [mon], from: "16:00", to: "21:00"}`, or from one instant to another."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from")
    """The time of day at which it begins, or an instant in ISO 8601."""
    to: str
    """The time of day at which it ends, or an instant; a time no later than `from` is of the day
    after."""
    days: list[str] = Field(default_factory=lambda: list(DAYS))
    """The days on which it begins, such as mon; all of them when left out."""


def faults(window: Window, zone: tzinfo) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What makes no sense in a window, each with the keys of the field it stands in."""
    for number, day in enumerate(window.days):
        if day not in DAYS:
            yield ("days", number), f"{day!r} is no day; write {', '.join(DAYS)}"
    instants = []
    for name, text in (("from", window.from_), ("to", window.to)):
        try:
            instants.append(None if _clock(text) else one_instant(parse_time(text), zone))
        except ValueError as error:
            yield (name,), str(error)
    if len(instants) < 2 or instants == [None, None]:
        return
    first, last = instants
    if first is None or last is None:
        yield ("to",), "must be an instant where from is one, and else a time of day"
    elif last <= first:
        yield ("to",), f"{window.to} is not after {window.from_}"


def mask(windows: Sequence[Window], grid: Grid, zone: tzinfo) -> NDArray[np.float64]:
    """1 for each interval that begins within one of the windows, and 0 for all others.

    The windows have no `faults`.
    """
    starts = grid.boundaries[:-1]
    inside = np.zeros(len(starts), bool)
    for window in windows:
        inside |= _inside(window, starts, zone)
    return inside.astype(np.float64)


def _inside(window: Window, starts: Sequence[datetime], zone: tzinfo) -> NDArray[np.bool_]:
    clocks = _clock(window.from_), _clock(window.to)
    if None in clocks:
        first, last = (one_instant(parse_time(text), zone) for text in (window.from_, window.to))
        return np.array([first <= start < last for start in starts])
    first, last = (clock or time() for clock in clocks)
    return np.array([_covers(start, first, last, window.days) for start in starts])


def _covers(start: datetime, first: time, last: time, days: Sequence[str]) -> bool:
    """Whether a daily window that begins on some days holds at an instant."""
    clock, today = start.time(), start.weekday()
    if first < last:
        return first <= clock < last and DAYS[today] in days
    begun_today = clock >= first and DAYS[today] in days
    return begun_today or (clock < last and DAYS[today - 1] in days)


def _clock(text: str) -> time | None:
    """The time of day that a text says; None if it is something else, such as an instant."""
    if "T" in text or "-" in text:
        return None
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write it as 16:00 or 2024-06-01T16:00") from None
