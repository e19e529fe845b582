"""When users are told of what is announced, and what a new plan changes for them.

A user is told as early as the notice of its measure asks: a week ahead, a day ahead, a quarter of
an hour ahead, and at each of the shorter ones again. A week and a day are those of the calendar, so
that the clock time stays the same across a clock change; a quarter of an hour is one that passes.
What would have been due before the plan is announced is told at once, by a single notice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from loadloom.engine.store.notices import NewNotice
from loadloom.models.orderly.problem import Notice, notice_deadline


class Kind(IntEnum):
    """The kind of a notice, by its number in the proto."""

    ANNOUNCEMENT = 1
    REMINDER = 2
    CALL = 3
    RELEASE = 4


DUE = {
    Kind.ANNOUNCEMENT: Notice.WEEK,
    Kind.REMINDER: Notice.DAY,
    Kind.CALL: Notice.QUARTER_HOUR,
}
"""How long ahead each kind is due: as long as the notice of this class takes."""

FIRST = {
    Notice.WEEK: Kind.ANNOUNCEMENT,
    Notice.DAY: Kind.REMINDER,
    Notice.QUARTER_HOUR: Kind.CALL,
    Notice.IMMEDIATE: Kind.CALL,
}
"""The first notice of a measure: none comes sooner than it asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Something that is announced to a user: an event, or a rest day that moves.

    Attributes:
        user: the name of the user.
        measure: the number of the kind of measure.
        notice: the notice that it needs.
        day, first_slot, slot_count: the window.
        relief_kw: the mean relief.
        energy_kwh: the energy.
        load_kwh: the energy that the user was forecast to draw in the window; inf where an older
            plan does not tell.
        start, end: the instants of the window, in the week's zone.
        reach: the instant by which its user must have been reached: the start, or that of the usual
            rest day when that comes first.
    """

    user: str
    measure: int
    notice: Notice
    day: int
    first_slot: int
    slot_count: int
    relief_kw: float
    energy_kwh: float
    load_kwh: float
    start: datetime
    end: datetime
    reach: datetime

    def is_late(self, now: datetime) -> bool:
        """Whether the notice that it needs can no longer be given."""
        return notice_deadline(self.reach, self.notice) < now


def due_times(reach: datetime, notice: Notice, now: datetime) -> list[tuple[Kind, datetime]]:
    """The notices to give and when, for what begins at `reach` and is announced `now`."""
    kinds = [kind for kind in Kind if FIRST[notice] <= kind < Kind.RELEASE]
    times = [(kind, due_time(reach, kind)) for kind in kinds]
    later = [(kind, time) for kind, time in times if time > now]
    return later if len(later) == len(times) else [(kinds[0], now), *later]


def due_time(reach: datetime, kind: Kind) -> datetime:
    """When a notice is due for what begins at `reach`, in its zone."""
    return notice_deadline(reach, DUE[kind])


def calls(occasions: Iterable[tuple[str, Occasion]], now: datetime) -> Iterator[NewNotice]:
    """The notices of what is called."""
    for event, occasion in occasions:
        for kind, due in due_times(occasion.reach, occasion.notice, now):
            yield _notice(event, occasion, kind, due)


def releases(occasions: Iterable[tuple[str, Occasion]], now: datetime) -> Iterator[NewNotice]:
    """The notices of what is released, due at once."""
    for event, occasion in occasions:
        yield _notice(event, occasion, Kind.RELEASE, now)


def _notice(event: str, occasion: Occasion, kind: Kind, due: datetime) -> NewNotice:
    return NewNotice(
        event=event,
        user=occasion.user,
        kind=kind,
        due=due.timestamp(),
        reach=occasion.reach.timestamp(),
        is_open=kind is not Kind.RELEASE,
        event_start=occasion.start.timestamp(),
        event_end=occasion.end.timestamp(),
        measure=occasion.measure,
        day=occasion.day,
        first_slot=occasion.first_slot,
        slot_count=occasion.slot_count,
        relief_kw=occasion.relief_kw,
    )
