"""What follows a plan: notices, reasons, deliveries and the ledger, as callers see them."""

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from loadloom.client.orderly_parts import FairnessFigures, enum_word, instant, kind_word
from loadloom.client.orderly_week import Week
from loadloom.v1 import orderly_pb2 as pb
from loadloom.wire.arrays import from_series

if TYPE_CHECKING:
    import pandas as pd

NoticeStateWord = Literal["planned", "due", "acknowledged", "missed", "withdrawn"]


class NoticeState(StrEnum):
    """The state of a notice; a missed one was not acknowledged before its event began."""

    UNSPECIFIED = "unspecified"
    PLANNED = "planned"
    DUE = "due"
    ACKNOWLEDGED = "acknowledged"
    MISSED = "missed"
    WITHDRAWN = "withdrawn"


class NoticeKind(StrEnum):
    """What a user is told: the announcement, the reminder, the call, or the release."""

    UNSPECIFIED = "unspecified"
    ANNOUNCEMENT = "announcement"
    REMINDER = "reminder"
    CALL = "call"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that a user is told about an event; times are in UTC."""

    number: int
    schedule: str
    revision: int
    user: str
    kind: NoticeKind
    state: NoticeState
    due: datetime
    event_start: datetime
    event_end: datetime
    measure: str
    day: int
    first_slot: int
    slot_count: int
    relief_kw: float
    acknowledged: datetime | None

    @classmethod
    def of_message(cls, message: pb.Notice) -> "Notice":
        """The notice as the API has it."""
        said = message.HasField("acknowledge_time")
        return cls(
            number=message.number,
            schedule=message.schedule,
            revision=message.revision,
            user=message.user,
            kind=NoticeKind[enum_word(pb.NoticeKind, "NOTICE_KIND_", message.kind)],
            state=NoticeState[enum_word(pb.NoticeState, "NOTICE_STATE_", message.state)],
            due=instant(message.due_time),
            event_start=instant(message.event_start_time),
            event_end=instant(message.event_end_time),
            measure=kind_word(message.measure),
            day=message.day,
            first_slot=message.first_slot,
            slot_count=message.slot_count,
            relief_kw=message.relief_kw,
            acknowledged=instant(message.acknowledge_time) if said else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UserReasons:
    """The reasons for the plan of a user.

    Attributes:
        user: the name.
        cost: what its plan costs.
        reduced_cost: that less what its relief is worth at the prices of the slots.
        next_best_extra: what its next best plan would cost more, at these prices.
        words: its plan and its next best, in words.
        exemption_estimate: what excusing it would cost, estimated from the prices.
        exemption_price: what excusing it costs, when it was asked for.
        exemption_bounds: between what it is proven to be, when it was asked for.
        binding_rules: the rules that bind it, in words.
    """

    user: str
    cost: float
    reduced_cost: float
    next_best_extra: float
    words: tuple[str, ...]
    exemption_estimate: float
    exemption_price: float | None
    exemption_bounds: tuple[float, float]
    binding_rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncovered:
    """A slot that is not covered: by how much, and the largest potentials that rules exclude."""

    feeder: str
    start: datetime
    missing_kw: float
    excluded: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """The reasons behind a schedule.

    Attributes:
        user: those for the plan of the user that was asked for, if one was.
        worth_per_mw: what one more MW of shortage costs in every slot of the week; empty where the
            technique gives no prices.
        feeder_worth_per_mw: the same for each feeder, in the order of the plan's feeders.
        uncovered: the slots that are not covered, the worst first.
        shortfall: what is missing over the week, in sentences.
        relaxations: the rules whose loosening helps most, the cheapest first.
        week: the days and their slots.
    """

    user: UserReasons | None
    worth_per_mw: NDArray[np.float64]
    feeder_worth_per_mw: list[NDArray[np.float64]]
    uncovered: list[Uncovered]
    shortfall: tuple[str, ...]
    relaxations: tuple[str, ...]
    week: Week

    @property
    def worth(self) -> "pd.Series":
        """What one more MW of shortage costs, by the local time at which each slot begins."""
        import pandas as pd

        index = self.week.index[: len(self.worth_per_mw)]
        return pd.Series(self.worth_per_mw, index, name="worth_per_mw")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """How many events and rest days have a record of delivery, and how many have none.

    Attributes:
        recorded_count: those with a record.
        missing_count: those without one that need one, as their users were reached.
        missed_count: those with a record whose users were not reached.
    """

    recorded_count: int
    missing_count: int
    missed_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """What a week added to the burden of a user, and the burden after it.

    `week_date` is the local date of its first day.
    """

    user: str
    schedule: str
    week_start: datetime
    energy_kwh: float
    planned_kwh: float
    burden: float
    carried_burden: float
    week_date: date

    @classmethod
    def of_message(cls, message: pb.LedgerEntry) -> "LedgerEntry":
        """The entry as the API has it."""
        begin = instant(message.week_start_time)
        same = (name for name in cls.__slots__ if name not in {"week_start", "week_date"})
        said = {name: getattr(message, name) for name in same}
        # An older server tells no date; this is that of all zones but those farthest from UTC.
        local = (begin + timedelta(hours=13.5)).date()
        told = date.fromisoformat(message.week_date) if message.week_date else local
        return cls(week_start=begin, week_date=told, **said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The burdens of users over the weeks, by user and week, and how they spread now."""

    entries: list[LedgerEntry]
    fairness: FairnessFigures

    @property
    def frame(self) -> "pd.DataFrame":
        """One row for each user and week."""
        import pandas as pd

        rows = [asdict(entry) for entry in self.entries]
        return pd.DataFrame(rows, columns=pd.Index(LedgerEntry.__slots__))


def reasons(message: pb.ExplainScheduleResponse, week: Week) -> Reasons:
    """The reasons as the API has them."""
    return Reasons(
        user=_of_user(message.user) if message.HasField("user") else None,
        worth_per_mw=from_series(message.worth_per_mw),
        feeder_worth_per_mw=[from_series(worth) for worth in message.feeder_worth_per_mw],
        uncovered=[
            Uncovered(
                feeder=one.feeder,
                start=week.begin(one.day, one.slot),
                missing_kw=one.missing_kw,
                excluded=tuple(one.excluded),
            )
            for one in message.uncovered
        ],
        shortfall=tuple(message.shortfall),
        relaxations=tuple(message.relaxations),
        week=week,
    )


def _of_user(said: pb.UserReasons) -> UserReasons:
    return UserReasons(
        user=said.user,
        cost=said.cost,
        reduced_cost=said.reduced_cost,
        next_best_extra=said.next_best_extra,
        words=tuple(said.words),
        exemption_estimate=said.exemption_estimate,
        exemption_price=said.exemption_price if said.HasField("exemption_price") else None,
        exemption_bounds=(said.exemption_least, said.exemption_most),
        binding_rules=tuple(said.binding_rules),
    )
