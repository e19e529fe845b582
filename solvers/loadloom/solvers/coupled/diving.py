"""Turns chosen one after the other, each exactly, while those to come are priced.

    minimise   sum_w dear[w] * x[w] + sum_r penalty[r] * u[r]
    subject to sum_w relief[w,r] * x[w] + u[r] >= what is left of the demand
               sum_w x[w] of a chooser <= 1;  x whole

over the windows w of one turn. What w costs, `dear`, is what the best pattern of its chooser costs
with it beyond the best of all, where windows of turns that were chosen are given, and those of
turns to come earn the prices of the rows they relieve. So a turn takes a chooser only if no later
one is worth more to it, and ranks, gaps and the number of turns are paid for exactly. Rows of
several turns never meet in one programme, which leaves each so small that HiGHS comes within some
0.2 % of its optimum in half a second: of 2,000 windows the mixed choice leaves some hundreds that
a whole one is made of.

Turns of little demand come first. Seen with 200 choosers of 7 turns: 1.0 to 1.4 % above the bound
in 4 s from the least turn to the greatest, twice as much in the order of the turns; annealing and
neighbourhoods were 2.3 and 3.7 % above it after a minute.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from loadloom.solvers.coupled.listed import Listed
from loadloom.solvers.coupled.neighbourhood import OPTIONS
from loadloom.solvers.coupled.oracle import Answer
from loadloom.solvers.highs import Entries, Model, Options, Program
from loadloom.solvers.kernels.choosers import FAR, Flags, Floats, Indices

_OPTIONS: Options = {**OPTIONS, "mip_heuristic_run_feasibility_jump": False}
_MIXED = 2_000  # the windows of a turn that are mixed at most
_STAGES = ((1 / 3, 0.3), (1.0, 0.7))  # shares of the free windows, and of the time, one by one
_AGAIN, _LONGER = 1, 2.0  # how often a turn that lacks is searched again, and how much longer
_LACKING = 0.02  # the share of its cost up to which lacking is not looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much work one turn is worth: free windows, nodes, seconds, the gap that is left."""

    windows: int
    nodes: int
    seconds: float
    gap: float
    seed: int = 0
    stop: Callable[[], bool] | None = None


def by_demand(listed: Listed, prices: Floats) -> Indices:
    """The turns in the order of what their demands are worth, the least first."""
    worth = prices * np.maximum(listed.rows.demand, 0.0)
    return np.argsort(np.bincount(listed.turn_of_row, worth), kind="stable")


def dive(listed: Listed, answer: Answer, turns: Indices, prices: Floats, effort: Effort) -> Answer:
    """The answer with some turns chosen anew, in this order; all others stay as they are.

    `prices` are those of all rows, (R,). The answer is not always better, but if it is one turn
    alone: that is a search from what was chosen before.
    """
    taken = listed.taken(answer.patterns)
    row, which, relief = listed.entries
    left = listed.rows.demand - np.bincount(row, relief * taken[which], listed.rows.demand.size)
    begun = taken.copy()
    taken &= listed.held | ~np.isin(listed.turn, turns)
    lifted = begun & ~taken
    left += np.bincount(row, relief * lifted[which], left.size)
    to_come = np.isin(np.arange(listed.turn_count), turns)
    for turn in turns:
        to_come[turn] = False
        dear = _dear(listed, taken, prices, to_come, int(turn))
        start = begun & (listed.turn == turn) if turns.size == 1 else np.zeros_like(taken)
        chosen = _chosen(listed, dear, prices, left, to_come, start, effort)
        taken[chosen] = True
        mark = np.zeros_like(taken)
        mark[chosen] = True
        left -= np.bincount(row, relief * mark[which], left.size)
        if effort.stop is not None and effort.stop():
            break
    return listed.oracle.weighed(listed.patterns(np.flatnonzero(taken)))


def _dear(listed: Listed, taken: Flags, prices: Floats, to_come: Flags, turn: int) -> Floats:
    """What each window of a turn costs its chooser, (W,); FAR for those it may not take."""
    row, which, relief = listed.entries
    priced = (listed.turn[which] != turn) | to_come[listed.turn_of_row[row]]
    earned = (prices[row] * relief)[priced]
    worth = np.bincount(which[priced], earned, listed.count).astype(np.float64)
    mine = (listed.turn == turn) & ~taken  # what is held there stays
    may = taken | mine | to_come[listed.turn]
    # Patterns with all that is given are within a quarter of this; without some of it, beyond half.
    sure = 8.0 * listed.turn_count * (np.abs(worth).max() + listed.dearest + 1.0)
    worth[taken] = sure
    _, _, regret = listed.least(worth, (listed.open | taken) & may)
    dear = regret.min(axis=0)
    return np.where(mine & (dear < 0.5 * sure), dear, FAR)


def _chosen(
    listed: Listed,
    dear: Floats,
    prices: Floats,
    left: Floats,
    to_come: Flags,
    start: Flags,
    effort: Effort,
) -> Indices:
    """The windows that HiGHS chooses in a turn, from those taken in `start` on."""
    row, which, relief = listed.entries
    ours = ~to_come[listed.turn_of_row[row]]
    gain = np.bincount(which[ours], (prices[row] * relief)[ours], listed.count)
    some = np.flatnonzero(dear < FAR / 2)
    some = some[_cheap(listed.chooser[some], (dear - gain)[some], _MIXED) | start[some]]
    place = np.full(listed.count, -1)
    place[some] = np.arange(some.size)
    inside = ours & (place[which] >= 0)
    row, column, relief = row[inside], place[which[inside]], relief[inside]
    worst = np.bincount(row, np.maximum(-relief, 0.0), left.size)
    touched = np.bincount(row, minlength=left.size) > 0
    rows = np.flatnonzero(touched & (left + worst > 0.0) & (listed.rows.penalty > 0.0))
    if not some.size or not rows.size:
        return np.zeros(0, np.int64)
    place_of_row = np.full(left.size, -1)
    place_of_row[rows] = np.arange(rows.size)
    inside = place_of_row[row] >= 0
    row, column, relief = place_of_row[row[inside]], column[inside], relief[inside]
    order = np.argsort(listed.chooser[some], kind="stable")
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    some, column = some[order], back[column]
    table = np.zeros((some.size, rows.size))
    np.add.at(table, (column, row), relief)
    turn = Turn(
        owner=listed.chooser[some],
        cost=dear[some],
        relief=table,
        left=left[rows],
        penalty=listed.rows.penalty[rows],
    )
    return some[_searched(turn, start[some], effort)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turn:
    """The windows of a turn, those of a chooser side by side, and what they are to cover.

    `owner` and `cost` are (W,), `relief` (W, R), `left` and `penalty` (R,).
    """

    owner: Indices
    cost: Floats
    relief: Floats
    left: Floats
    penalty: Floats

    def lacking(self, chosen: Flags) -> float:
        """What that costs which chosen windows leave open."""
        return float(self.penalty @ np.maximum(self.left - self.relief[chosen].sum(axis=0), 0.0))

    def among(self, some: Indices) -> "Turn":
        """The same of some windows."""
        return replace(self, owner=self.owner[some], cost=self.cost[some], relief=self.relief[some])


def _searched(turn: Turn, chosen: Flags, effort: Effort) -> Flags:
    """The windows that HiGHS finds from chosen ones on, among those that a mixed choice is near.

    Some of the windows soon give a choice that is good among more. What then lacks, and does not in
    the mixed choice, tells that there was too little time: lacking is dear, so it goes on. Seen
    with 50 choosers on a busy machine: one such turn makes all together a fifth dearer.
    """
    mixed = Model(_programme(turn, whole=False)).solve(time_limit_s=effort.seconds)
    if mixed.row_dual is None or mixed.primal is None:
        return chosen
    rows = turn.left.size
    _, number = np.unique(turn.owner, return_inverse=True)
    reduced = turn.cost - turn.relief @ mixed.row_dual[:rows] - mixed.row_dual[rows:][number]
    core = np.arange(turn.owner.size)
    for share, of_time in _STAGES:
        core = np.flatnonzero(chosen | _least(reduced, int(share * effort.windows)))
        part = replace(effort, seconds=of_time * effort.seconds)
        chosen = _best_of(turn, core, chosen, part)
        if core.size == turn.owner.size:
            break
    must = float(turn.penalty @ mixed.primal[turn.owner.size :])
    for number in range(_AGAIN):
        if turn.lacking(chosen) - must <= _LACKING * turn.cost[chosen].sum():
            break
        longer = replace(effort, seconds=_LONGER * effort.seconds, seed=effort.seed + number + 1)
        chosen = _best_of(turn, core, chosen, longer)
    return chosen


def _best_of(turn: Turn, core: Indices, chosen: Flags, effort: Effort) -> Flags:
    """The best of some windows that HiGHS finds in the time, from chosen ones on."""
    part = turn.among(core)
    model = Model(_programme(part, whole=True), seed=effort.seed, options=_OPTIONS)
    lack = np.maximum(turn.left - turn.relief[chosen].sum(axis=0), 0.0)
    model.begin_with(np.concatenate((chosen[core].astype(np.float64), lack)))
    outcome = model.solve(
        time_limit_s=effort.seconds,
        relative_gap=effort.gap,
        node_limit=effort.nodes,
        stop=effort.stop,
    )
    if outcome.primal is None:
        return chosen
    found = np.zeros_like(chosen)
    found[core] = outcome.primal[: core.size] > 0.5
    return found


def _programme(turn: Turn, *, whole: bool) -> Program:
    """The programme of a turn, of whole or of mixed choices."""
    size, rows = turn.owner.size, turn.left.size
    entries = Entries()
    column, row = np.nonzero(turn.relief)
    first = entries.block(turn.left, inf, rows)
    entries.add(first + row, column, turn.relief[column, row])
    entries.add(first + np.arange(rows), size + np.arange(rows), 1.0)
    owner, number = np.unique(turn.owner, return_inverse=True)
    first = entries.block(-inf, 1.0, owner.size)
    entries.add(first + number, np.arange(size), 1.0)
    is_window = np.arange(size + rows) < size
    return Program(
        cost=np.concatenate((turn.cost, turn.penalty)),
        low=np.zeros(size + rows),
        high=np.where(is_window & whole, 1.0, inf),
        row_low=entries.low,
        row_high=entries.high,
        matrix=entries.matrix(size + rows),
        integer=is_window & whole,
    )


def _least(values: Floats, most: int) -> Flags:
    """Which are among so many least ones."""
    if values.size <= most:
        return np.ones(values.size, np.bool_)
    return values <= np.partition(values, most - 1)[most - 1]


def _cheap(chooser: Indices, cost: Floats, most: int) -> Flags:
    """Which windows cost least beyond the best of their chooser, or beyond nothing."""
    if cost.size <= most:
        return np.ones(cost.size, np.bool_)
    least = np.zeros(int(chooser.max()) + 1)
    np.minimum.at(least, chooser, cost)
    regret = cost - least[chooser]
    return regret <= np.partition(regret, most - 1)[most - 1]
