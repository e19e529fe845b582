"""The record of a call: what it may use and what its log line will say."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any

import grpc

from loadloom.engine.guard.roles import EVERYBODY, Caller
from loadloom.engine.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """The time by which a call's solves must end, on the monotonic clock."""

    at_s: float = inf

    @property
    def remaining_s(self) -> float:
        """The time left, which may be negative."""
        return self.at_s - monotonic()


def deadline(context: grpc.aio.ServicerContext, settings: Settings) -> Deadline:
    """The deadline of a call, less the reserve for its answer."""
    remaining = context.time_remaining()
    if remaining is None:
        return Deadline()
    reserve = min(settings.reserve_s, settings.reserve_share * remaining)
    return Deadline(at_s=monotonic() + remaining - reserve)


@dataclass(slots=True, kw_only=True)
class Call:
    """A call under way."""

    method: str
    caller: Caller = EVERYBODY
    started_s: float = field(default_factory=monotonic)
    notes: dict[str, Any] = field(default_factory=dict)


current: ContextVar[Call] = ContextVar("current")
"""The call that the running code works for; threads started for it see it too."""


def caller() -> Caller:
    """Who makes the current call."""
    return current.get().caller


def note(**facts: Any) -> None:  # noqa: ANN401 -- whatever JSON can say
    """Adds facts to the log line of the current call; nothing that names a customer or a price."""
    current.get().notes.update(facts)
