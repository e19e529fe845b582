"""Corrections reference what they correct, and their differences balance without a rest."""

import numpy as np
import pytest

from loadloom.models.agency import referee
from loadloom.models.agency.correction import Readings, correct, correct_again, corrected
from loadloom.models.agency.problem import Purchase
from loadloom.models.agency.settle import settle
from loadloom.models.checks import InvalidProblem
from tests.models.agency.settlements import by_hand, random_settlement


def readings(*entries):
    user, slot, load = zip(*entries, strict=True)
    return Readings(user=np.array(user), slot=np.array(slot), load_kw=np.array(load))


def test_a_reading_corrected_by_hand():
    problem = by_hand()
    first = settle(problem)
    # The first user's peak was 2 kW, not 3: A = (3, 3), a flat load at 0.4 per kWh. Both slots tie,
    # so each user's load at the peak is its mean: x = (0.3 + 0.1 * 2 / 2) * 3 = 1.2 for each.
    found = correct(problem, first, readings((0, 0, 2.0)), corrects="settlements/1")
    assert (found.corrects, found.number) == ("settlements/1", 1)
    assert found.settlement.share_minor.tolist() == [120, 120]
    assert found.settlement.prepaid_minor.tolist() == [240, 180]  # what was paid does not change
    assert found.settlement.bill_minor.tolist() == [126, 126]
    assert found.bill_difference_minor.tolist() == [-60, 9]
    assert (found.cost_difference_minor, found.profit_difference_minor) == (-50, -1)


def test_a_chain_of_corrections_adds_up_to_the_last_bill():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        problem = random_settlement(rng)
        first = settle(problem)
        count, slots = problem.curves.load_kw.shape
        found, sums = None, np.zeros(count, np.int64)
        for number in range(1, 4):
            places = rng.choice(count * slots, size=min(3, count * slots), replace=False)
            entries = Readings(
                user=places // slots, slot=places % slots, load_kw=rng.gamma(1.0, 3.0, places.size)
            )
            name = f"settlements/{number}"
            if found is None:
                found = correct(problem, first, entries, corrects=name)
            else:
                found = correct_again(found, entries, corrects=name)
            sums += found.bill_difference_minor
            assert (found.number, found.corrects) == (number, name)
            due = found.cost_difference_minor + found.rent_difference_minor
            assert found.share_difference_minor.sum() == due
            assert found.bill_difference_minor.sum() == due + found.profit_difference_minor
            assert (found.settlement.prepaid_minor == first.prepaid_minor).all()
            assert not referee.violations(found.problem, found.settlement)
        assert (sums == found.settlement.bill_minor - first.bill_minor).all()


def test_the_same_reading_again_changes_nothing():
    problem = by_hand()
    found = correct(problem, settle(problem), readings((1, 1, 2.0)), corrects="settlements/1")
    assert not found.bill_difference_minor.any()
    assert found.cost_difference_minor == 0


def test_what_was_settled_stays_as_it_was():
    problem = by_hand()
    before = problem.curves.load_kw.copy()
    correct(problem, settle(problem), readings((0, 0, 9.0)), corrects="settlements/1")
    assert (problem.curves.load_kw == before).all()


def test_a_purchase_is_corrected_with_what_the_corrected_load_costs():
    price = np.array([0.4, 0.2])
    problem = by_hand(purchase=Purchase(cost=2.2, slot_price_per_kwh=price))
    first = settle(problem)
    entries = readings((0, 0, 2.0))
    with pytest.raises(InvalidProblem, match=r"purchase\.rent"):
        correct(problem, first, entries, corrects="settlements/1")
    anew = Purchase(cost=1.8, slot_price_per_kwh=price)
    found = correct(problem, first, entries, corrects="settlements/1", purchase=anew)
    assert found.share_difference_minor.tolist() == [-40, 0]


def test_all_faults_of_readings_are_told():
    curves = by_hand().curves
    with pytest.raises(InvalidProblem) as told:
        corrected(curves, readings((2, 0, 1.0), (0, -1, np.nan)))
    paths = {violation.path for violation in told.value.violations}
    assert paths == {"readings.user[0]", "readings.slot[1]", "readings.load_kw[1]"}
    with pytest.raises(InvalidProblem, match="a second time"):
        corrected(curves, readings((0, 1, 1.0), (0, 1, 2.0)))
    none = Readings(user=np.zeros(0, int), slot=np.zeros(0, int), load_kw=np.zeros(0))
    with pytest.raises(InvalidProblem, match="has no entries"):
        corrected(curves, none)
