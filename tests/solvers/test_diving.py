"""Turns chosen one after the other: the best of one turn, no rule broken, the rest untouched."""

from math import inf

import numpy as np

from loadloom.solvers.coupled import diving, dual
from loadloom.solvers.coupled.diving import Effort, by_demand, dive
from loadloom.solvers.coupled.listed import Listed
from loadloom.solvers.coupled.search import value_of
from tests.solvers import turns_cases as cases
from tests.solvers.test_coupled import optimum, race
from tests.solvers.test_neighbourhood import legal
from tests.solvers.test_tightening import OFF, any_patterns, listable, marked

WHOLE = Effort(windows=10_000, nodes=100_000, seconds=inf, gap=0.0)


def beyond(listed, patterns, turn):
    """What is taken in all other turns."""
    return np.flatnonzero(marked(listed, patterns) * (listed.turn != turn)).tolist()


def own(listed, i, pattern, turn):
    """What a pattern of a chooser takes in all other turns."""
    return beyond(listed, cases.coded(listed.oracle, i, pattern), turn)


def test_one_turn_is_chosen_best_and_the_others_stay():
    for seed in range(25):
        oracle, rows = listable(seed, count=5, announced=seed % 3 == 0)
        listed = Listed(oracle, rows)
        start = oracle.weighed(any_patterns(oracle, np.random.default_rng(seed)))
        for turn in range(listed.turn_count):
            found = dive(listed, start, np.array([turn]), np.zeros(rows.demand.size), WHOLE)
            kept = beyond(listed, start.patterns, turn)
            assert beyond(listed, found.patterns, turn) == kept, seed
            mine = [[w for w in kept if listed.chooser[w] == i] for i in range(oracle.count)]

            def same(i, pattern, turn=turn, mine=mine, listed=listed):
                return own(listed, i, pattern, turn) == mine[i]

            best = optimum(oracle, rows, same)
            off = OFF * max(1.0, best)
            assert abs(value_of(found, rows) - best) <= 10.0 * off, (seed, turn)


def test_turns_to_come_are_worth_what_they_earn():
    """A chooser that may act once is left for the turn in which it is worth more."""
    for seed in range(40):
        oracle, rows = listable(seed, count=1)
        listed = Listed(oracle, rows)
        if listed.turn_count < 2:
            continue
        prices = dual.bundle(oracle, rows, race(0)).prices
        least, _ = oracle.priced(prices)
        order = by_demand(listed, prices)
        nobody = oracle.weighed(oracle.nobody())
        found = dive(listed, nobody, order, prices, WHOLE)
        assert legal(oracle, found.patterns), seed
        # One chooser alone at prices that it cannot change: no turn is worth more than the bound.
        assert value_of(found, rows) >= least.sum() + prices @ rows.demand - OFF, seed


def dived(seed):
    """The value of a dive from nobody on, the best there is, and the patterns."""
    oracle, rows = listable(seed, count=6, announced=seed % 3 == 0)
    listed = Listed(oracle, rows)
    prices = dual.bundle(oracle, rows, race(0)).prices
    least = oracle.weighed(listed.patterns(np.flatnonzero(listed.held)))
    effort = Effort(windows=50, nodes=200, seconds=inf, gap=1e-3)
    found = dive(listed, least, by_demand(listed, prices), prices, effort)
    assert legal(oracle, found.patterns), seed
    return value_of(found, rows), optimum(oracle, rows), found.patterns.tolist()


def test_dives_are_legal_repeatable_and_near_the_optimum():
    ratios = []
    for seed in range(20):
        value, best, patterns = dived(seed)
        assert value >= best - OFF * max(1.0, best), seed
        assert dived(seed) == (value, best, patterns), seed
        ratios.append(value / max(best, 1e-9) if best > 0.0 else 1.0)
    assert float(np.median(ratios)) < 1.03


def test_turns_come_in_the_order_of_what_their_demand_is_worth():
    oracle, rows = listable(11, count=6)
    listed = Listed(oracle, rows)
    prices = np.random.default_rng(0).uniform(0.0, 3.0, rows.demand.size)
    steps = oracle.turns.step_count
    worth = np.zeros(listed.turn_count)
    for r, price in enumerate(prices):
        worth[(r % oracle.turns.length.size) // steps] += price * max(0.0, rows.demand[r])
    np.testing.assert_array_equal(worth[by_demand(listed, prices)], np.sort(worth))


def test_a_stopped_dive_is_still_legal():
    oracle, rows = listable(7, count=6)
    listed = Listed(oracle, rows)
    asked = Effort(windows=50, nodes=200, seconds=inf, gap=1e-3, stop=lambda: True)
    start = oracle.weighed(any_patterns(oracle, np.random.default_rng(0)))
    turns = np.arange(listed.turn_count)
    found = dive(listed, start, turns, np.zeros(rows.demand.size), asked)
    assert legal(oracle, found.patterns)
    assert len(cases.read(oracle.turns, found.patterns[0])[0]) == listed.turn_count


def test_a_turn_that_lacks_for_want_of_time_is_searched_again_for_longer(monkeypatch):
    effort = Effort(windows=10_000, nodes=100_000, seconds=5.0, gap=0.0)
    search, again = diving._best_of, 0
    for seed in range(12):
        oracle, rows = listable(seed, count=5)
        listed, prices = Listed(oracle, rows), np.zeros(rows.demand.size)
        nobody = oracle.weighed(oracle.nobody())
        for turn in range(listed.turn_count):
            best = dive(listed, nobody, np.array([turn]), prices, effort)
            spent = []

            def slow(part, core, chosen, effort, spent=spent):
                """Finds nothing in less than the whole time."""
                spent.append(effort.seconds)
                return search(part, core, chosen, effort) if effort.seconds >= 5.0 else chosen

            monkeypatch.setattr(diving, "_best_of", slow)
            found = dive(listed, nobody, np.array([turn]), prices, effort)
            monkeypatch.undo()
            np.testing.assert_array_equal(found.patterns, best.patterns)
            again += len(spent) > 1
            assert sorted(spent) == spent
    assert again > 5
