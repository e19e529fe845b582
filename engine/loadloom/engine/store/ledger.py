"""What users delivered, and the ledger of their burdens over the weeks."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from loadloom.engine.store.database import Database
from loadloom.engine.store.schedule_tables import deliveries, ledger

COLUMNS = ledger.c

AT_ONCE = 500
"""The users that one question names; SQLite has a limit on the values in a statement."""

COUNTER = "ledger"
"""The counter that settlements lock, so that the burdens of one build on those of another."""

Event = tuple[str, int, int]
"""The user, day and first slot of an event; a moved rest day has first slot 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a week added to the burden of a user."""

    user: str
    schedule: str
    week_start: float
    week_date: str
    energy_kwh: float
    planned_kwh: float
    burden: float
    carried_burden: float
    number: int = 0


def record(
    database: Database,
    connection: Connection,
    schedule: int,
    energies: dict[Event, float],
    time_s: float,
) -> None:
    """Writes what users delivered, in place of what was written before."""
    made = sqlite.insert(deliveries) if database.is_sqlite else postgresql.insert(deliveries)
    replaced = made.on_conflict_do_update(
        index_elements=["schedule", "user", "day", "first_slot"],
        set_={"energy_kwh": made.excluded.energy_kwh, "record_time": made.excluded.record_time},
    )
    rows = [
        {
            "schedule": schedule,
            "user": user,
            "day": day,
            "first_slot": first_slot,
            "energy_kwh": energy_kwh,
            "record_time": time_s,
        }
        for (user, day, first_slot), energy_kwh in energies.items()
    ]
    connection.execute(replaced, rows)


def recorded(connection: Connection, schedule: int) -> dict[Event, float]:
    """What was delivered in the events of a schedule, as far as it is recorded."""
    rows = connection.execute(select(deliveries).where(deliveries.c.schedule == schedule))
    return {(row.user, row.day, row.first_slot): row.energy_kwh for row in rows}


def carried(connection: Connection, tenant: str, users: Sequence[str]) -> dict[str, float]:
    """The burden that each user carries now; none for those whom the ledger does not know."""
    found: dict[str, float] = {}
    for first in range(0, len(users), AT_ONCE):
        its = COLUMNS.user.in_(users[first : first + AT_ONCE])
        found |= _carried(connection, tenant, its)
    return found


def all_carried(connection: Connection, tenant: str) -> dict[str, float]:
    """The burden that each user of the ledger carries now."""
    return _carried(connection, tenant)


def _carried(connection: Connection, tenant: str, *its: ColumnElement[bool]) -> dict[str, float]:
    last = (
        select(func.max(COLUMNS.number))
        .where(COLUMNS.tenant == tenant, *its)
        .group_by(COLUMNS.user)
    )
    rows = connection.execute(
        select(COLUMNS.user, COLUMNS.carried_burden).where(COLUMNS.number.in_(last))
    )
    return {row.user: row.carried_burden for row in rows}


def enter(connection: Connection, tenant: str, entries: Iterable[Entry], time_s: float) -> None:
    """Writes the entries of a week."""
    rows = []
    for entry in entries:
        row = asdict(entry)
        del row["number"]
        rows.append({**row, "tenant": tenant, "settle_time": time_s})
    connection.execute(insert(ledger), rows)


def page(
    connection: Connection,
    tenant: str,
    users: Sequence[str],
    after: tuple[str, float, int] | None,
    size: int,
) -> list[Entry]:
    """Entries by user and week, beyond the one of that user, start of the week and number."""
    chosen = select(ledger).where(COLUMNS.tenant == tenant)
    if users:
        chosen = chosen.where(COLUMNS.user.in_(users))
    if after is not None:
        user, start, number = after
        same = and_(COLUMNS.user == user, COLUMNS.week_start == start, COLUMNS.number > number)
        later = and_(COLUMNS.user == user, COLUMNS.week_start > start)
        chosen = chosen.where(or_(COLUMNS.user > user, later, same))
    ordered = chosen.order_by(COLUMNS.user, COLUMNS.week_start, COLUMNS.number).limit(size)
    return [
        Entry(
            user=row.user,
            schedule=row.schedule,
            week_start=row.week_start,
            week_date=row.week_date,
            energy_kwh=row.energy_kwh,
            planned_kwh=row.planned_kwh,
            burden=row.burden,
            carried_burden=row.carried_burden,
            number=row.number,
        )
        for row in connection.execute(ordered)
    ]
