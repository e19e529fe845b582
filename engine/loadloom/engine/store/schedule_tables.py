"""The tables of schedules: their life, what their users are told, and what they delivered."""

from enum import StrEnum

from sqlalchemy import (
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


class ScheduleState(StrEnum):
    """What was done with a schedule; the clock tells the rest."""

    DRAFT = "DRAFT"
    SOLVED = "SOLVED"
    PUBLISHED = "PUBLISHED"
    SETTLED = "SETTLED"


class NoticeState(StrEnum):
    """The state of a notice."""

    PLANNED = "PLANNED"
    DUE = "DUE"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    MISSED = "MISSED"
    WITHDRAWN = "WITHDRAWN"


schedules = Table(
    "schedules",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("tenant", String, nullable=False),
    Column("title", String, nullable=False),
    Column("state", String, nullable=False),
    Column("operation", String, nullable=False),  # that which solves the first plan
    Column("week", LargeBinary, nullable=False),  # a loadloom.v1.Week
    Column("currency_code", String, nullable=False),
    Column("week_start", Float(53), nullable=False),
    Column("week_end", Float(53), nullable=False),
    Column("create_time", Float(53), nullable=False),
    Column("publish_time", Float(53)),
    Column("revision", Integer, nullable=False, server_default="0"),  # the latest that is solved
    Column("asked_revision", Integer, nullable=False, server_default="1"),
    Column("published_revision", Integer, nullable=False, server_default="0"),
    Column("confirmed_days", Integer, nullable=False, server_default="0"),  # a bit for each day
    sqlite_autoincrement=True,
)

Index("schedules_by_week", schedules.c.tenant, schedules.c.week_start.desc(), schedules.c.number)

schedule_requests = Table(
    "schedule_requests",
    metadata,
    Column(
        "schedule", NUMBER, ForeignKey("schedules.number", ondelete="CASCADE"), primary_key=True
    ),
    Column("request", LargeBinary, nullable=False),  # the end of all commissions of the schedule
)

schedule_revisions = Table(
    "schedule_revisions",
    metadata,
    Column(
        "schedule", NUMBER, ForeignKey("schedules.number", ondelete="CASCADE"), primary_key=True
    ),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("base", Integer, nullable=False),  # the plan that was announced when it was asked for
    Column("commission", LargeBinary, nullable=False),  # what was solved, less the request
    Column("response", LargeBinary, nullable=False),  # a loadloom.v1.WeeklySchedule, with the plan
    Column("create_time", Float(53), nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("schedule", NUMBER, ForeignKey("schedules.number", ondelete="CASCADE"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("event", String, nullable=False),  # the event of the schedule that it is about
    Column("user", String, nullable=False),
    Column("kind", Integer, nullable=False),  # a loadloom.v1.NoticeKind
    Column("state", String, nullable=False),
    Column("number", NUMBER),  # given when it falls due
    Column("due", Float(53), nullable=False),
    Column("reach", Float(53), nullable=False),  # when its user must have been reached
    Column("is_open", Boolean, nullable=False),  # whether it may still be missed
    Column("event_start", Float(53), nullable=False),
    Column("event_end", Float(53), nullable=False),
    Column("measure", Integer, nullable=False),  # a loadloom.v1.MeasureKind
    Column("day", Integer, nullable=False),
    Column("first_slot", Integer, nullable=False),
    Column("slot_count", Integer, nullable=False),
    Column("relief_kw", Float(53), nullable=False),
    Column("acknowledge_time", Float(53)),
    UniqueConstraint("tenant", "number", name="notices_by_number"),
    sqlite_autoincrement=True,
)

Index("notices_by_due", notices.c.state, notices.c.due)
Index("notices_by_reach", notices.c.is_open, notices.c.reach)
Index("notices_by_event", notices.c.schedule, notices.c.event)

deliveries = Table(
    "deliveries",
    metadata,
    Column(
        "schedule", NUMBER, ForeignKey("schedules.number", ondelete="CASCADE"), primary_key=True
    ),
    Column("user", String, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("first_slot", Integer, primary_key=True, autoincrement=False),
    Column("energy_kwh", Float(53), nullable=False),
    Column("record_time", Float(53), nullable=False),
)

ledger = Table(
    "ledger",
    metadata,
    Column("number", NUMBER, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("user", String, nullable=False),
    Column("schedule", String, nullable=False),
    Column("week_start", Float(53), nullable=False),
    Column("week_date", String, nullable=False, server_default=""),  # of its first day, ISO 8601
    Column("energy_kwh", Float(53), nullable=False),
    Column("planned_kwh", Float(53), nullable=False),
    Column("burden", Float(53), nullable=False),
    Column("carried_burden", Float(53), nullable=False),
    Column("settle_time", Float(53), nullable=False),
    UniqueConstraint("tenant", "user", "schedule", name="ledger_by_schedule"),
    sqlite_autoincrement=True,
)

Index("ledger_by_week", ledger.c.tenant, ledger.c.user, ledger.c.week_start, ledger.c.number)

counters = Table(
    "counters",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", NUMBER, nullable=False),
)
