"""What all blocks choose at the prices of the rows above them, in threads, and its sums."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from loadloom.solvers.covering.layout import Layout, Positions
from loadloom.solvers.covering.terms import Floats, Indices
from loadloom.solvers.kernels.nested_blocks import relax_blocks, search_blocks

CHUNKS = 16
"""The ranges into which blocks are divided; fixed, so that sums do not depend on threads."""

Entries = tuple[Positions, Indices, Floats]


class OutOfTimeError(Exception):
    """A pass was ended before it had seen all blocks, so that it says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """What one more unit of each upper row is worth, (V + 1, S), and of each quota, (Q,)."""

    row: Floats
    quota: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planes:
    """The planes that stand for the roots of rows.

    Attributes:
        slope: of the variance, (V + 1, S).
        root, direction: a unit vector, (V + 1, S) and (V + 1, S, F), whose product with the root of
            the variance and with the factors is never above their length.
    """

    slope: Floats
    root: Floats
    direction: Floats

    @property
    def touched(self) -> Floats:
        """The deviations, without factors, at which tangents touch, (V + 1, S)."""
        some = self.slope > 0.0
        return np.where(some, 0.5 / np.where(some, self.slope, 1.0), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relaxed:
    """What blocks choose in parts: `value` (B,) at prices, `spent` (B,), sums and quotas' sums."""

    value: Floats
    spent: Floats
    sums: Floats
    counted: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Searched:
    """What searches found: priced cost, inf without, and bound of each block, (B,); the places."""

    value: Floats
    bound: Floats
    taken: Indices


@dataclass(kw_only=True, eq=False)
class Passes:
    """A layout whose blocks answer prices; remembers their own prices and deviations.

    Attributes:
        own_price: the prices of the blocks' own rows, (B, S).
        deviation: the square roots of base and variance that blocks chose last, (B, S).
        entries: the quotas' weights by item: starts, quotas, weights.
        halt: asked between ranges of blocks whether time is over; then `OutOfTimeError` is raised.
    """

    layout: Layout
    pool: Executor | None = None
    halt: Callable[[], bool] | None = None
    own_price: Floats = field(init=False)
    deviation: Floats = field(init=False)
    entries: Entries = field(init=False)
    own_need: Floats = field(init=False)

    def __post_init__(self) -> None:
        lay = self.layout
        self.own_need = lay.own_need()
        self.own_price = np.zeros(self.own_need.shape)
        self.deviation = np.sqrt(lay.base[lay.node] + 0.5 * _block_sums(lay, lay.variance))
        self.entries = _by_item(lay)

    @property
    def quota_count(self) -> int:
        """The number of quotas."""
        return self.layout.problem.quotas.count

    @property
    def halted(self) -> bool:
        """Whether time is over."""
        return self.halt is not None and self.halt()

    def relaxed(self, prices: Prices, planes: Planes, turns: int = 1) -> Relaxed:
        """What blocks choose in parts, with tangents at the deviations they chose last."""
        lay = self.layout
        count, slots = self.own_need.shape
        answer = Relaxed(
            value=np.zeros(count),
            spent=np.zeros(count),
            sums=np.zeros((count, slots, 2 + lay.loading.shape[1])),
            counted=np.zeros((count, self.quota_count)),
        )
        tolls = self._tolls(prices, planes)
        node = lay.node

        def work(first: int, last: int) -> None:
            relax_blocks(
                first, last, lay.cost, lay.mean, lay.variance, lay.loading, lay.state, lay.heads,
                lay.item_at, lay.chooser_at, tolls, self.entries, prices.quota, self.own_need,
                lay.z[node], lay.base[node], planes.root[node], planes.direction[node], turns,
                self.deviation, self.own_price, answer.value, answer.spent, answer.sums,
                answer.counted,
            )  # fmt: skip

        self._in_chunks(work)
        return answer

    def searched(
        self,
        prices: Prices,
        planes: Planes,
        *,
        nodes: int,
        share: float,
        decide: bool = True,
        only: Indices | None = None,
    ) -> Searched:
        """The best choices of blocks, or of `only` some of them, by a search each."""
        lay = self.layout
        count = lay.block_count
        blocks = np.arange(count, dtype=np.int32) if only is None else only
        answer = Searched(
            value=np.full(count, np.inf),
            bound=np.full(count, -np.inf),
            taken=np.full(lay.heads.size - 1, -1, np.int32),
        )
        tolls = self._tolls(prices, planes)
        node = lay.node
        fixed = (lay.z[node], lay.base[node], planes.root[node], planes.direction[node])

        def work(first: int, last: int) -> None:
            search_blocks(
                blocks[first:last], lay.cost, lay.mean, lay.variance, lay.loading, lay.state,
                lay.heads, lay.item_at, lay.chooser_at, tolls, self.entries, prices.quota,
                self.own_need, *fixed, nodes, share, decide, self.own_price, answer.value,
                answer.bound, answer.taken,
            )  # fmt: skip

        self._in_chunks(work, blocks)
        return answer

    def row_price(self, prices: Prices) -> Floats:
        """The prices of all rows, upper ones and those of blocks, (V + 1, S)."""
        lay = self.layout
        row = np.where(lay.upper, prices.row, 0.0)
        own = lay.own[lay.node]
        row[lay.node[own]] += self.own_price[own]
        return row

    def _tolls(self, prices: Prices, planes: Planes) -> tuple[Floats, Floats, Floats]:
        """What the rows above a block pay for means, variances, (B, S), and factors, (B, S, F)."""
        lay = self.layout
        price = np.where(lay.upper, prices.row, 0.0)
        by_variance = price * lay.z * planes.root * planes.slope
        by_factor = (price * lay.z)[:, :, None] * planes.direction
        paths = lay.path
        return (
            _along(paths, price),
            _along(paths, by_variance),
            _along(paths, by_factor),
        )

    def _in_chunks(self, work: Callable[[int, int], None], blocks: Indices | None = None) -> None:
        """Does the work on ranges of blocks of about as many items each, in the pool."""
        lay = self.layout
        sizes = np.diff(lay.item_at)
        done = np.cumsum(sizes if blocks is None else sizes[blocks])
        edges = np.searchsorted(done, np.linspace(0, done[-1], CHUNKS + 1)[1:-1]) + 1
        edges = np.unique(np.concatenate(([0], edges, [done.size])))
        ranges: Sequence[tuple[int, int]] = list(pairwise(edges.tolist()))
        skipped = 0

        def unless_halted(first: int, last: int) -> None:
            nonlocal skipped
            if self.halted:
                skipped += 1
            else:
                work(first, last)

        if self.pool is None or done[-1] < 2_000:
            for first, last in ranges:
                unless_halted(first, last)
        else:
            for future in [self.pool.submit(unless_halted, a, b) for a, b in ranges]:
                future.result()
        if skipped:
            raise OutOfTimeError


def _along(paths: Indices, values: Floats) -> Floats:
    """The sums over the nodes of each path."""
    total = np.zeros((paths.shape[0], *values.shape[1:]))
    for d in range(paths.shape[1]):
        # The entry beyond the top is that of index -1, the top, which has no row and is 0.
        total += values[paths[:, d]]
    return total


def _block_sums(lay: Layout, columns: Floats) -> Floats:
    """The sums over the items of each block."""
    return np.add.reduceat(columns, lay.item_at[:-1], axis=0)


def _by_item(lay: Layout) -> Entries:
    """The entries of the quotas by the place of their item."""
    quotas, count = lay.problem.quotas, lay.cost.size
    if quotas.count == 0:
        return np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0)
    place = np.empty(count, np.int64)
    place[lay.order] = np.arange(count)
    at = place[quotas.items]
    order = np.argsort(at, kind="stable")
    which = np.repeat(np.arange(quotas.count, dtype=np.int32), np.diff(quotas.starts))
    starts = np.concatenate(([0], np.cumsum(np.bincount(at, minlength=count))))
    return starts.astype(np.int64), which[order], quotas.weights[order].astype(np.float64)


def node_sums(lay: Layout, at: Indices, sums: Floats) -> Floats:
    """Sums of blocks or parts at nodes, added up over each node and all below, (V + 1, ...)."""
    total = np.zeros((lay.parent.size, *sums.shape[1:]))
    np.add.at(total, at, sums)
    for nodes in lay.levels:
        np.add.at(total, lay.parent[nodes], total[nodes])
    return total
