"""Statements: whoever has a pocket calculator finds every figure again."""

import re
from decimal import Decimal

import numpy as np
import pytest

from loadloom.models.agency.problem import Mode, Peak, PeakMode, Purchase, SharingRule
from loadloom.models.agency.settle import settle
from loadloom.models.agency.sheet import Sheet, worked_out
from loadloom.models.agency.statement import statement
from tests.models.agency.settlements import by_hand, purchase, random_settlement, settlement_of

NUMBER = r"\d+(?:\.\d+)?"
LINE = re.compile(rf"  (?P<term>[^=]+) = (?:(?P<sum>[^=]+) = )?(?P<value>-?{NUMBER})(?: \S+)?")


def calculated(expression: str) -> Decimal:
    """What a calculator makes of an expression, by Python's own reading of it."""
    assert re.fullmatch(r"[-+*/(). \d]+", expression), expression
    return eval(re.sub(NUMBER, lambda n: f"Decimal('{n[0]}')", expression))


def read(text: str) -> dict[str, Decimal]:
    """The values of all lines, each of which is calculated anew from what is printed in it."""
    values = {}
    for line in text.splitlines():
        if not line.startswith("  "):
            continue
        found = LINE.fullmatch(line)
        assert found, line
        value = Decimal(found["value"])
        if found["sum"]:
            size = max(abs(value), Decimal("1e-300"))
            assert abs(calculated(found["sum"]) - value) <= size * Decimal("1e-11"), line
        values[found["term"]] = value
    return values


def agrees(problem, settlement, user):
    """A statement's figures are those that were settled."""
    told = read(statement(problem, settlement, user).text)
    scale = problem.currency.scale
    assert told["bill"] * scale == int(settlement.bill_minor[user])
    assert told["prepaid"] * scale == int(settlement.prepaid_minor[user])
    assert told["refund"] * scale == int(settlement.refund_minor[user])
    assert told["cost share, rounded"] * scale == int(settlement.share_minor[user])
    near = {"rel": 1e-9, "abs": 1e-9 * max(1.0, abs(settlement.cost))}
    assert float(told["bill before rounding"]) == pytest.approx(settlement.bill[user], **near)
    assert abs(told["of which rounding"]) * scale < 1
    if settlement.energy_kwh[user] > 0.0:
        price = settlement.price_per_kwh[user]
        assert float(told["price"]) == pytest.approx(price, rel=1e-8, abs=1e-8)
    return told


def test_the_two_users_by_hand():
    problem = by_hand()
    settlement = settle(problem)
    lines = statement(problem, settlement, 0).text.splitlines()
    assert "  load factor = 7 / (2 * 4) = 0.875" in lines
    assert "  load-rate contribution = 0.875 * (4 / 7 - 3 / 4) = -0.15625" in lines
    assert "  unit load-rate contribution = (-0.15625) / 4 = -0.0390625 1/kWh" in lines
    assert "  benefit p_r = (1 - 0.1) * (0.6 - 1.8 / 4) = 0.135 EUR/kWh" in lines
    assert "  bill before rounding = 0.1 * 0.6 * 4 + (1 - 0.1) * 1.8 = 1.86 EUR" in lines
    assert "  refund = 2.40 - 1.86 = 0.54 EUR" in lines
    told = agrees(problem, settlement, 1)
    assert (told["bill"], told["refund"]) == (Decimal("1.17"), Decimal("0.63"))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("peak", list(PeakMode))
def test_every_mode_can_be_checked(mode, peak):
    rng = np.random.default_rng(4)
    problem = settlement_of(
        rng.gamma(2.0, 3.0, (20, 96)), mode=mode, peak=Peak(mode=peak, count=2), rate=0.0333
    )
    settlement = settle(problem)
    for user in range(20):
        agrees(problem, settlement, user)


@pytest.mark.parametrize("rule", list(SharingRule))
def test_every_rule_can_be_checked_as_far_as_it_has_a_formula(rule):
    rng = np.random.default_rng(11)
    for _ in range(10):
        problem = random_settlement(rng, rule=rule)
        settlement = settle(problem)
        for user in range(problem.curves.count):
            agrees(problem, settlement, user)


def test_random_statements_can_be_checked():
    for seed in range(60):
        problem = random_settlement(np.random.default_rng(seed))
        agrees(problem, settle(problem), 0)


def test_a_purchase_is_told_price_by_price():
    load = np.array([[3.0, 1.0, 2.0], [1.0, 2.0, 0.0]])
    problem = settlement_of(load, purchase=purchase(np.random.default_rng(0), load, 1.0))
    told = agrees(problem, settle(problem), 0)
    prices = set(problem.purchase.slot_price_per_kwh.tolist())
    assert {f"energy in slots at {price:g} EUR/kWh" for price in prices} <= set(told)


def test_rounded_slot_prices_are_told_with_what_they_miss():
    rng = np.random.default_rng(3)
    load, price = rng.gamma(2.0, 1e6, (5, 24)), rng.uniform(0.05, 0.4, 24)
    bought = Purchase(cost=float(load.sum(axis=0) @ price), slot_price_per_kwh=price.round(6))
    problem = settlement_of(load, purchase=bought)
    settlement = settle(problem)
    for user in range(5):
        worth = float(load[user] @ bought.slot_price_per_kwh)
        assert abs(settlement.share[user] - worth) > 0.01
        agrees(problem, settlement, user)
        assert "so that all shares add up" in statement(problem, settlement, user).text


def test_peaks_that_tie_within_the_tolerance_are_told_with_what_they_weigh():
    problem = settlement_of([[3.0, 3.0 * (1.0 - 4e-10)], [1.0, 1.0]])
    settlement = settle(problem)
    assert settlement.share.sum() == pytest.approx(settlement.cost, rel=1e-14)
    lines = [line.text for line in statement(problem, settlement, 0).public]
    assert "rate on load at the peak = 2 * 0.1 * 4 / 3.9999999994 = 0.20000000003 EUR/kW" in lines
    agrees(problem, settlement, 0)


def test_what_one_would_pay_alone_may_be_given():
    problem = by_hand(rule=SharingRule.SAVING)
    settlement = settle(problem)
    told = [line.text for line in statement(problem, settlement, 1, alone=1.3).own]
    assert told == [line.text for line in statement(problem, settlement, 1).own]
    assert "what you would pay alone = 1.3 EUR" in told


def test_what_is_no_arithmetic_is_not_worked_out():
    for words in ("__import__('os')", "2 ** 9", "a + 1", "[1]"):
        with pytest.raises((ValueError, KeyError)):
            worked_out(words)


def test_a_sum_of_thousands_is_told_in_parts():
    price = np.linspace(0.05, 0.4, 2_976)
    load = np.random.default_rng(1).random((2, price.size))
    bought = Purchase(cost=float(load.sum(axis=0) @ price), slot_price_per_kwh=price)
    problem = settlement_of(load, purchase=bought)
    told = agrees(problem, settle(problem), 0)
    part = price[40:60] * load[0, 40:60]
    assert float(told["cost share, part of 20 from 41"]) == pytest.approx(part.sum())
    assert float(told["cost share, part of 400 from 1"]) == pytest.approx(
        price[:400] @ load[0, :400]
    )


@pytest.mark.parametrize("rule", [SharingRule.AUMANN_SHAPLEY, SharingRule.ENERGY])
def test_three_years_of_days_are_told_in_parts(rule):
    load = np.random.default_rng(2).random((2, 2 * 1_100))
    terms = {"peak": Peak(mode=PeakMode.DAILY), "rule": rule}
    problem = settlement_of(load, step_h=12.0, **terms)
    told = agrees(problem, settle(problem), 1)
    assert float(told["energy"]) == pytest.approx(12.0 * load[1].sum())


def test_a_line_is_worked_out_from_what_is_printed():
    sheet = Sheet()
    sheet.given("third", "a third", 1 / 3)
    sheet.worked("one", "three thirds", "third * 3")
    assert sheet.lines[1].text == "three thirds = 0.333333333333 * 3 = 0.999999999999"
