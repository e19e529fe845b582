"""What a planner reads off a schedule: fairness figures, warning levels, coverage."""

from dataclasses import dataclass

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import Plan, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How evenly burdens lie on some users: Jain's index and Gini, the mean, max over mean.

    Jain's index is 1 for equal burdens and 1 / users if one bears all; the Gini index 0 for equal
    burdens. Where nobody bears anything, both say that it is even.
    """

    user_count: int
    mean: float
    largest: float
    jain: float
    gini: float

    @property
    def max_over_mean(self) -> float:
        """The largest burden as a multiple of the mean; 1 if nobody bears anything."""
        return self.largest / self.mean if self.mean > 0.0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessFigures:
    """The spread of burdens over all users, by priority class and by industry, names in order."""

    everyone: Spread
    by_class: dict[str, Spread]
    by_industry: dict[str, Spread]


def spread(burdens: FloatArray) -> Spread:
    """How evenly burdens, none negative, lie on users."""
    total = float(burdens.sum())
    largest = float(burdens.max(initial=0.0))
    if total <= 0.0:
        return Spread(user_count=burdens.size, mean=0.0, largest=largest, jain=1.0, gini=0.0)
    ranked = np.sort(burdens)
    count = ranked.size
    places = 2.0 * np.arange(1, count + 1) - count - 1.0
    return Spread(
        user_count=count,
        mean=total / count,
        largest=largest,
        jain=total * total / (count * float(burdens @ burdens)),
        gini=float(places @ ranked) / (count * total),
    )


def fairness(problem: Problem, plan: Plan) -> FairnessFigures:
    """How evenly the burdens after the week lie on the users."""
    burdens = referee.burden(problem, plan)
    return FairnessFigures(
        everyone=spread(burdens),
        by_class=_by(problem.users.priority_class, burdens),
        by_industry=_by(problem.users.industry, burdens),
    )


def _by(words: tuple[str, ...], burdens: FloatArray) -> dict[str, Spread]:
    if not words:
        return {}
    names, which = np.unique(np.array(words), return_inverse=True)
    return {str(name): spread(burdens[which == k]) for k, name in enumerate(names)}


def warning_levels(problem: Problem) -> tuple[str, ...]:
    """The name of each day's warning level, empty for none: the highest that its shortage reaches.

    The share is that of the day's largest shortage in the day's peak load.
    """
    peak = problem.users.load_kw.sum(axis=0).max(axis=1)
    short = problem.shortage.shortage_kw.max(axis=1)
    levels = sorted(problem.warning_levels, key=lambda level: level.least_share)
    names = []
    for day in range(problem.week.day_count):
        share = short[day] / peak[day] if peak[day] > 0.0 else 0.0
        reached = [level.name for level in levels if share >= level.least_share and short[day] > 0]
        names.append(reached[-1] if reached else "")
    return tuple(names)
