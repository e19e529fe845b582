"""Settlements: by hand, to the cent, and the laws that they keep."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadloom.models.agency import prices, referee
from loadloom.models.agency.figures import pooled_cost
from loadloom.models.agency.money import to_nearest
from loadloom.models.agency.problem import (
    Currency,
    Mode,
    Peak,
    PeakMode,
    Purchase,
    SharingRule,
)
from loadloom.models.agency.settle import account, bills, settle
from loadloom.models.agency.share_report import report
from loadloom.models.agency.solve import solve
from loadloom.models.checks import InvalidProblem
from loadloom.solvers.termination import Reason
from tests.models.agency.settlements import by_hand, random_settlement, settlement_of


def test_the_two_users_by_hand():
    s = settle(by_hand())
    assert s.figures.load_factor[0] == pytest.approx(7 / 8)
    assert s.contribution == pytest.approx([-0.15625, 0.15625])
    assert s.unit_contribution == pytest.approx([-0.15625 / 4, 0.15625 / 3])
    assert s.share == pytest.approx([1.8, 1.1])
    assert s.cost == pytest.approx(2.9)
    assert s.benefit_per_kwh == pytest.approx([0.135, 0.21])
    assert s.price_per_kwh == pytest.approx([0.465, 0.39])
    assert s.benefit == pytest.approx(1.3)
    assert s.share_minor.tolist() == [180, 110]
    assert s.bill_minor.tolist() == [186, 117]
    assert s.prepaid_minor.tolist() == [240, 180]
    assert s.refund_minor.tolist() == [54, 63]
    assert (s.cost_minor, s.rent_minor, s.profit_minor) == (290, 0, 13)
    assert not referee.violations(by_hand(), s)


def test_cost_plus_by_hand():
    problem = by_hand(mode=Mode.COST_PLUS)
    s = settle(problem)
    assert s.bill_minor.tolist() == [198, 121]
    assert s.profit_minor == 29
    assert s.price_per_kwh == pytest.approx([0.495, 1.21 / 3])
    assert s.refund_minor.tolist() == [42, 59]
    assert not referee.violations(problem, s)


def test_a_highest_price_for_each_user():
    problem = by_hand(highest=[0.6, 0.5])
    s = settle(problem)
    assert s.bill_minor.tolist() == [186, 114]  # 0.1 * 0.5 * 3 + 0.9 * 1.1
    assert s.profit_minor == 10  # 0.1 * (2.4 + 1.5 - 2.9)
    assert not referee.violations(problem, s)


def test_a_price_linear_in_the_load_factor_loses_by_pooling():
    problem = settlement_of([[1.0, 1.0], [1.0, 0.0]], schedule=prices.load_factor(0.6, 0.2))
    assert settle(problem).cost == pytest.approx(1.35)  # alone they pay 0.80 and 0.50


def test_one_user_bears_the_cost():
    s = settle(settlement_of([[5.0, 2.0, 1.0]], highest=2.0))
    assert s.share == pytest.approx([s.cost])
    assert s.contribution == pytest.approx([0.0])


def test_identical_shapes_contribute_nothing():
    shape = np.array([1.0, 4.0, 2.0, 3.0])
    s = settle(settlement_of(np.outer([1.0, 2.5, 7.0], shape)))
    assert s.contribution == pytest.approx(np.zeros(3), abs=1e-15)
    assert s.share == pytest.approx(s.cost * np.array([1.0, 2.5, 7.0]) / 10.5)


def test_complements_reach_a_load_factor_of_one():
    s = settle(settlement_of([[1.0, 0.0], [0.0, 1.0]]))
    assert s.figures.load_factor == pytest.approx([1.0])
    assert s.share == pytest.approx([0.4, 0.4])  # both slots tie, so both are the peak by half


def test_loads_in_another_scale_cost_in_that_scale():
    problem = by_hand()
    scaled = settlement_of(problem.curves.load_kw * 1000.0)
    assert settle(scaled).share == pytest.approx(1000.0 * settle(problem).share)


@pytest.mark.parametrize("mode", list(PeakMode))
def test_splitting_a_user_changes_nobodys_share(mode):
    rng = np.random.default_rng(3)
    load = rng.gamma(2.0, 1.0, (5, 72))
    parts = np.concatenate([load, [0.3 * load[0]]])
    parts[0] *= 0.7
    peak = Peak(mode=mode, count=2)
    whole, split = settle(settlement_of(load, peak=peak)), settle(settlement_of(parts, peak=peak))
    assert split.share[1:5] == pytest.approx(whole.share[1:])
    assert split.share[0] + split.share[5] == pytest.approx(whole.share[0])
    assert split.bill[0] + split.bill[5] == pytest.approx(whole.bill[0])


def test_the_order_of_users_changes_no_cent():
    rng = np.random.default_rng(5)
    load = rng.integers(0, 3, (40, 8)).astype(float)
    load[0, 0] = 1.0
    names = [f"user {i:02d}" for i in range(40)]
    order = rng.permutation(40)
    first = settle(settlement_of(load, names=names))
    again = settle(settlement_of(load[order], names=[names[i] for i in order]))
    assert (first.bill_minor[order] == again.bill_minor).all()
    assert (first.share_minor[order] == again.share_minor).all()


def test_a_purchase_is_shared_by_its_slot_prices():
    bought = Purchase(cost=1.6, slot_price_per_kwh=np.array([0.4, 0.2]), rent=0.6)
    problem = by_hand(purchase=bought)
    s = settle(problem)
    assert s.share == pytest.approx([1.4, 0.8])
    assert (s.cost_minor, s.rent_minor) == (160, 60)
    assert s.bill_minor.sum() == s.cost_minor + s.rent_minor + s.profit_minor
    assert not referee.violations(problem, s)


def test_a_rent_that_slot_prices_do_not_bring_in_is_refused():
    bought = Purchase(cost=1.6, slot_price_per_kwh=np.array([0.4, 0.2]))
    with pytest.raises(InvalidProblem, match=r"so the rent must be 0\.6"):
        settle(by_hand(purchase=bought))


def test_what_slot_prices_may_miss_is_a_millionth_of_the_cost():
    far, near = (
        Purchase(cost=1.6, slot_price_per_kwh=np.array([0.4, 0.2]), rent=0.6 + missing)
        for missing in (1e-5, 1e-6)
    )
    with pytest.raises(InvalidProblem, match=r"so the rent must be 0\.6"):
        settle(by_hand(purchase=far))
    assert settle(by_hand(purchase=near)).share.sum() == pytest.approx(2.2 + 1e-6, rel=1e-12)


def rounded_purchase(rng: np.random.Generator, load: np.ndarray) -> Purchase:
    """A purchase for some 1e9 whose slot prices, some below 0, are rounded to six digits."""
    price = rng.uniform(-0.05, 0.5, load.shape[1])
    return Purchase(cost=float(load.sum(axis=0) @ price), slot_price_per_kwh=price.round(6))


def test_rounded_slot_prices_share_what_was_paid():
    rng = np.random.default_rng(12)
    load = rng.gamma(2.0, 1e6, (40, 96))
    bought = rounded_purchase(rng, load)
    brought = float(load.sum(axis=0) @ bought.slot_price_per_kwh)
    assert 0.01 < abs(brought - bought.cost) < 1e-6 * bought.cost
    problem = settlement_of(load, purchase=bought)
    s = settle(problem)
    assert s.share.sum() == pytest.approx(bought.cost, rel=1e-13)
    assert s.cost_minor == int(to_nearest(np.array(100.0 * bought.cost)))
    assert not referee.violations(problem, s)


def test_a_settlement_keeps_what_a_report_on_its_shares_needs():
    bought = Purchase(cost=0.8, slot_price_per_kwh=np.array([0.4, -0.1]), rent=0.5)
    problem = by_hand(purchase=bought)
    shares = settle(problem).shares
    assert shares.slot_price_per_kwh is not None
    assert shares.slot_price_per_kwh.tolist() == [0.4, -0.1]
    told = report(problem.curves.load_kw, pooled_cost(problem), shares, purchase=bought)
    assert told.monotonicity.fall_count == 1
    rng = np.random.default_rng(4)
    drawn = settle(settlement_of(rng.gamma(2.0, 1.0, (24, 6)), rule=SharingRule.SHAPLEY)).shares
    assert not drawn.is_exact
    assert drawn.half_width is not None
    assert drawn.half_width.max() > 0.0


def test_each_day_has_a_price_of_its_own():
    # Day one is flat, day two has one hour of 4 kW and 23 of 1: 27 kWh, LF = 27/96.
    one = np.ones(48)
    two = np.zeros(48)
    two[30] = 3.0
    problem = settlement_of([one, two], peak=Peak(mode=PeakMode.DAILY))
    s = settle(problem)
    assert s.figures.load_factor == pytest.approx([1.0, 27 / 96])
    assert s.cost == pytest.approx(24 * 0.4 + 27 * (0.3 + 0.1 * 96 / 27))
    assert s.share[1] == pytest.approx(3 * 0.3 + 3 * 24 * 0.1)
    assert not referee.violations(problem, s)


def test_the_mean_of_the_highest_daily_peaks():
    load = np.zeros((2, 72))
    load[0, [3, 30, 50]] = 4.0, 2.0, 8.0
    load[1, :] = 1.0
    problem = settlement_of(load, peak=Peak(mode=PeakMode.MEAN_OF_TOP_PEAKS, count=2))
    s = settle(problem)
    assert s.figures.peak_kw == pytest.approx([(9.0 + 5.0) / 2])
    assert s.figures.user_peak_kw[:, 0] == pytest.approx([6.0, 1.0])
    assert not referee.violations(problem, s)


@pytest.mark.parametrize(("month", "hours"), [(3, 743), (10, 745)])
def test_a_month_of_a_clock_change_has_days_of_23_and_25_hours(month, hours):
    rng = np.random.default_rng(month)
    start = datetime(2024, month, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    problem = settlement_of(
        rng.gamma(2.0, 1.0, (3, hours)),
        start=start,
        time_zone="Europe/Berlin",
        peak=Peak(mode=PeakMode.DAILY),
    )
    s = settle(problem)
    lengths = np.full(31, 24.0)
    lengths[30 if month == 3 else 26] = 23.0 if month == 3 else 25.0
    assert s.figures.hours == pytest.approx(lengths)
    assert s.bill_minor.sum() == s.cost_minor + s.profit_minor
    assert not referee.violations(problem, s)


def test_a_day_without_load_costs_nothing():
    load = np.zeros((2, 48))
    load[:, 5] = 1.0, 2.0
    problem = settlement_of(load, peak=Peak(mode=PeakMode.DAILY))
    s = settle(problem)
    assert s.cost == pytest.approx(3 * 0.3 + 3 * 24 * 0.1)
    assert not referee.violations(problem, s)


def test_a_user_without_energy_pays_nothing_at_the_highest_price():
    problem = settlement_of([[1.0, 2.0], [0.0, 0.0]])
    s = settle(problem)
    assert (s.bill_minor[1], s.price_per_kwh[1], s.benefit_per_kwh[1]) == (0, 0.6, 0.0)
    assert not referee.violations(problem, s)


def test_nobody_uses_anything():
    s = settle(settlement_of(np.zeros((2, 3))))
    assert (s.cost_minor, s.profit_minor) == (0, 0)
    assert s.bill_minor.tolist() == [0, 0]


@pytest.mark.parametrize("digits", [0, 2, 3])
def test_money_balances_in_yen_cents_and_fils(digits):
    rng = np.random.default_rng(digits)
    problem = settlement_of(rng.gamma(2.0, 10.0, (50, 24)), digits=digits, rate=0.07)
    s = settle(problem)
    assert s.bill_minor.sum() == s.cost_minor + s.profit_minor
    assert np.abs(s.bill_minor - s.bill * 10**digits).max() < 1.0
    assert not referee.violations(problem, s)


def test_identical_users_are_at_most_one_unit_apart():
    rng = np.random.default_rng(8)
    kinds = rng.gamma(2.0, 1.0, (3, 24))
    kind = rng.integers(0, 3, 300)
    s = settle(settlement_of(kinds[kind], rate=0.033))
    for k in range(3):
        for minor in (s.bill_minor, s.share_minor):
            assert np.ptp(minor[kind == k]) <= 1


def test_float32_loads_settle_as_their_float64_values():
    load = np.random.default_rng(1).gamma(2.0, 1.0, (2000, 24)).astype(np.float32)
    one, other = settle(settlement_of(load)), settle(settlement_of(load.astype(np.float64)))
    assert (one.bill_minor == other.bill_minor).all()


@pytest.mark.parametrize("rule", list(SharingRule))
def test_every_rule_balances_to_the_minor_unit(rule):
    rng = np.random.default_rng(17)
    for _ in range(5):
        problem = random_settlement(rng, rule=rule)
        solution = solve(problem)
        assert solution.termination.reason is Reason.OPTIMAL
        assert not referee.violations(problem, solution.settlement)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_settlements_keep_every_rule(seed):
    problem = random_settlement(np.random.default_rng(seed))
    assert not referee.violations(problem, settle(problem))


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_referee_agrees_at_any_scale(seed):
    """Loads from milliwatts to gigawatts side by side, and prices that cancel at a flat load."""
    rng = np.random.default_rng(seed)
    count, slots = int(rng.integers(1, 6)), int(rng.integers(1, 30))
    load = rng.gamma(1.0, 1.0, (count, slots)) if rng.random() < 0.7 else np.ones((count, slots))
    load = load * 10.0 ** rng.uniform(-6, 6, (count, 1))
    base = 10.0 ** rng.uniform(-3, 1)
    problem = settlement_of(
        load,
        schedule=(prices.affine(base, base), prices.load_factor(base, base))[rng.integers(2)],
        highest=base * rng.uniform(0.0, 3.0, count),
        digits=int(rng.integers(0, 5)),
        rate=rng.random(),
        mode=list(Mode)[rng.integers(2)],
        peak=Peak(mode=list(PeakMode)[rng.integers(3)]),
    )
    found = settle(problem)
    assert referee.violations(problem, found) == []
    assert (found.refund_minor == found.prepaid_minor - found.bill_minor).all()


@pytest.mark.parametrize("rule", list(SharingRule))
def test_hundreds_of_settlements_by_each_rule_keep_every_rule(rule):
    settled = 0
    for seed in range(200):
        problem = random_settlement(np.random.default_rng(seed), rule=rule)
        try:
            found = settle(problem, seed)
        except InvalidProblem:  # nobody's leaving saves anything
            assert rule is SharingRule.LEAVE_ONE_OUT
            continue
        assert referee.violations(problem, found) == [], seed
        settled += 1
    assert settled > 190


def drawn(rng, rows):
    """Energies and cost shares (rows, 5) of as many settlements, by the formulas of the design."""
    load = rng.gamma(1.0, 20.0, (rows, 5, 4))
    a, b, hours = 0.3, 0.1, 4.0
    total = load.sum(axis=1)
    energy, peak = load.sum(axis=2), total.max(axis=1, keepdims=True)
    at_peak = np.take_along_axis(load, total.argmax(axis=1)[:, None, None], axis=2)[:, :, 0]
    whole = total.sum(axis=1, keepdims=True)
    factor = whole / (hours * peak)
    contribution = factor * (energy / whole - at_peak / peak)
    price, slope = a + b / factor, -b / factor**2  # by the load factor, not by its inverse
    return energy, price * energy + whole * slope * contribution, (price * whole)[:, 0]


@pytest.mark.parametrize("digits", [0, 2, 3])
def test_a_million_random_accounts_balance_to_the_minor_unit(digits):
    """In rows of their own; with three currencies and two modes a million in all."""
    rng = np.random.default_rng(2024 + digits)
    names, scale = ("a", "b", "c", "d", "e"), 10**digits
    currency = Currency(code="EUR", minor_digits=digits)
    for mode, rows in ((Mode.BENEFIT_SHARE, 200_000), (Mode.COST_PLUS, 133_334)):
        energy, share, cost = drawn(rng, rows)
        highest = rng.uniform(0.1, 0.6, (rows, 1))
        rate = rng.uniform(0.0, 1.0, (rows, 1))
        bill = bills(energy, share, highest, rate, mode)
        rent = rng.choice([0.0, 1.234], rows)
        told = account(
            share=share + rent[:, None] / 5.0,
            rent=rent,
            bill=bill + rent[:, None] / 5.0,
            prepaid_minor=to_nearest(scale * highest * energy),
            currency=currency,
            names=names,
        )
        shared, billed = told.share_minor.sum(axis=1), told.bill_minor.sum(axis=1)
        assert (shared == told.cost_minor + told.rent_minor).all()
        assert (billed == told.cost_minor + told.rent_minor + told.profit_minor).all()
        assert np.abs(told.cost_minor - scale * cost).max() <= 1.0 + 1e-6
        assert np.abs(told.bill_minor - scale * (bill + rent[:, None] / 5.0)).max() < 1.0
        assert np.abs(told.share_minor - scale * (share + rent[:, None] / 5.0)).max() < 1.0
        assert (told.rent_minor == to_nearest(scale * rent)).all()


def test_amounts_beyond_what_floats_tell_are_refused():
    problem = settlement_of(
        np.full((2, 20), 1e9), schedule=prices.affine(1e4, 1e4), digits=4, highest=1e3
    )
    with pytest.raises(InvalidProblem, match="can be settled to the minor unit"):
        settle(problem)
