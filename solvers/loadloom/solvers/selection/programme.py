"""The linear programme of some items, with all others where they are.

It is written in units of a usual item's use, size and worth, and counts peaks and costs from those
of the fixed items: the sums of a million items would leave nothing of the solver's tolerance.
Limits give way at a price, so that there is always a solution. Only some steps have a row: most
steps of a long horizon are never near the peak.
"""

from dataclasses import dataclass, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from loadloom.solvers.highs import FloatArray, Matrix, Program
from loadloom.solvers.selection.items import (
    Bins,
    Flags,
    Floats,
    Indices,
    Items,
    Prices,
    Totals,
)

ELASTIC = 5
"""The columns by which a bin's limits give way: size short, over, count short, over, peak over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What counts as one: of use, of size, of worth."""

    use: float
    size: float
    worth: float


def units_of(items: Items, bins: Bins) -> Units:
    """The units in which a usual item is about one."""
    some = slice(None, None, max(1, items.count // 1000))
    use = float(np.abs(items.use[some]).max(axis=1, initial=0.0).mean())
    size = float(np.abs(items.size).mean())
    worth = np.abs(items.worth[np.isfinite(items.worth)])
    paid = float(bins.per_peak.max(initial=0.0)) * use + float(np.abs(bins.per_size).max()) * size
    usual = max(float(worth.mean()) if worth.size else 0.0, paid)
    return Units(use=use or 1.0, size=size or 1.0, worth=usual or 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Core:
    """A programme, and whose its first columns are.

    Attributes:
        program: minimises cost less worth, in units.
        item: the item of each of the first columns.
        bin: the bin of each of them.
        offset: what to add to the negative of its objective to get the whole worth, in units.
        steps: the steps that have a row in each bin, ascending.
        step_count: the number of all steps.
    """

    program: Program
    item: Indices
    bin: Indices
    offset: float
    units: Units
    steps: Indices
    step_count: int

    def worth(self, objective: float) -> float:
        """The worth of a selection, all items counted, by the programme's objective or a bound."""
        return (self.offset - objective) * self.units.worth

    def chosen(self, primal: FloatArray, choice: Indices) -> Indices:
        """A selection: that of the largest column of every item here, given that of all others."""
        whole = choice.copy()
        whole[self.item] = -1
        part = primal[: self.item.size]
        order = np.argsort(part, kind="stable")
        order = order[part[order] > 0.5]
        whole[self.item[order]] = self.bin[order]
        return whole

    def fractional_count(self, primal: FloatArray) -> int:
        """The number of items that are not wholly anywhere."""
        part = primal[: self.item.size]
        return np.unique(self.item[np.minimum(part, 1.0 - part) > 1e-7]).size

    def given_way(self, primal: FloatArray, bin_count: int) -> Floats:
        """By how much each bin's limits give way, (K, ELASTIC), in units."""
        begin = self.item.size + 2 * bin_count
        return primal[begin : begin + ELASTIC * bin_count].reshape(bin_count, ELASTIC)

    def prices(self, row_dual: FloatArray, bins: Bins) -> Prices:
        """The prices of the rows, made to prove a bound whatever the solver's rounding."""
        count = bins.size_low.size
        rows = self.steps.size + bins.per_size.shape[1] + 2
        block = row_dual[: count * rows].reshape(count, rows)
        found = _proving(block, bins, self.units)
        step = np.zeros((count, self.step_count))
        step[:, self.steps] = found.step
        return replace(found, step=step)

    def beyond(self, primal: FloatArray, items: Items, fixed: Totals) -> Floats:
        """By how much every step is above the peak that its bin pays for, (K, T)."""
        count = fixed.size.size
        part = self.item.size
        level = fixed.use.copy()
        for k in range(count):
            mine = np.flatnonzero(self.bin == k)
            mine = mine[primal[mine] > 0.0]
            level[k] += primal[mine] @ items.use[self.item[mine]]
        paid = primal[part : part + count] + self.given_way(primal, count)[:, -1]
        return level - (fixed.peak + paid * self.units.use)[:, None]


def _proving(block: FloatArray, bins: Bins, units: Units) -> Prices:
    """Prices from the duals of every bin's rows, (K, T + L + 2), in units."""
    lines = bins.per_size.shape[1]
    steps = block.shape[1] - lines - 2
    step = np.maximum(block[:, :steps], 0.0)
    mix = np.maximum(block[:, steps : steps + lines], 0.0)
    mixed = mix.sum(axis=1, keepdims=True)
    mix = np.where(mixed > 0.0, mix / np.where(mixed > 0.0, mixed, 1.0), 1.0 / lines)
    step = step * (units.worth / units.use)
    owed = (mix * bins.per_peak).sum(axis=1)
    paid = step.sum(axis=1)
    # Without a limit of the peak, its steps must not be priced above what it costs.
    scale = np.where(
        np.isinf(bins.peak_high) & (paid > owed), owed / np.where(paid > 0.0, paid, 1.0), 1.0
    )
    step = step * scale[:, None]
    size = block[:, -2] * (units.worth / units.size)
    count = block[:, -1] * units.worth
    size = np.where(np.isinf(bins.size_high), np.maximum(size, 0.0), size)
    count = np.where(np.isinf(bins.count_high), np.maximum(count, 0.0), count)
    return Prices(
        step=step,
        mix=mix,
        size=size,
        count=count,
        # A rounding above 0 must not be multiplied by a limit that is infinite.
        peak=np.where(np.isinf(bins.peak_high), 0.0, np.maximum(0.0, step.sum(axis=1) - owed)),
    )


def core_of(
    items: Items,
    bins: Bins,
    units: Units,
    core: NDArray[np.integer],
    fixed: Totals,
    fixed_worth: float,
    *,
    steps: Indices,
    elastic: float,
    whole: bool = False,
    only: NDArray[np.bool_] | None = None,
) -> Core:
    """The programme of the items in `core`, given the sums and the worth of all others.

    Only `steps` have rows. `elastic` is the price at which limits give way, 0 if they do not; with
    `whole` every item is wholly somewhere. `only` marks the bins that items of the core may be in,
    (items, K).
    """
    worth = items.worth[core]
    allowed = np.isfinite(worth) if only is None else np.isfinite(worth) & only
    at, into = np.nonzero(allowed)
    use = items.use[np.ix_(core, steps)].astype(np.float64) / units.use
    size, must = items.size[core] / units.size, items.must[core]
    scaled = _scaled(bins, units, fixed)
    bin_count, lines = scaled.per_size.shape
    rows = steps.size + lines + 2
    parts = [
        _item_columns(at, into, use, size, scaled.per_size, rows, bin_count),
        *_bin_columns(bin_count, steps.size, scaled.per_peak),
    ]
    row_low, row_high = _row_limits(bins, units, fixed, steps, scaled, must)
    low, high = _column_limits(bins, units, scaled, must[at], elastic=elastic)
    give = np.full(ELASTIC * bin_count, elastic if elastic > 0.0 else 1.0)
    earned = -worth[at, into] / units.worth
    program = Program(
        cost=np.concatenate((earned, np.zeros(bin_count), np.ones(bin_count), give)),
        low=low,
        high=high,
        row_low=row_low,
        row_high=row_high,
        matrix=_joined(parts),
        integer=np.arange(low.size) < (at.size if whole else 0),
    )
    return Core(
        program=program,
        item=core[at].astype(np.int32),
        bin=into.astype(np.int32),
        offset=fixed_worth / units.worth - float(scaled.cost.sum()),
        units=units,
        steps=steps,
        step_count=items.use.shape[1],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scaled:
    """The lines of all bins in units, (K, L), and what the fixed items cost already.

    `peak` is their peak, (K,), `lines` what each line makes of them, (K, L), `cost` the most of
    these, (K,).
    """

    per_size: FloatArray
    per_peak: FloatArray
    peak: FloatArray
    lines: FloatArray
    cost: FloatArray


def _scaled(bins: Bins, units: Units, fixed: Totals) -> _Scaled:
    per_size = bins.per_size * (units.size / units.worth)
    per_peak = bins.per_peak * (units.use / units.worth)
    peak = fixed.peak / units.use
    lines = per_size * (fixed.size / units.size)[:, None] + per_peak * peak[:, None]
    return _Scaled(
        per_size=per_size, per_peak=per_peak, peak=peak, lines=lines, cost=lines.max(axis=1)
    )


def _row_limits(
    bins: Bins, units: Units, fixed: Totals, steps: Indices, scaled: _Scaled, must: Flags
) -> tuple[FloatArray, FloatArray]:
    """Those of each bin's steps, lines, size and count, then those of items if bins compete."""
    bin_count, lines = scaled.per_size.shape
    low = np.full((bin_count, steps.size + lines + 2), -inf)
    high = np.full_like(low, inf)
    low[:, : steps.size] = fixed.use[:, steps] / units.use - scaled.peak[:, None]
    low[:, steps.size : -2] = scaled.lines - scaled.cost[:, None]
    low[:, -2] = (bins.size_low - fixed.size) / units.size
    high[:, -2] = (bins.size_high - fixed.size) / units.size
    low[:, -1] = bins.count_low - fixed.count
    high[:, -1] = bins.count_high - fixed.count
    alone = must.astype(np.float64) if bin_count > 1 else np.zeros(0)
    return (
        np.concatenate((low.ravel(), alone)),
        np.concatenate((high.ravel(), np.ones(alone.size))),
    )


def _column_limits(
    bins: Bins, units: Units, scaled: _Scaled, must: Flags, *, elastic: float
) -> tuple[FloatArray, FloatArray]:
    """Those of items in bins, of peaks and costs beyond the fixed ones, and of what gives way."""
    bin_count, count = scaled.peak.size, must.size
    low = np.zeros(count + bin_count * (2 + ELASTIC))
    high = np.full(low.size, inf)
    high[:count] = 1.0
    if bin_count == 1:
        low[:count] = must
    peaks, costs = count + np.arange(bin_count), count + bin_count + np.arange(bin_count)
    low[peaks] = -scaled.peak
    high[peaks] = bins.peak_high / units.use - scaled.peak
    low[costs] = -inf
    if elastic == 0.0:
        high[count + 2 * bin_count :] = 0.0
    return low, high


Columns = tuple[FloatArray, Indices, Indices]
"""Entries, their rows, and the number of entries of each column."""


def _item_columns(
    at: NDArray[np.int64],
    into: NDArray[np.int64],
    use: FloatArray,
    size: FloatArray,
    per_size: FloatArray,
    rows: int,
    bin_count: int,
) -> Columns:
    """Those of items in bins; if bins compete, each item has a row of its own."""
    entries = np.concatenate(
        (-use[at], -per_size[into] * size[at, None], size[at, None], np.ones((at.size, 1))), axis=1
    )
    where = into[:, None] * rows + np.arange(rows)
    if bin_count > 1:
        entries = np.append(entries, np.ones((at.size, 1)), axis=1)
        where = np.append(where, bin_count * rows + at[:, None], axis=1)
    sizes = np.full(at.size, entries.shape[1], np.int32)
    return entries.ravel(), where.ravel().astype(np.int32), sizes


def _bin_columns(bin_count: int, steps: int, per_peak: FloatArray) -> list[Columns]:
    """Those of peaks, of costs, and of what gives way."""
    lines = per_peak.shape[1]
    rows = steps + lines + 2
    bases = np.arange(bin_count)[:, None] * rows
    peak = np.concatenate((np.ones((bin_count, steps)), -per_peak), axis=1)
    cost = np.ones((bin_count, lines))
    one = np.tile([1.0, -1.0, 1.0, -1.0], bin_count)
    found = [
        (peak.ravel(), (bases + np.arange(steps + lines)).ravel(), steps + lines),
        (cost.ravel(), (bases + steps + np.arange(lines)).ravel(), lines),
    ]
    columns = [
        (entries, where.astype(np.int32), np.full(bin_count, each, np.int32))
        for entries, where, each in found
    ]
    gives_rows = bases + np.array([rows - 2, rows - 2, rows - 1, rows - 1])
    over_rows = bases + np.arange(steps + lines)
    entries = np.concatenate((one.reshape(bin_count, 4), peak), axis=1)
    where = np.concatenate((gives_rows, over_rows), axis=1)
    sizes = np.tile(np.array([1, 1, 1, 1, steps + lines], np.int32), bin_count)
    columns.append((entries.ravel(), where.ravel().astype(np.int32), sizes))
    return columns


def _joined(parts: list[Columns]) -> Matrix:
    sizes = np.concatenate([part[2] for part in parts])
    return Matrix(
        starts=np.concatenate(([0], np.cumsum(sizes))).astype(np.int32),
        rows=np.concatenate([part[1] for part in parts]),
        entries=np.concatenate([part[0] for part in parts]),
    )
