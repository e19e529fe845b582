"""Small and middling problems of nested rows, and their optimum by trying every choice."""

import numpy as np

from loadloom.solvers.covering.rows import Items, Problem, Quotas, Rows, levels

INF = np.inf
TREES = ([-1], [-1, 0, 0], [2, 2, -1, -1, 3], [-1, 0, 0, 1, 1, 2])


def problem_of(cost, mean, variance, need, *, z=1.0, node=None, parent=(-1,), **more):
    """A problem of columns as they come, one slot unless `mean` has several."""
    mean = np.atleast_2d(np.asarray(mean, float).T).T
    variance = np.broadcast_to(np.atleast_2d(np.asarray(variance, float).T).T, mean.shape)
    shape = len(parent), mean.shape[1]
    quotas = more.pop("quotas", Quotas.none())
    base = more.pop("base", None)
    return Problem(
        items=Items(
            cost=np.asarray(cost, float),
            mean=mean,
            variance=np.ascontiguousarray(variance),
            node=np.zeros(len(cost), np.int32) if node is None else np.asarray(node, np.int32),
            **more,
        ),
        rows=Rows(
            parent=np.asarray(parent, np.int32),
            need=np.broadcast_to(np.asarray(need, float), shape).copy(),
            z=np.broadcast_to(np.asarray(z, float), shape).copy(),
            base=base,
        ),
        quotas=quotas,
    )


def small(seed):
    """Up to 12 items in one of the trees, at times with factors, choosers, limits and quotas.

    Needs are near what some choice reaches, so that most problems have an answer.
    """
    random = np.random.default_rng(seed)
    count, slots = int(random.integers(3, 13)), int(random.integers(1, 4))
    parent = TREES[random.integers(len(TREES))]
    node = random.integers(0, len(parent), count)
    more = {}
    if random.random() < 0.4:
        chooser = np.sort(random.integers(0, max(1, count // 2), count)).astype(np.int32)
        node, more["chooser"] = random.integers(0, len(parent), count)[chooser], chooser
    elif random.random() < 0.3:
        more["state"] = random.choice([0, 0, 0, 0, 0, 0, 1, -1], count).astype(np.int8)
    if random.random() < 0.5:
        more["loading"] = random.uniform(0.0, 0.3, (count, int(random.integers(1, 3))))
    size, accepts = random.uniform(0.5, 3.0, count), random.uniform(0.3, 0.95, count)
    mean = (size * accepts)[:, None] * random.uniform(0.7, 1.3, (count, slots))
    variance = (size**2 * accepts * (1.0 - accepts) + 0.05)[:, None]
    variance = variance * random.uniform(0.7, 1.3, (count, slots))
    cost = size * random.uniform(0.5, 1.5, count)
    limited = random.random() < 0.3
    if limited:
        mean = np.hstack((mean, -mean[:, :1] * random.uniform(0.2, 0.8, (count, 1))))
        variance = np.hstack((variance, 0.3 * variance[:, :1]))
    one = random.random(count) < random.uniform(0.3, 0.8)
    if "chooser" in more:
        one &= np.diff(more["chooser"], prepend=-1) != 0
    if "state" in more:
        one = (one | (more["state"] == 1)) & (more["state"] != -1)
    z = float(random.choice([0.0, 0.5, 1.0, 1.645]))
    columns = {"z": z, "node": node, "parent": parent, **more}
    reached = levels(problem_of(cost, mean, variance, -INF, **columns), one)
    here = (random.random(reached.shape) < 0.7) & (reached > 0.05)
    need = np.where(here, reached * random.uniform(0.7, 1.0, reached.shape), -INF)
    if limited:
        need[:, -1] = np.where(random.random(len(parent)) < 0.6, 1.05 * reached[:, -1], -INF)
    if random.random() < 0.3:
        columns["quotas"] = _quotas(random, cost, one)
    if random.random() < 0.2:
        columns["base"] = random.uniform(0.0, 0.02, need.shape)
    return problem_of(cost, mean, variance, need, **columns)


def _quotas(random, cost, one):
    """How many of either half, and how much in all, near what a choice has."""
    half = random.integers(0, 2, cost.size)
    sides = []
    for which in range(2):
        items = np.flatnonzero(half == which)
        taken = int(one[items].sum())
        low, high = max(0, taken - random.integers(0, 2)), taken + random.integers(0, 2)
        sides.append((items, np.ones(items.size), float(low), float(high)))
    most = cost[one].sum() * random.uniform(1.0, 1.2)
    return Quotas.of([*sides, (np.arange(cost.size), cost, -INF, float(most))])


def optimum(problem):
    """The least cost by enumeration, inf if nothing keeps all rules; none of our code is in it."""
    items, rows, quotas = problem.items, problem.rows, problem.quotas
    count = items.cost.size
    x = ((np.arange(2**count)[:, None] >> np.arange(count)) & 1).astype(float)
    good = np.ones(len(x), bool)
    if items.state is not None:
        good &= (x[:, items.state == -1] == 0).all(axis=1)
        good &= (x[:, items.state == 1] == 1).all(axis=1)
    if items.chooser is not None:
        for chooser in np.unique(items.chooser):
            good &= x[:, items.chooser == chooser].sum(axis=1) <= 1
    for v, s in zip(*np.nonzero(np.isfinite(rows.need)), strict=True):
        below = np.array([_is_below(rows.parent, node, v) for node in items.node], float)
        mean = items.mean[:, s] * below
        spread = x @ (items.variance[:, s] * below)
        if rows.base is not None:
            spread = spread + rows.base[v, s]
        if items.loading is not None:
            spread = spread + ((x @ (items.loading * mean[:, None])) ** 2).sum(axis=1)
        level, need = x @ mean - rows.z[v, s] * np.sqrt(spread), rows.need[v, s]
        good &= level >= need - 1e-9 * max(1.0, abs(need))
    for q in range(quotas.count):
        entries = slice(quotas.starts[q], quotas.starts[q + 1])
        total = x @ np.bincount(quotas.items[entries], quotas.weights[entries], count)
        slack = 1e-9 * np.maximum(1.0, np.abs(total))
        good &= (total >= quotas.low[q] - slack) & (total <= quotas.high[q] + slack)
    return float((x[good] @ items.cost).min(initial=INF))


def _is_below(parent, node, v):
    while node >= 0 and node != v:
        node = parent[node]
    return node == v


def middling(seed, leaves=40, each=25, slots=1, levels_each=1, *, limited=False, quotas=False):
    """Items under leaves under feeders under one top, with needs that a hidden choice reaches.

    Returns the problem and what the hidden choice costs.
    """
    random = np.random.default_rng(seed)
    feeders = max(1, leaves // 20)
    parent = [-1, *[0] * feeders, *(1 + np.arange(leaves) % feeders)]
    count = leaves * each
    chooser = np.repeat(np.arange(count), levels_each).astype(np.int32)
    level = np.tile(np.arange(levels_each), count)
    node = (1 + feeders + np.repeat(np.arange(leaves), each))[chooser]
    accepts = 1.0 - (1.0 - random.uniform(0.3, 0.8, count)[chooser]) ** (1.0 + 0.5 * level)
    size = random.lognormal(0.0, 0.4, count)[chooser]
    mean = (accepts * size)[:, None] * random.uniform(0.8, 1.2, (size.size, slots))
    variance = (size**2 * accepts * (1.0 - accepts) + 0.04 * size**2 * accepts)[:, None]
    cost = accepts * size * random.uniform(0.5, 1.5, count)[chooser] * (1.0 + 0.4 * level) + 0.2
    if limited:
        mean = np.hstack((mean, -0.5 * mean[:, :1]))
        variance = np.hstack((np.repeat(variance, slots, axis=1), 0.3 * variance))
    hidden = (random.random(count) < 0.4)[chooser]
    hidden &= level == random.integers(0, levels_each, count)[chooser]
    columns = {"z": 1.645, "node": node, "parent": parent}
    if levels_each > 1:
        columns["chooser"] = chooser
    reached = levels(problem_of(cost, mean, variance, -INF, **columns), hidden)
    need = np.where(reached > 0.0, 0.97 * reached, -INF)
    if limited:
        need[:, -1] = 1.03 * reached[:, -1]
    if quotas:
        fair = random.integers(0, 3, count)[chooser]
        sides = []
        for which in range(3):
            items = np.flatnonzero(fair == which)
            taken = float(hidden[items].sum())
            sides.append((items, np.ones(items.size), round(0.95 * taken), round(1.1 * taken)))
        columns["quotas"] = Quotas.of(sides)
    return problem_of(cost, mean, variance, need, **columns), float(cost[hidden].sum())
