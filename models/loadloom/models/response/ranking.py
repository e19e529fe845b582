"""Rankings of customers: by mean alone, as it is usually done, and the reserve of a plan."""

from dataclasses import dataclass

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.response.problem import NOT_CALLED, IndexArray, OfferArray, Problem
from loadloom.models.response.referee import RELATIVE, figures
from loadloom.models.response.rows import BARRED, needed, states
from loadloom.models.response.solution import Solution
from loadloom.models.response.worth import margins, shared_kw, z_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reserve:
    """Who would be called next at a node with a need, the cheapest per risk-adjusted kW first.

    Attributes:
        node: whose need it is.
        customers: the customers, (k,).
        offer: the offer of each, (k,).
        adjusted_kw: its risk-adjusted kW, the mean of the slots with a need, (k,).
        cost_per_kw: what each of these costs, (k,).
    """

    node: int
    customers: IndexArray
    offer: OfferArray
    adjusted_kw: FloatArray
    cost_per_kw: FloatArray


def ranked_by_mean(problem: Problem) -> OfferArray | None:
    """The call list of who ranks customers by cost per expected kW alone; None if it fails.

    At each node with a need, the lowest first, the next of the ranking are called until the need is
    met with its confidence. Quotas, headrooms and budgets are not looked at.
    """
    mean = problem.mean_kw.mean(axis=1)
    state = states(problem)
    # Who gives nothing costs infinitely much per kW and stands last.
    ratio = np.divide(problem.offers.cost, mean, out=np.full(mean.size, np.inf), where=mean > 0.0)
    ranked = np.lexsort((ratio, state == BARRED))[: np.count_nonzero(state != BARRED)]
    tree = _Tree(problem, ranked)
    tree.call_musts()
    for level in reversed(problem.network.levels):
        for node in level[needed(problem)[level].any(axis=1)].tolist():
            if not tree.meet(node):
                return None
    return tree.offer


class _Tree:
    """Offers in the order of a ranking, those below a node side by side, and who is called yet."""

    def __init__(self, problem: Problem, ranked: IndexArray) -> None:
        self.problem = problem
        self.first, self.last = problem.network.span
        place = self.first[problem.customers.nodes[problem.offers.customers[ranked]]]
        order = np.argsort(place, kind="stable")
        self.place, self.rank = place[order], order
        self.ranked = ranked
        self.offer = np.full(problem.customers.count, NOT_CALLED, np.int32)

    def call_musts(self) -> None:
        """Calls those who must be called, under their best offer in the ranking."""
        self._call(self.ranked[self.problem.customers.musts[self._whose(self.ranked)]])

    def meet(self, node: int) -> bool:
        """Whether the need of a node can be met by calling the next of the ranking; calls them."""
        problem, network = self.problem, self.problem.network
        begin, end = np.searchsorted(self.place, (self.first[node], self.last[node]))
        below = self.ranked[np.sort(self.rank[begin:end])]
        whose = self._whose(below)
        called = self.offer[whose] == below
        free = below[(self.offer[whose] == NOT_CALLED)]
        free = free[_first_of_each(self._whose(free))]
        base, items = below[called], free
        good = np.ones(items.size + 1, np.bool_)
        for s in np.flatnonzero(needed(problem)[node]).tolist():
            mean, variance = problem.mean_kw[:, s], problem.variance_kw2[:, s]
            sums = mean[base].sum() + _running(mean[items])
            spread = network.spread_kw[node, s] ** 2 + variance[base].sum()
            spread = spread + _running(variance[items])
            if problem.offers.loading is not None:
                for g in (problem.offers.loading * mean[:, None]).T:
                    spread = spread + (g[base].sum() + _running(g[items])) ** 2
            need = network.need_kw[node, s]
            slack = RELATIVE * max(1.0, abs(need))
            good &= sums - network.z[node] * np.sqrt(spread) >= need - slack
        if not good.any():
            return False
        self._call(items[: int(np.argmax(good))])
        return True

    def _call(self, offers: IndexArray) -> None:
        offers = offers[_first_of_each(self._whose(offers))]
        self.offer[self._whose(offers)] = offers

    def _whose(self, offers: IndexArray) -> IndexArray:
        return self.problem.offers.customers[offers]


def _running(values: FloatArray) -> FloatArray:
    return np.concatenate(([0.0], np.cumsum(values)))


def _first_of_each(customers: IndexArray) -> IndexArray:
    """Where each customer stands first, ascending."""
    return np.sort(np.unique(customers, return_index=True)[1])


def reserve(problem: Problem, solution: Solution, count: int = 10) -> tuple[Reserve, ...]:
    """Who would be called next at each node with a need, at most so many; none without a plan."""
    if solution.offer is None:
        return ()
    network, offers = problem.network, problem.offers
    z = z_of(problem, solution)
    found = figures(problem, solution.offer, z)
    at = margins(found, shared_kw(problem, solution.offer), z)
    free = (states(problem) != BARRED) & (solution.offer[offers.customers] == NOT_CALLED)
    candidates = np.flatnonzero(free)
    first, last = network.span
    place = first[problem.customers.nodes[offers.customers[candidates]]]
    order = np.argsort(place, kind="stable")
    candidates, place = candidates[order], place[order]
    # Those below a node lie side by side: thousands of nodes take a slice each.
    mean_kw, variance_kw2 = problem.mean_kw[candidates], problem.variance_kw2[candidates]
    counts = needed(problem)
    nodes = np.flatnonzero(counts.any(axis=1))
    begins, ends = np.searchsorted(place, first[nodes]), np.searchsorted(place, last[nodes])
    told, levels = [], int(problem.offer_count.max())
    for v, begin, end in zip(nodes.tolist(), begins.tolist(), ends.tolist(), strict=True):
        items, mean = candidates[begin:end], mean_kw[begin:end]
        adjusted = mean - variance_kw2[begin:end] * at.own[v]
        if offers.loading is not None:
            adjusted -= mean * (offers.loading[items] @ at.shared[v].T)
        wanted = adjusted[:, counts[v]].mean(axis=1)
        told.append(_cheapest(problem, v, items, wanted, count, levels))
    return tuple(told)


def _cheapest(
    problem: Problem,
    node: int,
    items: IndexArray,
    adjusted: FloatArray,
    count: int,
    levels: int,
) -> Reserve:
    """The reserve of a node: the best offer of each customer, and of these the cheapest."""
    gives = adjusted > 0.0
    items, adjusted = items[gives], adjusted[gives]
    ratio = problem.offers.cost[items] / adjusted
    most = count * levels
    if ratio.size > most:
        # Of a million offers few are sorted: no more than hold so many customers.
        few = np.sort(np.argpartition(ratio, most)[:most])
        items, adjusted, ratio = items[few], adjusted[few], ratio[few]
    order = np.argsort(ratio, kind="stable")
    if levels > 1:
        order = order[_first_of_each(problem.offers.customers[items[order]])]
    order = order[:count]
    return Reserve(
        node=node,
        customers=problem.offers.customers[items[order]],
        offer=items[order].astype(np.int32),
        adjusted_kw=adjusted[order],
        cost_per_kw=ratio[order],
    )
