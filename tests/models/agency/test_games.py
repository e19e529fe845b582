"""Cooperative games: published solutions, permutations, and laws."""

from itertools import chain, combinations, permutations

import numpy as np
import pytest

from loadloom.models.agency import cost as pooled
from loadloom.models.agency import games, prices
from loadloom.solvers.highs import Model, Program, compressed


def game(count, worth):
    """The game of costs of a function of sets of players: minus what they are worth."""
    sets = (games.members(s, count).tolist() for s in range(1 << count))
    return -np.array([worth(frozenset(s)) if s else 0.0 for s in sets])


def listed(count, order, worths):
    """The game of worths that a paper lists coalition by coalition, in the order it has."""
    values = np.zeros(1 << count)
    for names, worth in zip(order, worths, strict=True):
        values[sum(1 << (int(name) - 1) for name in names)] = worth
    return -values


def by_size(count):
    every = range(1, count + 1)
    return ["".join(map(str, s)) for k in every for s in combinations(every, k)]


def depth_first(count):
    """1, 12, 123, 13, 2, 23, 3: every coalition follows its own beginning."""
    return sorted(
        "".join(map(str, s))
        for s in chain(*(combinations(range(1, count + 1), k) for k in range(1, count + 1)))
    )


def random_game(seed, count):
    """The costs of random users under a stable schedule, or any costs at all."""
    generator = np.random.default_rng(seed)
    if seed % 2:
        costs = generator.random(1 << count) * 10.0
        costs[0] = 0.0
        return costs
    schedule = prices.affine(0.3, 0.1)
    cost = pooled.PooledCost(schedule=schedule, step_h=np.ones(5))
    return games.coalition_costs(generator.random((count, 5)), cost)


TALMUD = {100: (100 / 3,) * 3, 200: (50, 75, 75), 300: (50, 100, 150)}


@pytest.mark.parametrize("estate", TALMUD)
def test_the_talmud_divides_estates_by_the_nucleolus(estate):
    """Aumann and Maschler 1985: claims of 100, 200 and 300."""
    claims = np.array([100.0, 200.0, 300.0])

    def worth(s):
        return max(0.0, estate - sum(claims[i] for i in range(3) if i not in s))

    np.testing.assert_allclose(-games.nucleolus(game(3, worth)), TALMUD[estate], atol=1e-6)


PUBLISHED = {
    # Guajardo and Jornsten, Common mistakes in computing the nucleolus, EJOR 241 (2015), correct
    # the first, second and fourth of these; their signs are those of worths here.
    "insurers, Lemaire 1991": (
        listed(3, depth_first(3), [46125, 69187.5, 90000, 53812.5, 17437.5, 30750, 5812.5]),
        (52687.5, 24468.75, 12843.75),
    ),
    "broadcast, Hasan et al. 2011": (
        -listed(4, depth_first(4), [8, 8, 10, 20, 19, 10, 20, 19, 1, 10, 13, 12, 10, 12, 11]),
        (-7.5, -0.5, -1.5, -10.5),
    ),
    "manufacturing, Oh and Shin 2012": (
        -listed(3, depth_first(3), [375144, 568232, 772500, 551055, 245280, 452411, 211239]),
        (-331695.25, -233051.25, -207753.5),
    ),
    "transport, Sakawa et al. 2001": (
        listed(
            5,
            depth_first(5),
            [
                0.060,
                0.378,
                0.536,
                0.906,
                1,
                0.573,
                0.747,
                0.874,
                0.485,
                0.144,
                0.546,
                0.634,
                0.255,
                0.408,
                0.561,
                0.182,
                0.168,
                0.337,
                0.706,
                0.801,
                0.379,
                0.538,
                0.668,
                0.279,
                0.03,
                0.383,
                0.473,
                0.083,
                0.249,
                0.386,
                0,
            ],
        ),
        (0.165, 0.3205, 0.0845, 0.3745, 0.0555),
    ),
    # The example of the R package CoopGame 0.2.2, page on the nucleolus.
    "CoopGame": (
        listed(4, by_size(4), [0, 0, 0, 0, 5, 5, 8, 9, 10, 8, 13, 15, 16, 17, 21]),
        (3.5, 4.5, 5.5, 7.5),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_nucleoli(name):
    costs, worths = PUBLISHED[name]
    scale = np.abs(worths).max()
    np.testing.assert_allclose(-games.nucleolus(costs), worths, atol=1e-7 * scale)


def airport(costs):
    """Littlechild 1974: what players of ascending own cost pay, by his recursion."""
    count = len(costs)
    paid, base, first = np.zeros(count), 0.0, 0
    while first < count:
        rates = {}
        for k in range(first, count - 1):
            rates[k] = (costs[k] - base) / (k - first + 2)
        last = costs[count - 1] - base
        rates[count - 1] = last / (count - first)
        end = max(k for k, rate in rates.items() if rate <= min(rates.values()) + 1e-12)
        paid[first : end + 1] = rates[end]
        base += rates[end] * (end - first + 1)
        first = end + 1
    return paid


@pytest.mark.parametrize("own", [(1.0, 2.0, 3.0), (1.0, 1.0, 6.0, 7.0), (2.0, 3.0, 3.5, 8.0, 20.0)])
def test_airports(own):
    """The cost of a coalition is that of its longest runway."""
    costs = -game(len(own), lambda s: max(own[i] for i in s))
    np.testing.assert_allclose(games.nucleolus(costs), airport(own), atol=1e-7)
    # Littlechild and Owen 1973: each piece of runway is shared equally by all who need it.
    steps = np.diff(own, prepend=0.0) / np.arange(len(own), 0, -1)
    np.testing.assert_allclose(games.shapley(costs), np.cumsum(steps), atol=1e-12)


@pytest.mark.parametrize(
    ("quota", "weights"),
    [(3, (2, 1, 1, 1)), (5, (3, 2, 2, 1, 1)), (4, (1,) * 7), (4, (3, 1, 1, 1, 1))],
)
def test_constant_sum_voting_games_have_their_representation_as_nucleolus(quota, weights):
    """Peleg 1968: in a constant-sum weighted majority game the nucleolus is its homogeneous
    representation, normalised."""
    costs = game(len(weights), lambda s: float(sum(weights[i] for i in s) >= quota))
    assert all(costs[s] + costs[costs.size - 1 - s] == -1.0 for s in range(costs.size))
    np.testing.assert_allclose(-games.nucleolus(costs), np.array(weights) / sum(weights), atol=1e-7)


def test_a_veto_player_takes_all():
    """The glove game of one left and two right gloves has a core of one point."""
    costs = game(3, lambda s: float(0 in s and len(s) > 1))
    np.testing.assert_allclose(-games.nucleolus(costs), (1.0, 0.0, 0.0), atol=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_shapley_is_the_mean_over_all_orders(seed):
    count = 3 + seed % 4
    costs = random_game(seed, count)
    total, orders = np.zeros(count), list(permutations(range(count)))
    for order in orders:
        coalition = 0
        for player in order:
            total[player] += costs[coalition | 1 << player] - costs[coalition]
            coalition |= 1 << player
    np.testing.assert_allclose(games.shapley(costs), total / len(orders), atol=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_no_small_move_improves_on_the_nucleolus(seed):
    """The sorted complaints of the nucleolus are smallest in the lexicographic order."""
    count = 3 + seed % 4
    costs = random_game(seed, count)
    best = games.nucleolus(costs)
    assert best.sum() == pytest.approx(costs[-1], abs=1e-8)
    alone = costs[1 << np.arange(count)]
    generator = np.random.default_rng(seed)
    mine = np.sort(games.complaints(costs, best)[1:-1])[::-1]
    for size in (1e-3, 1e-2, 0.3):
        for _ in range(60):
            move = generator.standard_normal(count) * size
            other = best + move - move.mean()
            if alone.sum() >= costs[-1] and np.any(other > alone):
                continue
            theirs = np.sort(games.complaints(costs, other)[1:-1])[::-1]
            apart = np.flatnonzero(np.abs(mine - theirs) > 1e-7)
            assert apart.size == 0 or mine[apart[0]] < theirs[apart[0]]


def whole_game(seed):
    """Small whole costs, so that many complaints tie."""
    generator = np.random.default_rng(seed)
    count = 3 + seed % 4
    costs = generator.integers(0, 9, 1 << count).astype(float)
    costs[0] = 0.0
    return costs, count


@pytest.mark.parametrize("seed", range(60))
def test_nucleoli_keep_to_kohlbergs_criterion(seed):
    """Kohlberg 1971: whoever complains at least so much, no change of shares that raises nobody's
    complaint among them, nor the share of a player who pays its own cost, lowers any of theirs."""
    costs, count = whole_game(seed)
    best = games.nucleolus(costs)
    assert best.sum() == pytest.approx(costs[-1], abs=1e-8)
    alone = costs[1 << np.arange(count)]
    bounded = alone.sum() >= costs[-1]
    assert not bounded or np.all(best <= alone + 1e-7)
    at_limit = bounded & (best >= alone - 1e-6)
    found = games.complaints(costs, best)[1:-1]
    sets = ((np.arange(1, costs.size - 1)[:, None] >> np.arange(count)) & 1).astype(float)
    for level in np.unique(np.round(found, 6)):
        loud = sets[found >= level - 1e-6]
        change = greatest_relief(loud, at_limit)
        assert change <= 1e-7, f"complaints of {level} and more can be lowered"


def greatest_relief(loud, at_limit):
    """The most by which complaints of coalitions can fall in sum, none rising, all in balance."""
    count = loud.shape[1]
    rows = np.concatenate((loud, np.ones((1, count))))
    at, column = np.nonzero(rows)
    return (
        -Model(
            Program(
                cost=loud.sum(axis=0),
                low=np.full(count, -1.0),
                high=np.where(at_limit, 0.0, 1.0),
                row_low=np.append(np.full(len(loud), -np.inf), 0.0),
                row_high=np.zeros(len(loud) + 1),
                matrix=compressed(at, column, rows[at, column], count),
                integer=np.zeros(count, np.bool_),
            )
        )
        .solve()
        .termination.objective
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_least_core_is_the_first_stage_of_the_nucleolus(seed):
    costs = random_game(seed, 3 + seed)
    found = games.least_core(costs)
    assert found.share.sum() == pytest.approx(costs[-1])
    assert games.largest_complaint(costs, found.share)[0] == pytest.approx(found.excess, abs=1e-7)
    best = games.nucleolus(costs)
    worst, _ = games.largest_complaint(costs, best)
    if np.all(best < costs[1 << np.arange(best.size)] - 1e-6):  # nobody's own cost is a limit
        assert worst == pytest.approx(found.excess, abs=1e-7)
    assert worst >= found.excess - 1e-7


def test_drawn_orders_find_the_shapley_value_within_their_interval():
    generator = np.random.default_rng(5)
    load = generator.random((9, 7)) * generator.random((9, 1))
    cost = pooled.PooledCost(schedule=prices.affine(0.2, 0.3), step_h=np.full(7, 0.5))
    exact = games.shapley(games.coalition_costs(load, cost))
    drawn = games.sampled_shapley(games.marginal_costs(load, cost), 9, pairs=2_000, seed=1)
    assert drawn.value.sum() == pytest.approx(exact.sum(), rel=1e-12)
    # Nine intervals of 99.99 %, 3.9 standard errors instead of 1.96.
    assert np.all(np.abs(drawn.value - exact) <= 2.0 * drawn.half_width + 1e-15)
    assert drawn.half_width.max() < 0.02 * exact.mean()
    again = games.sampled_shapley(games.marginal_costs(load, cost), 9, pairs=2_000, seed=1)
    assert np.array_equal(drawn.value, again.value)


def test_orders_longer_than_what_is_held_at_once(monkeypatch):
    load = np.random.default_rng(2).random((50, 4)).astype(np.float32)
    cost = pooled.PooledCost(schedule=prices.affine(0.2, 0.3), step_h=np.ones(4))
    order = np.random.default_rng(3).permutation(50)
    whole = games.marginal_costs(load, cost)(order)
    monkeypatch.setattr(games, "_PREFIXES", 28)
    np.testing.assert_allclose(games.marginal_costs(load, cost)(order), whole, atol=1e-12)
    assert whole.sum() == pytest.approx(float(cost.value(pooled.total(load))))


def test_costs_of_coalitions_are_those_of_their_loads():
    load = np.random.default_rng(4).random((7, 6))
    cost = pooled.PooledCost(schedule=prices.load_factor(0.6, 0.2), step_h=np.ones(6))
    costs = games.coalition_costs(load, cost)
    for coalition in (0, 1, 37, 64, 100, 127):
        total = load[games.members(coalition, 7)].sum(axis=0)
        assert costs[coalition] == pytest.approx(float(cost.value(total)))


def test_a_single_player_bears_the_cost():
    costs = np.array([0.0, 7.0])
    assert games.nucleolus(costs) == pytest.approx([7.0])
    assert games.least_core(costs).share == pytest.approx([7.0])
    assert games.shapley(costs) == pytest.approx([7.0])


def test_costs_that_are_no_game_are_refused():
    with pytest.raises(ValueError, match="2\\^n"):
        games.nucleolus(np.zeros(6))


@pytest.mark.parametrize("count", [12, 14])
def test_larger_games_balance_and_lie_in_the_core(count):
    costs = random_game(8, count)
    share = games.nucleolus(costs)
    assert share.sum() == pytest.approx(costs[-1])
    assert games.largest_complaint(costs, share)[0] <= 1e-9
