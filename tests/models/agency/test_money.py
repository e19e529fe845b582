"""Minor units: nearest, apportioned, in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadloom.models.agency.money import apportion, in_minor_units, in_words, to_nearest
from loadloom.models.agency.problem import Currency
from loadloom.models.checks import InvalidProblem

EUR = Currency(code="EUR")


def test_halves_go_away_from_zero_and_floats_noise_does_not_decide():
    amounts = np.array([2.675 * 100, 0.5, -0.5, 1.4999, -2.5, 0.0, 1e14 + 0.5])
    assert to_nearest(amounts).tolist() == [268, 1, -1, 1, -3, 0, 10**14 + 1]
    assert 1.005 * 100 < 100.5
    assert to_nearest(np.array([1.005 * 100, -1.005 * 100])).tolist() == [101, -101]


def test_the_largest_remainders_are_rounded_up():
    assert apportion(np.array([1.2, 1.7, 1.1]), 4, ("a", "b", "c")).tolist() == [1, 2, 1]


def test_ties_go_to_the_name_that_sorts_first():
    assert apportion(np.full(3, 100 / 3), 100, ("b", "a", "c")).tolist() == [33, 34, 33]


def test_negative_amounts_are_apportioned_too():
    assert apportion(np.array([-1.5, 2.5]), 1, ("a", "b")).tolist() == [-1, 2]


def test_rows_are_apportioned_by_themselves():
    amounts = np.array([[0.5, 0.5], [1.25, 1.75]])
    assert apportion(amounts, np.array([1, 3]), ("b", "a")).tolist() == [[0, 1], [1, 2]]


def test_a_total_that_is_not_the_sum_is_refused():
    for total in (1, 5):
        with pytest.raises(ValueError, match="not what its amounts add up to"):
            apportion(np.array([1.5, 1.5]), total, ("a", "b"))


@given(
    st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 4)), min_size=1, max_size=30),
    st.integers(0, 2**32 - 1),
)
def test_apportioned_amounts_add_up_keep_their_order_and_move_less_than_a_unit(amounts, seed):
    values = np.array(amounts)
    names = [f"{i:02d}" for i in np.random.default_rng(seed).permutation(values.size)]
    total = int(to_nearest(values.sum()))
    found = apportion(values, total, names)
    assert found.sum() == total
    assert np.abs(found - values).max() < 1.0
    order = np.argsort(values, kind="stable")
    same_whole = np.diff(np.floor(values[order])) == 0
    assert (np.diff(found[order])[same_whole & (np.diff(values[order]) > 2e-6)] >= 0).all()


@pytest.mark.parametrize("amount", [np.nan, np.inf, 1e14])
def test_what_cannot_be_told_to_the_unit_is_refused(amount):
    with pytest.raises(InvalidProblem, match="bills: adds up to"):
        in_minor_units("bills", np.array([1.0, amount]), EUR)


@pytest.mark.parametrize(
    ("minor", "digits", "words"),
    [(186, 2, "1.86"), (-5, 2, "-0.05"), (1234, 0, "1234"), (7, 3, "0.007"), (10, 1, "1.0")],
)
def test_amounts_in_words(minor, digits, words):
    assert in_words(minor, Currency(code="XXX", minor_digits=digits)) == words
