"""What was delivered: each kWh once, by hand and by law."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.response.baseline import baselines
from loadloom.models.response.baseline_rule import BaselineRule
from loadloom.models.response.measure import Called, DeliveryRule, measure
from loadloom.models.response.similar_days import Span
from tests.models.response.readings import EVENT_DAY, evening, flat


def measured(loads, *, event=None, called=None, rule=None, slot_h=None):
    """The deliveries of customers with baselines of 100 kW who drew these loads from 17 on."""
    loads = np.atleast_2d(np.array(loads, dtype=float))
    readings = replace(flat(len(loads)), slot_h=slot_h)
    readings.load_kw[:, EVENT_DAY, 17 : 17 + loads.shape[1]] = loads
    event = event or evening()
    found = baselines(readings, event, BaselineRule())
    return measure(readings, event, found, called, rule)


def test_baseline_less_load_is_delivered_and_never_less_than_nothing():
    found = measured([[60, 75], [100, 100], [130, 120]])
    assert found.delivered_wh.tolist() == [[40_000, 25_000], [0, 0], [0, 0]]
    assert found.net_kw.tolist() == [32.5, 0, -25]
    assert found.energy_wh.tolist() == [65_000, 0, 0]


def test_energy_moved_within_the_window_is_not_paid_for():
    found = measured([[40, 160], [40, 120], [130, 40]])
    assert found.saved_kwh.sum(axis=1).tolist() == [60, 60, 60]
    assert found.moved_kwh.tolist() == [60, 20, 30]
    assert found.delivered_wh.tolist() == [[0, 0], [40_000, 0], [0, 30_000]]


def test_what_is_moved_is_taken_off_each_slot_in_proportion():
    event = evening(window=Span(first=17, count=3))
    found = measured([[70, 90, 120]], event=event)
    assert found.delivered_wh.tolist() == [[15_000, 5_000, 0]]


def test_rebound_after_the_window_is_measured_and_taken_off_only_where_agreed():
    event = evening(after_count=2)
    loads = [[50, 50, 130, 90]]
    assert measured(loads, event=event).energy_wh.tolist() == [100_000]
    rule = DeliveryRule(deducted_rebound_share=0.5)
    found = measured(loads, event=event, rule=rule)
    assert found.rebound_kwh.tolist() == [30]
    assert found.energy_wh.tolist() == [85_000]


def test_who_joins_late_is_measured_from_then_on():
    called = Called(slots=np.array([[False, True], [True, False]]))
    found = measured([[160, 40], [40, 160]], called=called)
    assert found.delivered_wh.tolist() == [[0, 60_000], [0, 0]]
    assert found.net_kw.tolist() == [60, 60]
    assert measured([[40, 40]], called=Called(slots=np.zeros((1, 2), bool))).energy_wh[0] == 0


def test_no_more_counts_than_a_share_of_what_was_offered():
    called = Called(offered_kw=np.array([20.0]))
    rule = DeliveryRule(most_share=1.2)
    found = measured([[50, 90]], called=called, rule=rule)
    assert found.offered_kwh.tolist() == [40]
    assert found.delivered_wh.tolist() == [[40_000, 8_000]]


@pytest.mark.parametrize(("load", "energy"), [(90, 20_000), (91, 0)])
def test_below_the_least_share_nothing_was_delivered(load, energy):
    called = Called(offered_kw=np.array([[20.0, 20.0]]))
    rule = DeliveryRule(least_share=0.5)
    assert measured([[load, load]], called=called, rule=rule).energy_wh.tolist() == [energy]


def test_slots_without_a_reading_deliver_nothing_and_are_counted():
    found = measured([[np.nan, 40], [np.nan, np.nan]])
    assert found.delivered_wh.tolist() == [[0, 60_000], [0, 0]]
    assert found.missing_count.tolist() == [1, 2]
    assert found.net_kw[0] == 60
    assert np.isnan(found.net_kw[1])


def test_who_has_no_baseline_delivers_nothing():
    readings = flat(2)
    readings.load_kw[0, :EVENT_DAY] = np.nan
    readings.load_kw[:, EVENT_DAY, 17:19] = 40
    found = measure(readings, evening(), baselines(readings, evening(), BaselineRule()))
    assert found.energy_wh.tolist() == [0, 120_000]
    assert found.missing_count.tolist() == [2, 0]


def test_slots_last_as_long_as_they_do():
    hours = np.ones(24)
    hours[17] = 2.0
    found = measured([[60, 90]], slot_h=hours)
    assert found.delivered_wh.tolist() == [[80_000, 10_000]]
    assert found.net_kw[0] == 30


def test_whole_wh_add_up_to_what_is_left_to_the_nearest_wh():
    rng = np.random.default_rng(1)
    event = evening(window=Span(first=17, count=5))
    found = measured(100 - rng.random((500, 5)) * 0.01 + 0.002, event=event)
    left = np.maximum(0, found.saved_kwh.sum(axis=1) - found.moved_kwh) * 1000
    assert np.abs(found.energy_wh - left).max() <= 0.5 + 1e-6
    assert found.delivered_wh.min() >= 0


def test_saving_more_never_delivers_less():
    rng = np.random.default_rng(2)
    event = evening(window=Span(first=17, count=4), after_count=1)
    loads = 60 + 80 * rng.random((300, 5))
    called = Called(offered_kw=np.full(300, 30.0))
    rule = DeliveryRule(most_share=1.5, least_share=0.3, deducted_rebound_share=0.2)
    before = measured(loads, event=event, called=called, rule=rule).energy_wh
    loads[np.arange(300), rng.integers(0, 5, 300)] -= 10
    after = measured(loads, event=event, called=called, rule=rule).energy_wh
    assert (after >= before).all()
    assert (after > before).any()


BAD = [
    ({"called": Called(slots=np.ones((2, 2), bool))}, "called.slots", "has shape (2, 2)"),
    ({"called": Called(offered_kw=np.ones(3))}, "called.offered_kw", "has shape (3,)"),
    ({"called": Called(offered_kw=np.array([-1.0]))}, "called.offered_kw[0]", "is -1"),
    ({"rule": DeliveryRule(most_share=1.2)}, "called.offered_kw", "is missing"),
    ({"rule": DeliveryRule(most_share=-1)}, "rule.most_share", "is -1"),
    ({"rule": DeliveryRule(least_share=1.1)}, "rule.least_share", "is 1.1"),
    (
        {"rule": DeliveryRule(deducted_rebound_share=np.nan)},
        "rule.deducted_rebound_share",
        "is nan",
    ),
]


@pytest.mark.parametrize(("change", "path", "message"), BAD)
def test_what_cannot_be_measured_is_named(change, path, message):
    with pytest.raises(InvalidProblem) as caught:
        measured([[50, 50]], **change)
    assert any(v.path == path and message in v.message for v in caught.value.violations)


def test_readings_of_the_event_that_are_no_powers_are_named():
    readings = flat()
    found = baselines(readings, evening(), BaselineRule())
    readings.load_kw[0, EVENT_DAY, 18] = -np.inf
    with pytest.raises(InvalidProblem, match=r"load_kw\[0, 21, 18\]: is -inf"):
        measure(readings, evening(), found)
    with pytest.raises(InvalidProblem, match=r"baselines\.kw: has shape \(1, 2\)"):
        measure(flat(), evening(after_count=1), found)
