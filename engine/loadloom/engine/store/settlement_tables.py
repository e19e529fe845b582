"""The tables of settlements, which are written once and never changed."""

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    UniqueConstraint,
)

from loadloom.engine.store.schema import NUMBER, metadata

settlements = Table(
    "settlements",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("tenant", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("digest", String, nullable=False),  # of the request
    Column("first", NUMBER, ForeignKey("settlements.number")),  # that it corrects, if it does
    Column("correction", Integer, nullable=False),  # 0 for a first settlement
    Column("user_count", Integer, nullable=False),
    Column("create_time", Float(53), nullable=False),
    Column("response", LargeBinary, nullable=False),  # a loadloom.v1.Settlement
    Column("request", LargeBinary, nullable=False),  # what it was asked with
    # Of a correction, what it and those before it changed, a loadloom.v1.CorrectSettlementRequest.
    Column("changes", LargeBinary),
    UniqueConstraint("tenant", "request_id", name="settlements_by_request"),
    UniqueConstraint("first", "correction", name="settlements_by_correction"),
    sqlite_autoincrement=True,
)

Index("settlements_by_tenant", settlements.c.tenant, settlements.c.number.desc())

settlement_statements = Table(
    "settlement_statements",
    metadata,
    Column("settlement", NUMBER, ForeignKey("settlements.number"), primary_key=True),
    Column("first_place", Integer, primary_key=True, autoincrement=False),  # of the first of them
    Column("user_count", Integer, nullable=False),
    Column("first_user", LargeBinary, nullable=False),  # bytes, which sort alike everywhere
    Column("last_user", LargeBinary, nullable=False),
    Column("users", LargeBinary, nullable=False),  # a loadloom.v1.Statements with names alone
    Column("statements", LargeBinary, nullable=False),  # another with all the rest
)
