"""What jobs of weekly schedules are given: all that they need to know, in one piece of bytes."""

from dataclasses import dataclass
from io import BytesIO
from typing import TypeVar

import numpy as np
from google.protobuf import proto
from google.protobuf.message import Message

from loadloom.models.orderly.problem import Plan
from loadloom.v1 import orderly_pb2 as pb

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commission:
    """What a job is to solve.

    Attributes:
        head: what the schedule will be called, and for a revision the plan that was announced: its
            events, rest days and confirmed days.
        revise: what was asked for; empty for the first plan.
        request: what the first plan was asked with, and what the server added to it: past burdens
            from the ledger.
    """

    head: pb.WeeklySchedule
    revise: pb.ReviseScheduleRequest
    request: pb.CreateScheduleRequest

    def packed(self) -> bytes:
        """The commission as bytes: each message with its length before it."""
        out = BytesIO()
        for message in (self.head, self.revise, self.request):
            proto.serialize_length_prefixed(message, out)
        return out.getvalue()


def unpacked(raw: bytes) -> Commission:
    """The commission in the bytes."""
    stream = BytesIO(raw)
    return Commission(
        head=_next(pb.WeeklySchedule, stream),
        revise=_next(pb.ReviseScheduleRequest, stream),
        request=_next(pb.CreateScheduleRequest, stream),
    )


def split(raw: bytes) -> tuple[bytes, bytes]:
    """The commission in two pieces that make it whole again: what is its own, and the request."""
    stream = BytesIO(raw)
    _next(pb.WeeklySchedule, stream)
    _next(pb.ReviseScheduleRequest, stream)
    return raw[: stream.tell()], raw[stream.tell() :]


def head_of(raw: bytes) -> pb.WeeklySchedule:
    """The head of the commission in the bytes."""
    return _next(pb.WeeklySchedule, BytesIO(raw))


def _next(kind: type[M], stream: BytesIO) -> M:
    message = proto.parse_length_prefixed(kind, stream)
    return kind() if message is None else message


def plan_of(schedule: pb.WeeklySchedule, user_count: int) -> Plan:
    """The plan of a schedule."""
    events = schedule.events
    rest_day, rest_measure = np.full(user_count, -1), np.full(user_count, -1)
    for move in schedule.rest_moves:
        rest_day[move.user], rest_measure[move.user] = move.day, move.measure
    columns = (
        events.users,
        events.days,
        events.measures,
        events.first_slots,
        events.slot_counts,
    )
    user, day, measure, first_slot, slot_count = (np.array(c, dtype=np.int64) for c in columns)
    return Plan(
        user=user,
        day=day,
        measure=measure,
        first_slot=first_slot,
        slot_count=slot_count,
        rest_day=rest_day,
        rest_measure=rest_measure,
    )
