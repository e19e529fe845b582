"""Settlements as rows: written once under a request id, found, listed, and never changed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, and_, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from loadloom.engine.store.database import Database, now
from loadloom.engine.store.operations import OtherRequest
from loadloom.engine.store.settlement_tables import settlement_statements, settlements

COLUMNS = settlements.c
CHUNKS = settlement_statements.c

AT_ONCE = 50
"""The chunks of statements that one statement of SQL writes."""


class NoSuchSettlement(Exception):  # noqa: N818 -- it names what was found
    """There is no settlement of this name for this tenant, or no such user in it."""


class CorrectedMeanwhile(Exception):  # noqa: N818 -- it names what happened
    """Another call corrected the settlement at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Statements that follow each other by the names of their users.

    Attributes:
        first_place: the place of the first of them among all of the settlement, from 0.
        user_count: how many there are.
        first_user, last_user: the first and the last name, in UTF-8.
        users: a message with the names of all of them.
        statements: a message with all the rest.
    """

    first_place: int
    user_count: int
    first_user: bytes
    last_user: bytes
    users: bytes
    statements: bytes

    @property
    def size(self) -> int:
        """The number of its bytes."""
        return len(self.users) + len(self.statements)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSettlement:
    """A settlement to be written.

    Attributes:
        name: its name.
        tenant: whose it is.
        request_id: the caller's name for the request.
        digest: the digest of the request.
        first: the number of the settlement that it corrects; None for a first one.
        correction: the number of the correction; 0 for a first one.
        request: what it was asked with.
        changes: what it and the corrections before it changed; None for a first one.
        response: what it comes to, a message.
        chunks: its statements.
    """

    name: str
    tenant: str
    request_id: str
    digest: str
    first: int | None
    correction: int
    request: bytes
    changes: bytes | None
    response: bytes
    chunks: Sequence[Chunk]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A settlement; `create_time` in seconds since 1970."""

    number: int
    name: str
    digest: str
    first: int | None
    correction: int
    user_count: int
    create_time: float
    response: bytes


_WITHOUT_REQUEST = [column for column in COLUMNS if column.name not in {"request", "changes"}]


def create(database: Database, new: NewSettlement) -> Settlement:
    """The settlement of a request, which is on the disk with all its statements.

    The same request id brings the settlement that it brought before.

    Raises:
        OtherRequest: the request id was used for another request.
        CorrectedMeanwhile: it is a correction, and another one took its number.
        StoreAway: the database cannot be used now; whether the settlement is there is not known.
    """
    made = sqlite.insert(settlements) if database.is_sqlite else postgresql.insert(settlements)
    values = {
        "name": new.name,
        "tenant": new.tenant,
        "request_id": new.request_id,
        "digest": new.digest,
        "first": new.first,
        "correction": new.correction,
        "user_count": sum(chunk.user_count for chunk in new.chunks),
        "create_time": now(),
        "response": new.response,
        "request": new.request,
        "changes": new.changes,
    }
    with database.writing() as connection:
        written = made.values(values).on_conflict_do_nothing().returning(*_WITHOUT_REQUEST)
        row = connection.execute(written).one_or_none()
        if row is not None:
            _write(connection, row.number, new.chunks)
            return _settlement(row)
        found = of_request(connection, new.tenant, new.request_id, new.digest)
    if found is None:
        raise CorrectedMeanwhile
    return found


def _write(connection: Connection, number: int, chunks: Sequence[Chunk]) -> None:
    for first in range(0, len(chunks), AT_ONCE):
        rows = [
            {
                "settlement": number,
                "first_place": chunk.first_place,
                "user_count": chunk.user_count,
                "first_user": chunk.first_user,
                "last_user": chunk.last_user,
                "users": chunk.users,
                "statements": chunk.statements,
            }
            for chunk in chunks[first : first + AT_ONCE]
        ]
        connection.execute(insert(settlement_statements), rows)


def of_request(
    connection: Connection, tenant: str, request_id: str, digest: str
) -> Settlement | None:
    """The settlement that a request brought before; None if it is new.

    Raises:
        OtherRequest: the request id was used for another request.
    """
    mine = and_(COLUMNS.tenant == tenant, COLUMNS.request_id == request_id)
    row = connection.execute(select(*_WITHOUT_REQUEST).where(mine)).one_or_none()
    if row is None:
        return None
    if row.digest != digest:
        raise OtherRequest(request_id)
    return _settlement(row)


def find(connection: Connection, tenant: str, name: str) -> Settlement:
    """The settlement of a name.

    Raises:
        NoSuchSettlement: the tenant has none of this name.
    """
    mine = and_(COLUMNS.tenant == tenant, COLUMNS.name == name)
    row = connection.execute(select(*_WITHOUT_REQUEST).where(mine)).one_or_none()
    if row is None:
        raise NoSuchSettlement(name)
    return _settlement(row)


def names(connection: Connection, settlement: Settlement) -> list[str]:
    """The names of the first settlement and all its corrections, in order."""
    chosen = select(COLUMNS.name).where(_family(settlement)).order_by(COLUMNS.correction)
    return list(connection.scalars(chosen))


def request(connection: Connection, settlement: Settlement) -> bytes:
    """What a settlement was asked with."""
    chosen = select(COLUMNS.request).where(COLUMNS.number == settlement.number)
    return bytes(connection.scalars(chosen).one())


def changes(connection: Connection, settlement: Settlement) -> bytes:
    """What a correction and those before it changed; nothing for a first settlement."""
    chosen = select(COLUMNS.changes).where(COLUMNS.number == settlement.number)
    return bytes(connection.scalars(chosen).one() or b"")


def last(connection: Connection, settlement: Settlement) -> Settlement:
    """The last correction of a settlement, or itself if there is none."""
    chosen = select(*_WITHOUT_REQUEST).where(_family(settlement))
    ordered = chosen.order_by(COLUMNS.correction.desc()).limit(1)
    return _settlement(connection.execute(ordered).one())


def _family(settlement: Settlement):  # noqa: ANN202 -- a condition
    first = settlement.first or settlement.number
    return or_(COLUMNS.number == first, COLUMNS.first == first)


def latest(connection: Connection, tenant: str, before: int | None) -> Iterator[Settlement]:
    """The settlements before a number, the latest first, each read when it is asked for."""
    chosen = select(*_WITHOUT_REQUEST).where(COLUMNS.tenant == tenant)
    ordered = chosen.order_by(COLUMNS.number.desc()).limit(1)
    while True:
        asked = ordered if before is None else ordered.where(COLUMNS.number < before)
        row = connection.execute(asked).one_or_none()
        if row is None:
            return
        yield _settlement(row)
        before = row.number


def chunks(
    connection: Connection, settlement: Settlement, first: int, size: int
) -> Iterator[Chunk]:
    """The chunks that hold the statements from a place on, in order, each read when asked for."""
    mine = CHUNKS.settlement == settlement.number
    chosen = select(settlement_statements).order_by(CHUNKS.first_place.desc()).limit(1)
    place, end = first, min(first + size, settlement.user_count)
    while place < end:
        row = connection.execute(chosen.where(mine, CHUNKS.first_place <= place)).one()
        yield _chunk(row)
        place = row.first_place + row.user_count


def chunk_of(connection: Connection, settlement: Settlement, user: str) -> Chunk | None:
    """The chunk that holds the statement of a user, if there is one."""
    chosen = select(settlement_statements).where(_around(settlement, user))
    row = connection.execute(chosen).one_or_none()
    return None if row is None else _chunk(row)


def users_around(connection: Connection, settlement: Settlement, user: str) -> bytes | None:
    """The names of the chunk that holds a user's statement, if there is one, as a message."""
    found = connection.scalar(select(CHUNKS.users).where(_around(settlement, user)))
    return None if found is None else bytes(found)


def _around(settlement: Settlement, user: str):  # noqa: ANN202 -- a condition
    name = user.encode()
    return and_(
        CHUNKS.settlement == settlement.number,
        CHUNKS.first_user <= name,
        CHUNKS.last_user >= name,
    )


def _chunk(row: Row) -> Chunk:
    return Chunk(
        first_place=row.first_place,
        user_count=row.user_count,
        first_user=bytes(row.first_user),
        last_user=bytes(row.last_user),
        users=bytes(row.users),
        statements=bytes(row.statements),
    )


def _settlement(row: Row) -> Settlement:
    return Settlement(
        number=row.number,
        name=row.name,
        digest=row.digest,
        first=row.first,
        correction=row.correction,
        user_count=row.user_count,
        create_time=row.create_time,
        response=bytes(row.response),
    )
