"""What a settlement means: what pooling gained or lost, who bears it, and who is worse off."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from loadloom.models.agency.figures import pooled_cost
from loadloom.models.agency.money import in_words, to_nearest
from loadloom.models.agency.problem import IntArray, Mode, Problem
from loadloom.models.agency.refunds import NO_PRICE, Cure, cure
from loadloom.models.agency.settle import Settlement
from loadloom.models.agency.words import MOST_NAMED, listed
from loadloom.models.horizon import FloatArray

NEARLY = 1e-9
"""Amounts this near to each other, relative to their size, are the same."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What a settlement comes to, in the currency, before rounding.

    Attributes:
        benefit: B, what the highest prices bring in above the cost; negative if the agent loses.
        agent_part: what of it is the agent's: its profit, or with cost plus what that leaves of it.
        users_part: the rest, which is the users'.
        alone: what each user would have paid the plant alone, (n,); None for a purchase.
        saved: alone less the cost share, (n,); None for a purchase.
        above_highest: the users whose price is above their announced highest price, ascending.
        better_alone: the users whose cost share is above what they would pay alone, ascending.
        cure: the negative refunds and what cures them; None if there are none.
        sentences: the same in words.
    """

    benefit: float
    agent_part: float
    users_part: float
    alone: FloatArray | None
    saved: FloatArray | None
    above_highest: IntArray
    better_alone: IntArray
    cure: Cure | None
    sentences: tuple[str, ...]


def outcome(problem: Problem, settlement: Settlement) -> Outcome:
    """What a settlement comes to, and who bears it."""
    alone = saved = None
    better = np.zeros(0, np.int64)
    if problem.schedule is not None:
        alone = pooled_cost(problem).standalone(problem.curves.load_kw)
        saved = alone - settlement.share
        better = np.flatnonzero(saved < -NEARLY * np.abs(alone))
    highest = problem.highest_prices_per_kwh
    above = np.flatnonzero(settlement.benefit_per_kwh < -NEARLY * np.abs(highest))
    cured = cure(problem, settlement)
    sentences = [
        *_benefit(problem, settlement),
        *_pooling(problem, settlement, alone),
        *_named(problem, above, "pays more per kWh than the highest price announced"),
        *_named(problem, better, "would have paid less alone"),
        *_refunds(problem, cured),
    ]
    return Outcome(
        benefit=settlement.benefit,
        agent_part=settlement.profit,
        users_part=settlement.benefit - settlement.profit,
        alone=alone,
        saved=saved,
        above_highest=above,
        better_alone=better,
        cure=cured,
        sentences=tuple(sentences),
    )


def _minor(problem: Problem, amount: float) -> int:
    return int(to_nearest(np.array(amount * problem.currency.scale)))


def _money(problem: Problem, minor: int) -> str:
    return f"{Decimal(in_words(minor, problem.currency)):,}"


def _benefit(problem: Problem, settlement: Settlement) -> list[str]:
    code = problem.currency.code
    # The profit is told as it is settled, and the users' part so that both add up.
    benefit, profit = _minor(problem, settlement.benefit), settlement.profit_minor
    size, users = _money(problem, abs(benefit)), benefit - profit
    if benefit >= 0:
        first = f"The power cost {size} {code} less than the highest prices bring in."
    else:
        first = f"The power cost {size} {code} more than the highest prices bring in."
    if problem.mode is Mode.COST_PLUS:
        rate = f"{problem.profit_rate:.4g}"
        second = f"The agent earns {_money(problem, profit)} {code}, {rate} of the cost."
    elif benefit >= 0:
        second = (
            f"The agent keeps {_money(problem, profit)} {code} of it, the users have the other"
            f" {_money(problem, users)} {code}."
        )
    else:
        second = (
            f"The agent bears {_money(problem, -profit)} {code} of the loss, the users the other"
            f" {_money(problem, -users)} {code}."
        )
    return [first, second]


def _pooling(problem: Problem, settlement: Settlement, alone: FloatArray | None) -> list[str]:
    if alone is None:
        return []
    gained = float(alone.sum()) - settlement.cost
    size = f"{_money(problem, abs(_minor(problem, gained)))} {problem.currency.code}"
    word = "less" if gained >= 0.0 else "more"
    return [f"Together the users paid the plant {size} {word} than each alone would have."]


def _named(problem: Problem, users: IntArray, what: str) -> list[str]:
    """A sentence on some users, the first few by name; none if there are no such users."""
    if users.size == 0:
        return []
    names = [problem.curves.names[user] for user in users[:MOST_NAMED].tolist()]
    return [f"Each of these {what}: {listed(names, users.size - len(names))}."]


def _refunds(problem: Problem, cured: Cure | None) -> list[str]:
    if cured is None:
        return []
    currency, price = problem.currency, cured.highest_price_minor
    owing = cured.user[cured.refund_minor < 0]
    words = _named(problem, owing, "paid too little beforehand, so that its refund is negative")
    known = price != NO_PRICE
    if known.any():
        most = f"{in_words(int(price[known].max()), currency)} {currency.code}/kWh"
        if problem.has_one_price:
            less = "no smaller one does" if cured.is_smallest else "the next smaller one does not"
            words.append(f"A highest price of {most} cures it, and {less}.")
        else:
            words.append(f"Highest prices of their own cure it, the largest of them {most}.")
    hopeless = cured.user[~known]
    return [*words, *_named(problem, hopeless, "paid for too little energy for a price to cure it")]
