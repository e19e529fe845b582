"""A bound at once for many rows of a tree: each row by itself with parts of items, added upwards.

A row needs at least what the fractions of items that serve it best cost, where the square root of
the variance is replaced by its chord, which lies below it. Rows of which none is above another
have no item in common, so what they need adds up. No prices and no searches are asked for.
"""

import numpy as np
from numpy.typing import NDArray

from loadloom.solvers.covering.rows import Items, Problem, Rows
from loadloom.solvers.covering.terms import BARRED, TAKEN, Flags, Floats, Indices

Places = NDArray[np.int64]

_WORK = 4_000_000  # items times slots times depths up to which every slot is looked at
_ROUNDING = 1e-7  # the share of the bound that sums of a million items may be wrong by


def relaxed_bound(problem: Problem) -> float:
    """What no choice costs less than, where there is one that keeps all rows; always finite."""
    items, rows = problem.items, problem.rows
    if items.count == 0:
        return 0.0
    state = np.zeros(items.count, np.int8) if items.state is None else items.state
    # What must be, and what pays for itself, is there; all else costs something.
    must = state == TAKEN
    there = must | ((state != BARRED) & (items.cost <= 0.0))
    sure = float(items.cost[there].sum())
    depth = _depths(rows.parent)
    hardest = np.argmax(rows.need, axis=1)
    slots = [hardest]
    if items.mean.size * (int(depth.max()) + 1) <= _WORK:
        slots = [np.full(depth.size, s) for s in range(rows.need.shape[1])]
    below, node = np.zeros(depth.size), items.node.astype(np.int64)
    total = 0.0
    for level in range(int(depth.max()), -1, -1):
        inside = np.flatnonzero((depth[node] == level) & (state != BARRED))
        least = below.copy()
        for slot in slots:
            np.maximum(least, _alone(items, rows, inside, node, slot, must, there), out=least)
        at = np.flatnonzero(depth == level)
        if level == 0:
            total = float(least[at].sum())
        else:
            np.add.at(below, rows.parent[at], least[at])
        climbs = depth[node] == level
        node[climbs] = np.maximum(rows.parent[node[climbs]], 0)
    return sure + total * (1.0 - _ROUNDING)


def _depths(parent: Indices) -> Places:
    """How many nodes are above each, (V,)."""
    depth, above = np.zeros(parent.size, np.int64), parent.astype(np.int64)
    while (inner := above >= 0).any():
        depth[inner] += 1
        above[inner] = parent[above[inner]]
    return depth


def _alone(
    items: Items,
    rows: Rows,
    inside: Places,
    node: Places,
    slot: Places,
    must: Flags,
    there: Flags,
) -> Floats:
    """What the row of each node in its slot costs at least, by the items inside, (V,)."""
    nodes = np.arange(slot.size)
    need, z = rows.need[nodes, slot], rows.z[nodes, slot]
    base = np.zeros(slot.size) if rows.base is None else rows.base[nodes, slot]
    at = node[inside]
    variance = items.variance[inside, slot[at]]
    most = np.bincount(at, weights=variance, minlength=slot.size)
    rise = np.sqrt(base + most) - np.sqrt(base)
    chord = z * np.divide(rise, most, out=np.zeros(slot.size), where=most > 0.0)
    worth = items.mean[inside, slot[at]] - chord[at] * variance
    # Of what is there, only what must be may take from the row.
    given = np.where(must[inside], worth, np.where(there[inside], np.maximum(worth, 0.0), 0.0))
    lack = need + z * np.sqrt(base) - np.bincount(at, weights=given, minlength=slot.size)
    use = np.flatnonzero(~there[inside] & (worth > 0.0))
    cost, worth, at = items.cost[inside][use], worth[use], at[use]
    order = np.lexsort((cost / worth, at))
    cost, worth, at = cost[order], worth[order], at[order]
    before = np.concatenate(([0.0], np.cumsum(worth)))
    starts = np.searchsorted(at, nodes)
    filled = before[:-1] - before[starts[at]]
    part = np.clip((lack[at] - filled) / worth, 0.0, 1.0)
    return np.bincount(at, weights=part * cost, minlength=slot.size).astype(np.float64)
