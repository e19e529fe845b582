"""The weekly schedule as one flat mixed-integer programme in HiGHS: every window a binary.

    minimise   sum_w,c rank[c] * cost[w] * x[w,c] + sum_q cost[q] * z[q] + sum_r penalty[r] * u[r]
    subject to sum_w,c relief[w,r] * x[w,c] + sum_q relief[q,r] * z[q] + u[r] >= demand[r]
               sum_w x[w,c] = v[d,c]         for the windows of each user's day, one a day
               sum_c v[d,c] <= 1, sum_d,c v[d,c] <= max_days, gaps as sums over days in a row
               rank c has room for as many days as gamma has of it, and none before its turn
               a user's rest day moves at most once, and to a day without a window

It knows what it needs to be compared with: one event a day, no stages, nothing announced.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.certificate import Proof
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly import referee
from loadloom.models.orderly.choices import Choices, choices, plan_of
from loadloom.models.orderly.problem import Problem
from loadloom.models.orderly.reference import unstaged
from loadloom.models.orderly.solution import OrderlyOptions, Road, Solution
from loadloom.models.orderly.week import IntArray
from loadloom.solvers.highs import Entries, Model, Program
from loadloom.solvers.kernels.choosers import Codes
from loadloom.solvers.kernels.listing import Windows, places_of, written_out
from loadloom.solvers.termination import Reason, Termination


@dataclass(frozen=True, kw_only=True, eq=False)
class Flat:
    """The programme, and what its first columns stand for: windows by rank, then pauses."""

    program: Program
    made: Choices
    windows: Windows
    owner: IntArray

    def patterns(self, primal: FloatArray) -> Codes:
        """The patterns of a solution."""
        oracle, windows = self.made.oracle, self.windows
        turns, total = oracle.turns, self.owner.size
        patterns = oracle.nobody()
        days, ranks = turns.mode.shape[1], turns.rank.size
        room = (patterns.shape[1] - 1) // days
        taken = primal[: total * ranks].reshape(ranks, total).sum(axis=0) > 0.5
        which = np.flatnonzero(taken)
        turn = self.owner[which]
        patterns[turn // days, (turn % days) * room] = windows.code[which]
        first = total * ranks
        for entry in np.flatnonzero(primal[first : first + turns.pause_turn.size] > 0.5):
            i = int(np.searchsorted(turns.pause_start, entry, side="right")) - 1
            patterns[i, -1] = entry - turns.pause_start[i]
        return patterns

    def primal(self, patterns: Codes) -> FloatArray:
        """The columns of patterns, and of what they leave unserved."""
        oracle, total = self.made.oracle, self.owner.size
        turns = oracle.turns
        days, ranks = turns.mode.shape[1], turns.rank.size
        room = (patterns.shape[1] - 1) // days
        columns = np.zeros(self.program.cost.size)
        day_base = total * ranks + turns.pause_turn.size
        places, pauses = places_of(turns, self.windows, patterns)
        who, at = np.nonzero(places >= 0)
        used = np.arange(who.size) - np.searchsorted(who, who)
        rank = turns.rank_class[used]
        columns[rank * total + places[who, at]] = 1.0
        columns[_day(day_base, who * days + at // room, rank, ranks)] = 1.0
        resting = np.flatnonzero(pauses >= 0)
        columns[total * ranks + turns.pause_start[resting] + pauses[resting]] = 1.0
        short = self.made.rows.demand - oracle.weighed(patterns).activity
        columns[-short.size :] = np.maximum(short, 0.0)
        return columns


def solve_flat(problem: Problem, options: OrderlyOptions) -> Solution:
    """The best plan by HiGHS within the time limit, on one thread.

    Raises:
        InvalidProblem: the problem has stages, several events a day, or an announced plan.
    """
    flat = flat_programme(problem, options.seed)
    outcome = Model(flat.program, seed=options.seed).solve(
        time_limit_s=options.time_limit_s, relative_gap=options.relative_gap
    )
    oracle = flat.made.oracle
    patterns = oracle.nobody() if outcome.primal is None else flat.patterns(outcome.primal)
    plan = plan_of(problem, flat.made, patterns)
    whole, feeders = referee.unserved_kw(problem, plan)
    objective = referee.cost(problem, plan).total
    optimal = outcome.termination.reason is Reason.OPTIMAL and options.relative_gap <= 1e-6
    return Solution(
        termination=Termination(
            reason=Reason.OPTIMAL if optimal else Reason.FEASIBLE,
            objective=objective,
            bound=min(objective, outcome.termination.bound),
        ),
        road=Road.FLAT,
        proof=Proof.BRANCH_AND_BOUND,
        plan=plan,
        unserved_kw=whole,
        feeder_unserved_kw=feeders,
        seed=options.seed,
    )


def flat_programme(problem: Problem, seed: int = 0) -> Flat:
    """The programme of a problem.

    Raises:
        InvalidProblem: the problem has stages, several events a day, or an announced plan.
    """
    unstaged(problem, "the flat programme")
    found = []
    if np.any(problem.users.max_events_per_day > 1):
        found.append(Violation("users.max_events_per_day", "is above 1; the flat programme has 1"))
    if problem.announced is not None:
        found.append(Violation("announced", "is given; the flat programme plans from nothing"))
    if found:
        raise InvalidProblem(found)
    made = choices(problem, seed=seed)
    turns = made.oracle.turns
    windows = written_out(turns, np.zeros((made.oracle.line_count, turns.length.size)))
    owner = np.repeat(np.arange(windows.start.size - 1), np.diff(windows.start))
    return Flat(program=_programme(made, windows, owner), made=made, windows=windows, owner=owner)


def _programme(made: Choices, windows: Windows, owner: IntArray) -> Program:
    turns, rows = made.oracle.turns, made.rows
    count, days = turns.mode.shape
    ranks, total, pauses = turns.rank.size, owner.size, turns.pause_turn.size
    day_base = total * ranks + pauses
    unserved = day_base + count * days * ranks
    columns = unserved + rows.demand.size
    entries = Entries()
    _cover(entries, made, windows, owner, unserved)
    _days(entries, made, owner, total, day_base)
    _pauses(entries, made, total * ranks, day_base)
    cost = np.zeros(columns)
    for c in range(ranks):
        cost[c * total : (c + 1) * total] = turns.rank[c] * windows.cost[:total]
    cost[total * ranks : day_base] = windows.cost[windows.pause_base :]
    cost[unserved:] = rows.penalty
    high = np.ones(columns)
    high[unserved:] = np.inf
    integer = np.zeros(columns, np.bool_)
    integer[:unserved] = True
    return Program(
        cost=cost,
        low=np.zeros(columns),
        high=high,
        row_low=entries.low,
        row_high=entries.high,
        matrix=entries.matrix(columns),
        integer=integer,
    )


def _cover(
    entries: Entries, made: Choices, windows: Windows, owner: IntArray, unserved: int
) -> None:
    """Relief and what is unserved cover every demand."""
    turns, oracle = made.oracle.turns, made.oracle
    days, total, ranks = turns.mode.shape[1], owner.size, turns.rank.size
    first = entries.block(made.rows.demand, inf, oracle.row_count)
    sizes = np.diff(windows.at)
    which = np.repeat(np.arange(sizes.size), sizes)
    step = windows.begin[which] + np.arange(which.size) - windows.at[which]
    chooser = np.empty(sizes.size, np.int64)
    chooser[:total] = owner // days
    chooser[total:] = np.repeat(np.arange(oracle.count), np.diff(turns.pause_start))
    line = turns.line[chooser][which]
    is_window = which < total
    for c in range(ranks):
        columns = np.where(is_window, c * total + which, ranks * total + which - total)
        use = is_window | (c == 0)
        entries.add(first + step[use], columns[use], windows.relief[use])
        own = use & (line > 0)
        rows = first + line[own] * turns.length.size + step[own]
        entries.add(rows, columns[own], windows.relief[own])
    every = np.arange(oracle.row_count)
    entries.add(first + every, unserved + every, 1.0)


def _days(entries: Entries, made: Choices, owner: IntArray, total: int, day_base: int) -> None:
    """Windows belong to days, days to ranks, and both are as few and far apart as the rules ask."""
    turns = made.oracle.turns
    (count, days), ranks = turns.mode.shape, turns.rank.size
    turn = np.arange(count * days)
    for c in range(ranks):
        first = entries.block(0.0, 0.0, turn.size)
        entries.add(first + owner, c * total + np.arange(total), 1.0)
        entries.add(first + turn, _day(day_base, turn, c, ranks), -1.0)
    first = entries.block(-inf, 1.0, turn.size)
    for c in range(ranks):
        entries.add(first + turn, _day(day_base, turn, c, ranks), 1.0)
    most = np.minimum(turns.most_turns, days).astype(np.float64)
    first = entries.block(-inf, most, count)
    for c in range(ranks):
        entries.add(first + turn // days, _day(day_base, turn, c, ranks), 1.0)
    _gaps(entries, made, day_base)
    _ranks(entries, made, day_base)


def _day(base: int, turn: IntArray, rank: int | IntArray, ranks: int) -> IntArray:
    """The columns of days at a rank."""
    return base + turn * ranks + rank


def _gaps(entries: Entries, made: Choices, day_base: int) -> None:
    turns = made.oracle.turns
    days, ranks = turns.mode.shape[1], turns.rank.size
    for gap in np.unique(turns.gap[turns.gap > 0]):
        who = np.flatnonzero(turns.gap == gap)
        for d in range(days - 1):
            first = entries.block(-inf, 1.0, who.size)
            for later in range(d, min(d + gap + 1, days)):
                for c in range(ranks):
                    columns = _day(day_base, who * days + later, c, ranks)
                    entries.add(first + np.arange(who.size), columns, 1.0)


def _ranks(entries: Entries, made: Choices, day_base: int) -> None:
    """Dear ranks come after as many days as the cheaper ones have room for, and not instead."""
    turns = made.oracle.turns
    (count, days), ranks = turns.mode.shape, turns.rank.size
    who = np.arange(count)
    for c in range(1, ranks):
        before = int(np.count_nonzero(turns.rank_class < c))
        first = entries.block(-inf, float(before), count)
        for d in range(days):
            for cheaper in range(c):
                columns = _day(day_base, who * days + d, cheaper, ranks)
                entries.add(first + who, columns, 1.0)
        for d in range(days):
            first = entries.block(0.0, inf, count)
            entries.add(first + who, _day(day_base, who * days + d, c, ranks), -float(before))
            for earlier in range(d):
                for other in range(ranks):
                    columns = _day(day_base, who * days + earlier, other, ranks)
                    entries.add(first + who, columns, 1.0)


def _pauses(entries: Entries, made: Choices, pause_base: int, day_base: int) -> None:
    turns = made.oracle.turns
    days, ranks = turns.mode.shape[1], turns.rank.size
    entry = np.arange(turns.pause_turn.size)
    owner = np.repeat(np.arange(made.oracle.count), np.diff(turns.pause_start))
    first = entries.block(-inf, 1.0, made.oracle.count)
    entries.add(first + owner, pause_base + entry, 1.0)
    first = entries.block(-inf, 1.0, entry.size)
    entries.add(first + entry, pause_base + entry, 1.0)
    for c in range(ranks):
        columns = _day(day_base, owner * days + turns.pause_turn, c, ranks)
        entries.add(first + entry, columns, 1.0)
