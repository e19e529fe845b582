"""Parks beside the solvers: what is compared is what was found."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import orderly
from benchmarks.orderly_instances import park
from benchmarks.orderly_rota import SLOTS, month, off, rota
from benchmarks.orderly_runs import Run, part_way
from benchmarks.orderly_small import Week
from benchmarks.registry import QUICK
from loadloom.models.orderly import referee
from loadloom.models.orderly.choices import patterns_of, plan_of
from loadloom.models.orderly.flat import flat_programme
from loadloom.models.orderly.problem import Plan
from loadloom.models.orderly.solution import OrderlyOptions, Progress
from loadloom.models.orderly.solve import solve


def step(seconds, objective, bound):
    return Progress(
        seconds=seconds, objective=objective, bound=bound, unserved_kwh=0.0, phase="loss: cuts"
    )


def run(cost, bound):
    return Run(cost=cost, bound=bound, seconds=1.0, broken=0)


def test_a_run_part_way_is_what_was_told_by_then():
    solution = SimpleNamespace(progress=(step(1.0, 9.0, 2.0), step(9.9, 6.0, 3.0), step(11, 5, 4)))
    found = part_way(solution, 10.0, 0)
    assert (found.cost, found.bound, found.seconds) == (6.0, 3.0, 9.9)
    assert found.gap == pytest.approx(0.5)
    assert part_way(solution, 0.5, 0).cost == np.inf
    assert np.isnan(part_way(solution, 10.0, 1).gap)


def test_a_week_is_compared_with_the_better_of_the_others():
    week = Week(
        early=run(99.0, 90.0), late=run(98.0, 95.0), others={"a": run(110, 99), "b": run(100, 80)}
    )
    assert week.cost_ratio == pytest.approx(0.99)
    assert week.least_gap == pytest.approx(0.1)


def test_the_columns_of_a_plan_keep_the_rows_and_cost_what_it_costs():
    problem = park(12, 8, 3)
    plan = solve(problem, OrderlyOptions(work_limit=2)).plan
    flat = flat_programme(problem)
    patterns = patterns_of(problem, flat.made, plan)
    primal, program = flat.primal(patterns), flat.program
    assert program.cost @ primal == pytest.approx(referee.cost(problem, plan).total)
    owner = np.repeat(np.arange(primal.size), np.diff(program.matrix.starts))
    rows = np.bincount(
        program.matrix.rows, program.matrix.entries * primal[owner], program.row_low.size
    )
    assert np.all(rows >= program.row_low - 1e-6)
    assert np.all(rows <= program.row_high + 1e-6)
    again = plan_of(problem, flat.made, flat.patterns(primal))
    np.testing.assert_array_equal(again.first_slot, plan.first_slot)


def test_a_rota_clears_its_bars_and_is_read_right():
    assert all(bar.met for bar in rota(QUICK).bars)
    plan = solve(month(2)).plan
    assert isinstance(plan, Plan)
    assert off(plan).sum() == 2 * 31 * SLOTS


def test_what_others_cannot_be_given_is_told(monkeypatch):
    flat = flat_programme(park(12, 8, 3))
    windows = int(flat.program.integer.sum())
    assert orderly.binaries(park(12, 8, 3)) <= windows  # days and ranks have binaries too
    monkeypatch.setattr(orderly, "MOST_BINARIES", 0)
    monkeypatch.setattr(orderly, "LIMIT_S", 5.0)
    (table,) = orderly.beside(QUICK).tables
    assert [row[1] for row in table.rows] == ["ours", "the others"]
    assert table.rows[1][2].startswith("not tried: 0.0 million")
    assert {len(row) for row in table.rows} == {len(table.headings)}
