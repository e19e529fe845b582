"""The tables of events of demand response: plans, calls, payments, what is known of customers."""

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
    String,
    Table,
    UniqueConstraint,
)

from loadloom.engine.store.schema import NUMBER, metadata


class EventState(StrEnum):
    """The state of an event."""

    OPEN = "OPEN"
    CANCELLED = "CANCELLED"
    SETTLED = "SETTLED"


class CallState(StrEnum):
    """The state of a call."""

    PENDING = "PENDING"
    ACCEPTED = "ACCEPTED"
    OPTED_OUT = "OPTED_OUT"
    NO_ANSWER = "NO_ANSWER"
    CANCELLED = "CANCELLED"


def _event() -> Column:
    return Column("event", NUMBER, ForeignKey("events.number"), primary_key=True)


events = Table(
    "events",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("tenant", String, nullable=False),
    Column("title", String, nullable=False),
    Column("state", String, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("customer_count", Integer, nullable=False),
    Column("create_time", Float(53), nullable=False),
    Column("update_time", Float(53), nullable=False),
    Column("start_time", Float(53), nullable=False),
    Column("end_time", Float(53), nullable=False),
    Column("answer_time", Float(53), nullable=False),
    Column("cancel_reason", String, nullable=False, server_default=""),
    Column("header", LargeBinary, nullable=False),  # what a loadloom.v1.ResponseEvent always says
    Column("request", LargeBinary, nullable=False),  # a loadloom.v1.CreateEventRequest, completed
    sqlite_autoincrement=True,
)

Index("events_by_tenant", events.c.tenant, events.c.number.desc())

event_revisions = Table(
    "event_revisions",
    metadata,
    _event(),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("tenant", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("digest", String, nullable=False),  # of the request
    Column("create_time", Float(53), nullable=False),
    Column("reason", String, nullable=False),
    Column("called_count", Integer, nullable=False),
    Column("added_count", Integer, nullable=False),
    Column("cancelled_count", Integer, nullable=False),
    Column("plan", LargeBinary, nullable=False),  # a loadloom.v1.TargetPlan
    Column("need", LargeBinary),  # a loadloom.v1.Matrix, where the needs were changed
    UniqueConstraint("tenant", "request_id", name="event_revisions_by_request"),
)

event_calls = Table(
    "event_calls",
    metadata,
    _event(),
    Column("place", Integer, primary_key=True, autoincrement=False),  # of the customer
    Column("tenant", String, nullable=False),
    Column("customer", String, nullable=False),
    Column("number", NUMBER),  # of the latest change
    Column("revision", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("called", Boolean, nullable=False),  # or was, when it opted out
    Column("level", Integer, nullable=False),
    Column("price_per_kwh", Float(53), nullable=False),
    Column("fixed_payment", Float(53), nullable=False, server_default="0"),
    Column("asked_kw", Float(53), nullable=False),
    Column("expected_kw", Float(53), nullable=False),
    Column("accepted_kw", Float(53)),
    Column("answered_time", Float(53)),
    UniqueConstraint("tenant", "number", name="event_calls_by_number"),
    UniqueConstraint("event", "customer", name="event_calls_of_customer"),
)

Index("event_calls_by_customer", event_calls.c.tenant, event_calls.c.customer, event_calls.c.number)

event_settlements = Table(
    "event_settlements",
    metadata,
    _event(),
    Column("tenant", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("digest", String, nullable=False),  # of the request
    Column("create_time", Float(53), nullable=False),
    Column("response", LargeBinary, nullable=False),  # a loadloom.v1.EventSettlement
    UniqueConstraint("tenant", "request_id", name="event_settlements_by_request"),
)

event_payments = Table(
    "event_payments",
    metadata,
    _event(),
    Column("place", Integer, primary_key=True, autoincrement=False),  # of the customer
    Column("customer", String, nullable=False),
    Column("baseline_kwh", Float(53), nullable=False),
    Column("load_kwh", Float(53), nullable=False),
    Column("delivered_kwh", Float(53), nullable=False),
    Column("rebound_kwh", Float(53), nullable=False),
    Column("price_per_kwh", Float(53), nullable=False),
    Column("payment_minor", BigInteger, nullable=False),
    Column("fixed_minor", BigInteger, nullable=False, server_default="0"),  # is part of it
    Column("formula", String, nullable=False),
    Column("note", String, nullable=False),
)

reliabilities = Table(
    "reliabilities",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("customer", String, primary_key=True),
    Column("event_count", Integer, nullable=False),
    Column("accepted", Float(53), nullable=False),
    Column("declined", Float(53), nullable=False),
    Column("share_mean", Float(53), nullable=False),
    Column("share_weight", Float(53), nullable=False),
    Column("share_shape", Float(53), nullable=False),
    Column("share_scale", Float(53), nullable=False),
    Column("update_time", Float(53), nullable=False),
)
