"""What is asked: every benchmark with its question, and the bars it has to clear."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A limit that a measured number must not pass, and the number we aim for.

    With `at_least` the number must reach the limit; otherwise it must not exceed it.
    """

    what: str
    measured: float
    limit: float
    aim: float | None = None
    at_least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the bar is cleared; a number that could not be measured clears nothing."""
        return self._within(self.limit)

    @property
    def aim_met(self) -> bool:
        """Whether the aim is reached too."""
        return self.met and (self.aim is None or self._within(self.aim))

    def _within(self, limit: float) -> bool:
        if not isfinite(self.measured):
            return False
        return self.measured >= limit if self.at_least else self.measured <= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of words under their headings."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a benchmark found: tables to read and bars to be held to."""

    tables: tuple[Table, ...]
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is spent on a run."""

    rounds: int
    budget_s: float
    sizes: tuple[int, ...]
    stream_batches: int
    calls: int
    seeds: int = 1


FULL = Effort(
    rounds=31,
    budget_s=10.0,
    sizes=(96, 672, 8_760, 35_040),
    stream_batches=300,
    calls=3_000,
    seeds=3,
)
QUICK = Effort(rounds=3, budget_s=1.0, sizes=(96, 672), stream_batches=20, calls=100, seeds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSpec:
    """A question, and the function that answers it; its docstring says why it is asked."""

    name: str
    question: str
    bar: str
    run: Callable[[Effort], Findings]

    @property
    def why(self) -> str:
        """The reason for asking, in the words of the function's docstring."""
        return " ".join((self.run.__doc__ or "").split())
