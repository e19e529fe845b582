"""CP-SAT finds what HiGHS finds."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from benchmarks import orderly_cpsat as cpsat
from loadloom.solvers.highs import Model, Program, compressed
from loadloom.solvers.termination import Reason


def cover(seed):
    """A random covering programme with binaries and a slack for each row."""
    rng = np.random.default_rng(seed)
    rows, columns = 4, 12
    matrix = np.concatenate((rng.uniform(0, 9, (rows, columns)), np.eye(rows)), axis=1)
    at, column = np.nonzero(matrix)
    return Program(
        cost=np.concatenate((rng.uniform(1, 9, columns), np.full(rows, 40.0))),
        low=np.zeros(columns + rows),
        high=np.concatenate((np.ones(columns), np.full(rows, inf))),
        row_low=rng.uniform(5, 25, rows),
        row_high=np.full(rows, inf),
        matrix=compressed(at, column, matrix[at, column], columns + rows),
        integer=np.arange(columns + rows) < columns,
    )


@pytest.mark.parametrize("seed", range(10))
def test_it_finds_what_highs_finds(seed):
    program = cover(seed)
    heard = []
    ours = cpsat.solve(program, tell=heard.append)
    theirs = Model(program).solve(relative_gap=1e-9).termination.objective
    assert ours.termination.reason is Reason.OPTIMAL
    assert ours.termination.objective == pytest.approx(theirs, rel=1e-3)
    assert heard
    again = cpsat.solve(program, hint=ours.primal)
    assert again.termination.objective == pytest.approx(ours.termination.objective)


def test_what_cannot_be_is_infeasible():
    program = cover(1)
    shut = replace(program, high=np.where(program.integer, 0.0, 1.0))
    assert cpsat.solve(shut).termination.reason is Reason.INFEASIBLE
