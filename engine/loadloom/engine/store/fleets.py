"""What the sites of a fleet do, as rows: written part by part while the operation still runs."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, LargeBinary, and_, delete, func, insert, literal, select

from loadloom.engine.store.fleet_tables import site_plans
from loadloom.engine.store.operations import COLUMNS, NoSuchOperation
from loadloom.engine.store.schema import State

PARTS = site_plans.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Sites that follow each other.

    Attributes:
        first_site: the number of the first one.
        site_count: how many there are.
        figures: a message with their names and amounts.
        columns: a message with what they do; empty if it was not asked for.
    """

    first_site: int
    site_count: int
    figures: bytes
    columns: bytes

    @property
    def size(self) -> int:
        """The number of its bytes."""
        return len(self.figures) + len(self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An operation that may have planned a fleet.

    Attributes:
        number, attempt: which parts are its own.
        method: the method that was called.
        state: how it ended, if it has.
        site_count: the number of sites that have plans.
    """

    number: int
    attempt: int
    method: str
    state: State
    site_count: int


def write(connection: Connection, operation: int, attempt: int, part: Part) -> None:
    """Writes a part, again if need be; with the first one, those of earlier attempts go."""
    mine = PARTS.operation == operation
    earlier = PARTS.attempt < attempt
    again = and_(PARTS.attempt == attempt, PARTS.first_site == part.first_site)
    if part.first_site == 0:
        connection.execute(delete(site_plans).where(mine, earlier))
    connection.execute(delete(site_plans).where(mine, again))
    connection.execute(
        insert(site_plans).values(
            operation=operation,
            attempt=attempt,
            first_site=part.first_site,
            site_count=part.site_count,
            figures=part.figures,
            columns=part.columns,
        )
    )


def find(connection: Connection, tenant: str, name: str) -> Planned:
    """The operation of a name.

    Raises:
        NoSuchOperation: the tenant has none of this name.
    """
    mine = and_(COLUMNS.tenant == tenant, COLUMNS.name == name)
    wanted = select(COLUMNS.number, COLUMNS.attempt, COLUMNS.method, COLUMNS.state)
    row = connection.execute(wanted.where(mine)).one_or_none()
    if row is None:
        raise NoSuchOperation(name)
    its = and_(PARTS.operation == row.number, PARTS.attempt == row.attempt)
    last = select(func.max(PARTS.first_site + PARTS.site_count)).where(its)
    return Planned(
        number=row.number,
        attempt=row.attempt,
        method=row.method,
        state=State(row.state),
        site_count=connection.scalar(last) or 0,
    )


def parts(
    connection: Connection, planned: Planned, first: int, size: int, *, with_columns: bool
) -> Iterator[Part]:
    """The parts that hold so many sites from one on, in order, each read when it is asked for."""
    its = and_(PARTS.operation == planned.number, PARTS.attempt == planned.attempt)
    columns = PARTS.columns if with_columns else literal(b"", LargeBinary).label("columns")
    wanted = select(PARTS.first_site, PARTS.site_count, PARTS.figures, columns)
    chosen = wanted.where(its).order_by(PARTS.first_site.desc()).limit(1)
    place, end = first, min(first + size, planned.site_count)
    while place < end:
        row = connection.execute(chosen.where(PARTS.first_site <= place)).one()
        yield Part(
            first_site=row.first_site,
            site_count=row.site_count,
            figures=bytes(row.figures),
            columns=bytes(row.columns),
        )
        place = row.first_site + row.site_count
