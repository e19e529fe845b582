"""The best patterns of some choosers among some windows, all else as it is, by HiGHS.

    minimise   sum_k rank[c(k)] * cost[w(k)] * x[k] + sum_q cost[q] * z[q] + sum_r penalty[r] * u[r]
    subject to sum_k relief[k,r] * x[k] + sum_q relief[q,r] * z[q] + u[r] >= what the others leave
               sum_k x[k] over the windows of a turn at a rank = v[turn,c]
               sum_c v[turn,c] over turns closer than `gap` <= 1;  sum v of a chooser <= most turns
               n * v[turn,c] <= sum of v[earlier turn,c-1], n of which come before the first at c
               sum_q z[q] of a chooser <= 1, and none in a turn that is used
               sum_k x[k] = 1 of a window that is held, and z[q] = 1 of a pause

over windows w at ranks c, pauses q, x, z, v whole. What is found is weighed anew, so that the
tolerances of HiGHS decide nothing. Seen with 20 choosers of 7 turns: a third of the choosers, or
two turns of all, take HiGHS 0.2 to 3 s to the proven end, of which CP-SAT sees none in that time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.solvers.coupled.listed import Listed
from loadloom.solvers.coupled.oracle import Answer
from loadloom.solvers.highs import Entries, Model, Options, Program
from loadloom.solvers.kernels.choosers import Flags, Floats, Indices
from loadloom.solvers.termination import Reason

OPTIONS: Options = {
    "presolve": "choose",
    "primal_feasibility_tolerance": 1e-7,
    "dual_feasibility_tolerance": 1e-7,
    "mip_feasibility_tolerance": 1e-6,
    "mip_detect_symmetry": False,
    "mip_allow_cut_separation_at_nodes": False,
}
"""How HiGHS searches among some windows best."""

_WORTHWHILE = 1e-4  # the share of an answer's value that is worth a search


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What may change: `window[k]` at rank class `rank[k]`, pauses, and turns at rank classes.

    `use` is the place of each window's turn and rank among `turn` and `turn_rank`, `row` what the
    rows are of which `left` is demanded, and `chooser` whether each chooser may change.
    """

    window: Indices
    rank: Indices
    pause: Indices
    use: Indices
    turn: Indices
    turn_rank: Indices
    row: Indices
    left: Floats
    chooser: Flags


def best_among(
    listed: Listed,
    answer: Answer,
    free: Flags,
    *,
    nodes: int,
    left_s: float,
    seed: int = 0,
    stop: Callable[[], bool] | None = None,
) -> tuple[Answer, bool]:
    """The best answer found of free windows and those taken, and whether the search was finished.

    `free` is whether each window and pause may be taken, (W,); choosers without any stay as they
    are. `nodes` limits the search repeatably, `left_s` by the clock, `stop` ends it. A gain of less
    than a share of 1e-4 is not looked for.
    """
    if not (listed.open.any(axis=0) & free).any():
        return answer, True
    taken = listed.taken(answer.patterns)
    parts = _parts(listed, answer, free, taken)
    model = Model(_programme(listed, parts), seed=seed % 2**31, options=OPTIONS)
    model.begin_with(_columns(listed, parts, taken, answer))
    outcome = model.solve(
        time_limit_s=left_s,
        absolute_gap=_WORTHWHILE * (answer.cost + listed.rows.cost(answer.activity)),
        node_limit=nodes,
        stop=stop,
    )
    settled, values = outcome.termination.reason is Reason.OPTIMAL, outcome.primal
    if values is None:
        return answer, settled
    chosen = values > 0.5
    windows = np.concatenate(
        (
            parts.window[chosen[: parts.window.size]],
            parts.pause[chosen[parts.window.size : parts.window.size + parts.pause.size]],
        )
    )
    patterns = answer.patterns.copy()
    patterns[parts.chooser] = listed.patterns(windows)[parts.chooser]
    return listed.oracle.weighed(patterns), settled


def _parts(listed: Listed, answer: Answer, free: Flags, taken: Flags) -> Parts:
    turns, base = listed.oracle.turns, listed.windows.pause_base
    chooser = np.zeros(listed.oracle.count, np.bool_)
    chooser[listed.chooser[free]] = True
    mine = taken & chooser[listed.chooser]
    # A window that is taken may be taken at any rank: others of its chooser may come before it.
    some = (listed.open & free) | mine
    some[:, base:] = some[0, base:]
    rank, window = np.nonzero(some[:, :base])
    most = np.minimum(turns.most_turns, turns.mode.shape[1])
    reached = turns.rank_class[np.maximum(most, 1) - 1]
    within = (rank <= reached[listed.chooser[window]]) & (most[listed.chooser[window]] > 0)
    rank, window = rank[within], window[within]
    key, use = np.unique(listed.group[window] * turns.rank.size + rank, return_inverse=True)
    others = np.where(chooser[:, None], -1, answer.patterns).astype(np.int32)
    left = listed.rows.demand - listed.oracle.weighed(others).activity
    pause = base + np.flatnonzero(some[0, base:])
    held = np.zeros(listed.count, np.bool_)
    held[window] = held[pause] = True
    row, which, relief = listed.entries
    against = held[which] & (relief < 0.0)
    worst = np.bincount(row[against], -relief[against], left.size)
    needed = (left + worst > 0.0) & (listed.rows.penalty > 0.0)
    return Parts(
        window=window,
        rank=rank,
        pause=pause,
        use=use,
        turn=key // turns.rank.size,
        turn_rank=key % turns.rank.size,
        row=np.flatnonzero(needed),
        left=left[needed],
        chooser=chooser,
    )


def _programme(listed: Listed, parts: Parts) -> Program:
    """The programme of windows, pauses, turns at ranks, and what rows lack."""
    turns, windows = listed.oracle.turns, listed.windows
    entries = Entries()
    pauses, uses = parts.window.size, parts.window.size + parts.pause.size
    lacks = uses + parts.turn.size
    columns = lacks + parts.row.size
    _cover(entries, listed, parts, lacks)
    first = entries.block(0.0, 0.0, parts.turn.size)
    entries.add(first + parts.use, np.arange(pauses), 1.0)
    entries.add(first + np.arange(parts.turn.size), uses + np.arange(parts.turn.size), -1.0)
    _few_turns(entries, listed, parts, uses)
    _ranks(entries, listed, parts, uses)
    _pauses(entries, listed, parts, pauses, uses)
    _held(entries, listed, parts)
    cost = np.zeros(columns)
    cost[:pauses] = turns.rank[parts.rank] * windows.cost[parts.window]
    cost[pauses:uses] = windows.cost[parts.pause]
    cost[lacks:] = listed.rows.penalty[parts.row]
    high = np.ones(columns)
    high[lacks:] = inf
    integer = np.ones(columns, np.bool_)
    integer[lacks:] = False
    return Program(
        cost=cost,
        low=np.zeros(columns),
        high=high,
        row_low=entries.low,
        row_high=entries.high,
        matrix=entries.matrix(columns),
        integer=integer,
    )


def _cover(entries: Entries, listed: Listed, parts: Parts, lacks: int) -> None:
    """Relief and what is lacking cover what the others leave."""
    row, which, relief = listed.entries
    place = np.full(listed.rows.demand.size, -1)
    place[parts.row] = np.arange(parts.row.size)
    first = entries.block(parts.left, inf, parts.row.size)
    order = np.argsort(which, kind="stable")
    begin = np.searchsorted(which[order], np.arange(listed.count + 1))
    own = np.concatenate((parts.window, parts.pause))
    sizes = begin[own + 1] - begin[own]
    columns = np.repeat(np.arange(own.size), sizes)
    ends = np.cumsum(sizes)
    at = order[np.arange(sizes.sum()) + np.repeat(begin[own] - (ends - sizes), sizes)]
    some = place[row[at]] >= 0
    entries.add(first + place[row[at[some]]], columns[some], relief[at[some]])
    entries.add(first + np.arange(parts.row.size), lacks + np.arange(parts.row.size), 1.0)


def _few_turns(entries: Entries, listed: Listed, parts: Parts, uses: int) -> None:
    """The turns used are as few and as far apart as the rules ask."""
    turns = listed.oracle.turns
    days = turns.mode.shape[1]
    who, day = parts.turn // days, parts.turn % days
    most = np.minimum(turns.most_turns, days).astype(np.float64)
    first = entries.block(-inf, most, listed.oracle.count)
    entries.add(first + who, uses + np.arange(who.size), 1.0)
    first = entries.block(-inf, 1.0, turns.mode.size)
    for back in range(int(turns.gap.max()) + 1):
        at = np.flatnonzero((turns.gap[who] >= back) & (day >= back))
        entries.add(first + parts.turn[at] - back, uses + at, 1.0)


def _ranks(entries: Entries, listed: Listed, parts: Parts, uses: int) -> None:
    """Dear ranks come after as many turns as the cheaper ones have room for, and not instead."""
    turns = listed.oracle.turns
    count, days = turns.mode.shape
    who, day = parts.turn // days, parts.turn % days
    for c in range(1, turns.rank.size):
        room = np.count_nonzero(turns.rank_class == c - 1)
        cheaper = np.flatnonzero(parts.turn_rank == c - 1)
        first = entries.block(-inf, float(room), count)
        entries.add(first + who[cheaper], uses + cheaper, 1.0)
        mine = np.flatnonzero(parts.turn_rank == c)
        first = entries.block(0.0, inf, mine.size)
        entries.add(first + np.arange(mine.size), uses + mine, -float(room))
        earlier = (who[cheaper] == who[mine][:, None]) & (day[cheaper] < day[mine][:, None])
        at, other = np.nonzero(earlier)
        entries.add(first + at, uses + cheaper[other], 1.0)


def _pauses(entries: Entries, listed: Listed, parts: Parts, pauses: int, uses: int) -> None:
    """A chooser pauses once at most, and in a turn that it does not use."""
    turns, base = listed.oracle.turns, listed.windows.pause_base
    days, size = turns.mode.shape[1], parts.pause.size
    every = np.arange(size)
    who, turn = listed.chooser[parts.pause], turns.pause_turn[parts.pause - base]
    first = entries.block(-inf, 1.0, listed.oracle.count)
    entries.add(first + who, pauses + every, 1.0)
    first = entries.block(-inf, 1.0, size)
    entries.add(first + every, pauses + every, 1.0)
    at, use = np.nonzero((who * days + turn)[:, None] == parts.turn)
    entries.add(first + at, uses + use, 1.0)


def _held(entries: Entries, listed: Listed, parts: Parts) -> None:
    """What is held is taken: a window at one of its ranks, and a pause."""
    which = np.concatenate((parts.window, parts.pause))
    mine = np.flatnonzero(listed.held[which])
    held, number = np.unique(which[mine], return_inverse=True)
    first = entries.block(1.0, 1.0, held.size)
    entries.add(first + number, mine, 1.0)


def _columns(listed: Listed, parts: Parts, taken: Flags, answer: Answer) -> Floats:
    """The columns of an answer."""
    turns = listed.oracle.turns
    days = turns.mode.shape[1]
    own = np.flatnonzero(
        taken[: listed.windows.pause_base]
        & parts.chooser[listed.chooser[: listed.windows.pause_base]]
    )
    turn = np.sort(listed.group[own])
    nth = np.arange(turn.size) - np.searchsorted(turn // days, turn // days)
    rank = np.full(turns.mode.size, -1)
    rank[turn] = turns.rank_class[nth]
    x = taken[parts.window] & (rank[listed.group[parts.window]] == parts.rank)
    v = rank[parts.turn] == parts.turn_rank
    short = np.maximum(listed.rows.demand - answer.activity, 0.0)[parts.row]
    return np.concatenate((x, taken[parts.pause], v, short)).astype(np.float64)
