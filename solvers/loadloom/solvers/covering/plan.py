"""Choices over a whole tree: what blocks choose at prices, mended, pruned and exchanged."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from loadloom.solvers.covering.passes import Passes, Planes, Prices
from loadloom.solvers.covering.terms import Flags, Floats, Indices, slack
from loadloom.solvers.kernels.nested_plan import (
    exchange,
    mend,
    mend_pairs,
    prune,
    score_moves,
    start_sums,
)

MENDS = 40
"""The most lists of moves by which a choice is mended."""

MANY = 200_000
"""Up to so many items exchanges are tried everywhere: 50 items a block, 1,000,000 took 1.2 s."""

SLICES = 32
"""The parts of lists of choosers and blocks, between which it is asked whether time is over."""

SMALL_BLOCK = 300
"""Items are exchanged in blocks of up to so many."""


@dataclass(kw_only=True, eq=False)
class Plan:
    """A choice, the place that every chooser takes, with the sums of its rows and quotas."""

    passes: Passes
    taken: Indices
    sums: Floats = field(init=False)
    counted: Floats = field(init=False)

    def __post_init__(self) -> None:
        lay = self.passes.layout
        first = _forced(self.passes)
        self.taken = np.where(first >= 0, first, self.taken).astype(np.int32)
        self.sums = np.zeros((*lay.need.shape, 2 + lay.loading.shape[1]))
        self.counted = np.zeros(self.passes.quota_count)
        start_sums(
            self.taken, lay.chooser_node, lay.mean, lay.variance, lay.loading, lay.parent,
            self.sums, self.passes.entries, self.counted,
        )  # fmt: skip

    @property
    def cost(self) -> float:
        """What is taken costs."""
        return float(self.passes.layout.cost[self.taken[self.taken >= 0]].sum())

    def lacks(self) -> bool:
        """Whether a row or a quota lacks anything."""
        return bool(self._weights()[0].any() or self._outside().any())

    def improve(self, prices: Prices, planes: Planes) -> bool:
        """Mends the choice, prunes it and exchanges items; whether nothing lacks.

        Of very many items, only those are exchanged whose neighbours were mended or pruned: what is
        elsewhere a search has just chosen.
        """
        before = self.taken.copy()
        if not self._mend(prices, planes):
            return False
        self._prune(prices, planes)
        self._exchange(before)
        return True

    def _mend(self, prices: Prices, planes: Planes) -> bool:
        """Makes moves by their cost for what lacks, until nothing does or none helps."""
        lay = self.passes.layout
        chooser, item = np.empty((2, lay.cost.size + lay.heads.size - 1), np.int32)
        score = np.empty(chooser.size)
        row, slope, shift = self._tilts(prices, planes)
        for turn in range(MENDS):
            if turn > 0 and self.passes.halted:
                return False
            weight, outside = self._weights()[0], self._outside()
            if not weight.any() and not outside.any():
                return True
            found = score_moves(
                self.taken, lay.chooser_node, lay.cost, lay.state, lay.heads, lay.mean,
                lay.variance, lay.loading, lay.parent, row, slope, shift, weight,
                self.passes.entries, prices.quota, outside, chooser, item, score,
            )  # fmt: skip
            order = np.argsort(score[:found], kind="stable")
            moved = mend(chooser[order], item[order], self.taken, lay.chooser_node, *self._rows())
            if moved == 0 and self._pairs() == 0:
                return False
        return not self.lacks()

    def _pairs(self) -> int:
        """Exchanges items below rows that lack something; how many."""
        lay = self.passes.layout
        lacks: Flags = np.asarray(self.lacking().any(axis=1))
        outside = bool(self._outside().any())
        below = lacks[lay.node] | lacks[lay.path].any(axis=1) | outside
        small = np.diff(lay.item_at) <= SMALL_BLOCK
        return mend_pairs(
            np.flatnonzero(below & small).astype(np.int32), lay.chooser_at, self.taken,
            lay.chooser_node, lay.state, lay.heads, *self._rows(),
        )  # fmt: skip

    def lacking(self) -> Flags:
        """Which rows lack something, (V + 1, S)."""
        return self._weights()[0] > 0.0

    def _prune(self, prices: Prices, planes: Planes) -> None:
        """Takes off what is not needed, what is worth least at the prices first."""
        lay = self.passes.layout
        row, slope, shift = self._tilts(prices, planes)
        choosers = np.flatnonzero(self.taken >= 0).astype(np.int32)
        net = self._net(choosers, prices, row, slope, shift)
        order = choosers[np.argsort(-net, kind="stable")]
        for some in self._slices(order):
            prune(some, self.taken, lay.chooser_node, lay.cost, lay.state, lay.heads, *self._rows())

    def _exchange(self, before: Indices) -> None:
        """Exchanges items within small blocks; of very many, in those that have changed."""
        lay = self.passes.layout
        changed = np.flatnonzero(self.taken != before)
        blocks = np.unique(np.searchsorted(lay.chooser_at, changed, side="right") - 1)
        if lay.cost.size <= MANY:
            blocks = np.arange(lay.block_count)
        blocks = blocks[np.diff(lay.item_at)[blocks] <= SMALL_BLOCK].astype(np.int32)
        for some in self._slices(blocks):
            exchange(
                some, lay.chooser_at, self.taken, lay.chooser_node, lay.cost, lay.state, lay.heads,
                *self._rows(),
            )  # fmt: skip

    def _slices(self, order: Indices) -> Iterator[Indices]:
        """A list part by part, until time is over: a choice that holds does so at any time."""
        for some in np.array_split(order, SLICES):
            if self.passes.halted:
                return
            yield some

    def _net(
        self, choosers: Indices, prices: Prices, row: Floats, slope: Floats, shift: Floats
    ) -> Floats:
        """What is taken costs above what it is worth."""
        lay = self.passes.layout
        at = self.taken[choosers]
        net = lay.cost[at].copy()
        v = lay.chooser_node[choosers]
        while (v >= 0).any():
            moved = 1.0 - np.einsum("isf,if->is", shift[v], lay.loading[at])
            entry = lay.mean[at] * moved - slope[v] * lay.variance[at]
            net -= np.where(v >= 0, (row[v] * entry).sum(axis=1), 0.0)
            v = np.where(v >= 0, lay.parent[v], -1)
        if prices.quota.size:
            starts, which, weights = self.passes.entries
            paid = np.append(0.0, np.cumsum(prices.quota[which] * weights))
            net -= paid[starts[at + 1]] - paid[starts[at]]
        return net

    def _tilts(self, prices: Prices, planes: Planes) -> tuple[Floats, Floats, Floats]:
        """The prices of all rows, own ones too, and their entries' slopes and shifts."""
        lay = self.passes.layout
        row = self.passes.row_price(prices)
        return row, lay.z * planes.root * planes.slope, lay.z[:, :, None] * planes.direction

    def _weights(self) -> tuple[Floats, Floats]:
        """One over the need of each row that lacks, else 0, (V + 1, S); and what each lacks."""
        lay = self.passes.layout
        deviation = np.sqrt(
            np.maximum(lay.base + self.sums[:, :, 1], 0.0) + (self.sums[:, :, 2:] ** 2).sum(axis=2)
        )
        scale = np.maximum(1.0, np.abs(np.where(np.isfinite(lay.need), lay.need, 0.0)))
        lack = np.where(
            np.isfinite(lay.need), lay.need - self.sums[:, :, 0] + lay.z * deviation, 0.0
        )
        lacks = lack > 1e-9 * scale
        return np.where(lacks, 1.0 / scale, 0.0), np.where(lacks, lack, 0.0)

    def _outside(self) -> Floats:
        """One over its limit for each quota below it, minus that above, else 0, (Q,)."""
        quotas = self.passes.layout.problem.quotas
        rounding = slack(self.counted)
        below = self.counted < quotas.low - rounding
        above = self.counted > quotas.high + rounding
        limit = np.where(below, quotas.low, np.where(above, quotas.high, 1.0))
        return (below * 1.0 - above * 1.0) / np.maximum(1.0, np.abs(limit))

    def _rows(self) -> tuple[object, ...]:
        """What the kernels take of items, rows and quotas."""
        lay, quotas = self.passes.layout, self.passes.layout.problem.quotas
        return (
            lay.mean, lay.variance, lay.loading, lay.parent, self.sums, lay.need, lay.z, lay.base,
            self.passes.entries, self.counted, quotas.low, quotas.high,
        )  # fmt: skip


def _forced(passes: Passes) -> Indices:
    """The place that each chooser must take, -1 where it is free."""
    lay = passes.layout
    first = np.full(lay.heads.size - 1, -1, np.int32)
    places = np.flatnonzero(lay.state > 0).astype(np.int32)
    first[np.searchsorted(lay.heads, places, side="right") - 1] = places
    return first
