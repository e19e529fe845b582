"""Windows chosen anew: the optimum where all are free, no rule broken, repeatable."""

from math import inf

import numpy as np
import pytest

from loadloom.solvers.coupled import dual
from loadloom.solvers.coupled.listed import Listed
from loadloom.solvers.coupled.neighbourhood import best_among
from loadloom.solvers.coupled.recombination import MOST_KEPT, Recombination
from loadloom.solvers.coupled.search import Search, value_of
from loadloom.solvers.coupled.tightening import Tightening
from tests.solvers import turns_cases as cases
from tests.solvers.test_coupled import optimum, race
from tests.solvers.test_tightening import OFF, any_patterns, listable, marked


def legal(oracle, patterns):
    """Whether every chooser's pattern is one of those that it may have."""
    for i in range(oracle.count):
        plan, pause = cases.read(oracle.turns, patterns[i])
        every = [([list(windows) for windows in p], q) for p, q in cases.patterns(oracle.turns, i)]
        if (plan, pause) not in every:
            return False
    return True


def searched(oracle, rows, seed):
    """A search that knows one answer, drawn from all."""
    answer = oracle.weighed(any_patterns(oracle, np.random.default_rng(seed)))
    return Search(
        oracle=oracle,
        rows=rows,
        race=race(0),
        prices=np.zeros(rows.demand.size),
        random=np.random.default_rng(seed),
        best=answer,
        value=value_of(answer, rows),
    )


@pytest.mark.parametrize("block", range(4))
def test_all_windows_free_give_the_optimum(block):
    for seed in range(10 * block, 10 * block + 10):
        oracle, rows = listable(seed, count=5, announced=seed % 3 == 0, budgeted=seed % 4 == 0)
        listed = Listed(oracle, rows)
        start = oracle.weighed(any_patterns(oracle, np.random.default_rng(seed)))
        every = np.ones(listed.count, np.bool_)
        found, settled = best_among(listed, start, every, nodes=10_000, left_s=inf)
        best = optimum(oracle, rows)
        # A gain of less than a share of the start's value is not looked for.
        off = OFF * max(1.0, best) + 1e-4 * value_of(start, rows)
        assert settled, seed
        assert best - OFF * max(1.0, best) <= value_of(found, rows) <= best + off, seed
        assert legal(oracle, found.patterns), seed


def test_choosers_without_a_free_window_stay_and_others_keep_to_theirs():
    for seed in range(12):
        oracle, rows = listable(seed, count=5, announced=seed % 3 == 0)
        listed, random = Listed(oracle, rows), np.random.default_rng(seed)
        start = oracle.weighed(any_patterns(oracle, random))
        free = np.isin(listed.chooser, (0, 3)) & (random.random(listed.count) < 0.7)
        found, _ = best_among(listed, start, free, nodes=10_000, left_s=inf)
        others = np.setdiff1d(np.arange(oracle.count), listed.chooser[free])
        np.testing.assert_array_equal(found.patterns[others], start.patterns[others])
        beyond = marked(listed, found.patterns) - marked(listed, start.patterns)
        assert np.all(beyond[~free] <= 0.0), seed
        assert value_of(found, rows) <= value_of(start, rows) * (1.0 + OFF), seed


def test_with_no_window_free_the_answer_stays():
    oracle, rows = listable(3, count=5)
    listed = Listed(oracle, rows)
    start = oracle.weighed(any_patterns(oracle, np.random.default_rng(0)))
    none = np.zeros(listed.count, np.bool_)
    found, settled = best_among(listed, start, none, nodes=10, left_s=inf)
    assert settled
    assert found is start


def improved(seed):
    """The best value of some drawn answers, that after mixing and choosing anew, and patterns."""
    oracle, rows = listable(seed, count=6)
    search = searched(oracle, rows, seed)
    mixing = Recombination(listed=Listed(oracle, rows))
    random = np.random.default_rng(seed)
    for _ in range(5):
        answer = oracle.weighed(any_patterns(oracle, random))
        mixing.remember(answer)
        search.keep(answer, "drawn")
    before, regret = search.value, np.zeros(mixing.listed.open.shape)
    for _ in range(4):
        found = mixing.improved(search, regret)
        assert legal(oracle, found.patterns), seed
        search.keep(found, "neighbourhood")
    return before, search.value, search.best.patterns.tolist()


def test_choosing_anew_is_never_worse_and_repeatable():
    gained = 0
    for seed in range(10):
        before, after, patterns = improved(seed)
        gained += after < before * (1.0 - 1e-3)
        assert after <= before * (1.0 + OFF), seed
        assert improved(seed) == (before, after, patterns), seed
    assert gained >= 3


def test_the_best_answers_are_kept_once_each():
    oracle, rows = listable(4, count=6)
    mixing, random = Recombination(listed=Listed(oracle, rows)), np.random.default_rng(1)
    drawn = [oracle.weighed(any_patterns(oracle, random)) for _ in range(4 * MOST_KEPT)]
    for answer in [*drawn, *drawn]:
        mixing.remember(answer)
    values = [value for value, _ in mixing.kept]
    every = sorted({value_of(answer, rows) for answer in drawn})
    assert len(values) == MOST_KEPT
    assert values == sorted(values)
    assert values[0] == every[0]
    assert len({answer.patterns.tobytes() for _, answer in mixing.kept}) == MOST_KEPT


def test_neighbourhoods_lead_to_the_optimum():
    for seed in range(8):
        oracle, rows = listable(seed, count=5, announced=seed % 4 == 0, budgeted=seed % 3 == 0)
        best = optimum(oracle, rows)
        search = searched(oracle, rows, seed)
        bundle = dual.bundle(oracle, rows, race(0))
        tight = Tightening(oracle, rows, race(0), bundle.prices)
        mixing = Recombination(listed=tight.listed)
        for _ in range(15):
            found = mixing.improved(search, tight.best.regret)
            assert legal(oracle, found.patterns), seed
            search.keep(found, "neighbourhood")
        assert best - OFF * max(1.0, best) <= search.value <= best * (1.0 + 1e-3) + OFF, seed
