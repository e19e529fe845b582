"""The core audit: never below any complaint, zero a certificate, exact where it can be."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.agency import audit as audits
from loadloom.models.agency import games, prices
from loadloom.models.agency.audit import audit, bound_at, climb, complaint
from loadloom.models.agency.cost import PooledCost, total
from tests.models.agency.test_cost import MODES, SCHEDULES

STABLE = ("affine", "pieces")


def pool(seed, name, mode, count):
    generator = np.random.default_rng(seed)
    load = generator.random((count, 12)) ** 2 * generator.random((count, 1))
    cost = PooledCost(
        schedule=SCHEDULES[name], step_h=np.ones(12), day=np.arange(12) // 4, peak=MODES[mode]
    )
    return load, cost


def ways(load, cost, seed):
    """Shares of every sort that balance: by energy, by own peak, at random, by the gradient."""
    amount = float(cost.value(total(load)))
    weights = (load.sum(axis=1), load.max(axis=1), np.random.default_rng(seed).random(len(load)))
    yield from (amount * weight / weight.sum() for weight in weights)
    yield cost.at_prices(load, cost.slot_prices(total(load)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("count", [1, 2, 5, 9, 12])
def test_no_coalition_complains_more_than_the_bound(name, mode, count):
    load, cost = pool(count, name, mode, count)
    costs = games.coalition_costs(load, cost)
    amount = float(costs[-1])
    for shares in ways(load, cost, count):
        found = audit(load, shares, cost)
        worst = float(games.complaints(costs, shares).max())
        assert worst <= found.bound + 1e-9 * amount
        assert found.complaint <= worst + 1e-9 * amount
        assert bound_at(load, shares, cost, found.slot_price_per_kwh) == pytest.approx(
            found.bound, abs=1e-12 * amount
        )
        if found.coalition.size:
            marked = np.isin(np.arange(count), found.coalition)
            assert complaint(load, shares, cost, marked) == pytest.approx(found.complaint)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "schedule",
    [prices.piecewise((1.0, 1.5, 3.0), (0.5, 0.4, 0.2)), prices.load_factor(0.2, -0.1)],
    ids=["pieces", "load factor"],
)
def test_the_bound_holds_where_a_peak_makes_power_cheaper(schedule, mode):
    """Coalitions with a high peak pay less a kWh than those with a flat load."""
    load, some = pool(9, "affine", mode, 9)
    cost = replace(some, schedule=schedule)
    costs = games.coalition_costs(load, cost)
    for shares in ways(load, cost, 9):
        worst = float(games.complaints(costs, shares).max())
        assert worst <= audit(load, shares, cost).bound + 1e-9 * float(costs[-1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SCHEDULES)
def test_prices_of_the_bound_cost_no_load_more_than_it_costs(name, mode):
    """What makes the bound one: no coalition's load at these prices is above its cost."""
    load, cost = pool(7, name, mode, 12)
    shares = next(ways(load, cost, 7))
    found = audit(load, shares, cost)
    costs = games.coalition_costs(load, cost)
    billed = games.subset_sums(cost.at_prices(load, found.slot_price_per_kwh))
    assert np.all(billed <= costs + 1e-9 * costs[-1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", STABLE)
@pytest.mark.parametrize("parts", ["whole", "in parts"])
def test_shares_by_the_gradient_are_certified(name, mode, parts, monkeypatch):
    if parts == "in parts":
        monkeypatch.setattr(audits, "_DIRECT", 0)
    load, cost = pool(3, name, mode, 60)
    *others, shares = ways(load, cost, 3)
    found = audit(load, shares, cost)
    assert found.is_certificate
    assert found.evaluations == 1
    assert found.coalition.size == 0
    assert not audit(load, others[0], cost).is_certificate


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_is_tight_for_copies_of_few_users(seed):
    """Of many copies of each user a share can be taken, and the bound has no more to give.

    What a whole user is worth bounds what is left.
    """
    load, cost = pool(seed, "affine", "monthly", 4)
    many = np.repeat(load, 400, axis=0)
    shares = next(ways(many, cost, seed))
    found = audit(many, shares, cost, tolerance=1e-7)
    assert found.bound > 1e-3 * shares.sum()
    assert found.complaint <= found.bound
    assert found.bound - found.complaint <= 5e-3 * found.bound


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_of_pairs_is_the_complaint_itself(seed):
    """Two users, one of whom pays for both: the other half of the pair has nothing to add."""
    load, cost = pool(seed, "affine", "monthly", 2)
    amount = float(cost.value(total(load)))
    found = audit(load, np.array([amount, 0.0]), cost)
    assert found.coalition.tolist() == [0]
    assert found.complaint == pytest.approx(amount - float(cost.value(load[0])))
    assert found.bound == pytest.approx(found.complaint, rel=1e-7)


def test_one_programme_and_parts_find_the_same_bound(monkeypatch):
    load, cost = pool(11, "pieces", "top peaks", 200)
    shares = next(ways(load, cost, 11))
    whole = audit(load, shares, cost)
    monkeypatch.setattr(audits, "_DIRECT", 0)
    parts = audit(load, shares, cost, tolerance=1e-7)
    assert parts.evaluations > whole.evaluations
    assert parts.bound == pytest.approx(whole.bound, rel=1e-4)
    assert parts.bound >= whole.bound - 1e-7 * shares.sum()


def test_single_and_double_precision_agree():
    load, cost = pool(5, "affine", "monthly", 80)
    load = load.astype(np.float32)
    shares = next(ways(load.astype(np.float64), cost, 5))
    assert audit(load, shares, cost).bound == pytest.approx(
        audit(load.astype(np.float64), shares, cost).bound, rel=1e-9
    )


def test_two_users_who_pool_at_a_loss_are_named():
    """At 0.6 - 0.2 LF the even user pays 0.9 by energy, and 0.8 alone."""
    cost = PooledCost(schedule=prices.load_factor(0.6, 0.2), step_h=np.ones(2))
    load = np.array([[1.0, 1.0], [1.0, 0.0]])
    found = audit(load, np.array([0.9, 0.45]), cost)
    assert found.coalition.tolist() == [0]
    assert found.complaint == pytest.approx(0.1)
    assert found.bound >= 0.1 - 1e-12


def test_a_climb_never_empties_its_coalition_nor_takes_everybody():
    load, cost = pool(2, "affine", "monthly", 8)
    costs = games.coalition_costs(load, cost)
    for seed, shares in enumerate(ways(load, cost, 2)):
        start = np.random.default_rng(seed).random(8) < 0.5
        ended = climb(load, shares, cost, start, np.arange(8))
        assert 0 < ended.sum() < 8
        at = int(ended @ (1 << np.arange(8)))
        found = games.complaints(costs, shares)
        assert found[at] >= found[int(start @ (1 << np.arange(8)))] - 1e-12
        neighbours = [at ^ (1 << i) for i in range(8)]
        assert all(found[n] <= found[at] + 1e-9 for n in neighbours if 0 < n < 255)


def test_costs_below_zero_are_audited_too():
    """Where plants pay for taking their power, as at noon in spring."""
    load, cost = pool(4, "affine", "monthly", 30)
    paid = PooledCost(schedule=prices.affine(-0.5, 0.1), step_h=cost.step_h)
    shares = paid.at_prices(load, paid.slot_prices(total(load)))
    assert shares.sum() < 0.0
    assert audit(load, shares, paid).is_certificate
    turned = audit(load, shares[::-1].copy(), paid)
    assert not turned.is_certificate
    assert 0.0 < turned.complaint <= turned.bound


@pytest.mark.parametrize("mode", MODES)
def test_a_month_is_audited_with_the_slots_that_matter(mode, monkeypatch):
    """The same bound as with all slots in the programme from the begin."""
    generator = np.random.default_rng(6)
    load = generator.random((300, 48)) * generator.random((300, 1))
    cost = PooledCost(
        schedule=prices.affine(0.3, 0.1),
        step_h=np.ones(48),
        day=np.arange(48) // 12,
        peak=MODES[mode],
    )
    shares = next(ways(load, cost, 6))
    whole = audit(load, shares, cost)
    monkeypatch.setattr(audits, "_SLOTS", 4)
    monkeypatch.setattr(audits, "_JOINING", 2)
    assert audit(load, shares, cost).bound == pytest.approx(whole.bound, rel=1e-6)
