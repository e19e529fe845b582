"""Problems solved side by side: each as if it were alone, and against enumeration."""

import numpy as np
import pytest

from loadloom.solvers.kernels import lanes, stock, stocks
from tests.solvers.kernels.test_stock import enumerated, instance, paid_by, solve_convex

LANES = lanes.LANES


def alike(rng):
    """Eight problems on one horizon."""
    count = int(rng.integers(1, 6))
    found = []
    while len(found) < LANES:
        case = instance(rng, convex=True)
        if case["low"].size == count:
            found.append(case)
    return found


def task_of(cases, keep=None):
    """The problems as the kernel takes them."""
    count = cases[0]["low"].size

    def rows(name):
        return np.array([case[name] for case in cases], dtype=float)

    keep = np.ones((LANES, count)) if keep is None else keep
    task = (keep, *(rows(name) for name in ("low", "high", "first", "slope", "width")))
    ends = np.zeros((4, LANES))
    ends[0], ends[1], ends[2] = rows("start"), rows("end_slope"), 1e-9
    return task, ends


def solve(cases, wanted=None, keep=None):
    """Whether they were solved, intervals of conflict, plans, prices and gaps."""
    task, ends = task_of(cases, keep)
    count = task[1].shape[1]
    missed = np.full(LANES, -7)
    levels, prices = np.full((2, LANES, count), np.nan)
    solved = stocks.solve(
        task, ends, np.ones(LANES, bool) if wanted is None else wanted, keep is None, missed,
        levels, prices, stocks.room(count),
    )  # fmt: skip
    return solved, missed, levels, prices, ends[3]


@pytest.mark.parametrize("seed", range(10))
def test_each_is_what_enumeration_finds_and_proven(seed):
    rng = np.random.default_rng(seed)
    planned = 0
    for _ in range(25):
        cases = alike(rng)
        solved, missed, levels, _, gaps = solve(cases)
        assert solved
        for lane, case in enumerate(cases):
            best = enumerated(case)
            assert (missed[lane] >= 0) == (best == np.inf)
            if best < np.inf:
                assert paid_by(case, levels[lane]) == pytest.approx(best, abs=1e-9)
                assert 0.0 <= gaps[lane] <= 1e-9
                planned += 1
    assert planned > 50


def test_each_is_what_it_is_alone_whoever_stands_beside_it():
    """The same plan, ties included, and the same interval of conflict."""
    rng = np.random.default_rng(20)
    for _ in range(100):
        cases = alike(rng)
        wanted = rng.random(LANES) < 0.6
        wanted[rng.integers(LANES)] = True
        solved, missed, levels, _, _ = solve(cases, wanted)
        assert solved
        for lane in np.flatnonzero(wanted):
            found = solve_convex(cases[lane], stock.look_back, stock.look_ahead, stock.prove)
            assert (found is None) == (missed[lane] >= 0)
            if found is not None:
                np.testing.assert_allclose(levels[lane], found[0], atol=1e-12)
        assert (missed[~wanted] == -7).all()


def test_losses_are_each_problems_own():
    """Against the kernel for one problem, whose losses are tested against linear programming."""
    rng = np.random.default_rng(21)
    planned = 0
    for _ in range(60):
        count = int(rng.integers(1, 40))
        task = {
            "keep": rng.choice([1.0, 0.97, 0.9], (LANES, count)),
            "low": rng.uniform(0.0, 1.0, (LANES, count)),
            "first": -rng.uniform(1.0, 3.0, (LANES, count)),
            "slope": np.sort(rng.normal(0.0, 1.0, (LANES, 4, count)), axis=1),
            "width": rng.uniform(0.0, 2.0, (LANES, 4, count)),
        }
        task["high"] = task["low"] + rng.uniform(0.5, 6.0, (LANES, count))
        start, end_slope = rng.uniform(0.0, 4.0, LANES), rng.normal(0.0, 1.0, LANES)
        cases = [
            {name: task[name][lane] for name in task}
            | {"start": start[lane], "end_slope": end_slope[lane]}
            for lane in range(LANES)
        ]
        solved, missed, levels, prices, gaps = solve(cases, keep=task["keep"])
        assert solved
        for lane, case in enumerate(cases):
            data = case["keep"], case["low"], case["high"], case["start"], case["end_slope"]
            pieces = case["first"], case["slope"], case["width"]
            work, plan = stock.workspace(count), np.empty(count)
            status, interval = stock.look_back(*data, *pieces, 1e-9, work)
            assert missed[lane] == (interval if status == stock.EMPTY else -1)
            if status == stock.EMPTY:
                continue
            stock.look_ahead(case["keep"], case["start"], pieces[0], pieces[2], work, plan)
            rest, least, most, price = np.empty((4, count))
            gap = stock.prove(*data, *pieces, plan, rest, least, most, price)
            np.testing.assert_allclose(levels[lane], plan, atol=1e-9)
            np.testing.assert_allclose(prices[lane], price, atol=1e-9)
            assert gaps[lane] == pytest.approx(gap, abs=1e-9)
            planned += 1
    assert planned > 100


def test_lists_that_grow_too_long_are_left_to_one_after_the_other():
    """Looking back from a narrow end, every interval adds a piece and nothing is cut."""

    def growing(count):
        case = {
            "low": np.zeros(count),
            "high": np.full(count, 1e6),
            "start": 5e5,
            "end_slope": 0.0,
            "first": np.full(count, -0.5),
            "slope": np.tile(np.random.default_rng(22).normal(0.0, 1.0, count), (4, 1)),
            "width": np.vstack((np.ones(count), np.zeros((3, count)))),
        }
        case["low"][-1], case["high"][-1] = 5e5, 5e5 + 1.0
        return [case] * LANES

    assert solve(growing(stocks.LONGEST // 2))[0]
    assert not solve(growing(2 * stocks.LONGEST))[0]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 24, 29])
def test_turning_rows_into_lanes_and_back_changes_nothing(count):
    by_problem = np.random.default_rng(count).normal(size=(LANES, count))
    source, by_row, again = np.arange(LANES), lanes.rows(count), np.empty((LANES, count))
    lanes.interleave(by_problem, source, by_row)
    np.testing.assert_array_equal(by_row, by_problem.T)
    lanes.separate(by_row, again)
    np.testing.assert_array_equal(again, by_problem)
    source[3] = 5
    lanes.interleave(by_problem, source, by_row)
    np.testing.assert_array_equal(by_row[:, 3], by_problem[5])


def test_rows_begin_where_lines_of_the_cache_do():
    for count in (0, 1, 5):
        assert lanes.rows(count).shape == (count, LANES)
        assert count == 0 or lanes.rows(count).ctypes.data % 64 == 0
