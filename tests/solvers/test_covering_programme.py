"""Rows of a tree as an integer programme: against enumeration, counts of what is alike, misses."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from loadloom.solvers.coupled.budget import Budget, Race
from loadloom.solvers.covering import nested
from loadloom.solvers.covering import single as one_row
from loadloom.solvers.covering.layout import lay_out
from loadloom.solvers.covering.missing import least_missing
from loadloom.solvers.covering.nested import cover
from loadloom.solvers.covering.programme import Answer, Programme, settle
from loadloom.solvers.covering.row import Row
from loadloom.solvers.covering.rows import Quotas, keeps, levels
from loadloom.solvers.covering.whole import whole_rows
from loadloom.solvers.termination import Reason
from tests.solvers.nested_cases import INF, optimum, problem_of, small


def race(gap=1e-6, **budget):
    return Race(budget=Budget(**budget), relative_gap=gap)


def settled(problem, gap=1e-6):
    """The cost of the best choice that a programme finds by itself, inf for none, and its bound."""
    lay = lay_out(problem.in_units())
    run, best = race(gap), [INF]

    def keep(taken):
        chosen = lay.chosen(taken)
        if keeps(problem, chosen):
            best[0] = min(best[0], float(problem.items.cost[chosen].sum()))
            run.found(best[0], "found")

    bound = settle(Programme(layout=lay), run, None, keep)
    return best[0], bound


@pytest.mark.parametrize("part", range(4))
def test_a_programme_bounds_and_finds_the_optimum(part):
    exact = feasible = 0
    for seed in range(1000 + 20 * part, 1020 + 20 * part):
        problem = small(seed)
        best = optimum(problem)
        cost, bound = settled(problem)
        if best == INF:
            assert cost == INF
            continue
        slack = 1e-6 * (1.0 + abs(best))
        assert bound <= best + slack, seed
        assert cost >= best - slack, seed
        feasible += 1
        exact += cost <= best + slack
    assert exact >= feasible - 1


def apart(seed):
    """A small problem whose items are of sizes up to a million times apart."""
    random, problem = np.random.default_rng(seed + 10**6), small(seed)
    items, rows = problem.items, problem.rows
    size = 10.0 ** random.uniform(-3.0, 3.0, items.count)[:, None]
    items = replace(items, mean=items.mean * size, variance=items.variance * size**2)
    most = np.zeros(rows.need.shape)
    for i, v in enumerate(items.node.tolist()):
        while v >= 0:
            most[v] += items.mean[i]
            v = rows.parent[v]
    share = random.uniform(0.1, 0.7, rows.need.shape)
    limit = most * random.uniform(0.3, 1.2, rows.need.shape)
    need = np.where(np.isfinite(rows.need), np.where(most < 0.0, limit, most * share), rows.need)
    return replace(problem, items=items, rows=replace(rows, need=need))


def test_no_bound_is_false_where_sizes_are_far_apart(monkeypatch):
    """Seed 698 is one in which HiGHS without presolve called what it began with the best."""
    monkeypatch.setattr(nested, "is_small", lambda _: False)
    for seed in (698, *range(40)):
        problem = apart(seed)
        best, found = optimum(problem), cover(problem, race(), threads=1)
        if best < INF:
            assert found.bound <= best + 1e-6 * (1.0 + abs(best)), seed


def test_what_is_called_impossible_with_a_choice_in_hand_proves_nothing(monkeypatch):
    problem = problem_of([1.0, 1.0, 1.5], [4.0, 4.0, 7.0], [0.0, 0.0, 9.0], 7.0)
    lay = lay_out(problem.in_units())
    none = Answer(taken=None, bound=INF, reason=Reason.INFEASIBLE)
    monkeypatch.setattr(Programme, "solve", lambda *_: none)
    run = race()
    run.found(2.0, "prices")
    assert settle(Programme(layout=lay), run, None, lambda _: None) == -INF
    assert settle(Programme(layout=lay), race(), None, lambda _: None) == INF


def test_what_is_alike_is_counted():
    """198 choosers of two items, of which the cheapest mix is found by trying all counts."""
    accepts, cost = np.array([0.6, 0.8]), np.array([1.0, 1.6])
    variance = accepts * (1.0 - accepts) * 1.69
    problem = problem_of(
        np.tile(cost, 198),
        np.tile(accepts, 198),
        np.tile(variance, 198),
        53.3,
        z=1.645,
        chooser=np.repeat(np.arange(198), 2).astype(np.int32),
    )
    best = min(
        a * cost[0] + b * cost[1]
        for a in range(199)
        for b in range(199 - a)
        if a * accepts[0] + b * accepts[1] - 1.645 * sqrt(a * variance[0] + b * variance[1]) >= 53.3
    )
    found = cover(problem, race(1e-4), threads=1)
    assert keeps(problem, found.chosen)
    assert found.cost == pytest.approx(best)
    assert found.cost - found.bound <= 1e-4 * found.cost
    assert Programme(layout=lay_out(problem)).column_count == 2


def test_rows_that_another_implies_are_left_out():
    need = np.array([[4.0], [5.0], [3.0]])
    problem = problem_of([1.0] * 4, [2.0] * 4, 0.1, need, node=[2] * 4, parent=[-1, 0, 1])
    rows = whole_rows(lay_out(problem))
    assert rows.need.tolist() == [5.0]
    assert rows.node.tolist() == [1]


def test_trees_of_which_no_search_knows_are_proven_impossible(monkeypatch):
    """Two leaves can give what they need, and their limits forbid it at the node above alone."""
    monkeypatch.setattr(nested, "is_small", lambda _: False)
    random = np.random.default_rng(3)
    gives = random.uniform(1.0, 2.0, 40)
    mean = np.column_stack((gives, -gives))
    need = np.array([[-INF, -26.0], [14.0, -INF], [14.0, -INF]])
    problem = problem_of(
        random.uniform(1.0, 2.0, 40), mean, 0.0, need, node=[1] * 20 + [2] * 20, parent=[-1, 0, 0]
    )
    found = cover(problem, race(1e-4), threads=1)
    assert found.chosen is None
    assert found.bound == INF
    missing = least_missing(problem, race(1e-4))
    assert missing.bound <= missing.total
    assert missing.total == pytest.approx(2.0, abs=0.05)
    assert levels(problem, missing.chosen)[0, 1] >= -26.0 - 1e-6


def test_the_least_that_is_missing_is_that_of_all_choices():
    for seed in range(12):
        random = np.random.default_rng(seed)
        mean = random.uniform(0.5, 3.0, 9)
        problem = problem_of(
            random.uniform(0.5, 2.0, 9),
            np.column_stack((mean, -mean)),
            0.2,
            np.array([[0.9 * mean.sum(), -0.6 * mean.sum()], [0.6 * mean[:5].sum(), -INF]]),
            node=[1] * 5 + [0] * 4,
            parent=[-1, 0],
            quotas=Quotas.of([(np.arange(9), np.ones(9), 2.0, 6.0)]),
        )
        best = INF
        need = problem.rows.need
        for code in range(2**9):
            chosen = (code >> np.arange(9)) & 1 > 0
            reached = levels(problem, chosen)
            short = np.maximum(0.0, need - reached)[:, 0]
            if 2 <= chosen.sum() <= 6 and reached[0, 1] >= need[0, 1]:
                best = min(best, float(short.sum()))
        found = least_missing(problem, race(1e-6))
        assert found.bound <= best + 1e-6
        assert found.total == pytest.approx(best, rel=1e-5, abs=1e-6)


def test_what_cannot_be_kept_whatever_is_needed_has_no_least():
    items = np.arange(3)
    quotas = Quotas.of([(items, np.ones(3), 2.0, INF), (items, np.full(3, 4.0), -INF, 6.0)])
    found = least_missing(problem_of([1.0] * 3, [1.0] * 3, 0.0, 2.0, quotas=quotas), race())
    assert found.chosen is None
    assert found.bound == INF


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e4])
def test_units_do_not_matter(factor):
    for seed in range(12):
        problem = small(seed)
        items, rows = problem.items, problem.rows
        scaled = replace(
            problem,
            items=replace(items, mean=factor * items.mean, variance=factor**2 * items.variance),
            rows=replace(
                rows,
                need=factor * rows.need,
                base=None if rows.base is None else factor**2 * rows.base,
            ),
        )
        one, other = (cover(p, race(1e-7), threads=1) for p in (problem, scaled))
        assert other.cost == pytest.approx(one.cost)
        assert other.bound == pytest.approx(one.bound)


class Ticking:
    """A clock that goes on by a tick whenever it is asked."""

    def __init__(self, tick_s):
        self.tick_s, self.now_s = tick_s, 0.0

    def __call__(self):
        self.now_s += self.tick_s
        return self.now_s


@pytest.mark.parametrize("tick_s", [0.001, 0.02, 0.2])
def test_a_limit_ends_a_search_wherever_it_is(tick_s):
    """Between two questions for the time no more is done than one range of blocks."""
    random = np.random.default_rng(5)
    mean = random.uniform(1.0, 2.0, 6_000)
    need = np.append(0.3 * mean.sum(), np.full(60, 20.0))[:, None]
    problem = problem_of(
        random.uniform(1.0, 2.0, 6_000),
        mean,
        0.3,
        need,
        node=np.repeat(np.arange(1, 61), 100),
        parent=[-1, *[0] * 60],
    )
    clock = Ticking(tick_s)
    run = race(0.0, clock=clock, time_limit_s=1.0)
    found = cover(problem, run, threads=1)
    assert clock.now_s <= 1.0 + nested.EXTRA_S + 40 * tick_s
    assert found.chosen is None or keeps(problem, found.chosen)
    assert found.bound <= found.cost
    if tick_s < 0.01:
        assert found.chosen is not None


@pytest.mark.parametrize("count", [60, 200, 1_000])
def test_one_row_agrees_with_the_programme(count):
    """Branching on deviations and HiGHS by chords and orders enclose each other."""
    random = np.random.default_rng(count)
    mean = random.lognormal(0.0, 0.5, count)
    problem = problem_of(
        mean * random.uniform(0.5, 1.5, count),
        mean,
        (mean * random.uniform(0.1, 0.6, count)) ** 2,
        0.3 * mean.sum(),
        z=1.645,
    )
    items = problem.items
    single = one_row.cover(
        Row(
            cost=items.cost,
            mean=items.mean[:, 0],
            variance=items.variance[:, 0].copy(),
            threshold=0.3 * mean.sum(),
            quantile=1.645,
        ),
        relative_gap=1e-6,
    )
    cost, bound = settled(problem, 1e-4)
    assert single.bound <= cost * (1.0 + 1e-8)
    assert bound <= single.cost * (1.0 + 1e-8)
    assert cost == pytest.approx(single.cost, rel=2e-3)
