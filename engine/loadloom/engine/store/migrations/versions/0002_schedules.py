"""Schedules, their plans, notices and deliveries, and the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _of_schedule(*, primary_key: bool) -> sa.Column:
    """The column that says to which schedule a row belongs."""
    key = sa.ForeignKey("schedules.number", ondelete="CASCADE")
    return sa.Column("schedule", NUMBER, key, primary_key=primary_key, nullable=False)


def upgrade() -> None:
    """Makes the tables."""
    _make_schedules()
    _make_notices()
    _make_accounts()


def downgrade() -> None:
    """Drops the tables."""
    for name in (
        "counters",
        "ledger",
        "deliveries",
        "notices",
        "schedule_revisions",
        "schedules",
    ):
        op.drop_table(name)


def _make_schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("operation", sa.String, nullable=False),
        sa.Column("week", sa.LargeBinary, nullable=False),
        sa.Column("currency_code", sa.String, nullable=False),
        sa.Column("week_start", sa.Float(53), nullable=False),
        sa.Column("week_end", sa.Float(53), nullable=False),
        sa.Column("create_time", sa.Float(53), nullable=False),
        sa.Column("publish_time", sa.Float(53)),
        sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
        sa.Column("asked_revision", sa.Integer, nullable=False, server_default="1"),
        sa.Column("published_revision", sa.Integer, nullable=False, server_default="0"),
        sa.Column("confirmed_days", sa.Integer, nullable=False, server_default="0"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "schedules_by_week", "schedules", ["tenant", sa.text("week_start DESC"), "number"]
    )
    op.create_table(
        "schedule_revisions",
        _of_schedule(primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("base", sa.Integer, nullable=False),
        sa.Column("commission", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("create_time", sa.Float(53), nullable=False),
    )


def _make_notices() -> None:
    op.create_table(
        "notices",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        _of_schedule(primary_key=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("number", NUMBER),
        sa.Column("due", sa.Float(53), nullable=False),
        sa.Column("reach", sa.Float(53), nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("event_start", sa.Float(53), nullable=False),
        sa.Column("event_end", sa.Float(53), nullable=False),
        sa.Column("measure", sa.Integer, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("first_slot", sa.Integer, nullable=False),
        sa.Column("slot_count", sa.Integer, nullable=False),
        sa.Column("relief_kw", sa.Float(53), nullable=False),
        sa.Column("acknowledge_time", sa.Float(53)),
        sa.UniqueConstraint("tenant", "number", name="notices_by_number"),
        sqlite_autoincrement=True,
    )
    op.create_index("notices_by_due", "notices", ["state", "due"])
    op.create_index("notices_by_reach", "notices", ["is_open", "reach"])
    op.create_index("notices_by_event", "notices", ["schedule", "event"])


def _make_accounts() -> None:
    op.create_table(
        "deliveries",
        _of_schedule(primary_key=True),
        sa.Column("user", sa.String, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("first_slot", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("energy_kwh", sa.Float(53), nullable=False),
        sa.Column("record_time", sa.Float(53), nullable=False),
    )
    op.create_table(
        "ledger",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("schedule", sa.String, nullable=False),
        sa.Column("week_start", sa.Float(53), nullable=False),
        sa.Column("energy_kwh", sa.Float(53), nullable=False),
        sa.Column("planned_kwh", sa.Float(53), nullable=False),
        sa.Column("burden", sa.Float(53), nullable=False),
        sa.Column("carried_burden", sa.Float(53), nullable=False),
        sa.Column("settle_time", sa.Float(53), nullable=False),
        sa.UniqueConstraint("tenant", "user", "schedule", name="ledger_by_schedule"),
        sqlite_autoincrement=True,
    )
    op.create_index("ledger_by_week", "ledger", ["tenant", "user", "week_start", "number"])
    op.create_table(
        "counters",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", NUMBER, nullable=False),
    )
