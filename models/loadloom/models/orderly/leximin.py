"""Leximin fairness: the largest burden as low as can be, then the next, without giving up more.

A cap theta on burdens is bisected, as far as time allows. Under it the least unserved energy has a
plan above it and a bound below it: a plan that leaves no more unserved than need be shows that the
cap can be kept, a bound above that shows that it cannot, and where neither decides the cap counts
as too low for plans, but not as proven.

The second largest burden is at most theta if at most one user is above it, whoever that is; the
k-th if at most k - 1 are. Plans exempt those who bear most in the last plan, or, if that does not
do, those to whom the exemption is worth most at the prices of the slots. A bound must hold for all
choices of them: it takes off the k - 1 largest worths.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.order import enough
from loadloom.models.orderly.problem import Problem
from loadloom.models.orderly.solution import Stage
from loadloom.solvers.kernels.choosers import Codes

MOST_TRIALS, MOST_PROOFS = 8, 5
"""The most caps that are tried for a plan that keeps them, and then for a proof that none does."""

_SHARE, _PLANS_SHARE = 0.5, 0.7  # of the time left: for a level, and of that for plans
_FINE = 0.01  # the share of the way from the lowest to the last cap at which a bisection ends


class Verdict(Enum):
    """What a trial shows of a cap: a plan keeps it, no plan can, or neither."""

    KEPT = "kept"
    DISPROVED = "disproved"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """What became of caps: the patterns of a plan that keeps them and all else, and its burdens.

    `patterns` is None without such a plan. `bound_kwh` is a bound on the unserved energy under the
    caps, and `prices` are those of the rows.
    """

    patterns: Codes | None
    burdens: FloatArray
    bound_kwh: float
    prices: FloatArray


@dataclass(slots=True, kw_only=True)
class Course:
    """How far leximin has come: the plan, the levels found, and who is exempt from the next."""

    patterns: Codes
    burdens: FloatArray
    levels: list[float] = field(default_factory=list)
    exempt: list[int] = field(default_factory=list)

    def caps(self, theta: float) -> FloatArray:
        """The caps on all burdens with a cap on all who are not exempt, (N,)."""
        caps = np.full(self.burdens.size, theta)
        for user, level in zip(self.exempt, self.levels, strict=True):
            caps[user] = enough(level, "share")
        return caps

    def largest(self, values: FloatArray) -> float:
        """The largest value of those who are not exempt."""
        rest = np.ones(values.size, np.bool_)
        rest[self.exempt] = False
        return float(values[rest].max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Court:
    """What tries caps, and what a proof needs to know.

    Attributes:
        enough_kwh: the unserved energy that may not be passed.
        hold: tries caps on all burdens, (N,), from the plan so far, within so many seconds.
        exempting: at prices, the energy that at least stays unserved with one cap for all, and by
            how much less that is for each user if it alone is held to a second cap, (N,).
        left_s: the seconds that are left for all levels; inf without a limit.
        longest_s: the most seconds that a trial has yet taken beyond its own.
    """

    enough_kwh: float
    hold: Callable[[Course, FloatArray, float], Trial]
    exempting: Callable[[FloatArray, float, float], tuple[float, FloatArray]]
    left_s: Callable[[], float]
    longest_s: Callable[[], float]


def levelled(
    problem: Problem, patterns: Codes, burdens: FloatArray, least: FloatArray, court: Court
) -> tuple[Course, list[Stage]]:
    """The plan with the largest burdens as low as found, and the stages that found them.

    `patterns` are those of a plan that keeps all else, with its `burdens`; no user's burden can be
    below its `least`, (N,).
    """
    course = Course(patterns=patterns, burdens=burdens)
    stages: list[Stage] = []
    count = min(problem.fairness.leximin_levels, burdens.size)
    largest = np.sort(least)[::-1]
    for level in range(count):
        course.exempt = np.argsort(-course.burdens, kind="stable")[:level].tolist()
        share = 1.0 if level == count - 1 else _SHARE
        proven = _lowered(course, least, court, float(largest[level]), share)
        value = float(np.sort(course.burdens)[::-1][level])
        course.levels.append(value)
        stages.append(
            Stage(name=f"burden {level + 1}", unit="share", value=value, bound=min(proven, value))
        )
    return course, stages


def _lowered(course: Course, least: FloatArray, court: Court, proven: float, share: float) -> float:
    """Lowers the largest burden of those who are not exempt; returns what is proven of it."""
    left_s = court.left_s()
    end_s, plans_end_s = left_s * (1.0 - share), left_s * (1.0 - _PLANS_SHARE * share)
    if left_s == np.inf:
        end_s = plans_end_s = 0.0
    low = course.largest(least)
    fine = max(1e-9, _FINE * (course.largest(course.burdens) - low))
    for trial in range(MOST_TRIALS):
        high = course.largest(course.burdens)
        seconds = _seconds(court, plans_end_s, MOST_TRIALS - trial)
        if high - low <= fine or seconds is None:
            break
        # The lowest there is comes first: it is often kept where little is short.
        theta = 0.5 * (low + high) if trial else low
        verdict = _tried(course, court, theta, seconds)
        if verdict is not Verdict.KEPT:
            low = theta
        if verdict is Verdict.DISPROVED:
            proven = max(proven, theta)
    # Where no plan was found, there may still be a proof that there is none.
    for trial in range(MOST_PROOFS):
        seconds = _seconds(court, end_s, MOST_PROOFS - trial)
        if low - proven <= fine or seconds is None:
            break
        theta = 0.5 * (proven + low)
        if _tried(course, court, theta, seconds) is Verdict.DISPROVED:
            proven = theta
        else:
            low = theta
    return proven


def _seconds(court: Court, end_s: float, trials: int) -> float | None:
    """The seconds for one of so many trials until only `end_s` are left; None if there are none."""
    left_s = court.left_s() - end_s
    return None if left_s <= court.longest_s() else left_s / trials


def _tried(course: Course, court: Court, theta: float, seconds: float) -> Verdict:
    """What becomes of a cap on all who are not exempt; a plan that keeps it is the course's."""
    held = course.exempt
    for _ in range(2):
        trial = court.hold(course, course.caps(theta), 0.5 * seconds if held else seconds)
        if trial.patterns is not None:
            course.patterns, course.burdens = trial.patterns, trial.burdens
            return Verdict.KEPT
        if not held:
            return Verdict.DISPROVED if trial.bound_kwh > court.enough_kwh else Verdict.OPEN
        bound, worth = court.exempting(trial.prices, theta, enough(course.levels[0], "share"))
        ranked = np.argsort(-worth, kind="stable")[: len(held)]
        if bound - float(worth[ranked].sum()) > court.enough_kwh:
            course.exempt = held
            return Verdict.DISPROVED
        if set(ranked.tolist()) == set(course.exempt):
            break
        course.exempt = ranked.tolist()
    course.exempt = held
    return Verdict.OPEN


def one_event_a_day(problem: Problem) -> None:
    """Raises InvalidProblem if a user may have several events a day."""
    many = np.flatnonzero(problem.users.max_events_per_day > 1)
    if many.size:
        i = int(many[0])
        message = f"is {problem.users.max_events_per_day[i]}; leximin takes one event a day"
        raise InvalidProblem([Violation(f"users.max_events_per_day[{i}]", message)])
