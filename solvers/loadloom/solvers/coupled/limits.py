"""Limits on sums over a tree that many members share, and what the members answer to prices.

    minimise   sum_i cost_i(x_i) + sum_n,t breach[n] * (over[n,t] + under[n,t])
    subject to low[n,t] - under[n,t] <= sum of flow_i(x_i)[t] over members i below n
                                     <= high[n,t] + over[n,t]

A member hangs below one node and below all nodes above that one. At prices p[n,t] each member is
decided alone: it pays the sum of the prices along its way to the root for each unit of its flow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_LEAST, _TINY = 0.1, 1e-9
"""A limit below this share of a total, or below this, is too small to take shares of."""

Floats = NDArray[np.float64]
Indices = NDArray[np.integer]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """Nodes, each with the number of the one above it, or -1 for a root, (nodes,)."""

    parent: Indices

    @cached_property
    def levels(self) -> tuple[Indices, ...]:
        """The nodes by their distance from a root, roots first.

        Raises:
            ValueError: nodes stand above each other in a circle.
        """
        depth = np.where(self.parent < 0, 0, -1)
        found = [np.flatnonzero(depth == 0)]
        while found[-1].size:
            inner = (depth < 0) & (self.parent >= 0)
            inner[inner] = depth[self.parent[inner]] == len(found) - 1
            depth[inner] = len(found)
            found.append(np.flatnonzero(inner))
        if (depth < 0).any():
            raise ValueError("nodes stand above each other in a circle")
        return tuple(found[:-1])

    def totals(self, own: Floats) -> Floats:
        """The sums of `own` (nodes, ...) over each node and all that are below it."""
        total = own.copy()
        for level in self.levels[:0:-1]:
            np.add.at(total, self.parent[level], total[level])
        return total

    def along(self, prices: Floats) -> Floats:
        """The sums of `prices` (nodes, ...) over each node and all that are above it."""
        total = prices.copy()
        for level in self.levels[1:]:
            total[level] += total[self.parent[level]]
        return total

    @cached_property
    def above(self) -> tuple[Indices, ...]:
        """Each node with all that are above it, from itself up."""
        found: dict[int, Indices] = {}
        for level in self.levels:
            for node in level:
                up = self.parent[node]
                rest = found[int(up)] if up >= 0 else np.zeros(0, np.int64)
                found[int(node)] = np.concatenate(([node], rest)).astype(np.int64)
        return tuple(found[node] for node in range(self.parent.size))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limits:
    """The limits of all nodes, (nodes, T), infinite where there is none.

    `breach` (nodes,) is the cost of a unit beyond them, infinite where they are hard.
    """

    tree: Tree
    low: Floats
    high: Floats
    breach: Floats

    def excess(self, total: Floats) -> tuple[Floats, Floats]:
        """By how much totals (nodes, T) are above the high limits, and below the low ones."""
        return np.maximum(total - self.high, 0.0), np.maximum(self.low - total, 0.0)

    def strain(self, total: Floats, prices: Floats) -> Floats:
        """By which share of a limit totals are beyond it, or short of it where it has a price.

        From -1 to 1, positive where dearer would be better, (nodes, T).
        """
        found = np.zeros(total.shape)
        for limit, sign in ((self.high, 1.0), (self.low, -1.0)):
            finite = np.isfinite(limit)
            side = np.where(finite, limit, 0.0)
            size = np.maximum(np.maximum(np.abs(side), _LEAST * np.abs(total)), _TINY)
            beyond = sign * (total - side) / size
            counts = finite & ((beyond > 0.0) | (sign * prices > 0.0))
            found += np.where(counts, sign * np.clip(beyond, -1.0, 1.0), 0.0)
        return found

    def possible(self, prices: Floats) -> Floats:
        """The prices (nodes, T) with those left out that no limit can have."""
        most = self.breach[:, None]
        upper = np.where(np.isfinite(self.high), np.minimum(prices, most), 0.0)
        lower = np.where(np.isfinite(self.low), np.maximum(prices, -most), 0.0)
        return np.where(prices > 0.0, upper, np.where(prices < 0.0, lower, 0.0))

    def worth(self, prices: Floats) -> float:
        """What the limits are worth at prices: sum of p * high, or of p * low where p < 0."""
        side = np.where(prices > 0.0, self.high, self.low)
        return float(np.sum(prices * np.where(prices != 0.0, side, 0.0)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Response:
    """What groups of members answer to prices.

    Attributes:
        flow: the sum of the flows of each group's members, (groups, T).
        cost: what they cost, prices not counted, (groups,).
        value: no more than the least cost of each group with the prices counted, (groups,).
    """

    flow: Floats
    cost: Floats
    value: Floats


Oracle = Callable[[Floats, Bools], Response]
"""Answers prices (groups, T), for each group the sums along its way to the root.

Only groups that are asked, (groups,), need to answer; what is told of others counts for nothing."""
