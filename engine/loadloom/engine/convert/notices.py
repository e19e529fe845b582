"""What is announced, read from schedules; notices, ledger entries and pages as messages."""

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from math import inf
from typing import Any

import numpy as np

from loadloom.engine.answers.notices import Occasion
from loadloom.engine.convert.orderly import NOTICES, week_of
from loadloom.engine.convert.schedules import timestamp
from loadloom.engine.store.ledger import Entry
from loadloom.engine.store.notices import Notice
from loadloom.engine.store.schedule_tables import NoticeState
from loadloom.models.checks import Violation
from loadloom.models.orderly.problem import Notice as NoticeClass
from loadloom.models.orderly.week import Week
from loadloom.v1 import orderly_pb2 as pb
from loadloom.wire.arrays import from_series

STATES = {
    NoticeState.PLANNED: pb.NOTICE_STATE_PLANNED,
    NoticeState.DUE: pb.NOTICE_STATE_DUE,
    NoticeState.ACKNOWLEDGED: pb.NOTICE_STATE_ACKNOWLEDGED,
    NoticeState.MISSED: pb.NOTICE_STATE_MISSED,
    NoticeState.WITHDRAWN: pb.NOTICE_STATE_WITHDRAWN,
}

STATE_OF = {number: state for state, number in STATES.items()}


def occasions(schedule: pb.WeeklySchedule) -> dict[str, Occasion]:
    """What the plan of a schedule announces, by what makes it the same in another plan."""
    week = week_of(schedule.week)
    found = dict(_events(schedule, week))
    for move in schedule.rest_moves:
        first = min(move.day, move.usual_day) if move.HasField("usual_day") else move.day
        reach = week.begin(first, 0)
        start, end = _span(week, move.day, 0, week.slot_count)
        hours = (end.timestamp() - start.timestamp()) / 3600.0
        found[f"{move.user}/{move.day}/rest/{move.measure}"] = Occasion(
            user=schedule.users[move.user],
            measure=_of(schedule.measures.kind, move.measure),
            notice=_notice_of(schedule, move.measure),
            day=move.day,
            first_slot=0,
            slot_count=week.slot_count,
            relief_kw=move.energy_kwh / hours if hours else 0.0,  # some days are left out
            energy_kwh=move.energy_kwh,
            load_kwh=move.load_kwh or inf,
            start=start,
            end=end,
            reach=reach,
        )
    return found


def _events(schedule: pb.WeeklySchedule, week: Week) -> Iterator[tuple[str, Occasion]]:
    events = schedule.events
    relief, energy = from_series(events.relief_kw), from_series(events.energy_kwh)
    load = from_series(events.load_kwh)
    ends = np.cumsum(events.slot_counts)
    columns = (events.users, events.days, events.measures, events.first_slots, events.slot_counts)
    for n, (user, day, m, first, count) in enumerate(zip(*columns, strict=True)):
        start, end = _span(week, day, first, count)
        yield (
            f"{user}/{day}/{first}/{count}/{m}",
            Occasion(
                user=schedule.users[user],
                measure=_of(schedule.measures.kind, m),
                notice=_notice_of(schedule, m),
                day=day,
                first_slot=first,
                slot_count=count,
                relief_kw=float(relief[ends[n] - count : ends[n]].mean()),
                energy_kwh=float(energy[n]),
                load_kwh=float(load[n]) if load.size else inf,
                start=start,
                end=end,
                reach=start,
            ),
        )


def _span(week: Week, day: int, first: int, count: int) -> tuple[datetime, datetime]:
    return week.begin(day, first), week.begin(day, first + count)


def _of(column: Sequence[int], index: int) -> int:
    """The value of a column for one of its rows; a single value holds for all."""
    return column[index if len(column) > 1 else 0]


def _notice_of(schedule: pb.WeeklySchedule, measure: int) -> NoticeClass:
    given = schedule.measures.notice or [pb.NOTICE_CLASS_WEEK]
    return NOTICES[pb.NoticeClass.ValueType(_of(given, measure))]


def render(notice: Notice) -> pb.Notice:
    """The message of a notice."""
    return pb.Notice(
        number=notice.number,
        schedule=notice.schedule,
        revision=notice.revision,
        user=notice.user,
        kind=pb.NoticeKind.ValueType(notice.kind),
        state=STATES[notice.state],
        due_time=timestamp(notice.due),
        event_start_time=timestamp(notice.event_start),
        event_end_time=timestamp(notice.event_end),
        measure=pb.MeasureKind.ValueType(notice.measure),
        day=notice.day,
        first_slot=notice.first_slot,
        slot_count=notice.slot_count,
        relief_kw=notice.relief_kw,
        acknowledge_time=timestamp(notice.acknowledge_time),
    )


def render_entry(entry: Entry) -> pb.LedgerEntry:
    """The message of an entry of the ledger."""
    return pb.LedgerEntry(
        user=entry.user,
        schedule=entry.schedule,
        week_start_time=timestamp(entry.week_start),
        energy_kwh=entry.energy_kwh,
        planned_kwh=entry.planned_kwh,
        burden=entry.burden,
        carried_burden=entry.carried_burden,
        week_date=entry.week_date,
    )


def page_token(*place: str | float) -> str:
    """The token of the page after a place."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def place(token: str, kinds: tuple[type, ...], found: list[Violation]) -> tuple[Any, ...] | None:
    """The place of a token, of values of these kinds; None for the first page."""
    if not token:
        return None
    try:
        values = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        values = None
    if isinstance(values, list) and len(values) == len(kinds):
        pairs = zip(values, kinds, strict=True)
        if all(type(value) is kind and _fits_a_column(value) for value, kind in pairs):
            return tuple(values)
    found.append(Violation("page_token", "is not one that this server gave"))
    return None


def _fits_a_column(value: str | float) -> bool:
    """Whether a database takes the value."""
    if isinstance(value, str):
        return "\0" not in value and value.encode(errors="ignore").decode() == value
    return abs(value) < 2**63
