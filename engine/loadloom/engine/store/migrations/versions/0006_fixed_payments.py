"""What is promised for taking part in an event, and what was paid of it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

COLUMNS = (
    ("event_calls", "fixed_payment", sa.Float(53)),
    ("event_payments", "fixed_minor", sa.BigInteger()),
)


def upgrade() -> None:
    """Adds the columns; nothing was promised before."""
    for table, name, kind in COLUMNS:
        op.add_column(table, sa.Column(name, kind, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drops the columns."""
    for table, name, _ in COLUMNS:
        op.drop_column(table, name)
