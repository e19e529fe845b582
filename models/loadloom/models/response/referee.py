"""The referee of call lists: what one costs and secures, and which rules it breaks.

It knows the request and the answer, and nothing of how the answer was found.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.response.network import LEAST_NEED_KW
from loadloom.models.response.normal import probability, quantile
from loadloom.models.response.problem import (
    NOT_CALLED,
    IndexArray,
    OfferArray,
    Problem,
    Quota,
)
from loadloom.models.response.solution import PlanOptions, Solution
from loadloom.solvers.termination import Reason

RELATIVE = 1e-7
"""The share by which a limit may be passed by rounding."""

_CLOSED = 1e-6
"""The relative gap that solvers' own tolerances leave, whatever smaller one is asked for."""

_EXCUSES = 20  # of the needs that are said not to be securable are looked at

NINETY_FIVE = float(quantile(np.array(0.95)))
"""The normal quantile by which the cost is told that is not exceeded in 95 of 100 events."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """What a call list comes to; the currency is that of the costs.

    Attributes:
        cost: the expected cost.
        cost_sd: its standard deviation; payments are in proportion to reductions, but for what is
            promised to whoever accepts.
        called_count: how many are called.
        mean_kw: the expected reduction below each node, (V, S).
        variance_kw2: its variance, shared shocks and the need's own spread included, (V, S).
        secured_kw: the reduction that is given with the node's confidence, (V, S).
        probability: with what probability each need is met; 1 where there is none, (V, S).
        rebound_kw: the expected rebound below each node, (V, U).
        rebound_sd_kw: its standard deviation, (V, U).
        rebound_probability: with what probability the headroom is enough, (V, U).
        group_calls, group_cost: how many of each group are called, and at what expected cost.
    """

    cost: float
    cost_sd: float
    called_count: int
    mean_kw: FloatArray
    variance_kw2: FloatArray
    secured_kw: FloatArray
    probability: FloatArray
    rebound_kw: FloatArray
    rebound_sd_kw: FloatArray
    rebound_probability: FloatArray
    group_calls: IndexArray
    group_cost: FloatArray

    @property
    def cost_95(self) -> float:
        """What the event costs at most in 95 of 100 cases."""
        return self.cost + NINETY_FIVE * self.cost_sd


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """The mean of a quantity below each node, its own variance and its loadings on shocks."""

    mean: FloatArray
    own: FloatArray
    loading: FloatArray

    @property
    def variance(self) -> FloatArray:
        return self.own + (self.loading**2).sum(axis=2)


def cost(problem: Problem, offer: OfferArray) -> float:
    """What a call list is expected to cost."""
    return float(problem.offers.cost[offer[offer != NOT_CALLED]].sum())


def objective(problem: Problem, offer: OfferArray) -> float:
    """What a call list counts: its cost, and what calling off calls that stand counts."""
    kept = offer[offer != NOT_CALLED]
    return cost(problem, offer) + float(problem.toll.sum() - problem.toll[kept].sum())


def figures(problem: Problem, offer: OfferArray, z: FloatArray | None = None) -> Figures:
    """What a call list comes to, given the offer of each customer, (n,).

    `z` are other quantiles than those of the network's confidence, (V,).
    """
    network, offers = problem.network, problem.offers
    z = network.z if z is None else z
    called = np.flatnonzero(offer != NOT_CALLED)
    taken = offer[called]
    node = problem.customers.nodes[called]
    event = _below(problem, node, taken, problem.mean_kw[taken], problem.variance_kw2[taken])
    later = _rebound(problem, node, taken)
    variance = event.variance + network.spread_kw**2
    sd, later_sd = np.sqrt(variance), np.sqrt(later.variance)
    headroom = network.headroom_kw
    room = np.full(later.mean.shape, inf) if headroom is None else headroom
    enough = _chance(event.mean, sd, network.need_kw, network.needed)
    fits = _chance(-later.mean, later_sd, -room, np.isfinite(room))
    calls, group_cost = _groups(problem, called, taken)
    return Figures(
        cost=float(offers.cost[taken].sum()),
        cost_sd=_cost_sd(problem, taken),
        called_count=called.size,
        mean_kw=event.mean,
        variance_kw2=variance,
        secured_kw=event.mean - z[:, None] * sd,
        probability=enough,
        rebound_kw=later.mean,
        rebound_sd_kw=later_sd,
        rebound_probability=fits,
        group_calls=calls,
        group_cost=group_cost,
    )


def _below(
    problem: Problem, node: IndexArray, taken: OfferArray, mean: FloatArray, own: FloatArray
) -> _Sums:
    """What offers taken at nodes add up to below each node; `mean` and `own` are (k, S)."""
    network, loading = problem.network, problem.offers.loading
    slots, shocks = mean.shape[1], problem.offers.shock_count

    def added(values: FloatArray) -> FloatArray:
        at_node = np.bincount(node, weights=values, minlength=network.count)
        return network.sum_up(at_node.astype(np.float64))

    factors = np.zeros((network.count, slots, shocks))
    if loading is not None:
        each = loading[taken]
        for s in range(slots):
            for f in range(shocks):
                factors[:, s, f] = added(each[:, f] * mean[:, s])
    empty = np.zeros((network.count, 0))
    columns = range(slots)
    return _Sums(
        mean=np.stack([added(mean[:, s]) for s in columns], axis=1) if slots else empty,
        own=np.stack([added(own[:, s]) for s in columns], axis=1) if slots else empty,
        loading=factors,
    )


def _rebound(problem: Problem, node: IndexArray, taken: OfferArray) -> _Sums:
    """The rebound below each node in each slot after the event."""
    profile = problem.network.rebound_profile
    if profile is None:
        profile = np.zeros(0)
    mean = problem.rebound_kw[taken][:, None] * profile
    sd = problem.rebound_sd_kw[taken][:, None] * profile
    return _below(problem, node, taken, mean, sd**2)


def _chance(mean: FloatArray, sd: FloatArray, least: FloatArray, matters: np.ndarray) -> FloatArray:
    """With what probability a normal number is at least `least`; 1 where it does not matter."""
    chance = np.ones(mean.shape)
    over = (mean - least)[matters]
    spread = sd[matters]
    # Without spread it is or it is not; rounding must not decide that.
    sure = np.where(over >= -RELATIVE * np.abs(least[matters]), inf, -inf)
    scaled = np.divide(over, spread, out=sure, where=spread > 0.0)
    chance[matters] = probability(scaled)
    return chance


def _cost_sd(problem: Problem, taken: OfferArray) -> float:
    """The standard deviation of the cost; what is paid by kWh follows the reduction of all slots.

    What is promised to who accepts, F, comes with a probability p, and with the reduction: its
    variance is F^2 p (1 - p), and its covariance with the other payment, of mean c, F c (1 - p).
    """
    offers = problem.offers
    fixed, taking_part, p = (
        np.broadcast_to(column, offers.cost.shape)[taken]
        for column in (offers.fixed_cost, offers.fixed_payment, offers.acceptance)
    )
    mean = offers.mean_kw[taken].mean(axis=1)
    sd = np.sqrt(offers.variance_kw2[taken]).mean(axis=1)
    paid = offers.cost[taken] - fixed - p * taking_part
    share = np.divide(sd, mean, out=np.zeros_like(sd), where=mean > 0.0)
    variance = float(((paid * share) ** 2).sum())
    variance += float((taking_part * (1.0 - p) * (p * taking_part + 2.0 * paid)).sum())
    if offers.loading is not None:
        variance += float(((paid @ offers.loading[taken]) ** 2).sum())
    return variance**0.5


def _groups(
    problem: Problem, called: IndexArray, taken: OfferArray
) -> tuple[IndexArray, FloatArray]:
    group = problem.customers.group
    if group is None:
        return np.zeros(0, np.int64), np.zeros(0)
    count, of = max(int(group.max()) + 1, 0), group[called]
    counted = of >= 0
    calls = np.bincount(of[counted], minlength=count)
    costs = problem.offers.cost[taken[counted]]
    spent = np.bincount(of[counted], weights=costs, minlength=count)
    return calls.astype(np.int64), spent.astype(np.float64)


def violations(
    problem: Problem, solution: Solution, options: PlanOptions | None = None
) -> list[Violation]:
    """Every rule that an answer breaks; one without a call list breaks none.

    A need that the answer says cannot be secured is held to what it says can be, and only in a
    problem that asks for the best effort. What it says must be what the call list secures and,
    unless needs were lowered jointly, the most that can be. An answer that says it is optimal is
    held to the gap of `options`, or of the usual ones.
    """
    if solution.offer is None:
        return []
    if problem.budget is None:
        z = problem.network.z
    elif solution.common_z is None:
        return [Violation("common_z", "is missing; with a budget it is what was maximised")]
    else:
        z = np.full(problem.network.count, solution.common_z)
    wrong, least = _least(problem, solution)
    found = broken(problem, solution.offer, z, least)
    if not found:
        gap = (options or PlanOptions()).relative_gap
        found = [
            *_claims(problem, solution, gap),
            *_shortfalls(problem, solution, solution.offer),
            *_excused(problem, solution),
        ]
    return [*wrong, *found]


def broken(
    problem: Problem,
    offer: OfferArray,
    z: FloatArray | None = None,
    need_kw: FloatArray | None = None,
) -> list[Violation]:
    """Every rule that a call list breaks, at other quantiles, (V,), or needs, (V, S), if given."""
    wrong = _whose(problem, offer)
    if wrong:
        return wrong
    z = problem.network.z if z is None else z
    found = figures(problem, offer, z)
    return [
        *_who(problem, offer),
        *_needs(problem, problem.network.need_kw if need_kw is None else need_kw, found),
        *_headrooms(problem, found, z),
        *(v for quota in problem.quotas for v in _quota(quota, found)),
        *_budget(problem, found),
    ]


def _whose(problem: Problem, offer: OfferArray) -> list[Violation]:
    """Offers that do not exist, or are another customer's."""
    count = problem.customers.count
    if offer.shape != (count,):
        return [Violation("offer", f"has shape {offer.shape}; must have one value a customer")]
    wrong = np.flatnonzero((offer < NOT_CALLED) | (offer >= problem.offers.count))
    if wrong.size:
        return [Violation(f"offer[{wrong[0]}]", f"is {offer[wrong[0]]}; there is no such offer")]
    called = np.flatnonzero(offer != NOT_CALLED)
    strange = called[problem.offers.customers[offer[called]] != called]
    return [
        Violation(f"offer[{customer}]", f"is {offer[customer]}, which is another customer's")
        for customer in strange[:1].tolist()
    ]


def _who(problem: Problem, offer: OfferArray) -> list[Violation]:
    customers, called = problem.customers, offer != NOT_CALLED
    rules = (
        (called & ~customers.callable, "is called, though it must not be or has no calls left"),
        (~called & customers.musts, "is not called, though it must be"),
    )
    return [
        Violation(f"offer[{customer}]", words)
        for broken, words in rules
        for customer in np.flatnonzero(broken)[:1].tolist()
    ]


def _least(problem: Problem, solution: Solution) -> tuple[list[Violation], FloatArray]:
    """The needs that an answer is held to, and what it says of them that it must not."""
    network = problem.network
    least = network.need_kw.copy()
    for each in solution.unsecured if problem.best_effort else ():
        if each.need_kw != network.need_kw[each.node, each.slot]:
            name = network.name(each.node)
            return [Violation("unsecured", f"tells another need than that of {name}")], least
        least[each.node, each.slot] = min(each.attainable_kw, each.need_kw)
    return [], least


def _shortfalls(problem: Problem, solution: Solution, offer: OfferArray) -> list[Violation]:
    """What an answer tells of needs that it does not secure, other than what its calls leave."""
    told = solution.unsecured if problem.best_effort else ()
    if not told:
        return []
    secured, found = figures(problem, offer).secured_kw, []
    for each in told:
        own = float(secured[each.node, each.slot])
        rounding = RELATIVE * max(1.0, abs(own))
        right = (
            abs(each.attainable_kw - own) <= rounding
            and abs(each.need_kw - own - each.missing_kw) <= rounding
            and each.missing_kw >= 0.0
        )
        if not right:
            words = (
                f"tells {each.attainable_kw:.9g} kW and {each.missing_kw:.9g} missing;"
                f" {own:.9g} of {each.need_kw:.9g} are secured"
            )
            found.append(Violation(f"unsecured: {problem.network.name(each.node)}", words))
    return found


def _excused(problem: Problem, solution: Solution) -> list[Violation]:
    """Needs that an answer says cannot be secured, and that could be further.

    With several offers a customer, or shared shocks, nobody knows the most without a search; nor is
    more than some rows looked at. Where needs were lowered jointly, other rules stood in the way.
    """
    simple = problem.offers.loading is None and int(problem.offer_count.max()) <= 1
    if not simple or solution.jointly:
        return []
    found = []
    for each in solution.unsecured[:: max(1, len(solution.unsecured) // _EXCUSES)]:
        most = min(_most_kw(problem, each.node, each.slot), each.need_kw)
        if each.attainable_kw < most - RELATIVE * max(1.0, abs(most)):
            words = f"says {each.attainable_kw:.9g} kW can be secured; {most:.9g} can be"
            found.append(Violation(f"unsecured: {problem.network.name(each.node)}", words))
    return found


def _most_kw(problem: Problem, node: int, slot: int) -> float:
    """The most that is secured at a node, whoever is called below it; with an offer a customer."""
    network, customers, whose = problem.network, problem.customers, problem.offers.customers
    first, last = network.span
    place = first[customers.nodes[whose]]
    can = (place >= first[node]) & (place < last[node]) & customers.callable[whose]
    mean, variance = problem.mean_kw[:, slot], problem.variance_kw2[:, slot]
    sure, free = can & customers.musts[whose], np.flatnonzero(can & ~customers.musts[whose])
    # The best choice begins the order of variance per mean, whatever its deviation is.
    free = free[mean[free] > 0.0]
    free = free[np.argsort(variance[free] / mean[free], kind="stable")]
    sums = mean[sure].sum() + np.append(0.0, np.cumsum(mean[free]))
    spread = network.spread_kw[node, slot] ** 2 + variance[sure].sum()
    spread = spread + np.append(0.0, np.cumsum(variance[free]))
    return float((sums - network.z[node] * np.sqrt(spread)).max())


def _needs(problem: Problem, least: FloatArray, found: Figures) -> list[Violation]:
    short = found.secured_kw < least - RELATIVE * np.maximum(1.0, np.abs(least))
    counts = problem.network.needed
    if problem.budget is not None:
        network = problem.network
        counts = (network.need_kw > LEAST_NEED_KW) | (network.spread_kw > 0.0)
    return [
        Violation(
            f"network.need_kw[{v}][{s}]",
            f"is not secured: {found.secured_kw[v, s]:.9g} kW are, {least[v, s]:.9g} must be",
        )
        for v, s in np.argwhere(counts & short).tolist()
    ]


def _headrooms(problem: Problem, found: Figures, z: FloatArray) -> list[Violation]:
    headroom = problem.network.headroom_kw
    if headroom is None:
        return []
    used = found.rebound_kw + z[:, None] * found.rebound_sd_kw
    over = used > headroom + RELATIVE * np.maximum(1.0, headroom)
    return [
        Violation(
            f"network.headroom_kw[{v}][{u}]",
            f"is passed: the rebound may be {used[v, u]:.9g} kW, {headroom[v, u]:.9g} are left",
        )
        for v, u in np.argwhere(over).tolist()
    ]


def _quota(quota: Quota, found: Figures) -> list[Violation]:
    known = quota.group < found.group_calls.size
    calls = float(found.group_calls[quota.group]) if known else 0.0
    spent = float(found.group_cost[quota.group]) if known else 0.0
    most = inf if quota.call_max is None else quota.call_max
    limits = (
        ("call_min", float(quota.call_min) - calls, calls, quota.call_min),
        ("call_max", calls - most, calls, most),
        ("cost_min", quota.cost_min - spent, spent, quota.cost_min),
        ("cost_max", spent - quota.cost_max, spent, quota.cost_max),
    )
    return [
        Violation(
            f"quotas of group {quota.group}: {rule}", f"is {limit:.9g}; there are {value:.9g}"
        )
        for rule, over, value, limit in limits
        if over > RELATIVE * max(1.0, limit)
    ]


def _budget(problem: Problem, found: Figures) -> list[Violation]:
    budget = problem.budget
    if budget is None or found.cost <= budget + RELATIVE * max(1.0, budget):
        return []
    return [Violation("budget", f"is {budget:.9g}; the calls cost {found.cost:.9g}")]


def _claims(problem: Problem, solution: Solution, relative_gap: float) -> list[Violation]:
    """What an answer claims of its cost or confidence, and of its bound."""
    claimed, bound = solution.termination.objective, solution.termination.bound
    if problem.budget is not None and solution.common_z is not None:
        own, beyond = solution.common_z, claimed - bound
    else:
        own = 0.0 if solution.offer is None else objective(problem, solution.offer)
        beyond = bound - claimed
    found = []
    if not abs(claimed - own) <= RELATIVE * max(1.0, abs(own)):
        found.append(Violation("objective", f"is {claimed:.12g}; the referee finds {own:.12g}"))
    if not beyond <= RELATIVE * max(1.0, abs(own)):
        found.append(Violation("bound", f"is {bound:.12g}, beyond the objective {claimed:.12g}"))
    closed = max(relative_gap, _CLOSED) * max(1.0, abs(own))
    if solution.termination.reason is Reason.OPTIMAL and not -beyond <= closed:
        message = f"is {bound:.12g}, too far from {claimed:.12g} to call that optimal"
        found.append(Violation("bound", message))
    return found
