"""Prices of the rows above blocks: a proximal bundle method with cuts for each part of the blocks.

Roots are replaced by tangents at the deviations of the last answer, so that the values are no
bounds (`covering.proof` makes bounds of prices); every cut is what a part's blocks spend and add up
to, and stays one when tangents move. Each part sees the rows above it alone, so that hundreds of
parts may have cuts of their own: with those, some 15 evaluations do.
"""

from dataclasses import dataclass, field

import numpy as np

from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.covering.layout import Positions
from loadloom.solvers.covering.passes import Passes, Planes, Prices, Relaxed, node_sums
from loadloom.solvers.covering.terms import Floats, Indices
from loadloom.solvers.kernels.nested_prices import next_tree_prices

MOST_CUTS = 40
_SWEEPS = 60
_SERIOUS = 0.1  # the share of the rise that was promised at which prices move
_TOP = 1e4  # times the usual price: the highest


@dataclass(kw_only=True, eq=False)
class Tolls:
    """Where the method stands.

    Attributes:
        planes: those of all rows, at the deviations of the last refresh.
        price: of the upper rows and then of both sides of the quotas, (R,).
    """

    passes: Passes
    planes: Planes
    price: Floats = field(init=False)
    _node: Indices = field(init=False)
    _slot: Indices = field(init=False)
    _sides: Indices = field(init=False)
    _row: Indices = field(init=False)
    _spent: list[Floats] = field(default_factory=list)
    _sums: list[Floats] = field(default_factory=list)
    _counted: list[Floats] = field(default_factory=list)
    _weights: Floats = field(init=False)
    _scale: Floats = field(init=False)
    _usual: float = field(init=False)

    def __post_init__(self) -> None:
        lay = self.passes.layout
        node, slot = np.nonzero(lay.upper)
        self._node, self._slot = node.astype(np.int32), slot.astype(np.int32)
        quotas = lay.problem.quotas
        sides = [(q, 1) for q in range(quotas.count) if np.isfinite(quotas.low[q])]
        sides += [(q, -1) for q in range(quotas.count) if np.isfinite(quotas.high[q])]
        self._sides = np.array(sides, np.int32).reshape(-1, 2)
        self.price = np.zeros(self.row_count)
        self._row = self._rows_of_parts()
        self._weights = np.zeros((lay.part_node.size, 0))
        free = lay.state >= 0
        size = np.abs(lay.mean[free]).sum() / max(
            1, int((np.abs(lay.mean[free]) > 0).any(axis=0).sum())
        )
        self._usual = float(np.abs(lay.cost[free]).sum()) / max(size, 1e-300)
        self._scale = self._sizes()

    @property
    def row_count(self) -> int:
        """The number of rows with a price."""
        return self._node.size + len(self._sides)

    @property
    def prices(self) -> Prices:
        """The prices by node and slot, and of quotas: that of the least less that of the most."""
        return self._prices(self.price)

    def find(self, race: Race, *, most: int, tolerance: float, share: float) -> None:
        """Improves prices until their model promises no more than a share, or effort is used up."""
        if self.row_count == 0:
            return
        best, _ = self._evaluate(self.price)
        reach, calm = 0.3 * self._usual / self._scale, 0
        top = np.full(self.row_count, _TOP * self._usual)
        for _ in range(most):
            costs, uses = self._cuts()
            y, model = next_tree_prices(
                self._demand(), costs, uses, self._row, self.price, reach, top, self._weights,
                costs.shape[1], _SWEEPS, 1e-9 * (1e-9 + abs(best)),
            )  # fmt: skip
            promised = model - best
            if promised <= tolerance * (1e-9 + abs(best)) or race.budget.spent(share):
                break
            value, _ = self._evaluate(y)
            rise = value - best
            if rise >= _SERIOUS * promised:
                reach = reach * (2.0 if rise >= 0.5 * promised and calm == 0 else 1.0)
                self.price, best, calm = y, value, 0
            else:
                calm += 1
                if calm % 3 == 0 or rise < -promised:
                    reach = reach * 0.5

    def mixed(self) -> Floats:
        """The sums over nodes, (V + 1, S, 2 + F), of the mix of cuts that almost meets all rows."""
        lay = self.passes.layout
        if not self._sums:
            shape = (lay.parent.size, lay.need.shape[1], 2 + lay.loading.shape[1])
            return np.zeros(shape)
        sums = np.stack(self._sums, axis=1)
        mixed = (self._weights[:, :, None, None] * sums).sum(axis=1)
        return node_sums(lay, lay.part_node, mixed)

    def refresh(self) -> None:
        """Moves the tangents to the deviations of the mix, and to those of the blocks."""
        prices = self.prices
        answer = self.passes.relaxed(prices, self.planes, turns=4)
        total = self.mixed() if self._sums else self._at_parts(answer)
        lay = self.passes.layout
        sums = np.where(lay.own[:, None, None], 0.0, total)
        sums[lay.node[lay.own[lay.node]]] = answer.sums[lay.own[lay.node]]
        self.planes = tangents(lay.base + np.maximum(sums[:, :, 1], 0.0), sums[:, :, 2:])

    def _at_parts(self, answer: Relaxed) -> Floats:
        """The sums over nodes of an answer."""
        lay = self.passes.layout
        return node_sums(lay, lay.part_node, _by_part(lay.part_at, answer.sums))

    def _prices(self, price: Floats) -> Prices:
        lay = self.passes.layout
        row = np.zeros(lay.need.shape)
        row[self._node, self._slot] = price[: self._node.size]
        quota = np.zeros(lay.problem.quotas.count)
        np.add.at(quota, self._sides[:, 0], self._sides[:, 1] * price[self._node.size :])
        return Prices(row=row, quota=quota)

    def _rows_of_parts(self) -> Indices:
        """The rows above each part, (P, J), -1 beyond the last."""
        lay = self.passes.layout
        first = np.full(lay.need.shape, -1, np.int32)
        first[self._node, self._slot] = np.arange(self._node.size)
        above = first[lay.path[lay.part_at[:-1]]].reshape(lay.part_node.size, -1)
        sides = np.arange(self._node.size, self.row_count, dtype=np.int32)
        rows = np.concatenate((above, np.tile(sides, (above.shape[0], 1))), axis=1)
        # The rows that there are come first, so that beyond them all parts may be cut off.
        rows = -np.sort(-rows, axis=1)
        wide = int((rows >= 0).sum(axis=1).max(initial=0))
        return np.ascontiguousarray(rows[:, :wide]).astype(np.int32)

    def _sizes(self) -> Floats:
        """About how much of each row may be moved by prices."""
        lay = self.passes.layout
        mean = np.add.reduceat(np.abs(lay.mean), lay.item_at[:-1], axis=0)
        at = np.repeat(lay.part_node, np.diff(lay.part_at))
        total = node_sums(lay, at, mean)[self._node, self._slot]
        sides = np.zeros(lay.problem.quotas.count)
        np.add.at(sides, self.passes.entries[1], np.abs(self.passes.entries[2]))
        return np.maximum(np.concatenate((total, sides[self._sides[:, 0]])), 1e-9)

    def _demand(self) -> Floats:
        """What the rows demand of the entries of the planes."""
        lay, planes = self.passes.layout, self.planes
        at = self._node, self._slot
        held = tangent_constant(planes, lay.base)[at] * lay.z[at]
        quotas = lay.problem.quotas
        which, sign = self._sides[:, 0], self._sides[:, 1]
        sides = np.where(sign > 0, quotas.low[which], -quotas.high[which])
        return np.concatenate((lay.need[at] + held, sides))

    def _evaluate(self, price: Floats) -> tuple[float, Relaxed]:
        """The value of prices; keeps the parts' answers as cuts."""
        lay = self.passes.layout
        answer = self.passes.relaxed(self._prices(price), self.planes)
        if len(self._spent) >= MOST_CUTS:
            drop = int(np.argmin(self._weights.max(axis=0)))
            for kept in (self._spent, self._sums, self._counted):
                kept.pop(drop)
            self._weights = _without(self._weights, drop)
        self._spent.append(np.add.reduceat(answer.spent, lay.part_at[:-1]))
        self._sums.append(_by_part(lay.part_at, answer.sums))
        self._counted.append(_by_part(lay.part_at, answer.counted))
        fresh = 1.0 if len(self._spent) == 1 else 0.0
        column = np.full((self._weights.shape[0], 1), fresh)
        self._weights = np.append(self._weights, column, axis=1)
        return float(answer.value.sum() + price @ self._demand()), answer

    def _cuts(self) -> tuple[Floats, Floats]:
        """The costs, (P, K), and the use of each row above, (P, K, J), of all cuts."""
        lay, planes = self.passes.layout, self.planes
        sums, counted = np.stack(self._sums, axis=1), np.stack(self._counted, axis=1)
        uses = np.zeros((*sums.shape[:2], self._row.shape[1]))
        rows = self._node.size
        part = np.arange(self._row.shape[0])
        for j in range(self._row.shape[1]):
            r = self._row[:, j]
            inner = (r >= 0) & (r < rows)
            p, at = part[inner], (self._node[r[inner]], self._slot[r[inner]])
            mine = sums[p, :, at[1]]
            tilt = lay.z[at] * planes.root[at] * planes.slope[at]
            shift = (lay.z[at][:, None] * planes.direction[at])[:, None, :]
            uses[p, :, j] = mine[..., 0] - tilt[:, None] * mine[..., 1]
            uses[p, :, j] -= (shift * mine[..., 2:]).sum(axis=2)
            side = r >= rows
            which = self._sides[r[side] - rows]
            uses[part[side], :, j] = which[:, 1:] * counted[part[side], :, which[:, 0]]
        return np.stack(self._spent, axis=1), uses


def tangents(variance: Floats, factor: Floats) -> Planes:
    """The planes that touch the deviation where base and variance, and factors, are these."""
    square = (factor**2).sum(axis=2)
    length = np.sqrt(variance + square)
    some = length > 0.0
    safe = np.where(some, length, 1.0)
    root = np.where(some, np.sqrt(variance) / safe, 1.0)
    own = np.sqrt(variance)
    slope = np.where(own > 0.0, 0.5 / np.where(own > 0.0, own, 1.0), 0.0)
    return Planes(slope=slope, root=root, direction=factor / safe[:, :, None])


def tangent_constant(planes: Planes, base: Floats) -> Floats:
    """What tangents hold beside the items' variances: root * (1 / (4 slope) + slope * base)."""
    touched = np.where(
        planes.slope > 0.0, 0.25 / np.where(planes.slope > 0, planes.slope, 1.0), 0.0
    )
    return planes.root * (touched + planes.slope * base)


def _by_part(part_at: Positions, columns: Floats) -> Floats:
    """The sums of blocks' columns over each part."""
    return np.add.reduceat(columns, part_at[:-1], axis=0)


def _without(weights: Floats, cut: int) -> Floats:
    """The weights when a cut is gone; its weight goes to the others in proportion."""
    left = np.delete(weights, cut, axis=1)
    total = left.sum(axis=1, keepdims=True)
    even = np.zeros_like(left)
    even[:, -1] = 1.0
    return np.where(total > 0.0, left / np.maximum(total, 1e-300), even)
