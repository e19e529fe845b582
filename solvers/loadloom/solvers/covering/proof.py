"""A bound by prices of nested rows: whatever the prices, no choice costs less.

    bound = sum_r price[r] * (need[r] + z * chord's constant) + sum_b least priced cost of block b

A root is not convex, so it is bounded from below by its chord on an interval, and for all of its
values by the least over the intervals that cover them. The node above a part's blocks has three
intervals, of which the middle one is narrow and at the deviation that prices led to: there blocks
are searched item by item; the outer ones cost more anyway, and are searched only where they do not.
Nodes further up have three, too, if there are not too many items; else one will do, since their
deviation is a small part of their need.
"""

from dataclasses import dataclass, replace

import numpy as np

from loadloom.solvers.covering.passes import Passes, Planes, Prices, Searched, node_sums
from loadloom.solvers.covering.terms import Flags, Floats, Indices, slack
from loadloom.solvers.kernels.nested_blocks import lean_blocks, ratio_blocks

_RATES = np.geomspace(0.35, 4.0, 8)
_NARROW = 1.15  # how far the middle interval reaches, as a factor of the deviation
_CUTS = 3  # intervals of a block's own deviation where nothing is decided
_TIERS_WORK = 300_000  # items in all combinations of intervals of nodes further up
_MOST_RATIOS = 4_000_000  # of rows to slots that are looked at: 80,000,000 took 18 s
_SMALL = 1e-4  # the share of a node's worth that the chord of one interval may be off

Box = tuple[Floats, Floats]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proof:
    """The bound that prices prove, inf if nothing keeps all rows, and the choices of blocks."""

    bound: float
    searched: Searched


@dataclass(kw_only=True, eq=False)
class _Question:
    """Prices, and the intervals of all rows at which they are looked at.

    Attributes:
        boxes: the middle intervals, the lower and the upper ones.
        boxed: the nodes right above blocks that have all three.
        decide: whether blocks are searched item by item.
    """

    prices: Prices
    planes: Planes
    boxes: tuple[Box, Box, Box]
    boxed: Flags
    nodes: int
    share: float
    decide: bool = True

    def rough(self) -> "_Question":
        """The same question, with blocks that only cut intervals."""
        return replace(self, nodes=_CUTS, decide=False)


@dataclass(kw_only=True, eq=False)
class Prover:
    """Bounds of one layout; remembers the widest intervals of its rows' deviations."""

    passes: Passes
    _widest: Box | None = None
    _spans: tuple[Floats, Floats] | None = None
    _first: Searched | None = None

    def prove(self, prices: Prices, planes: Planes, *, nodes: int, share: float) -> Proof:
        """The bound by these prices; blocks are searched to within a share of their worth."""
        lay = self.passes.layout
        low, high = self.widest()
        off = self._off(prices, planes, low, high)
        boxed = off & self._lowest()
        slot = self._leading(prices, planes)
        touched = planes.touched
        question = _Question(
            prices=prices,
            planes=planes,
            boxes=(
                self._narrowed(low, high, slot, touched / _NARROW, touched * _NARROW),
                self._narrowed(low, high, slot, low, touched / _NARROW),
                self._narrowed(low, high, slot, touched * _NARROW, high),
            ),
            boxed=boxed,
            nodes=nodes,
            share=share,
        )
        tiers = [tier for tier in self._tiers(off & ~boxed) if tier.any()]
        if lay.cost.size * 3 ** len(tiers) > _TIERS_WORK:
            tiers = []
        self._first = None
        values = self._least(question, tiers, (low, high))
        searched = self._first
        if searched is None:
            raise RuntimeError("a proof searches its blocks at least once")
        bound = float(values.sum()) + self._quotas(prices)
        return Proof(
            bound=bound if np.isfinite(searched.bound).all() else np.inf, searched=searched
        )

    def _least(self, question: _Question, tiers: list[Flags], box: Box) -> Floats:
        """What nodes are worth, (V + 1,), in the intervals that are least for each of a tier."""
        if not tiers:
            return self._near_blocks(question, box)
        here, rest = tiers[0], tiers[1:]
        best = self._least(question, rest, _mixed_box(here, question.boxes[0], box))
        for outer in question.boxes[1:]:
            inside = _mixed_box(here, outer, box)
            found = self._least(question.rough(), rest, inside)
            if question.decide and self._lower(here, found, best).any():
                found = self._least(question, rest, inside)
            best = np.where(self._lower(here, found, best), found, best)
        return best

    def _lower(self, here: Flags, found: Floats, best: Floats) -> Flags:
        """The nodes of a tier, and all below them, that are worth less in all by what was found."""
        lay = self.passes.layout
        at = np.arange(lay.parent.size, dtype=np.int32)
        lower = here & (node_sums(lay, at, found) < node_sums(lay, at, best))
        for nodes in reversed(lay.levels):
            lower[nodes] |= lower[lay.parent[nodes]]
        return lower

    def _near_blocks(self, question: _Question, box: Box) -> Floats:
        """What nodes are worth, (V + 1,), with three intervals right above blocks."""
        boxed = question.boxed
        first = _mixed_box(boxed, question.boxes[0], box)
        searched = self._searched(question, first)
        if self._first is None:
            self._first = searched
        values = self._values(question, first, searched.bound)
        for outer in question.boxes[1:] if boxed.any() else ():
            inside = _mixed_box(boxed, outer, box)
            values = self._lowered(question, inside, values)
        return values

    def widest(self) -> Box:
        """The widest intervals of all rows' deviations, (V + 1, S) each."""
        if self._widest is None:
            self._widest = self._widest_boxes()
        return self._widest

    def _lowered(self, question: _Question, box: Box, values: Floats) -> Floats:
        """The least values of nodes, when an interval of theirs is looked at, too."""
        holder = self.passes.layout.path[:, 0]
        boxed = question.boxed
        only = np.flatnonzero(boxed[holder]).astype(np.int32)
        rough = self._searched(question.rough(), box, only)
        found = self._values(question, box, rough.bound)
        lower = boxed & (found < values)
        if question.decide and lower.any():
            only = np.flatnonzero(lower[holder]).astype(np.int32)
            fine = self._searched(question, box, only)
            found = self._values(question, box, np.maximum(rough.bound, fine.bound))
        return np.where(boxed, np.minimum(values, found), values)

    def _searched(self, question: _Question, box: Box, only: Indices | None = None) -> Searched:
        """What blocks choose with the chords over the intervals."""
        return self.passes.searched(
            question.prices,
            replace(question.planes, slope=_slope(box)),
            nodes=question.nodes,
            share=question.share,
            decide=question.decide,
            only=only,
        )

    def _values(self, question: _Question, box: Box, bounds: Floats) -> Floats:
        """What the rows of each node and the blocks right below it are worth, (V + 1,)."""
        lay, prices, planes = self.passes.layout, question.prices, question.planes
        constant = planes.root * _slope(box) * (lay.base + box[0] * box[1])
        price = np.where(lay.upper, prices.row, 0.0)
        needed = np.where(price > 0.0, lay.need, 0.0) - slack(lay.need) + lay.z * constant
        held = np.where(price > 0.0, price * np.where(price > 0.0, needed, 0.0), 0.0).sum(axis=1)
        blocks = np.where(np.isfinite(bounds), bounds, 0.0)
        return held + np.bincount(lay.path[:, 0], weights=blocks, minlength=held.size)

    def _quotas(self, prices: Prices) -> float:
        """What the quotas' prices are worth."""
        quotas = self.passes.layout.problem.quotas
        low = quotas.low - slack(quotas.low)
        high = quotas.high + slack(quotas.high)
        up, down = prices.quota > 0.0, prices.quota < 0.0
        return float(prices.quota[up] @ low[up] + prices.quota[down] @ high[down])

    def _off(self, prices: Prices, planes: Planes, low: Floats, high: Floats) -> Flags:
        """The nodes whose one interval would be off by too much."""
        lay = self.passes.layout
        price = np.where(lay.upper, prices.row, 0.0)
        width = np.where(high + low > 0.0, high + low, 1.0)
        off = (price * lay.z * planes.root * (high - low) ** 2 / (4.0 * width)).sum(axis=1)
        worth = np.where(price > 0.0, price * np.abs(np.where(price > 0.0, lay.need, 0.0)), 0.0)
        return (off > _SMALL * worth.sum(axis=1)) & (off > 0.0)

    def _lowest(self) -> Flags:
        """The nodes right above blocks, with no upper row below them."""
        lay = self.passes.layout
        holder = np.zeros(lay.parent.size, bool)
        holder[lay.path[:, 0]] = True
        over = np.zeros(lay.parent.size, bool)
        upper = np.flatnonzero(lay.upper.any(axis=1) & (lay.parent >= 0))
        over[lay.parent[upper]] = True
        return holder & ~over

    def _tiers(self, marked: Flags) -> list[Flags]:
        """The marked nodes of each depth, from the top down."""
        tiers = []
        for nodes in reversed(self.passes.layout.levels):
            tier = np.zeros(marked.size, bool)
            tier[nodes] = marked[nodes]
            tiers.append(tier)
        return tiers

    def _leading(self, prices: Prices, planes: Planes) -> Indices:
        """The slot of each node whose deviation costs most: the others follow it."""
        lay = self.passes.layout
        price = np.where(lay.upper, prices.row, 0.0)
        return np.argmax(price * lay.z * planes.root * planes.touched, axis=1)

    def _narrowed(
        self, low: Floats, high: Floats, slot: Indices, begin: Floats, end: Floats
    ) -> Box:
        """The intervals of all slots when that of the leading one goes from `begin` to `end`.

        The variance of another slot is between the least and the largest of the items' ratios
        times that of the leading one.
        """
        lay = self.passes.layout
        at = np.arange(slot.size), slot
        least, most = self._others(slot)
        base = lay.base
        begin_own = np.maximum(begin[at], low[at])
        end_own = np.maximum(np.minimum(end[at], high[at]), begin_own)
        own_low = np.maximum(begin_own**2 - base[at], 0.0)[:, None]
        own_high = np.maximum(end_own**2 - base[at], 0.0)[:, None]
        new_low = np.sqrt(base + np.where(own_low > 0.0, least * own_low, 0.0))
        new_high = np.sqrt(base + np.where(np.isfinite(most), most, 0.0) * own_high)
        new_high = np.where(np.isfinite(most), new_high, high)
        new_low = np.clip(new_low * (1.0 - 1e-12), low, high)
        new_high = np.clip(new_high * (1.0 + 1e-12), new_low, high)
        return new_low, new_high

    def _others(self, slot: Indices) -> tuple[Floats, Floats]:
        """The least and the largest ratio of variances to those of a slot of each node, (V + 1, S).

        With too many slots nothing is known but of the slot itself.
        """
        lay = self.passes.layout
        at = np.arange(slot.size), slot
        if lay.need.size * lay.need.shape[1] > _MOST_RATIOS:
            least, most = np.zeros(lay.need.shape), np.full(lay.need.shape, np.inf)
            least[at] = most[at] = 1.0
            return least, most
        if self._spans is None:
            self._spans = self._ratios()
        return self._spans[0][at], self._spans[1][at]

    def _ratios(self) -> tuple[Floats, Floats]:
        """The least and the largest ratio of the variances of items at and below each node.

        (V + 1, S, S): those of the last slot over those of the slot before it.
        """
        lay = self.passes.layout
        slots = lay.need.shape[1]
        least = np.full((lay.block_count, slots, slots), np.inf)
        most = np.zeros((lay.block_count, slots, slots))
        ratio_blocks(lay.item_at, lay.variance, lay.state, least, most)
        low = np.full((lay.parent.size, slots, slots), np.inf)
        high = np.zeros((lay.parent.size, slots, slots))
        np.minimum.at(low, lay.node, least)
        np.maximum.at(high, lay.node, most)
        for nodes in lay.levels:
            np.minimum.at(low, lay.parent[nodes], low[nodes])
            np.maximum.at(high, lay.parent[nodes], high[nodes])
        return np.where(np.isfinite(low), low, 0.0), high

    def _widest_boxes(self) -> Box:
        """From the least variance that reaches a node's mean need to that of all its items."""
        lay = self.passes.layout
        sizes = np.diff(lay.heads)
        free = np.where((lay.state >= 0)[:, None], lay.variance, 0.0)
        forced = np.where((lay.state > 0)[:, None], lay.variance, 0.0)
        top = free if sizes.max(initial=1) == 1 else np.maximum.reduceat(free, lay.heads[:-1])
        at = lay.chooser_at if top is not free else lay.item_at
        most = node_sums(lay, lay.node, np.add.reduceat(top, at[:-1], axis=0))
        least = node_sums(lay, lay.node, np.add.reduceat(forced, lay.item_at[:-1], axis=0))
        least = np.maximum(least, self._leanest())
        low, high = np.sqrt(lay.base + least), np.sqrt(lay.base + most)
        return low * (1.0 - 1e-12), np.maximum(low, high) * (1.0 + 1e-12)

    def _leanest(self) -> Floats:
        """A bound on the variance with which the mean of a node's items reaches its need.

        By duality: for every rate, rate * need - sum of max(0, rate * mean - variance).
        """
        lay = self.passes.layout
        helps = (lay.mean > 0.0) & (lay.state >= 0)[:, None]
        usual = np.where(helps, lay.variance, 0.0).sum(axis=0)
        usual = usual / np.maximum(np.where(helps, lay.mean, 0.0).sum(axis=0), 1e-300)
        rates = usual[:, None] * _RATES
        gained = np.zeros((lay.block_count, rates.shape[0], rates.shape[1]))
        lean_blocks(
            0, lay.block_count, lay.mean, lay.variance, lay.state, lay.heads, lay.chooser_at,
            rates, gained,
        )  # fmt: skip
        total = node_sums(lay, lay.node, gained)
        need = np.maximum(np.where(np.isfinite(lay.need), lay.need, 0.0), 0.0)[:, :, None]
        need = need * (1.0 - 1e-8)
        return np.maximum((rates * need - total).max(axis=2), 0.0)


def _slope(box: Box) -> Floats:
    """The slopes of the chords over intervals."""
    width = box[0] + box[1]
    return np.where(width > 0.0, 1.0 / np.where(width > 0.0, width, 1.0), 0.0)


def _mixed_box(where: Flags, one: Box, other: Box) -> Box:
    """The intervals of one kind where a node is marked, else of the other."""
    return (
        np.where(where[:, None], one[0], other[0]),
        np.where(where[:, None], one[1], other[1]),
    )
