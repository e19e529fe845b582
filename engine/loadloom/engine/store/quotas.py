"""What a tenant may use: operations at once, and CPU seconds a day.

What its operations took of a day of UTC is a counter of the tenant; those of other days are gone as
soon as it is added to.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, func, select, update

from loadloom.engine.store.database import Database, now
from loadloom.engine.store.notices import lock
from loadloom.engine.store.schedule_tables import counters
from loadloom.engine.store.schema import ENDED, operations

DAY_S = 86_400.0

RETRY_S = 5.0
"""The time after which one of the operations of a tenant may have ended."""

_OF_DAY = "cpu ms of day "


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The most operations of a tenant that wait or run, and CPU seconds a day; 0 for any."""

    operations: int = 0
    cpu_s: float = 0.0


NO_QUOTA = Quota()


class OverQuota(Exception):  # noqa: N818 -- it names the tenant's state
    """A tenant has used what it may; the words say what, `retry_s` when to try again."""

    def __init__(self, what: str, retry_s: float) -> None:
        super().__init__(what)
        self.retry_s = retry_s


def check(connection: Connection, tenant: str, quota: Quota) -> None:
    """Checks a tenant whose next operation is written already, in this transaction.

    Raises:
        OverQuota: that is one too many.
    """
    if quota.operations:
        mine = and_(operations.c.tenant == tenant, operations.c.state.not_in(ENDED))
        unended = select(func.count()).select_from(operations).where(mine)
        if connection.execute(unended).scalar_one() > quota.operations:
            raise OverQuota(f"{quota.operations:,} operations that wait or run", RETRY_S)
    if quota.cpu_s:
        time_s = connection.execute(select(now())).scalar_one()
        its = and_(counters.c.tenant == tenant, counters.c.name == _name(time_s))
        spent_ms = connection.execute(select(counters.c.value).where(its)).scalar() or 0
        if spent_ms >= 1000.0 * quota.cpu_s:
            what = f"{quota.cpu_s:g} CPU seconds of operations today (UTC)"
            raise OverQuota(what, DAY_S - time_s % DAY_S)


def charge(database: Database, tenant: str, cpu_s: float) -> None:
    """Adds what an operation took to what its tenant has used today.

    Raises:
        StoreAway: the database cannot be used now.
    """
    with database.writing() as connection:
        name = _name(connection.execute(select(now())).scalar_one())
        spent_ms = lock(database, connection, tenant, name) + round(1000.0 * cpu_s)
        mine = counters.c.tenant == tenant
        its = and_(mine, counters.c.name == name)
        connection.execute(update(counters).where(its).values(value=spent_ms))
        past = and_(mine, counters.c.name.startswith(_OF_DAY), counters.c.name != name)
        connection.execute(delete(counters).where(past))


def _name(time_s: float) -> str:
    """The name of the counter of a day."""
    return f"{_OF_DAY}{int(time_s // DAY_S)}"
