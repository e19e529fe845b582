"""The lexicographic order of plans: what comes before the loss, and when two plans are equal in it.

Least unserved energy; with a strict legal order the energy of CUT, then LIMIT, then AVOID, so that
a higher kind is called only for what the lower ones cannot cover; with leximin the largest burden,
then the next; last the loss. Without any of these the price of unserved energy decides alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import referee
from loadloom.models.orderly.problem import FairnessMode, Kind, LegalOrder, Plan, Problem

TIERS = (Kind.CUT, Kind.LIMIT, Kind.AVOID)
"""The kinds whose energy a strict order makes least, the last resort first.

Shifting, the first resort, is what is left: nothing comes before it, so fairness and loss decide.
"""

EVEN_SHARE, EVEN_KWH, EVEN_BURDEN = 1e-6, 1e-3, 1e-6
"""By what share, and by what more, two plans may differ in a stage and be equal there: a watt-hour,
and a millionth of a contract."""


def is_staged(problem: Problem) -> bool:
    """Whether something is made least before the loss."""
    strict = problem.legal_order is LegalOrder.STRICT
    return strict or problem.fairness.mode is not FairnessMode.CONVEX


def enough(value: float, unit: str) -> float:
    """Up to what a plan is as good in a stage as one of this value; `unit` is kWh or share."""
    return value * (1.0 + EVEN_SHARE) + (EVEN_KWH if unit == "kWh" else EVEN_BURDEN)


def unserved_kwh(problem: Problem, plan: Plan) -> float:
    """The energy that a plan leaves uncovered, of the whole and of all feeders."""
    whole, feeders = referee.unserved_kw(problem, plan)
    return float(((whole + feeders.sum(axis=0)) * problem.week.slot_h).sum())


def kind_kwh(problem: Problem, plan: Plan, kind: Kind) -> float:
    """The energy that a plan takes by measures of a kind, before compliance and return."""
    mine = problem.measures.kind[plan.measure] == kind
    return float(referee.effect(problem, plan).curtailed_kwh[mine].sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a plan reaches in one stage of the lexicographic order."""

    name: str
    unit: str
    value: float


def standings(problem: Problem, plan: Plan) -> tuple[Standing, ...]:
    """What a plan reaches in every stage before the loss, the most important first.

    Least unserved energy, then with a strict order the energy of each kind of `TIERS` that is
    offered, then with leximin the largest burdens; nothing in a problem without stages. A rota has
    stages of its own.
    """
    if not is_staged(problem) or problem.fairness.mode is FairnessMode.EQUAL_HOURS:
        return ()
    found = [Standing(name="least unserved", unit="kWh", value=unserved_kwh(problem, plan))]
    for kind in tiers(problem):
        kwh = kind_kwh(problem, plan, kind)
        found.append(Standing(name=f"least {kind.name.lower()}", unit="kWh", value=kwh))
    if problem.fairness.mode is FairnessMode.LEXIMIN:
        levels = min(problem.fairness.leximin_levels, problem.users.count)
        largest = np.sort(referee.burden(problem, plan))[::-1][:levels]
        found += [
            Standing(name=f"burden {level + 1}", unit="share", value=float(value))
            for level, value in enumerate(largest)
        ]
    return tuple(found)


def tiers(problem: Problem) -> tuple[Kind, ...]:
    """The kinds that a problem makes least before the loss, the last resort first."""
    if problem.legal_order is not LegalOrder.STRICT:
        return ()
    return tuple(kind for kind in TIERS if np.any(problem.measures.kind == kind))


def is_better(problem: Problem, plan: Plan, other: Plan) -> bool:
    """Whether a plan comes before another in the lexicographic order, the loss last."""
    pairs = zip(standings(problem, plan), standings(problem, other), strict=True)
    for mine, theirs in pairs:
        if mine.value > enough(theirs.value, theirs.unit):
            return False
        if theirs.value > enough(mine.value, mine.unit):
            return True
    return referee.cost(problem, plan).total < referee.cost(problem, other).total


def ranked_caps(burdens: FloatArray, levels: Sequence[float]) -> FloatArray:
    """The most burden that each user may have, (N,), if the k-th largest is at most `levels[k]`.

    The user of the largest burden is held to the first level, and so on; all further users to the
    last one.
    """
    caps = np.full(burdens.size, enough(levels[-1], "share"))
    for user, level in zip(np.argsort(-burdens, kind="stable"), levels, strict=False):
        caps[user] = enough(level, "share")
    return caps


def caps_of(problem: Problem, plan: Plan) -> FloatArray | None:
    """The caps on burdens that a leximin plan itself sets, (N,); None in other modes."""
    if problem.fairness.mode is not FairnessMode.LEXIMIN:
        return None
    levels = min(problem.fairness.leximin_levels, problem.users.count)
    burdens = referee.burden(problem, plan)
    return ranked_caps(burdens, np.sort(burdens)[::-1][:levels].tolist())


def least_burdens(problem: Problem) -> FloatArray:
    """The burden that each user has at least: what it carries, and announced events under way."""
    plan, now = problem.announced, problem.now
    if plan is None or now is None:
        return problem.users.carried_burden
    begins_h = problem.week.start_h
    now_h = problem.week.hours_until(now) + 1e-9
    begun = begins_h[plan.day, plan.first_slot] <= now_h
    usual = problem.users.usual_rest_day
    first = np.where(usual >= 0, np.minimum(plan.rest_day, usual), plan.rest_day)
    moved = (plan.rest_day >= 0) & (begins_h[first, 0] <= now_h)
    rest = np.where(moved, plan.rest_day, -1), np.where(moved, plan.rest_measure, -1)
    columns = ("user", "day", "measure", "first_slot", "slot_count")
    under_way = {name: getattr(plan, name)[begun] for name in columns}
    held = replace(plan, **under_way, rest_day=rest[0], rest_measure=rest[1])
    return referee.burden(problem, held)
