"""Correcting settlements: what changes for each user once meter readings are corrected.

A settlement is never altered. Its correction settles the corrected curves anew on the same terms
and with the same prepayments, names the settlement it corrects, and tells each user the difference:

    sum_i bill difference[i] = F1 difference + rent difference + profit difference

in minor units, without a rest. A correction can be corrected again; the differences of a chain add
up to the last bill less the first.
"""

from dataclasses import dataclass, replace

import numpy as np

from loadloom.models.agency.problem import Curves, IntArray, Problem, Purchase
from loadloom.models.agency.settle import Settlement, settle
from loadloom.models.checks import MAGNITUDE, Checks
from loadloom.models.horizon import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """Corrected meter readings, one entry each, (m,): the user, the slot and its mean power."""

    user: IntArray
    slot: IntArray
    load_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Correction:
    """A settlement that corrects another.

    Attributes:
        corrects: the name of the settlement it corrects.
        number: 1 for the first correction of a settlement, 2 for the correction of that, and so on.
        problem: what was settled anew.
        settlement: the new settlement; its refunds count from the prepayments, as the first ones.
        cost_difference_minor, rent_difference_minor, profit_difference_minor: new less before.
        share_difference_minor, bill_difference_minor: new less before for each user, (n,); what a
            user still pays if positive, and gets back if negative, is its bill difference.
    """

    corrects: str
    number: int
    problem: Problem
    settlement: Settlement
    cost_difference_minor: int
    rent_difference_minor: int
    profit_difference_minor: int
    share_difference_minor: IntArray
    bill_difference_minor: IntArray


def correct(
    problem: Problem,
    settlement: Settlement,
    readings: Readings,
    *,
    corrects: str,
    number: int = 1,
    purchase: Purchase | None = None,
    seed: int = 0,
) -> Correction:
    """The correction of a settlement.

    Args:
        problem: what was settled.
        settlement: how it was settled.
        readings: what is corrected; all other readings stay as they are.
        corrects: the name of the settlement.
        number: 1 for the first correction, 2 for the correction of that, and so on.
        purchase: what the corrected load costs, where it was shared by a purchase.
        seed: read by rules that sample.

    Raises:
        InvalidProblem: a reading is of no user or slot, comes twice, or is no number; or the new
            settlement cannot be made.
    """
    again = replace(
        problem,
        curves=corrected(problem.curves, readings),
        prepaid_minor=settlement.prepaid_minor,
        purchase=purchase or problem.purchase,
    )
    settled = settle(again, seed)
    return Correction(
        corrects=corrects,
        number=number,
        problem=again,
        settlement=settled,
        cost_difference_minor=settled.cost_minor - settlement.cost_minor,
        rent_difference_minor=settled.rent_minor - settlement.rent_minor,
        profit_difference_minor=settled.profit_minor - settlement.profit_minor,
        share_difference_minor=settled.share_minor - settlement.share_minor,
        bill_difference_minor=settled.bill_minor - settlement.bill_minor,
    )


def correct_again(
    correction: Correction,
    readings: Readings,
    *,
    corrects: str,
    purchase: Purchase | None = None,
    seed: int = 0,
) -> Correction:
    """The correction of a correction, given the name of the latter.

    Raises:
        InvalidProblem: as `correct` does.
    """
    return correct(
        correction.problem,
        correction.settlement,
        readings,
        corrects=corrects,
        number=correction.number + 1,
        purchase=purchase,
        seed=seed,
    )


def corrected(curves: Curves, readings: Readings) -> Curves:
    """The curves with their corrected readings; the others are left as they are.

    Raises:
        InvalidProblem: a reading is of no user or slot, comes twice, or is no number.
    """
    checks = Checks()
    count = readings.user.size
    checks.require(count > 0, "readings", "has no entries; must correct at least one")
    same = readings.user.shape == readings.slot.shape == readings.load_kw.shape == (count,)
    checks.require(same, "readings", "must have one user, one slot and one load for each entry")
    if same:
        _check_entries(checks, curves, readings)
    checks.finish()
    load = curves.load_kw.copy()
    load[readings.user, readings.slot] = readings.load_kw
    return replace(curves, load_kw=load)


def _check_entries(checks: Checks, curves: Curves, readings: Readings) -> None:
    ends = (("user", readings.user, curves.count), ("slot", readings.slot, curves.horizon.count))
    good = [
        checks.numbers(f"readings.{name}", at.astype(np.float64), low=0, high=end - 1)
        for name, at, end in ends
    ]
    checks.numbers("readings.load_kw", readings.load_kw, low=0.0, high=MAGNITUDE)
    if not all(good):
        return
    place = readings.user * curves.horizon.count + readings.slot
    _, first = np.unique(place, return_index=True)
    again = np.setdiff1d(np.arange(place.size), first)
    if again.size:
        index = int(again[0])
        user, slot = int(readings.user[index]), int(readings.slot[index])
        what = f"corrects slot {slot} of {curves.names[user]!r} a second time"
        checks.require(False, f"readings[{index}]", f"{what}; must correct it once")
