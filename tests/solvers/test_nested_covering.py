"""Nested rows: by hand, against enumeration, laws, and what problems may not be."""

from dataclasses import replace
from itertools import count as from_zero
from math import sqrt

import numpy as np
import pytest

from loadloom.solvers.coupled.budget import Budget, Race
from loadloom.solvers.covering import nested, relaxed
from loadloom.solvers.covering.layout import lay_out
from loadloom.solvers.covering.nested import cover
from loadloom.solvers.covering.passes import Passes, Prices
from loadloom.solvers.covering.proof import Prover
from loadloom.solvers.covering.relaxed import relaxed_bound
from loadloom.solvers.covering.rows import Problem, Quotas, attainable, keeps, levels, summed
from loadloom.solvers.covering.tolls import tangents
from tests.solvers.nested_cases import INF, middling, optimum, problem_of, small


def race(gap=0.0, **budget):
    return Race(budget=Budget(**budget), relative_gap=gap)


def solved(problem, **options):
    found = cover(problem, race(), threads=1, **options)
    assert found.chosen is None or keeps(problem, found.chosen)
    if found.chosen is not None:
        assert found.cost == pytest.approx(problem.items.cost[found.chosen].sum())
    return found


def test_the_cheaper_but_less_certain_item_does_not_do():
    problem = problem_of([1.0, 1.0, 1.5], [4.0, 4.0, 7.0], [0.0, 0.0, 9.0], 7.0)
    found = solved(problem)
    assert found.chosen.tolist() == [True, True, False]
    assert found.cost == found.bound == 2.0


@pytest.mark.parametrize("z", [0.0, 0.5, 1.0, 2.0])
def test_identical_items_are_as_many_as_the_root_asks_for(z):
    needed = next(n for n in from_zero() if 2.0 * n - z * sqrt(1.5 * n) >= 23.0)
    found = solved(problem_of(np.full(40, 3.0), np.full(40, 2.0), 1.5, 23.0, z=z))
    assert found.chosen.sum() == needed
    assert found.bound == pytest.approx(3.0 * needed)


def test_what_is_shared_does_not_even_out():
    # Two items of 5 that deviate by 1 together reach 10 - 2 = 8; apart they reach 10 - sqrt(2).
    together = problem_of([1.0, 1.0], [5.0, 5.0], 0.0, 8.0, loading=np.array([[0.2], [0.2]]))
    assert levels(together, np.ones(2, bool)) == pytest.approx(8.0)
    assert solved(together).cost == 2.0
    above = problem_of([1.0, 1.0], [5.0, 5.0], 0.0, 8.01, loading=np.array([[0.2], [0.2]]))
    assert solved(above).bound == INF
    apart = problem_of([1.0, 1.0], [5.0, 5.0], 1.0, 8.5)
    assert solved(apart).cost == 2.0


def test_a_limit_keeps_too_much_from_coming_after():
    # Each item takes 4 in the first slot and gives 3 back in the second, where 5 is too much.
    mean = np.array([[4.0, -3.0], [4.0, -3.0], [5.0, -1.0]])
    problem = problem_of([1.0, 1.0, 9.0], mean, 0.0, [[8.0, -5.0]])
    found = solved(problem)
    assert found.cost == found.bound == 10.0
    assert solved(problem_of([1.0, 1.0, 9.0], mean, 0.0, [[8.0, -6.0]])).cost == 2.0


def test_of_a_chooser_one_item_at_most():
    chooser = np.array([0, 0, 1], np.int32)
    problem = problem_of([1.0, 1.1, 5.0], [3.0, 4.0, 4.0], 0.0, 7.0, chooser=chooser)
    found = solved(problem)
    assert found.chosen.tolist() == [True, False, True]
    assert found.bound == pytest.approx(6.0)


def test_states_are_kept():
    state = np.array([0, 1, -1], np.int8)
    problem = problem_of([1.0, 5.0, 0.1], [2.0, 2.0, 9.0], 0.0, 4.0, state=state)
    assert solved(problem).chosen.tolist() == [True, True, False]
    alone = problem_of([1.0, 5.0, 0.1], [2.0, 2.0, 9.0], 0.0, 5.0, state=state)
    assert solved(alone).bound == INF


def test_a_node_without_a_need_is_as_if_it_were_not_there():
    costs, means = [1.0, 2.0, 4.0, 3.0], [2.0, 3.0, 5.0, 4.0]
    need = np.array([[-INF], [4.0], [6.0]])
    both = problem_of(costs, means, 0.5, need, node=[1, 1, 2, 2], parent=[-1, 0, 0])
    parts = [
        problem_of(costs[k : k + 2], means[k : k + 2], 0.5, need[1 + k // 2, 0]) for k in (0, 2)
    ]
    assert solved(both).cost == pytest.approx(sum(solved(part).cost for part in parts))


def test_a_row_without_items_is_impossible():
    problem = problem_of([1.0], [5.0], 0.0, [[1.0], [1.0]], node=[0], parent=[-1, 0])
    found = cover(problem, race())
    assert found.chosen is None
    assert found.bound == INF


def test_nothing_to_choose_from_costs_nothing():
    problem = problem_of([], np.zeros((0, 1)), np.zeros((0, 1)), -INF)
    found = solved(problem)
    assert found.chosen.size == 0
    assert found.cost == found.bound == 0.0


def test_without_rows_only_what_pays_is_chosen():
    problem = problem_of(
        [-2.0, 3.0, -1.0], [1.0] * 3, 0.0, -INF, state=np.array([0, 0, -1], np.int8)
    )
    found = solved(problem)
    assert found.chosen.tolist() == [True, False, False]
    assert found.bound == pytest.approx(-2.0)


def test_quotas_bind_from_both_sides():
    items = np.array([0, 1], np.int32)
    at_most = Quotas.of([(items, np.ones(2), -INF, 1.0)])
    assert solved(problem_of([1.0, 1.0, 5.0], [3.0] * 3, 0.0, 6.0, quotas=at_most)).cost == 6.0
    at_least = Quotas.of([(np.array([2], np.int32), np.ones(1), 1.0, INF)])
    assert solved(problem_of([1.0, 1.0, 5.0], [3.0] * 3, 0.0, 3.0, quotas=at_least)).cost == 5.0
    poor = Quotas.of([(np.arange(3, dtype=np.int32), np.array([1.0, 1.0, 5.0]), -INF, 1.5)])
    assert solved(problem_of([1.0, 1.0, 5.0], [3.0] * 3, 0.0, 6.0, quotas=poor)).bound == INF


@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("whole", [True, False])
def test_bound_optimum_plan_in_this_order(part, whole, monkeypatch):
    if not whole:
        monkeypatch.setattr(nested, "is_small", lambda _: False)
        monkeypatch.setattr(nested, "is_programme", lambda _: False)
    for seed in range(40 * part, 40 * part + 40):
        problem = small(seed)
        best = optimum(problem)
        found = solved(problem)
        slack = 1e-7 * (1.0 + best) if best < INF else 0.0
        assert found.bound <= best + slack, seed
        assert best <= found.cost + slack, seed
        if whole:
            assert found.cost == pytest.approx(best), seed
            assert found.bound == pytest.approx(best), seed


@pytest.mark.parametrize("seed", range(30))
def test_any_prices_prove_a_bound(seed):
    problem = small(seed)
    best = optimum(problem)
    random = np.random.default_rng(seed)
    lay = lay_out(problem)
    some = random.random(problem.items.count) < 0.5
    sums = summed(problem, some)
    variance = np.vstack((sums.variance, np.zeros((1, sums.variance.shape[1]))))
    factor = np.concatenate((sums.factor, np.zeros((1, *sums.factor.shape[1:]))))
    prices = Prices(
        row=random.exponential(0.5, lay.need.shape) * (random.random(lay.need.shape) < 0.7),
        quota=np.where(np.isfinite(problem.quotas.low), random.normal(0.0, 0.3), -0.1),
    )
    proof = Prover(passes=Passes(layout=lay)).prove(
        prices, tangents(variance, factor), nodes=20, share=0.0
    )
    assert proof.bound <= best + 1e-7 * (1.0 + best)


def test_a_bound_at_once_is_below_the_optimum_and_adds_up_over_nodes(monkeypatch):
    least = []
    for work in (relaxed._WORK, 0):  # every slot, and the hardest alone
        monkeypatch.setattr(relaxed, "_WORK", work)
        for seed in range(150):
            problem = small(seed)
            best = optimum(problem)
            bound = relaxed_bound(problem)
            assert np.isfinite(bound)
            assert bound <= best + 1e-9 * (1.0 + best), seed
            if 0.0 < best < INF:
                least.append(bound / best)
    assert np.median(least) > 0.4
    # Half of the 3 kW at 4 for one leaf, all of the 2 kW at 1 and no more for the other; the root
    # asks for less than both.
    needs = [[3.0], [1.5], [2.0]]
    by_hand = problem_of(
        [4.0, 1.0, 9.0], [3.0, 2.0, 2.0], 0.0, needs, node=[1, 2, 2], parent=[-1, 0, 0]
    )
    assert relaxed_bound(by_hand) == pytest.approx(3.0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"slots": 3},
        {"levels_each": 3},
        {"limited": True},
        {"quotas": True},
        {"slots": 2, "levels_each": 2, "limited": True, "quotas": True},
        {"leaves": 4, "each": 600, "slots": 2},
        {"leaves": 1, "each": 2500, "slots": 2},
        {"leaves": 1, "each": 5000},
        {"leaves": 20, "each": 30, "slots": 4},
    ],
)
def test_middling_problems_are_settled_to_a_few_percent(options):
    problem, hidden = middling(3, **options)
    run = race(1e-3, rounds=3)
    found = cover(problem, run, threads=1)
    assert keeps(problem, found.chosen)
    assert found.cost <= hidden
    # What was proven by itself, before it was cut off at the cost.
    assert run.bound <= found.cost * (1.0 + 1e-9)
    # Limits close to needs, or many rows a leaf, leave little that whole items can do.
    near = 0.07 if options.get("limited") or options.get("slots", 1) > 3 else 0.02
    assert 0.0 <= found.cost - found.bound <= near * found.cost


def test_more_need_or_more_confidence_never_costs_less():
    for seed in range(40):
        problem = small(seed)
        rows = problem.rows
        base = solved(problem).bound
        sign = np.where(rows.need > 0.0, 1.1, 0.9)
        harder = np.where(np.isfinite(rows.need), rows.need * sign, -INF)
        assert solved(replace(problem, rows=replace(rows, need=harder))).bound >= base - 1e-7
        surer = replace(problem, rows=replace(rows, z=rows.z + 0.3))
        assert solved(surer).bound >= base - 1e-7


def test_an_item_more_never_costs_more():
    for seed in range(40):
        problem = small(seed)
        items = problem.items
        if problem.quotas.count:
            continue
        every = {
            "cost": np.append(items.cost, 0.7),
            "mean": np.vstack((items.mean, np.full(items.mean.shape[1], 2.0))),
            "variance": np.vstack((items.variance, np.full(items.mean.shape[1], 0.1))),
            "node": np.append(items.node, 0).astype(np.int32),
        }
        if items.chooser is not None:
            every["chooser"] = np.append(items.chooser, items.chooser.max() + 1).astype(np.int32)
        if items.state is not None:
            every["state"] = np.append(items.state, 0).astype(np.int8)
        if items.loading is not None:
            every["loading"] = np.vstack((items.loading, np.zeros(items.loading.shape[1])))
        more = replace(problem, items=replace(items, **every))
        assert solved(more).cost <= solved(problem).cost + 1e-7


def test_units_do_not_matter():
    problem = small(7)
    items, rows = problem.items, problem.rows
    best = solved(problem).cost
    dearer = replace(problem, items=replace(items, cost=10.0 * items.cost))
    if problem.quotas.count == 0:
        assert solved(dearer).cost == pytest.approx(10.0 * best)
    larger = replace(
        problem,
        items=replace(items, mean=8.0 * items.mean, variance=64.0 * items.variance),
        rows=replace(
            rows,
            need=8.0 * rows.need,
            base=None if rows.base is None else 64.0 * rows.base,
        ),
    )
    assert solved(larger).cost == pytest.approx(best)


def test_threads_seeds_and_runs_do_not_change_an_answer():
    problem, _ = middling(1, leaves=100, each=30)
    one, again, two = (
        cover(problem, race(1e-4, rounds=2), threads=threads) for threads in (1, 1, 2)
    )
    assert (one.chosen == again.chosen).all()
    assert (one.chosen == two.chosen).all()
    assert one.bound == again.bound == two.bound


def test_a_start_is_never_lost():
    problem, _ = middling(2)
    good = cover(problem, race(1e-4, rounds=5), threads=1)
    again = cover(problem, race(1e-4, rounds=0), threads=1, start=good.chosen)
    assert again.cost <= good.cost


def test_whoever_listens_can_end_it():
    problem, _ = middling(2)
    heard = []

    def listen(_, value, bound, phase):
        heard.append((value, bound, phase))
        return False

    found = cover(problem, Race(budget=Budget(), relative_gap=0.0, listener=listen), threads=1)
    assert len(heard) <= 3
    assert found.chosen is None or keeps(problem, found.chosen)
    assert all(bound <= value for value, bound, _ in heard)


@pytest.mark.parametrize("seed", range(40))
def test_the_largest_level_of_a_row_is_that_of_some_choice(seed):
    problem = small(seed)
    items = problem.items
    plain = items.chooser is None and items.loading is None
    alone = replace(problem, quotas=Quotas.none())
    for v, s in zip(*np.nonzero(np.isfinite(problem.rows.need)), strict=True):
        found = attainable(alone)[v, s]
        slack = 1e-6 * max(1.0, abs(found))
        assert optimum(_only(alone, v, s, found - slack)) < INF
        if plain:
            assert optimum(_only(alone, v, s, found + slack)) == INF


def _only(problem, v, s, need):
    """The problem with one row."""
    needs = np.full(problem.rows.need.shape, -INF)
    needs[v, s] = need
    return replace(problem, rows=replace(problem.rows, need=needs))


BAD = {
    "mean": ({"mean": np.zeros((2, 3))}, {}),
    "cost is not finite": ({"cost": np.array([1.0, np.nan])}, {}),
    "variance is negative": ({"variance": np.array([[1.0], [-1.0]])}, {}),
    "node is not one of the tree": ({"node": np.array([0, 7], np.int32)}, {}),
    "state has shape": ({"state": np.zeros(3, np.int8)}, {}),
    "chooser are at several nodes": (
        {"chooser": np.zeros(2, np.int32), "node": np.array([0, 1], np.int32)},
        {},
    ),
    "z is negative": ({}, {"z": np.full((2, 1), -1.0)}),
    "neither finite nor -inf": ({}, {"need": np.full((2, 1), INF)}),
    "need has shape": ({}, {"need": np.zeros((3, 1))}),
    "base has another shape": ({}, {"base": np.zeros((3, 1))}),
    "parent makes a cycle": ({}, {"parent": np.array([1, 0], np.int32)}),
    "parent is not one of the tree": ({}, {"parent": np.array([-1, 5], np.int32)}),
}


@pytest.mark.parametrize("words", BAD)
def test_what_does_not_fit_is_refused(words):
    items, rows = BAD[words]
    good = problem_of([1.0, 2.0], [1.0, 1.0], 0.1, [[1.0], [1.0]], node=[0, 1], parent=[-1, 0])
    with pytest.raises(ValueError, match=words):
        Problem(items=replace(good.items, **items), rows=replace(good.rows, **rows))


def test_items_of_a_chooser_stand_side_by_side():
    chooser = np.array([0, 1, 0], np.int32)
    with pytest.raises(ValueError, match="side by side"):
        problem_of([1.0] * 3, [1.0] * 3, 0.0, 1.0, chooser=chooser)


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        ((np.array([5], np.int32), np.ones(1), 0.0, 1.0), "quotas.items"),
        ((np.array([0], np.int32), np.array([np.nan]), 0.0, 1.0), "weights"),
        ((np.array([0], np.int32), np.ones(1), np.nan, 1.0), "limit of a quota"),
    ],
)
def test_bad_quotas_are_refused(quota, words):
    with pytest.raises(ValueError, match=words):
        problem_of([1.0], [1.0], 0.0, 1.0, quotas=Quotas.of([quota]))
