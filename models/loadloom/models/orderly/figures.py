"""What a planner reads off a schedule: how fairly burdens lie, and the levels of warning."""

from dataclasses import dataclass

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.problem import Problem


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


EVERYBODY = "all"
"""The scope of all users."""


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


def fairness(problem: Problem, burdens: FloatArray) -> dict[str, Spread]:
    """How burdens lie on all users, then by industry, priority class, group and feeder."""
    users, feeders = problem.users, np.array(["", *problem.shortage.feeders], dtype=object)
    found = {EVERYBODY: spread(burdens)}
    for word, column in (
        ("industry", np.array(users.industry, dtype=object)),
        ("priority class", np.array(users.priority_class, dtype=object)),
        ("group", np.array(users.group, dtype=object)),
        ("feeder", feeders[users.feeder + 1]),
    ):
        for name in sorted(set(column.tolist()) - {""}):
            found[f"{word} {name}"] = spread(burdens[column == name])
    return found


def slot_levels(problem: Problem) -> list[str]:
    """The name of the level of warning in every slot of the week, empty below the first.

    The share is that of the slot's shortage in the peak load of the week.
    """
    levels = sorted(problem.warning_levels, key=lambda level: level.least_share)
    peak_kw = max(float(problem.users.load_kw.sum(axis=0).max()), 1e-9)
    share = problem.shortage.shortage_kw.reshape(-1) / peak_kw
    names = np.full(share.size, "", dtype=object)
    for level in levels:
        names[(share >= level.least_share) & (share > 0.0)] = level.name
    return names.tolist()
