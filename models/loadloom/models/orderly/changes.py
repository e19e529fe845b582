"""The last steps of a re-plan: no change to what was announced that is not worth it."""

import numpy as np

from loadloom.models.orderly import referee
from loadloom.models.orderly.choices import Choices, patterns_of
from loadloom.models.orderly.problem import Problem
from loadloom.solvers.coupled.oracle import Answer
from loadloom.solvers.kernels.choosers import NOTHING, Codes, Floats
from loadloom.solvers.kernels.responses import weigh

_EVEN = 1e-9


def announced_patterns(problem: Problem, made: Choices) -> Codes | None:
    """What was announced and may be kept, as patterns; None without an announced plan."""
    plan = problem.announced
    if plan is None:
        return None
    patterns = patterns_of(problem, made, plan)
    turns = made.oracle.turns
    days = turns.mode.shape[1]
    room = (patterns.shape[1] - 1) // days
    for i, at in zip(*np.nonzero(patterns[:, :-1] >= 0), strict=True):
        turn = i * days + at // room
        span = slice(int(turns.listed_start[turn]), int(turns.listed_start[turn + 1]))
        if patterns[i, at] not in turns.listed[span]:
            patterns[i, at] = NOTHING
    return patterns


def least_change(problem: Problem, made: Choices, answer: Answer) -> Answer:
    """The answer after every change is undone that saves too little.

    In the order of what undoing costs, users get their announced weeks back as long as all of it
    together costs at most the tolerated share of the plan, and none leaves more unserved, passes a
    budget or its burden's cap.
    """
    held = announced_patterns(problem, made)
    if held is None or problem.announced is None:
        return answer
    oracle, rows = made.oracle, made.rows
    patterns, activity = answer.patterns.copy(), answer.activity.copy()
    burden = referee.burden(problem, problem.announced) - problem.users.carried_burden
    burdens = burden[made.user]
    left = problem.change_tolerance * answer.cost + _EVEN * max(1.0, answer.cost)
    changed = np.flatnonzero((patterns != held).any(axis=1))
    moves = [_move(made, i, patterns[i], held[i]) for i in changed.tolist()]
    for place in np.argsort([extra for extra, _ in moves], kind="stable"):
        extra, relief = moves[place]
        if burdens[changed[place]] > oracle.turns.limit[changed[place]]:
            continue
        then = activity + relief
        short = rows.cost(then) > rows.cost(activity) * (1.0 + _EVEN) + _EVEN
        if extra <= left and not short:
            left -= max(extra, 0.0)
            activity = then
            patterns[changed[place]] = held[changed[place]]
    return oracle.weighed(patterns)


def _move(made: Choices, i: int, now: np.ndarray, then: np.ndarray) -> tuple[float, Floats]:
    """What a chooser's other pattern costs more, and what it adds to the rows, (R,)."""
    oracle = made.oracle
    steps, size = oracle.turns.length.size, max(1, oracle.budget_count)
    reliefs, amounts = np.zeros((2, steps)), np.zeros((2, size))
    cost = [
        weigh(oracle.turns, i, codes, reliefs[k], amounts[k]) for k, codes in enumerate((now, then))
    ]
    change = np.zeros(oracle.row_count)
    by_line = oracle.by_line(change)
    by_line[0] += reliefs[1] - reliefs[0]
    line = int(oracle.turns.line[i])
    if line > 0:
        by_line[line] += reliefs[1] - reliefs[0]
    change[oracle.line_rows :] = (amounts[0] - amounts[1])[: oracle.budget_count]
    return float(cost[1] - cost[0]), change
