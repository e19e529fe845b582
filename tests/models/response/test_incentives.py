"""Incentives made into offers: the law of a reduction, and what it costs."""

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.response.incentives import logistic, offers_of
from loadloom.models.response.problem import Problem
from loadloom.models.response.referee import figures
from tests.models.response import calls


def test_a_logistic_curve_by_hand():
    p = logistic(np.array([0.0, 1.0, 2.0]), intercept=-1.0, slope=1.0, ceiling=0.8)
    assert p.shape == (1, 3)
    assert p[0] == pytest.approx([0.8 / (1 + np.e), 0.4, 0.8 / (1 + np.exp(-1.0))])


def test_a_logistic_curve_of_each_customer_never_leaves_its_range():
    p = logistic(
        np.linspace(0.0, 1e6, 5),
        intercept=np.array([-1e3, 0.0]),
        slope=np.array([10.0, 0.0]),
        ceiling=np.array([0.5, 1.0]),
    )
    assert p.shape == (2, 5)
    assert (np.diff(p[0]) >= 0.0).all()
    assert p.min() >= 0.0
    assert p.max() <= 0.5
    assert p[1].tolist() == [0.5] * 5


def test_offers_by_hand():
    offers = offers_of(
        np.array([0.2, 0.5]),
        np.array([[0.4, 0.5], [0.0, 1.0]]),
        size_kw=np.array([2.0, 3.0]),
        size_sd_kw=np.array([0.5, 1.0]),
        hours=np.array([1.0, 0.5]),
        contact_cost=0.1,
        fatigue_cost=np.array([0.0, 0.3]),
    )
    assert offers.customers.tolist() == [0, 0, 1, 1]
    assert offers.mean_kw[:, 0] == pytest.approx([0.8, 1.0, 0.0, 3.0])
    assert offers.variance_kw2[:, 0] == pytest.approx(
        [0.4 * 0.25 + 0.24 * 4.0, 0.5 * 0.25 + 0.25 * 4.0, 0.0, 1.0]
    )
    paid = [0.2 * 0.8 * 1.5, 0.5 * 1.0 * 1.5, 0.0, 0.5 * 3.0 * 1.5]
    assert offers.cost == pytest.approx(np.add(paid, [0.1, 0.1, 0.4, 0.4]))
    assert np.asarray(offers.fixed_cost).tolist() == [0.1, 0.1, 0.4, 0.4]


def test_slots_of_different_size():
    offers = offers_of(
        np.array([1.0]),
        np.array([[0.5]]),
        size_kw=np.array([[2.0, 4.0]]),
        size_sd_kw=np.array([[0.0, 1.0]]),
        hours=np.array([1.0, 0.25]),
        loading=np.array([[0.3]]),
    )
    assert offers.mean_kw.tolist() == [[1.0, 2.0]]
    assert offers.variance_kw2.tolist() == [[1.0, 0.5 + 4.0]]
    assert offers.cost.tolist() == [1.0 + 0.5]
    assert offers.loading is not None


def test_moments_are_those_of_the_law():
    random = np.random.default_rng(4)
    offers = offers_of(
        np.array([0.3]),
        np.array([[0.37]]),
        size_kw=np.array([2.5]),
        size_sd_kw=np.array([0.8]),
        hours=1.0,
    )
    accepted = random.random(400_000) < 0.37
    given = accepted * (2.5 + 0.8 * random.standard_normal(400_000))
    assert given.mean() == pytest.approx(offers.mean_kw[0, 0], rel=0.01)
    assert given.var() == pytest.approx(offers.variance_kw2[0, 0], rel=0.01)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"incentive": np.array([-0.1])}, "incentive[0]"),
        ({"acceptance": np.array([[1.2]])}, "acceptance[0]"),
        ({"acceptance": np.array([[0.2], [0.3]])}, "acceptance"),
        ({"size_kw": np.array([-1.0])}, "size_kw[0]"),
        ({"size_sd_kw": np.array([np.nan])}, "size_sd_kw[0]"),
        ({"size_sd_kw": np.array([[1.0, 1.0]])}, "size_sd_kw"),
        ({"hours": np.array([-1.0])}, "hours[0]"),
        (
            {"size_kw": np.ones((1, 2)), "size_sd_kw": np.ones((1, 2)), "hours": np.ones(3)},
            "size_kw",
        ),
    ],
)
def test_bad_curves_are_refused_by_their_path(change, path):
    good = {
        "incentive": np.array([0.1]),
        "acceptance": np.array([[0.5]]),
        "size_kw": np.array([1.0]),
        "size_sd_kw": np.array([1.0]),
        "hours": np.array([1.0]),
    }
    given = good | change
    with pytest.raises(InvalidProblem) as refused:
        offers_of(given.pop("incentive"), given.pop("acceptance"), **given)
    assert path in {violation.path for violation in refused.value.violations}


def test_what_is_promised_for_taking_part_is_part_of_the_cost_and_of_its_spread():
    offers = offers_of(
        np.array([0.2, 0.5]),
        np.array([[0.25, 0.75]]),
        size_kw=np.array([2.0]),
        size_sd_kw=np.array([0.5]),
        hours=3.0,
        contact_cost=0.1,
        fixed_payment=np.array([1.0, 4.0]),
    )
    assert offers.cost == pytest.approx([0.1 + 0.25 * (1.2 + 1.0), 0.1 + 0.75 * (3.0 + 4.0)])
    problem = Problem(
        offers=offers, customers=calls.customers(1), network=calls.network([1.0], confidence=0.5)
    )
    found = figures(problem, np.array([1], np.int32))
    # Whoever accepts is paid 4 and 1.5 for each kW, of which there are 2, give or take 0.5.
    accepted = 0.75 * 0.25 * (4.0 + 1.5 * 2.0) ** 2 + 0.75 * (1.5 * 0.5) ** 2
    assert found.cost_sd == pytest.approx(accepted**0.5)
    assert problem.offers.fixed_payment.tolist() == [1.0, 4.0]
