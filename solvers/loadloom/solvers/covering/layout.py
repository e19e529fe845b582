"""A problem of nested rows, laid out for passes: items by block, blocks by the node above.

Nodes without a need say nothing, so an item counts as being at the next node above that has one;
one more node is above all. A *block* is the items at one node. If nothing is below that node its
rows are the block's own, which bind it alone and are dealt with item by item; all other rows are
*upper* rows, which have prices. Blocks of the same next node above form *parts* of limited size.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadloom.solvers.covering.rows import Problem
from loadloom.solvers.covering.terms import BARRED, TAKEN, Flags, Floats, Indices, States

MOST_OWN = 1_000
"""Up to so many items several rows of one node are their block's own; beyond they have prices."""

_CHUNK = 2_000  # items at a node whose rows have prices make blocks of about so many

PART_BLOCKS = 64
"""The most blocks of one part: a bundle has cuts for each part, and so follows it closely."""

Positions = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Items in the order of blocks, with the tree of the nodes that have needs; V is the top node.

    Attributes:
        order: the item of the problem at each place, (N,).
        cost, mean, variance, loading, state: of the items in this order.
        heads: where choosers begin, (G + 1,).
        item_at, chooser_at: where blocks begin among items and among choosers, (B + 1,).
        node: the node of each block, (B,).
        parent: the next node above that has a need, (V + 1,); the top has -1.
        need, z, base: of all nodes, (V + 1, S); the top has no need.
        own: whether a node's rows are those of its block, (V + 1,).
        part_at: where parts begin among blocks, (P + 1,).
        part_node: the node above all blocks of a part, (P,).
        path: the nodes from a block's first one with upper rows to the top, (B, D), -1 beyond.
    """

    problem: Problem
    order: Positions
    cost: Floats
    mean: Floats
    variance: Floats
    loading: Floats
    state: States
    heads: Positions
    item_at: Positions
    chooser_at: Positions
    node: Indices
    parent: Indices
    need: Floats
    z: Floats
    base: Floats
    own: Flags
    part_at: Positions
    part_node: Indices
    path: Indices

    @property
    def block_count(self) -> int:
        """The number of blocks."""
        return self.node.size

    @cached_property
    def upper(self) -> Flags:
        """Which rows have prices, (V + 1, S)."""
        return np.isfinite(self.need) & ~self.own[:, None]

    @cached_property
    def levels(self) -> list[Indices]:
        """The nodes below the top by depth, deepest first."""
        depth = _depths(self.parent)
        return [np.flatnonzero(depth == d).astype(np.int32) for d in range(depth.max(), 0, -1)]

    @cached_property
    def chooser_node(self) -> Indices:
        """The node of every chooser, (G,)."""
        return np.repeat(self.node, np.diff(self.chooser_at))

    def own_need(self) -> Floats:
        """The needs of the blocks' own rows, (B, S), -inf where there is none."""
        return np.where(self.own[self.node][:, None], self.need[self.node], -np.inf)

    def chosen(self, pick: Indices) -> Flags:
        """The choice in the order of the problem, of the place that every chooser takes."""
        chosen = np.zeros(self.cost.size, bool)
        chosen[self.order[pick[pick >= 0]]] = True
        return chosen

    def picked(self, chosen: Flags) -> Indices:
        """The place that every chooser takes, -1 for none; the first if it should be several."""
        places = np.flatnonzero(chosen[self.order])
        at = np.searchsorted(self.heads, places, side="right") - 1
        pick = np.full(self.heads.size - 1, -1, np.int32)
        pick[at[::-1]] = places[::-1]
        return pick


def lay_out(problem: Problem) -> Layout:
    """The problem laid out; it has at least one item."""
    items, rows = problem.items, problem.rows
    node_count = rows.parent.size
    has_need = np.append(np.isfinite(rows.need).any(axis=1), True)
    above = np.append(np.where(rows.parent < 0, node_count, rows.parent), -1).astype(np.int32)
    standing, parent = _thinned(above, has_need)
    at = standing[items.node]
    several = np.append(np.isfinite(rows.need).sum(axis=1) > 1, False)
    large = np.bincount(at, minlength=node_count + 1) > MOST_OWN
    own = _own(at, parent) & ~(several & large)
    depth = _depths(parent)
    # Blocks with the same node above stand together; own rows of a block are below that node.
    holder = np.where(own[np.arange(node_count + 1)], parent, np.arange(node_count + 1))
    used = np.unique(at).astype(np.int64)
    rank = np.empty(node_count + 1, np.int64)
    sequence = used[np.lexsort((used, holder[used]))]
    rank[sequence] = np.arange(sequence.size)
    key = rank[at]
    # Choosers stay together, since a stable sort keeps neighbours at one node.
    order = np.argsort(key, kind="stable")
    item_at = np.concatenate(([0], np.cumsum(np.bincount(key, minlength=sequence.size))))
    heads = _heads(problem, order)
    item_at, sequence = _chunked(item_at, heads, sequence, own)
    part_at, part_node = _parts(holder[sequence])
    return Layout(
        problem=problem,
        order=order,
        cost=items.cost[order],
        mean=np.ascontiguousarray(items.mean[order]),
        variance=np.ascontiguousarray(items.variance[order]),
        loading=np.ascontiguousarray(problem.loading[order]),
        state=_settled(problem.state[order], heads),
        heads=heads,
        item_at=item_at.astype(np.int64),
        chooser_at=np.searchsorted(heads, item_at).astype(np.int64),
        node=sequence.astype(np.int32),
        parent=parent,
        need=np.vstack((rows.need, np.full((1, rows.need.shape[1]), -np.inf))),
        z=np.vstack((rows.z, np.zeros((1, rows.z.shape[1])))),
        base=np.vstack((problem.base, np.zeros((1, rows.z.shape[1])))),
        own=own,
        part_at=part_at,
        part_node=part_node,
        path=_paths(holder[sequence], parent, int(depth.max()) + 1),
    )


def _thinned(above: Indices, has_need: Flags) -> tuple[Indices, Indices]:
    """For each node the next one with a need, itself first, and the next one above that."""
    standing = np.arange(above.size, dtype=np.int32)
    while not has_need[standing].all():
        standing = np.where(has_need[standing], standing, above[standing])
    parent = np.where(above >= 0, standing[np.maximum(above, 0)], -1)
    return standing, parent.astype(np.int32)


def _own(at: Indices, parent: Indices) -> Flags:
    """The nodes that have items, and none below them; the top has no rows and is not one."""
    holds = np.zeros(parent.size, bool)
    holds[at] = True
    over = np.zeros(parent.size, bool)
    above = np.where(holds, parent, -1)
    while (above >= 0).any():
        over[above[above >= 0]] = True
        above = np.where(above >= 0, parent[np.maximum(above, 0)], -1)
    own = holds & ~over
    own[-1] = False
    return own


def _depths(parent: Indices) -> Indices:
    """How many nodes are above each."""
    depth = np.zeros(parent.size, np.int32)
    above = parent
    while (above >= 0).any():
        depth += above >= 0
        above = np.where(above >= 0, parent[np.maximum(above, 0)], -1)
    return depth


def _heads(problem: Problem, order: Positions) -> Positions:
    """Where choosers begin."""
    count = order.size
    if problem.items.chooser is None:
        return np.arange(count + 1, dtype=np.int64)
    chooser = problem.items.chooser[order]
    begin = np.flatnonzero(np.diff(chooser, prepend=chooser[0] - 1))
    return np.append(begin, count).astype(np.int64)


def _settled(state: States, heads: Positions) -> States:
    """The states, in which whoever is beside a taken item of its chooser is barred."""
    sizes = np.diff(heads)
    if sizes.max() == 1 or not (state == TAKEN).any():
        return state
    taken = np.repeat(np.maximum.reduceat(state, heads[:-1]) == TAKEN, sizes)
    return np.where(taken & (state != TAKEN), BARRED, state).astype(np.int8)


def _chunked(
    item_at: Positions, heads: Positions, sequence: Positions, own: Flags
) -> tuple[Positions, Positions]:
    """Where blocks begin and their nodes, when large blocks without own rows are divided."""
    sizes = np.diff(item_at)
    large = np.flatnonzero((sizes > _CHUNK) & ~own[sequence])
    cuts = [np.arange(item_at[b] + _CHUNK, item_at[b + 1], _CHUNK) for b in large]
    # A cut within a chooser's items moves to where its next one begins.
    extra = heads[np.searchsorted(heads, np.concatenate([np.zeros(0, np.int64), *cuts]))]
    begin = np.unique(np.concatenate((item_at, extra)))
    at = np.searchsorted(item_at, begin[:-1], side="right") - 1
    return begin, sequence[at]


def _parts(holder: NDArray[np.integer]) -> tuple[Positions, Indices]:
    """Where parts begin among the blocks, and the node above each."""
    begin = np.flatnonzero(np.diff(holder, prepend=holder[0] - 1))
    ends = np.append(begin[1:], holder.size)
    starts = [np.arange(b, e, PART_BLOCKS) for b, e in zip(begin, ends, strict=True)]
    first = np.concatenate(starts)
    return np.append(first, holder.size).astype(np.int64), holder[first].astype(np.int32)


def _paths(holder: NDArray[np.integer], parent: Indices, depth: int) -> Indices:
    """The nodes from each holder to the top, (B, depth), -1 beyond."""
    path = np.full((holder.size, depth), -1, np.int32)
    at = holder.astype(np.int32)
    for d in range(depth):
        path[:, d] = at
        at = np.where(at >= 0, parent[np.maximum(at, 0)], -1)
    return path
