"""What is asked of a family and what comes of it, apart from any message."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

from loadloom.models.options import SolveOptions

P = TypeVar("P")
A = TypeVar("A")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[P]):
    """A problem to solve; `detail` is the level of detail in the numbers of the family's proto.

    `paths` says where parts of the problem stand in the request, where that is under other names,
    and `earlier` is the plan to stay with among those of equal worth, where a family knows any.
    `warm_key` names what is solved again and again, so that a worker remembers how; empty for once.
    """

    problem: P
    options: SolveOptions
    detail: int
    paths: Mapping[str, str] = field(default_factory=dict)
    earlier: Any = None
    warm_key: str = ""

    def within(self, seconds: float) -> Self:
        """The same task, to be solved within that many seconds if its own limit is longer."""
        limit_s = min(self.options.time_limit_s, seconds)
        return replace(self, options=replace(self.options, time_limit_s=limit_s))

    def of_tenant(self, tenant: str) -> Self:
        """The same task with a key that is the tenant's alone; no name of a tenant has a slash."""
        return replace(self, warm_key=f"{tenant}/{self.warm_key}") if self.warm_key else self


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
