"""Items that are put in bins or left out, where a bin pays for the highest step of its sum.

    maximise   sum_i worth[i, b(i)]  -  sum_k cost[k]
    where      cost[k] = max_l (per_size[k, l] * size[k] + per_peak[k, l] * peak[k])
               peak[k] = max(0, max_t use[k, t])
               use[k, t] = sum of use[i, t], size[k] = sum of size[i], count[k] = number,
                           of the items with b(i) = k
    subject to size_low <= size <= size_high, count_low <= count <= count_high, peak <= peak_high
               every item is in at most one bin, those of `must` in exactly one

Costs are convex and homogeneous, and `per_peak` is never negative. The sums are the only rows that
items share, so a basic solution of the linear relaxation has few fractional items.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadloom.solvers.kernels.selecting import answers, totals, values

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Indices = NDArray[np.int32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """The items by row: `use` (N, T), `size` (N,), `worth` (N, K), `must` (N,).

    A worth of -inf rules a bin out.
    """

    use: Floats | Singles
    size: Floats
    worth: Floats
    must: Flags

    @property
    def count(self) -> int:
        """The number of items."""
        return self.size.size

    @property
    def bin_count(self) -> int:
        """The number of bins."""
        return self.worth.shape[1]

    def part(self, chosen: NDArray[np.integer]) -> "Items":
        """Some of the items."""
        return Items(
            use=self.use[chosen],
            size=self.size[chosen],
            worth=self.worth[chosen],
            must=self.must[chosen],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Totals:
    """The sums of every bin: `use` (K, T), `size` (K,) and `count` (K,)."""

    use: Floats
    size: Floats
    count: Floats

    @property
    def peak(self) -> Floats:
        """The highest step of every bin, never negative."""
        return np.maximum(0.0, self.use.max(axis=1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Bins:
    """What bins cost, (K, L), and their limits, (K,)."""

    per_size: Floats
    per_peak: Floats
    size_low: Floats
    size_high: Floats
    count_low: Floats
    count_high: Floats
    peak_high: Floats

    def shared(self, share: float) -> "Bins":
        """The bins of a sample of this share of the items."""
        return replace(
            self,
            size_low=self.size_low * share,
            size_high=self.size_high * share,
            count_low=self.count_low * share,
            count_high=self.count_high * share,
            peak_high=self.peak_high * share,
        )

    def cost(self, sums: Totals) -> Floats:
        """What every bin costs, (K,)."""
        lines = self.per_size * sums.size[:, None] + self.per_peak * sums.peak[:, None]
        return lines.max(axis=1)

    @cached_property
    def lows(self) -> Floats:
        """The least size and count, (2, K)."""
        return np.stack((self.size_low, self.count_low))

    @cached_property
    def highs(self) -> Floats:
        """The most of size, count and peak, (3, K)."""
        return np.stack((self.size_high, self.count_high, self.peak_high))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """Multipliers of the rows that items share, which prove a bound.

    Attributes:
        step: of use <= peak, (K, T), never negative.
        mix: of the lines of the cost, (K, L), on a simplex for each bin.
        size: of the limits of size, (K,); positive where the least binds.
        count: of the limits of count, (K,); positive where the least binds.
        peak: of the limit of the peak, (K,), never negative.
    """

    step: Floats
    mix: Floats
    size: Floats
    count: Floats
    peak: Floats

    def per_size(self, bins: Bins) -> Floats:
        """What one more of size costs an item in each bin, (K,)."""
        return (self.mix * bins.per_size).sum(axis=1) - self.size

    def constant(self, bins: Bins) -> float:
        """What the bound holds beside the items' values."""
        total = _times(self.peak, bins.peak_high)
        for price, low, high in (
            (self.size, bins.size_low, bins.size_high),
            (self.count, bins.count_low, bins.count_high),
        ):
            total += _times(np.maximum(-price, 0.0), high) - _times(np.maximum(price, 0.0), low)
        return total


def _times(price: Floats, limit: Floats) -> float:
    """The sum of products; a limit without a price may be infinite."""
    return float(np.where(price > 0.0, price * np.where(price > 0.0, limit, 0.0), 0.0).sum())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What items choose at prices, and the bound that proves.

    Attributes:
        choice: the best bin of each item, -1 for none, (N,).
        value: its value there, (N,).
        lead: by how much that is above its next best choice, (N,).
        bound: what no selection is worth more than.
    """

    choice: Indices
    value: Floats
    lead: Floats
    bound: float


def answered(items: Items, bins: Bins, prices: Prices) -> Answers:
    """What all items choose at prices: one pass over their rows."""
    choice = np.empty(items.count, np.int32)
    value, lead = np.empty(items.count), np.empty(items.count)
    answers(*_offers(items, bins, prices), choice, value, lead)
    bound = float(value.sum()) + prices.constant(bins)
    return Answers(choice=choice, value=value, lead=lead, bound=bound)


def regrets(items: Items, bins: Bins, prices: Prices) -> Floats:
    """How far each choice of an item, none first, is below its best at prices, (N, K + 1)."""
    value = np.empty((items.count, items.bin_count + 1))
    values(*_offers(items, bins, prices), value)
    return value.max(axis=1, keepdims=True) - value


def _offers(
    items: Items, bins: Bins, prices: Prices
) -> tuple[Floats | Singles, Floats, Floats, Flags, Floats, Floats, Floats]:
    """The items and prices as the kernels take them: what each bin is worth to each item."""
    per_size, per_item = prices.per_size(bins), -prices.count
    return items.use, items.size, items.worth, items.must, prices.step, per_size, per_item


def summed(items: Items, choice: Indices) -> Totals:
    """What is chosen adds up to this."""
    bins = items.bin_count
    sums = Totals(
        use=np.zeros((bins, items.use.shape[1])), size=np.zeros(bins), count=np.zeros(bins)
    )
    totals(items.use, items.size, choice, sums.use, sums.size, sums.count)
    return sums


def value_of(items: Items, bins: Bins, choice: Indices) -> float:
    """What a selection is worth; it may break limits."""
    taken = np.flatnonzero(choice >= 0)
    worth = float(items.worth[taken, choice[taken]].sum())
    return worth - float(bins.cost(summed(items, choice)).sum())
