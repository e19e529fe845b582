"""Small problems as one block: all rows of the tree and all quotas are rows of one exact search."""

from dataclasses import dataclass

import numpy as np

from loadloom.solvers.covering.layout import Layout
from loadloom.solvers.covering.passes import Planes
from loadloom.solvers.covering.terms import Floats, Indices
from loadloom.solvers.kernels.nested_search import search

MOST_ITEMS, MOST_ENTRIES = 300, 6_000
"""Up to so many items, and items times rows, a problem counts as small."""

_WORK = 150_000_000  # entries that all nodes of a search may look at
_NODES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """The place that every chooser takes, its cost, inf without one, and the bound."""

    taken: Indices
    value: float
    bound: float


def row_count(lay: Layout) -> int:
    """How many rows and sides of quotas there are."""
    quotas = lay.problem.quotas
    sides = int(np.isfinite(quotas.low).sum() + np.isfinite(quotas.high).sum())
    return int(np.isfinite(lay.need).sum()) + sides


def is_small(lay: Layout) -> bool:
    """Whether a problem is small enough to be searched as one block."""
    count = lay.cost.size
    return count <= MOST_ITEMS and count * max(1, row_count(lay)) <= MOST_ENTRIES


def search_whole(
    lay: Layout, planes: Planes, row_price: Floats, quota_price: Floats, *, share: float
) -> Found:
    """The best choice of a small problem, exact unless nodes run out.

    The search begins at the prices of rows, (V + 1, S), and quotas that are known.
    """
    count = lay.cost.size
    node, slot = np.nonzero(np.isfinite(lay.need))
    below = _below(lay)[:, node]
    quotas = lay.problem.quotas
    place = np.empty(count, np.int64)
    place[lay.order] = np.arange(count)
    sides, needs = [np.zeros((count, 0))], [lay.need[node, slot]]
    prices = [row_price[node, slot]]
    for q in range(quotas.count):
        entries = slice(quotas.starts[q], quotas.starts[q + 1])
        weight = np.zeros(count)
        np.add.at(weight, place[quotas.items[entries]], quotas.weights[entries])
        for sign, limit in ((1.0, quotas.low[q]), (-1.0, -quotas.high[q])):
            if np.isfinite(limit):
                sides.append(sign * weight[:, None])
                needs.append(np.array([limit]))
                prices.append(np.array([max(0.0, sign * quota_price[q])]))
    side = np.concatenate(sides, axis=1)
    nothing = np.zeros(side.shape[1])
    taken = np.full(lay.heads.size - 1, -1, np.int32)
    need = np.concatenate(needs)
    entries_each = count * max(1, need.size)
    direction = np.concatenate(
        (planes.direction[node, slot], np.zeros((side.shape[1], lay.loading.shape[1])))
    )
    value, bound = search(
        lay.cost,
        np.ascontiguousarray(np.hstack((np.where(below, lay.mean[:, slot], 0.0), side))),
        np.ascontiguousarray(np.hstack((np.where(below, lay.variance[:, slot], 0.0), 0.0 * side))),
        lay.loading,
        np.ascontiguousarray(direction),
        np.append(planes.root[node, slot], 1.0 + nothing),
        np.append(lay.z[node, slot], nothing),
        np.append(lay.base[node, slot], nothing),
        need,
        lay.heads,
        lay.state,
        min(_NODES, max(50, _WORK // (20 * entries_each))),
        0.0,
        share,
        True,
        taken,
        np.concatenate(prices),
    )  # fmt: skip
    return Found(taken=taken, value=value, bound=bound)


def _below(lay: Layout) -> Floats:
    """Whether each item is at a node or below it, (N, V + 1)."""
    at = np.repeat(lay.node, np.diff(lay.item_at))
    below = np.zeros((lay.cost.size, lay.parent.size), bool)
    while (at >= 0).any():
        rows = np.flatnonzero(at >= 0)
        below[rows, at[rows]] = True
        at = np.where(at >= 0, lay.parent[at], -1)
    return below
