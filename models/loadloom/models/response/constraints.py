"""A call list as the solver of many rows takes it: a tree of rows, quotas, choosers."""

from math import inf

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.response.problem import Problem
from loadloom.models.response.rows import Reduced, states
from loadloom.solvers.covering import rows as covering


def covering_problem(problem: Problem, rows: Reduced, need: FloatArray) -> covering.Problem:
    """The problem as the solver of many rows takes it, with needs that may be lower, (V, K)."""
    network, offers = problem.network, problem.offers
    mean, variance, spread = rows.mean, rows.variance, rows.spread
    if rows.has_room_rows:
        mean = np.column_stack((mean, -problem.rebound_kw))
        variance = np.column_stack((variance, problem.rebound_sd_kw**2))
        need = np.column_stack((need, -rows.room))
        spread = np.column_stack((spread, np.zeros(network.count)))
    several = int(problem.offer_count.max()) > 1
    return covering.Problem(
        items=covering.Items(
            cost=offers.cost - problem.toll,
            mean=np.ascontiguousarray(mean),
            variance=np.ascontiguousarray(variance),
            node=problem.customers.nodes[offers.customers].astype(np.int32),
            loading=offers.loading,
            chooser=offers.customers.astype(np.int32) if several else None,
            state=states(problem),
        ),
        rows=covering.Rows(
            parent=network.parent.astype(np.int32),
            need=np.ascontiguousarray(need),
            z=np.repeat(rows.z[:, None], need.shape[1], axis=1),
            base=spread**2 if spread.any() else None,
        ),
        quotas=_quotas(problem),
    )


def _quotas(problem: Problem) -> covering.Quotas:
    customers, offers = problem.customers, problem.offers
    found = []
    if customers.group is not None:
        of = customers.group[offers.customers]
        for quota in problem.quotas:
            items = np.flatnonzero(of == quota.group).astype(np.int32)
            most = inf if quota.call_max is None else float(quota.call_max)
            if quota.call_min > 0 or most < inf:
                found.append((items, np.ones(items.size), float(quota.call_min), most))
            if quota.cost_min > 0.0 or quota.cost_max < inf:
                found.append((items, offers.cost[items], quota.cost_min, quota.cost_max))
    # Nobody has more than one call, so as many calls as must be are one each.
    musts = customers.musts & (problem.offer_count != 1)
    if musts.any():
        items = np.flatnonzero(musts[offers.customers]).astype(np.int32)
        found.append((items, np.ones(items.size), float(musts.sum()), inf))
    return covering.Quotas.of(found) if found else covering.Quotas.none()
