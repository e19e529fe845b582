"""Events of demand response, their calls and payments, and what is known of customers."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "events",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("customer_count", sa.Integer, nullable=False),
        sa.Column("create_time", sa.Float(53), nullable=False),
        sa.Column("update_time", sa.Float(53), nullable=False),
        sa.Column("start_time", sa.Float(53), nullable=False),
        sa.Column("end_time", sa.Float(53), nullable=False),
        sa.Column("answer_time", sa.Float(53), nullable=False),
        sa.Column("cancel_reason", sa.String, nullable=False, server_default=""),
        sa.Column("header", sa.LargeBinary, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_tenant", "events", ["tenant", sa.text("number DESC")])
    op.create_table(
        "event_revisions",
        sa.Column("event", NUMBER, sa.ForeignKey("events.number"), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("create_time", sa.Float(53), nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("called_count", sa.Integer, nullable=False),
        sa.Column("added_count", sa.Integer, nullable=False),
        sa.Column("cancelled_count", sa.Integer, nullable=False),
        sa.Column("plan", sa.LargeBinary, nullable=False),
        sa.Column("need", sa.LargeBinary),
        sa.UniqueConstraint("tenant", "request_id", name="event_revisions_by_request"),
    )
    op.create_table(
        "event_calls",
        sa.Column("event", NUMBER, sa.ForeignKey("events.number"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("customer", sa.String, nullable=False),
        sa.Column("number", NUMBER),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("called", sa.Boolean, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("price_per_kwh", sa.Float(53), nullable=False),
        sa.Column("asked_kw", sa.Float(53), nullable=False),
        sa.Column("expected_kw", sa.Float(53), nullable=False),
        sa.Column("accepted_kw", sa.Float(53)),
        sa.Column("answered_time", sa.Float(53)),
        sa.UniqueConstraint("tenant", "number", name="event_calls_by_number"),
        sa.UniqueConstraint("event", "customer", name="event_calls_of_customer"),
    )
    op.create_index("event_calls_by_customer", "event_calls", ["tenant", "customer", "number"])
    _accounts()


def _accounts() -> None:
    op.create_table(
        "event_settlements",
        sa.Column("event", NUMBER, sa.ForeignKey("events.number"), primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("create_time", sa.Float(53), nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant", "request_id", name="event_settlements_by_request"),
    )
    op.create_table(
        "event_payments",
        sa.Column("event", NUMBER, sa.ForeignKey("events.number"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("customer", sa.String, nullable=False),
        sa.Column("baseline_kwh", sa.Float(53), nullable=False),
        sa.Column("load_kwh", sa.Float(53), nullable=False),
        sa.Column("delivered_kwh", sa.Float(53), nullable=False),
        sa.Column("rebound_kwh", sa.Float(53), nullable=False),
        sa.Column("price_per_kwh", sa.Float(53), nullable=False),
        sa.Column("payment_minor", sa.BigInteger, nullable=False),
        sa.Column("formula", sa.String, nullable=False),
        sa.Column("note", sa.String, nullable=False),
    )
    op.create_table(
        "reliabilities",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("customer", sa.String, primary_key=True),
        sa.Column("event_count", sa.Integer, nullable=False),
        sa.Column("accepted", sa.Float(53), nullable=False),
        sa.Column("declined", sa.Float(53), nullable=False),
        sa.Column("share_mean", sa.Float(53), nullable=False),
        sa.Column("share_weight", sa.Float(53), nullable=False),
        sa.Column("share_shape", sa.Float(53), nullable=False),
        sa.Column("share_scale", sa.Float(53), nullable=False),
        sa.Column("update_time", sa.Float(53), nullable=False),
    )


def downgrade() -> None:
    """Drops the tables."""
    for table in ("reliabilities", "event_payments", "event_settlements", "event_calls"):
        op.drop_table(table)
    op.drop_table("event_revisions")
    op.drop_table("events")
