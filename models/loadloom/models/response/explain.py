"""Why each customer is called or not, what a kW is worth where, and how calls are spread."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.response import referee
from loadloom.models.response.network import FlagArray
from loadloom.models.response.problem import (
    NO_GROUP,
    NOT_CALLED,
    IndexArray,
    OfferArray,
    Problem,
)
from loadloom.models.response.ranking import ranked_by_mean
from loadloom.models.response.rows import needed
from loadloom.models.response.solution import Solution
from loadloom.models.response.worth import Worth, worth


class Cause(Enum):
    """Why a customer is called or not; the values are the words in which an answer says it."""

    CHEAP = "called because it costs less than the needs above it pay"
    FILLS = "called because customers are whole: somebody has to give the last kW"
    MUST = "called because it must be"
    DEAR = "not called because it costs more than the needs above it pay"
    SPARE = "not called because the needs are met without it"
    NO_ROOM = "not called because its group's quota, or the budget, has no room for it"
    NO_NEED = "not called because no need above it binds"
    BARRED = "not called because it must not be"
    NO_CALLS_LEFT = "not called because it has no calls left this season"
    NO_OFFER = "not called because there is no offer for it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why one customer is called or not; money per kW is per risk-adjusted kW.

    Attributes:
        customer: who.
        cause: the reason.
        offer: the offer called, or the best there is; `NOT_CALLED` without any.
        mean_kw: its expected reduction, the mean of all slots.
        adjusted_kw: its risk-adjusted reduction; see `worth`.
        cost: what it costs.
        cost_per_kw: that per risk-adjusted kW; infinite if it adds nothing.
        price_per_kw: what the needs above it pay for one.
        rank: its place by cost per risk-adjusted kW among `ranked` under the same needs, from 1.
        rank_by_mean: its place by cost per expected kW.
        ranked: how many have the same needs above them.
        sentence: the same in words.
    """

    customer: int
    cause: Cause
    offer: int
    mean_kw: float
    adjusted_kw: float
    cost: float
    cost_per_kw: float
    price_per_kw: float
    rank: int
    rank_by_mean: int
    ranked: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFigures:
    """How the calls of a plan fall on one group; `called_share` is of its customers."""

    group: int
    customer_count: int
    called_count: int
    called_share: float
    mean_kw: float
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeanRanking:
    """What ranking customers by cost per expected kW alone would have come to.

    `offer` is None where such a ranking never meets the needs; `excess` is the share by which it
    costs more than the plan.
    """

    offer: OfferArray | None
    cost: float
    excess: float


def explain(problem: Problem, solution: Solution, customers: Sequence[int]) -> tuple[Why, ...]:
    """Why each of some customers is called or not.

    Raises:
        InvalidProblem: there is no such customer, or no plan with prices to explain.
    """
    count = problem.customers.count
    wrong = [
        Violation(f"customers[{k}]", f"is {customer}; must be from 0 to {count - 1}")
        for k, customer in enumerate(customers)
        if not 0 <= customer < count
    ]
    if solution.offer is None or solution.price_per_kw is None:
        wrong.append(Violation("solution", "has no call list with prices that could be explained"))
    if wrong or solution.offer is None:
        raise InvalidProblem(wrong)
    z = solution.common_z
    common = None if z is None else np.full(problem.network.count, z)
    planned = referee.figures(problem, solution.offer, common)
    binding = _binding(problem, solution.offer, planned)
    ranks = _Ranks(problem, worth(problem, solution), planned, binding)
    return tuple(_why(problem, solution, ranks, customer) for customer in customers)


class _Ranks:
    """Offers by cost per risk-adjusted kW and per expected kW, among those under the same needs."""

    def __init__(
        self, problem: Problem, at: Worth, planned: referee.Figures, binding: FlagArray
    ) -> None:
        self.problem, self.at, self.planned, self.binding = problem, at, planned, binding
        cost, mean = problem.offers.cost, problem.mean_kw.mean(axis=1)
        self.mean = mean
        self.cost_per_kw = _per(cost, at.adjusted_kw)
        self.cost_per_mean_kw = _per(cost, mean)
        self.region = _regions(problem)[problem.customers.nodes]
        self._best: dict[int, tuple[FloatArray, FloatArray]] = {}

    def best(self, customer: int) -> int:
        """The best offer of a customer by cost per risk-adjusted kW."""
        first, last = self.problem.first_offer[customer : customer + 2]
        own = self.cost_per_kw[first:last]
        return NOT_CALLED if first == last else int(first + np.argmin(own))

    def place(self, customer: int, offer: int) -> tuple[int, int, int]:
        """The place of an offer by both rankings in its region, and how many customers it has."""
        region = int(self.region[customer])
        if region not in self._best:
            own = self.region[self.problem.offers.customers] == region
            whose = self.problem.offers.customers[own]
            starts = np.flatnonzero(np.diff(whose, prepend=-1))
            self._best[region] = tuple(  # pyright: ignore[reportArgumentType] -- two of them
                np.sort(np.minimum.reduceat(ratio[own], starts))
                for ratio in (self.cost_per_kw, self.cost_per_mean_kw)
            )
        by_worth, by_mean = self._best[region]
        return (
            1 + int(np.searchsorted(by_worth, self.cost_per_kw[offer])),
            1 + int(np.searchsorted(by_mean, self.cost_per_mean_kw[offer])),
            by_worth.size,
        )


def _per(cost: FloatArray, kw: FloatArray) -> FloatArray:
    return np.divide(cost, kw, out=np.full(cost.size, np.inf), where=kw > 0.0)


def _regions(problem: Problem) -> IndexArray:
    """The lowest node with a need at or above each node; -1 for none."""
    network = problem.network
    found = np.where(needed(problem).any(axis=1), np.arange(network.count), -1)
    for nodes in network.levels[1:]:
        found[nodes] = np.where(found[nodes] >= 0, found[nodes], found[network.parent[nodes]])
    return found


def _binding(problem: Problem, offer: OfferArray, planned: referee.Figures) -> FlagArray:
    """Whether some need at or above each node would be missed without one of the calls, (V,).

    A need that decides may have no price, where prices alone do not find the plan.
    """
    network, free = problem.network, (offer != NOT_CALLED) & ~problem.customers.musts
    largest = np.zeros(network.need_kw.shape)
    np.maximum.at(largest, problem.customers.nodes[free], problem.mean_kw[offer[free]])
    for nodes in network.levels[:0:-1]:
        np.maximum.at(largest, network.parent[nodes], largest[nodes])
    binds = needed(problem) & (planned.secured_kw - largest < network.need_kw)
    found = np.asarray(binds.any(axis=1))
    for nodes in network.levels[1:]:
        found[nodes] |= found[network.parent[nodes]]
    return found


def _why(problem: Problem, solution: Solution, ranks: _Ranks, customer: int) -> Why:
    called = NOT_CALLED if solution.offer is None else int(solution.offer[customer])
    offer = called if called != NOT_CALLED else ranks.best(customer)
    if offer == NOT_CALLED:
        place = (0, 0, 0)
        mean = adjusted = cost = price = 0.0
        ratio = np.inf
    else:
        place = ranks.place(customer, offer)
        mean, adjusted = float(ranks.mean[offer]), float(ranks.at.adjusted_kw[offer])
        cost, ratio = float(problem.offers.cost[offer]), float(ranks.cost_per_kw[offer])
        price = float(ranks.at.price_per_kw[offer])
    cause = _cause(problem, ranks, customer, called, offer)
    rank, by_mean, ranked = place
    sentence = f"{problem.customers.name(customer)} is {cause.value}."
    if cause in {Cause.CHEAP, Cause.FILLS, Cause.DEAR, Cause.SPARE, Cause.NO_ROOM}:
        region = problem.network.name(int(ranks.region[customer]))
        sentence = (
            f"{sentence[:-1]}: {ratio:.4g} per risk-adjusted kW against {price:.4g}. In {region} it"
            f" is number {rank} of {ranked}; ranking by mean alone puts it at {by_mean}."
        )
    return Why(
        customer=customer,
        cause=cause,
        offer=offer,
        mean_kw=mean,
        adjusted_kw=adjusted,
        cost=cost,
        cost_per_kw=ratio,
        price_per_kw=price,
        rank=rank,
        rank_by_mean=by_mean,
        ranked=ranked,
        sentence=sentence,
    )


def _cause(problem: Problem, ranks: _Ranks, customer: int, called: int, offer: int) -> Cause:
    who = problem.customers
    if called != NOT_CALLED and who.musts[customer]:
        return Cause.MUST
    if called == NOT_CALLED and not who.callable[customer]:
        barred = who.never_call is not None and bool(who.never_call[customer])
        return Cause.BARRED if barred else Cause.NO_CALLS_LEFT
    if offer == NOT_CALLED:
        return Cause.NO_OFFER
    pays = float(ranks.at.value[offer]) >= float(problem.offers.cost[offer])
    if called != NOT_CALLED:
        return Cause.CHEAP if pays else Cause.FILLS
    if ranks.at.price_per_kw[offer] <= 0.0 and not ranks.binding[who.nodes[customer]]:
        return Cause.NO_NEED
    if not pays:
        return Cause.DEAR
    return Cause.NO_ROOM if _no_room(problem, ranks.planned, customer, offer) else Cause.SPARE


def _no_room(problem: Problem, planned: referee.Figures, customer: int, offer: int) -> bool:
    """Whether one more call would pass the most of the customer's quota, or the budget."""
    group = NO_GROUP if problem.customers.group is None else problem.customers.group[customer]
    cost = float(problem.offers.cost[offer])
    if problem.budget is not None and planned.cost + cost > problem.budget:
        return True
    return any(
        (quota.call_max is not None and planned.group_calls[group] >= quota.call_max)
        or planned.group_cost[group] + cost > quota.cost_max
        for quota in problem.quotas
        if quota.group == group
    )


def mean_ranking(problem: Problem, solution: Solution) -> MeanRanking:
    """What ranking by mean alone would have come to, beside a plan."""
    offer = ranked_by_mean(problem)
    cost = np.inf if offer is None else referee.cost(problem, offer)
    own = np.inf if solution.offer is None else referee.cost(problem, solution.offer)
    excess = cost / own - 1.0 if 0.0 < own < np.inf else 0.0
    return MeanRanking(offer=offer, cost=cost, excess=excess)


def equity(problem: Problem, offer: OfferArray) -> tuple[GroupFigures, ...]:
    """How the calls of a plan fall on the groups; empty without groups."""
    group = problem.customers.group
    if group is None:
        return ()
    count = int(group.max()) + 1
    if count <= 0:
        return ()
    found = referee.figures(problem, offer)
    called = np.flatnonzero((offer != NOT_CALLED) & (group >= 0))
    mean = problem.mean_kw[offer[called]].mean(axis=1)
    mean_kw = np.bincount(group[called], weights=mean, minlength=count)
    size = np.bincount(group[group >= 0], minlength=count)
    return tuple(
        GroupFigures(
            group=g,
            customer_count=int(size[g]),
            called_count=int(found.group_calls[g]),
            called_share=float(found.group_calls[g]) / max(1, int(size[g])),
            mean_kw=float(mean_kw[g]),
            cost=float(found.group_cost[g]),
        )
        for g in range(count)
    )
