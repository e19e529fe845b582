"""Rows of a tree as an integer programme in HiGHS, made finer until it is exact.

    minimise   cost.n
    subject to mean.n - z * deviation[r] >= need[r]                    for every row r
               deviation[r] >= root * w[r] + direction.factors[r]      for some unit vectors
               w[r] >= chord of the root over the interval that base + variance.n lies in
               w[r] >= root of base + sum_k adds[k] * n[k]             for some orders of items
               n whole; of choosers that are alike together no more than there are

Choosers that offer the same at the same node are counted, n, and not told apart. A chord is below
its root and a plane below the norm, so every solution bounds; where one misses a row, an end of an
interval and a plane go through what it chose, and the programme is exact there from then on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from loadloom.solvers.coupled.budget import Race
from loadloom.solvers.covering.layout import Layout
from loadloom.solvers.covering.terms import BARRED, TAKEN, Flags, Floats, Indices, slack
from loadloom.solvers.covering.whole import WholeRows, row_count, whole_rows
from loadloom.solvers.highs import Entries, Model, NumberTooLarge, Options, Outcome, Program
from loadloom.solvers.termination import Reason

MOST_ITEMS, MOST_ENTRIES = 5_000, 200_000
"""Up to so many items, and items times rows, a problem may be made into a programme."""

_TURNS, _FEW_TURNS = 200, 4  # how often a programme is made finer; fewer where no time ends it

_NODES_WORK, _MOST_NODES = 50_000, 2_000  # nodes times columns, where no time ends the search
_FAR = 1.1  # how far the first intervals are from what prices led to, as a factor
_ROUNDING = 1e-8  # the share by which HiGHS may be off; its bounds are that much lower
_ROOTS, _LOOSE = 20, 1e-4  # rounds without whole numbers, and the share of a root that ends them
_ROUGH, _STEP = 0.01, 0.2  # the gap of the first programme, and the next ones' share of it
_SAME = 1e-7  # ends of intervals nearer than this are one
_TINY = 1e-8  # HiGHS leaves out entries below a tenth of that
_OPTIONS: Options = {"mip_heuristic_effort": 0.0, "mip_feasibility_tolerance": 1e-6}
"""Heuristics took a third of the time and found what exchanges of items find at once. Asked for
whole numbers to nine digits, and without presolve, HiGHS has called what it began with the best
where it was not. To six digits bounds hold all the same, and choices are rounded and judged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What a programme found: the place that every chooser takes, or None, and the bound.

    `reason` tells how it ended; the places may miss rows by what the programme is not exact in.
    """

    taken: Indices | None
    bound: float
    reason: Reason


@dataclass(kw_only=True, eq=False)
class Programme:
    """A layout as a programme, with the intervals and the unit vectors of its rows so far.

    Attributes:
        layout: the items and rows.
        missing: whether the least that positive needs miss in all is looked for, in place of cost.
    """

    layout: Layout
    missing: bool = False
    _rows: WholeRows = field(init=False)
    _kind: Indices = field(init=False)
    _counts: NDArray[np.int64] = field(init=False)
    _column: Indices = field(init=False)
    _ends: list[Floats] = field(init=False)
    _units: list[list[Floats]] = field(init=False)
    _adds: list[list[Floats]] = field(init=False)
    _items: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        lay = self.layout
        self._rows = whole_rows(lay)
        self._kind, first = _kinds(lay, self._rows.mean, self._rows.variance)
        self._counts = np.bincount(self._kind)
        sizes = np.diff(lay.heads)[first]
        self._items = np.concatenate(
            [np.arange(int(lay.heads[g]), int(lay.heads[g + 1])) for g in first.tolist()]
        )
        self._column = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
        low, high = self._widest()
        self._ends = [np.unique([a, b]) for a, b in zip(low, high, strict=True)]
        shared = lay.loading.shape[1]
        plain = np.append(1.0, np.zeros(shared))
        self._units = [[plain] for _ in range(low.size)]
        self._adds = [[] for _ in range(low.size)]

    def refine(self, taken: Indices) -> bool:
        """Makes the rows exact that a choice misses; whether anything of them was not."""
        reached, own, factor = self.levels(taken)
        missed = reached < self._rows.need - slack(self._rows.need)
        self._order(self._counted(taken), missed)
        return self._through(np.where(missed, own, np.nan), factor)

    def _order(self, counts: Floats, rows: Flags) -> None:
        """Bounds roots by what items add in the order of their shares; exact for each first part.

        A root of a sum is submodular, so this holds for every choice. Of a kind with several
        choosers each adds the mean of what they add together.
        """
        most = np.repeat(self._counts, np.diff(self._column)).astype(float)
        order = np.argsort(-counts / most, kind="stable")
        for r in np.flatnonzero(rows & (self._rows.z > 0.0)).tolist():
            variance = (most * self._rows.variance[self._items, r])[order]
            root = np.sqrt(self._rows.base[r] + np.append(0.0, np.cumsum(variance)))
            adds = np.empty(order.size)
            adds[order] = np.diff(root)
            self._adds[r].append(adds / most)

    def root(self, race: Race) -> None:
        """Finds the orders that matter without whole numbers, which takes little."""
        for _ in range(_ROOTS):
            if race.over:
                break
            program = self._program()
            model = Model(replace(program, integer=np.zeros(program.cost.size, bool)))
            primal = model.solve(time_limit_s=race.budget.left_s).primal
            if primal is None:
                break
            counts = primal[: self._items.size]
            held = primal[counts.size : counts.size + self._rows.need.size]
            own = self._shares(counts)
            off = (own > held * (1.0 + _LOOSE)) & (self._rows.z > 0.0)
            if not off.any():
                break
            self._order(counts, off)

    def _shares(self, counts: Floats) -> Floats:
        """What bounds by the order of some counts, which need not be whole, say of the roots."""
        most = np.repeat(self._counts, np.diff(self._column)).astype(float)
        order = np.argsort(-counts / most, kind="stable")
        variance = (most[:, None] * self._rows.variance[self._items])[order]
        total = self._rows.base + np.vstack((0.0 * variance[:1], np.cumsum(variance, axis=0)))
        adds = np.diff(np.sqrt(total), axis=0)
        return np.sqrt(self._rows.base) + adds.T @ (counts / most)[order]

    def near(self, deviation: Floats) -> None:
        """Makes intervals around the deviations, (V + 1, S), that prices led to."""
        at = np.full(self._rows.need.size, np.nan)
        at[: self._rows.node.size] = deviation[self._rows.node, self._rows.slot]
        nothing = np.zeros((at.size, self.layout.loading.shape[1]))
        for factor in (1.0 / _FAR, _FAR):
            self._through(np.where(self._rows.z > 0.0, factor * at, np.nan), nothing)

    def _through(self, deviation: Floats, factor: Floats) -> bool:
        """Ends intervals, and adds planes, at deviations and factors of rows; whether any is new.

        (R,) and (R, F); nan leaves a row as it is.
        """
        some = False
        for r in np.flatnonzero(np.isfinite(deviation)).tolist():
            ends, at = self._ends[r], float(deviation[r])
            inside = ends[0] * (1.0 + _SAME) < at < ends[-1] * (1.0 - _SAME)
            if inside and np.abs(ends - at).min() > _SAME * at:
                self._ends[r] = np.sort(np.append(ends, at))
                some = True
            length = float(np.hypot(at, np.linalg.norm(factor[r])))
            if factor.shape[1] and length > 0.0:
                unit = np.append(at, factor[r]) / length
                if all(np.abs(unit - known).max() > _SAME for known in self._units[r]):
                    self._units[r].append(unit)
                    some = True
        return some

    def solve(self, race: Race, start: Indices | None, relative_gap: float) -> Answer:
        """What the programme as it is now says, from a choice to begin with."""
        program = self._program()
        model = Model(program, options=_OPTIONS)
        if start is not None:
            model.begin_with(self._whole(self._counted(start), program.cost.size))
        budget = race.budget
        outcome = model.solve(
            time_limit_s=budget.left_s,
            relative_gap=relative_gap,
            node_limit=None if budget.timed else self.node_limit,
            stop=lambda: not race.ask("programme"),
        )
        return self._answer(outcome)

    @property
    def _wanted(self) -> Flags:
        """The rows that items only add to: needs, and no limits, (R,)."""
        wanted = np.zeros(self._rows.need.size, bool)
        only_add = np.asarray((self.layout.mean >= 0.0).all(axis=0))
        wanted[: self._rows.node.size] = only_add[self._rows.slot]
        return wanted

    @property
    def column_count(self) -> int:
        """How many counts there are: the items of all kinds of choosers."""
        return self._items.size

    @property
    def node_limit(self) -> int:
        """How many nodes all turns may have where no time ends the search."""
        return min(_MOST_NODES, _NODES_WORK // max(1, self._items.size))

    def levels(self, taken: Indices) -> tuple[Floats, Floats, Floats]:
        """Levels, roots of base and variance, (R,), and factors, (R, F), of a choice."""
        rows, lay = self._rows, self.layout
        at = taken[taken >= 0]
        mean = rows.mean[at].sum(axis=0)
        own = np.sqrt(np.maximum(rows.base + rows.variance[at].sum(axis=0), 0.0))
        factor = rows.mean[at].T @ lay.loading[at]
        length = np.sqrt(own**2 + (factor**2).sum(axis=1))
        return mean - rows.z * length, own, factor

    def _answer(self, outcome: Outcome) -> Answer:
        bound = outcome.termination.bound
        if np.isfinite(bound):
            bound -= _ROUNDING * max(1.0, abs(bound))
        taken = None
        if outcome.primal is not None:
            taken = self._places(np.rint(outcome.primal[: self._items.size]).astype(np.int64))
        return Answer(taken=taken, bound=bound, reason=outcome.termination.reason)

    def _places(self, counts: NDArray[np.int64]) -> Indices:
        """The places that choosers take, given how many of each kind take each of its items."""
        lay = self.layout
        taken = np.full(lay.heads.size - 1, -1, np.int32)
        order = np.argsort(self._kind, kind="stable")
        begin = np.concatenate(([0], np.cumsum(self._counts)))
        for k in range(self._counts.size):
            at = begin[k]
            for j, column in enumerate(range(self._column[k], self._column[k + 1])):
                who = order[at : at + counts[column]]
                taken[who] = lay.heads[who] + j
                at += counts[column]
        return taken

    def _counted(self, taken: Indices) -> Floats:
        """How many of each kind take each of its items."""
        counts = np.zeros(self._items.size)
        who = np.flatnonzero(taken >= 0)
        column = self._column[self._kind[who]] + taken[who] - self.layout.heads[who]
        np.add.at(counts, column, 1.0)
        return counts

    def _whole(self, counts: Floats, columns: int) -> Floats:
        """A solution of all columns, given the counts."""
        whole = np.zeros(columns)
        whole[: counts.size] = counts
        taken = self._places(counts.astype(np.int64))
        reached, own, _ = self.levels(taken)
        at = counts.size + own.size
        whole[counts.size : at] = own
        for r, ends in enumerate(self._ends):
            pieces = ends.size - 1
            if pieces > 1:
                piece = int(np.clip(np.searchsorted(ends, own[r]) - 1, 0, pieces - 1))
                whole[at + piece], whole[at + pieces + piece] = 1.0, own[r] ** 2
                at += 2 * pieces
        if self.missing:
            short = np.maximum(self._rows.need - reached, 0.0)
            whole[at:] = short[self._wanted]
        return whole

    def _program(self) -> Program:
        """The programme in arrays: counts, then a root for each row, then pieces, then misses."""
        rows, lay = self._rows, self.layout
        count, row_count = self._items.size, self._rows.need.size
        columns = np.arange(count)
        taken, barred = lay.state[self._items] == TAKEN, lay.state[self._items] == BARRED
        most = np.repeat(self._counts, np.diff(self._column)).astype(float)
        lows = [np.where(taken, most, 0.0), np.array([ends[0] for ends in self._ends])]
        highs = [np.where(barred, 0.0, most), np.full(row_count, inf)]
        whole = [np.ones(count, bool), np.zeros(row_count, bool)]
        entries = Entries()
        entries.add(columns[:0], columns[:0], 0.0)  # there may be no row at all
        several = np.flatnonzero(np.diff(self._column) > 1)
        first = entries.block(-inf, self._counts[several].astype(float), several.size)
        for row, k in enumerate(several.tolist()):
            entries.add(
                np.array([first + row]), np.arange(self._column[k], self._column[k + 1]), 1.0
            )
        at = count + row_count
        for r, ends in enumerate(self._ends):
            pieces = ends.size - 1
            self._root(entries, r, at)
            if pieces > 1:
                lows.append(np.zeros(2 * pieces))
                highs.append(np.concatenate((np.ones(pieces), ends[1:] ** 2)))
                whole.append(np.arange(2 * pieces) < pieces)
                at += 2 * pieces
        helped = np.flatnonzero(self._wanted) if self.missing else np.zeros(0, np.int64)
        for r in range(row_count):
            mean = rows.mean[self._items, r]
            by_factor = mean[:, None] * lay.loading[self._items]
            need = rows.need[r] - _ROUNDING * max(1.0, abs(rows.need[r]))
            for unit in self._units[r]:
                own = mean - rows.z[r] * (by_factor @ unit[1:])
                tiny = np.abs(own) < _TINY  # these are left out, and what they add is given
                given = float(most @ np.where(tiny, np.maximum(own, 0.0), 0.0))
                line = np.array([entries.block(need - given, inf, 1)])
                some = np.flatnonzero(~tiny)
                entries.add(line, columns[some], own[some])
                entries.add(line, np.array([count + r]), -rows.z[r] * unit[0])
                entries.add(line, at + np.flatnonzero(helped == r), 1.0)
        cost = np.zeros(at + helped.size)
        if self.missing:
            cost[at:] = 1.0
        else:
            cost[:count] = lay.cost[self._items]
        lows.append(np.zeros(helped.size))
        highs.append(np.full(helped.size, inf))
        whole.append(np.zeros(helped.size, bool))
        return Program(
            cost=cost,
            low=np.concatenate(lows),
            high=np.concatenate(highs),
            row_low=entries.low,
            row_high=entries.high,
            matrix=entries.matrix(cost.size),
            integer=np.concatenate(whole),
        )

    def _root(self, entries: Entries, r: int, at: int) -> None:
        """The rows that keep a root above its chords and above what orders of items add to it."""
        rows, count = self._rows, self._items.size
        ends, base = self._ends[r], float(self._rows.base[r])
        variance, root = rows.variance[self._items, r], np.array([count + r])
        some = np.flatnonzero(variance)
        for adds in self._adds[r]:
            line = np.array([entries.block(base**0.5, inf, 1)])
            entries.add(line, root, 1.0)
            entries.add(line, some, -adds[some])
        begin, end = ends[:-1], ends[1:]
        slope = 1.0 / np.maximum(begin + end, 1e-300)
        pieces = begin.size
        if pieces <= 1:
            held = float((slope * (base + begin * end)).sum())
            line = np.array([entries.block(held, inf, 1)])
            entries.add(line, root, 1.0)
            entries.add(line, some, -slope.sum() * variance[some])
            return
        binary = at + np.arange(pieces)
        held = binary + pieces
        line = np.array([entries.block(0.0, inf, 1)])
        entries.add(line, root, 1.0)
        entries.add(line, held, -slope)
        entries.add(line, binary, -slope * begin * end)
        entries.add(np.array([entries.block(1.0, 1.0, 1)]), binary, 1.0)
        total = np.array([entries.block(-base, -base, 1)])
        entries.add(total, some, variance[some])
        entries.add(total, held, -1.0)
        for low, high, square in ((0.0, inf, begin), (-inf, 0.0, end)):
            lines = entries.block(low, high, pieces) + np.arange(pieces)
            entries.add(lines, held, 1.0)
            entries.add(lines, binary, -(square**2))

    def _widest(self) -> tuple[Floats, Floats]:
        """The widest intervals of the roots of rows, (R,) each."""
        lay, rows = self.layout, self._rows
        forced = rows.variance[lay.state == TAKEN].sum(axis=0)
        may = np.where((lay.state >= 0)[:, None], rows.variance, 0.0)
        most = np.maximum.reduceat(may, lay.heads[:-1], axis=0).sum(axis=0)
        low = np.sqrt(rows.base + forced) * (1.0 - 1e-12)
        return low, np.maximum(low, np.sqrt(rows.base + most)) * (1.0 + 1e-12)


def _kinds(lay: Layout, mean: Floats, variance: Floats) -> tuple[Indices, NDArray[np.int64]]:
    """The kind of each chooser, (G,), and the first chooser of each kind."""
    columns = np.column_stack((lay.cost, lay.state, mean, variance, lay.loading))
    sizes = np.diff(lay.heads)
    kind = np.zeros(sizes.size, np.int64)
    known = 0
    for size in np.unique(sizes).tolist():
        who = np.flatnonzero(sizes == size)
        rows = columns[lay.heads[who][:, None] + np.arange(size)].reshape(who.size, -1)
        _, own = np.unique(rows, axis=0, return_inverse=True)
        kind[who] = known + own.reshape(-1)
        known = int(kind[who].max()) + 1
    _, first = np.unique(kind, return_index=True)
    return kind.astype(np.int32), first


def settle(
    programme: Programme, race: Race, start: Indices | None, keep: Callable[[Indices], None]
) -> float:
    """The bound that a programme reaches, made finer step by step until the race is over.

    `keep` is told of every choice found, and tells the race of those that hold.
    """
    asked, final, best = _ROUGH, 0.5 * race.relative_gap, -inf
    for turn in range(_TURNS if race.budget.timed else _FEW_TURNS):
        if not race.budget.take():
            break
        try:
            if turn == 0:
                programme.root(race)
            found = programme.solve(race, start, asked)
        except NumberTooLarge:
            break  # rows whose numbers are too far apart are left to the other roads
        if found.bound == inf and race.value < inf:
            break  # a choice is in hand, so that this is off by rounding and proves nothing
        if found.bound > best:
            best = found.bound
            race.proved(best, "programme")
        if found.taken is None or race.over:
            break
        keep(found.taken)
        finer = programme.refine(found.taken)
        if race.over or (not finer and asked == final):
            break
        # What misses nothing is off by what the programme was let off.
        asked = max(final, _STEP * min(race.gap, _ROUGH)) if finer else final
        start = found.taken
    return best


def is_programme(lay: Layout) -> bool:
    """Whether a problem is small enough to be made into a programme."""
    count = lay.cost.size
    return count <= MOST_ITEMS and count * max(1, row_count(lay)) <= MOST_ENTRIES
