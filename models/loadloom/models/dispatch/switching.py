"""What runs or stands still: least times, starts, and the state that is carried into the horizon.

A least time holds until the first boundary at which it is over. One that began before the horizon
goes on in it, and one that reaches beyond the end of the horizon is over there.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import Checks
from loadloom.models.horizon import LONGEST_STEP_H, FloatArray, Horizon

IntArray = NDArray[np.int64]

NEAR_H = 1.0 / 7200.0
"""Half a second: boundaries that lie nearer than this are the same."""

MOST_STARTS = 1_000_000
"""The largest number of starts that can be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switching:
    """The rules of switching on and off.

    `initial_h` is for how long the state that is carried in has lasted; inf is long enough.
    `most_starts` counts those within the horizon; None is no limit.
    """

    least_on_h: float = 0.0
    least_off_h: float = 0.0
    start_cost: float = 0.0
    most_starts: int | None = None
    initially_on: bool = False
    initial_h: float = inf

    def held_count(self, horizon: Horizon) -> int:
        """The number of first intervals through which the state carried in must last."""
        least = self.least_on_h if self.initially_on else self.least_off_h
        left_h = least - self.initial_h
        return int(np.count_nonzero(horizon.boundaries_h[:-1] < left_h - NEAR_H))

    @property
    def idle(self) -> bool:
        """Whether no rule and no cost depends on when it is switched."""
        return (
            self.least_on_h <= 0.0
            and self.least_off_h <= 0.0
            and self.start_cost == 0.0
            and self.most_starts is None
        )


def boundaries_after(horizon: Horizon, hours: float) -> IntArray:
    """The first boundary so many hours after the beginning of each interval, shape (count,).

    It is never that beginning itself, and count + 1 where it lies beyond the horizon.
    """
    boundaries = horizon.boundaries_h
    reached = np.searchsorted(boundaries, boundaries[:-1] + (hours - NEAR_H))
    return np.maximum(reached, np.arange(1, horizon.count + 1)).astype(np.int64)


def starts(on: FloatArray, initially_on: bool) -> NDArray[np.bool_]:
    """Where it starts: on, and not before, shape (count,)."""
    running = on > 0.5
    return running & ~np.append(initially_on, running[:-1])


def check_switching(checks: Checks, path: str, switching: Switching) -> None:
    """Notes what is wrong with the rules of switching."""
    for name in ("least_on_h", "least_off_h"):
        checks.numbers(f"{path}.{name}", getattr(switching, name), low=0.0, high=LONGEST_STEP_H)
    checks.numbers(f"{path}.start_cost", switching.start_cost, low=0.0)
    checks.numbers(f"{path}.initial_h", switching.initial_h, low=0.0, infinite=True)
    most = switching.most_starts
    checks.require(
        most is None or 0 <= most <= MOST_STARTS,
        f"{path}.most_starts",
        f"is {most}; must be from 0 to {MOST_STARTS}",
    )
