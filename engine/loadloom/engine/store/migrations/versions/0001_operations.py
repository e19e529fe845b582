"""Operations and their events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "operations",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("method", sa.String, nullable=False),
        sa.Column("request_id", sa.String),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("response_type", sa.String, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("limit_s", sa.Float(53)),
        sa.Column("deadline", sa.Float(53)),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("returned", sa.Integer, nullable=False, server_default="0"),
        sa.Column("worker", sa.String),
        sa.Column("lease_end", sa.Float(53)),
        sa.Column("cancel_asked", sa.Boolean, nullable=False),
        sa.Column("event", sa.Integer, nullable=False, server_default="1"),
        sa.Column("create_time", sa.Float(53), nullable=False),
        sa.Column("start_time", sa.Float(53)),
        sa.Column("update_time", sa.Float(53), nullable=False),
        sa.Column("end_time", sa.Float(53)),
        sa.Column("value", sa.Float(53)),
        sa.Column("bound", sa.Float(53)),
        sa.Column("relative_gap", sa.Float(53)),
        sa.Column("phase", sa.String, nullable=False, server_default=""),
        sa.Column("best", sa.LargeBinary),
        sa.Column("response", sa.LargeBinary),
        sa.Column("error", sa.LargeBinary),
        sa.UniqueConstraint("tenant", "request_id", name="operations_by_request"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "operations_by_turn", "operations", ["state", sa.text("priority DESC"), "number"]
    )
    op.create_table(
        "operation_events",
        sa.Column(
            "operation",
            NUMBER,
            sa.ForeignKey("operations.number", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("event", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("event_time", sa.Float(53), nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("value", sa.Float(53)),
        sa.Column("bound", sa.Float(53)),
        sa.Column("relative_gap", sa.Float(53)),
        sa.Column("phase", sa.String, nullable=False),
    )


def downgrade() -> None:
    """Drops the tables."""
    op.drop_table("operation_events")
    op.drop_table("operations")
