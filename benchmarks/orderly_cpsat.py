"""Programmes of whole numbers in CP-SAT, from arrays and back.

CP-SAT knows whole numbers alone: entries and costs are rounded to multiples of a unit, and columns
that need not be whole count in units of their own. What it finds is about as good as the units are
fine, and its bound holds for the rounded programme.
"""

from collections.abc import Callable
from math import inf

import numpy as np
from ortools.sat.python import cp_model

from loadloom.solvers.highs import FloatArray, Outcome, Program
from loadloom.solvers.termination import Reason, Termination

ENTRY_UNITS, COST_UNITS = 10**3, 10**3
"""How many units an entry of 1 and a cost of 1 count."""

MOST = 10**10
"""The largest value of a column without an upper limit, in its units."""

_REASONS = {
    cp_model.OPTIMAL: Reason.OPTIMAL,
    cp_model.FEASIBLE: Reason.FEASIBLE,
    cp_model.INFEASIBLE: Reason.INFEASIBLE,
}


class _Listener(cp_model.CpSolverSolutionCallback):
    """Tells of every better solution."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        super().__init__()
        self._tell = tell

    def on_solution_callback(self) -> None:
        """Called by CP-SAT."""
        self._tell(self.objective_value / (ENTRY_UNITS * COST_UNITS))


def solve(
    program: Program,
    *,
    time_limit_s: float = inf,
    relative_gap: float = 0.0,
    seed: int = 0,
    threads: int = 1,
    hint: FloatArray | None = None,
    tell: Callable[[float], None] | None = None,
) -> Outcome:
    """How a run ends; columns that must be whole need an upper limit or stay below `MOST`."""
    model = cp_model.CpModel()
    units = np.where(program.integer, 1, ENTRY_UNITS)
    low = np.floor(np.maximum(program.low * units, -MOST)).astype(np.int64)
    high = np.ceil(np.minimum(program.high * units, MOST)).astype(np.int64)
    columns = [model.new_int_var(int(a), int(b), "") for a, b in zip(low, high, strict=True)]
    _add_rows(model, program, columns)
    scale = np.where(program.integer, ENTRY_UNITS, 1) * COST_UNITS
    prices = np.round(program.cost * scale).astype(np.int64)
    model.minimize(cp_model.LinearExpr.weighted_sum(columns, prices.tolist()))
    if hint is not None:
        for column, value, unit in zip(columns, hint, units, strict=True):
            model.add_hint(column, round(float(value) * int(unit)))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = threads
    solver.parameters.random_seed = seed % 2**31
    solver.parameters.relative_gap_limit = relative_gap
    if time_limit_s < inf:
        solver.parameters.max_time_in_seconds = time_limit_s
    status = solver.solve(model, _Listener(tell) if tell else None)
    reason = _REASONS.get(status, Reason.NO_SOLUTION_FOUND)
    primal = None
    if reason.has_solution:
        primal = np.array([solver.value(column) for column in columns]) / units
    objective = inf if primal is None else float(program.cost @ primal) + program.offset
    bound = solver.best_objective_bound / (ENTRY_UNITS * COST_UNITS) + program.offset
    return Outcome(
        termination=Termination(
            reason=reason, objective=objective, bound=inf if reason is Reason.INFEASIBLE else bound
        ),
        primal=primal,
        row_dual=None,
        seconds=solver.wall_time,
    )


def _add_rows(model: cp_model.CpModel, program: Program, columns: list[cp_model.IntVar]) -> None:
    """Adds the rows; those of a column that need not be whole count in its smaller units."""
    matrix = program.matrix
    owner = np.repeat(np.arange(len(columns)), np.diff(matrix.starts))
    order = np.argsort(matrix.rows, kind="stable")
    ends = np.cumsum(np.bincount(matrix.rows, minlength=program.row_low.size))
    scaled = matrix.entries * np.where(program.integer[owner], ENTRY_UNITS, 1)
    entries = np.round(scaled).astype(np.int64)
    begin = 0
    for row, end in enumerate(ends):
        mine = order[begin:end]
        begin = int(end)
        expression = cp_model.LinearExpr.weighted_sum(
            [columns[j] for j in owner[mine]], entries[mine].tolist()
        )
        low, high = program.row_low[row], program.row_high[row]
        if low > -inf:
            model.add(expression >= int(np.ceil(low * ENTRY_UNITS - 1e-6)))
        if high < inf:
            model.add(expression <= int(np.floor(high * ENTRY_UNITS + 1e-6)))
