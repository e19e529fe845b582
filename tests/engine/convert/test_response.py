"""Questions of whom to call, read: what is wrong is told, all of it, with its path."""

from collections.abc import Callable
from math import nan

import numpy as np
import pytest

from loadloom.engine.convert import response, response_create, response_need, response_plans
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from loadloom.engine.store.event_accounts import Known
from loadloom.models.response.problem import NOT_CALLED
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import to_floats, to_matrix
from tests.engine.services.response_calls import (
    event_request,
    problem_by_hand,
    problem_of_homes,
    readings,
)

LIMITS = Limits()


def plan_request() -> pb.PlanTargetsRequest:
    return pb.PlanTargetsRequest(problem=problem_of_homes())


def refused(read: Callable[[], object]) -> dict[str, str]:
    with pytest.raises(Refusal) as caught:
        read()
    return {violation.path: violation.message for violation in caught.value.violations}


CUSTOMERS = "problem.customers"
NETWORK = "problem.network"

WRONG = [
    ("problem", lambda r: r.ClearField("problem")),
    ("problem.grid", lambda r: r.problem.ClearField("grid")),
    ("problem.grid.count", lambda r: setattr(r.problem.grid, "count", 0)),
    ("problem.grid.time_zone", lambda r: setattr(r.problem.grid, "time_zone", "Mars")),
    (NETWORK, lambda r: r.problem.ClearField("network")),
    (f"{NETWORK}.names", lambda r: r.problem.network.ClearField("names")),
    (f"{NETWORK}.names[1]", lambda r: r.problem.network.names.__setitem__(1, "feeder")),
    (f"{NETWORK}.parents", lambda r: r.problem.network.parents.pop()),
    (f"{NETWORK}.parents[2]", lambda r: r.problem.network.parents.__setitem__(2, 7)),
    (f"{NETWORK}.parents[1]", lambda r: r.problem.network.parents.__setitem__(1, 1)),
    (f"{NETWORK}.need_kw", lambda r: r.problem.network.ClearField("need_kw")),
    (f"{NETWORK}.need_kw.rows", lambda r: setattr(r.problem.network.need_kw, "rows", 2)),
    (f"{NETWORK}.need_kw.cols", lambda r: setattr(r.problem.network.need_kw, "cols", 3)),
    (f"{NETWORK}.need_kw.values", lambda r: r.problem.network.need_kw.values.values.pop()),
    (
        f"{NETWORK}.need_kw.values[0]",
        lambda r: r.problem.network.need_kw.values.values.__setitem__(0, -1.0),
    ),
    (
        f"{NETWORK}.need_kw.values[0]",
        lambda r: r.problem.network.need_kw.values.values.__setitem__(0, nan),
    ),
    (
        f"{NETWORK}.need_sd_kw.values[0]",
        lambda r: r.problem.network.need_sd_kw.CopyFrom(to_matrix([[-1.0]])),
    ),
    (f"{NETWORK}.confidence", lambda r: r.problem.network.confidence.__setitem__(0, 0.4)),
    (f"{NETWORK}.confidence", lambda r: r.problem.network.confidence.__setitem__(0, 1.0)),
    (f"{NETWORK}.confidence", lambda r: r.problem.network.confidence.append(0.9)),
    (
        f"{NETWORK}.rebound_profile",
        lambda r: r.problem.network.headroom_kw.CopyFrom(to_matrix([[1.0]])),
    ),
    (CUSTOMERS, lambda r: r.problem.ClearField("customers")),
    (f"{CUSTOMERS}.count", lambda r: setattr(r.problem.customers, "count", 3)),
    (f"{CUSTOMERS}.count", lambda r: r.problem.customers.ClearField("names")),
    (f"{CUSTOMERS}.names[1]", lambda r: r.problem.customers.names.__setitem__(1, "home 00")),
    (f"{CUSTOMERS}.names[0]", lambda r: r.problem.customers.names.__setitem__(0, "")),
    (f"{CUSTOMERS}.nodes", lambda r: r.problem.customers.nodes.pop()),
    (f"{CUSTOMERS}.nodes[3]", lambda r: r.problem.customers.nodes.__setitem__(3, 3)),
    (f"{CUSTOMERS}.size_kw", lambda r: r.problem.customers.ClearField("size_kw")),
    (f"{CUSTOMERS}.size_kw.rows", lambda r: setattr(r.problem.customers.size_kw, "rows", 7)),
    (
        f"{CUSTOMERS}.size_kw.values[1]",
        lambda r: r.problem.customers.size_kw.values.__setitem__(1, -1.0),
    ),
    (
        f"{CUSTOMERS}.size_sd_kw.values[0]",
        lambda r: r.problem.customers.size_sd_kw.values.__setitem__(0, nan),
    ),
    (
        f"{CUSTOMERS}.price_per_kwh[0]",
        lambda r: r.problem.customers.price_per_kwh.__setitem__(0, -0.1),
    ),
    (
        f"{CUSTOMERS}.acceptance.cols",
        lambda r: r.problem.customers.acceptance.CopyFrom(to_floats([[0.1, 0.2, 0.3]])),
    ),
    (
        f"{CUSTOMERS}.acceptance.values[1]",
        lambda r: r.problem.customers.acceptance.values.__setitem__(1, 1.5),
    ),
    (f"{CUSTOMERS}.contact_cost", lambda r: r.problem.customers.contact_cost.append(1.0)),
    (f"{CUSTOMERS}.fatigue_cost", lambda r: r.problem.customers.fatigue_cost.append(-1.0)),
    (f"{CUSTOMERS}.calls_left", lambda r: r.problem.customers.calls_left.extend([1, 2])),
    (f"{CUSTOMERS}.must_call[0]", lambda r: r.problem.customers.must_call.append(40)),
    (f"{CUSTOMERS}.must_call", lambda r: r.problem.customers.must_call.extend([1, 1])),
    (
        f"{CUSTOMERS}.never_call",
        lambda r: (
            r.problem.customers.must_call.append(1),
            r.problem.customers.never_call.append(1),
        ),
    ),
    (f"{CUSTOMERS}.groups[0]", lambda r: r.problem.customers.groups.__setitem__(0, 2)),
    (f"{CUSTOMERS}.rebound_share", lambda r: r.problem.customers.rebound_share.append(2.0)),
    (f"{CUSTOMERS}.delivered_share", lambda r: r.problem.customers.delivered_share.append(-1.0)),
    (
        f"{CUSTOMERS}.shock_share.rows",
        lambda r: r.problem.customers.shock_share.CopyFrom(to_floats([[0.1], [0.1]])),
    ),
    ("problem.quotas[0].group", lambda r: r.problem.quotas.add(group=2)),
    ("problem.quotas[0].call_max", lambda r: r.problem.quotas.add(call_min=3, call_max=2)),
    ("problem.budget", lambda r: setattr(r.problem, "budget", -1.0)),
    ("problem.currency_code", lambda r: setattr(r.problem, "currency_code", "euro")),
    ("detail.reasons[0]", lambda r: r.detail.reasons.append(40)),
    ("detail.law.degrees_of_freedom", lambda r: setattr(r.detail.law, "degrees_of_freedom", 2)),
    ("detail.law.outage_groups", lambda r: r.detail.law.outage_groups.extend([1, 2])),
    ("options.method", lambda r: setattr(r.options, "method", 2)),
    ("options.relative_gap", lambda r: setattr(r.options, "relative_gap", 2.0)),
]


def test_the_request_that_is_changed_below_is_good():
    asked = response.parse(plan_request(), LIMITS).problem
    assert asked.problem.customers.count == 40
    assert asked.problem.offers.count == 80


@pytest.mark.parametrize(
    ("path", "change"), WRONG, ids=[f"{n} {w[0]}" for n, w in enumerate(WRONG)]
)
def test_what_is_wrong_is_told_with_its_path(path, change):
    request = plan_request()
    change(request)
    told = refused(lambda: response.parse(request, LIMITS))
    assert path in told
    assert all(message and not message[0].isupper() for message in told.values())


def test_all_that_is_wrong_is_told_at_once():
    request = plan_request()
    request.problem.customers.nodes[3] = 9
    request.problem.customers.contact_cost[0] = -1.0
    request.problem.quotas.add(group=5)
    request.detail.law.degrees_of_freedom = 1.0
    told = refused(lambda: response.parse(request, LIMITS))
    assert {
        "problem.customers.nodes[3]",
        "problem.customers.contact_cost",
        "problem.quotas[0].group",
    } <= told.keys()


@pytest.mark.parametrize("limits", [{"customers": 39}, {"customer_points": 159}])
def test_what_is_too_large_is_refused(limits):
    with pytest.raises(Refusal) as caught:
        response.parse(plan_request(), Limits(**limits))
    assert caught.value.reason == "LIMIT_EXCEEDED"


def test_more_needs_than_an_answer_can_tell_of_are_refused():
    request = plan_request()
    told = 2 * 2 * response.NODE_BYTES  # two nodes with needs, in two intervals
    response.parse(request, Limits(message_bytes=4096))
    request.problem.grid.count = 4096 * 2 // told + 1
    with pytest.raises(Refusal) as caught:
        response.parse(request, Limits(message_bytes=4096))
    assert caught.value.reason == "LIMIT_EXCEEDED"


def test_single_values_hold_for_all():
    problem = problem_of_homes()
    customers = problem.customers
    customers.size_kw.CopyFrom(to_floats([[2.0]]))
    customers.size_sd_kw.CopyFrom(to_floats([[0.5]]))
    asked = response.parse(pb.PlanTargetsRequest(problem=problem), LIMITS).problem
    offers = asked.problem.offers
    np.testing.assert_allclose(offers.mean_kw[:2, 0], [1.4, 1.8])
    # A reduction of 2 kW accepted with 0.7: variance 0.7 * 0.25 + 0.21 * 4.
    np.testing.assert_allclose(offers.variance_kw2[0, 0], 0.175 + 0.84)
    # 1.4 kW over two hours at 0.2, and the contact.
    np.testing.assert_allclose(offers.cost[:2], [0.05 + 0.56, 0.05 + 1.44])
    assert (asked.problem.network.confidence == 0.9).all()


def test_a_need_with_a_spread_may_be_negative():
    problem = problem_by_hand()
    problem.network.need_kw.values.values[0] = -1.0
    problem.network.need_sd_kw.CopyFrom(to_matrix([[2.0]]))
    network = response.parse(pb.PlanTargetsRequest(problem=problem), LIMITS).problem.problem.network
    assert network.needed.all()
    assert network.need_kw[0, 0] == -1.0


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("request_id", lambda r: r.ClearField("request_id")),
        ("problem.customers.names", lambda r: r.problem.customers.ClearField("names")),
        ("problem.currency_code", lambda r: r.problem.ClearField("currency_code")),
        ("answer_time", lambda r: r.answer_time.FromJsonString("2026-08-12T17:00:00Z")),
        ("season.call_max", lambda r: r.season.start_time.FromJsonString("2026-06-01T00:00:00Z")),
        ("season.start_time", lambda r: setattr(r.season, "call_max", 2)),
        ("program", lambda r: setattr(r, "program", "two words")),
        ("title", lambda r: setattr(r, "title", "x" * 201)),
    ],
)
def test_what_is_wrong_with_an_event_is_told_with_its_path(path, change):
    request = event_request()
    change(request)
    if path == "problem.customers.names":
        request.problem.customers.count = 40
    assert path in refused(lambda: response_create.parse(request, LIMITS))


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("called[1]", lambda r: r.called.append(3)),
        ("called", lambda r: r.called.append(2)),
        ("levels", lambda r: r.levels.extend([0, 0])),
        ("levels[0]", lambda r: r.levels.append(1)),
        ("samples", lambda r: setattr(r, "samples", 2_000_000)),
        ("law.shock_degrees_of_freedom", lambda r: setattr(r.law, "shock_degrees_of_freedom", 1)),
    ],
)
def test_what_is_wrong_with_a_choice_is_told_with_its_path(path, change):
    request = pb.CheckConfidenceRequest(problem=problem_by_hand(), called=[2])
    change(request)
    assert path in refused(lambda: response_plans.parse_choice(request, LIMITS))


def need_request() -> pb.ForecastNeedRequest:
    request = pb.ForecastNeedRequest(names=["north"], rating_kw=[80.0])
    request.grid.CopyFrom(readings(["x"]).grid)
    request.load_kw.CopyFrom(to_floats(np.ones((1, request.grid.count))))
    return request


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("names", lambda r: r.ClearField("names")),
        ("names[1]", lambda r: r.names.append("north")),
        ("load_kw.cols", lambda r: setattr(r.load_kw, "cols", 2)),
        ("rating_kw[0]", lambda r: r.rating_kw.__setitem__(0, -1.0)),
        ("confidence", lambda r: setattr(r, "confidence", 0.2)),
        ("temperature_ahead_c", lambda r: r.temperature_c.values.extend([20.0] * r.grid.count)),
        ("temperature_c", lambda r: r.temperature_c.values.append(20.0)),
        (
            "drivers[0].past.cols",
            lambda r: r.drivers.add(
                name="sold", past=to_matrix([[1.0, 2.0]]), ahead=to_matrix([[1.0]])
            ),
        ),
        ("holidays[0]", lambda r: r.holidays.append("tomorrow")),
        ("grid.step", lambda r: setattr(r.grid.step, "seconds", 5000)),
        ("quantiles[0]", lambda r: r.quantiles.append(1.5)),
    ],
)
def test_what_is_wrong_with_a_forecast_is_told_with_its_path(path, change):
    request = need_request()
    change(request)
    assert path in refused(lambda: response_need.parse(request, LIMITS))


def test_no_more_is_foretold_than_there_is_room_for():
    request = need_request()
    request.days_ahead = 31
    request.quantiles[:] = [0.5] * 100
    response_need.parse(request, Limits(customer_points=31 * 24 * 106))
    with pytest.raises(Refusal) as caught:
        response_need.parse(request, Limits(customer_points=31 * 24 * 106 - 1))
    assert caught.value.reason == "LIMIT_EXCEEDED"


def known(customer: str, **changes: float) -> Known:
    usual = {
        "accepted": 8.0,
        "declined": 2.0,
        "share_mean": 0.5,
        "share_weight": 4.0,
        "share_shape": 3.0,
        "share_scale": 0.08,
    }
    return Known(customer=customer, event_count=5, **{**usual, **changes})


def test_what_is_known_takes_the_place_of_what_is_assumed():
    request = event_request(use_reliabilities=True)
    before = response_create.parse(request, LIMITS).problem
    response_create.write_known(request, {"home 01": known("home 01")}, {})
    after = response_create.parse(request, LIMITS).problem
    np.testing.assert_allclose(after.shares[:3], [1.0, 0.5, 1.0])
    chances = after.problem.offers.acceptance.reshape(-1, 2)
    np.testing.assert_allclose(chances[0], [0.7, 0.9], rtol=1e-6)
    # Eight of ten accepted, at prices whose odds differ by 27/7: their logarithms mean ln 4.
    odds = chances[1] / (1.0 - chances[1])
    np.testing.assert_allclose(np.log(odds).mean(), np.log(4.0), rtol=1e-5)
    np.testing.assert_allclose(odds[1] / odds[0], 27.0 / 7.0, rtol=1e-5)
    assert (after.size_kw == before.size_kw).all()
    offers = after.problem.offers
    size, chance = float(after.size_kw[1, 0]), chances[1, 0]
    np.testing.assert_allclose(offers.mean_kw[2, 0], chance * 0.5 * size, rtol=1e-6)
    sd2 = 0.04 * 1.25 * size**2
    expected = chance * sd2 + chance * (1 - chance) * (0.5 * size) ** 2
    np.testing.assert_allclose(offers.variance_kw2[2, 0], expected, rtol=1e-5)


def test_calls_of_the_season_are_taken_off_what_is_left():
    request = event_request()
    request.season.start_time.FromJsonString("2026-06-01T00:00:00Z")
    request.season.call_max = 3
    response_create.write_known(request, {}, {"home 00": 1, "home 02": 7})
    assert list(request.problem.customers.calls_left[:4]) == [2, 3, 0, 3]
    request.problem.customers.calls_left[:] = [1]
    response_create.write_known(request, {}, {"home 02": 7})
    assert list(request.problem.customers.calls_left[:4]) == [1, 1, 0, 1]


def test_the_calls_of_a_choice_are_those_of_its_levels():
    asked = response_create.parse(event_request(), LIMITS).problem
    offer = np.full(40, NOT_CALLED, np.int32)
    offer[3], offer[7] = 6, 15
    first, second = response_create.new_calls(asked, offer)
    assert (first.place, first.customer, first.level, first.price_per_kwh) == (3, "home 03", 0, 0.2)
    assert (second.place, second.level, second.price_per_kwh) == (7, 1, 0.4)
    np.testing.assert_allclose(second.expected_kw, 0.9 * second.asked_kw, rtol=1e-6)
