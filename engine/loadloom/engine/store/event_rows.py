"""Events and their calls as they are read: found, listed, counted, and followed by number."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Row, and_, case, exists, func, select

from loadloom.engine.store.database import Database
from loadloom.engine.store.event_tables import (
    CallState,
    EventState,
    event_calls,
    event_revisions,
    events,
)
from loadloom.engine.store.operations import OtherRequest
from loadloom.engine.store.schedule_tables import counters

COLUMNS = events.c
CALLS = event_calls.c
PLANS = event_revisions.c

COUNTER = "calls"
"""The counter of the numbers of calls."""

AT_ONCE = 500
"""The customers that one statement names; SQLite has a limit on the values in one."""

WITHOUT_REQUEST = [column for column in COLUMNS if column.name != "request"]


class NoSuchEvent(Exception):  # noqa: N818 -- it names what was found
    """There is no event of this name for this tenant, or no such plan or customer of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event; times are seconds since 1970, and the header is a message.

    One that was made after its end is the record of a past event.
    """

    number: int
    name: str
    tenant: str
    title: str
    state: EventState
    revision: int
    customer_count: int
    create_time: float
    update_time: float
    start_time: float
    end_time: float
    answer_time: float
    cancel_reason: str
    header: bytes

    def is_past(self, time_s: float) -> bool:
        """Whether it has taken place; never so for the record of a past event."""
        return self.create_time < self.end_time <= time_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A plan of an event, without its message."""

    revision: int
    create_time: float
    reason: str
    called_count: int
    added_count: int
    cancelled_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call, with what is told of its event.

    Attributes:
        number: the number of its latest change; 0 for who opted out before any call, when answers
            had no numbers yet.
        called: whether the customer is called, or was when it opted out; what was cancelled, or
            was cancelled before the customer opted out, is no call.
    """

    event: str
    place: int
    customer: str
    number: int
    revision: int
    state: CallState
    called: bool
    level: int
    price_per_kwh: float
    fixed_payment: float
    asked_kw: float
    expected_kw: float
    accepted_kw: float | None
    answered_time: float | None
    start_time: float
    end_time: float
    answer_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """How the calls of an event stand, as columns with a value for each.

    Attributes:
        place: the place of the customer.
        state: the state.
        called: see `Call`.
        level: the level that is offered.
        accepted_kw: what the customer accepted; None where it did not say.
    """

    place: tuple[int, ...] = ()
    state: tuple[CallState, ...] = ()
    called: tuple[bool, ...] = ()
    level: tuple[int, ...] = ()
    accepted_kw: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many calls are in each state, and the kW that are accepted and expected of the rest."""

    by_state: dict[CallState, int]
    accepted_kw: float
    pending_kw: float


def as_event(row: Row) -> Event:
    """The event of a row."""
    return Event(
        number=row.number,
        name=row.name,
        tenant=row.tenant,
        title=row.title,
        state=EventState(row.state),
        revision=row.revision,
        customer_count=row.customer_count,
        create_time=row.create_time,
        update_time=row.update_time,
        start_time=row.start_time,
        end_time=row.end_time,
        answer_time=row.answer_time,
        cancel_reason=row.cancel_reason,
        header=bytes(row.header),
    )


def of_request(
    connection: Connection, tenant: str, request_id: str, digest: str
) -> tuple[Event, int] | None:
    """The event and the plan that a request brought before; None if it is new.

    Raises:
        OtherRequest: the request id was used for another request.
    """
    mine = and_(PLANS.tenant == tenant, PLANS.request_id == request_id)
    chosen = select(*WITHOUT_REQUEST, PLANS.digest, PLANS.revision.label("plan"))
    joined = chosen.join(event_revisions, PLANS.event == COLUMNS.number).where(mine)
    row = connection.execute(joined).one_or_none()
    if row is None:
        return None
    if row.digest != digest:
        raise OtherRequest(request_id)
    return as_event(row), row.plan


def find(connection: Connection, tenant: str, name: str) -> Event:
    """The event of a name.

    Raises:
        NoSuchEvent: the tenant has none of this name.
    """
    mine = and_(COLUMNS.tenant == tenant, COLUMNS.name == name)
    row = connection.execute(select(*WITHOUT_REQUEST).where(mine)).one_or_none()
    if row is None:
        raise NoSuchEvent(name)
    return as_event(row)


def request(connection: Connection, event: Event) -> bytes:
    """What an event was asked with, completed, as a message."""
    chosen = select(COLUMNS.request).where(COLUMNS.number == event.number)
    return bytes(connection.execute(chosen).scalar_one())


def plan(connection: Connection, event: Event, revision: int) -> bytes:
    """A plan of an event, as a message.

    Raises:
        NoSuchEvent: it has none of this number.
    """
    mine = and_(PLANS.event == event.number, PLANS.revision == revision)
    found = connection.scalar(select(PLANS.plan).where(mine))
    if found is None:
        raise NoSuchEvent(f"plan {revision} of {event.name}")
    return bytes(found)


def need(connection: Connection, event: Event) -> bytes | None:
    """The needs that the latest plan was made for, as a message; None if they are the first."""
    mine = and_(PLANS.event == event.number, PLANS.need.is_not(None))
    latest = select(PLANS.need).where(mine).order_by(PLANS.revision.desc()).limit(1)
    found = connection.scalar(latest)
    return None if found is None else bytes(found)


def revisions(connection: Connection, event: Event) -> list[Revision]:
    """The plans of an event, in order."""
    names = ("revision", "create_time", "reason", "called_count", "added_count", "cancelled_count")
    chosen = select(*(PLANS[name] for name in names)).where(PLANS.event == event.number)
    rows = connection.execute(chosen.order_by(PLANS.revision))
    return [Revision(**{name: getattr(row, name) for name in names}) for row in rows]


def latest(
    connection: Connection, tenant: str, before: int | None, size: int, customer: str = ""
) -> list[Event]:
    """The events before a number, the latest first; with a customer, those that call it."""
    chosen = select(*WITHOUT_REQUEST).where(COLUMNS.tenant == tenant)
    if before is not None:
        chosen = chosen.where(COLUMNS.number < before)
    if customer:
        its = and_(CALLS.event == COLUMNS.number, CALLS.tenant == tenant, _calls(customer))
        chosen = chosen.where(exists().where(its))
    ordered = chosen.order_by(COLUMNS.number.desc()).limit(size)
    return [as_event(row) for row in connection.execute(ordered)]


def places(connection: Connection, event: Event, customers: Iterable[str]) -> dict[str, int]:
    """The places of customers that an event has ever called, or that opted out of it."""
    found: dict[str, int] = {}
    names = list(customers)
    for first in range(0, len(names), AT_ONCE):
        its = CALLS.customer.in_(names[first : first + AT_ONCE])
        chosen = select(CALLS.customer, CALLS.place).where(CALLS.event == event.number, its)
        found |= {row.customer: row.place for row in connection.execute(chosen)}
    return found


def knows(connection: Connection, event: Event, customer: str) -> bool:
    """Whether an event has ever called a customer, or knows that it opted out."""
    mine = exists().where(CALLS.event == event.number, _calls(customer))
    return bool(connection.scalar(select(mine)))


def _calls(customer: str) -> ColumnElement[bool]:
    return and_(CALLS.customer == customer, CALLS.number.is_not(None))


def calls(
    connection: Connection,
    event: Event,
    states: Sequence[CallState],
    page: tuple[int, int] | None,
    customer: str = "",
) -> Iterator[Call]:
    """The calls of an event by the places of the customers.

    Args:
        connection: to the database.
        event: the event.
        states: the states that are asked for; empty for all.
        page: beyond which place, and how many; None for all.
        customer: the customer that is asked for; empty for all.
    """
    chosen = _joined().where(CALLS.event == event.number)
    if states:
        chosen = chosen.where(CALLS.state.in_(states))
    if customer:
        chosen = chosen.where(_calls(customer))
    if page is not None:
        chosen = chosen.where(CALLS.place > page[0]).limit(page[1])
    return map(_call, connection.execute(chosen.order_by(CALLS.place)).all())


def stand(connection: Connection, event: Event) -> Stand:
    """How the calls of an event stand; as columns, which are read in a tenth of the time."""
    names = ("place", "state", "called", "level", "accepted_kw")
    chosen = select(*(CALLS[name] for name in names)).where(CALLS.event == event.number)
    columns = dict(zip(names, zip(*connection.execute(chosen).all(), strict=True), strict=False))
    if columns:
        columns["state"] = tuple(map(_STATES.__getitem__, columns["state"]))
    return Stand(**columns)


_STATES = {state.value: state for state in CallState}
"""The states by their words; to call the enumeration takes ten times as long."""


def standing(connection: Connection, event: Event) -> list[Call]:
    """The calls of an event that are not cancelled, by the places of the customers."""
    return [call for call in calls(connection, event, (), None) if call.called]


def called_before(
    connection: Connection, event: Event, within_s: float
) -> list[tuple[float, float, set[str]]]:
    """The start, the end and the customers called of each event of a tenant before one, in order.

    Those that were cancelled called nobody; nor does one that begins as this one does, or later.
    """
    chosen = (
        select(COLUMNS.start_time, COLUMNS.end_time, CALLS.event, CALLS.customer)
        .join(event_calls, CALLS.event == COLUMNS.number)
        .where(
            COLUMNS.tenant == event.tenant,
            COLUMNS.state != EventState.CANCELLED,
            COLUMNS.start_time < event.start_time,
            COLUMNS.start_time >= event.start_time - within_s,
            CALLS.state == CallState.ACCEPTED,
        )
        .order_by(COLUMNS.start_time, CALLS.event)
    )
    found: dict[int, tuple[float, float, set[str]]] = {}
    for row in connection.execute(chosen):
        found.setdefault(row.event, (row.start_time, row.end_time, set()))[2].add(row.customer)
    return list(found.values())


def calls_after(
    database: Database, tenant: str, customer: str, event: str, after: int, last: int, most: int
) -> list[Call]:
    """The calls with numbers beyond one up to another; of a customer, of an event, or all.

    Whoever knows that there was a number `last` and shares the answer with others who ask for it
    gets all changes up to it, as the question was asked when it was there.

    Raises:
        StoreAway: the database cannot be used now.
    """
    between = and_(CALLS.number > after, CALLS.number <= last)
    chosen = _joined().where(CALLS.tenant == tenant, between)
    if customer:
        chosen = chosen.where(CALLS.customer == customer)
    if event:
        chosen = chosen.where(COLUMNS.name == event)
    with database.reading() as connection:
        rows = connection.execute(chosen.order_by(CALLS.number).limit(most))
        return [_call(row) for row in rows]


def last_number(database: Database, tenant: str) -> int:
    """The number of the latest change of a call.

    Raises:
        StoreAway: the database cannot be used now.
    """
    mine = and_(counters.c.tenant == tenant, counters.c.name == COUNTER)
    with database.reading() as connection:
        return connection.scalar(select(counters.c.value).where(mine)) or 0


def counts(connection: Connection, event: Event) -> Counts:
    """How the calls of an event stand."""
    return counts_of(connection, [event])[event.number]


def counts_of(connection: Connection, found: Sequence[Event]) -> dict[int, Counts]:
    """How the calls of events stand, by the numbers of the events."""
    kw = func.coalesce(CALLS.accepted_kw, CALLS.asked_kw)
    taken = case((CALLS.state == CallState.ACCEPTED, kw), else_=CALLS.expected_kw)
    numbers = [event.number for event in found]
    by_state: dict[int, dict[CallState, int]] = {number: {} for number in numbers}
    sums: dict[int, dict[CallState, float]] = {number: {} for number in numbers}
    chosen = select(CALLS.event, CALLS.state, func.count(), func.sum(taken))
    grouped = chosen.where(CALLS.event.in_(numbers)).group_by(CALLS.event, CALLS.state)
    for number, state, count, total in connection.execute(grouped):
        by_state[number][CallState(state)] = count
        sums[number][CallState(state)] = float(total)
    return {
        number: Counts(
            by_state=by_state[number],
            accepted_kw=sums[number].get(CallState.ACCEPTED, 0.0),
            pending_kw=sums[number].get(CallState.PENDING, 0.0),
        )
        for number in numbers
    }


def calls_since(connection: Connection, tenant: str, start_time: float) -> dict[str, int]:
    """How often each customer is called in events that begin at an instant or later."""
    counted = and_(
        COLUMNS.tenant == tenant,
        COLUMNS.start_time >= start_time,
        COLUMNS.state != EventState.CANCELLED,
        CALLS.called,
    )
    chosen = select(CALLS.customer, func.count()).join(events, COLUMNS.number == CALLS.event)
    rows = connection.execute(chosen.where(counted).group_by(CALLS.customer))
    return {row[0]: row[1] for row in rows}


_OF_EVENT = ("start_time", "end_time", "answer_time")


def _joined():  # noqa: ANN202 -- as generic as SQLAlchemy makes it
    own = [column for column in CALLS if column.name != "event"]
    its = [COLUMNS[name] for name in _OF_EVENT]
    named = COLUMNS.name.label("event")
    return select(*own, *its, named).join(events, COLUMNS.number == CALLS.event)


def _call(row: Row) -> Call:
    return Call(
        event=row.event,
        place=row.place,
        customer=row.customer,
        number=row.number or 0,
        revision=row.revision,
        state=_STATES[row.state],
        called=row.called,
        level=row.level,
        price_per_kwh=row.price_per_kwh,
        fixed_payment=row.fixed_payment,
        asked_kw=row.asked_kw,
        expected_kw=row.expected_kw,
        accepted_kw=row.accepted_kw,
        answered_time=row.answered_time,
        start_time=row.start_time,
        end_time=row.end_time,
        answer_time=row.answer_time,
    )
