"""Leximin fairness: the largest burden as low as can be, then the next, without more unserved.

A cap on burdens is bisected. Under a cap the least unserved energy has a plan above it and a bound
below it: a plan that leaves no more unserved than need be shows that the cap can be kept, a bound
above that shows that it cannot, and where neither decides the cap counts as too low. The user with
the largest burden is then frozen at what it has, and the others' cap is lowered on.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import Plan, Problem
from loadloom.models.orderly.solution import Stage

HALVINGS = 7
"""How often a cap is halved: to 1 % of what it could be lowered by."""

_SHARE, _KWH = 1e-6, 1e-6  # by what unserved energy may differ and be the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The least unserved energy under caps: the plan found, its kWh, and the proven bound."""

    plan: Plan
    unserved_kwh: float
    bound_kwh: float


Cover = Callable[[FloatArray | None], Coverage]
"""The least unserved energy under caps on the users' burdens, (N,), or under none."""


def caps(problem: Problem, cover: Cover) -> tuple[FloatArray, list[Stage]]:
    """The caps on the burdens of all users, (N,), and the stages that found them."""
    _one_event_a_day(problem)
    best = cover(None)
    enough = best.unserved_kwh * (1.0 + _SHARE) + _KWH
    stages = [
        Stage(
            name="least unserved",
            unit="kWh",
            value=best.unserved_kwh,
            bound=min(best.bound_kwh, best.unserved_kwh),
        )
    ]
    cap = np.full(problem.users.count, np.inf)
    frozen = np.zeros(cap.size, np.bool_)
    plan = best.plan
    for level in range(min(problem.fairness.leximin_levels, cap.size)):
        plan, high, low = _lowered(problem, cover, cap, frozen, plan, enough)
        stages.append(Stage(name=f"burden {level + 1}", unit="share", value=high, bound=low))
        cap[~frozen] = high
        burdens = np.where(frozen, -np.inf, referee.burden(problem, plan))
        frozen[int(np.argmax(burdens))] = True
        if high <= low + 1e-12 and high <= problem.users.carried_burden[~frozen].max(initial=0.0):
            break
    return cap, stages


def _lowered(
    problem: Problem,
    cover: Cover,
    cap: FloatArray,
    frozen: np.ndarray,
    plan: Plan,
    enough_kwh: float,
) -> tuple[Plan, float, float]:
    """The plan with the lowest common cap found for those not frozen, that cap, and its bound."""
    free = ~frozen
    low = float(problem.users.carried_burden[free].max())
    high = max(low, float(referee.burden(problem, plan)[free].max()))
    proven = low
    for halving in range(HALVINGS + 1):
        if high - low <= 1e-9 * max(1.0, high):
            break
        # The lowest there is comes first: it is often kept where nothing is short.
        tried = low if halving == 0 else 0.5 * (low + high)
        trial = cover(np.where(frozen, cap, tried))
        if trial.unserved_kwh <= enough_kwh:
            plan = trial.plan
            high = min(tried, max(proven, float(referee.burden(problem, plan)[free].max())))
        else:
            low = tried
            if trial.bound_kwh > enough_kwh:
                proven = max(proven, tried)
    return plan, high, min(proven, high)


def _one_event_a_day(problem: Problem) -> None:
    """Raises InvalidProblem if a user may have several events a day."""
    many = np.flatnonzero(problem.users.max_events_per_day > 1)
    if many.size:
        i = int(many[0])
        message = f"is {problem.users.max_events_per_day[i]}; leximin takes one event a day"
        raise InvalidProblem([Violation(f"users.max_events_per_day[{i}]", message)])
