"""What a settlement means, in numbers and in words."""

import numpy as np
import pytest

from loadloom.models.agency import prices
from loadloom.models.agency.explain import outcome
from loadloom.models.agency.problem import Mode, Purchase
from loadloom.models.agency.settle import settle
from tests.models.agency.settlements import by_hand, settlement_of


def told(problem):
    return outcome(problem, settle(problem))


def test_a_benefit_and_whose_it_is():
    found = told(by_hand())
    assert (found.benefit, found.agent_part, found.users_part) == pytest.approx((1.3, 0.13, 1.17))
    assert found.alone == pytest.approx([4 * (0.3 + 0.1 * 6 / 4), 3 * (0.3 + 0.1 * 4 / 3)])
    assert found.saved == pytest.approx([0.0, 0.2])
    assert found.sentences == (
        "The power cost 1.30 EUR less than the highest prices bring in.",
        "The agent keeps 0.13 EUR of it, the users have the other 1.17 EUR.",
        "Together the users paid the plant 0.20 EUR less than each alone would have.",
    )


def test_a_loss_and_who_bears_it():
    found = told(by_hand(highest=0.4))
    assert (found.benefit, found.agent_part, found.users_part) == pytest.approx(
        (-0.1, -0.01, -0.09)
    )
    assert found.above_highest.tolist() == [0]  # 0.45 per kWh; the other's 0.3667 is below 0.4
    assert found.sentences[:2] == (
        "The power cost 0.10 EUR more than the highest prices bring in.",
        "The agent bears 0.01 EUR of the loss, the users the other 0.09 EUR.",
    )
    assert "A highest price of 0.45 EUR/kWh cures it, and no smaller one does." in found.sentences


def test_cost_plus_earns_by_the_cost():
    found = told(by_hand(mode=Mode.COST_PLUS))
    assert "The agent earns 0.29 EUR, 0.1 of the cost." in found.sentences


def test_pooling_that_loses_is_said_so():
    found = told(settlement_of([[1.0, 1.0], [1.0, 0.0]], schedule=prices.load_factor(0.6, 0.2)))
    assert found.saved.sum() == pytest.approx(1.3 - 1.35)
    assert "Together the users paid the plant 0.05 EUR more than each alone would have." in (
        found.sentences
    )
    assert found.better_alone.size


def test_users_beyond_cure_are_named():
    problem = by_hand(rate=0.5, prepaid_minor=np.array([60, 180]))
    words = " ".join(told(problem).sentences)
    assert "too little energy for a price to cure it: one." in words


def test_a_purchase_has_no_price_alone():
    bought = Purchase(cost=2.2, slot_price_per_kwh=np.array([0.4, 0.2]))
    found = told(by_hand(purchase=bought))
    assert found.alone is None
    assert found.better_alone.size == 0


def test_many_users_are_not_all_named():
    found = told(settlement_of(np.ones((9, 2)), highest=0.1))
    assert any("and 4 more" in sentence for sentence in found.sentences)
