"""The referee of settled money: identities without any tolerance, and rounding that is fair."""

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.money import REMAINDER_STEPS
from loadloom.models.agency.problem import IntArray, Problem
from loadloom.models.agency.settle import Settlement
from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray

RELATIVE_TOTAL = 1e-13
"""The share of all amounts by which a total may be off: what adding up a million floats costs."""

ROUNDED = 1e-6
"""By how much more than a minor unit an amount may be off, for what floats make of it."""


def identities(problem: Problem, settlement: Settlement) -> list[Violation]:
    """What must add up in whole minor units, without a rest."""
    s, found = settlement, []
    shared, billed = int(s.share_minor.sum()), int(s.bill_minor.sum())
    prepaid, refunded = int(s.prepaid_minor.sum()), int(s.refund_minor.sum())
    due = s.cost_minor + s.rent_minor
    if shared != due:
        found.append(Violation("share_minor", f"adds up to {shared}; cost and rent are {due}"))
    if billed != due + s.profit_minor:
        what = f"adds up to {billed}; cost, rent and profit are {due + s.profit_minor}"
        found.append(Violation("bill_minor", what))
    if prepaid != billed + refunded:
        what = f"adds up to {prepaid}; bills and refunds are {billed + refunded}"
        found.append(Violation("prepaid_minor", what))
    wrong = np.flatnonzero(s.refund_minor != s.prepaid_minor - s.bill_minor)
    if wrong.size:
        found.append(Violation(f"refund_minor[{wrong[0]}]", "is not prepaid less bill"))
    if problem.prepaid_minor is not None:
        other = np.flatnonzero(s.prepaid_minor != problem.prepaid_minor)
        if other.size:
            found.append(Violation(f"prepaid_minor[{other[0]}]", "is not what was prepaid"))
    return found


def rounding(problem: Problem, settlement: Settlement) -> list[Violation | None]:
    """Amounts within a minor unit of what they were, the largest remainders rounded up."""
    s, scale, names = settlement, problem.currency.scale, problem.curves.names
    totals = RELATIVE_TOTAL * scale * size(settlement)
    found = [
        _within("share_minor", s.share_minor, s.share * scale, 1.0),
        _within("bill_minor", s.bill_minor, s.bill * scale, 1.0),
        _within("rent_minor", np.array([s.rent_minor]), np.array([s.rent * scale]), 0.5 + totals),
        _within("cost_minor", np.array([s.cost_minor]), np.array([s.cost * scale]), 1.0 + totals),
        _within(
            "profit_minor", np.array([s.profit_minor]), np.array([s.profit * scale]), 1.0 + totals
        ),
        _ordered("share_minor", s.share_minor, s.share * scale, names),
        _ordered("bill_minor", s.bill_minor, s.bill * scale, names),
    ]
    if problem.prepaid_minor is None:
        worth = problem.highest_prices_per_kwh * s.energy_kwh * scale
        found.append(_within("prepaid_minor", s.prepaid_minor, worth, 0.5))
    return found


def size(settlement: Settlement) -> float:
    """What all amounts come to, whatever their signs."""
    return float(np.abs(settlement.bill).sum() + np.abs(settlement.share).sum())


def _within(path: str, minor: IntArray, amounts: FloatArray, most: float) -> Violation | None:
    """The amount that rounding moved furthest, if that is too far."""
    off = np.abs(minor - amounts)
    allowed = most + ROUNDED + 1e-15 * np.abs(amounts)
    if (off <= allowed).all():
        return None
    worst = int(np.argmax(np.where(np.isnan(off), np.inf, off - allowed)))
    return Violation(f"{path}[{worst}]", f"is {minor[worst]}; it comes from {amounts[worst]:.6f}")


def _ordered(
    path: str, minor: IntArray, amounts: FloatArray, names: tuple[str, ...]
) -> Violation | None:
    """Whom the last minor units went to, if somebody else had lost more or comes first by name."""
    down = np.floor(amounts)
    rest = ((amounts - down) * REMAINDER_STEPS).astype(np.int64)
    up: NDArray[np.bool_] = minor > down
    if up.all() or not up.any():
        return None
    least, most = int(rest[up].min()), int(rest[~up].max())
    if least > most:
        return None
    last = np.flatnonzero(up & (rest == least))
    first = np.flatnonzero(~up & (rest == most))
    given = max(last.tolist(), key=names.__getitem__)
    passed = min(first.tolist(), key=names.__getitem__)
    if least == most and names[given] < names[passed]:
        return None
    return Violation(f"{path}[{given}]", f"was rounded up before {path}[{passed}]")
