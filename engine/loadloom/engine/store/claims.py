"""Operations as workers see them: claimed by lease, kept alive, and ended or given back.

A claim is good for one attempt. Whatever a worker writes is refused once its attempt is not the
latest any more, or its lease has lapsed and been noticed, so no operation ends twice.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, case, literal, null, or_, select, update

from loadloom.engine.store.database import Database, now
from loadloom.engine.store.operations import COLUMNS, Standing, change, record
from loadloom.engine.store.schema import State, operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An operation that a worker may solve.

    Attributes:
        number: the operation.
        name: its name.
        attempt: the attempt that the claim is for.
        tenant: whose it is.
        method: the method that was called.
        request: the bytes of the request.
        limit_s: the time that the attempt may take; None for the server's own limit.
        left_s: the time to the deadline of the operation; None if it has none.
        best: the best response of an earlier attempt, if one was written.
    """

    number: int
    name: str
    attempt: int
    tenant: str
    method: str
    request: bytes
    limit_s: float | None
    left_s: float | None
    best: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """The errors that operations end with when nobody solved them, each a google.rpc.Status."""

    cancelled: bytes
    died: bytes
    late: bytes


class LostClaim(Exception):  # noqa: N818 -- it names the claim's state
    """The operation is somebody else's by now, or has ended, or is gone."""


def waiting(database: Database, methods: Collection[str]) -> bool:
    """Whether an operation waits for a worker; it costs next to nothing to ask.

    Raises:
        StoreAway: the database cannot be used now.
    """
    with database.reading() as connection:
        return connection.execute(_queued(methods)).first() is not None


def claim(
    database: Database, methods: Collection[str], worker: str, lease_s: float
) -> Claim | None:
    """The operation whose turn it is, if there is one, claimed for the length of a lease.

    Raises:
        StoreAway: the database cannot be used now; what was claimed comes back with its lease.
    """
    mine = COLUMNS.number == _queued(methods).with_for_update(skip_locked=True).scalar_subquery()
    claimed = (
        update(operations)
        .where(mine)
        .values(
            state=State.RUNNING,
            attempt=COLUMNS.attempt + 1,
            worker=worker,
            lease_end=now() + lease_s,
            start_time=now(),
            update_time=now(),
            event=COLUMNS.event + 1,
        )
        .returning(
            COLUMNS.number,
            COLUMNS.name,
            COLUMNS.attempt,
            COLUMNS.tenant,
            COLUMNS.method,
            COLUMNS.request,
            COLUMNS.limit_s,
            (COLUMNS.deadline - now()).label("left_s"),
            COLUMNS.best,
        )
    )
    with database.writing() as connection:
        row = connection.execute(claimed).one_or_none()
        if row is None:
            return None
        record(connection, [row.number])
        return Claim(**row._mapping)  # noqa: SLF001 -- public in spite of its name


def cancel_asked(database: Database, claim: Claim) -> bool:
    """Whether a caller asked to cancel what is claimed.

    Raises:
        LostClaim: the claim is not good any more.
        StoreAway: the database cannot be used now.
    """
    with database.reading() as connection:
        row = connection.execute(select(COLUMNS.cancel_asked).where(_held(claim))).one_or_none()
    if row is None:
        raise LostClaim(claim.name)
    return row.cancel_asked


def keep(database: Database, claim: Claim, lease_s: float) -> None:
    """Begins the lease of a claim anew.

    Raises:
        LostClaim: the claim is not good any more.
        StoreAway: the database cannot be used now.
    """
    with database.writing() as connection:
        if not change(connection, _held(claim), silent=True, lease_end=now() + lease_s):
            raise LostClaim(claim.name)


def report(
    database: Database, claim: Claim, standing: Standing, best: bytes | None, lease_s: float
) -> None:
    """Writes how far a solve is, and the best response so far if there is a new one.

    Raises:
        LostClaim: the claim is not good any more.
        StoreAway: the database cannot be used now.
    """
    with database.writing() as connection:
        changed = change(
            connection,
            _held(claim),
            lease_end=now() + lease_s,
            value=standing.value,
            bound=standing.bound,
            relative_gap=standing.relative_gap,
            phase=standing.phase,
            best=COLUMNS.best if best is None else best,
        )
        if not changed:
            raise LostClaim(claim.name)


Keep = Callable[[Connection, Claim, bytes], None]
"""What a family writes with a response, in the transaction that ends the operation; or with a part
of what is kept beside it, in a transaction of its own."""


def keep_part(database: Database, claim: Claim, part: bytes, keep: Keep, lease_s: float) -> None:
    """Has the family write a part of what is kept beside a response; the lease begins anew.

    Raises:
        LostClaim: the claim is not good any more.
        StoreAway: the database cannot be used now; whether the part is written is not known.
    """
    with database.writing() as connection:
        if not change(connection, _held(claim), silent=True, lease_end=now() + lease_s):
            raise LostClaim(claim.name)
        keep(connection, claim, part)


def succeed(database: Database, claim: Claim, response: bytes, keep: Keep) -> None:
    """Ends what is claimed with a response, and has the family write what it keeps of it.

    Raises:
        LostClaim: the claim is not good any more.
        StoreAway: the database cannot be used now; whether it has ended is not known.
    """
    with database.writing() as connection:
        _end(connection, claim, State.SUCCEEDED, response=response)
        keep(connection, claim, response)


def fail(database: Database, claim: Claim, error: bytes) -> None:
    """Ends what is claimed with an error; raises as `succeed` does."""
    with database.writing() as connection:
        _end(connection, claim, State.FAILED, error=error)


def end_cancelled(database: Database, claim: Claim, error: bytes) -> None:
    """Ends what is claimed as cancelled; raises as `succeed` does."""
    with database.writing() as connection:
        _end(connection, claim, State.CANCELLED, error=error)


def _end(connection: Connection, claim: Claim, state: State, **result: bytes) -> None:
    ended = {"state": state, "end_time": now(), "best": None, **result}
    if not change(connection, _held(claim), **ended):
        raise LostClaim(claim.name)


def hand_back(database: Database, claim: Claim, best: bytes | None, errors: Errors) -> None:
    """Puts what is claimed back into the queue; the attempt does not count.

    Raises:
        LostClaim: the claim is not good any more.
        StoreAway: the database cannot be used now.
    """
    with database.writing() as connection:
        changed = change(
            connection,
            _held(claim),
            state=case((COLUMNS.cancel_asked, State.CANCELLED), else_=State.QUEUED),
            error=case((COLUMNS.cancel_asked, literal(errors.cancelled)), else_=null()),
            end_time=case((COLUMNS.cancel_asked, now()), else_=null()),
            returned=COLUMNS.returned + 1,
            best=COLUMNS.best if best is None else best,
        )
        if not changed:
            raise LostClaim(claim.name)


def drop(database: Database, claim: Claim, attempts: int, errors: Errors) -> None:
    """Puts what is claimed back into the queue, or fails it if that was the last attempt.

    Raises:
        LostClaim: the claim is not good any more.
        StoreAway: the database cannot be used now.
    """
    if not _requeue(database, _held(claim), attempts, errors):
        raise LostClaim(claim.name)


def drop_all_of(database: Database, worker: str, attempts: int, errors: Errors) -> int:
    """The number of operations taken from a worker that is known to be dead.

    Raises:
        StoreAway: the database cannot be used now.
    """
    its = and_(COLUMNS.state == State.RUNNING, COLUMNS.worker == worker)
    return _requeue(database, its, attempts, errors)


def tidy(database: Database, attempts: int, errors: Errors) -> int:
    """The number of operations whose lease has lapsed, or which wait beyond their deadline.

    Those go back into the queue or end; one that has a best response is left for a worker to end
    with it. Where nothing is to be done, nothing is written.

    Raises:
        StoreAway: the database cannot be used now.
    """
    lapsed = and_(COLUMNS.state == State.RUNNING, COLUMNS.lease_end < now())
    late = and_(COLUMNS.state == State.QUEUED, COLUMNS.deadline < now(), COLUMNS.best.is_(null()))
    with database.reading() as connection:
        found = connection.execute(select(COLUMNS.number).where(or_(lapsed, late)).limit(1))
        if found.first() is None:
            return 0
    return _requeue(database, lapsed, attempts, errors) + _end_late(database, late, errors.late)


def _queued(methods: Collection[str]):  # noqa: ANN202 -- as generic as SQLAlchemy makes it
    return (
        select(COLUMNS.number)
        .where(COLUMNS.state == State.QUEUED, COLUMNS.method.in_(methods))
        .order_by(COLUMNS.priority.desc(), COLUMNS.number)
        .limit(1)
    )


def _held(claim: Claim) -> ColumnElement[bool]:
    return and_(
        COLUMNS.number == claim.number,
        COLUMNS.attempt == claim.attempt,
        COLUMNS.state == State.RUNNING,
    )


def _requeue(database: Database, where: ColumnElement[bool], attempts: int, errors: Errors) -> int:
    """Cancels those that were to be, fails those that had their attempts, queues the others."""
    cancelled = COLUMNS.cancel_asked
    spent = COLUMNS.attempt - COLUMNS.returned >= attempts
    with database.writing() as connection:
        changed = change(
            connection,
            where,
            state=case((cancelled, State.CANCELLED), (spent, State.FAILED), else_=State.QUEUED),
            error=case(
                (cancelled, literal(errors.cancelled)),
                (spent, literal(errors.died)),
                else_=null(),
            ),
            end_time=case((or_(cancelled, spent), now()), else_=null()),
        )
        return len(changed)


def _end_late(database: Database, late: ColumnElement[bool], error: bytes) -> int:
    """Fails operations that wait beyond their deadline."""
    with database.writing() as connection:
        return len(change(connection, late, state=State.FAILED, error=error, end_time=now()))
