"""The parts that answers to an agent share, and the words for the numbers of the API."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from loadloom.client.grid import Grid
from loadloom.client.orderly_parts import enum_word
from loadloom.v1 import agency_pb2 as pb
from loadloom.v1.common_pb2 import TimeGrid
from loadloom.wire.arrays import from_series

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolingLoss:
    """Users who lose by buying together.

    Attributes:
        hours: the length of each interval.
        load_kw: their loads, a row for each and a column for each interval.
        alone: what each would pay alone.
        together: what they pay together.
        loss: what they lose by it.
        text: the same in a sentence.
    """

    hours: NDArray[np.float64]
    load_kw: NDArray[np.float64]
    alone: NDArray[np.float64]
    together: float
    loss: float
    text: str

    @classmethod
    def of_message(cls, message: pb.PoolingLoss) -> "PoolingLoss":
        """The loss as the API has it."""
        said = message.load_kw
        return cls(
            hours=np.array(message.hours),
            load_kw=from_series(said.values).reshape(said.rows, said.cols),
            alone=from_series(message.alone),
            together=message.together,
            loss=message.loss,
            text=message.text,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """What buying together does for given users; amounts are in the currency of the price.

    Attributes:
        together: what all pay together.
        alone: the sum of what each would pay alone.
        saving: what they save; negative if they lose.
        coalition: the users who complain most of Aumann-Shapley shares.
        coalition_alone: what these would pay alone.
        coalition_charged: what they are charged.
        complaint: the difference, the largest there was found.
        complaint_bound: what no coalition's complaint exceeds.
        is_enumerated: whether all coalitions were looked at.
        least_excess_low: no way of sharing has a largest complaint below this.
        least_excess_high: some way of sharing has no larger complaint than this.
    """

    together: float
    alone: float
    saving: float
    coalition: tuple[str, ...]
    coalition_alone: float
    coalition_charged: float
    complaint: float
    complaint_bound: float
    is_enumerated: bool
    least_excess_low: float
    least_excess_high: float

    @classmethod
    def of_message(cls, message: pb.Pooling) -> "Pooling":
        """The figures as the API has them."""
        said: dict[str, Any] = {name: getattr(message, name) for name in cls.__slots__}
        said["coalition"] = tuple(message.coalition)
        return cls(**said)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingReport:
    """What is known of shares.

    Attributes:
        rule: the rule.
        imbalance: by how much the shares miss the cost, as a share of it.
        is_stable: whether no coalition would do better alone; None where that is not known.
        complaint: the largest complaint of a coalition, as far as it was looked for: what it is
            charged above what it would cost alone; negative if it would lose by leaving.
        complaint_bound: what no coalition's complaint exceeds.
        is_enumerated: whether all coalitions were looked at, one by one.
        coalition: the users of that coalition, of a settlement the first hundred; none if nobody
            complains.
        coalition_count: how many they are.
        audit_price_per_kwh: the price of each interval that proves the bound.
        trial_count: how often more load was tried, to see whether its user's share falls.
        fall_count: how often it fell.
        worst_fall: by how much it fell at most.
        sentences: all of that in sentences.
    """

    rule: str
    imbalance: float
    is_stable: bool | None
    complaint: float
    complaint_bound: float
    is_enumerated: bool
    coalition: tuple[str, ...]
    coalition_count: int
    audit_price_per_kwh: NDArray[np.float64]
    trial_count: int
    fall_count: int
    worst_fall: float
    sentences: tuple[str, ...]

    @classmethod
    def of_message(cls, message: pb.SharingReport) -> "SharingReport":
        """The report as the API has it."""
        said = {name: getattr(message, name) for name in cls.__slots__}
        return cls(
            **said
            | {
                "rule": rule_word(message.rule),
                "is_stable": message.is_stable if message.HasField("is_stable") else None,
                "coalition": tuple(message.coalition),
                "audit_price_per_kwh": from_series(message.audit_price_per_kwh),
                "sentences": tuple(message.sentences),
            }
        )


def rule_word(number: int) -> str:
    """The word for a sharing rule."""
    word = enum_word(pb.SharingRule, "SHARING_RULE_", number).lower()
    return "aumann-shapley" if word == "aumann_shapley" else word.replace("_", " ")


def grid_of_message(message: TimeGrid) -> Grid:
    """The grid that the API tells of."""
    zone = message.time_zone or "UTC"
    start = message.start_time.ToDatetime(UTC).astimezone(ZoneInfo(zone))
    if message.steps:
        steps = [step.ToTimedelta() for step in message.steps]
        return Grid(start=start, step=steps, count=len(steps), time_zone=zone)
    return Grid(start=start, step=message.step.ToTimedelta(), count=message.count, time_zone=zone)


def table(messages: Sequence[Message], index: str) -> "pd.DataFrame":
    """A row for each message, a column for each field that is a number or a word."""
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {
            field.name: getattr(message, field.name)
            for field in message.DESCRIPTOR.fields
            if isinstance(getattr(message, field.name), (str, int, float))
        }
        for message in messages
    ]
    return pd.DataFrame(rows).set_index(index) if rows else pd.DataFrame()
