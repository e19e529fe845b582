"""The table of what each site of a fleet does, which goes with the operation that planned it."""

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, Table

from loadloom.engine.store.schema import NUMBER, metadata

site_plans = Table(
    "site_plans",
    metadata,
    Column(
        "operation", NUMBER, ForeignKey("operations.number", ondelete="CASCADE"), primary_key=True
    ),
    # An attempt that dies leaves some behind, which are nobody's.
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("first_site", Integer, primary_key=True, autoincrement=False),
    Column("site_count", Integer, nullable=False),
    Column("figures", LargeBinary, nullable=False),  # a loadloom.v1.SitePlans without columns
    Column("columns", LargeBinary, nullable=False),  # another with columns alone
)
