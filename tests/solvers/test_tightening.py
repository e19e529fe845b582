"""Bounds by cutting and pricing: every inequality holds, and nothing is closed that is needed."""

from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import perf_counter

import numpy as np
import pytest

from loadloom.solvers.coupled import dual
from loadloom.solvers.coupled.budget import Budget, Race
from loadloom.solvers.coupled.inequalities import first_inequalities
from loadloom.solvers.coupled.listed import Listed, can_list
from loadloom.solvers.coupled.oracle import Oracle
from loadloom.solvers.coupled.search import value_of
from loadloom.solvers.coupled.solve import solve_coupled
from loadloom.solvers.coupled.tightening import Tightening, evaluate
from loadloom.solvers.kernels.choosers import FAR
from loadloom.solvers.kernels.rounding import best_rounding, coefficients
from tests.solvers import turns_cases as cases
from tests.solvers.test_coupled import drawn, optimum, race

OFF = 1e-7


def listable(seed, **options):
    """A drawn instance whose choosers may be listed."""
    oracle, rows = drawn(seed, **options)
    while not can_list(oracle):  # some draw no window at all
        seed += 10_000
        oracle, rows = drawn(seed, **options)
    return oracle, rows


def marked(listed, patterns):
    """Which windows and pauses are taken, (W,)."""
    windows, turns = listed.windows, listed.oracle.turns
    taken = np.zeros(listed.count)
    days = turns.mode.shape[1]
    room = (patterns.shape[1] - 1) // days
    for i, at in zip(*np.nonzero(patterns[:, :-1] >= 0), strict=True):
        turn = i * days + at // room
        span = slice(windows.start[turn], windows.start[turn + 1])
        taken[windows.start[turn] + np.flatnonzero(windows.code[span] == patterns[i, at])[0]] = 1.0
    for i in np.flatnonzero(patterns[:, -1] >= 0):
        taken[windows.pause_base + turns.pause_start[i] + patterns[i, -1]] = 1.0
    return taken


def any_patterns(oracle, random):
    """Patterns drawn from all that each chooser may have."""
    found = oracle.nobody()
    for i in range(oracle.count):
        every = cases.patterns(oracle.turns, i)
        found[i] = cases.coded(oracle, i, every[random.integers(len(every))])[i]
    return found


@pytest.mark.parametrize("block", range(6))
def test_bound_by_cuts_is_between_that_by_prices_and_the_optimum(block):
    for seed in range(25 * block, 25 * block + 25):
        oracle, rows = listable(seed, announced=seed % 3 == 0, budgeted=seed % 4 == 0)
        known = race(0)
        bundle = dual.bundle(oracle, rows, known)
        best = optimum(oracle, rows)
        off = OFF * max(1.0, best)
        known.found(best, "known")
        tight = Tightening(oracle, rows, known, bundle.prices, seed=seed)
        assert tight.best.bound >= bundle.bound - off, seed
        for _ in range(4):
            tight.round()
            assert known.bound <= best + off, seed
            again = evaluate(tight.inequalities, tight.best.prices)
            assert min(again.bound, best) <= best + off, seed
        assert known.bound >= bundle.bound - off, seed


def test_cuts_close_gaps_that_prices_leave():
    closed = []
    for seed in range(12):
        oracle, rows = listable(seed, count=6)
        known = race(0)
        bundle = dual.bundle(oracle, rows, known)
        best = optimum(oracle, rows)
        if best - bundle.bound < 1e-3 * best:
            continue
        known.found(best * 1.05, "known")
        tight = Tightening(oracle, rows, known, bundle.prices)
        for _ in range(8):
            tight.round()
        closed.append((known.bound - bundle.bound) / (best - bundle.bound))
    assert len(closed) >= 5
    assert min(closed) >= -OFF
    assert float(np.mean(closed)) > 0.3


@pytest.mark.parametrize("seed", range(20))
def test_every_plan_keeps_every_inequality(seed):
    oracle, rows = listable(seed, announced=seed % 3 == 0, budgeted=seed % 4 == 0)
    known, random = race(0), np.random.default_rng(seed)
    bundle = dual.bundle(oracle, rows, known)
    tight = Tightening(oracle, rows, known, bundle.prices, seed=seed)
    for _ in range(4):
        tight.round()
    held = tight.inequalities
    assert held.count >= held.rows.size
    for _ in range(40):
        answer = oracle.weighed(any_patterns(oracle, random))
        taken = marked(Listed(oracle, rows), answer.patterns)
        short = np.maximum(rows.demand - answer.activity, 0.0)[held.rows]
        live = np.logical_or.reduce(tight.inequalities.listed.open, axis=0)
        if np.any(taken[~live] > 0.0):
            continue
        for k in range(held.count):
            left = held.value[k] @ taken[held.which[k]] + held.over[k] @ short
            assert left >= held.side[k] - 1e-6 * max(1.0, abs(held.side[k])), (seed, k)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_closed_is_not_needed_for_the_optimum(seed):
    oracle, rows = listable(seed, announced=seed % 3 == 0, budgeted=seed % 4 == 0)
    best = optimum(oracle, rows)
    listed = Listed(oracle, rows)
    some = race(0)
    bundle = dual.bundle(oracle, rows, some)
    held = first_inequalities(listed)
    found = evaluate(held, bundle.prices[held.rows])
    listed.close(found.regret, found.bound, best)
    still = optimum(oracle, rows, lambda i, pattern: is_open(listed, i, pattern))
    assert still == pytest.approx(best, abs=1e-6 * max(1.0, best))


@pytest.mark.parametrize("seed", range(12))
def test_a_bound_by_cuts_is_found_again_pattern_by_pattern(seed):
    """The sides at their prices, and the least that each chooser costs beyond what it earns."""
    oracle, rows = listable(seed, announced=seed % 3 == 0, budgeted=seed % 4 == 0)
    known = race(0)
    bundle = dual.bundle(oracle, rows, known)
    tight = Tightening(oracle, rows, known, bundle.prices, seed=seed)
    for _ in range(4):
        tight.round()
    held, prices = tight.inequalities, tight.best.prices
    assert np.all(prices >= 0.0)
    penalty = rows.penalty[held.rows]
    for r in range(held.rows.size):
        assert sum(price * over[r] for price, over in zip(prices, held.over, strict=True)) <= (
            penalty[r] * (1.0 + 1e-9)
        )
    total = sum(price * side for price, side in zip(prices, held.side, strict=True))
    for i in range(oracle.count):
        least = inf
        for pattern in cases.patterns(oracle.turns, i):
            if not is_open(held.listed, i, pattern):
                continue
            taken = marked(held.listed, cases.coded(oracle, i, pattern))
            earned = sum(
                price * float(value @ taken[which])
                for price, value, which in zip(prices, held.value, held.which, strict=True)
            )
            least = min(least, cases.weighed(oracle.turns, i, pattern)[0] - earned)
        total += least
    found = evaluate(held, prices).bound
    assert found == pytest.approx(total, abs=1e-6 * max(1.0, abs(total)))
    assert min(found, known.value) <= optimum(oracle, rows) + OFF * max(1.0, known.value)


def is_open(listed, i, pattern):
    """Whether a chooser may take all windows of a pattern at their ranks."""
    mine = np.flatnonzero(marked(listed, cases.coded(listed.oracle, i, pattern)))
    own, pauses = mine[mine < listed.windows.pause_base], mine[mine >= listed.windows.pause_base]
    ranks = listed.oracle.turns.rank_class[: own.size]
    return bool(listed.open[ranks, own].all() and listed.open[0, pauses].all())


def test_regrets_are_what_forcing_a_window_costs():
    """The regret of each window is the least cost of patterns that hold it, beyond the best."""
    for seed in range(24):
        oracle, rows = listable(seed, announced=seed % 2 == 0)
        listed = Listed(oracle, rows)
        listed.open[:] = True
        random = np.random.default_rng(seed)
        worth = random.uniform(0.0, 8.0, listed.count)
        values, taken, regret = listed.least(worth)
        base = listed.windows.pause_base
        least = np.full(regret.shape, inf)
        best = np.full(oracle.count, inf)
        for i in range(oracle.count):
            for pattern in cases.patterns(oracle.turns, i):
                codes = cases.coded(oracle, i, pattern)
                mine = np.flatnonzero(marked(listed, codes))
                value = listed.cost(mine) - worth[mine].sum()
                best[i] = min(best[i], value)
                own = mine[mine < base]
                for j, w in enumerate(own):
                    c = oracle.turns.rank_class[j]
                    least[c, w] = min(least[c, w], value)
                for w in mine[own.size :]:
                    least[0, w] = min(least[0, w], value)
        np.testing.assert_allclose(values, best, atol=1e-9)
        known = np.isfinite(least)
        expected = (least - best[listed.chooser])[known]
        np.testing.assert_allclose(regret[known], expected, atol=1e-9)
        assert np.all(regret[0, base:][~known[0, base:]] > FAR / 2)
        total = sum(
            listed.cost(np.flatnonzero(taken & (listed.chooser == i)))
            - worth[taken & (listed.chooser == i)].sum()
            for i in range(oracle.count)
        )
        assert total == pytest.approx(values.sum())


def test_roundings_hold_for_all_whole_points():
    """Of random rows with groups of three, every whole point keeps the rounding found."""
    random = np.random.default_rng(0)
    found = 0
    for _ in range(300):
        groups = int(random.integers(2, 5))
        a = np.round(random.uniform(-2.0, 10.0, 3 * groups), 1)
        group = np.repeat(np.arange(groups), 3)
        b = float(np.round(random.uniform(1.0, 12.0), 1))
        x = random.dirichlet(np.ones(4), groups)[:, :3].reshape(-1)
        violation, side, divisor, part, level = best_rounding(b, a, group, x, groups, 0.0, 1e-6)
        if violation <= 0.0:
            continue
        found += 1
        value = coefficients(a, level[group], divisor, part)
        for choice in np.ndindex(*(4,) * groups):
            z = np.zeros(a.size)
            for g, k in enumerate(choice):
                if k < 3:
                    z[3 * g + k] = 1.0
            over = max(0.0, b - a @ z)
            assert value @ z + over / (divisor * part) >= side - 1e-9
    assert found > 100


def test_two_threads_end_with_a_plan_and_a_bound_in_order():
    for seed in (3, 9):
        oracle, rows = listable(seed, count=6, announced=seed == 9)
        best = optimum(oracle, rows)
        with ThreadPoolExecutor(2) as pool:
            both = Oracle(turns=oracle.turns, line_count=2, pool=pool)
            budget = Budget(clock=perf_counter, time_limit_s=1.0)
            outcome = solve_coupled(both, rows, Race(budget=budget, relative_gap=1e-9), seed=1)
        off = OFF * max(1.0, best)
        assert outcome.bound <= best + off
        assert best <= outcome.value + off


def test_a_fault_beside_the_search_is_not_lost(monkeypatch):
    def broken(_):
        raise ArithmeticError("beside")

    monkeypatch.setattr(Tightening, "run", broken)
    oracle, rows = listable(3, count=6)
    with ThreadPoolExecutor(2) as pool:
        both = Oracle(turns=oracle.turns, line_count=2, pool=pool)
        budget = Budget(clock=perf_counter, time_limit_s=2.0)
        timed = Race(budget=budget, relative_gap=0.0)
        with pytest.raises(ArithmeticError, match="beside"):
            solve_coupled(both, rows, timed, seed=1)


def test_a_plan_drawn_from_the_master_keeps_all_rules():
    oracle, rows = listable(5, count=10, announced=True)
    known = race(0)
    bundle = dual.bundle(oracle, rows, known)
    tight = Tightening(oracle, rows, known, bundle.prices)
    random = np.random.default_rng(0)
    assert tight.drawn(random) is None
    tight.round()
    codes = tight.drawn(random)
    assert codes is not None
    for i in range(oracle.count):
        plan, pause = cases.read(oracle.turns, codes[i])
        every = [([list(windows) for windows in p], q) for p, q in cases.patterns(oracle.turns, i)]
        assert (plan, pause) in every
    assert value_of(oracle.weighed(codes), rows) >= known.bound - OFF
