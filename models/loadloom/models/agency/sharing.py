"""Who bears how much of what was bought together, by any of nine rules.

With the cost F1 of all, e[i] a user's energy and F1({i}) what a user would pay alone,

    Aumann-Shapley       x[i] = sum_t lambda[t] * h[t] * l[i,t], lambda the gradient of F1
    coincident peak      in proportion to the load at the peak
    energy               in proportion to e[i]
    proportional saving  in proportion to F1({i}): everybody saves the same share
    leave one out        in proportion to F1 - F1(all but i)
    Shapley              the mean, over all orders of joining, of what a user adds to the cost
    nucleolus            the largest complaint of a coalition as small as can be, then the next
    least core           the largest complaint as small as can be
    Owen duals           x[i] = sum_t lambda[t] * h[t] * l[i,t], lambda the duals of a purchase

The first three and Owen shares are bills at slot prices, and additive: users that merge or split
pay the same in sum, so that false names gain nothing. Slots that tie for the peak share its weight
by their hours; days that tie for the last of some top peaks share its place. Where each day is
billed, the coincident peak shares each day's cost by that day's peak.
"""

from dataclasses import dataclass

import numpy as np

from loadloom.models.agency.audit import TOLERANCE
from loadloom.models.agency.cost import PooledCost, total
from loadloom.models.agency.games import (
    MOST_EXACT,
    coalition_costs,
    least_core,
    marginal_costs,
    nucleolus,
    sampled_shapley,
    shapley,
)
from loadloom.models.agency.least_core import MOST_GENERATED, generated_least_core
from loadloom.models.agency.problem import LoadArray, Purchase, SharingRule, rule_fault
from loadloom.models.checks import Checks, InvalidProblem, Violation
from loadloom.models.horizon import FloatArray

FEWEST_PAIRS = 32
"""The fewest orders, each with its reverse, that Shapley values are drawn from."""

MOST_PAIRS = 2_000
"""The most orders, each with its reverse, that Shapley values are drawn from."""

_SAMPLED_VALUES = 2e8
"""How many numbers of load are added up in drawn orders, if the fewest pairs do not need more."""

CONFIDENCE = 0.95
"""The probability with which a drawn Shapley value lies within its interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The users' shares of a cost.

    Attributes:
        share: what each user bears, in the currency, (n,).
        cost: F1, what was paid for all.
        rent: what the shares bring in above the cost; only slot prices of a purchase bring in any.
        slot_price_per_kwh: the prices that the shares are bills by, (T,), where they are any.
        half_width: of drawn Shapley values the interval in each direction, (n,).
        is_exact: whether the shares are those of the rule, or come close to them.
        method: how the shares were found, in words.
    """

    rule: SharingRule
    share: FloatArray
    cost: float
    rent: float = 0.0
    slot_price_per_kwh: FloatArray | None = None
    half_width: FloatArray | None = None
    is_exact: bool = True
    method: str

    @property
    def rounding(self) -> float:
        """An amount up to which a difference of what users pay is none, in the currency."""
        return TOLERANCE * (float(np.abs(self.share).sum()) or 1.0)

    @property
    def imbalance(self) -> float:
        """By how much the shares miss cost and rent, relative to what they add up to."""
        due = self.cost + self.rent
        return abs(float(self.share.sum()) - due) / max(abs(due), 1e-300)


def share(
    load_kw: LoadArray,
    cost: PooledCost,
    rule: SharingRule,
    *,
    purchase: Purchase | None = None,
    seed: int = 0,
    total_kw: FloatArray | None = None,
) -> Shares:
    """The shares of users with loads (n, T) in kW, none negative, by a rule.

    Args:
        load_kw: the loads of all users.
        cost: what loads cost; of a purchase only the hours of its slots are read.
        rule: the way of sharing.
        purchase: what was paid and the slot prices, for OWEN_DUALS and ENERGY.
        seed: the orders that are drawn for Shapley values of many users.
        total_kw: the sum of all loads, (T,), where it is known.

    Raises:
        InvalidProblem: the rule is not defined here: too many users for it, no purchase where its
            duals are asked for, no user whose leaving saves anything, a cost without any energy.
    """
    everybody = total(load_kw) if total_kw is None else total_kw
    _check(load_kw, everybody, rule, purchase)
    if purchase is not None:
        return _of_purchase(load_kw, cost, everybody, rule, purchase)
    amount = float(cost.value(everybody))
    if not everybody.any():
        nothing = np.zeros(load_kw.shape[0])
        return Shares(rule=rule, share=nothing, cost=0.0, method="without any load")
    match rule:
        case SharingRule.AUMANN_SHAPLEY:
            price = cost.slot_prices(everybody)
            return _by_prices(load_kw, cost, rule, amount, price, "the gradient of the cost")
        case SharingRule.COINCIDENT_PEAK:
            price = coincident_prices(cost, everybody)
            return _by_prices(load_kw, cost, rule, amount, price, "the load at the peak")
        case SharingRule.ENERGY:
            price = np.full(everybody.size, amount / float(everybody @ cost.step_h))
            return _by_prices(load_kw, cost, rule, amount, price, "energy")
        case SharingRule.SAVING:
            alone = cost.standalone(load_kw)
            return _in_proportion(alone, rule, amount, "what each would pay alone")
        case SharingRule.LEAVE_ONE_OUT:
            saved = amount - cost.without(load_kw, everybody)
            return _in_proportion(saved, rule, amount, "what each one's leaving saves, normalised")
    return _by_game(load_kw, cost, rule, amount, seed)


def coincident_prices(cost: PooledCost, total_kw: FloatArray) -> FloatArray:
    """The price per kWh of each slot that bills all cost by the load at the peak, (T,)."""
    spans, weights = cost.block_starts, cost.peak_weights(total_kw)
    energy, peak = cost.energy_kwh(total_kw), np.add.reduceat(weights * total_kw, spans)
    amounts = energy * cost.schedule.value(cost.inverse_load_factor(total_kw))
    per_kw = np.where(peak > 0.0, amounts / np.where(peak > 0.0, peak, 1.0), 0.0)
    return per_kw[cost.block_of_slot] * weights / cost.step_h


def _by_prices(
    load_kw: LoadArray,
    cost: PooledCost,
    rule: SharingRule,
    amount: float,
    price: FloatArray,
    by: str,
) -> Shares:
    return Shares(
        rule=rule,
        share=cost.at_prices(load_kw, price),
        cost=amount,
        slot_price_per_kwh=price,
        method=f"in closed form, by {by}",
    )


def _in_proportion(weight: FloatArray, rule: SharingRule, amount: float, by: str) -> Shares:
    whole = float(weight.sum())
    if not whole > 1e-12 * abs(amount):
        message = f"is {rule.value}; no user's part of the cost is above 0, take another rule"
        raise InvalidProblem([Violation("rule", message)])
    shares = weight * (amount / whole)
    return Shares(rule=rule, share=shares, cost=amount, method=f"in proportion to {by}")


def _by_game(
    load_kw: LoadArray, cost: PooledCost, rule: SharingRule, amount: float, seed: int
) -> Shares:
    count = load_kw.shape[0]
    if count <= MOST_EXACT:
        game = {
            SharingRule.SHAPLEY: shapley,
            SharingRule.NUCLEOLUS: nucleolus,
            SharingRule.LEAST_CORE: lambda costs: least_core(costs).share,
        }[rule]
        shares = game(coalition_costs(load_kw, cost))
        method = f"exactly, from the costs of all {2**count} coalitions"
        return Shares(rule=rule, share=shares, cost=amount, method=method)
    if rule is SharingRule.SHAPLEY:
        return _sampled(load_kw, cost, amount, seed)
    found = generated_least_core(load_kw, cost)
    return Shares(
        rule=rule,
        share=found.share,
        cost=amount,
        is_exact=found.is_settled,
        method=f"from {found.coalition_count} coalitions that complained most, one after another",
    )


def _sampled(load_kw: LoadArray, cost: PooledCost, amount: float, seed: int) -> Shares:
    pairs = int(np.clip(_SAMPLED_VALUES / (2 * load_kw.size), FEWEST_PAIRS, MOST_PAIRS))
    added = marginal_costs(load_kw, cost)
    drawn = sampled_shapley(added, load_kw.shape[0], pairs=pairs, confidence=CONFIDENCE, seed=seed)
    return Shares(
        rule=SharingRule.SHAPLEY,
        share=drawn.value,
        cost=amount,
        half_width=drawn.half_width,
        is_exact=False,
        method=f"the mean of {drawn.order_count} drawn orders, each one's interval at"
        f" {CONFIDENCE:.0%}",
    )


def _of_purchase(
    load_kw: LoadArray,
    cost: PooledCost,
    everybody: FloatArray,
    rule: SharingRule,
    purchase: Purchase,
) -> Shares:
    if rule is SharingRule.ENERGY:
        energy = float(everybody @ cost.step_h)
        price = np.full(everybody.size, purchase.cost / energy if energy else 0.0)
        return _by_prices(load_kw, cost, rule, purchase.cost, price, "energy")
    return Shares(
        rule=rule,
        share=cost.at_prices(load_kw, purchase.slot_price_per_kwh),
        cost=purchase.cost,
        rent=purchase.rent,
        slot_price_per_kwh=purchase.slot_price_per_kwh,
        method="in closed form, by the purchase's price of each slot",
    )


def _check(
    load_kw: LoadArray, everybody: FloatArray, rule: SharingRule, purchase: Purchase | None
) -> None:
    checks, count = Checks(), load_kw.shape[0]
    fault = rule_fault(rule, by_purchase=purchase is not None)
    checks.require(not fault, "rule", fault)
    if purchase is not None and rule is SharingRule.ENERGY and not everybody.any():
        costless = abs(purchase.cost) <= TOLERANCE
        message = f"is {purchase.cost:g}; it cannot be shared by energy, since nobody used any"
        checks.require(costless, "purchase.cost", message)
    most = {SharingRule.NUCLEOLUS: MOST_EXACT, SharingRule.LEAST_CORE: MOST_GENERATED}
    limit = most.get(rule, count)
    message = f"is {rule.value}; it is found for up to {limit} users, and here are {count}"
    checks.require(count <= limit, "rule", message)
    checks.finish()
