"""Settlements: kept, looked at, paged, and told to their users."""

from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Connection

from loadloom.engine.answers.agency import Answer
from loadloom.engine.answers.settlements import Settled
from loadloom.engine.convert import corrections, statements
from loadloom.engine.convert import settlements as convert
from loadloom.engine.convert.agency import provenance
from loadloom.engine.convert.notices import page_token, place
from loadloom.engine.convert.settlements import Settling
from loadloom.engine.convert.statements import Before
from loadloom.engine.family import Asked
from loadloom.engine.guard import refusal
from loadloom.engine.guard.roles import Caller, Role
from loadloom.engine.store import settlements as store
from loadloom.engine.store.database import Database
from loadloom.engine.store.settlements import NewSettlement, NoSuchSettlement, Settlement
from loadloom.engine.task import Answered
from loadloom.models.checks import Violation
from loadloom.v1 import agency_pb2 as pb

Creating = pb.CreateSettlementRequest | pb.CorrectSettlementRequest
"""What a settlement is asked for with."""

PAGE = 50
"""The settlements in a page unless asked otherwise."""

STATEMENTS = 1_000
"""The statements in a page unless asked otherwise."""

PLAIN_BYTES = 4 * 2**20
"""The largest message that gRPC takes unless its caller says otherwise."""

NAMES_PART = 16
"""What is kept free in the message of a settlement for its name and those of its corrections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a call about settlements works with.

    Attributes:
        database: where they are.
        caller: who asks.
        message_bytes: the largest message.
    """

    database: Database
    caller: Caller
    message_bytes: int

    @property
    def tenant(self) -> str:
        """Whose settlements they are."""
        return self.caller.tenant

    @property
    def page_bytes(self) -> int:
        """About the size of a page: what is added to it may well be larger than what was."""
        return min(self.message_bytes, PLAIN_BYTES) // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a correction follows.

    Attributes:
        first: the settlement that is corrected.
        last: its last correction, or itself.
        request: what the first was asked with.
        changes: what corrections have changed since.
        before: what the last of them said.
    """

    first: Settlement
    last: Settlement
    request: bytes
    changes: bytes
    before: Before


def known(desk: Desk, asked: Asked[Creating]) -> pb.Settlement | None:
    """The settlement that a request brought before; None if it is new.

    Raises:
        OtherRequest: the request id was used for another request.
    """
    with desk.database.reading() as connection:
        found = store.of_request(connection, desk.tenant, asked.message.request_id, asked.digest)
        return None if found is None else _told(connection, found)


def past(desk: Desk, name: str) -> Past:
    """What a correction of a settlement follows.

    Raises:
        NoSuchSettlement: the tenant has none of this name.
        Refusal: it has been corrected, and is not the first.
    """
    with desk.database.reading() as connection:
        found = store.find(connection, desk.tenant, name)
        last = store.last(connection, found)
        if found.correction and found.number != last.number:
            names = store.names(connection, found)
            raise refusal.wrong_state(
                f"{name} was corrected already; correct {names[0]}, the first, or {last.name}, "
                "the last"
            )
        before = statements.before(store.chunks(connection, last, 0, last.user_count))
        first_name = store.names(connection, found)[0]
        first = store.find(connection, desk.tenant, first_name)
        return Past(
            first=first,
            last=last,
            request=store.request(connection, first),
            changes=store.changes(connection, last),
            before=before,
        )


def keep(
    desk: Desk,
    asked: Asked[Creating],
    answered: Answered[Settling, Answer[Settled]],
    after: Past | None = None,
    reason: str = "",
) -> pb.Settlement:
    """The settlement, once it and all its statements are on the disk.

    Raises:
        OtherRequest: the request id was used for another request meanwhile.
        CorrectedMeanwhile: another call corrected the same settlement meanwhile.
        Refusal: it is larger than a message, so that nobody could look at it.
    """
    its = answered.answer.found
    header = pb.Settlement.FromString(its.header)
    header.reason = reason
    header.provenance.CopyFrom(provenance(answered.task, answered.answer, answered.origin))
    most = desk.message_bytes - desk.message_bytes // NAMES_PART
    if header.ByteSize() > most:
        raise refusal.too_large("grid", "bytes of a settlement", header.ByteSize(), most)
    said, changes = asked.message, None
    if after is not None and isinstance(said, pb.CorrectSettlementRequest):
        changes = corrections.since(after.changes, said)
    new = NewSettlement(
        name=f"settlements/{uuid4().hex}",
        tenant=desk.tenant,
        request_id=asked.message.request_id,
        digest=asked.digest,
        first=None if after is None else after.first.number,
        correction=0 if after is None else after.last.correction + 1,
        request=asked.raw,
        changes=changes,
        response=header.SerializeToString(),
        chunks=its.chunks,
    )
    kept = store.create(desk.database, new)
    with desk.database.reading() as connection:
        return _told(connection, kept)


def get(desk: Desk, request: pb.GetSettlementRequest) -> pb.GetSettlementResponse:
    """A settlement; a member sees those that it takes part in."""
    with desk.database.reading() as connection:
        found = store.find(connection, desk.tenant, request.name)
        if not _takes_part(connection, desk, found):
            raise NoSuchSettlement(request.name)
        return pb.GetSettlementResponse(settlement=_seen(connection, desk, found))


def page(desk: Desk, request: pb.ListSettlementsRequest) -> pb.ListSettlementsResponse:
    """The settlements there are, the latest first; for a member those that it takes part in."""
    after, size = _place(request.page_token), request.page_size or PAGE
    response, read, last = pb.ListSettlementsResponse(), 0, 0
    with desk.database.reading() as connection:
        for count, row in enumerate(store.latest(connection, desk.tenant, after)):
            read += len(row.response)
            if count == size or (count and read > desk.page_bytes):
                response.next_page_token = page_token(last)
                break
            last = row.number
            if _takes_part(connection, desk, row):
                response.settlements.append(_seen(connection, desk, row, whole=False))
    return response


def page_statements(desk: Desk, request: pb.ListStatementsRequest) -> pb.ListStatementsResponse:
    """The statements of a settlement, by the names of the users."""
    first, size = _place(request.page_token) or 0, request.page_size or STATEMENTS
    with desk.database.reading() as connection:
        found = store.find(connection, desk.tenant, request.name)
        first = min(first, found.user_count)  # a token may be any number
        kept = store.chunks(connection, found, first, size)
        told = statements.page(kept, first, size, desk.page_bytes)
    response = pb.ListStatementsResponse(statements=told)
    if first + len(told.users) < found.user_count:
        response.next_page_token = page_token(first + len(told.users))
    return response


def statement(desk: Desk, request: pb.GetStatementRequest) -> pb.GetStatementResponse:
    """The statement of a user, with the formula of every figure."""
    user = desk.caller.seen_as(request.user)
    if not user:
        raise refusal.invalid([Violation("user", "must be given")])
    with desk.database.reading() as connection:
        found = store.find(connection, desk.tenant, request.name)
        chunk = store.chunk_of(connection, found, user)
        header = _told(connection, found)
    told = None if chunk is None else statements.of_user(header, chunk, user)
    if told is None:
        raise NoSuchSettlement(f"user of this name in {request.name}")
    return pb.GetStatementResponse(statement=told)


def _takes_part(connection: Connection, desk: Desk, found: Settlement) -> bool:
    """Whether the caller may know of a settlement; a member if it has a statement there."""
    if desk.caller.role is not Role.MEMBER:
        return True
    users = store.users_around(connection, found, desk.caller.user)
    return users is not None and statements.holds(users, desk.caller.user)


def _told(connection: Connection, found: Settlement, *, whole: bool = True) -> pb.Settlement:
    return convert.current(found, store.names(connection, found), whole=whole)


def _seen(
    connection: Connection, desk: Desk, found: Settlement, *, whole: bool = True
) -> pb.Settlement:
    """A settlement as the caller sees it."""
    told = _told(connection, found, whole=whole)
    return convert.public(told) if desk.caller.role is Role.MEMBER else told


def _place(token: str) -> int | None:
    """The place of a token of one number.

    Raises:
        Refusal: it is none that this server gave.
    """
    found: list[Violation] = []
    after = place(token, (int,), found)
    if found or (after is not None and after[0] < 0):
        raise refusal.invalid([Violation("page_token", "is not one that this server gave")])
    return None if after is None else int(after[0])
