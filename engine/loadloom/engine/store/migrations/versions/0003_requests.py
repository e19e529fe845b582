"""The request of each schedule once, instead of in each of its plans; dates in the ledger."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from alembic import op

from loadloom.v1 import orderly_pb2 as pb

revision = "0003"
down_revision = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")

PLANS = sa.table(
    "schedule_revisions",
    sa.column("schedule"),
    sa.column("revision"),
    sa.column("commission", sa.LargeBinary),
)


def upgrade() -> None:
    """Takes the requests out of the plans, and gives the ledger its dates."""
    op.create_table(
        "schedule_requests",
        sa.Column(
            "schedule",
            NUMBER,
            sa.ForeignKey("schedules.number", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("request", sa.LargeBinary, nullable=False),
    )
    op.add_column("ledger", sa.Column("week_date", sa.String, nullable=False, server_default=""))
    connection = op.get_bind()
    for number, commission in list(_first_commissions(connection)):
        connection.execute(
            sa.text("INSERT INTO schedule_requests VALUES (:number, :request)"),
            {"number": number, "request": commission[_request_begin(commission) :]},
        )
    _shorten(connection)
    _date(connection)


def downgrade() -> None:
    """Puts the requests back into the plans."""
    connection = op.get_bind()
    requests = sa.table("schedule_requests", sa.column("schedule"), sa.column("request"))
    for key in connection.execute(sa.select(PLANS.c.schedule, PLANS.c.revision)).all():
        asked = sa.select(requests.c.request).where(requests.c.schedule == key.schedule)
        whole = _commission(connection, key) + bytes(connection.execute(asked).scalar_one())
        connection.execute(sa.update(PLANS).where(_of(key)).values(commission=whole))
    op.drop_column("ledger", "week_date")
    op.drop_table("schedule_requests")


def _first_commissions(connection: sa.Connection) -> Iterator[tuple[int, bytes]]:
    """What each schedule was first asked with: in its first plan, or in the job of it."""
    asked = sa.text(
        "SELECT schedules.number, coalesce(plans.commission, operations.request) FROM schedules "
        "LEFT JOIN operations ON operations.name = schedules.operation "
        "LEFT JOIN schedule_revisions AS plans ON plans.schedule = schedules.number AND "
        "plans.revision = (SELECT min(revision) FROM schedule_revisions AS others "
        "WHERE others.schedule = schedules.number)"
    )
    for number, commission in connection.execute(asked):
        if commission is not None:
            yield number, bytes(commission)


def _shorten(connection: sa.Connection) -> None:
    for key in connection.execute(sa.select(PLANS.c.schedule, PLANS.c.revision)).all():
        commission = _commission(connection, key)
        short = commission[: _request_begin(commission)]
        connection.execute(sa.update(PLANS).where(_of(key)).values(commission=short))


def _commission(connection: sa.Connection, key: sa.Row) -> bytes:
    read = sa.select(PLANS.c.commission).where(_of(key))
    return bytes(connection.execute(read).scalar_one())


def _of(key: sa.Row) -> sa.ColumnElement[bool]:
    return sa.and_(PLANS.c.schedule == key.schedule, PLANS.c.revision == key.revision)


def _request_begin(commission: bytes) -> int:
    """Where the request begins, after two messages with their lengths before them."""
    place = 0
    for _ in range(2):
        length = shift = 0
        while True:
            byte = commission[place]
            place += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        place += length
    return place


def _date(connection: sa.Connection) -> None:
    """Writes the local dates on which the weeks of the ledger begin."""
    weeks = connection.execute(sa.text("SELECT name, week, week_start FROM schedules")).all()
    for name, week, start in weeks:
        zone = ZoneInfo(pb.Week.FromString(bytes(week)).time_zone or "UTC")
        date = datetime.fromtimestamp(start, UTC).astimezone(zone).date().isoformat()
        connection.execute(
            sa.text("UPDATE ledger SET week_date = :date WHERE schedule = :name"),
            {"date": date, "name": name},
        )
