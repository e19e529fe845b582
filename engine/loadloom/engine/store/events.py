"""Events as rows: made with their calls, planned anew, cancelled; see also `event_answers`.

A call has the number of its latest change, answers among them, under one counter of its tenant,
which is locked by whoever changes calls; so a subscriber that knows a number has seen all changes
before it. Who has answered is never touched by a plan, whatever was known when it was made.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update

from loadloom.engine.store.database import Database
from loadloom.engine.store.event_rows import (
    COUNTER,
    WITHOUT_REQUEST,
    Event,
    as_event,
    calls,
    find,
    of_request,
)
from loadloom.engine.store.event_tables import (
    CallState,
    EventState,
    event_calls,
    event_revisions,
    events,
)
from loadloom.engine.store.notices import lock
from loadloom.engine.store.schedule_tables import counters
from loadloom.engine.store.schedules import Clock, Overtaken, WrongState

COLUMNS = events.c
CALLS = event_calls.c

AT_ONCE = 1_000
"""The rows that one statement writes."""

FIRST, REVISIONS = 1, 1_000
"""The number of the plan that an event is made with, and the most plans of one."""

OPEN_TO_PLANS = (CallState.PENDING, CallState.CANCELLED)
"""The states of calls that a plan may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A call that a plan makes; powers are means over the event."""

    place: int
    customer: str
    level: int
    price_per_kwh: float
    fixed_payment: float
    asked_kw: float
    expected_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRevision:
    """A plan to be written.

    Attributes:
        request_id, digest: the caller's name for the request, and the digest of its bytes.
        reason: why it was made.
        plan: what it comes to, a message.
        need: the needs, a message, where they are not those of the plan before.
        calls: all calls that it makes.
        answer_time: until when answers are waited for from now on; None for as before.
        late: whether those who have not answered by now have no answer.
    """

    request_id: str
    digest: str
    reason: str
    plan: bytes
    need: bytes | None
    calls: Sequence[NewCall]
    answer_time: float | None = None
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to be written; times are seconds since 1970."""

    name: str
    tenant: str
    title: str
    customer_count: int
    start_time: float
    end_time: float
    answer_time: float
    header: bytes
    request: bytes


Check = Callable[[Connection, Iterable[str]], None]
"""What must still hold of customers when calls to them are written; raises if it does not."""


def create(
    database: Database, new: NewEvent, plan: NewRevision, clock: Clock, check: Check
) -> Event:
    """The event of a request, which is on the disk with all its calls.

    The same request id brings the event that it brought before.

    Raises:
        OtherRequest: the request id was used for another request.
        StoreAway: the database cannot be used now; whether the event is there is not known.
    """
    with database.writing() as connection:
        last = lock(database, connection, new.tenant, COUNTER)
        found = of_request(connection, new.tenant, plan.request_id, plan.digest)
        if found is not None:
            return found[0]
        check(connection, (call.customer for call in plan.calls))
        time_s = clock(connection)
        values = {
            **asdict(new),
            "state": EventState.OPEN,
            "revision": FIRST,
            "create_time": time_s,
            "update_time": time_s,
        }
        made = insert(events).values(values).returning(*WITHOUT_REQUEST)
        event = as_event(connection.execute(made).one())
        _write_plan(connection, event, FIRST, plan, time_s, (len(plan.calls), 0))
        rows = _numbered(event, FIRST, plan.calls, last)
        for part in parts(rows):
            connection.execute(insert(event_calls), part)
        count_to(connection, new.tenant, last + len(rows))
        return event


def revise(
    database: Database, event: Event, plan: NewRevision, clock: Clock, check: Check
) -> tuple[Event, int]:
    """The event with a new plan, and the number of that.

    Calls that are not answered are made, changed or cancelled as the plan says; those that are stay
    as they are, and what happened to them since the plan was asked for is kept.

    Raises:
        OtherRequest: the request id was used for another request.
        WrongState: it has as many plans as there may be.
        Overtaken: another call planned the event anew, or closed it, at the same time; or what the
            check raises.
        StoreAway: the database cannot be used now.
    """
    with database.writing() as connection:
        last = lock(database, connection, event.tenant, COUNTER)
        found = of_request(connection, event.tenant, plan.request_id, plan.digest)
        if found is not None:
            return found
        if event.revision >= REVISIONS:
            raise WrongState(f"{event.name} has {REVISIONS:,} plans, the most there may be")
        time_s, revision = clock(connection), event.revision + 1
        until = event.answer_time if plan.answer_time is None else plan.answer_time
        moved = _moved(connection, event, revision=revision, update_time=time_s, answer_time=until)
        before = _standing(connection, moved)
        wanted = {call.place: call for call in plan.calls}
        added, changed, cancelled = _differences(before, wanted)
        check(connection, (call.customer for call in added))
        kept = sum(each.state == CallState.ACCEPTED for each in before.values())
        called = kept + sum(
            before[place].state in OPEN_TO_PLANS if place in before else True for place in wanted
        )
        changes = (len(added), 0 if plan.late else len(cancelled))
        _write_plan(connection, moved, revision, plan, time_s, changes, called)
        new = _numbered(moved, revision, [*added, *changed], last)
        fresh = [row for row in new if row["place"] not in before]
        again = [row for row in new if row["place"] in before]
        gone = [
            {"place": place, "number": last + len(new) + index, "revision": revision}
            for index, place in enumerate(cancelled, start=1)
        ]
        for part in parts(fresh):
            connection.execute(insert(event_calls), part)
        change(connection, moved, again, state=CallState.PENDING, called=True)
        if plan.late:
            silent = {"state": CallState.NO_ANSWER, "answered_time": time_s}
            change(connection, moved, gone, **silent)
        else:
            change(connection, moved, gone, state=CallState.CANCELLED, called=False)
        count_to(connection, event.tenant, last + len(new) + len(gone))
        return moved, revision


def _standing(connection: Connection, event: Event) -> dict[int, Row]:
    """What a plan may change of the calls of an event, by the places of their customers."""
    names = ("place", "state", "level", "price_per_kwh", "fixed_payment", "asked_kw")
    columns = [CALLS[name] for name in names]
    rows = connection.execute(select(*columns).where(CALLS.event == event.number)).all()
    return {row.place: row for row in rows}


def _differences(
    before: dict[int, Row], wanted: dict[int, NewCall]
) -> tuple[list[NewCall], list[NewCall], list[int]]:
    """The calls to make, those to change, and the places of those to cancel."""
    added, changed = [], []
    for place, call in wanted.items():
        old = before.get(place)
        if old is None or old.state == CallState.CANCELLED:
            added.append(call)
        elif old.state == CallState.PENDING and _differs(old, call):
            changed.append(call)
    pending = (row.place for row in before.values() if row.state == CallState.PENDING)
    return added, changed, [place for place in pending if place not in wanted]


def _differs(old: Row, new: NewCall) -> bool:
    its = (new.level, new.price_per_kwh, new.asked_kw)
    return (old.level, old.price_per_kwh, old.asked_kw) != its


def cancel(database: Database, event: Event, reason: str, clock: Clock) -> Event:
    """The event, cancelled with all its calls; one that was cancelled before stays as it is.

    Raises:
        WrongState: it is settled, or over.
        StoreAway: the database cannot be used now.
    """
    with database.writing() as connection:
        last = lock(database, connection, event.tenant, COUNTER)
        now = find(connection, event.tenant, event.name)
        if now.state is EventState.CANCELLED:
            return now
        if now.state is EventState.SETTLED:
            raise WrongState(f"{event.name} is settled; it cannot be cancelled")
        time_s = clock(connection)
        if now.is_past(time_s):
            raise WrongState(f"{event.name} took place; it can be settled, and not be cancelled")
        found = _moved(
            connection,
            now,
            state=EventState.CANCELLED,
            cancel_reason=reason,
            update_time=time_s,
        )
        live = (CallState.PENDING, CallState.ACCEPTED, CallState.NO_ANSWER)
        places = [call.place for call in calls(connection, now, live, None)]
        gone = [
            {"place": place, "number": last + index, "revision": now.revision}
            for index, place in enumerate(places, start=1)
        ]
        change(connection, now, gone, state=CallState.CANCELLED, called=False)
        count_to(connection, event.tenant, last + len(gone))
        return found


def _write_plan(
    connection: Connection,
    event: Event,
    revision: int,
    plan: NewRevision,
    time_s: float,
    changes: tuple[int, int],
    called_count: int | None = None,
) -> None:
    values = {
        "event": event.number,
        "revision": revision,
        "tenant": event.tenant,
        "request_id": plan.request_id,
        "digest": plan.digest,
        "create_time": time_s,
        "reason": plan.reason,
        "called_count": len(plan.calls) if called_count is None else called_count,
        "added_count": changes[0],
        "cancelled_count": changes[1],
        "plan": plan.plan,
        "need": plan.need,
    }
    connection.execute(insert(event_revisions).values(values))


def _numbered(
    event: Event, revision: int, new: Iterable[NewCall], last: int
) -> list[dict[str, object]]:
    """The rows of calls, numbered beyond the last number."""
    shared = {
        "event": event.number,
        "tenant": event.tenant,
        "revision": revision,
        "state": CallState.PENDING,
        "called": True,
    }
    return [{**asdict(call), **shared, "number": last + index} for index, call in enumerate(new, 1)]


def change(
    connection: Connection,
    event: Event,
    rows: Sequence[Mapping[str, object]],
    **shared: object,
) -> None:
    """Changes the columns of the calls at the places that the rows name."""
    if not rows:
        return
    fixed = {"event", "place", "tenant", "customer"}
    names = [name for name in rows[0] if name not in fixed and name not in shared]
    written = {name: bindparam(f"new_{name}") for name in names}
    mine = and_(CALLS.event == event.number, CALLS.place == bindparam("at_place"))
    changed = update(event_calls).where(mine).values({**written, **shared})
    for part in parts(rows):
        values = [
            {"at_place": row["place"], **{f"new_{name}": row[name] for name in names}}
            for row in part
        ]
        connection.execute(changed, values)


def _moved(connection: Connection, event: Event, **changes: object) -> Event:
    """The event with changed columns, if it is as it was and open.

    Raises:
        Overtaken: it is not.
    """
    same = and_(
        COLUMNS.number == event.number,
        COLUMNS.revision == event.revision,
        COLUMNS.state == EventState.OPEN,
    )
    row = connection.execute(
        update(events).where(same).values(changes).returning(*WITHOUT_REQUEST)
    ).one_or_none()
    if row is None:
        raise Overtaken(event.name)
    return as_event(row)


def count_to(connection: Connection, tenant: str, value: int) -> None:
    """Sets the number of the latest change of a call of a tenant."""
    mine = and_(counters.c.tenant == tenant, counters.c.name == COUNTER)
    connection.execute(update(counters).where(mine).values(value=value))


def parts(rows: Sequence):  # noqa: ANN201 -- slices of whatever there is
    """The rows in parts, each of which one statement writes."""
    return (rows[first : first + AT_ONCE] for first in range(0, len(rows), AT_ONCE))
