"""The least cost of one row of any size: searched where it is small, bounded where it is large."""

from dataclasses import dataclass

import numpy as np

from loadloom.solvers.covering.row import Row, cost_of, freedom, needed, taken
from loadloom.solvers.covering.terms import Flags, Floats
from loadloom.solvers.kernels.covering_rows import cover_items, workspace

_STEPPED = 20_000
"""Of more items nobody needs to know their step: their gap is less than one."""
_FINEST, _LARGEST = 1e-4, 1e9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cover:
    """The cheapest choice that was found.

    Attributes:
        chosen: the items, (n,); None if no choice keeps the row.
        cost: what they cost; inf without.
        bound: what no choice costs less than; inf if none keeps the row.
        price: what one more of the threshold costs.
        toll: what one more of variance costs. An item is called for where
            cost - price * mean + toll * variance is negative.
        nodes: how many nodes were searched.
    """

    chosen: Flags | None
    cost: float
    bound: float
    price: float
    toll: float
    nodes: int

    @property
    def gap(self) -> float:
        """By what share of itself the cost may be too high; 0 without a choice."""
        if self.cost == self.bound:
            return 0.0
        return (self.cost - self.bound) / abs(self.cost) if self.cost else np.inf


def cover(row: Row, *, relative_gap: float = 1e-9, nodes: int = 2_000_000) -> Cover:
    """The least cost of a row, searched until the gap or all nodes are used up."""
    chosen = taken(row)
    free = np.flatnonzero(freedom(row))
    whole = free.size == row.count
    columns = [c if whole else c[free] for c in (row.cost, row.mean, row.variance)]
    cost, mean, variance = (np.ascontiguousarray(c) for c in columns)
    part = np.empty(free.size, np.uint8)
    fixed_cost = cost_of(row, chosen)
    _, bound, price, toll, used = cover_items(
        cost,
        mean,
        variance,
        free.size,
        float(row.mean[chosen].sum()),
        row.base_variance + float(row.variance[chosen].sum()),
        needed(row),
        row.quantile,
        0.0,
        cost_step(cost),
        relative_gap,
        nodes,
        workspace(free.size),
        part,
    )
    if bound == np.inf:
        return Cover(chosen=None, cost=np.inf, bound=np.inf, price=price, toll=toll, nodes=used)
    chosen[free] = part.astype(bool)
    cost = cost_of(row, chosen)
    bound = min(cost, bound + fixed_cost)
    return Cover(chosen=chosen, cost=cost, bound=bound, price=price, toll=toll, nodes=used)


def cost_step(cost: Floats) -> float:
    """The largest number that all costs are multiples of, such as a cent; 0 if there is none.

    Whoever is cheaper is so by a step, which proves what no linear relaxation can.
    """
    if not 0 < cost.size <= _STEPPED:
        return 0.0
    counted = cost / _FINEST
    whole = np.rint(counted)
    rounding = 8.0 * np.finfo(float).eps * np.abs(whole)
    if (np.abs(counted - whole) > rounding).any() or np.abs(whole).max() > _LARGEST:
        return 0.0
    return _FINEST * float(np.gcd.reduce(whole.astype(np.int64)))
