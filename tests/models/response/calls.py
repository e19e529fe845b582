"""Call lists to try: random customers in random networks, and all choices of few of them."""

from math import inf

import numpy as np

from loadloom.models.response import referee
from loadloom.models.response.network import Network
from loadloom.models.response.problem import NOT_CALLED, Customers, Offers, Problem, Quota
from loadloom.models.response.solution import PlanOptions
from loadloom.models.response.solve import plan

HAND = {"mean_kw": [4.0, 4.0, 7.0], "variance_kw2": [0.0, 0.0, 9.0], "cost": [1.0, 1.0, 1.5]}
ONE_SIGMA = 0.8413447460685429  # the confidence whose normal quantile is 1


def offers(**columns):
    return Offers(**{name: np.array(values) for name, values in columns.items()})


def customers(count, **columns):
    given = {"node": np.zeros((), int)} | {n: np.array(v) for n, v in columns.items()}
    return Customers(count=count, **given)


def network(need_kw, parent=(-1,), confidence=ONE_SIGMA, **columns):
    return Network(
        parent=np.array(parent),
        need_kw=np.array(need_kw, dtype=float).reshape(len(parent), -1),
        confidence=np.array(confidence),
        **{name: np.array(values, dtype=float) for name, values in columns.items()},
    )


def hand(**more):
    """The three customers of the design's check, a need of 7 kW at one sigma."""
    given = {"offers": offers(**HAND), "network": network([7.0]), "customers": customers(3)}
    return Problem(**(given | more))


def random_problem(random, *, flat=False, levels=False, shocks=False, rules=False, count=None):
    """Some customers and what is asked of them; seldom more than can be had."""
    n = count or int(random.integers(3, 9))
    parent = [-1] if flat else [-1, 0, 0, *([1] if random.random() < 0.3 else [])]
    slots = 1 if flat else int(random.integers(1, 3))
    owner = np.arange(n)
    if levels:
        owner = np.sort(np.append(owner, random.integers(0, n, max(1, n // 3))))
    m = owner.size
    columns = 1 if random.random() < 0.5 else slots
    mean = random.lognormal(1.0, 0.6, (m, columns))
    share = random.uniform(0.0, 0.9, (m, columns))
    given = {
        "mean_kw": mean,
        "variance_kw2": (mean * share) ** 2,
        "cost": random.uniform(0.2, 3.0, m),
        "customer": owner,
        "fixed_cost": 0.1,
        # Refusals alone make a part of the variance, (1 - acceptance) / acceptance of mean^2.
        "acceptance": 1.0 / (1.0 + random.uniform(0.0, 1.0, m) * share.min(axis=1) ** 2),
    }
    if shocks:
        given["loading"] = random.normal(0.0, 0.2, (m, int(random.integers(1, 3))))
    node = random.integers(0, len(parent), n)
    below = np.array(
        [mean[np.isin(node[owner], list(_under(parent, v)))].sum() for v in range(len(parent))]
    )
    share = random.uniform(0.0, 0.5, (len(parent), slots)) * (
        random.random((len(parent), slots)) < 0.7
    )
    who, tree, quotas = {}, {}, ()
    if rules:
        state = random.random(n)
        who = {
            "must_call": state < 0.1,
            "never_call": state > 0.9,
            "group": random.integers(-1, 2, n),
            "rebound_share": random.uniform(0.0, 1.0, n),
        }
        room = random.uniform(0.4, 1.5, (len(parent), 2)) * below[:, None]
        tree = {
            "headroom_kw": np.where(random.random(room.shape) < 0.4, room, inf),
            "rebound_profile": [0.8, 0.3],
            "need_spread_kw": random.uniform(0.0, 0.5, share.shape),
        }
        quotas = (
            Quota(group=0, call_min=1, call_max=n - 1),
            Quota(group=1, cost_max=float(given["cost"].sum()) * 0.8),
        )
    return Problem(
        offers=offers(**given),
        customers=customers(n, node=node, **who),
        network=network(
            share * below[:, None], parent, random.uniform(0.55, 0.99, len(parent)), **tree
        ),
        quotas=quotas,
    )


def _under(parent, node):
    return {v for v in range(len(parent)) if _leads(parent, v, node)}


def _leads(parent, v, node):
    while v != node and v >= 0:
        v = parent[v]
    return v == node


def choices(problem):
    """Which offers are taken in each call list that there is, at most one a customer, (K, m)."""
    m = problem.offers.count
    taken = (np.arange(2**m)[:, None] >> np.arange(m)) & 1 > 0
    for customer in range(problem.customers.count):
        own = problem.offers.customers == customer
        if own.sum() > 1:
            taken = taken[taken[:, own].sum(axis=1) <= 1]
    return taken


def kept(problem, taken, z=None):
    """Whether each call list keeps every rule, in words of its own, (K,)."""
    offers, customers, network = problem.offers, problem.customers, problem.network
    z = network.z if z is None else np.full(network.count, z)
    of, good = offers.customers, np.ones(len(taken), bool)
    slack = 1e-9
    for v in range(network.count):
        own = np.isin(customers.nodes[of], list(_under(network.parent.tolist(), v)))
        some = taken[:, own].astype(float)

        def sd(mean, variance, base, own=own, some=some):
            shared = 0.0
            if offers.loading is not None:
                shared = ((some @ (offers.loading[own] * mean[own, None])) ** 2).sum(axis=1)
            return np.sqrt(base + some @ variance[own] + shared)

        for s in range(network.slot_count):
            need, spread = network.need_kw[v, s], network.spread_kw[v, s]
            mean, variance = problem.mean_kw[:, s], problem.variance_kw2[:, s]
            if need + z[v] * spread > 0.0:
                good &= some @ mean[own] - z[v] * sd(mean, variance, spread**2) >= need - slack
        for u in range(network.after_count):
            share = np.broadcast_to(customers.rebound_share, (customers.count,))[of]
            part = share * network.rebound_profile[u]
            mean = part * problem.offers.mean_kw.mean(axis=1)
            variance = (part * np.sqrt(problem.offers.variance_kw2).mean(axis=1)) ** 2
            used = some @ mean[own] + z[v] * sd(mean, variance, 0.0)
            good &= used <= network.headroom_kw[v, u] + slack
    for customer in range(customers.count):
        called = taken[:, of == customer].any(axis=1)
        good &= called | ~customers.musts[customer]
        good &= ~called | customers.callable[customer]
    for quota in problem.quotas:
        some = taken[:, customers.group[of] == quota.group].astype(float)
        cost = some @ offers.cost[customers.group[of] == quota.group]
        most = inf if quota.call_max is None else quota.call_max
        good &= (some.sum(axis=1) >= quota.call_min) & (some.sum(axis=1) <= most)
        good &= (cost >= quota.cost_min - slack) & (cost <= quota.cost_max + slack)
    return good


def cheapest(problem):
    """The least cost of all call lists that keep every rule, by looking at each; inf for none."""
    taken = choices(problem)
    return float((taken @ problem.offers.cost)[kept(problem, taken)].min(initial=inf))


def as_offer(problem, taken):
    """The offer of each customer, given which offers are taken, (m,)."""
    offer = np.full(problem.customers.count, NOT_CALLED, np.int32)
    offer[problem.offers.customers[taken]] = np.flatnonzero(taken)
    return offer


def planned(problem, road=None, **options):
    """A refereed call list."""
    asked = PlanOptions(road=road, **options)
    found = plan(problem, asked)
    assert referee.violations(problem, found, asked) == []
    return found
