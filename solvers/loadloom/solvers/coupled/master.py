"""The restricted master: the cheapest mix of known patterns that keeps the inequalities, in HiGHS.

minimise   sum_p cost[p] z[p] + penalty @ u
subject to sum_p z[p] = 1 over the patterns p of each chooser
           sum_p (coefficients of p) z[p] + over @ u >= side  for each inequality;  z, u >= 0
"""

from dataclasses import dataclass, field

import numpy as np
from highspy import Highs

from loadloom.solvers.coupled.inequalities import Inequalities
from loadloom.solvers.coupled.listed import Listed
from loadloom.solvers.kernels.choosers import Flags, Floats, Indices

_OPTIONS = {
    "output_flag": False,
    "threads": 1,  # HiGHS has one scheduler for all of a process; it must never change its size
    "presolve": "off",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mix:
    """A mixed plan: its value, the prices of the inequalities, what is taken, what rows lack.

    `share` is that of each pattern, (P,), and `reduced` what it costs beyond what it earns.
    """

    value: float
    prices: Floats
    x: Floats
    u: Floats
    share: Floats
    reduced: Floats


@dataclass(kw_only=True)
class Master:
    """The patterns so far, each as its windows in the order of turns, and the programme of them."""

    listed: Listed
    held: Inequalities
    windows: list[Indices] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    _known: set[tuple[int, ...]] = field(default_factory=set)
    _highs: Highs = field(default_factory=Highs)
    _columns: int = 0
    _rows: int = 0

    def __post_init__(self) -> None:
        for name, value in _OPTIONS.items():
            self._highs.setOptionValue(name, value)
        self._begin()
        held = np.flatnonzero(self.listed.held)
        for i in range(self.listed.oracle.count):
            self._remember(i, held[self.listed.chooser[held] == i])

    def _begin(self) -> None:
        """The programme without patterns and inequalities."""
        self._highs.clearModel()
        none, values = np.zeros(0, np.int32), np.zeros(0)
        for dear in self.held.penalty:
            self._highs.addCol(float(dear), 0.0, np.inf, 0, none, values)
        for _ in range(self.listed.oracle.count):
            self._highs.addRow(1.0, 1.0, 0, none, values)
        self._columns = self._rows = 0

    def remember(self, taken: Flags) -> int:
        """How many of the patterns are new that are made of the windows and pauses taken."""
        which = np.flatnonzero(taken)
        order = np.argsort(self.listed.chooser[which], kind="stable")
        which = which[order]
        owner, begin = np.unique(self.listed.chooser[which], return_index=True)
        parts = np.split(which, begin[1:]) if which.size else []
        return sum(self._remember(int(i), own) for i, own in zip(owner, parts, strict=True))

    def _remember(self, owner: int, which: Indices) -> bool:
        key = (owner, *which.tolist())
        if key in self._known:
            return False
        self._known.add(key)
        self.windows.append(which)
        self.owner.append(owner)
        return True

    def mix(self, left_s: float) -> Mix | None:
        """The cheapest mix, None if time was up before it was found."""
        self._add_inequalities()
        self._add_patterns()
        highs = self._highs
        if left_s < np.inf:
            highs.setOptionValue("time_limit", highs.getRunTime() + left_s)
        highs.run()
        solution = highs.getSolution()
        if not solution.dual_valid:
            return None
        over, choosers = self.held.rows.size, self.listed.oracle.count
        columns, duals = np.array(solution.col_value), np.array(solution.row_dual)
        share = columns[over:]
        x = np.zeros(self.listed.count)
        for p in np.flatnonzero(share > 0.0):
            x[self.windows[p]] += share[p]
        return Mix(
            value=highs.getInfo().objective_function_value,
            prices=np.maximum(duals[choosers:], 0.0),
            x=x,
            u=columns[:over],
            share=share,
            reduced=np.array(solution.col_dual)[over:],
        )

    def forget(self, patterns: Flags, inequalities: Flags) -> None:
        """Forgets patterns, but for the first of each chooser, and inequalities; begins anew."""
        first = self.listed.oracle.count
        stays = [p for p in range(len(self.windows)) if p < first or not patterns[p]]
        self.windows = [self.windows[p] for p in stays]
        self.owner = [self.owner[p] for p in stays]
        self._known = {(i, *own.tolist()) for i, own in zip(self.owner, self.windows, strict=True)}
        self.held.keep(~inequalities)
        self._begin()

    def _add_inequalities(self) -> None:
        """Adds the new inequalities to the programme, for the patterns that are in it."""
        held, patterns = self.held, self.windows[: self._columns]
        sizes = np.array([own.size for own in patterns], np.int64)
        within = np.repeat(np.arange(sizes.size), sizes)
        flat = np.concatenate(patterns) if patterns else np.zeros(0, np.int64)
        for k in range(self._rows, held.count):
            entries = np.zeros(self.listed.count)
            entries[held.which[k]] = held.value[k]
            used = np.bincount(within, entries[flat], sizes.size).astype(np.float64)
            at, over = np.flatnonzero(used), np.flatnonzero(held.over[k])
            columns = np.concatenate((over, held.rows.size + at)).astype(np.int32)
            values = np.concatenate((held.over[k][over], used[at]))
            self._highs.addRow(held.side[k], np.inf, columns.size, columns, values)
        self._rows = held.count

    def _add_patterns(self) -> None:
        """Adds the new patterns to the programme."""
        held, new = self.held, range(self._columns, len(self.windows))
        if not new:
            return
        place = np.full(self.listed.count, -1)
        flat = np.unique(np.concatenate([self.windows[p] for p in new]))
        place[flat] = np.arange(flat.size)
        table = np.zeros((flat.size, held.count))
        for k in range(held.count):
            at = place[held.which[k]]
            table[at[at >= 0], k] = held.value[k][at >= 0]
        choosers = self.listed.oracle.count
        for p in new:
            used = table[place[self.windows[p]]].sum(axis=0)
            at = np.flatnonzero(used)
            rows = np.concatenate(([self.owner[p]], choosers + at)).astype(np.int32)
            values = np.concatenate(([1.0], used[at]))
            cost = self.listed.cost(self.windows[p])
            self._highs.addCol(cost, 0.0, np.inf, rows.size, rows, values)
        self._columns = len(self.windows)
