"""The tables. `migrations` makes them; a test compares the two."""

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)


class State(StrEnum):
    """The state of an operation."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up in columns of its own kind of integer alone."""

metadata = MetaData()

operations = Table(
    "operations",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("tenant", String, nullable=False),
    Column("method", String, nullable=False),
    Column("request_id", String),  # null where the caller gave none, as nulls are never equal
    Column("digest", String, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("response_type", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("limit_s", Float(53)),  # of one attempt
    Column("deadline", Float(53)),  # of the whole operation
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("returned", Integer, nullable=False, server_default="0"),  # attempts that do not count
    Column("worker", String),
    Column("lease_end", Float(53)),
    Column("cancel_asked", Boolean, nullable=False),
    Column("event", Integer, nullable=False, server_default="1"),  # the number of the latest one
    Column("create_time", Float(53), nullable=False),
    Column("start_time", Float(53)),
    Column("update_time", Float(53), nullable=False),
    Column("end_time", Float(53)),
    Column("value", Float(53)),
    Column("bound", Float(53)),
    Column("relative_gap", Float(53)),
    Column("phase", String, nullable=False, server_default=""),
    Column("best", LargeBinary),  # the response if no better one is found in time
    Column("response", LargeBinary),
    Column("error", LargeBinary),  # a google.rpc.Status
    UniqueConstraint("tenant", "request_id", name="operations_by_request"),
    sqlite_autoincrement=True,
)

Index(
    "operations_by_turn",
    operations.c.state,
    operations.c.priority.desc(),
    operations.c.number,
)

operation_events = Table(
    "operation_events",
    metadata,
    Column(
        "operation", NUMBER, ForeignKey("operations.number", ondelete="CASCADE"), primary_key=True
    ),
    Column("event", Integer, primary_key=True, autoincrement=False),
    Column("event_time", Float(53), nullable=False),
    Column("state", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("value", Float(53)),
    Column("bound", Float(53)),
    Column("relative_gap", Float(53)),
    Column("phase", String, nullable=False),
)
