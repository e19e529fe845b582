"""How long a search may go on, and who hears of it: by a clock or by a count of work."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadloom.solvers.coupled.oracle import Answer

Clock = Callable[[], float]


@dataclass(slots=True)
class Budget:
    """The time and the rounds of work that are left; whoever searches asks it whether to go on.

    Without a clock no time passes, and with `rounds` alone a search is repeatable to the last bit.
    """

    clock: Clock | None = None
    time_limit_s: float = inf
    rounds: int | None = None
    begun_s: float = 0.0
    stopped: bool = False

    def __post_init__(self) -> None:
        if self.clock is not None:
            self.begun_s = self.clock()

    @property
    def seconds(self) -> float:
        """The seconds that have passed."""
        return self.clock() - self.begun_s if self.clock else 0.0

    @property
    def left_s(self) -> float:
        """The seconds that are left; inf without a clock or a limit."""
        return max(0.0, self.time_limit_s - self.seconds)

    @property
    def timed(self) -> bool:
        """Whether time is what ends the search."""
        return self.clock is not None and self.time_limit_s < inf

    @property
    def by_clock(self) -> bool:
        """Whether time alone is what ends the search, which is then not repeatable."""
        return self.timed and self.rounds is None

    def spent(self, share: float = 1.0) -> bool:
        """Whether the search must end, or has used this share of its time."""
        return self.stopped or (self.timed and self.seconds >= share * self.time_limit_s)

    def take(self) -> bool:
        """Whether one more round of work may be done; counts it."""
        if self.spent():
            return False
        if self.rounds is not None:
            self.rounds -= 1
            return self.rounds >= 0
        return True


Listener = Callable[[float, float, float, str], bool]
"""Told of seconds, value, bound and phase; answers whether to go on."""


@dataclass(slots=True)
class Race:
    """The best value and the best bound so far, shared by all threads of a search.

    `answer` is the one that the best value is of; the listener may look at it.
    """

    budget: Budget
    relative_gap: float
    listener: Listener | None = None
    value: float = inf
    bound: float = -inf
    bound_phase: str = ""
    answer: "Answer | None" = None
    done: bool = False
    lock: Lock = field(default_factory=Lock)

    @property
    def gap(self) -> float:
        """The relative gap; inf before there are value and bound."""
        if self.value == inf or self.bound == -inf:
            return inf
        return max(0.0, self.value - self.bound) / max(1.0, abs(self.value))

    @property
    def over(self) -> bool:
        """Whether the gap is reached, the budget spent, or the search done."""
        return self.done or self.gap <= self.relative_gap or self.budget.spent()

    def found(self, value: float, phase: str, answer: "Answer | None" = None) -> bool:
        """Whether a value, which is that of the answer, is the best yet; tells of it."""
        with self.lock:
            better = value < self.value
            if better:
                self.value, self.answer = value, answer
                self._tell(phase)
        return better

    def proved(self, bound: float, phase: str) -> bool:
        """Whether a bound is the best yet; tells of it."""
        with self.lock:
            better = bound > self.bound
            if better:
                self.bound = bound
                self.bound_phase = phase
                self._tell(phase)
        return better

    def ask(self, phase: str) -> bool:
        """Whether to go on; for a search that may find nothing for long, and yet is to be stopped.

        The listener hears that nothing is new.
        """
        with self.lock:
            self._tell(phase)
        return not self.over

    def _tell(self, phase: str) -> None:
        tell = self.listener
        if tell and not tell(self.budget.seconds, self.value, min(self.bound, self.value), phase):
            self.budget.stopped = True
