"""Programmes go into HiGHS and come back as they are meant."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from loadloom.solvers.highs import Matrix, Model, Program, compressed
from loadloom.solvers.termination import Reason
from tests.pace import slowness


def program(matrix, *, cost, high, row_high, low=0.0, integer=False, offset=0.0) -> Program:
    """Minimise cost @ x subject to matrix @ x <= row_high and low <= x <= high."""
    dense = np.array(matrix, dtype=float)
    rows, columns = np.nonzero(dense)
    count = dense.shape[1]
    return Program(
        cost=np.array(cost, dtype=float),
        low=np.full(count, float(low)),
        high=np.full(count, float(high)),
        row_low=np.full(dense.shape[0], -np.inf),
        row_high=np.array(row_high, dtype=float),
        matrix=compressed(rows, columns, dense[rows, columns], count),
        integer=np.full(count, integer),
        offset=offset,
    )


def dense(matrix: Matrix, row_count: int) -> np.ndarray:
    """The matrix written out."""
    whole = np.zeros((row_count, matrix.starts.size - 1))
    for column in range(matrix.starts.size - 1):
        part = slice(matrix.starts[column], matrix.starts[column + 1])
        whole[matrix.rows[part], column] = matrix.entries[part]
    return whole


def knapsack(item_count: int = 60) -> Program:
    """A search that takes seconds to prove."""
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 100, (12, item_count))
    values = -rng.integers(1, 100, item_count)
    return program(weights, cost=values, high=1, row_high=weights.sum(axis=1) / 3, integer=True)


def test_a_linear_programme_is_solved_with_the_duals_of_its_rows():
    # max 3x + 2y, x + y <= 4, x + 3y <= 8, x <= 3: at (3, 1) only the first row binds, y is basic,
    # so one more unit of its side brings one more y, worth 2.
    outcome = Model(
        replace(
            program([[1, 1], [1, 3]], cost=[-3, -2], high=np.inf, row_high=[4, 8], offset=1.0),
            high=np.array([3.0, np.inf]),
        )
    ).solve()
    assert outcome.termination.reason is Reason.OPTIMAL
    assert outcome.termination.objective == pytest.approx(-3 * 3 - 2 * 1 + 1)
    assert outcome.termination.bound == outcome.termination.objective
    assert outcome.primal == pytest.approx([3.0, 1.0])
    assert outcome.row_dual == pytest.approx([-2.0, 0.0])


def test_whole_numbers_are_kept_and_have_no_duals():
    outcome = Model(program([[2, 2]], cost=[-1, -1], high=10, row_high=[5], integer=True)).solve()
    assert outcome.termination.objective == pytest.approx(-2.0)
    assert outcome.termination.bound <= outcome.termination.objective + 1e-9
    assert outcome.primal == pytest.approx(np.round(outcome.primal))
    assert outcome.row_dual is None


@pytest.mark.parametrize("integer", [False, True])
def test_what_cannot_be_is_infeasible(integer):
    no_row = program([[1, 1]], cost=[1, 1], low=1, high=5, row_high=[1], integer=integer)
    no_column = program([[1, 1]], cost=[1, 1], low=2, high=1, row_high=[9], integer=integer)
    for impossible in (no_row, no_column):
        outcome = Model(impossible).solve()
        assert outcome.termination.reason is Reason.INFEASIBLE
        assert outcome.termination.bound == np.inf
        assert outcome.primal is None


@pytest.mark.parametrize("integer", [False, True])
def test_what_falls_without_end_is_unbounded(integer):
    endless = program([[1, -1]], cost=[-1, 0], high=np.inf, row_high=[1], integer=integer)
    assert Model(endless).solve().termination.reason is Reason.UNBOUNDED


def test_numbers_too_large_to_compute_with_are_refused():
    with pytest.raises(ValueError, match="too large"):
        Model(program([[1e300, 1]], cost=[1, 1], high=1, row_high=[1]))


def test_a_limit_of_time_leaves_a_plan_with_a_gap():
    termination = Model(knapsack()).solve(time_limit_s=0.05).termination
    assert termination.reason in {Reason.FEASIBLE, Reason.NO_SOLUTION_FOUND}
    assert termination.bound < termination.objective
    assert "limit" in termination.detail


def test_a_limit_of_time_holds_for_each_run_anew():
    model = Model(knapsack())
    runs = [model.solve(time_limit_s=0.1) for _ in range(3)]
    assert all(run.seconds > 0.05 for run in runs)
    assert all(run.seconds / slowness() < 0.4 for run in runs)
    assert all("limit" in run.termination.detail for run in runs)


def test_a_search_ends_when_it_is_told_to_and_can_go_on():
    model, asked = Model(knapsack(120)), []
    told = model.solve(stop=lambda: len(asked) == 3 or asked.append(True)).termination
    assert len(asked) == 3
    assert told.detail == "Interrupted by user"
    assert told.bound <= told.objective < inf
    assert "limit" in model.solve(time_limit_s=0.1, stop=lambda: False).termination.detail


def test_a_changed_model_ends_like_a_new_one():
    rng = np.random.default_rng(1)
    matrix = rng.uniform(0, 1, (15, 30)) * (rng.random((15, 30)) < 0.4)
    held = program(matrix, cost=-rng.random(30), high=1, row_high=rng.uniform(1, 3, 15))
    model = Model(held)
    model.solve()
    for _ in range(20):
        changes = {
            "cost": -rng.random(30),
            "high": rng.uniform(0, 2, 30),
            "row_high": rng.uniform(0, 3, 15),
            "offset": float(rng.random()),
        }
        held = replace(held, **{name: new for name, new in changes.items() if rng.random() < 0.5})
        model.change(held)
        warm, fresh = model.solve(), Model(held).solve()
        assert warm.termination.objective == pytest.approx(fresh.termination.objective, abs=1e-9)


def test_the_same_seed_gives_the_same_answer():
    first, second = (Model(knapsack(25), seed=7).solve(relative_gap=0.01) for _ in range(2))
    assert np.array_equal(first.primal, second.primal)


def test_entries_are_compressed_in_any_order():
    rng = np.random.default_rng(2)
    whole = rng.normal(size=(6, 9)) * (rng.random((6, 9)) < 0.5)
    rows, columns = np.nonzero(whole)
    order = rng.permutation(rows.size)
    made = compressed(rows[order], columns[order], whole[rows, columns][order], 9)
    assert np.array_equal(dense(made, 6), whole)
