"""The oracle finds the least value of every chooser, whatever the rules and the prices."""

import numpy as np
import pytest

from loadloom.solvers.kernels.choosers import LACK, gains_at, gains_where, room
from loadloom.solvers.kernels.responses import respond, weigh, weigh_range
from loadloom.solvers.kernels.turns import choose_range
from tests.solvers import turns_cases as cases


def chosen(turns, gains):
    count = turns.height.shape[0]
    values = np.zeros(count)
    patterns = np.zeros((count, cases.pattern_size(turns)), np.int32)
    choose_range(turns, gains, 0, count, room(turns), values, patterns)
    return values, patterns


def amount_of(turns, i, pattern, rate):
    """What a pattern's amounts come to at a rate for each option."""
    bare = turns._replace(
        rate=rate,
        start=np.zeros_like(turns.start),
        factor=np.ones_like(turns.factor),
        rank=np.ones_like(turns.rank),
    )
    return cases.weighed(bare, i, pattern)[0]


def least(turns, i, price, toll):
    line = turns.line[i]
    worth = price[0] + (price[line] if line > 0 else 0.0)
    best = np.inf
    for pattern in cases.patterns(turns, i):
        if amount_of(turns, i, pattern, turns.use) > turns.limit[i] + 1e-9:
            continue
        cost, relief = cases.weighed(turns, i, pattern)
        best = min(best, cost + amount_of(turns, i, pattern, toll) - worth @ relief)
    return best


def drawn(seed):
    rng = np.random.default_rng(seed)
    turns = cases.ranked(cases.choosers(rng, lines=2, windows=2 if seed % 3 == 0 else 1))
    if seed % 4 == 1:
        turns = cases.with_lists(turns, rng, forced=seed % 8 == 1)
    t, m = turns.length.size, turns.cap.size
    price = rng.uniform(0, 6, (2, t)) * (rng.random((2, t)) < 0.6)
    return turns, price, rng.choice([0.0, 0.7], m), rng


@pytest.mark.parametrize("seed", range(80))
def test_the_least_value_is_that_of_all_patterns(seed):
    turns, price, toll, _ = drawn(seed)
    values, patterns = chosen(turns, gains_at(price, toll))
    for i in range(values.size):
        assert values[i] == pytest.approx(least(turns, i, price, toll), abs=1e-9)
        relief = np.zeros(turns.length.size)
        cost = weigh(turns, i, patterns[i], relief, np.zeros(1))
        slow_cost, slow_relief = cases.weighed(turns, i, cases.read(turns, patterns[i]))
        assert cost == pytest.approx(slow_cost)
        np.testing.assert_allclose(relief, slow_relief, atol=1e-9)
        worth = price[0] + (price[turns.line[i]] if turns.line[i] else 0.0)
        tolls = amount_of(turns, i, cases.read(turns, patterns[i]), toll)
        assert values[i] == pytest.approx(cost + tolls - worth @ relief, abs=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_the_least_value_under_a_limit_is_that_of_all_patterns_within_it(seed):
    turns, price, toll, rng = drawn(4 * (3 * seed + 1) + 2)
    turns = turns._replace(
        most_windows=np.ones_like(turns.most_windows),
        limit=rng.uniform(0, 30, turns.limit.size),
    )
    values, patterns = chosen(turns, gains_at(price, toll))
    for i in range(values.size):
        assert values[i] == pytest.approx(least(turns, i, price, toll), abs=1e-9)
        pattern = cases.read(turns, patterns[i])
        assert amount_of(turns, i, pattern, turns.use) <= turns.limit[i] + 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_a_response_never_makes_all_dearer(seed):
    turns, _, _, rng = drawn(seed)
    count, t = turns.height.shape
    size = cases.pattern_size(turns)
    demand = rng.uniform(-5, 12, (2, t))
    penalty = np.full((2, t), 20.0)
    none = np.zeros((2, t))
    gains = gains_where(demand, penalty, none, none, np.zeros(turns.cap.size))
    _, patterns = chosen(turns, gains_at(none, np.zeros(turns.cap.size)))
    costs, activity, amounts = np.zeros(count), np.zeros((2, t)), np.zeros(1)
    weigh_range(turns, 0, count, patterns, costs, activity, amounts)
    gains.table[:, LACK] -= activity

    def total():
        return costs.sum() + (penalty * np.maximum(gains.table[:, LACK], 0)).sum()

    before, order = total(), np.arange(count)
    assert patterns.shape[1] == size
    nothing = np.zeros(1)
    gained = respond(turns, gains, order, room(turns), patterns, costs, amounts, nothing, nothing)
    assert gained >= 0
    assert total() == pytest.approx(before - gained)
    again, done = np.zeros(count), np.zeros((2, t))
    weigh_range(turns, 0, count, patterns, again, done, np.zeros(1))
    np.testing.assert_allclose(again, costs)
    np.testing.assert_allclose(demand - done, gains.table[:, LACK], atol=1e-9)
