"""Operations as their callers see them: made once, found, listed, cancelled, deleted.

Every change writes a numbered event in the same transaction. `claims` is the workers' side.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from loadloom.engine.store import quotas
from loadloom.engine.store.beside import Also, write_nothing
from loadloom.engine.store.database import Database, StoreAway, now
from loadloom.engine.store.quotas import NO_QUOTA, Quota
from loadloom.engine.store.schema import ENDED, State, operation_events, operations

SWEPT_AT_ONCE = 500
"""The operations that one transaction of the sweep deletes, so that others get their turn."""

ASKED_AT_ONCE = 500
"""The operations that one question asks for; SQLite has a limit on the values in a statement."""

COLUMNS = operations.c


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOperation:
    """What is asked for.

    Attributes:
        tenant: whose it is.
        method: the method that was called.
        request: the bytes of the request.
        digest: the digest of the request.
        response_type: the full name of the response's message.
        request_id: the caller's name for the request; none when empty.
        priority: higher ones are solved first.
        limit_s: the time that one attempt may take; None for the server's own limit.
        deadline_s: the time by which it must have ended, from now on; None for no such time.
        also: writes what there is to write beside it.
        quota: what the tenant may use.
    """

    tenant: str
    method: str
    request: bytes
    digest: str
    response_type: str
    request_id: str = ""
    priority: int = 0
    limit_s: float | None = None
    deadline_s: float | None = None
    also: Also = write_nothing
    quota: Quota = NO_QUOTA


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a solve is; None where it is not known."""

    value: float | None = None
    bound: float | None = None
    relative_gap: float | None = None
    phase: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation; times are seconds since 1970. Lists leave `response` out."""

    number: int
    name: str
    method: str
    state: State
    digest: str
    response_type: str
    priority: int
    attempt: int
    cancel_asked: bool
    event: int
    create_time: float
    start_time: float | None
    update_time: float
    end_time: float | None
    standing: Standing
    error: bytes | None
    response: bytes | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The state of an operation after a change."""

    number: int
    event_time: float
    state: State
    attempt: int
    standing: Standing

    @property
    def is_last(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED


class NoSuchOperation(Exception):  # noqa: N818 -- it names what was found
    """There is no operation of this name for this tenant."""


class OtherRequest(Exception):  # noqa: N818 -- it names what was found
    """The request id belongs to another request of the tenant."""


class NotEnded(Exception):  # noqa: N818 -- it names what was found
    """The operation is still under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What operations to list; None for all."""

    state: State | None = None
    method: str | None = None
    ended: bool | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter in terms of columns."""
        found: list[ColumnElement[bool]] = []
        if self.state is not None:
            found.append(COLUMNS.state == self.state)
        if self.method is not None:
            found.append(COLUMNS.method == self.method)
        if self.ended is not None:
            found.append(COLUMNS.state.in_(ENDED) if self.ended else COLUMNS.state.not_in(ENDED))
        return found


_LIGHT = [
    getattr(COLUMNS, name)
    for name in (
        *("number", "name", "method", "state", "digest", "response_type", "priority", "attempt"),
        *("cancel_asked", "event", "create_time", "start_time", "update_time", "end_time"),
        *("value", "bound", "relative_gap", "phase", "error"),
    )
]
_WHOLE = [*_LIGHT, COLUMNS.response]


def create(database: Database, new: NewOperation) -> Operation:
    """The operation that a request asks for, which is on the disk.

    The same request id brings the operation that it brought before.

    Raises:
        OtherRequest: the request id was used for another request.
        OverQuota: the tenant has used what it may; there is no operation then.
        StoreAway: the database cannot be used now; whether the operation is there is not known.
    """
    with database.writing() as connection:
        made = connection.execute(_insertion(database, new)).one_or_none()
        if made is not None:
            record(connection, [made.number])
            new.also(connection, made.name)
            quotas.check(connection, new.tenant, new.quota)
            return _operation(made)
        mine = and_(COLUMNS.tenant == new.tenant, COLUMNS.request_id == new.request_id)
        row = connection.execute(select(*_WHOLE).where(mine)).one_or_none()
    if row is None:
        raise StoreAway("the operation of this request was deleted at this moment")
    found = _operation(row)
    if (found.digest, found.method) != (new.digest, new.method):
        raise OtherRequest(new.request_id)
    return found


def _insertion(database: Database, new: NewOperation) -> postgresql.Insert | sqlite.Insert:
    made = sqlite.insert(operations) if database.is_sqlite else postgresql.insert(operations)
    return (
        made.values(
            name=f"operations/{uuid4().hex}",
            tenant=new.tenant,
            method=new.method,
            request_id=new.request_id or None,
            digest=new.digest,
            request=new.request,
            response_type=new.response_type,
            priority=new.priority,
            limit_s=new.limit_s,
            deadline=None if new.deadline_s is None else now() + new.deadline_s,
            state=State.QUEUED,
            cancel_asked=False,
            create_time=now(),
            update_time=now(),
        )
        .on_conflict_do_nothing(index_elements=["tenant", "request_id"])
        .returning(*_WHOLE)
    )


def find(database: Database, tenant: str, name: str) -> Operation:
    """The operation of a name.

    Raises:
        NoSuchOperation: the tenant has none of this name.
        StoreAway: the database cannot be used now.
    """
    with database.reading() as connection:
        row = connection.execute(
            select(*_WHOLE).where(COLUMNS.tenant == tenant, COLUMNS.name == name)
        ).one_or_none()
    if row is None:
        raise NoSuchOperation(name)
    return _operation(row)


def page(
    database: Database, tenant: str, wanted: Filter, *, before: int | None, size: int
) -> list[Operation]:
    """The latest operations before a number, the latest first, without their responses.

    Raises:
        StoreAway: the database cannot be used now.
    """
    chosen = select(*_LIGHT).where(COLUMNS.tenant == tenant, *wanted.conditions())
    if before is not None:
        chosen = chosen.where(COLUMNS.number < before)
    with database.reading() as connection:
        rows = connection.execute(chosen.order_by(COLUMNS.number.desc()).limit(size)).all()
    return [_operation(row) for row in rows]


def cancel(database: Database, tenant: str, name: str, error: bytes) -> None:
    """Ends an operation that waits, with the error, and asks the worker of one that runs.

    Nothing happens to an operation that has ended.

    Raises:
        NoSuchOperation: the tenant has none of this name.
        StoreAway: the database cannot be used now.
    """
    mine = and_(COLUMNS.tenant == tenant, COLUMNS.name == name)
    waits = and_(mine, COLUMNS.state == State.QUEUED)
    runs = and_(mine, COLUMNS.state == State.RUNNING, COLUMNS.cancel_asked.is_(False))
    with database.writing() as connection:
        ended = {"state": State.CANCELLED, "error": error, "end_time": now(), "best": None}
        if change(connection, waits, cancel_asked=True, **ended):
            return
        if change(connection, runs, cancel_asked=True):
            return
        if connection.execute(select(COLUMNS.number).where(mine)).one_or_none() is None:
            raise NoSuchOperation(name)


def remove(database: Database, tenant: str, name: str) -> None:
    """Deletes an operation that has ended, with its events.

    Raises:
        NoSuchOperation: the tenant has none of this name.
        NotEnded: it is still under way.
        StoreAway: the database cannot be used now.
    """
    mine = and_(COLUMNS.tenant == tenant, COLUMNS.name == name)
    with database.writing() as connection:
        if connection.execute(delete(operations).where(mine, COLUMNS.state.in_(ENDED))).rowcount:
            return
        if connection.execute(select(COLUMNS.number).where(mine)).one_or_none() is None:
            raise NoSuchOperation(name)
    raise NotEnded(name)


def events(database: Database, number: int, after: int, most: int) -> list[Event]:
    """The events of an operation beyond one, in order.

    Raises:
        StoreAway: the database cannot be used now.
    """
    columns = operation_events.c
    chosen = (
        select(operation_events)
        .where(columns.operation == number, columns.event > after)
        .order_by(columns.event)
        .limit(most)
    )
    with database.reading() as connection:
        rows = connection.execute(chosen).all()
    return [
        Event(
            number=row.event,
            event_time=row.event_time,
            state=State(row.state),
            attempt=row.attempt,
            standing=_standing(row),
        )
        for row in rows
    ]


_LATEST = select(COLUMNS.number, COLUMNS.event, COLUMNS.state).where(
    COLUMNS.number.in_(bindparam("numbers", expanding=True))
)


def latest(database: Database, numbers: Sequence[int]) -> dict[int, tuple[int, bool]]:
    """The latest event of each operation and whether it has ended; none for those that are gone.

    Raises:
        StoreAway: the database cannot be used now.
    """
    found: dict[int, tuple[int, bool]] = {}
    with database.reading() as connection:
        for first in range(0, len(numbers), ASKED_AT_ONCE):
            asked = {"numbers": numbers[first : first + ASKED_AT_ONCE]}
            for row in connection.execute(_LATEST, asked):
                found[row.number] = (row.event, row.state in ENDED)
    return found


def sweep(database: Database, retention_s: float) -> int:
    """The number of operations deleted because they ended longer ago than the retention.

    Raises:
        StoreAway: the database cannot be used now.
    """
    old = (
        select(COLUMNS.number)
        .where(COLUMNS.state.in_(ENDED), COLUMNS.end_time < now() - retention_s)
        .limit(SWEPT_AT_ONCE)
    )
    deleted = 0
    while True:
        with database.writing() as connection:
            found = connection.execute(
                delete(operations).where(COLUMNS.number.in_(old.scalar_subquery()))
            )
            deleted += found.rowcount
        if found.rowcount < SWEPT_AT_ONCE:
            return deleted


def change(
    connection: Connection, where: ColumnElement[bool], *, silent: bool = False, **values: object
) -> list[int]:
    """The numbers of the operations that are changed, each with an event unless it is silent."""
    if silent:
        changed = update(operations).where(where).values(**values)
        return list(connection.scalars(changed.returning(COLUMNS.number)))
    values |= {"event": COLUMNS.event + 1, "update_time": now()}
    changed = update(operations).where(where).values(**values).returning(COLUMNS.number)
    numbers = list(connection.scalars(changed))
    if numbers:
        record(connection, numbers)
    return numbers


def record(connection: Connection, numbers: Iterable[int]) -> None:
    """Writes the event of operations as they now are."""
    names = ("event", "state", "attempt", "value", "bound", "relative_gap", "phase")
    snapshot = select(
        COLUMNS.number, COLUMNS.update_time, *(getattr(COLUMNS, name) for name in names)
    ).where(COLUMNS.number.in_(list(numbers)))
    connection.execute(
        insert(operation_events).from_select(["operation", "event_time", *names], snapshot)
    )


def _operation(row: Row) -> Operation:
    return Operation(
        number=row.number,
        name=row.name,
        method=row.method,
        state=State(row.state),
        digest=row.digest,
        response_type=row.response_type,
        priority=row.priority,
        attempt=row.attempt,
        cancel_asked=row.cancel_asked,
        event=row.event,
        create_time=row.create_time,
        start_time=row.start_time,
        update_time=row.update_time,
        end_time=row.end_time,
        standing=_standing(row),
        error=row.error,
        response=row._mapping.get("response"),  # noqa: SLF001 -- public in spite of its name
    )


def _standing(row: Row) -> Standing:
    return Standing(
        value=row.value, bound=row.bound, relative_gap=row.relative_gap, phase=row.phase
    )
