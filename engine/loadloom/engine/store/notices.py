"""Notices as rows: planned, numbered as they fall due, acknowledged, missed, withdrawn.

Numbers are given when notices fall due, by whoever looks first, in the order in which they were
due; so a subscriber that knows a number has seen all that were due before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from loadloom.engine.store.database import Database
from loadloom.engine.store.schedule_tables import NoticeState, counters, notices, schedules
from loadloom.engine.store.schedules import Clock

COLUMNS = notices.c

AT_ONCE = 500
"""The events that one statement names; SQLite has a limit on the values in one."""

COUNTER = "notices"


class NoSuchNotice(Exception):  # noqa: N818 -- it names what was found
    """There is no notice of this number for this user, or it is not due."""


class TooLate(Exception):  # noqa: N818 -- it names the notice's state
    """The event of the notice began before its user had been reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """A notice to be given.

    Attributes:
        event: the event of the schedule that it is about.
        user: the name of the user.
        kind: the number of its kind.
        due: the instant at which it is due.
        reach: the instant by which the user must have been reached.
        is_open: whether it may be missed, as a release cannot.
        event_start, event_end: the instants of the event.
        measure: the number of the kind of measure.
        day, first_slot, slot_count: the window.
        relief_kw: the mean relief.
    """

    event: str
    user: str
    kind: int
    due: float
    reach: float
    is_open: bool = True
    event_start: float
    event_end: float
    measure: int
    day: int
    first_slot: int
    slot_count: int
    relief_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice; times are seconds since 1970, and its number is 0 until it is due."""

    id: int
    schedule: str
    revision: int
    user: str
    kind: int
    state: NoticeState
    number: int
    due: float
    event_start: float
    event_end: float
    measure: int
    day: int
    first_slot: int
    slot_count: int
    relief_kw: float
    acknowledge_time: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The notices that are asked for; empty for all."""

    user: str = ""
    schedule: str = ""
    states: tuple[NoticeState, ...] = ()

    def conditions(self, tenant: str) -> list[ColumnElement[bool]]:
        """The wish in terms of columns."""
        found: list[ColumnElement[bool]] = [COLUMNS.tenant == tenant]
        if self.user:
            found.append(COLUMNS.user == self.user)
        if self.schedule:
            found.append(schedules.c.name == self.schedule)
        if self.states:
            found.append(COLUMNS.state.in_(self.states))
        return found


def add(
    connection: Connection, tenant: str, schedule: int, revision: int, new: Sequence[NewNotice]
) -> None:
    """Writes the notices of a plan that is announced."""
    shared = {
        "tenant": tenant,
        "schedule": schedule,
        "revision": revision,
        "state": NoticeState.PLANNED,
    }
    if new:
        connection.execute(insert(notices), [{**asdict(notice), **shared} for notice in new])


def events(connection: Connection, schedule: int) -> dict[str, bool]:
    """The events of a schedule that were ever announced, and whether their users were told."""
    told = func.max(case((COLUMNS.number.is_not(None), 1), else_=0)).label("told")
    chosen = select(COLUMNS.event, told).where(COLUMNS.schedule == schedule).group_by(COLUMNS.event)
    return {row.event: bool(row.told) for row in connection.execute(chosen)}


def withdraw(connection: Connection, schedule: int, withdrawn: Iterable[str]) -> None:
    """Takes back the notices of events that are released, as far as they have not been read."""
    names = list(withdrawn)
    for first in range(0, len(names), AT_ONCE):
        its = and_(COLUMNS.schedule == schedule, COLUMNS.event.in_(names[first : first + AT_ONCE]))
        unread = COLUMNS.state.in_((NoticeState.PLANNED, NoticeState.DUE))
        state = case((unread, NoticeState.WITHDRAWN), else_=COLUMNS.state)
        connection.execute(update(notices).where(its).values(state=state, is_open=False))


def latest(database: Database, tenant: str, clock: Clock) -> int:
    """The number of the last notice that has fallen due, with all states up to date.

    Raises:
        StoreAway: the database cannot be used now.
    """
    with database.reading() as connection:
        time_s = clock(connection)
        last = select(counters.c.value).where(_counter(tenant)).scalar_subquery()
        waits = exists().where(or_(_falls_due(tenant, time_s), _begins(tenant, time_s)))
        found = connection.execute(select(func.coalesce(last, 0), waits)).one()
    if not found[1]:
        return found[0]
    with database.writing() as connection:
        return bring_up_to_date(database, connection, tenant, clock)


def bring_up_to_date(database: Database, connection: Connection, tenant: str, clock: Clock) -> int:
    """The number of the last notice that has fallen due, once all states follow the clock."""
    last = lock(database, connection, tenant, COUNTER)
    time_s = clock(connection)
    due = (
        select(
            COLUMNS.id, func.row_number().over(order_by=(COLUMNS.due, COLUMNS.id)).label("place")
        )
        .where(_falls_due(tenant, time_s))
        .subquery()
    )
    numbered = (
        update(notices)
        .where(COLUMNS.id == due.c.id)
        .values(number=last + due.c.place, state=NoticeState.DUE)
    )
    last += connection.execute(numbered).rowcount
    connection.execute(update(counters).where(_counter(tenant)).values(value=last))
    other = notices.alias()
    reached = exists().where(
        other.c.schedule == COLUMNS.schedule,
        other.c.event == COLUMNS.event,
        other.c.state == NoticeState.ACKNOWLEDGED,
    )
    unread = COLUMNS.state.in_((NoticeState.PLANNED, NoticeState.DUE))
    state = case((and_(unread, ~reached), NoticeState.MISSED), else_=COLUMNS.state)
    begun = update(notices).where(_begins(tenant, time_s)).values(state=state, is_open=False)
    connection.execute(begun)
    return last


def lock(database: Database, connection: Connection, tenant: str, name: str) -> int:
    """The value of a counter, which nobody else can change until the transaction ends."""
    made = sqlite.insert(counters) if database.is_sqlite else postgresql.insert(counters)
    taken = (
        made.values(tenant=tenant, name=name, value=0)
        .on_conflict_do_update(index_elements=["tenant", "name"], set_={"value": counters.c.value})
        .returning(counters.c.value)
    )
    return connection.execute(taken).scalar_one()


def due_after(
    database: Database, tenant: str, wanted: Wanted, after: int, last: int, most: int
) -> list[Notice]:
    """The notices that have fallen due beyond a number up to another, in order.

    Whoever knows that there was a number `last` and shares the answer with others who ask for it
    gets all notices up to it, as the question was asked when it was there.

    Raises:
        StoreAway: the database cannot be used now.
    """
    chosen = (
        _joined()
        .where(*wanted.conditions(tenant), COLUMNS.number > after, COLUMNS.number <= last)
        .order_by(COLUMNS.number)
        .limit(most)
    )
    with database.reading() as connection:
        return [_notice(row) for row in connection.execute(chosen)]


def page(
    connection: Connection, tenant: str, wanted: Wanted, after: tuple[float, int] | None, size: int
) -> list[Notice]:
    """Notices in the order in which they fall due, beyond one that was due then and has that id."""
    chosen = _joined().where(*wanted.conditions(tenant))
    if after is not None:
        due, number = after
        same = and_(COLUMNS.due == due, COLUMNS.id > number)
        chosen = chosen.where(or_(COLUMNS.due > due, same))
    ordered = chosen.order_by(COLUMNS.due, COLUMNS.id).limit(size)
    return [_notice(row) for row in connection.execute(ordered)]


def acknowledge(database: Database, tenant: str, number: int, user: str, clock: Clock) -> Notice:
    """The notice, which has reached its user; it may have been said before.

    Raises:
        NoSuchNotice: the user has none of this number.
        TooLate: the event began before.
        StoreAway: the database cannot be used now.
    """
    mine = and_(COLUMNS.tenant == tenant, COLUMNS.number == number, COLUMNS.user == user)
    with database.writing() as connection:
        bring_up_to_date(database, connection, tenant, clock)
        read = update(notices).where(mine, COLUMNS.state == NoticeState.DUE)
        connection.execute(
            read.values(state=NoticeState.ACKNOWLEDGED, acknowledge_time=clock(connection))
        )
        row = connection.execute(_joined().where(mine)).one_or_none()
    if row is None:
        raise NoSuchNotice(f"notice {number} for this user")
    found = _notice(row)
    if found.state is NoticeState.MISSED:
        raise TooLate(f"notice {number}")
    return found


def missed(connection: Connection, schedule: int) -> set[str]:
    """The events of a schedule whose users were not reached."""
    its = and_(COLUMNS.schedule == schedule, COLUMNS.state == NoticeState.MISSED)
    return set(connection.scalars(select(COLUMNS.event).where(its).distinct()))


def _falls_due(tenant: str, time_s: float) -> ColumnElement[bool]:
    return and_(
        COLUMNS.tenant == tenant,
        COLUMNS.state == NoticeState.PLANNED,
        COLUMNS.due <= time_s,
    )


def _begins(tenant: str, time_s: float) -> ColumnElement[bool]:
    return and_(COLUMNS.tenant == tenant, COLUMNS.is_open, COLUMNS.reach <= time_s)


def _counter(tenant: str) -> ColumnElement[bool]:
    return and_(counters.c.tenant == tenant, counters.c.name == COUNTER)


def _joined():  # noqa: ANN202 -- as generic as SQLAlchemy makes it
    columns = [column for column in COLUMNS if column.name != "schedule"]
    return select(*columns, schedules.c.name.label("schedule")).join(
        schedules, schedules.c.number == COLUMNS.schedule
    )


def _notice(row: Row) -> Notice:
    return Notice(
        id=row.id,
        schedule=row.schedule,
        revision=row.revision,
        user=row.user,
        kind=row.kind,
        state=NoticeState(row.state),
        number=row.number or 0,
        due=row.due,
        event_start=row.event_start,
        event_end=row.event_end,
        measure=row.measure,
        day=row.day,
        first_slot=row.first_slot,
        slot_count=row.slot_count,
        relief_kw=row.relief_kw,
        acknowledge_time=row.acknowledge_time,
    )
