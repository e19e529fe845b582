"""What an offer is worth at the prices of a plan: its risk-adjusted kW, and what they cost.

Near a plan with means m, deviations d and shared parts g, one more offer i adds to what is secured

    adjusted[i,v,s] = mu[i,s] - z[v] * (s2[i,s] / 2 + g[v,s] . G[i,s]) / d[v,s]

and is worth sum over the needs above it of price[v,s] * adjusted[i,v,s], less what its rebound
takes of headroom that has a price.
"""

from dataclasses import dataclass

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.response.network import Network
from loadloom.models.response.problem import NOT_CALLED, OfferArray, Problem
from loadloom.models.response.referee import Figures, figures
from loadloom.models.response.solution import Solution


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worth:
    """Offers at the prices of a plan.

    Attributes:
        price_per_kw: the sum of prices of all needs above each offer, (m,).
        adjusted_kw: its risk-adjusted reduction, weighed by these prices, (m,); by the mean of
            slots where there is no price.
        value: what it is worth, (m,).
    """

    price_per_kw: FloatArray
    adjusted_kw: FloatArray
    value: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Margins:
    """By how much an offer's variance and loadings count against its mean at each node, (V, S).

    `own` is z / (2 d), `shared` z g / d, (V, S, F).
    """

    own: FloatArray
    shared: FloatArray


def z_of(problem: Problem, solution: Solution) -> FloatArray:
    """The normal quantiles of a plan, (V,): those of the network, or with a budget its common z."""
    if solution.common_z is None:
        return problem.network.z
    return np.full(problem.network.count, solution.common_z)


def shared_kw(problem: Problem, offer: OfferArray) -> FloatArray:
    """The reduction below each node per unit of each shock, g, (V, S, F)."""
    network, loading = problem.network, problem.offers.loading
    called = np.flatnonzero(offer != NOT_CALLED)
    found = np.zeros((network.count, network.slot_count, problem.offers.shock_count))
    if loading is not None:
        taken, node = offer[called], problem.customers.nodes[called]
        np.add.at(found, node, problem.mean_kw[taken][:, :, None] * loading[taken][:, None, :])
    return network.sum_up(found)


def margins(found: Figures, shared: FloatArray, z: FloatArray) -> Margins:
    """The margins at a plan; 0 where nothing deviates."""
    d = np.sqrt(found.variance_kw2)
    part = np.divide(z[:, None], d, out=np.zeros_like(d), where=d > 0.0)
    return Margins(own=0.5 * part, shared=part[:, :, None] * shared)


def worth(problem: Problem, solution: Solution) -> Worth:
    """What every offer is worth at the prices of a plan.

    Raises:
        ValueError: there is no plan, or its road told no prices.
    """
    if solution.offer is None or solution.price_per_kw is None:
        raise ValueError("there are no prices by which offers are worth anything")
    network, offers = problem.network, problem.offers
    z = z_of(problem, solution)
    found = figures(problem, solution.offer, z)
    at = margins(found, shared_kw(problem, solution.offer), z)
    price = solution.price_per_kw
    node = problem.customers.nodes[offers.customers]
    mean, variance = problem.mean_kw, problem.variance_kw2
    by_mean = down(network, price)
    by_variance = down(network, price * at.own)
    value = np.einsum("is,is->i", mean, by_mean[node])
    value -= np.einsum("is,is->i", variance, by_variance[node])
    if offers.loading is not None:
        by_shock = down(network, price[:, :, None] * at.shared)[node]
        value -= np.einsum("is,if,isf->i", mean, offers.loading, by_shock)
    total = by_mean.sum(axis=1)[node]
    adjusted = np.divide(value, total, out=mean.mean(axis=1), where=total > 0.0)
    return Worth(
        price_per_kw=total,
        adjusted_kw=adjusted,
        value=value - _rebound(problem, solution, found, z),
    )


def down(network: Network, values: FloatArray) -> FloatArray:
    """What stands at each node and all nodes above it, of the shape of `values`, (V, ...)."""
    total = np.array(values, dtype=np.float64)
    for nodes in network.levels[1:]:
        total[nodes] += total[network.parent[nodes]]
    return total


def _rebound(problem: Problem, solution: Solution, found: Figures, z: FloatArray) -> FloatArray:
    """What each offer's rebound takes of headroom, at its prices, (m,)."""
    network, price = problem.network, solution.rebound_price_per_kw
    profile, loading = network.rebound_profile, problem.offers.loading
    if price is None or profile is None or solution.offer is None or not price.any():
        return np.zeros(problem.offers.count)
    node = problem.customers.nodes[problem.offers.customers]
    d = found.rebound_sd_kw
    part = np.divide(z[:, None], d, out=np.zeros_like(d), where=d > 0.0) * price * profile**2
    by_mean = down(network, price * profile).sum(axis=1)[node]
    by_variance = down(network, 0.5 * part).sum(axis=1)[node]
    taken = problem.rebound_kw * by_mean + problem.rebound_sd_kw**2 * by_variance
    if loading is not None:
        each = problem.rebound_kw[:, None] * loading
        called = np.flatnonzero(solution.offer != NOT_CALLED)
        shared = np.zeros((network.count, problem.offers.shock_count))
        np.add.at(shared, problem.customers.nodes[called], each[solution.offer[called]])
        by_shock = down(network, part.sum(axis=1)[:, None] * network.sum_up(shared))
        taken += (each * by_shock[node]).sum(axis=1)
    return taken
