"""Items whose sums must reach needs with confidence, at many rows of a tree at once.

    minimise   sum_i cost[i] * x[i],  x in {0, 1}^N
    subject to level[v, s] >= need[v, s]           for every node v and slot s with a need
               low <= sum of weight * x <= high    for every quota
               at most one item of each chooser
    where      level[v, s] = m - z[v, s] * sqrt(base[v, s] + w + sum_f g[f]^2)
               m = sum of mean[i, s] * x[i], w = sum of variance[i, s] * x[i],
               g[f] = sum of loading[i, f] * mean[i, s] * x[i]   over the items at v and below

Means and needs may have any sign: with a negative mean a row is a limit, -need, that a sum must
stay below with confidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadloom.solvers.covering.terms import (
    BARRED,
    TAKEN,
    Flags,
    Floats,
    Indices,
    States,
    row_unit,
    slack,
)
from loadloom.solvers.kernels.nested_tree import add_chosen, best_level


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """The items by row, (N,) or (N, S) or (N, F).

    Attributes:
        cost: what an item costs, of any sign.
        mean, variance: what it adds to its row in each slot, (N, S).
        node: where it is; any node, not only a leaf.
        loading: the share of its mean that one unit of each shared factor moves, (N, F).
        chooser: the number of its chooser, at most one of whose items is chosen; items of a
            chooser stand side by side and at one node. None: every item is by itself.
        state: FREE, TAKEN or BARRED; None: all are free.
    """

    cost: Floats
    mean: Floats
    variance: Floats
    node: Indices
    loading: Floats | None = None
    chooser: Indices | None = None
    state: States | None = None

    @property
    def count(self) -> int:
        """The number of items."""
        return self.cost.size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """The tree and its needs.

    Attributes:
        parent: the node above, -1 at a root, (V,).
        need: what a row must reach, (V, S); -inf where there is no row.
        z: how many deviations a row must stay clear of its need, (V, S), never negative.
        base: a variance of the need itself, (V, S); None: the needs are certain.
    """

    parent: Indices
    need: Floats
    z: Floats
    base: Floats | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quotas:
    """Limits of weighted sums: entries of quota q stand from `starts[q]` to `starts[q + 1]`."""

    starts: NDArray[np.int64]
    items: Indices
    weights: Floats
    low: Floats
    high: Floats

    @staticmethod
    def of(sides: Sequence[tuple[NDArray[np.integer], Floats, float, float]]) -> "Quotas":
        """The quotas given as (items, weights, low, high) each."""
        sizes = [len(side[0]) for side in sides]
        return Quotas(
            starts=np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64),
            items=np.concatenate([np.zeros(0), *(side[0] for side in sides)]).astype(np.int32),
            weights=np.concatenate([np.zeros(0), *(np.asarray(side[1]) for side in sides)]),
            low=np.array([side[2] for side in sides], float),
            high=np.array([side[3] for side in sides], float),
        )

    @staticmethod
    def none() -> "Quotas":
        """No quotas."""
        return Quotas.of([])

    @property
    def count(self) -> int:
        """The number of quotas."""
        return self.low.size

    def sums(self, chosen: Flags) -> Floats:
        """The weighted sum of each, (Q,)."""
        entries = np.append(np.where(chosen[self.items], self.weights, 0.0), 0.0)
        sums = np.add.reduceat(entries, self.starts[:-1]) if self.count else np.zeros(0)
        return np.where(np.diff(self.starts) > 0, sums, 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """Items, rows and quotas that fit together.

    Raises:
        ValueError: shapes differ, a number is not finite, a variance or z is negative, the tree
            has a cycle, or a chooser's items are apart.
    """

    items: Items
    rows: Rows
    quotas: Quotas = field(default_factory=Quotas.none)

    def __post_init__(self) -> None:
        faults = [*_item_faults(self.items, self.rows), *_row_faults(self.rows)]
        if not faults:
            faults = [*_tree_faults(self.items, self.rows), *_quota_faults(self)]
        if faults:
            raise ValueError("; ".join(faults))

    @cached_property
    def unit(self) -> Floats:
        """A unit for the rows of each slot, (S,): see `row_unit`."""
        need, mean = self.rows.need, self.items.mean
        return np.array([row_unit(need[:, s], mean[:, s]) for s in range(need.shape[1])])

    def in_units(self) -> "Problem":
        """The same problem, its rows told in their units."""
        items, rows, unit = self.items, self.rows, self.unit
        base = None if rows.base is None else rows.base / unit**2
        return replace(
            self,
            items=replace(items, mean=items.mean / unit, variance=items.variance / unit**2),
            rows=replace(rows, need=rows.need / unit, base=base),
        )

    def lowered(self, need: Floats) -> "Problem":
        """The same problem with other needs, (V, S)."""
        return replace(self, rows=replace(self.rows, need=need))

    @cached_property
    def depth(self) -> Indices:
        """How many nodes are above each, (V,)."""
        return _depth(self.rows.parent)

    @cached_property
    def loading(self) -> Floats:
        """The loadings, (N, F), with no column where there are none."""
        given = self.items.loading
        return np.zeros((self.items.count, 0)) if given is None else given

    @cached_property
    def base(self) -> Floats:
        """The variances of the needs, (V, S)."""
        given = self.rows.base
        return np.zeros(self.rows.need.shape) if given is None else given

    @cached_property
    def state(self) -> States:
        """The states, (N,)."""
        given = self.items.state
        return np.zeros(self.items.count, np.int8) if given is None else given

    @cached_property
    def upward(self) -> Indices:
        """The nodes, deepest first."""
        return np.argsort(-self.depth, kind="stable").astype(np.int32)


def _depth(parent: Indices) -> Indices:
    """How many nodes are above each; the number of all nodes within a cycle and below it."""
    depth = np.zeros(parent.size, np.int32)
    above = parent.copy()
    for _ in range(parent.size):
        if not (above >= 0).any():
            return depth
        depth[above >= 0] += 1
        above = np.where(above >= 0, parent[np.maximum(above, 0)], -1)
    return depth


def _item_faults(items: Items, rows: Rows) -> list[str]:
    """What is wrong with the columns of the items."""
    count, slots = items.cost.size, rows.need.shape[-1]
    shapes = {
        "cost": (items.cost, (count,)),
        "mean": (items.mean, (count, slots)),
        "variance": (items.variance, (count, slots)),
        "node": (items.node, (count,)),
        "chooser": (items.chooser, (count,)),
        "state": (items.state, (count,)),
    }
    if items.loading is not None:
        shapes["loading"] = (items.loading, (count, items.loading.shape[-1]))
    faults = []
    for name, (column, shape) in shapes.items():
        if column is None:
            continue
        if column.shape != shape:
            faults.append(f"{name} has shape {column.shape}, not {shape}")
        elif not np.isfinite(column).all():
            faults.append(f"{name} is not finite")
    if items.variance.size and items.variance.min() < 0.0:
        faults.append("variance is negative")
    if items.node.size and not 0 <= items.node.min() <= items.node.max() < rows.parent.size:
        faults.append("node is not one of the tree")
    return faults


def _row_faults(rows: Rows) -> list[str]:
    """What is wrong with the needs."""
    faults = []
    if (
        rows.need.shape != (rows.parent.size, rows.need.shape[-1])
        or rows.z.shape != rows.need.shape
    ):
        faults.append(f"need has shape {rows.need.shape} and z {rows.z.shape}")
    if np.isnan(rows.need).any() or (rows.need == np.inf).any():
        faults.append("need is neither finite nor -inf")
    if not (np.isfinite(rows.z).all() and (rows.z >= 0.0).all()):
        faults.append("z is negative or not finite")
    base = rows.base
    if base is not None and (base.shape != rows.need.shape or not (base >= 0.0).all()):
        faults.append("base has another shape than need, or is negative")
    return faults


def _tree_faults(items: Items, rows: Rows) -> list[str]:
    """What is wrong with the tree, and with choosers in it."""
    parent = rows.parent
    if parent.size and not -1 <= parent.min() <= parent.max() < parent.size:
        return ["parent is not one of the tree"]
    faults = []
    if parent.size and _depth(parent).max() >= parent.size:
        faults.append("parent makes a cycle")
    if items.chooser is not None and items.count:
        begin = np.flatnonzero(np.diff(items.chooser, prepend=items.chooser[0] - 1))
        if np.unique(items.chooser).size != begin.size:
            faults.append("the items of a chooser are not side by side")
        inside = np.diff(items.chooser) == 0
        if (np.diff(items.node)[inside] != 0).any():
            faults.append("the items of a chooser are at several nodes")
    return faults


def _quota_faults(problem: Problem) -> list[str]:
    """What is wrong with the quotas."""
    quotas, count = problem.quotas, problem.items.count
    faults = []
    if quotas.items.size and not 0 <= quotas.items.min() <= quotas.items.max() < count:
        faults.append("quotas.items is not one of the items")
    if not np.isfinite(quotas.weights).all():
        faults.append("quotas.weights is not finite")
    if np.isnan(quotas.low).any() or np.isnan(quotas.high).any():
        faults.append("a limit of a quota is not a number")
    return faults


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """Means, variances with the needs' own, and factors of each row: (V, S), (V, S), (V, S, F)."""

    mean: Floats
    variance: Floats
    factor: Floats

    def deviation(self) -> Floats:
        """The standard deviation of each row, (V, S)."""
        return np.sqrt(np.maximum(self.variance, 0.0) + (self.factor**2).sum(axis=2))


def summed(problem: Problem, chosen: Flags) -> Sums:
    """The sums of chosen items over each node and all below it."""
    items, loading = problem.items, problem.loading
    shape = problem.rows.need.shape
    sums = Sums(
        mean=np.zeros(shape),
        variance=problem.base.copy(),
        factor=np.zeros((*shape, loading.shape[1])),
    )
    add_chosen(
        chosen, items.mean, items.variance, loading, items.node,
        problem.upward, problem.rows.parent, sums.mean, sums.variance, sums.factor,
    )  # fmt: skip
    return sums


def levels(problem: Problem, chosen: Flags) -> Floats:
    """The level of every row, (V, S), whether it has a need or not."""
    sums = summed(problem, chosen)
    return sums.mean - problem.rows.z * sums.deviation()


def shortfall(problem: Problem, chosen: Flags) -> Floats:
    """How much each row lacks of its need, (V, S), 0 within the tolerance."""
    need = problem.rows.need
    lack = np.where(np.isfinite(need), need - levels(problem, chosen), 0.0)
    return np.where(lack > slack(need, problem.unit), lack, 0.0)


def keeps(problem: Problem, chosen: Flags) -> bool:
    """Whether a choice keeps all rows, quotas, choosers and states."""
    items, quotas = problem.items, problem.quotas
    sums = quotas.sums(chosen)
    rounding = slack(sums)
    if (sums < quotas.low - rounding).any() or (sums > quotas.high + rounding).any():
        return False
    if (chosen & (problem.state == BARRED)).any() or (~chosen & (problem.state == TAKEN)).any():
        return False
    if items.chooser is not None and np.unique(items.chooser[chosen]).size != chosen.sum():
        return False
    return not shortfall(problem, chosen).any()


def attainable(problem: Problem) -> Floats:
    """The largest level of each row by itself, (V, S), NaN without a need: nothing else counts.

    Exact without choosers and factors, where it is that of the first items by mean per variance;
    with them it is a level that can be had, the highest that was found.
    """
    items, rows = problem.items, problem.rows
    place = _preorder(problem)
    order = np.argsort(place[items.node], kind="stable")
    sizes = np.bincount(items.node, minlength=rows.parent.size)
    below = sizes.copy()
    for v in problem.upward:
        if rows.parent[v] >= 0:
            below[rows.parent[v]] += below[v]
    begin = np.concatenate(([0], np.cumsum(sizes[np.argsort(place)])))[place]
    chooser = np.arange(items.count) if items.chooser is None else items.chooser
    found = np.full(rows.need.shape, np.nan)
    for v, s in zip(*np.nonzero(np.isfinite(rows.need)), strict=True):
        mine = order[begin[v] : begin[v] + below[v]]
        first = np.flatnonzero(np.diff(chooser[mine])) + 1
        found[v, s] = best_level(
            items.mean[mine, s], items.variance[mine, s], problem.loading[mine],
            np.concatenate((np.zeros(min(1, mine.size), np.int64), first, [mine.size])),
            problem.state[mine], rows.z[v, s], problem.base[v, s],
        )  # fmt: skip
    return found


def _preorder(problem: Problem) -> Indices:
    """Each node's place in an order in which whatever is below a node follows it at once."""
    parent = problem.rows.parent
    size = np.ones(parent.size, np.int32)
    for v in problem.upward:
        if parent[v] >= 0:
            size[parent[v]] += size[v]
    place, free = np.zeros(parent.size, np.int32), np.zeros(parent.size + 1, np.int32)
    for v in problem.upward[::-1]:
        up = parent[v]
        place[v] = free[up]
        free[up] += size[v]
        free[v] = place[v] + 1
    return place
