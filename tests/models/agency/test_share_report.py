"""Reports on shares: what they say is so, in numbers and in words."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.agency import games, prices, share_report
from loadloom.models.agency.cost import PooledCost, total
from loadloom.models.agency.problem import Purchase, SharingRule
from loadloom.models.agency.share_report import report, who
from loadloom.models.agency.sharing import share
from tests.models.agency.test_audit import pool
from tests.models.agency.test_sharing import BY_HAND, RULES, by_hand


@pytest.mark.parametrize("rule", RULES)
def test_the_report_of_every_rule(rule):
    load, cost = pool(3, "affine", "monthly", 5)
    shares = share(load, cost, rule)
    found = report(load, cost, shares)
    assert found.imbalance <= 1e-9
    worst, coalition = games.largest_complaint(games.coalition_costs(load, cost), shares.share)
    assert found.excess.complaint == pytest.approx(worst)
    assert found.excess.coalition.tolist() == games.members(coalition, 5).tolist()
    assert found.is_stable == (worst <= 1e-9 * shares.cost)
    assert len(found.text) == 3
    assert found.monotonicity.trial_count > 0
    assert rule.value in found.text[0]


def test_the_example_in_words():
    shares = share(BY_HAND, by_hand(), SharingRule.AUMANN_SHAPLEY)
    found = report(BY_HAND, by_hand(), shares, names=("mill", "bakery"))
    # The mill pays 1.8 either way.
    assert found.is_stable
    assert found.excess.complaint == pytest.approx(0.0, abs=1e-12)
    assert (
        found.text[1] == ("No coalition would do better alone; mill come nearest and would lose 0.")
        or "mill" in found.text[1]
    )


def test_a_coalition_that_would_go_is_named_with_what_it_would_save():
    shares = share(BY_HAND, by_hand(), SharingRule.COINCIDENT_PEAK)
    found = report(BY_HAND, by_hand(), shares, names=("mill", "bakery"))
    assert found.is_stable is False
    assert found.excess.complaint == pytest.approx(2.175 - 1.8)
    assert "mill would do better alone" in found.text[1]
    assert "0.375" in found.text[1]


def test_beyond_enumeration_an_audit_answers():
    load, cost = pool(3, "pieces", "daily", 40)
    stable = report(load, cost, share(load, cost, SharingRule.AUMANN_SHAPLEY))
    assert stable.is_stable
    assert not stable.excess.is_exact
    assert "proven for all" in stable.text[1]
    energy = share(load, cost, SharingRule.ENERGY)
    unstable = report(load, cost, energy)
    assert unstable.is_stable is False
    assert 0.0 < unstable.excess.complaint <= unstable.excess.bound
    marked = np.isin(np.arange(40), unstable.excess.coalition)
    alone = float(cost.value(total(load[marked])))
    theirs = float(energy.share[marked].sum())
    assert theirs - alone == pytest.approx(unstable.excess.complaint)
    assert f"and {marked.sum() - 5} more would do better alone" in unstable.text[1]


def steep():
    """A price that is nothing but the peak: who moves it away from itself pays less."""
    load = np.array([[4.0, 1.0], [0.5, 3.0]])
    return load, PooledCost(schedule=prices.affine(0.0, 1.0), step_h=np.ones(2))


def test_a_share_that_falls_with_more_load_is_found():
    """At (4, 1) and (0.5, 3) the first user pays the peak of 4.5. With 0.6 kW more in the second
    slot the peak moves there, where it has 1.6 of 4.6."""
    load, cost = steep()
    shares = share(load, cost, SharingRule.AUMANN_SHAPLEY)
    assert shares.share == pytest.approx([8.0, 1.0])
    found = report(load, cost, shares).monotonicity
    assert found.fall_count > 0
    raised = load.copy()
    raised[found.user, found.slot] += found.added_kw
    after = share(raised, cost, SharingRule.AUMANN_SHAPLEY).share[found.user]
    assert shares.share[found.user] - after == pytest.approx(found.worst_fall)
    assert found.worst_fall > 1.0


@pytest.mark.parametrize("rule", RULES)
def test_trials_of_monotonicity_are_those_of_the_rule(rule):
    """Each shortcut gives the share that the whole computation gives."""
    load, cost = pool(9, "pieces", "monthly", 6)
    shares, everybody = share(load, cost, rule), total(load)
    for user, slot, added in ((0, 3, 0.5), (4, 11, 2.0), (5, 0, 0.01)):
        after = share_report._share_after(
            load, cost, shares, everybody, cost.standalone(load), (user, slot, added)
        )
        raised = load.copy()
        raised[user, slot] += added
        assert after == pytest.approx(share(raised, cost, rule).share[user])


def test_energy_shares_never_fall_where_energy_has_a_price():
    for seed in range(5):
        load, cost = pool(seed, "affine", "monthly", 7)
        shares = share(load, cost, SharingRule.ENERGY)
        assert report(load, cost, shares).monotonicity.fall_count == 0


def test_a_purchase_is_judged_by_its_prices():
    slot_price = np.array([0.2, 0.5])
    billed = 0.2 * 4.0 + 0.5 * 3.0
    cone = Purchase(cost=billed, slot_price_per_kwh=slot_price)
    shares = share(BY_HAND, by_hand(), SharingRule.OWEN_DUALS, purchase=cone)
    found = report(BY_HAND, by_hand(), shares, purchase=cone)
    # Whether the prices are duals is its giver's word, so that nothing is proven.
    assert found.is_stable is None
    assert "If the slot prices are the duals" in found.text[1]
    assert "none would do better alone." in found.text[1]
    assert found.monotonicity.fall_count == 0
    assert found.monotonicity.trial_count == 2
    assert found.text[2].endswith("more load never lowered its user's share.")
    owned = Purchase(cost=2.0, slot_price_per_kwh=slot_price, rent=billed - 2.0)
    shares = share(BY_HAND, by_hand(), SharingRule.OWEN_DUALS, purchase=owned)
    found = report(BY_HAND, by_hand(), shares, purchase=owned)
    assert found.is_stable is None
    assert found.excess.bound == pytest.approx(0.3)
    negative = Purchase(cost=0.3, slot_price_per_kwh=np.array([-0.3, 0.5]))
    shares = share(BY_HAND, by_hand(), SharingRule.OWEN_DUALS, purchase=negative)
    found = report(BY_HAND, by_hand(), shares, purchase=negative)
    assert found.monotonicity.slot == 0
    assert found.monotonicity.worst_fall == pytest.approx(0.3)
    # The prices are the purchase's, whether or not the shares tell them.
    bare = replace(shares, slot_price_per_kwh=None)
    assert report(BY_HAND, by_hand(), bare, purchase=negative).monotonicity.fall_count == 1
    energy = share(BY_HAND, by_hand(), SharingRule.ENERGY, purchase=negative)
    told = report(BY_HAND, by_hand(), energy, purchase=negative)
    assert "was not tried" in told.text[2]


def test_a_kw_more_costs_by_the_hours_of_its_slot():
    cost = PooledCost(schedule=prices.affine(0.0, 0.0), step_h=np.array([1.0, 0.25]))
    purchase = Purchase(cost=0.7, slot_price_per_kwh=np.array([0.2, -0.4]))
    shares = share(BY_HAND, cost, SharingRule.OWEN_DUALS, purchase=purchase)
    found = report(BY_HAND, cost, shares, purchase=purchase).monotonicity
    assert (found.slot, found.fall_count, found.added_kw) == (1, 1, 1.0)
    assert found.worst_fall == pytest.approx(0.1)


def test_what_is_not_tried_is_said():
    load, cost = pool(1, "affine", "monthly", 14)
    found = report(load, cost, share(load, cost, SharingRule.SHAPLEY))
    assert found.monotonicity.trial_count == 0
    assert "was not tried" in found.text[2]


def test_coalitions_in_words():
    assert who(np.array([2])) == "user 2"
    assert who(np.array([0, 2]), ("a", "b", "c")) == "a and c"
    assert who(np.array([0, 1, 2]), ("a", "b", "c")) == "a, b and c"
    assert who(np.arange(8)) == "user 0, user 1, user 2, user 3, user 4 and 3 more"
