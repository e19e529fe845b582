"""Payments to the cent, and a referee that sees every wrong one."""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from loadloom.models.agency.problem import Currency
from loadloom.models.checks import InvalidProblem
from loadloom.models.response.baseline_rule import Method, Note
from loadloom.models.response.measure import Measured
from loadloom.models.response.pay import Rounding, Terms, in_formula, pay
from loadloom.models.response.settle import settle
from loadloom.models.response.settlement_referee import violations
from tests.models.response.readings import random_request

EUR = Currency(code="EUR")
YEN = Currency(code="JPY", minor_digits=0)


def delivered(wh, offered_kwh=1.0):
    """Deliveries of these Wh by customer and slot, and nothing else known."""
    table = np.array(wh, dtype=np.int64)
    zeros = np.zeros(len(table))
    return Measured(
        actual_kw=np.zeros(table.shape),
        saved_kwh=table / 1000,
        moved_kwh=zeros,
        rebound_kwh=zeros,
        delivered_wh=table,
        net_kw=zeros,
        missing_count=np.zeros(len(table), np.int64),
        offered_kwh=np.full(len(table), offered_kwh),
    )


def terms(price, **kinds):
    return Terms(**{"currency": EUR, "price_per_kwh": np.array(price, dtype=float)} | kinds)


def test_energy_is_paid_to_the_nearest_cent_halves_away_from_zero():
    found = pay(delivered([[3250], [100], [10], [30], [0]]), terms(0.35))
    # 1.1375, 0.035, 0.0035, 0.0105 and 0 EUR: the second is a half.
    assert found.energy_minor.tolist() == [114, 4, 0, 1, 0]
    assert found.sum_minor == 119


def test_prices_that_floats_lack_are_exact():
    found = pay(delivered([[1000], [5000]]), terms(2.675))
    assert found.energy_minor.tolist() == [268, 1338]  # floats make 267.49999999999994 of it


@pytest.mark.parametrize(
    ("price", "energy"),
    [(0.3, [90, 60]), ([[0.3], [0.1]], [90, 20]), ([[0.1, 0.4]], [90, 20]),
     ([[0.1, 0.4], [0.2, 9.0]], [90, 40])],
)  # fmt: skip
def test_prices_are_of_all_of_customers_of_slots_or_of_both(price, energy):
    assert pay(delivered([[1000, 2000], [2000, 0]]), terms(price)).energy_minor.tolist() == energy


def test_currencies_have_their_own_minor_units():
    assert pay(delivered([[1500]]), terms(31.0, currency=YEN)).energy_minor.tolist() == [47]
    fils = Currency(code="KWD", minor_digits=3)
    assert pay(delivered([[1500]]), terms(0.031, currency=fils)).energy_minor.tolist() == [47]


def test_the_largest_remainders_share_the_rounded_sum():
    wh = [[1000], [1000], [1000]]
    by = {"rounding": Rounding.LARGEST_REMAINDER}
    found = pay(delivered(wh), terms(0.004, **by), ("b", "c", "a"))
    assert found.energy_minor.tolist() == [0, 0, 1]  # 1.2 cents
    assert pay(delivered(wh), terms(0.004, **by)).energy_minor.tolist() == [1, 0, 0]
    assert pay(delivered(wh), terms(0.004)).energy_minor.tolist() == [0, 0, 0]


def test_who_took_part_gets_what_was_promised_if_it_delivered_enough():
    fixed = {"fixed_minor": np.array([200])}
    some = delivered([[700], [699], [900]])
    assert pay(some, terms(0.0, **fixed)).fixed_minor.tolist() == [200, 200, 200]
    part = np.array([True, True, False])
    found = pay(some, terms(0.0, taking_part=part, fixed_from_share=0.7, **fixed))
    assert found.fixed_minor.tolist() == [200, 0, 0]
    assert found.total_minor.tolist() == [200, 0, 0]


def test_a_statement_can_be_followed_with_pencil_and_paper():
    one = terms([[0.35, 0.4]], fixed_minor=np.array([200]))
    measured = delivered([[3250, 1000], [0, 0]])
    words = in_formula(measured, one, pay(measured, one), 0)
    assert words == (
        "3.250 kWh x 0.35 + 1.000 kWh x 0.4 = 1.5375, to the minor unit 1.54 EUR; "
        "2.00 EUR for taking part; 3.54 EUR in all"
    )
    plain = replace(one, fixed_minor=None)
    words = in_formula(measured, plain, pay(measured, plain), 1)
    assert words == "0.000 kWh x 0.35 + 0.000 kWh x 0.4 = 0, to the minor unit 0.00 EUR"


def test_payments_agree_with_fractions():
    rng = np.random.default_rng(1)
    wh = rng.integers(0, 50_000, (400, 4))
    micro = rng.integers(0, 900_000, (400, 4))
    found = pay(delivered(wh), terms(micro / 1e6))
    for i in range(400):
        exact = Fraction(int((wh[i] * micro[i]).sum()), 10**7)
        assert found.energy_minor[i] == int(exact + Fraction(1, 2))
    shared = pay(delivered(wh), terms(micro / 1e6, rounding=Rounding.LARGEST_REMAINDER))
    total = Fraction(int((wh * micro).sum()), 10**7)
    assert shared.sum_minor == int(total + Fraction(1, 2))
    assert np.abs(shared.energy_minor - found.energy_minor).max() <= 1


BAD = [
    (terms([0.1, 0.2, 0.3]), "terms.price_per_kwh", "has shape (1, 3)"),
    (terms(-0.1), "terms.price_per_kwh[0]", "is -0.1"),
    (terms(np.nan), "terms.price_per_kwh[0]", "is nan"),
    (terms(0.1234567), "terms.price_per_kwh", "is 0.1234567; must have at most 6 decimals"),
    (terms(0.1, fixed_minor=np.array([1, 2, 3])), "terms.fixed_minor", "has shape (3,)"),
    (terms(0.1, fixed_minor=np.array([-1])), "terms.fixed_minor", "must be from 0"),
    (terms(0.1, taking_part=np.array([True])), "terms.taking_part", "has shape (1,)"),
    (terms(0.1, fixed_from_share=2.0), "terms.fixed_from_share", "is 2"),
]


@pytest.mark.parametrize(("broken", "path", "message"), BAD)
def test_terms_that_break_a_rule_are_named(broken, path, message):
    with pytest.raises(InvalidProblem) as caught:
        pay(delivered([[1000, 1000], [1000, 1000]]), broken)
    assert any(v.path == path and message in v.message for v in caught.value.violations)


def test_amounts_that_cannot_be_told_to_the_cent_are_refused():
    with pytest.raises(InvalidProblem, match="makes payments of"):
        pay(delivered([[10**12]]), terms(1e6))
    with pytest.raises(InvalidProblem, match="it must be known what was offered"):
        pay(delivered([[1]], np.nan), terms(0.1, fixed_from_share=0.5))


@pytest.mark.parametrize("seed", range(300))
def test_the_referee_agrees_with_every_settlement(seed):
    request = random_request(seed)
    assert violations(request, settle(request)) == []


@cache
def sound(method=Method.LAST_DAYS, rounding=Rounding.NEAREST):
    """A settlement with money in it, by a method and a way to round."""
    for seed in range(1000, 3000):
        request = random_request(seed)
        if request.baseline_rule.method is not method or request.terms.rounding is not rounding:
            continue
        answer = settle(request)
        usable = answer.payments.energy_minor.min() > 1 and answer.payments.fixed_minor.sum() > 0
        if usable and (answer.baselines.note != Note.TOO_FEW_DAYS).all():
            return request, answer
    raise AssertionError("no settlement of this kind among the random ones")


def mutated(answer, part, name, i, change):
    values = getattr(getattr(answer, part), name).copy()
    values[i] = np.nan_to_num(values[i]) + change
    return replace(answer, **{part: replace(getattr(answer, part), **{name: values})})


MUTATIONS = [
    ("baselines", "kw", 1, 0.01),
    ("baselines", "note", 1, Note.TOO_FEW_DAYS),
    ("baselines", "note", 1, Note.NO_CONTROLS),
    ("baselines", "noise_kw", 1, 0.01),
    ("baselines", "unadjusted_kw", 1, 0.01),
    ("baselines", "adjustment", 1, 0.01),
    ("baselines", "day_count", 1, 1),
    ("baselines", "days", 1, 1),
    ("measured", "delivered_wh", 1, 3),
    ("measured", "actual_kw", 1, 0.01),
    ("measured", "saved_kwh", 1, 0.01),
    ("measured", "offered_kwh", 1, 0.01),
    ("measured", "moved_kwh", 1, 0.1),
    ("measured", "rebound_kwh", 1, 0.1),
    ("measured", "net_kw", 1, 0.1),
    ("measured", "missing_count", 1, 1),
    ("payments", "energy_minor", 1, 1),
    ("payments", "energy_minor", 1, -1),
    ("payments", "fixed_minor", 1, 1),
]


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize(("part", "name", "i", "change"), MUTATIONS)
def test_the_referee_sees_every_figure_that_is_off(method, part, name, i, change):
    request, answer = sound(method)
    found = violations(request, mutated(answer, part, name, i, change))
    assert any(v.path.startswith(f"{part}.") for v in found)


def test_the_referee_sees_amounts_that_were_rounded_unfairly():
    request, answer = sound(rounding=Rounding.LARGEST_REMAINDER)
    one_more = mutated(answer, "payments", "energy_minor", 0, 1)
    assert any(
        "add up" in v.message or "rounded" in v.message for v in violations(request, one_more)
    )
    wh, price = answer.measured.delivered_wh, np.atleast_2d(request.terms.price_per_kwh)
    step = 10 ** (9 - request.terms.currency.minor_digits)
    exact = (wh * np.rint(price * 1e6).astype(int)).sum(axis=1)
    rest = exact % step
    up = int(np.argmax(rest))
    down = int(np.argmin(rest))
    floor = exact // step
    assert rest[up] > rest[down]
    assert answer.payments.energy_minor[up] > floor[up]
    swapped = mutated(answer, "payments", "energy_minor", [up, down], np.array([-1, 1]))
    assert any(v.path.startswith("payments") for v in violations(request, swapped))


def test_the_referee_sees_answers_of_another_shape():
    request, answer = sound()
    cut = replace(answer.payments, energy_minor=answer.payments.energy_minor[:-1])
    found = violations(request, replace(answer, payments=cut))
    assert [v.path for v in found] == ["payments.energy_minor"]
