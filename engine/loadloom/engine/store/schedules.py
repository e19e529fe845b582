"""Schedules as rows: drafted with their operation, solved, announced, confirmed, deleted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    exists,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from loadloom.engine.store.database import Database, now
from loadloom.engine.store.schedule_tables import (
    ScheduleState,
    schedule_requests,
    schedule_revisions,
    schedules,
)
from loadloom.engine.store.schema import ENDED, operations

COLUMNS = schedules.c

SWEPT_AT_ONCE = 20
"""The schedules that one transaction of the sweep deletes: each may have thousands of notices."""

Clock = Callable[[Connection], float]
"""The time in seconds since 1970, for a transaction."""


def database_time(connection: Connection) -> float:
    """The time by the database's clock."""
    return connection.execute(select(now())).scalar_one()


class NoSuchSchedule(Exception):  # noqa: N818 -- it names what was found
    """There is no schedule of this name for this tenant, or no such plan of it."""


class WrongState(Exception):  # noqa: N818 -- it names the schedule's state
    """The schedule is not in a state for what is asked; the words say why."""


class Overtaken(Exception):  # noqa: N818 -- it names what happened
    """The schedule was changed by another call at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """A schedule that is asked for.

    Attributes:
        name: its name.
        tenant: whose it is.
        title: what it is called among people.
        week: its days, a message.
        currency_code: the currency of its costs.
        week_start, week_end: the instants at which its days begin and end.
        create_time: the instant at which it is asked for.
        request: what it was asked with, the end of the commissions of all its plans.
    """

    name: str
    tenant: str
    title: str
    week: bytes
    currency_code: str
    week_start: float
    week_end: float
    create_time: float
    request: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule; times are seconds since 1970."""

    number: int
    name: str
    title: str
    state: ScheduleState
    operation: str
    week: bytes
    currency_code: str
    week_start: float
    week_end: float
    create_time: float
    publish_time: float | None
    revision: int
    asked_revision: int
    published_revision: int
    confirmed_days: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A plan of a schedule.

    Attributes:
        revision: its number.
        base: the number of the plan that had been announced when it was asked for; 0 for none.
        commission: what was solved, less the request of its schedule; with it the commission is
            whole.
        response: the schedule with the plan, a message.
    """

    revision: int
    base: int
    commission: bytes
    response: bytes


def draft(connection: Connection, new: NewSchedule, operation: str) -> None:
    """Writes a schedule that is not solved yet, and the operation that will solve it."""
    made = connection.execute(
        insert(schedules)
        .values(
            name=new.name,
            tenant=new.tenant,
            title=new.title,
            state=ScheduleState.DRAFT,
            operation=operation,
            week=new.week,
            currency_code=new.currency_code,
            week_start=new.week_start,
            week_end=new.week_end,
            create_time=new.create_time,
        )
        .returning(COLUMNS.number)
    )
    values = {"schedule": made.scalar_one(), "request": new.request}
    connection.execute(insert(schedule_requests).values(**values))


def ask_revision(connection: Connection, schedule: Schedule) -> None:
    """Takes the number of the next plan of a schedule.

    Raises:
        Overtaken: another call took it.
    """
    taken = (
        update(schedules)
        .where(
            COLUMNS.number == schedule.number,
            COLUMNS.asked_revision == schedule.asked_revision,
            COLUMNS.published_revision == schedule.published_revision,
        )
        .values(asked_revision=schedule.asked_revision + 1)
    )
    if not connection.execute(taken).rowcount:
        raise Overtaken(schedule.name)


def add_revision(connection: Connection, name: str, revision: Revision) -> None:
    """Writes a plan that is solved; nothing if its schedule was deleted meanwhile."""
    mine = COLUMNS.name == name
    number = connection.execute(select(COLUMNS.number).where(mine)).scalar_one_or_none()
    if number is None:
        return
    connection.execute(
        insert(schedule_revisions).values(
            schedule=number,
            revision=revision.revision,
            base=revision.base,
            commission=revision.commission,
            response=revision.response,
            create_time=now(),
        )
    )
    later = and_(mine, COLUMNS.revision < revision.revision)
    connection.execute(update(schedules).where(later).values(revision=revision.revision))
    first = and_(mine, COLUMNS.state == ScheduleState.DRAFT)
    connection.execute(update(schedules).where(first).values(state=ScheduleState.SOLVED))


def find(connection: Connection, tenant: str, name: str) -> Schedule:
    """The schedule of a name.

    Raises:
        NoSuchSchedule: the tenant has none of this name.
    """
    mine = and_(COLUMNS.tenant == tenant, COLUMNS.name == name)
    row = connection.execute(select(schedules).where(mine)).one_or_none()
    if row is None:
        raise NoSuchSchedule(name)
    return _schedule(row)


def plan(connection: Connection, schedule: Schedule, revision: int) -> Revision:
    """A plan of a schedule.

    Raises:
        NoSuchSchedule: there is none of this number.
    """
    columns = schedule_revisions.c
    mine = and_(columns.schedule == schedule.number, columns.revision == revision)
    row = connection.execute(select(schedule_revisions).where(mine)).one_or_none()
    if row is None:
        raise NoSuchSchedule(f"plan {revision} of {schedule.name}")
    return Revision(
        revision=row.revision, base=row.base, commission=row.commission, response=row.response
    )


def request(connection: Connection, schedule: Schedule) -> bytes:
    """What a schedule was asked with, the end of the commissions of its plans."""
    its = schedule_requests.c.schedule == schedule.number
    return connection.execute(select(schedule_requests.c.request).where(its)).scalar_one()


def page(
    connection: Connection,
    tenant: str,
    after: tuple[float, int] | None,
    size: int,
    *,
    announced: bool = False,
) -> list[Schedule]:
    """Schedules, the latest week first, beyond the one with that start of its week and number.

    Only those that were announced if it is `announced`.
    """
    chosen = select(schedules).where(COLUMNS.tenant == tenant)
    if announced:
        chosen = chosen.where(COLUMNS.published_revision > 0)
    if after is not None:
        start, number = after
        same = and_(COLUMNS.week_start == start, COLUMNS.number > number)
        chosen = chosen.where(or_(COLUMNS.week_start < start, same))
    ordered = chosen.order_by(COLUMNS.week_start.desc(), COLUMNS.number).limit(size)
    return [_schedule(row) for row in connection.execute(ordered)]


def remove(database: Database, tenant: str, name: str) -> None:
    """Deletes a schedule that nobody waits for: not announced, or settled, and not being solved.

    What a settled one added to the ledger stays there.

    Raises:
        NoSuchSchedule: the tenant has none of this name.
        WrongState: it was announced and is not settled, or is being solved for the first time.
        StoreAway: the database cannot be used now.
    """
    with database.writing() as connection:
        found = find(connection, tenant, name)
        if found.published_revision and found.state is not ScheduleState.SETTLED:
            raise WrongState(f"{name} was announced to its users; it stays until it is settled")
        if found.state is ScheduleState.DRAFT:
            mine = and_(operations.c.name == found.operation, operations.c.state.not_in(ENDED))
            if connection.execute(select(operations.c.number).where(mine)).first() is not None:
                raise WrongState(f"{name} is being solved; cancel {found.operation} first")
        connection.execute(delete(schedules).where(COLUMNS.number == found.number))


def sweep(database: Database, kept_s: float | None, clock: Clock) -> int:
    """The number of schedules deleted that nobody waits for any more.

    Those are drafts whose operation is gone, and settled ones whose week ended longer than
    `kept_s` ago; what these added to the ledger stays there. None keeps all settled ones.

    Raises:
        StoreAway: the database cannot be used now.
    """
    solved = exists().where(operations.c.name == COLUMNS.operation)
    deleted = _swept(database, and_(COLUMNS.state == ScheduleState.DRAFT, ~solved))
    if kept_s is None:
        return deleted
    with database.reading() as connection:
        before = clock(connection) - kept_s
    old = and_(COLUMNS.state == ScheduleState.SETTLED, COLUMNS.week_end < before)
    return deleted + _swept(database, old)


def _swept(database: Database, where: ColumnElement[bool]) -> int:
    """The number of schedules deleted of a kind, some at a time, so that others get their turn."""
    some, deleted = select(COLUMNS.number).where(where).limit(SWEPT_AT_ONCE), 0
    while True:
        with database.writing() as connection:
            found = connection.execute(
                delete(schedules).where(COLUMNS.number.in_(some.scalar_subquery()))
            )
        deleted += found.rowcount
        if found.rowcount < SWEPT_AT_ONCE:
            return deleted


def announce(connection: Connection, schedule: Schedule, revision: int, time_s: float) -> None:
    """Makes a plan the one that is announced.

    Raises:
        Overtaken: another call changed the schedule.
    """
    unchanged = and_(
        COLUMNS.number == schedule.number,
        tuple_(COLUMNS.revision, COLUMNS.published_revision, COLUMNS.confirmed_days)
        == (schedule.revision, schedule.published_revision, _bits(schedule.confirmed_days)),
        COLUMNS.state.in_((ScheduleState.SOLVED, ScheduleState.PUBLISHED)),
    )
    announced = {
        "state": ScheduleState.PUBLISHED,
        "published_revision": revision,
        "publish_time": time_s,
    }
    if not connection.execute(update(schedules).where(unchanged).values(**announced)).rowcount:
        raise Overtaken(schedule.name)


def confirm(connection: Connection, schedule: Schedule, day: int) -> Schedule:
    """The schedule with a day confirmed, which may have been before.

    Raises:
        Overtaken: another call changed the schedule.
    """
    days = tuple(sorted({*schedule.confirmed_days, day}))
    unchanged = and_(
        COLUMNS.number == schedule.number,
        COLUMNS.confirmed_days == _bits(schedule.confirmed_days),
        COLUMNS.published_revision == schedule.published_revision,
        COLUMNS.state == ScheduleState.PUBLISHED,
    )
    changed = update(schedules).where(unchanged).values(confirmed_days=_bits(days))
    row = connection.execute(changed.returning(*schedules.c)).one_or_none()
    if row is None:
        raise Overtaken(schedule.name)
    return _schedule(row)


def close(connection: Connection, schedule: Schedule) -> None:
    """Closes a schedule whose week is over.

    Raises:
        Overtaken: another call changed the schedule.
    """
    unchanged = and_(
        COLUMNS.number == schedule.number,
        COLUMNS.published_revision == schedule.published_revision,
        COLUMNS.state == ScheduleState.PUBLISHED,
    )
    changed = update(schedules).where(unchanged).values(state=ScheduleState.SETTLED)
    if not connection.execute(changed).rowcount:
        raise Overtaken(schedule.name)


def _bits(days: Sequence[int]) -> int:
    return sum(1 << day for day in days)


def _schedule(row: Row) -> Schedule:
    bits = row.confirmed_days
    return Schedule(
        number=row.number,
        name=row.name,
        title=row.title,
        state=ScheduleState(row.state),
        operation=row.operation,
        week=row.week,
        currency_code=row.currency_code,
        week_start=row.week_start,
        week_end=row.week_end,
        create_time=row.create_time,
        publish_time=row.publish_time,
        revision=row.revision,
        asked_revision=row.asked_revision,
        published_revision=row.published_revision,
        confirmed_days=tuple(day for day in range(31) if bits >> day & 1),
    )
