"""How many operations there are, for whoever watches over a service."""

from dataclasses import dataclass

from sqlalchemy import func, select

from loadloom.engine.store.database import Database, now
from loadloom.engine.store.operations import COLUMNS
from loadloom.engine.store.schema import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The operations in a database.

    Attributes:
        by_state: how many are in each state, of all tenants and methods.
        oldest_s: how long the one has waited that waits longest; 0 if none does.
    """

    by_state: dict[State, int]
    oldest_s: float


def counts(database: Database) -> Counts:
    """The operations as they are now; an index has all of it but the age.

    Raises:
        StoreAway: the database cannot be used now.
    """
    by_state = select(COLUMNS.state, func.count()).group_by(COLUMNS.state)
    oldest = select(now() - func.min(COLUMNS.create_time)).where(COLUMNS.state == State.QUEUED)
    with database.reading() as connection:
        found = {State(state): count for state, count in connection.execute(by_state)}
        age_s = connection.execute(oldest).scalar()
    return Counts(
        by_state={state: found.get(state, 0) for state in State}, oldest_s=max(0.0, age_s or 0.0)
    )
