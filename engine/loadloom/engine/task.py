"""What is asked of a family and what comes of it, apart from any message."""

from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

from loadloom.models.options import SolveOptions

P = TypeVar("P")
A = TypeVar("A")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[P]):
    """A problem to solve; `detail` is the level of detail in the numbers of the family's proto."""

    problem: P
    options: SolveOptions
    detail: int

    def within(self, seconds: float) -> Self:
        """The same task, to be solved within that many seconds if its own limit is longer."""
        limit_s = min(self.options.time_limit_s, seconds)
        return replace(self, options=replace(self.options, time_limit_s=limit_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an answer comes from: the digest of the request, and the time it waited."""

    digest: str
    queue_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered(Generic[P, A]):
    """A task and its answer."""

    task: Task[P]
    answer: A
    origin: Origin


class RejectedPlan(Exception):  # noqa: N818 -- it names the plan's state
    """The referee found a road's plan to break rules; a fault of ours, never the caller's."""
