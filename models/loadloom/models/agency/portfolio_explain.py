"""Why a user is in a portfolio or not, whom to recruit next, and what simpler rules would lose.

At the prices of slots w, of energy and of users that the relaxation leaves, user i under contract k
is worth

    worth[i, k] = f2 e - fee - sum_t w[k, t] l[i, t] - energy_per_kwh[k] e - per_user[k]

and is taken where that is clearly above 0. What it really changes, on top of or out of this
portfolio, is its `effect`, found from the sums with and without it.
"""

from dataclasses import dataclass, replace
from enum import Enum
from math import inf, nan

import numpy as np

from loadloom.models.agency.cost import inverse_load_factor, widened
from loadloom.models.agency.portfolio import (
    LEFT_OUT,
    ChoiceArray,
    PortfolioProblem,
    PortfolioSolution,
    SlotWeights,
)
from loadloom.models.agency.portfolio_referee import profit
from loadloom.models.agency.problem import IntArray, LoadArray
from loadloom.models.horizon import FloatArray
from loadloom.solvers.kernels.selecting import prefixes
from loadloom.solvers.kernels.spans import products
from loadloom.solvers.selection.items import Bins, summed


@dataclass(frozen=True, slots=True, kw_only=True)
class UserReason:
    """Why a user is taken or left out.

    Attributes:
        user: its index.
        contract: the contract it is under or would be worth most under.
        taken: whether it is taken.
        revenue: what it pays at most, f2 e, less its fee.
        energy_cost: its energy at the contract's price of energy.
        slot_cost: its load at the prices of slots.
        worth: what remains; above 0 for those who are clearly in.
        effect: what the profit changes by its being there instead of not, all others as they are.
        break_even_price_per_kwh: the f2 at which its worth would be 0; nan without energy.
        text: all of that in a sentence.
    """

    user: int
    contract: int
    taken: bool
    revenue: float
    energy_cost: float
    slot_cost: float
    worth: float
    effect: float
    break_even_price_per_kwh: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recruit:
    """A user who is not taken, in the order of worth.

    `price_rise_per_kwh` is what f2 would have to rise by for the user to be worth taking; nan
    without energy.
    """

    user: int
    contract: int
    worth: float
    worth_per_kwh: float
    break_even_price_per_kwh: float
    price_rise_per_kwh: float
    effect: float


class Naive(Enum):
    """A simple way to choose users; the values are the words in which an answer names it."""

    MARGIN = "by margin per kWh"
    OWN_LOAD_FACTOR = "by own load factor"
    ALONE = "whoever pays alone"
    EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True, kw_only=True)
class NaiveRule:
    """What a simple rule would have earned.

    Attributes:
        name: the rule.
        user_count: how many users it takes: by margin or load factor as many as the portfolio.
        profit: what they bring.
        keeps_limits: whether the limits of all contracts are kept.
        best_user_count, best_profit: the same had it known where to stop, limits kept; -1 and -inf
            if it keeps the limits nowhere.
        lost: the portfolio's profit less `profit`.
        lost_share: that by the portfolio's profit; nan if that is 0.
    """

    name: Naive
    user_count: int
    profit: float
    keeps_limits: bool
    best_user_count: int
    best_profit: float
    lost: float
    lost_share: float


def user_worths(problem: PortfolioProblem, weights: SlotWeights) -> FloatArray:
    """What every user is worth under every contract at the prices of slots, (n, K)."""
    worth = problem.revenue.copy()
    for k in range(len(problem.contracts)):
        worth[:, k] -= recruit_costs(weights, k, problem.curves.load_kw, problem.energy_kwh)
    return worth


def recruit_costs(
    weights: SlotWeights,
    contract: int,
    load_kw: LoadArray,
    energy_kwh: FloatArray,
) -> FloatArray:
    """What loads (m, T) cost at the prices of a contract, (m,); they need not be candidates."""
    slots = np.empty(energy_kwh.size)
    products(load_kw, weights.slot_per_kw[contract], slots)
    energy = weights.energy_per_kwh[contract] * energy_kwh
    return slots + energy + weights.per_user[contract]


def effects(
    problem: PortfolioProblem, contract: ChoiceArray, users: IntArray, into: IntArray
) -> FloatArray:
    """What the profit changes by each user's being under a contract instead of left out, (m,).

    All others stay where they are, and the user itself is left out before: the effect of one that
    is taken under `into` is what would be lost without it. Limits are not looked at.
    """
    items, bins = problem.items(), problem.bins()
    sums = summed(items, contract)
    found = np.empty(users.size)
    for part, load in widened(problem.curves.load_kw, users):
        who, k = users[part], into[part]
        energy = problem.energy_kwh[who]
        inside = contract[who] == k
        less, more = np.where(inside, -1.0, 0.0), np.where(inside, 0.0, 1.0)
        with_it = _cost(bins, k, sums.use[k] + more[:, None] * load, sums.size[k] + more * energy)
        without = _cost(bins, k, sums.use[k] + less[:, None] * load, sums.size[k] + less * energy)
        found[part] = problem.revenue[who, k] - (with_it - without)
    return found


def _cost(bins: Bins, k: IntArray, load: FloatArray, energy: FloatArray) -> FloatArray:
    peak = np.maximum(0.0, load.max(axis=1))
    lines = bins.per_size[k] * energy[:, None] + bins.per_peak[k] * peak[:, None]
    return lines.max(axis=1)


def user_reasons(
    problem: PortfolioProblem, solution: PortfolioSolution, users: IntArray | None = None
) -> list[UserReason]:
    """The reason for each of some users, of all if none are named; none without a portfolio."""
    if solution.contract is None or solution.weights is None:
        return []
    weights = solution.weights
    who = np.arange(problem.curves.count) if users is None else np.asarray(users, dtype=np.int64)
    load, energy = problem.curves.load_kw[who], problem.energy_kwh[who]
    costs = np.stack(
        [recruit_costs(weights, k, load, energy) for k in range(len(problem.contracts))], axis=1
    )
    worth = problem.revenue[who] - costs
    chosen = solution.contract[who]
    into = np.where(chosen == LEFT_OUT, worth.argmax(axis=1), chosen).astype(np.int64)
    effect = effects(problem, solution.contract, who, into)
    return [
        _reason(
            problem,
            weights,
            int(who[m]),
            int(into[m]),
            bool(chosen[m] != LEFT_OUT),
            float(effect[m]),
            float(worth[m, into[m]]),
        )
        for m in range(who.size)
    ]


def _reason(
    problem: PortfolioProblem,
    weights: SlotWeights,
    user: int,
    contract: int,
    taken: bool,
    effect: float,
    worth: float,
) -> UserReason:
    energy = float(problem.energy_kwh[user])
    revenue = float(problem.revenue[user, contract])
    energy_cost = float(weights.energy_per_kwh[contract]) * energy
    slot_cost = revenue - worth - energy_cost - float(weights.per_user[contract])
    price = float(problem.by_contract(problem.highest_price_per_kwh)[user, contract])
    reason = UserReason(
        user=user,
        contract=contract,
        taken=taken,
        revenue=revenue,
        energy_cost=energy_cost,
        slot_cost=slot_cost,
        worth=worth,
        effect=effect,
        break_even_price_per_kwh=price - worth / energy if energy > 0.0 else nan,
        text="",
    )
    return _told(problem, reason)


def _told(problem: PortfolioProblem, reason: UserReason) -> UserReason:
    """The reason with its text."""
    name = problem.curves.names[reason.user]
    contract = problem.contracts[reason.contract].name
    if problem.musts[reason.user]:
        first = f"{name} must be taken, and is under {contract}"
    elif problem.nevers[reason.user]:
        first = f"{name} must not be taken"
    elif reason.taken:
        first = f"{name} is taken under {contract}"
    else:
        first = f"{name} is left out"
    sums = (
        f"it brings {reason.revenue:.2f} after its fee, its energy costs {reason.energy_cost:.2f}"
        f" and its load at the priced slots {reason.slot_cost:.2f}, which leaves {reason.worth:.2f}"
    )
    change = "without it the profit would be less by" if reason.taken else "with it, more by"
    return replace(reason, text=f"{first}: {sums}; {change} {reason.effect:.2f}")


def recruits(
    problem: PortfolioProblem, solution: PortfolioSolution, count: int = 20
) -> list[Recruit]:
    """Those left out who are worth most at the prices of slots, best first.

    Users that must not be taken are not among them.
    """
    if solution.contract is None or solution.weights is None:
        return []
    worth = user_worths(problem, solution.weights)
    best = worth.max(axis=1)
    out = np.flatnonzero((solution.contract == LEFT_OUT) & ~problem.nevers)
    order = out[np.argsort(-best[out], kind="stable")][:count]
    into = worth[order].argmax(axis=1)
    effect = effects(problem, solution.contract, order, into)
    price = problem.by_contract(problem.highest_price_per_kwh)
    found = []
    for user, contract, change in zip(order, into, effect, strict=True):
        energy = float(problem.energy_kwh[user])
        rise = -float(best[user]) / energy if energy > 0.0 else nan
        found.append(
            Recruit(
                user=int(user),
                contract=int(contract),
                worth=float(best[user]),
                worth_per_kwh=-rise,
                break_even_price_per_kwh=float(price[user, contract]) + rise,
                price_rise_per_kwh=rise,
                effect=float(change),
            )
        )
    return found


def naive_rules(problem: PortfolioProblem, solution: PortfolioSolution) -> list[NaiveRule]:
    """What each simple rule would have earned beside the portfolio; none without one."""
    if solution.contract is None:
        return []
    best = profit(problem, solution.contract)
    count = int((solution.contract != LEFT_OUT).sum())
    return [_naive(problem, name, best, count) for name in Naive]


def _naive(problem: PortfolioProblem, name: Naive, best: float, count: int) -> NaiveRule:
    """A rule that ranks users, those that must be taken first, and takes the first of them."""
    rank, into, wanted = _ranked(problem, name)
    rank = np.where(problem.musts, inf, rank)
    order = np.argsort(-rank, kind="stable")
    order = order[~problem.nevers[order]]
    bins = problem.bins()
    value, kept = np.empty(order.size + 1), np.zeros(order.size + 1, np.bool_)
    prefixes(
        problem.curves.load_kw,
        problem.energy_kwh,
        problem.revenue,
        into,
        order,
        np.stack((bins.per_size, bins.per_peak)),
        bins.lows,
        bins.highs,
        value,
        kept,
    )
    fewest = int(problem.musts.sum())
    taken = max(fewest, min(count if wanted is None else wanted, order.size))
    kept[:fewest] = False
    allowed = np.where(kept, value, -inf)
    stop = int(allowed.argmax())
    found = bool(kept.any())
    lost = best - float(value[taken])
    return NaiveRule(
        name=name,
        user_count=taken,
        profit=float(value[taken]),
        keeps_limits=bool(kept[taken]),
        best_user_count=stop if found else -1,
        best_profit=float(allowed[stop]),
        lost=lost,
        lost_share=lost / abs(best) if best else nan,
    )


def _ranked(problem: PortfolioProblem, name: Naive) -> tuple[FloatArray, IntArray, int | None]:
    """The rank of each user, its contract, and how many the rule takes; None as the portfolio."""
    energy, revenue = problem.energy_kwh, problem.revenue
    used = np.where(energy > 0.0, energy, 1.0)
    own_peak = problem.curves.load_kw.max(axis=1).astype(np.float64)
    own_u = inverse_load_factor(problem.hours, own_peak, energy)
    alone = revenue - np.stack(
        [energy * terms.schedule.value(own_u) for terms in problem.contracts], axis=1
    )
    if name is Naive.MARGIN:
        return (revenue / used[:, None]).max(axis=1), revenue.argmax(axis=1), None
    into = alone.argmax(axis=1)
    if name is Naive.OWN_LOAD_FACTOR:
        return np.where(energy > 0.0, 1.0 / own_u, -inf), into, None
    gain = alone.max(axis=1)
    if name is Naive.EVERYBODY:
        return gain, into, problem.curves.count
    open_to_all = ~problem.musts & ~problem.nevers
    wanted = int(problem.musts.sum() + (open_to_all & (gain > 0.0)).sum())
    return gain, into, wanted
