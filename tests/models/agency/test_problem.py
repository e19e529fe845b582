"""What settlements ask of their data, told all at once with paths."""

from datetime import UTC, datetime

import numpy as np
import pytest

from loadloom.models.agency.prices import affine
from loadloom.models.agency.problem import Curves, Mode, Peak, PeakMode, Purchase, SharingRule
from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import Horizon
from tests.models.agency.settlements import by_hand, settlement_of

HORIZON = Horizon(start=datetime(2024, 1, 1, tzinfo=UTC), step_h=np.ones(2))


def faults(make):
    with pytest.raises(InvalidProblem) as told:
        make()
    return {violation.path: violation.message for violation in told.value.violations}


def test_all_faults_of_curves_at_once():
    load = np.array([[1.0, np.nan], [-1.0, 2.0]])
    found = faults(lambda: Curves(names=("a", "a"), load_kw=load, horizon=HORIZON))
    assert found["curves.names[1]"].startswith("'a' is also curves.names[0]")
    assert found["curves.load_kw[0][1]"] == "is nan (and 1 more); must be a number from 0 to 1e+09"


def test_names_and_shapes():
    assert "curves.names" in faults(
        lambda: Curves(names=(), load_kw=np.zeros((0, 2)), horizon=HORIZON)
    )
    found = faults(lambda: Curves(names=("", "b"), load_kw=np.ones((2, 3)), horizon=HORIZON))
    assert set(found) == {"curves.names[0]", "curves.load_kw"}


def test_loads_are_kept_as_they_are_or_made_float64():
    columns = np.ones((2, 2), np.float32, order="F")
    curves = Curves(names=("a", "b"), load_kw=columns, horizon=HORIZON)
    assert curves.load_kw.flags.c_contiguous
    assert curves.load_kw.dtype == np.float32
    whole = Curves(names=("a", "b"), load_kw=np.ones((2, 2), int), horizon=HORIZON)
    assert whole.load_kw.dtype == np.float64


def test_all_faults_of_terms_at_once():
    found = faults(
        lambda: settlement_of(
            [[1.0, 2.0]],
            highest=[-1.0],
            rate=1.5,
            digits=5,
            prepaid_minor=np.array([-3]),
            purchase=Purchase(cost=np.nan, slot_price_per_kwh=np.array([np.inf, 1.0])),
            peak=Peak(mode=PeakMode.MEAN_OF_TOP_PEAKS, count=9),
        )
    )
    assert set(found) == {
        "highest_price_per_kwh[0]",
        "profit_rate",
        "currency.minor_digits",
        "prepaid_minor[0]",
        "purchase.cost",
        "purchase.slot_price_per_kwh[0]",
        "peak.count",
    }


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        ({"highest": [0.1, 0.2, 0.3]}, "highest_price_per_kwh"),
        ({"highest": np.nan}, "highest_price_per_kwh"),
        ({"rate": np.nan}, "profit_rate"),
        ({"prepaid_minor": np.array([1])}, "prepaid_minor"),
        ({"prepaid_minor": np.array([1.0, 2.0])}, "prepaid_minor"),
        ({"prepaid_minor": np.full(2, 9 * 10**14)}, "prepaid_minor"),
        ({"rule": SharingRule.OWEN_DUALS}, "rule"),
        (
            {
                "rule": SharingRule.SHAPLEY,
                "purchase": Purchase(cost=1.0, slot_price_per_kwh=np.ones(2)),
            },
            "rule",
        ),
        ({"purchase": None, "schedule": None}, "schedule"),
        (
            {
                "purchase": Purchase(cost=1.0, slot_price_per_kwh=np.ones(2)),
                "schedule": affine(0.1, 0.1),
            },
            "schedule",
        ),
        ({"peak": Peak(count=0)}, "peak.count"),
    ],
)
def test_faults_one_by_one(terms, path):
    assert path in faults(lambda: by_hand(**terms))


def test_defaults():
    problem = by_hand()
    assert problem.sharing_rule is SharingRule.AUMANN_SHAPLEY
    assert problem.mode is Mode.BENEFIT_SHARE
    assert problem.has_one_price
    bought = by_hand(purchase=Purchase(cost=1.0, slot_price_per_kwh=np.ones(2)))
    assert bought.sharing_rule is SharingRule.OWEN_DUALS


def test_days_are_local_days():
    horizon = Horizon(
        start=datetime(2024, 3, 30, 23, tzinfo=UTC), step_h=np.ones(47), time_zone="Europe/Berlin"
    )
    curves = Curves(names=("a",), load_kw=np.ones((1, 47)), horizon=horizon)
    assert curves.day_first.tolist() == [0, 23, 47]
