"""Settlements and the statements of their users."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "settlements",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("first", NUMBER, sa.ForeignKey("settlements.number")),
        sa.Column("correction", sa.Integer, nullable=False),
        sa.Column("user_count", sa.Integer, nullable=False),
        sa.Column("create_time", sa.Float(53), nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("changes", sa.LargeBinary),
        sa.UniqueConstraint("tenant", "request_id", name="settlements_by_request"),
        sa.UniqueConstraint("first", "correction", name="settlements_by_correction"),
        sqlite_autoincrement=True,
    )
    op.create_index("settlements_by_tenant", "settlements", ["tenant", sa.text("number DESC")])
    op.create_table(
        "settlement_statements",
        sa.Column("settlement", NUMBER, sa.ForeignKey("settlements.number"), primary_key=True),
        sa.Column("first_place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("user_count", sa.Integer, nullable=False),
        sa.Column("first_user", sa.LargeBinary, nullable=False),
        sa.Column("last_user", sa.LargeBinary, nullable=False),
        sa.Column("users", sa.LargeBinary, nullable=False),
        sa.Column("statements", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Drops the tables."""
    op.drop_table("settlement_statements")
    op.drop_table("settlements")
