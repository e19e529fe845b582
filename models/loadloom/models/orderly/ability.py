"""The interaction ability: how well a user can be planned with, as a published score.

    score = sum weight * part / sum weight, every part in [0, 1]

curtailable      the share of its load, over the week, that its best measure could relieve
notice           1 for a user with a measure at immediate notice, 0.75 for a quarter hour, 0.5 for a
                 day, 0.25 for a week, 0 without measures
ramp             the share of its curtailable power that is there in the first slot
past_compliance, telemetry, control    as given

The score orders users where all else is equal, and decides which measures they can be given at
short notice (`AbilityRule.least_score`). It is never a price.
"""

from dataclasses import dataclass

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.problem import AbilityRule, Kind, Problem
from loadloom.models.orderly.week import BoolArray

PARTS = ("curtailable", "notice", "ramp", "past_compliance", "telemetry", "control")
"""The parts, in the order of their columns."""

_NOTICE_SCORES = np.array([0.25, 0.5, 0.75, 1.0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ability:
    """The score of each user, (N,), and its parts in the order of `PARTS`, (N, 6)."""

    score: FloatArray
    parts: FloatArray


def weights(rule: AbilityRule) -> FloatArray:
    """The weights of the parts, which sum to 1."""
    given = np.array([getattr(rule, f"{name}_weight") for name in PARTS])
    return given / given.sum()


def ability(problem: Problem) -> Ability:
    """The score of every user and its parts."""
    users, measures = problem.users, problem.measures
    curtailable, ramp = _powers(problem)
    notice = np.zeros(users.count)
    np.maximum.at(notice, measures.user, _NOTICE_SCORES[measures.notice])
    columns = (
        curtailable,
        notice,
        ramp,
        users.past_compliance,
        users.telemetry,
        users.control,
    )
    parts = np.stack([np.clip(column, 0.0, 1.0) for column in columns], axis=1)
    return Ability(score=parts @ weights(problem.ability), parts=parts)


def offered(problem: Problem) -> BoolArray:
    """Whether each measure's user has the score that its notice takes, (M,)."""
    least = np.array(problem.ability.least_score)
    if not least.any():
        return np.ones(problem.measures.count, np.bool_)
    measures = problem.measures
    return ability(problem).score[measures.user] >= least[measures.notice]


def _powers(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """The curtailable share of each user's load, and the share of that which is there at once."""
    users, measures = problem.users, problem.measures
    free = np.maximum(users.load_kw - users.protected_kw, 0.0).reshape(users.count, -1)
    total = users.load_kw.reshape(users.count, -1).sum(axis=1)
    share, ramp = np.zeros(users.count), np.zeros(users.count)
    peak = free.max(axis=1)
    for begin in range(0, measures.count, _BLOCK):
        part = slice(begin, begin + _BLOCK)
        user = measures.user[part]
        relief = np.minimum(free[user], measures.cap_kw[part][:, None]).sum(axis=1)
        np.maximum.at(share, user, relief / np.maximum(total[user], 1e-9))
        most = np.minimum(peak[user], measures.cap_kw[part])
        first = np.minimum(most, measures.ramp_kw[part])
        first = np.where(measures.kind[part] == Kind.REST, most, first)
        np.maximum.at(ramp, user, first / np.maximum(most, 1e-9))
    return share, ramp


_BLOCK = 4_096
"""So many measures at a time: the power of each in every slot is large."""
