"""What each site of a fleet does."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "site_plans",
        sa.Column(
            "operation",
            NUMBER,
            sa.ForeignKey("operations.number", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("first_site", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("site_count", sa.Integer, nullable=False),
        sa.Column("figures", sa.LargeBinary, nullable=False),
        sa.Column("columns", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Drops the table."""
    op.drop_table("site_plans")
