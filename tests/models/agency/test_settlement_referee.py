"""The referee of settlements catches every fault that is planted."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.agency import prices, referee, referee_money, referee_rules
from loadloom.models.agency.problem import Mode, Peak, PeakMode, SharingRule
from loadloom.models.agency.settle import account, bills, per_kwh, settle
from tests.models.agency.settlements import purchase, settlement_of

RNG = np.random.default_rng(99)
LOAD = RNG.gamma(2.0, 3.0, (12, 96))
PROBLEM = settlement_of(LOAD, rate=0.1)
SETTLED = settle(PROBLEM)

FIGURES = ("energy_kwh", "contribution", "unit_contribution", "share", "bill")
PRICES = ("benefit_per_kwh", "price_per_kwh")
TOTALS = ("cost", "rent", "profit", "benefit")
MINOR = ("share_minor", "bill_minor", "prepaid_minor", "refund_minor")
MINOR_TOTALS = ("cost_minor", "rent_minor", "profit_minor")
OF_LOADS = (
    "total_kw",
    "first_slot",
    "hours",
    "energy_kwh",
    "peak_kw",
    "load_factor",
    "user_energy_kwh",
    "user_peak_kw",
)


def changed(column, index, change):
    copy = np.array(column)
    copy.reshape(-1)[index] += change
    return copy


def caught(settlement, *paths):
    found = referee.violations(PROBLEM, settlement)
    assert found
    told = {violation.path.split("[")[0] for violation in found}
    assert told & set(paths), told


def test_what_was_settled_breaks_no_rule():
    assert referee.violations(PROBLEM, SETTLED) == []
    assert referee.cost(PROBLEM) == pytest.approx(SETTLED.cost)


@pytest.mark.parametrize("name", FIGURES + PRICES)
@pytest.mark.parametrize("index", [0, 7, 11])
def test_a_wrong_figure_of_a_user(name, index):
    column = getattr(SETTLED, name)
    wrong = changed(column, index, 1e-6 * np.abs(column).max())
    caught(replace(SETTLED, **{name: wrong}), name)


@pytest.mark.parametrize("name", TOTALS)
def test_a_wrong_total(name):
    caught(replace(SETTLED, **{name: getattr(SETTLED, name) + 1e-4 * SETTLED.cost}), name)


@pytest.mark.parametrize("name", MINOR)
def test_a_minor_unit_too_much(name):
    caught(replace(SETTLED, **{name: changed(getattr(SETTLED, name), 3, 1)}), name)


@pytest.mark.parametrize("name", MINOR_TOTALS)
def test_a_minor_unit_too_much_in_a_total(name):
    wrong = replace(SETTLED, **{name: getattr(SETTLED, name) + 1})
    caught(wrong, "share_minor", "bill_minor", name)


@pytest.mark.parametrize("name", ["share_minor", "bill_minor"])
def test_a_minor_unit_given_to_who_lost_less(name):
    """Sums and distances still hold; only the order of remainders is broken."""
    raw = 100.0 * (SETTLED.share if name == "share_minor" else SETTLED.bill)
    minor = getattr(SETTLED, name)
    up = minor > np.floor(raw)
    rest = raw - np.floor(raw)
    giver = int(np.argmax(np.where(up, rest, -1.0)))
    taker = int(np.argmin(np.where(up, 2.0, rest)))
    wrong = changed(changed(minor, giver, -1), taker, 1)
    kept = {name: wrong}
    if name == "bill_minor":
        kept["refund_minor"] = SETTLED.prepaid_minor - wrong
    assert np.abs(wrong - raw).max() < 1.0
    caught(replace(SETTLED, **kept), name)


def test_a_tie_broken_against_the_names():
    problem = settlement_of(np.full((3, 2), 5.0), highest=1.0, rate=0.0123)
    s = settle(problem)
    assert s.bill_minor.sum() % 3
    for swapped in (s.bill_minor[::-1], s.bill_minor[[1, 2, 0]]):
        wrong = replace(s, bill_minor=swapped.copy(), refund_minor=s.prepaid_minor - swapped)
        if (swapped != s.bill_minor).any():
            paths = [
                violation.path.split("[")[0] for violation in referee.violations(problem, wrong)
            ]
            assert paths == ["bill_minor"]


@pytest.mark.parametrize("name", OF_LOADS)
def test_a_wrong_figure_of_the_loads(name):
    column = getattr(SETTLED.figures, name)
    change = 1 if name == "first_slot" else 1e-6 * column.max()
    figures = replace(SETTLED.figures, **{name: changed(column, 0, change)})
    caught(replace(SETTLED, figures=figures), f"figures.{name}")


@pytest.mark.parametrize("name", ["price_per_kwh", "per_kwh", "per_kw"])
def test_a_wrong_rate(name):
    rates = replace(SETTLED.rates, **{name: getattr(SETTLED.rates, name) * (1.0 + 1e-6)})
    caught(replace(SETTLED, rates=rates), f"rates.{name}")
    caught(replace(SETTLED, rates=None), "rates")


def test_shares_that_are_said_to_be_estimates():
    caught(replace(SETTLED, is_exact=False), "is_exact")
    caught(replace(SETTLED, half_width=np.ones(12)), "half_width")


def shared_otherwise(problem, settled, share):
    """A settlement with other shares, and all that follows from them."""
    highest, energy = problem.highest_prices_per_kwh, settled.energy_kwh
    bill = bills(energy, share, highest, problem.profit_rate, problem.mode)
    price = per_kwh(bill, energy, highest)
    entered = account(
        share=share,
        rent=np.float64(settled.rent),
        bill=bill,
        prepaid_minor=settled.prepaid_minor,
        currency=problem.currency,
        names=problem.curves.names,
    )
    return replace(
        settled,
        share=share,
        bill=bill,
        price_per_kwh=price,
        benefit_per_kwh=highest - price,
        profit=float(bill.sum() - share.sum()),
        cost_minor=int(entered.cost_minor),
        profit_minor=int(entered.profit_minor),
        share_minor=entered.share_minor,
        bill_minor=entered.bill_minor,
        refund_minor=entered.refund_minor,
    )


@pytest.mark.parametrize("rule", list(SharingRule))
@pytest.mark.parametrize("mode", list(PeakMode))
def test_shares_that_another_user_should_have(rule, mode):
    rng = np.random.default_rng(7)
    load = rng.gamma(2.0, 3.0, (6, 48))
    terms = {"purchase": purchase(rng, load, 1.0)} if rule is SharingRule.OWEN_DUALS else {}
    peak = Peak(mode=mode, count=2)
    problem = settlement_of(load, rule=rule, rate=0.1, peak=peak, **terms)
    settled = settle(problem)
    assert not referee.violations(problem, settled)
    wrong = shared_otherwise(problem, settled, settled.share[::-1].copy())
    told = [violation.path.split("[")[0] for violation in referee.violations(problem, wrong)]
    assert set(told) == {"share"}


def test_a_bill_and_a_refund_that_are_wrong_together():
    wrong = changed(changed(SETTLED.bill_minor, 2, 5), 4, -5)
    caught(
        replace(SETTLED, bill_minor=wrong, refund_minor=SETTLED.prepaid_minor - wrong), "bill_minor"
    )


def test_money_that_moved_between_shares_and_profit():
    wrong = replace(
        SETTLED,
        share_minor=changed(SETTLED.share_minor, 0, 7),
        cost_minor=SETTLED.cost_minor + 7,
        profit_minor=SETTLED.profit_minor - 7,
    )
    caught(wrong, "cost_minor", "share_minor")


@pytest.mark.parametrize(
    "terms",
    [
        {"rate": 0.11},
        {"highest": 0.61},
        {"mode": Mode.COST_PLUS},
        {"peak": Peak(mode=PeakMode.DAILY)},
        {"peak": Peak(mode=PeakMode.MEAN_OF_TOP_PEAKS, count=2)},
        {"rule": SharingRule.ENERGY},
        {"digits": 3},
        {"prepaid_minor": np.full(12, 100)},
    ],
)
def test_a_settlement_on_other_terms(terms):
    other = settle(settlement_of(LOAD, **{"rate": 0.1, **terms}))
    assert referee.violations(PROBLEM, other)


def test_columns_that_are_none():
    assert referee.violations(PROBLEM, replace(SETTLED, bill=SETTLED.bill[:3]))
    assert referee.violations(PROBLEM, replace(SETTLED, bill=np.full(12, np.nan)))
    assert referee.violations(PROBLEM, replace(SETTLED, bill_minor=SETTLED.bill))


def test_a_purchase_and_its_rent():
    bought = purchase(np.random.default_rng(1), LOAD, 1.0)
    problem = settlement_of(
        LOAD, purchase=replace(bought, cost=bought.cost - 1.0, rent=bought.rent + 1.0)
    )
    s = settle(problem)
    assert not referee.violations(problem, s)
    other = replace(s, slot_price_per_kwh=s.slot_price_per_kwh + 1e-9)
    assert [v.path for v in referee.violations(problem, other)] == ["slot_price_per_kwh"]
    smeared = replace(s, rent=0.0, rent_minor=0, cost_minor=s.cost_minor + s.rent_minor)
    paths = {violation.path for violation in referee.violations(problem, smeared)}
    assert "rent" in paths


def told_of_money(settlement, problem=PROBLEM):
    """The amounts that rounding alone tells of."""
    found = referee_money.rounding(problem, settlement)
    assert referee_money.identities(problem, settlement) == []
    return {violation.path.split("[")[0] for violation in found if violation is not None}


def test_a_prepayment_that_is_not_what_was_paid():
    problem = settlement_of(LOAD, rate=0.1, prepaid_minor=np.arange(5_000, 5_012))
    s = settle(problem)
    assert referee.violations(problem, s) == []
    prepaid = changed(changed(s.prepaid_minor, 3, 1), 8, 1)
    wrong = replace(s, prepaid_minor=prepaid, refund_minor=prepaid - s.bill_minor)
    assert [v.path for v in referee.violations(problem, wrong)] == ["prepaid_minor[3]"]


@pytest.mark.parametrize("by", [-1, 1])
def test_a_prepayment_by_price_that_is_a_unit_off(by):
    for user in range(12):
        prepaid = changed(SETTLED.prepaid_minor, user, by)
        wrong = replace(SETTLED, prepaid_minor=prepaid, refund_minor=prepaid - SETTLED.bill_minor)
        assert told_of_money(wrong) == {"prepaid_minor"}


@pytest.mark.parametrize("name", ["share_minor", "bill_minor"])
def test_a_minor_unit_from_who_was_rounded_down_to_who_was_rounded_up(name):
    """Sums hold, and the largest remainders are still those that are rounded up."""
    minor = getattr(SETTLED, name)
    raw = 100.0 * (SETTLED.share if name == "share_minor" else SETTLED.bill)
    up, down = np.flatnonzero(minor > raw), np.flatnonzero(minor < raw)
    for giver, taker in ((down[0], up[0]), (down[-1], up[-1])):
        kept = {name: changed(changed(minor, giver, -1), taker, 1)}
        if name == "bill_minor":
            kept["refund_minor"] = SETTLED.prepaid_minor - kept[name]
        assert told_of_money(replace(SETTLED, **kept)) == {name}


@pytest.mark.parametrize("by", [-1, 1])
def test_a_unit_moved_between_rent_and_cost(by):
    bought = purchase(np.random.default_rng(1), LOAD, 1.0)
    problem = settlement_of(
        LOAD, purchase=replace(bought, cost=bought.cost - 1.0, rent=bought.rent + 1.0)
    )
    s = settle(problem)
    wrong = replace(s, rent_minor=s.rent_minor + by, cost_minor=s.cost_minor - by)
    assert "rent_minor" in told_of_money(wrong, problem)


def test_three_more_who_are_rounded_up_at_the_cost_of_the_agent():
    """Every share is within a unit, and everything adds up; the cost is not what it was."""
    raw = 100.0 * SETTLED.share
    low = np.flatnonzero(SETTLED.share_minor < raw)
    low = low[np.argsort(raw[low] - SETTLED.share_minor[low])[-3:]]
    more = SETTLED.share_minor.copy()
    more[low] += 1
    assert np.abs(more - raw).max() < 1.0
    wrong = replace(
        SETTLED,
        share_minor=more,
        cost_minor=SETTLED.cost_minor + 3,
        profit_minor=SETTLED.profit_minor - 3,
    )
    assert told_of_money(wrong) == {"cost_minor", "profit_minor"}


@pytest.mark.parametrize("by", [0.001, 0.05])
def test_an_amount_a_little_more_than_a_unit_off(by):
    """What floats make of an amount is far less than a thousandth of a minor unit."""
    share = changed(SETTLED.share, 5, 0.0)
    share[5] = (SETTLED.share_minor[5] + 1.0 + by) / 100.0
    assert "share_minor" in told_of_money(replace(SETTLED, share=share))
    share[5] = (SETTLED.share_minor[5] + 1.0 - by) / 100.0
    found = referee_money.rounding(PROBLEM, replace(SETTLED, share=share))
    assert not any(
        v is not None and v.path == "share_minor[5]" and "from" in v.message for v in found
    )


@pytest.mark.parametrize("rule", [SharingRule.LEAST_CORE, SharingRule.NUCLEOLUS])
def test_who_is_in_no_coalition_that_complains_most_pays_too_little(rule):
    """A peak costs 1 a kW: one user of 3 kW beside three of 1 kW at the other time, who save 1.5.

    Where the first pays less than its half, the worst coalitions are the others, each alone;
    where it pays more, they are the first with any two others.
    """
    load = [[0.0, 3.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    problem = settlement_of(load, schedule=prices.affine(0.0, 0.5), rule=rule)
    settled = settle(problem)
    assert settled.share == pytest.approx([1.5, 0.5, 0.5, 0.5])
    assert referee_rules.complaints(problem, rule, settled.share) == []
    for wrong in ([1.2, 0.6, 0.6, 0.6], [1.8, 0.4, 0.4, 0.4]):
        (told,) = referee_rules.complaints(problem, rule, np.array(wrong))
        user = 0 if rule is SharingRule.LEAST_CORE or wrong[0] > 1.5 else 1
        assert told.path == f"share[{user}]"


@pytest.mark.parametrize("by", [-1, 1])
def test_identities_have_no_tolerance(by):
    def told(**changes):
        found = referee_money.identities(PROBLEM, replace(SETTLED, **changes))
        return [violation.path for violation in found]

    assert told(cost_minor=SETTLED.cost_minor + by) == ["share_minor", "bill_minor"]
    assert told(profit_minor=SETTLED.profit_minor + by) == ["bill_minor"]
    refund = changed(SETTLED.refund_minor, 3, by)
    assert told(refund_minor=refund) == ["prepaid_minor", "refund_minor[3]"]
