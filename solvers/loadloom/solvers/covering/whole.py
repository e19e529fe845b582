"""Small problems as one block: all rows of the tree and all quotas are rows of one exact search."""

from dataclasses import dataclass

import numpy as np

from loadloom.solvers.covering.layout import Layout, Positions
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WholeRows:
    """All rows of a tree side by side, and then the sides of its quotas, which are certain.

    Attributes:
        mean, variance: what each item adds to each row, (N, R).
        need, z, base: of each row, (R,).
        node, slot: of the rows that are not sides, (T,).
        quota, sign: of each side, whose least has the sign 1 and whose most -1, (R - T,).
    """

    mean: Floats
    variance: Floats
    need: Floats
    z: Floats
    base: Floats
    node: Positions
    slot: Positions
    quota: Positions
    sign: Floats


def row_count(lay: Layout) -> int:
    """How many rows and sides of quotas there are."""
    quotas = lay.problem.quotas
    sides = int(np.isfinite(quotas.low).sum() + np.isfinite(quotas.high).sum())
    return int(np.isfinite(lay.need).sum()) + sides


def is_small(lay: Layout) -> bool:
    """Whether a problem is small enough to be searched as one block."""
    count = lay.cost.size
    return count <= MOST_ITEMS and count * max(1, row_count(lay)) <= MOST_ENTRIES


def whole_rows(lay: Layout) -> WholeRows:
    """The rows of a tree and its quotas as rows of one block, without those that others imply."""
    count = lay.cost.size
    node, slot = np.nonzero(np.isfinite(lay.need))
    below = _below(lay)[:, node]
    quotas = lay.problem.quotas
    place = np.empty(count, np.int64)
    place[lay.order] = np.arange(count)
    which = [(q, 1.0) for q in range(quotas.count) if np.isfinite(quotas.low[q])]
    which += [(q, -1.0) for q in range(quotas.count) if np.isfinite(quotas.high[q])]
    side, limit = np.zeros((count, len(which))), np.zeros(len(which))
    for k, (q, sign) in enumerate(which):
        entries = slice(quotas.starts[q], quotas.starts[q + 1])
        np.add.at(side[:, k], place[quotas.items[entries]], sign * quotas.weights[entries])
        limit[k] = quotas.low[q] if sign > 0.0 else -quotas.high[q]
    nothing = np.zeros(len(which))
    rows = WholeRows(
        mean=np.ascontiguousarray(np.hstack((np.where(below, lay.mean[:, slot], 0.0), side))),
        variance=np.ascontiguousarray(
            np.hstack((np.where(below, lay.variance[:, slot], 0.0), 0.0 * side))
        ),
        need=np.append(lay.need[node, slot], limit),
        z=np.append(lay.z[node, slot], nothing),
        base=np.append(lay.base[node, slot], nothing),
        node=node,
        slot=slot,
        quota=np.array([q for q, _ in which], np.int64),
        sign=np.array([sign for _, sign in which]),
    )
    return _distinct(rows)


def _distinct(rows: WholeRows) -> WholeRows:
    """The rows without those that another with the same items and a larger need implies."""
    alike = np.vstack((rows.mean, rows.variance, rows.z, rows.base))
    _, kind = np.unique(alike, axis=1, return_inverse=True)
    order = np.lexsort((-rows.need, kind.reshape(-1)))
    first = np.flatnonzero(np.diff(kind.reshape(-1)[order], prepend=-1))
    kept = np.sort(order[first])
    own = kept[kept < rows.node.size]
    side = kept[kept >= rows.node.size] - rows.node.size
    return WholeRows(
        mean=np.ascontiguousarray(rows.mean[:, kept]),
        variance=np.ascontiguousarray(rows.variance[:, kept]),
        need=rows.need[kept],
        z=rows.z[kept],
        base=rows.base[kept],
        node=rows.node[own],
        slot=rows.slot[own],
        quota=rows.quota[side],
        sign=rows.sign[side],
    )


def search_whole(
    lay: Layout, planes: Planes, row_price: Floats, quota_price: Floats, *, share: float
) -> Found:
    """The best choice of a small problem, exact unless nodes run out.

    The search begins at the prices of rows, (V + 1, S), and quotas that are known.
    """
    rows = whole_rows(lay)
    at = rows.node, rows.slot
    sides = rows.quota.size
    taken = np.full(lay.heads.size - 1, -1, np.int32)
    entries_each = lay.cost.size * max(1, rows.need.size)
    direction = np.vstack((planes.direction[at], np.zeros((sides, lay.loading.shape[1]))))
    value, bound = search(
        lay.cost,
        rows.mean,
        rows.variance,
        lay.loading,
        np.ascontiguousarray(direction),
        np.append(planes.root[at], np.ones(sides)),
        rows.z,
        rows.base,
        rows.need,
        lay.heads,
        lay.state,
        min(_NODES, max(50, _WORK // (20 * entries_each))),
        0.0,
        share,
        True,
        taken,
        np.append(row_price[at], np.maximum(0.0, rows.sign * quota_price[rows.quota])),
    )
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
