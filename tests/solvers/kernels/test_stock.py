"""The kernels against enumeration, on stocks and costs in whole numbers."""

from itertools import pairwise

import numpy as np
import pytest

from loadloom.solvers.kernels import general_stock, stock


def frozen(values, dtype=np.float64):
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


def instance(rng, convex):
    """A lossless stock whose breakpoints are whole numbers: some best plan has whole stocks too."""
    count = int(rng.integers(1, 6))
    width = rng.integers(0, 3, (stock.SEGMENTS, count)).astype(float)
    slope = rng.integers(-6, 7, (stock.SEGMENTS, count)).astype(float)
    if convex:
        slope = np.sort(slope, axis=0)
    low = rng.integers(0, 3, count).astype(float)
    return {
        "low": low,
        "high": low + rng.integers(0, 5, count),
        "start": float(rng.integers(0, 5)),
        "end_slope": float(rng.integers(-4, 5)),
        "first": rng.integers(-4, 1, count).astype(float),
        "slope": slope,
        "width": width,
    }


def stage_cost(case, t, change):
    """The cost of a change in an interval, counted from its first; infinite out of range."""
    rest, paid = change - case["first"][t], 0.0
    if rest < 0 or rest > case["width"][:, t].sum():
        return np.inf
    for slope, width in zip(case["slope"][:, t], case["width"][:, t], strict=True):
        taken = min(rest, width)
        paid += slope * taken
        rest -= taken
    return paid


def enumerated(case):
    """The least cost over all plans in whole numbers, by trying every stock in every interval."""
    best = {case["start"]: 0.0}
    for t in range(case["low"].size):
        after = {}
        for level in np.arange(case["low"][t], case["high"][t] + 1):
            costs = [paid + stage_cost(case, t, level - before) for before, paid in best.items()]
            after[level] = min(costs, default=np.inf)
        best = {level: paid for level, paid in after.items() if np.isfinite(paid)}
    return min((paid + case["end_slope"] * level for level, paid in best.items()), default=np.inf)


def paid_by(case, levels):
    path = [case["start"], *levels]
    stages = sum(stage_cost(case, t, b - a) for t, (a, b) in enumerate(pairwise(path)))
    return stages + case["end_slope"] * path[-1]


def solve_convex(case, back, ahead, prove):
    count = case["low"].size
    keep = np.ones(count)
    work = stock.workspace.py_func(count)
    levels, rest, least, most, price = (np.empty(count) for _ in range(5))
    status, interval = back(
        keep, case["low"], case["high"], case["start"], case["end_slope"],
        case["first"], case["slope"], case["width"], 1e-9, work,
    )  # fmt: skip
    if status == stock.EMPTY:
        assert 0 <= interval < count
        return None
    ahead(keep, case["start"], case["first"], case["width"], work, levels)
    gap = prove(
        keep, case["low"], case["high"], case["start"], case["end_slope"],
        case["first"], case["slope"], case["width"], levels, rest, least, most, price,
    )  # fmt: skip
    return levels, gap


@pytest.mark.parametrize("seed", range(10))
def test_the_convex_kernel_finds_what_enumeration_finds_and_proves_it(seed):
    rng = np.random.default_rng(seed)
    solved = 0
    for _ in range(200):
        case = instance(rng, convex=True)
        best = enumerated(case)
        found = solve_convex(case, stock.look_back, stock.look_ahead, stock.prove)
        assert (found is None) == (best == np.inf)
        if found is not None:
            levels, gap = found
            assert paid_by(case, levels) == pytest.approx(best, abs=1e-9)
            assert 0.0 <= gap <= 1e-9
            solved += 1
    assert solved > 50


def test_the_compiled_kernel_does_what_its_source_says():
    rng = np.random.default_rng(99)
    for _ in range(100):
        case = instance(rng, convex=True)
        fast = solve_convex(case, stock.look_back, stock.look_ahead, stock.prove)
        slow = solve_convex(
            case, stock.look_back.py_func, stock.look_ahead.py_func, stock.prove.py_func
        )
        assert (fast is None) == (slow is None)
        if fast is not None:
            np.testing.assert_allclose(fast[0], slow[0], atol=1e-12)


def test_the_gap_of_a_worse_plan_bounds_what_it_loses():
    """Weak duality: the proof of any plan, best or not, never claims too little."""
    rng = np.random.default_rng(5)
    tried = 0
    while tried < 100:
        case = instance(rng, convex=True)
        count = case["low"].size
        best = enumerated(case)
        levels = np.array(
            [rng.integers(a, b + 1) for a, b in zip(case["low"], case["high"], strict=True)], float
        )
        paid = paid_by(case, levels)
        if not np.isfinite(paid):
            continue
        rest, least, most, price = (np.empty(count) for _ in range(4))
        gap = stock.prove(
            np.ones(count), case["low"], case["high"], case["start"], case["end_slope"],
            case["first"], case["slope"], case["width"], levels, rest, least, most, price,
        )  # fmt: skip
        assert paid - gap <= best + 1e-9
        tried += 1


def solve_general(case, room=4096):
    count = case["low"].size
    pieces = [np.flatnonzero(case["width"][:, t] > 0) for t in range(count)]
    offset = np.concatenate(([0], np.cumsum([len(p) for p in pieces]))).astype(np.int64)
    slope = np.concatenate([case["slope"][p, t] for t, p in enumerate(pieces)])
    width = np.concatenate([case["width"][p, t] for t, p in enumerate(pieces)])
    levels = np.empty(count)
    status, interval, best = general_stock.control(
        np.ones(count), case["low"], case["high"], case["start"], case["end_slope"],
        case["first"], np.zeros(count), offset, slope, width, 1e-9, 1e-12, room, levels,
    )  # fmt: skip
    return status, interval, best, levels


@pytest.mark.parametrize("convex", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_the_general_kernel_finds_what_enumeration_finds(seed, convex):
    rng = np.random.default_rng(100 + seed)
    solved = 0
    for _ in range(100):
        case = instance(rng, convex)
        best = enumerated(case)
        status, interval, value, levels = solve_general(case)
        assert (status == general_stock.EMPTY) == (best == np.inf)
        if status == general_stock.SOLVED:
            assert value == pytest.approx(best, abs=1e-9)
            assert paid_by(case, levels) == pytest.approx(best, abs=1e-9)
            solved += 1
        else:
            assert 0 <= interval < case["low"].size
    assert solved > 30


def test_the_general_kernel_says_when_it_has_no_room():
    rng = np.random.default_rng(3)
    statuses = {solve_general(instance(rng, convex=False), room=4)[0] for _ in range(50)}
    assert general_stock.FULL in statuses
