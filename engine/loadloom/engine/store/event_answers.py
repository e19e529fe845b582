"""What customers answer, as rows: each answer changes a call, and has a number as such."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from sqlalchemy import Connection, and_, insert, select

from loadloom.engine.store.database import Database
from loadloom.engine.store.event_rows import COUNTER, Counts, Event, counts, find
from loadloom.engine.store.event_tables import CallState, EventState, event_calls
from loadloom.engine.store.events import change, count_to, parts
from loadloom.engine.store.notices import lock
from loadloom.engine.store.schedules import Clock, WrongState

CALLS = event_calls.c

ROUNDING = 1e-6
"""What an acceptance may lie above what is asked for, as a share of it."""


class NotCalled(Exception):  # noqa: N818 -- it names what was found
    """Customers accept, or did not answer, whom an event has never called: their names."""

    def __init__(self, customers: Sequence[str]) -> None:
        super().__init__(customers)
        self.customers = frozenset(customers)


class MoreThanAsked(Exception):  # noqa: N818 -- it names what was found
    """Customers accept more than they are asked for: by customer, that in kW."""

    def __init__(self, asked_kw: Mapping[str, float]) -> None:
        super().__init__(dict(asked_kw))
        self.asked_kw = asked_kw


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """What a customer answers; `accepted_kw` is None where it is what was asked for."""

    place: int
    customer: str
    state: CallState
    accepted_kw: float | None


def answer(
    database: Database,
    event: Event,
    answers: Sequence[NewAnswer],
    clock: Clock,
    *,
    close: bool,
) -> Counts:
    """How the calls stand when the answers are written; with `close`, those without one have none.

    Raises:
        WrongState: the event is not open, or somebody accepts or is silent who is not called any
            more, or opted out before.
        NotCalled: somebody accepts or is silent who was never called.
        MoreThanAsked: somebody accepts more than is asked for.
        StoreAway: the database cannot be used now.
    """
    with database.writing() as connection:
        last = lock(database, connection, event.tenant, COUNTER)
        now = find(connection, event.tenant, event.name)
        if now.state is not EventState.OPEN:
            raise WrongState(f"{event.name} is {now.state.lower()}; it takes no more answers")
        time_s = clock(connection)
        known = _called(connection, now, [each.place for each in answers])
        fresh, again, uncalled, cancelled, too_much = [], [], [], [], {}
        for number, each in enumerate(answers, last + 1):
            asked_kw = known.get(each.place)
            if each.state is not CallState.OPTED_OUT and asked_kw is None:
                (cancelled if each.place in known else uncalled).append(each.customer)
            most_kw = inf if asked_kw is None else asked_kw * (1.0 + ROUNDING)
            if each.accepted_kw is not None and each.accepted_kw > most_kw:
                too_much[each.customer] = asked_kw
            row = {
                "place": each.place,
                "number": number,
                "state": each.state,
                "accepted_kw": each.accepted_kw,
                "answered_time": time_s,
            }
            (again if each.place in known else fresh).append((each, row))
        if uncalled:
            raise NotCalled(uncalled)
        if cancelled:
            more = f" and {len(cancelled) - 3} more" if len(cancelled) > 3 else ""
            said = f"not called by {event.name} any more, and may only opt out"
            raise WrongState(f"{said}: {', '.join(cancelled[:3])}{more}")
        if too_much:
            raise MoreThanAsked(too_much)
        for part in parts([_uncalled(now, each, row) for each, row in fresh]):
            connection.execute(insert(event_calls), part)
        change(connection, now, [row for _, row in again])
        last += len(answers)
        if close:
            last += _close(connection, now, time_s, last)
        count_to(connection, event.tenant, last)
        return counts(connection, now)


def _close(connection: Connection, event: Event, time_s: float, last: int) -> int:
    """The number of calls that waited for an answer, and have had none now."""
    waiting = and_(CALLS.event == event.number, CALLS.state == CallState.PENDING)
    chosen = select(CALLS.place).where(waiting).order_by(CALLS.place)
    places = connection.scalars(chosen).all()
    rows = [{"place": place, "number": number} for number, place in enumerate(places, last + 1)]
    change(connection, event, rows, state=CallState.NO_ANSWER, answered_time=time_s)
    return len(rows)


def _called(connection: Connection, event: Event, places: Sequence[int]) -> dict[int, float | None]:
    """The places among these that have a row, and what is asked of them; None if not called."""
    found: dict[int, float | None] = {}
    for part in parts(places):
        chosen = select(CALLS.place, CALLS.called, CALLS.asked_kw).where(
            CALLS.event == event.number, CALLS.place.in_(part)
        )
        for row in connection.execute(chosen):
            found[row.place] = row.asked_kw if row.called else None
    return found


def _uncalled(event: Event, new: NewAnswer, row: dict[str, object]) -> dict[str, object]:
    """The row of somebody who opts out before being called."""
    return {
        **row,
        "event": event.number,
        "tenant": event.tenant,
        "customer": new.customer,
        "revision": event.revision,
        "called": False,
        "level": 0,
        "price_per_kwh": 0.0,
        "fixed_payment": 0.0,
        "asked_kw": 0.0,
        "expected_kw": 0.0,
    }
