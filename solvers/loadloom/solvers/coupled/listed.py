"""Choosers whose windows are all written out: their least weeks, and what no better plan holds.

A window is closed for good if another of the same turn costs no more and relieves no less, or if
the best plan that holds it is, by the bound, no better than one that is known.
"""

from functools import cached_property

import numpy as np

from loadloom.solvers.coupled.oracle import Oracle, Rows
from loadloom.solvers.kernels.choosers import FAR, NOTHING, Codes, Flags, Floats, Indices
from loadloom.solvers.kernels.listing import (
    Windows,
    count_windows,
    dominated,
    places_of,
    stands,
    written_out,
)
from loadloom.solvers.kernels.weeks import week_values

MOST_LISTED = 150_000
"""Up to so many windows rows are strengthened."""

_SAFE = 1e-7  # by what share a plan may be better than a known one and yet be left out


def can_list(oracle: Oracle) -> bool:
    """Whether a turn holds at most one window, nothing is limited, and few are listed."""
    turns = oracle.turns
    if np.isfinite(turns.limit).any() or turns.rank[0] < 0.0:
        return False
    if np.any(turns.most_windows > 1) or np.any(np.diff(turns.listed_start) > 1):
        return False
    choices = np.repeat(np.diff(turns.pause_start), np.diff(turns.pause_start))
    if np.any(choices[turns.pause_forced] > 1):
        return False
    return 0 < int(count_windows(turns)[-1]) <= MOST_LISTED


class Listed:
    """The windows and pauses of choosers; `open[c, w]` is whether w may be taken at rank c."""

    def __init__(self, oracle: Oracle, rows: Rows) -> None:
        turns = oracle.turns
        self.oracle, self.rows = oracle, rows
        none = np.zeros((oracle.line_count, turns.length.size))
        self.windows: Windows = written_out(turns, none)
        self.open: Flags = np.ones((turns.rank.size, self.count), np.bool_)
        beaten = dominated(turns, self.windows, self._needed_steps)
        self.open[:, : self.windows.pause_base] &= ~beaten
        self.open |= self.held

    @property
    def count(self) -> int:
        """The number of windows and pauses."""
        return self.windows.cost.size

    @cached_property
    def held(self) -> Flags:
        """Which windows and pauses every answer takes, (W,)."""
        held = np.zeros(self.count, np.bool_)
        held[self.windows.start[np.flatnonzero(stands(self.oracle.turns))]] = True
        held[self.windows.pause_base :] = self.oracle.turns.pause_forced
        return held

    @cached_property
    def _musts(self) -> tuple[Flags, Flags]:
        """Whether each turn must hold a window, (N, D), and each chooser must pause, (N,)."""
        must_pause = np.zeros(self.oracle.count, np.bool_)
        base = self.windows.pause_base
        must_pause[self.chooser[base:][self.held[base:]]] = True
        return stands(self.oracle.turns), must_pause

    @cached_property
    def group(self) -> Indices:
        """The group of each, of which at most one is taken: its turn, or its chooser's pauses."""
        turns = self.oracle.turns
        turn = np.repeat(np.arange(self.windows.start.size - 1), np.diff(self.windows.start))
        pauses = np.repeat(np.arange(self.oracle.count), np.diff(turns.pause_start))
        return np.concatenate((turn, turns.mode.size + pauses))

    @cached_property
    def chooser(self) -> Indices:
        """Whose each is."""
        days, base = self.oracle.turns.mode.shape[1], self.windows.pause_base
        own = self.group // days
        own[base:] = self.group[base:] - self.oracle.turns.mode.size
        return own

    @cached_property
    def turn_count(self) -> int:
        """The number of turns of each chooser."""
        return self.oracle.turns.mode.shape[1]

    @cached_property
    def turn(self) -> Indices:
        """The turn of each."""
        own = self.group % self.turn_count
        own[self.windows.pause_base :] = self.oracle.turns.pause_turn
        return own

    @cached_property
    def turn_of_row(self) -> Indices:
        """The turn of each row; -1 of budgets, which are those of all turns."""
        turns, lines = self.oracle.turns, self.oracle.line_rows
        turn = np.full(self.rows.demand.size, -1)
        turn[:lines] = (np.arange(lines) % turns.length.size) // turns.step_count
        return turn

    @cached_property
    def dearest(self) -> float:
        """What a window or pause costs at most, at any rank."""
        factor = max(1.0, float(self.oracle.turns.rank.max()))
        return factor * float(np.abs(self.windows.cost).max(initial=0.0))

    @cached_property
    def entries(self) -> tuple[Indices, Indices, Floats]:
        """The row, the window and the relief of every entry; a budget is relieved of amounts."""
        windows, steps = self.windows, self.oracle.turns.length.size
        sizes = np.diff(windows.at)
        which = np.repeat(np.arange(sizes.size), sizes)
        step = windows.begin[which] + np.arange(which.size) - windows.at[which]
        line = self.oracle.turns.line[self.chooser[which]]
        own = line > 0
        counted = np.flatnonzero(windows.budget >= 0) if self.oracle.budget_count else which[:0]
        of_budget = self.oracle.line_rows + windows.budget[counted]
        return (
            np.concatenate((step, line[own] * steps + step[own], of_budget)),
            np.concatenate((which, which[own], counted)),
            np.concatenate((windows.relief, windows.relief[own], -windows.amount[counted])),
        )

    @cached_property
    def short(self) -> Floats:
        """The most that each row can ever lack."""
        row, which, relief = self.entries
        worst = np.zeros((self.rows.demand.size, int(self.group.max()) + 1))
        np.minimum.at(worst, (row, self.group[which]), relief)
        return self.rows.demand - worst.sum(axis=1)

    @property
    def _needed_steps(self) -> Flags:
        """Whether relief can be of use, for each line and step; all lines relieve line 0 too."""
        needed = self.oracle.by_line(self.short) > 0.0
        return needed | needed[0]

    def least(self, worth: Floats, open_: Flags | None = None) -> tuple[Floats, Flags, Floats]:
        """The least value of every chooser, what it takes, and the regret of all, (C, W).

        `open_` takes the place of `open`, if it is given.
        """
        turns, windows = self.oracle.turns, self.windows
        values = np.zeros(self.oracle.count)
        taken = np.zeros(self.count, np.bool_)
        regret = np.full((turns.rank.size, self.count), FAR)
        week_values(
            windows.start,
            windows.cost,
            worth,
            self.open if open_ is None else open_,
            windows.pause_base,
            turns.pause_start,
            turns.pause_turn,
            turns.most_turns,
            turns.gap,
            turns.rank,
            turns.rank_class,
            *self._musts,
            values,
            taken,
            regret,
        )
        return values, taken, regret

    def close(self, regret: Floats, bound: float, value: float) -> None:
        """Closes what no plan holds that is better than a value."""
        self.open &= bound + regret <= value + _SAFE * abs(value)

    def patterns(self, taken: Indices) -> Codes:
        """The patterns of windows and pauses, at most one of each group."""
        turns = self.oracle.turns
        patterns = np.full((self.oracle.count, self.oracle.size), NOTHING, np.int32)
        days, base = turns.mode.shape[1], self.windows.pause_base
        room = (self.oracle.size - 1) // days
        own = taken[taken < base]
        turn = self.group[own]
        patterns[turn // days, (turn % days) * room] = self.windows.code[own]
        pauses = taken[taken >= base]
        who = self.chooser[pauses]
        patterns[who, -1] = pauses - base - turns.pause_start[who]
        return patterns

    def taken(self, patterns: Codes) -> Flags:
        """Which windows and pauses patterns take, (W,)."""
        turns, windows = self.oracle.turns, self.windows
        places, pauses = places_of(turns, windows, patterns)
        taken = np.zeros(self.count, np.bool_)
        taken[places[places >= 0]] = True
        who = np.flatnonzero(pauses >= 0)
        taken[windows.pause_base + turns.pause_start[who] + pauses[who]] = True
        return taken

    def cost(self, taken: Indices) -> float:
        """What one chooser's windows and pause cost, given in the order of turns."""
        turns, windows = self.oracle.turns, self.windows
        own = taken[taken < windows.pause_base]
        ranks = turns.rank[turns.rank_class[: own.size]]
        return float(ranks @ windows.cost[own] + windows.cost[taken[own.size :]].sum())
