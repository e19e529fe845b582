"""Refunds that would be negative: whose they are, and a highest price that cures them.

What a user pays beforehand is its highest price times an energy: the prepaid minor units over the
price announced, or the metered energy where no prepayment was named. A higher price f2 is paid on
that energy, so that with x[i] unchanged

    refund[i] = f2 * (prepaid energy[i] - alpha * e[i]) - (1 - alpha) * x[i]      benefit share
    refund[i] = f2 * prepaid energy[i] - (1 + alpha) * x[i]                       cost plus

A user whose prepaid energy is too small for the refund to grow with f2 cannot be cured by a price.
Prices are tried in whole minor units per kWh and every trial settles anew to the minor unit, so
that rounding has its say: at the price named no refund is negative, one minor unit below one is.
Rounding also makes a refund fall here and there while the price rises, so that this price need not
be the smallest: `Cure.is_smallest` says whether it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.money import in_nearest_units
from loadloom.models.agency.problem import IntArray, Mode, Problem
from loadloom.models.agency.settle import Settlement, account, bills
from loadloom.models.checks import MAGNITUDE
from loadloom.models.horizon import FloatArray

BoolArray = NDArray[np.bool_]

NO_PRICE = -1
"""Stands for the price of a user whom no price cures."""

ROUNDING_MINOR = 1.5
"""By how much rounding can move a refund: half a unit of the prepayment and one of the bill."""

MOST_TRIALS = 64
"""Prices tried one by one; where rounding leaves more in doubt, they are halved."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cure:
    """The users whose refund is negative, and what would cure them.

    Attributes:
        user: their indices, ascending, (m,). Where prices differ from user to user, also those whom
            rounding would leave a unit short once the others are cured.
        refund_minor: their refunds as settled, (m,).
        highest_price_minor: an f2 for each that cures, in minor units per kWh, (m,): the same for
            all who can be cured if one price was announced, each user's own otherwise; `NO_PRICE`
            where none does.
        is_smallest: whether it is known that no smaller prices cure.
    """

    user: IntArray
    refund_minor: IntArray
    highest_price_minor: IntArray
    is_smallest: bool


def cure(problem: Problem, settlement: Settlement) -> Cure | None:
    """What cures the negative refunds of a settlement; None if there are none."""
    negative = settlement.refund_minor < 0
    if not negative.any():
        return None
    trial = _trial(problem, settlement)
    most = MAGNITUDE * problem.currency.scale
    beyond = trial.slope * most < trial.need + ROUNDING_MINOR
    hopeless = negative & (beyond | (trial.slope <= 0.0))
    price = np.full(negative.size, NO_PRICE, np.int64)
    if problem.has_one_price:
        price[negative & ~hopeless], is_smallest = _one_price(trial, ~hopeless)
    else:
        raised, prices = _own_prices(trial, negative & ~hopeless, ~hopeless)
        is_smallest = bool((prices[raised] == _bounds(trial, raised)[0]).all())
        short = (_refunds(trial, prices) < 0) & ~hopeless
        negative = negative | raised | short
        price[raised] = prices[raised]
    user = np.flatnonzero(negative)
    return Cure(
        user=user,
        refund_minor=settlement.refund_minor[user],
        highest_price_minor=price[user],
        is_smallest=is_smallest,
    )


def refunds_at(problem: Problem, settlement: Settlement, highest_minor: FloatArray) -> IntArray:
    """The refunds in minor units, (n,), at highest prices (n,) in minor units per kWh."""
    return _refunds(_trial(problem, settlement), highest_minor)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Trial:
    """A settlement, and its refunds before rounding as slope * f2 - need, in minor units, (n,)."""

    problem: Problem
    settlement: Settlement
    prepaid_kwh: FloatArray
    slope: FloatArray
    need: FloatArray


def _trial(problem: Problem, settlement: Settlement) -> _Trial:
    rate, scale = problem.profit_rate, problem.currency.scale
    energy, share = settlement.energy_kwh, settlement.share * scale
    prepaid_kwh = energy
    if problem.prepaid_minor is not None:
        announced = problem.highest_prices_per_kwh * scale
        none = np.zeros(energy.size)
        prepaid_kwh = np.divide(problem.prepaid_minor, announced, out=none, where=announced > 0.0)
    by_share = problem.mode is Mode.BENEFIT_SHARE
    return _Trial(
        problem=problem,
        settlement=settlement,
        prepaid_kwh=prepaid_kwh,
        slope=prepaid_kwh - rate * energy if by_share else prepaid_kwh,
        need=(1.0 - rate) * share if by_share else (1.0 + rate) * share,
    )


def _refunds(trial: _Trial, highest_minor: FloatArray) -> IntArray:
    problem, settlement = trial.problem, trial.settlement
    energy, share = settlement.energy_kwh, settlement.share
    highest = highest_minor / problem.currency.scale
    prepaid = in_nearest_units("prepaid", trial.prepaid_kwh * highest, problem.currency)
    entered = account(
        share=share,
        rent=np.float64(settlement.rent),
        bill=bills(energy, share, highest, problem.profit_rate, problem.mode),
        prepaid_minor=prepaid,
        currency=problem.currency,
        names=problem.curves.names,
    )
    return entered.refund_minor


def _bounds(trial: _Trial, users: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Below the first price each one's refund is negative, from the second on it surely is not."""
    need, slope = trial.need[users], trial.slope[users]
    low = np.maximum(0.0, np.ceil((need - ROUNDING_MINOR) / slope))
    return low, np.maximum(low, np.ceil((need + ROUNDING_MINOR) / slope))


def _one_price(trial: _Trial, counted: BoolArray) -> tuple[int, bool]:
    """A price for all at which no refund of those counted is negative; is it the smallest?"""
    lows, highs = _bounds(trial, counted & (trial.slope > 0.0))
    # Who uses next to nothing is never sure to be cured by less than the highest price there is.
    most = MAGNITUDE * trial.problem.currency.scale

    def cures(price: int) -> bool:
        refund = _refunds(trial, np.full(counted.size, float(price)))
        return bool((refund[counted] >= 0).all())

    low, high = int(lows.max(initial=0.0)), int(min(highs.max(initial=0.0), most))
    for price in range(low, min(high, low + MOST_TRIALS) + 1):
        if cures(price):
            return price, True
    if high <= low + MOST_TRIALS:
        return NO_PRICE, False
    return _between(low + MOST_TRIALS, high, cures), False


def _between(fails: int, cured: int, cures: Callable[[int], bool]) -> int:
    """A price that cures where one unit less does not."""
    if not cures(cured):
        return NO_PRICE
    while cured - fails > 1:
        middle = (fails + cured) // 2
        if cures(middle):
            cured = middle
        else:
            fails = middle
    return cured


def _own_prices(
    trial: _Trial, raised: BoolArray, counted: BoolArray
) -> tuple[BoolArray, FloatArray]:
    """Who must be raised for no refund to be negative, and everybody's prices then, (n,).

    Users whom no price helps may be left a unit short by what the others' prices do to rounding.
    """
    announced = trial.problem.highest_prices_per_kwh * trial.problem.currency.scale
    price, sure = announced.copy(), np.zeros(announced.size)
    price[raised], sure[raised] = _bounds(trial, raised)
    while True:
        left = (_refunds(trial, price) < 0) & counted
        short = left & (trial.slope > 0.0)
        if not short.any():
            break
        joins = short & ~raised
        if joins.any():
            price[joins], sure[joins] = _bounds(trial, joins)
            raised = raised | joins
        again = short & ~joins
        # One unit at a time where few are left to try, else as far as is sure.
        step = np.ceil((sure[again] - price[again]) / MOST_TRIALS)
        price[again] += np.maximum(1.0, step)
    return raised, _trimmed(trial, raised, counted & ~left, price)


def _trimmed(trial: _Trial, raised: BoolArray, counted: BoolArray, price: FloatArray) -> FloatArray:
    """The prices, lowered by single units where rounding allows it; tried for the first few."""
    lows, _ = _bounds(trial, raised)
    doubtful = np.flatnonzero(raised)[price[raised] > lows]
    for user in doubtful[:MOST_TRIALS].tolist():
        price[user] -= 1.0
        if (_refunds(trial, price)[counted] < 0).any():
            price[user] += 1.0
    return price
