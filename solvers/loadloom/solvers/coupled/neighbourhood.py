"""The best patterns of a few choosers while all others stay as they are, by CP-SAT.

    minimise   sum_w,j rank[j] * cost[w] * x[w,j] + sum_q cost[q] * z[q] + sum_r penalty[r] * u[r]
    subject to sum_w relief[w,r] * x[w,j] + sum_q relief[q,r] * z[q] + u[r] >= what the others leave
               sum_w x[w,j] over the windows of a turn = v[turn,j], whether it is the j-th used one
               the j-th used turn is one, and after the one before; turns lie `gap` apart
               at most one pause q, in a turn that is not used

Powers and money become whole numbers; the answer is weighed anew, so rounding decides nothing.
"""

import numpy as np
from ortools.sat.python import cp_model

from loadloom.solvers.coupled.listed import Listed
from loadloom.solvers.coupled.oracle import Answer, Oracle, Rows
from loadloom.solvers.coupled.sample import subset
from loadloom.solvers.kernels.choosers import Indices

AMOUNT_UNITS, COST_UNITS = 1e3, 1e3
"""The whole numbers of a unit of relief, and of a unit of cost."""

Vars = list[cp_model.IntVar]


def reconsidered(
    oracle: Oracle,
    rows: Rows,
    answer: Answer,
    some: Indices,
    *,
    seed: int,
    work: float,
    left_s: float,
) -> Answer:
    """An answer in which some choosers, in ascending order, have the best patterns found for them.

    `work` is in CP-SAT's units of repeatable time, some seconds each; `left_s` limits real ones.
    """
    part = Oracle(turns=subset(oracle.turns, some), line_count=oracle.line_count)
    own = part.weighed(answer.patterns[some])
    left = Rows(demand=rows.demand - (answer.activity - own.activity), penalty=rows.penalty)
    listed = Listed(part, left)
    model = cp_model.CpModel()
    x, cost = _add_windows(model, listed)
    _add_rows(model, listed, x, cost)
    columns = [variable for variable, _ in cost]
    prices = [round(price) for _, price in cost]
    model.minimize(cp_model.LinearExpr.weighted_sum(columns, prices))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed % 2**31
    solver.parameters.max_deterministic_time = work
    if left_s < np.inf:
        solver.parameters.max_time_in_seconds = left_s
    if solver.solve(model) not in {cp_model.OPTIMAL, cp_model.FEASIBLE}:
        return answer
    taken = [w for w, variables in enumerate(x) if any(map(solver.value, variables))]
    patterns = answer.patterns.copy()
    patterns[some] = listed.patterns(np.array(taken, np.int64))
    return oracle.weighed(patterns)


def _add_windows(
    model: cp_model.CpModel, listed: Listed
) -> tuple[list[Vars], list[tuple[cp_model.IntVar, float]]]:
    """Adds windows, turns, pauses: the variables of each window, and what each variable costs."""
    turns, windows = listed.oracle.turns, listed.windows
    x: list[Vars] = [[] for _ in range(listed.count)]
    cost: list[tuple[cp_model.IntVar, float]] = []
    for i in range(listed.oracle.count):
        used = _add_turns(model, listed, i)
        for d, places in enumerate(used):
            turn = i * len(used) + d
            span = range(windows.start[turn], windows.start[turn + 1])
            for j, place in enumerate(places):
                c = int(turns.rank_class[j])
                mine = {w: model.new_bool_var("") for w in span if listed.open[c, w]}
                model.add(sum(mine.values()) == place)
                for w, taken in mine.items():
                    x[w].append(taken)
                    cost.append((taken, turns.rank[c] * windows.cost[w] * COST_UNITS))
        _add_pauses(model, listed, i, used, x, cost)
    return x, cost


def _add_turns(model: cp_model.CpModel, listed: Listed, i: int) -> list[Vars]:
    """Whether each turn of a chooser is its j-th used one, by turn."""
    turns = listed.oracle.turns
    days, gap = turns.mode.shape[1], int(turns.gap[i])
    most = min(int(turns.most_turns[i]), days)
    used = [[model.new_bool_var("") for _ in range(most)] for _ in range(days)]
    for j in range(most):
        model.add_at_most_one(places[j] for places in used)
    for d in range(days):
        model.add_at_most_one(place for places in used[d : d + gap + 1] for place in places)
        for j in range(1, most):
            model.add(sum(places[j - 1] for places in used[:d]) >= used[d][j])
    return used


def _add_pauses(
    model: cp_model.CpModel,
    listed: Listed,
    i: int,
    used: list[Vars],
    x: list[Vars],
    cost: list[tuple[cp_model.IntVar, float]],
) -> None:
    turns, windows = listed.oracle.turns, listed.windows
    pauses = []
    for entry in range(turns.pause_start[i], turns.pause_start[i + 1]):
        paused = model.new_bool_var("")
        model.add_at_most_one([paused, *used[turns.pause_turn[entry]]])
        x[windows.pause_base + entry].append(paused)
        cost.append((paused, windows.cost[windows.pause_base + entry] * COST_UNITS))
        pauses.append(paused)
    model.add_at_most_one(pauses)


def _add_rows(
    model: cp_model.CpModel,
    listed: Listed,
    x: list[Vars],
    cost: list[tuple[cp_model.IntVar, float]],
) -> None:
    """Adds the rows that can lack something, and what lacking costs."""
    row, which, relief = listed.entries
    for r in np.flatnonzero(listed.short > 0.0):
        mine = np.flatnonzero(row == r)
        lacking = model.new_int_var(0, int(np.ceil(listed.short[r] * AMOUNT_UNITS)) + mine.size, "")
        terms = [
            round(relief[k] * AMOUNT_UNITS) * variable for k in mine for variable in x[which[k]]
        ]
        model.add(sum(terms) + lacking >= round(listed.rows.demand[r] * AMOUNT_UNITS))
        cost.append((lacking, listed.rows.penalty[r] * COST_UNITS / AMOUNT_UNITS))
