"""The parts of a weekly plan, and the words for the numbers of the API."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from loadloom.v1 import orderly_pb2 as pb

Columns = dict[str, NDArray[np.float64]]


class ScheduleState(StrEnum):
    """Where the life of a schedule stands."""

    UNSPECIFIED = "unspecified"
    DRAFT = "draft"
    SOLVED = "solved"
    PUBLISHED = "published"
    CONFIRMED = "confirmed"
    RUNNING = "running"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a user does from `start` to `end`, in local time.

    Attributes:
        user: the name of the user.
        kind: the kind of measure; "rest" for a rest day that moves here.
        day: the day, from 0.
        first_slot: the first slot of the day.
        slot_count: the number of slots.
        start: when it begins.
        end: when it ends.
        notice: how long before it begins the user must be told.
        relief_kw: the relief in each slot; the mean of the day for a moved rest day.
        energy_kwh: the energy relieved.
        cost: what it costs.
    """

    user: str
    kind: str
    day: int
    first_slot: int
    slot_count: int
    start: datetime
    end: datetime
    notice: str
    relief_kw: tuple[float, ...]
    energy_kwh: float
    cost: float

    @property
    def mean_kw(self) -> float:
        """The mean of the relief."""
        return float(np.mean(self.relief_kw)) if self.relief_kw else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The proof of a plan: no plan can have a lower value than the bound."""

    objective: float
    bound: float
    relative_gap: float
    proof: str
    duals: Columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An aim that came before the least loss: the value reached, and its proven bound."""

    name: str
    unit: str
    value: float
    bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessFigures:
    """How the burdens spread over the users of a scope, such as "all" or "industry textiles"."""

    scope: str
    user_count: int
    mean_burden: float
    largest_burden: float
    jain_index: float
    gini: float

    @classmethod
    def of_message(cls, message: pb.FairnessFigures) -> "FairnessFigures":
        """The figures as the API has them."""
        return cls(**{name: getattr(message, name) for name in cls.__slots__})


def instant(stamp: Timestamp) -> datetime:
    """The instant of a stamp, in UTC."""
    return stamp.ToDatetime(UTC)


def kind_word(number: int) -> str:
    """The word for a kind of measure."""
    return enum_word(pb.MeasureKind, "MEASURE_KIND_", number).lower()


def enum_word(enum: Any, prefix: str, number: int) -> str:  # noqa: ANN401 -- protobuf's enum wrapper
    """The name of a number; that of a later version is not known here."""
    names = {value: name for name, value in enum.items()}
    return names.get(number, f"{prefix}UNSPECIFIED").removeprefix(prefix)
