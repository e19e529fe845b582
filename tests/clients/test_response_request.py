"""Requests to call customers: what is said in arrays, frames and names, and its faults."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from loadloom.client.errors import InvalidRequest
from loadloom.client.response import (
    Answer,
    BaselineRule,
    Customers,
    GroupQuota,
    LoadDriver,
    Network,
    ResponseLaw,
    Season,
)
from loadloom.client.response_request import (
    answers_request,
    check_request,
    event_request,
    forecast_request,
    measure_request,
    plan_request,
)
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import from_floats, from_series
from tests.clients import response_cases as cases


def problem(network, customers, **wishes):
    return plan_request(network, customers, cases.grid(), wishes)[0].problem


def faults(call):
    with pytest.raises(InvalidRequest) as error:
        call()
    return [str(violation) for violation in error.value.violations]


def test_a_frame_of_customers_becomes_columns():
    found = problem(cases.tree(), cases.homes(4), currency_code="EUR").customers
    assert list(found.names) == ["home 00", "home 01", "home 02", "home 03"]
    assert list(found.nodes) == [1, 2, 1, 2]
    assert list(found.price_per_kwh) == [0.2, 0.4]
    np.testing.assert_allclose(from_floats(found.acceptance), [0.7, 0.9] * 4)
    assert (found.acceptance.rows, found.acceptance.cols) == (4, 2)
    assert list(found.group_names) == ["old town", "new town"]
    assert list(found.groups) == [0, 0, 1, 1]


def test_single_values_hold_for_all_and_counts_follow_from_columns():
    said = Customers(size_kw=np.full(5, 2.0), acceptance=0.5, contact_cost=0.1)
    found = problem(cases.transformer(), said).customers
    assert found.count == 5
    assert (found.acceptance.rows, found.acceptance.cols) == (1, 1)
    assert list(found.contact_cost) == [pytest.approx(0.1)]
    assert problem(cases.transformer(), Customers(size_kw=2.0, count=9)).customers.count == 9


def test_series_are_put_into_the_order_of_names():
    network = Network(
        names=["a", "b"],
        need_kw=pd.Series({"b": 2.0, "a": 1.0}),
        confidence=pd.Series({"b": 0.9, "a": 0.8}),
    )
    size = pd.Series({"y": 5.0, "x": 4.0})
    found = problem(network, Customers(names=["x", "y"], size_kw=size, nodes=["b", "a"]))
    assert list(from_series(found.network.need_kw.values)) == [1.0, 2.0]
    assert list(found.network.confidence) == [0.8, 0.9]
    assert list(from_floats(found.customers.size_kw)) == [4.0, 5.0]
    assert list(found.customers.nodes) == [1, 0]


def test_needs_by_time_tell_the_grid():
    times = pd.date_range(cases.EVENING, periods=3, freq="30min").tz_convert(cases.ZONE)
    need = pd.DataFrame({"b": [1.0, 2.0, 3.0], "a": [4.0, 5.0, 6.0]}, times)
    network = Network(names=["a", "b"], need_kw=need)
    request, grid = plan_request(network, Customers(size_kw=[1.0]), None, {})
    assert (grid.count, grid.time_zone) == (3, cases.ZONE)
    need_kw = request.problem.network.need_kw
    assert (need_kw.rows, need_kw.cols) == (2, 3)
    assert list(from_series(need_kw.values)) == [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]


def test_one_node_may_have_a_need_for_each_interval():
    found = problem(cases.transformer([7.0, 5.0]), cases.three()).network.need_kw
    assert (found.rows, found.cols) == (1, 2)


def test_names_stand_for_places_in_all_that_is_said():
    frame = cases.homes(4)
    frame["call"] = ["must", "never", "", None]
    request, _ = plan_request(
        cases.tree(),
        frame,
        cases.grid(),
        {
            "reasons": ["home 02", 1],
            "quotas": [GroupQuota(group="new town", call_min=1, call_max=3, cost_max=9.0)],
            "budget": 12.0,
            "law": ResponseLaw(degrees_of_freedom=4.0, shock_share=0.1, outage_groups=[0, 0, 1, 1]),
        },
    )
    asked = request.problem
    assert list(request.detail.reasons) == [2, 1]
    assert (list(asked.customers.must_call), list(asked.customers.never_call)) == ([0], [1])
    assert list(asked.network.parents) == [-1, 0, 0]
    quota = asked.quotas[0]
    assert (quota.group, quota.call_min, quota.call_max, quota.cost_max) == (1, 1, 3, 9.0)
    assert asked.budget == 12.0
    assert list(request.detail.law.outage_groups) == [0, 0, 1, 1]


def test_unknown_names_are_told_with_what_was_meant():
    frame = cases.homes(4)
    frame["node"] = ["north", "nort", "south", "west"]
    told = faults(lambda: problem(cases.tree(), frame))
    assert told[0] == "customers.nodes[1]: is 'nort', which is no name here; did you mean north?"
    assert told[1].startswith("customers.nodes[3]: is 'west', which is no name here")


def test_every_fault_of_a_frame_is_told():
    frame = cases.three().assign(sise=1.0, call=["", "maybe", ""])
    frame["acceptance_at_much"] = 0.5
    told = faults(lambda: Customers.of(frame.drop(columns="size_kw")))
    assert {one.partition(":")[0] for one in told} == {
        "customers.sise",
        "customers.call[1]",
        "customers.acceptance_at_much",
        "customers.size_kw",
    }
    assert faults(lambda: Customers.of([1.0])) == [
        "customers: is a list; must be Customers or a DataFrame"
    ]


def test_values_by_name_must_be_there_for_all():
    said = Customers(names=["x", "y"], size_kw=pd.Series({"x": 1.0, "z": 1.0}))
    assert faults(lambda: problem(cases.transformer(), said)) == [
        "customers.size_kw: has no value for 'y'"
    ]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("size_kw", ["much"] * 3, "is not made of numbers"),
        ("size_kw", np.ones((3, 1, 1)), "has 3 dimensions"),
        ("contact_cost", np.ones((3, 2)), "has 2 dimensions"),
        ("calls_left", [1.0, 0.5, 2.0], "customers.calls_left[1]: is 0.5"),
        ("must_call", ["nobody"], "customers.must_call[0]"),
    ],
)
def test_what_is_no_column_is_told_by_name(column, value, words):
    said = {"names": ["a", "b", "c"], "size_kw": [1.0, 2.0, 3.0]} | {column: value}
    assert words in faults(lambda: problem(cases.transformer(), Customers(**said)))[0]


def test_parents_and_instants_are_checked():
    network = Network(names=["a", "b"], need_kw=[1.0, 1.0], parents=["b"])
    assert "network.parents" in faults(lambda: problem(network, cases.three()))[0]
    naive = datetime(2026, 8, 12)
    wishes = {"answer_time": naive, "season": Season(start=naive, call_max=3)}
    told = faults(lambda: event_request(cases.transformer(), cases.three(), cases.grid(), wishes))
    assert [one.partition(":")[0] for one in told] == ["answer_time", "season.start"]


def test_a_request_without_an_id_gets_one_of_its_own():
    made = [
        event_request(cases.transformer(), cases.three(), cases.grid(), {}).request_id
        for _ in range(2)
    ]
    assert len(set(made)) == 2


def test_a_choice_is_told_by_customers_or_by_their_levels():
    asked = (cases.tree(), cases.homes(4), cases.grid())
    request, _ = check_request(*asked, {"home 02": 1, "home 00": 0}, None, 10, 3)
    assert (list(request.called), list(request.levels)) == ([2, 0], [1, 0])
    request, _ = check_request(*asked, ["home 03"], None, 10, 3)
    assert (list(request.called), list(request.levels)) == ([3], [])


def test_answers_are_words_or_have_kw():
    request = answers_request("events/x", {"anna": "accepted", "bert": "opted out"}, close=True)
    states = [one.state for one in request.answers]
    assert states == [pb.CALL_STATE_ACCEPTED, pb.CALL_STATE_OPTED_OUT]
    assert not request.answers[0].HasField("accepted_kw")
    one = Answer(customer="anna", answer="accepted", accepted_kw=1.5)
    assert answers_request("events/x", [one], close=False).answers[0].accepted_kw == 1.5
    told = faults(lambda: answers_request("events/x", {"anna": "yes"}, close=False))
    assert told[0].startswith("answers[0].answer: is 'yes'")


def test_a_forecast_takes_drivers_and_temperatures_with_times_of_their_own():
    loads = cases.readings(["north", "south"])
    ahead = pd.Series(30.0, pd.date_range(loads.index[-1], periods=25, freq="h")[1:])
    request = forecast_request(
        loads,
        pd.Series({"south": 20.0, "north": 10.0}),
        {
            "temperature_c": pd.Series(25.0, loads.index),
            "temperature_ahead_c": ahead,
            "drivers": [LoadDriver(name="fans", past=np.ones((2, cases.DAYS)), ahead=[5.0, 6.0])],
            "holidays": [datetime(2026, 8, 1), "2026-08-02"],
            "method": "similar days",
        },
    )
    assert list(request.rating_kw) == [10.0, 20.0]
    assert (request.load_kw.rows, request.load_kw.cols) == (2, cases.DAYS * 24)
    assert len(request.temperature_ahead_c.values) == 24
    assert (request.drivers[0].ahead.rows, request.drivers[0].past.cols) == (2, cases.DAYS)
    assert list(request.holidays) == ["2026-08-01", "2026-08-02"]
    wrong = {"temperature_c": pd.Series(25.0, loads.index[1:])}
    told = faults(lambda: forecast_request(loads, 1.0, wrong))
    assert told[0].startswith("temperature_c: has other times")


def test_readings_have_their_rule_and_controls_their_times():
    loads = cases.readings(["anna"])
    start, end = cases.grid().boundaries[0], cases.grid().boundaries[-1]
    rule = BaselineRule(method="highest days", adjustment="ratio", adjustment_end_minutes=0)
    request = measure_request(loads, start, end, 0.25, "EUR", {"rule": rule})
    assert request.rule.method == pb.BASELINE_METHOD_HIGHEST_DAYS
    assert request.rule.HasField("adjustment_end_minutes")
    assert (list(request.terms.price_per_kwh), request.terms.minor_digits) == ([0.25], 2)
    told = faults(lambda: measure_request(loads, start, end, None, "", {"controls": loads[24:]}))
    assert told == ["controls: has other times than the readings"]
    bad = BaselineRule(method="guess", last=-1)  # type: ignore[arg-type]
    told = faults(lambda: measure_request(loads, start, end, None, "", {"rule": bad}))
    assert [one.partition(":")[0] for one in told] == ["rule.method", "rule.last"]


def test_an_unknown_wish_is_an_unknown_argument():
    with pytest.raises(TypeError, match="bugdet"):
        problem(cases.transformer(), cases.three(), bugdet=3.0)
