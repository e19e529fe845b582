"""Settles a period: contributions, cost shares, prices, bills, refunds and the agent's profit.

The formulas are those of `problem`; amounts become integers in `account` alone. All figures before
rounding stay beside them, so that whoever checks a bill sees what was rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from loadloom.models.agency.cost import PooledCost, Rates
from loadloom.models.agency.figures import Figures, figures, pooled_cost
from loadloom.models.agency.money import (
    apportion,
    in_minor_units,
    in_nearest_units,
    to_nearest,
)
from loadloom.models.agency.problem import Currency, IntArray, Mode, Problem, Purchase, SharingRule
from loadloom.models.agency.sharing import Shares, share
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray

BALANCE = 1e-6
"""By how much, of what they share, shares may miss it; the rest is spread by their sizes."""

NOISE = 1e-13
"""By how much, of all shares, floats may miss their sum."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """Amounts in minor units; users are the last axis, and rows before it settle by themselves."""

    cost_minor: IntArray
    rent_minor: IntArray
    profit_minor: IntArray
    share_minor: IntArray
    bill_minor: IntArray
    prepaid_minor: IntArray
    refund_minor: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settlement:
    """What a settlement comes to; amounts without `_minor` are those before rounding.

    Attributes:
        rule: the rule by which the cost was shared, and `rule_words` how it was followed.
        is_exact: whether the shares are the rule's own, and not drawn from samples.
        figures: the loads behind it.
        rates: the two-part tariff; None where the rule has none.
        slot_price_per_kwh: the prices that the shares are bills by, (T,), where they are any.
        half_width: of drawn Shapley values the interval in each direction, (n,).
        cost, rent, profit: F1, the agent's rent and profit.
        benefit: what buying together gained over the highest prices, B; negative if it lost.
        energy_kwh, contribution, unit_contribution: e, k and kappa of each user, (n,).
        share, bill: x and the bill of each user, (n,).
        benefit_per_kwh, price_per_kwh: p_r and the price of each user, (n,); without energy the
            price is the highest and the benefit 0.
        cost_minor, rent_minor, profit_minor: the same in minor units.
        share_minor, bill_minor, prepaid_minor, refund_minor: of each user in minor units, (n,).
    """

    rule: SharingRule
    rule_words: str
    is_exact: bool
    figures: Figures
    rates: Rates | None
    cost: float
    rent: float
    profit: float
    benefit: float
    energy_kwh: FloatArray
    contribution: FloatArray
    unit_contribution: FloatArray
    share: FloatArray
    bill: FloatArray
    benefit_per_kwh: FloatArray
    price_per_kwh: FloatArray
    cost_minor: int
    rent_minor: int
    profit_minor: int
    share_minor: IntArray
    bill_minor: IntArray
    prepaid_minor: IntArray
    refund_minor: IntArray
    slot_price_per_kwh: FloatArray | None = None
    half_width: FloatArray | None = None

    @property
    def shares(self) -> Shares:
        """The shares that were settled, for a report on them."""
        return Shares(
            rule=self.rule,
            share=self.share,
            cost=self.cost,
            rent=self.rent,
            slot_price_per_kwh=self.slot_price_per_kwh,
            half_width=self.half_width,
            is_exact=self.is_exact,
            method=self.rule_words,
        )


def settle(problem: Problem, seed: int = 0) -> Settlement:
    """The settlement of a problem; `seed` is read by rules that sample.

    Raises:
        InvalidProblem: amounts are too large to be told to the minor unit, a purchase's slot prices
            miss its cost and rent, or the rule cannot take so many users.
    """
    pooled = pooled_cost(problem)
    found = figures(problem, pooled)
    energy = found.user_energy_kwh.sum(axis=1)
    shared = _shares(problem, pooled, found, seed)
    by_gradient = shared.rule is SharingRule.AUMANN_SHAPLEY
    highest = problem.highest_prices_per_kwh
    bill = bills(energy, shared.share, highest, problem.profit_rate, problem.mode)
    price = per_kwh(bill, energy, highest)
    contribution = found.contribution
    worth = highest * energy
    prepaid = problem.prepaid_minor
    if prepaid is None:
        prepaid = in_nearest_units("prepaid", worth, problem.currency)
    entered = account(
        share=shared.share,
        rent=np.float64(shared.rent),
        bill=bill,
        prepaid_minor=prepaid,
        currency=problem.currency,
        names=problem.curves.names,
    )
    return Settlement(
        rule=problem.sharing_rule,
        rule_words=shared.method,
        is_exact=shared.is_exact,
        figures=found,
        rates=pooled.rates(found.total_kw) if by_gradient else None,
        cost=shared.cost,
        rent=shared.rent,
        profit=float(bill.sum() - shared.share.sum()),
        benefit=float(worth.sum() - shared.share.sum()),
        energy_kwh=energy,
        contribution=contribution,
        unit_contribution=per_kwh(contribution, energy, np.zeros(energy.size)),
        share=shared.share,
        bill=bill,
        benefit_per_kwh=highest - price,
        price_per_kwh=price,
        cost_minor=int(entered.cost_minor),
        rent_minor=int(entered.rent_minor),
        profit_minor=int(entered.profit_minor),
        share_minor=entered.share_minor,
        bill_minor=entered.bill_minor,
        prepaid_minor=entered.prepaid_minor,
        refund_minor=entered.refund_minor,
        slot_price_per_kwh=shared.slot_price_per_kwh,
        half_width=shared.half_width,
    )


def bills(
    energy_kwh: FloatArray,
    share: FloatArray,
    highest_price_per_kwh: FloatArray,
    profit_rate: FloatArray | float,
    mode: Mode,
) -> FloatArray:
    """The bills before rounding, in the currency, in the shape of the shares."""
    if mode is Mode.COST_PLUS:
        return (1.0 + profit_rate) * share
    return profit_rate * (highest_price_per_kwh * energy_kwh) + (1.0 - profit_rate) * share


def per_kwh(amount: FloatArray, energy_kwh: FloatArray, otherwise: FloatArray) -> FloatArray:
    """The amounts by their energy, or `otherwise` where there is none."""
    return np.divide(amount, energy_kwh, out=otherwise.astype(np.float64), where=energy_kwh > 0.0)


def account(
    *,
    share: FloatArray,
    rent: FloatArray | np.float64,
    bill: FloatArray,
    prepaid_minor: IntArray,
    currency: Currency,
    names: Sequence[str],
) -> Account:
    """The amounts in minor units, adding up without a rest.

    The total of all shares, the rent and the total of all bills are rounded to the nearest unit;
    cost and profit are what is left between them, and shares and bills are apportioned.

    Args:
        share: in the currency, (..., n).
        rent: in the currency, (...).
        bill: in the currency, (..., n).
        prepaid_minor: in minor units, (..., n).
        currency: whose minor units they become.
        names: n distinct names, by which ties are broken.

    Raises:
        InvalidProblem: amounts are too large to be told to the minor unit.
    """
    shares = in_minor_units("shares", share, currency)
    bill_minor = in_minor_units("bills", bill, currency)
    shared, billed = to_nearest(shares.sum(axis=-1)), to_nearest(bill_minor.sum(axis=-1))
    rent_minor = in_nearest_units("rent", np.asarray(rent)[..., None], currency)[..., 0]
    bill_minor = apportion(bill_minor, billed, names)
    return Account(
        cost_minor=shared - rent_minor,
        rent_minor=rent_minor,
        profit_minor=billed - shared,
        share_minor=apportion(shares, shared, names),
        bill_minor=bill_minor,
        prepaid_minor=prepaid_minor,
        refund_minor=prepaid_minor - bill_minor,
    )


def _shares(problem: Problem, pooled: PooledCost, found: Figures, seed: int) -> Shares:
    """The shares by the rule, which add up to cost and rent but for what floats make of sums."""
    purchase = problem.purchase
    shares = share(
        problem.curves.load_kw,
        pooled,
        problem.sharing_rule,
        purchase=purchase,
        seed=seed,
        total_kw=found.total_kw,
    )
    size, brought = np.abs(shares.share), float(shares.share.sum())
    whole, rest = float(size.sum()), shares.cost + shares.rent - brought
    if abs(rest) > BALANCE * max(1.0, abs(shares.cost), abs(shares.rent)):
        _refuse(shares, purchase, brought)
    # Slot prices are rounded, and programmes leave a rest within their tolerance: cents of a large
    # cost. What floats leave is none, and spreading it would make bits depend on everybody's.
    if abs(rest) <= NOISE * whole or whole == 0.0:
        return shares
    return replace(shares, share=shares.share + (rest / whole) * size)


def _refuse(shares: Shares, purchase: Purchase | None, brought: float) -> NoReturn:
    """Raises for shares that miss what they share: a purchase's prices, or our own fault."""
    if purchase is None:
        raise ArithmeticError(f"shares by {shares.rule.value} add up to {brought!r}")
    message = (
        f"is {purchase.rent:g}; the slot prices bring in {brought:g} for a cost of "
        f"{purchase.cost:g}, so the rent must be {brought - purchase.cost:g}"
    )
    raise InvalidProblem([Violation("purchase.rent", message)])
