"""Negative refunds are named, with a price that cures them: the smallest where it is said so."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.agency.explain import outcome
from loadloom.models.agency.problem import Mode, Problem
from loadloom.models.agency.refunds import NO_PRICE, cure, refunds_at
from loadloom.models.agency.settle import settle
from tests.models.agency.settlements import by_hand, random_settlement, settlement_of


def again(problem, minor):
    """The settlement at other highest prices, in minor units per kWh, prepayments in proportion."""
    prepaid = problem.prepaid_minor
    price = np.asarray(minor) / problem.currency.scale
    if prepaid is not None:
        paid = prepaid / problem.highest_prices_per_kwh * price
        prepaid = np.floor(np.round(paid, 6) + 0.5).astype(np.int64)
    return settle(replace(problem, highest_price_per_kwh=price, prepaid_minor=prepaid))


def test_without_a_negative_refund_there_is_nothing_to_cure():
    assert cure(by_hand(), settle(by_hand())) is None


def test_by_hand_the_dearest_user_needs_its_own_cost_per_kwh():
    problem = by_hand(highest=0.4)  # the shares per kWh are 0.45 and 0.3667
    found = cure(problem, settle(problem))
    assert found.user.tolist() == [0]
    assert found.refund_minor.tolist() == [-18]  # 1.6 - 0.1 * 1.6 - 0.9 * 1.8
    assert found.highest_price_minor.tolist() == [45]
    assert (again(problem, 45).refund_minor >= 0).all()
    assert again(problem, 44).refund_minor[0] < 0


def test_with_cost_plus_the_price_covers_the_agents_part():
    problem = by_hand(highest=0.45, mode=Mode.COST_PLUS)
    found = cure(problem, settle(problem))
    assert found.highest_price_minor.tolist() == [50]  # 1.1 * 0.45 = 0.495


def test_a_user_who_prepaid_for_too_little_energy_is_beyond_cure():
    problem = by_hand(
        rate=0.5, prepaid_minor=np.array([60, 180])
    )  # 1 kWh of 4, half is the agent's
    found = cure(problem, settle(problem))
    assert found.user.tolist() == [0]
    assert found.highest_price_minor.tolist() == [NO_PRICE]


def test_prices_of_their_own_are_cured_one_by_one():
    load = [[300.0, 100.0], [100.0, 200.0], [200.0, 200.0]]
    problem = settlement_of(load, highest=[0.4, 0.3, 0.6])
    settlement = settle(problem)
    found = cure(problem, settlement)
    assert found.user.tolist() == [0, 1]
    minor = problem.highest_prices_per_kwh * 100.0
    minor[found.user] = found.highest_price_minor
    assert (again(problem, minor).refund_minor >= 0).all()
    for user in found.user.tolist():
        less = minor.copy()
        less[user] -= 1.0
        assert again(problem, less).refund_minor[user] < 0


@pytest.mark.parametrize("seed", range(60))
def test_the_price_named_cures_and_one_unit_less_does_not(seed):
    rng = np.random.default_rng(seed)
    problem = random_settlement(rng)
    settlement = settle(problem)
    found = cure(problem, settlement)
    if found is None:
        assert (settlement.refund_minor >= 0).all()
        return
    negative = np.flatnonzero(settlement.refund_minor < 0)
    assert np.isin(negative, found.user).all()
    cured = found.user[found.highest_price_minor != NO_PRICE]
    minor = problem.highest_prices_per_kwh * problem.currency.scale
    named = found.highest_price_minor[found.highest_price_minor != NO_PRICE]
    hopeless = np.setdiff1d(found.user, cured)
    if cured.size == 0:
        return
    if problem.has_one_price:
        minor = np.full(minor.size, float(named[0]))
    minor[cured] = named
    left = np.delete(refunds_at(problem, settlement, minor), hopeless)
    assert (left >= 0).all()
    trials = [np.ones(minor.size, np.bool_)]
    if not problem.has_one_price:
        trials = [np.arange(minor.size) == user for user in cured]
    for chosen in trials:
        if (minor[chosen] >= 1.0).all():
            less = np.delete(refunds_at(problem, settlement, minor - chosen), hopeless)
            assert (less < 0).any()


def tiny(seed: int) -> Problem:
    """Users of very different sizes, most of them small, so that rounding decides."""
    rng = np.random.default_rng(seed)
    n, slots = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    if rng.random() < 0.7:
        size = 10.0 ** rng.uniform(-3, 2, size=(n, 1))
    else:
        size = np.ones((n, 1)) * 10.0 ** rng.uniform(-3, 1)
    load = rng.random((n, slots)) * size
    step_h = rng.choice([0.25, 0.5, 1.0], slots)
    own = rng.random() < 0.3
    highest = rng.uniform(0.2, 0.6, size=n) if own else np.array(rng.uniform(0.2, 0.6))
    rate = float(rng.choice([0, 0.1, 0.5, 0.9, 1.0]))
    prepaid = None
    if rng.random() < 0.5:
        prepaid = np.rint(load @ step_h * highest * 100 * rng.uniform(0.3, 1.3, size=n))
        prepaid = prepaid.astype(np.int64)
    return settlement_of(
        load,
        step_h=step_h,
        digits=int(rng.choice([0, 2])),
        highest=highest,
        rate=rate,
        prepaid_minor=prepaid,
        mode=Mode.COST_PLUS if rng.random() < 0.3 else Mode.BENEFIT_SHARE,
    )


@pytest.mark.parametrize("seed", [1974, 4821])
def test_a_price_is_not_called_the_smallest_where_a_smaller_one_cures(seed):
    problem = tiny(seed)
    settlement = settle(problem)
    found = cure(problem, settlement)
    assert found is not None
    assert problem.has_one_price
    curable = np.delete(np.arange(problem.curves.count), found.user[found.highest_price_minor < 0])
    price = int(found.highest_price_minor.max())

    def cures(minor):
        refund = refunds_at(problem, settlement, np.full(problem.curves.count, float(minor)))
        return bool((refund[curable] >= 0).all())

    assert cures(price)
    assert not cures(price - 1)
    assert any(cures(minor) for minor in range(price - 400, price))
    assert not found.is_smallest
    words = " ".join(outcome(problem, settlement).sentences)
    assert "cures it, and the next smaller one does not." in words


@pytest.mark.parametrize("seed", [3111, 4177, 5188, 7840])
def test_whom_the_others_prices_leave_a_unit_short_is_named(seed):
    problem = tiny(seed)
    settlement = settle(problem)
    found = cure(problem, settlement)
    assert found is not None
    assert not problem.has_one_price
    known = found.highest_price_minor != NO_PRICE
    minor = problem.highest_prices_per_kwh * problem.currency.scale
    minor[found.user[known]] = found.highest_price_minor[known]
    left = np.flatnonzero(refunds_at(problem, settlement, minor) < 0)
    assert left.size
    assert np.isin(left, found.user[~known]).all()


def test_random_cases_include_both_kinds_of_prices():
    kinds = set()
    for seed in range(60):
        problem = random_settlement(np.random.default_rng(seed))
        found = cure(problem, settle(problem))
        if found is not None and (found.highest_price_minor != NO_PRICE).any():
            kinds.add((problem.has_one_price, problem.prepaid_minor is None))
    assert len(kinds) == 4
