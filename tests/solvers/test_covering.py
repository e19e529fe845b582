"""One row covered with confidence: every road to it finds what enumeration finds."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.solvers.covering.row import Row, attained, cost_of, most, needed
from loadloom.solvers.covering.single import cost_step, cover
from loadloom.solvers.covering.terms import BARRED, TAKEN
from loadloom.solvers.highs import Model, Program, compressed
from loadloom.solvers.kernels.covering import best_price, chord, respond

INF = np.inf


def row(cost, mean, variance, threshold, quantile=1.0, **rest):
    columns = (np.asarray(column, float) for column in (cost, mean, variance))
    names = ("cost", "mean", "variance")
    return Row(
        **dict(zip(names, columns, strict=True)), threshold=threshold, quantile=quantile, **rest
    )


def instance(random, count):
    """A row of one of six kinds, from costs in proportion to ties, any signs and forced items."""
    kind = random.integers(6)
    mean = random.lognormal(0.0, 0.5, count)
    deviation = mean * random.uniform(0.1, 1.2, count)
    cost = mean * random.uniform(0.3, 1.0, count) + random.uniform(0.0, 0.3)
    threshold = random.uniform(-0.2, 1.1) * 0.7 * mean.sum()
    if kind == 1:
        cost -= random.uniform(0.0, 1.0)
    elif kind == 2:
        mean = np.where(random.random(count) < 0.3, -mean, mean)
        cost, threshold = random.normal(0.0, 1.0, count), random.normal(0.0, 2.0)
    elif kind == 3:
        mean, deviation = random.choice([1.0, 2.0], count), random.choice([0.0, 0.5], count)
        cost = random.choice([1.0, 1.5], count)
    elif kind == 4:
        deviation = np.where(random.random(count) < 0.5, 0.0, deviation)
    elif kind == 5:
        cost = 0.5 * mean
    state = random.choice(np.array([BARRED, 0, 0, 0, TAKEN], np.int8), count)
    return row(
        cost,
        mean,
        deviation**2,
        threshold,
        float(random.choice([0.0, 0.5, 1.645, 2.5])),
        base_variance=float(random.choice([0.0, 0.3])),
        state=state if random.random() < 0.3 else None,
    )


def enumerated(given):
    """The least cost, inf if nothing keeps the row, and the most that any choice reaches."""
    chosen = ((np.arange(1 << given.count)[:, None] >> np.arange(given.count)) & 1).astype(bool)
    if given.state is not None:
        fits = chosen | (given.state != TAKEN)
        chosen = chosen[(fits & (~chosen | (given.state != BARRED))).all(axis=1)]
    variance = given.base_variance + chosen @ given.variance
    reached = chosen @ given.mean - given.quantile * np.sqrt(variance)
    kept = reached >= needed(given)
    return (chosen @ given.cost)[kept].min(initial=INF), reached.max()


def judged(given, found):
    """A choice keeps the row and costs what it says, and never less than its bound."""
    assert attained(given, found.chosen) >= needed(given) - 1e-12 * (1.0 + abs(given.threshold))
    assert found.cost == cost_of(given, found.chosen)
    assert found.bound <= found.cost
    if given.state is not None:
        assert found.chosen[given.state == TAKEN].all()
        assert not found.chosen[given.state == BARRED].any()
    return found


# By hand.


def test_three_items_the_cheapest_of_which_is_too_unsure():
    given = row([1.0, 1.0, 1.5], [4.0, 4.0, 7.0], [0.0, 0.0, 9.0], 7.0)
    found = judged(given, cover(given))
    assert found.chosen.tolist() == [True, True, False]
    assert found.cost == 2.0
    assert found.gap <= 1e-9
    sure = cover(replace(given, quantile=0.0))
    assert sure.chosen.tolist() == [False, False, True]


@pytest.mark.parametrize("quantile", [0.0, 1.645, 2.576])
@pytest.mark.parametrize("threshold", [0.5, 7.0, 40.0])
def test_of_identical_items_the_smallest_number_that_suffices(quantile, threshold):
    number = np.arange(200)
    reached = 1.2 * number - quantile * 0.7 * np.sqrt(number)
    want = np.flatnonzero(reached >= threshold)[0]
    given = row(np.full(200, 0.3), np.full(200, 1.2), np.full(200, 0.49), threshold, quantile)
    found = judged(given, cover(given))
    assert found.chosen.sum() == want
    assert found.bound == pytest.approx(found.cost, rel=1e-8)


def test_a_row_that_needs_nothing_takes_what_pays():
    given = row([1.0, -2.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], -INF)
    found = cover(given)
    assert found.chosen.tolist() == [False, True, False]
    assert (found.cost, found.bound, found.price, found.toll) == (-2.0, -2.0, 0.0, 0.0)


def test_no_items_reach_what_nothing_reaches():
    empty = row([], [], [], -1.0)
    assert cover(empty).cost == 0.0
    assert cover(replace(empty, threshold=1.0)).bound == INF
    assert cover(replace(empty, base_variance=4.0)).bound == INF


def test_what_cannot_be_kept_is_told_with_the_most_that_can():
    given = row([1.0, 1.0], [2.0, 3.0], [0.0, 16.0], 4.0)
    found = cover(given)
    assert found.chosen is None
    assert found.cost == found.bound == INF
    chosen, reached = most(given)
    assert reached == 2.0  # the second adds 3 and takes 4 off
    assert chosen.tolist() == [True, False]


def test_the_spread_of_the_threshold_counts_under_the_root():
    given = row(np.ones(9), np.ones(9), np.zeros(9), 4.0, 2.0, base_variance=1.0)
    assert cover(given).cost == 6.0


def test_a_row_is_a_limit_where_means_are_negative():
    """Items that pay are chosen while -mean + 2 deviations stay below 5."""
    given = row(-np.ones(4), -np.ones(4), np.full(4, 0.25), -5.0, 2.0)
    found = judged(given, cover(given))
    assert found.cost == -3.0  # three: 3 + 2 * 0.866 = 4.73; four: 4 + 2 * 1 = 6


# By enumeration.


@pytest.mark.parametrize("nodes", [0, 30, 2_000_000])
def test_bound_optimum_and_plan_are_in_order(nodes):
    random = np.random.default_rng(nodes)
    infeasible = proven = 0
    for _ in range(400):
        given = instance(random, int(random.integers(1, 13)))
        want, largest = enumerated(given)
        _, reached = most(given)
        assert reached == pytest.approx(largest, rel=1e-9, abs=1e-9)
        found = cover(given, nodes=nodes)
        if want == INF:
            infeasible += 1
            assert found.cost == found.bound == INF
            assert reached < needed(given)
            continue
        judged(given, found)
        rounding = 1e-9 * (1.0 + np.abs(given.cost).sum())
        assert found.bound - rounding <= want <= found.cost + rounding
        proven += found.cost - found.bound <= rounding
    assert 0 < infeasible < 200
    assert proven > (350 - infeasible if nodes else 0)


def test_sixteen_items():
    random = np.random.default_rng(16)
    for _ in range(20):
        given = instance(random, 16)
        want, _ = enumerated(given)
        found = cover(given)
        assert found.cost == pytest.approx(want, rel=1e-9, abs=1e-9)
        assert want == INF or found.bound == pytest.approx(want, rel=1e-7, abs=1e-7)


# By others.


def programme(given, tangents):
    """The row with the norm of its deviations above planes that touch it, as a programme."""
    count = given.count
    rows = np.vstack([given.mean, *tangents]) if tangents else given.mean[None]
    height = np.ones(len(rows))
    height[0] = -given.quantile
    rows[1:] *= -1.0
    matrix = np.hstack([rows, height[:, None]])
    at, column = np.nonzero(matrix)
    return Program(
        cost=np.append(given.cost, 0.0),
        low=np.zeros(count + 1),
        high=np.append(np.ones(count), INF),
        row_low=np.append(needed(given), np.zeros(len(tangents))),
        row_high=np.full(len(rows), INF),
        matrix=compressed(at, column, matrix[at, column], count + 1),
        integer=np.arange(count + 1) < count,
    )


def by_tangents(given):
    """The least cost by a general solver: for whole x the deviation is a norm, and convex."""
    tangents = []
    for _ in range(60):
        primal = Model(programme(given, tangents)).solve(relative_gap=1e-9).primal
        chosen = primal[:-1] > 0.5
        if attained(given, chosen) >= needed(given):
            return cost_of(given, chosen)
        deviation = np.sqrt(given.variance[chosen].sum())
        tangents.append(np.where(chosen, given.variance / deviation, 0.0))
    raise AssertionError("the tangents did not end")


@pytest.mark.parametrize("seed", range(4))
def test_a_general_solver_finds_the_same(seed):
    random = np.random.default_rng(seed)
    mean = random.lognormal(0.0, 0.5, 60)
    deviation = 0.3 * mean * random.random(60)
    given = row(mean * random.uniform(0.5, 1.5, 60), mean, deviation**2, 0.3 * mean.sum(), 1.645)
    found = judged(given, cover(given))
    assert found.gap <= 2e-9
    assert found.cost == pytest.approx(by_tangents(given), rel=1e-7)


@pytest.mark.parametrize("count", [100, 1_000])
def test_without_variance_it_is_the_knapsack(count):
    random = np.random.default_rng(count)
    mean, cost = random.uniform(1.0, 3.0, count), random.uniform(1.0, 3.0, count)
    given = row(cost, mean, np.zeros(count), 0.4 * mean.sum(), 1.645)
    want = Model(programme(replace(given, quantile=0.0), [])).solve(relative_gap=1e-9)
    assert cover(given).cost == pytest.approx(want.termination.objective, rel=1e-7)
    assert cover(replace(given, variance=mean**2, quantile=0.0)).cost == cover(given).cost


# Laws.


def large(random, count, share=0.4):
    size = random.lognormal(0.5, 0.5, count)
    accepted = random.beta(4.0, 3.0, count)
    mean = accepted * size
    variance = accepted * (0.3 * size) ** 2 + accepted * (1.0 - accepted) * size**2
    return row(0.25 * mean + 0.1, mean, variance, share * mean.sum(), 1.645)


@pytest.mark.parametrize("seed", range(5))
def test_more_is_never_cheaper_and_another_item_never_dearer(seed):
    random = np.random.default_rng(seed)
    given = large(random, 60)
    found = cover(given)
    slack = 1e-7 * found.cost
    assert cover(replace(given, threshold=1.1 * given.threshold)).cost >= found.cost - slack
    assert cover(replace(given, quantile=2.326)).cost >= found.cost - slack
    assert cover(replace(given, base_variance=5.0)).cost >= found.cost - slack
    barred = np.zeros(60, np.int8)
    barred[np.flatnonzero(found.chosen)[0]] = BARRED
    assert cover(replace(given, state=barred)).cost >= found.cost - slack
    assert cover(replace(given, state=-barred)).cost == pytest.approx(found.cost, rel=1e-7)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e5])
def test_units_do_not_matter(factor):
    given = large(np.random.default_rng(7), 80)
    found = cover(given)
    for price in (1e-6, factor):
        money = cover(replace(given, cost=price * given.cost))
        assert money.cost == pytest.approx(price * found.cost, rel=1e-8)
    scaled = cover(
        replace(
            given,
            mean=factor * given.mean,
            variance=factor**2 * given.variance,
            threshold=factor * given.threshold,
        )
    )
    assert scaled.cost == pytest.approx(found.cost, rel=1e-8)
    assert scaled.price * factor == pytest.approx(found.price, rel=1e-3)


def test_the_price_is_what_more_costs():
    given = large(np.random.default_rng(8), 20_000)
    found, more = cover(given), cover(replace(given, threshold=1.01 * given.threshold))
    slope = (more.cost - found.cost) / (0.01 * given.threshold)
    assert found.price == pytest.approx(slope, rel=0.01)
    reduced = given.cost - found.price * given.mean + found.toll * given.variance
    assert (found.chosen == (reduced < 0.0)).mean() > 0.999


@pytest.mark.parametrize(("count", "gap"), [(1_000, 1e-3), (20_001, 1e-4), (200_000, 1e-5)])
def test_large_rows_have_a_narrow_bound(count, gap):
    given = large(np.random.default_rng(count), count)
    found = judged(given, cover(given, relative_gap=gap))
    assert found.gap <= gap


def test_ties_of_many_items_end():
    """Three kinds of item, so that ever so many share the price at which some are chosen."""
    kinds = np.random.default_rng(9).choice([0.5, 0.6, 0.7], 30_000)
    given = row(kinds, np.full(30_000, 1.2), np.full(30_000, 0.25), 20_000.0, 1.645)
    found = judged(given, cover(given))
    assert found.gap <= 1e-9


@pytest.mark.parametrize(
    ("costs", "step"),
    [
        ([0.25, 1.5, -0.75], 0.25),
        ([0.1, 0.2, 0.3], 0.1),
        ([3.0, 6.0, 0.0], 3.0),
        ([0.1, np.pi], 0.0),
        ([], 0.0),
        ([1e7], 0.0),  # too large to tell a step from rounding
    ],
)
def test_the_step_of_costs(costs, step):
    assert cost_step(np.array(costs)) == pytest.approx(step, rel=1e-12)


def test_one_large_item_among_small_ones():
    """A part of it is what the relaxation would take; it is decided before all others."""
    random = np.random.default_rng(15)
    mean = np.append(random.lognormal(0.0, 0.5, 49), 60.0)
    cost = mean * random.uniform(0.8, 1.2, 50)
    given = row(cost, mean, (0.4 * mean) ** 2, 25.0, 1.645)
    small = cover(replace(given, state=-(mean > 50.0).astype(np.int8)))
    large_one = cover(replace(given, state=(mean > 50.0).astype(np.int8)))
    found = judged(given, cover(given, nodes=100_000))
    assert found.gap <= 1e-8
    assert found.cost == pytest.approx(min(small.cost, large_one.cost), rel=1e-8)


def test_costs_in_steps_prove_what_no_relaxation_can():
    """Where the cost goes with the mean nearly all choices cost the same, but not below a step."""
    random = np.random.default_rng(14)
    mean = np.maximum(0.1, np.round(random.lognormal(0.2, 0.5, 200), 1))
    given = row(0.25 * mean, mean, (0.8 * mean) ** 2, 0.3 * mean.sum(), 1.645)
    assert judged(given, cover(given)).gap <= 1e-12
    unstepped = replace(given, cost=given.cost + 1e-9 * random.random(200))
    assert cover(unstepped, nodes=50_000).gap > 1e-6


def test_a_choice_without_variance_is_seen_behind_large_ones():
    """The items that pay are too unsure; giving them up leaves nothing, and no rounding of it."""
    given = row(
        [1.0, -849.75, -1318.35, 1041.56],
        [10.0, 11.19, 7.24, 8.24],
        [1e5, 1754.43, 273.575, 2e4],
        0.0,
        1.645,
    )
    found = judged(given, cover(given))
    assert found.cost == 0.0
    assert not found.chosen.any()


@pytest.mark.parametrize("state", [None, BARRED])
def test_a_large_item_excuses_no_shortfall(state):
    """Seven of the small ones are needed, however much the one that is not chosen would add."""
    states = None if state is None else np.append(np.zeros(10, np.int8), np.int8(state))
    mean, cost = np.append(np.ones(10), 1e9), np.append(np.ones(10), 1e6)
    given = row(cost, mean, np.zeros(11), 7.0, state=states)
    found = judged(given, cover(given))
    assert found.chosen.sum() == 7
    assert found.cost == 7.0


def test_a_search_that_runs_out_of_nodes_says_so():
    given = large(np.random.default_rng(10), 400)
    some, all_nodes = cover(given, nodes=200), cover(given)
    assert some.bound <= all_nodes.cost <= judged(given, some).cost
    assert some.gap > 1e-9


# The kernels.


def test_every_chord_bounds_the_choices_between_its_ends():
    random = np.random.default_rng(12)
    for _ in range(50):
        given = replace(instance(random, 8), state=None)
        chosen = ((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(bool)
        deviation = np.sqrt(given.base_variance + chosen @ given.variance)
        kept = chosen @ given.mean - given.quantile * deviation >= given.threshold
        low, high = np.sort(random.choice(deviation, 2))
        slope, right = chord(low, high, given.quantile, given.base_variance, given.threshold)
        proven = best_price(given.cost, given.mean, given.variance, 8, slope, right, 0.0, 0.0, INF)[
            1
        ]
        inside = kept & (low <= deviation) & (deviation <= high)
        assert proven <= (chosen @ given.cost)[inside].min(initial=INF) + 1e-9


def test_the_compiled_response_is_that_of_its_source():
    given = large(np.random.default_rng(13), 1_000)
    columns = given.cost, given.mean, given.variance, 1_000, 0.6, 0.01
    assert respond(*columns) == pytest.approx(respond.py_func(*columns), rel=1e-12)


# Bad input.


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cost": np.array([1.0, np.nan])}, "cost[1] is nan; it must be finite"),
        ({"mean": np.array([np.inf, 1.0])}, "mean[0] is inf; it must be finite"),
        ({"mean": np.ones(3)}, "mean has shape (3,); it must be (2,)"),
        ({"mean": np.ones(2, np.float32)}, "mean is float32; it must be float64"),
        ({"variance": np.array([1.0, -1.0])}, "variance[1] is -1.0; it must not be negative"),
        ({"threshold": INF}, "threshold is inf; it must be finite or -inf"),
        ({"threshold": np.nan}, "threshold is nan; it must be finite or -inf"),
        ({"quantile": -1.0}, "quantile is -1.0; it must be finite and not negative"),
        ({"base_variance": np.nan}, "base_variance is nan; it must be finite and not negative"),
        ({"state": np.array([0, 2], np.int8)}, "state[1] is 2; it must be -1, 0 or 1"),
        ({"state": np.zeros(3, np.int8)}, "state has shape (3,); it must be (2,)"),
    ],
)
def test_what_is_wrong_with_a_row_is_told(change, told):
    good = {"cost": np.ones(2), "mean": np.ones(2), "variance": np.ones(2)}
    with pytest.raises(ValueError, match="must") as caught:
        Row(**{**good, "threshold": 1.0, "quantile": 1.0, **change})
    assert str(caught.value) == told


def test_all_faults_of_a_row_are_told_at_once():
    with pytest.raises(ValueError, match=r"mean\[0\].*variance\[0\].*quantile") as caught:
        row([1.0], [np.nan], [-1.0], 1.0, -1.0)
    assert str(caught.value).count(";") == 5
