"""Events over midnight and fixed payments, from the call to the cent, by a real server."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import grpc
import numpy as np
import pytest

from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import from_floats, to_floats, to_matrix
from tests.engine.services.response_calls import (
    DAYS,
    EVENING,
    Operator,
    accepts,
    event_request,
    grid,
    operating,
    readings,
)

BAD = grpc.StatusCode.INVALID_ARGUMENT

MIDNIGHT = datetime(2026, 8, 12, 22, tzinfo=UTC)
"""Of Wednesday to Thursday, in Amsterdam."""

FIRST = MIDNIGHT - timedelta(days=DAYS - 1)

SERIALS = count()


@pytest.fixture(scope="module")
def operator(new_url) -> Iterator[Operator]:
    with operating(new_url("sqlite")) as found:
        yield found


def night(before: Sequence[float], after: Sequence[float]) -> pb.MeasureResponseRequest:
    """A customer that draws 100 kW, at night 80 kW; what it draws around one midnight is given."""
    loads = np.tile([80.0] * 6 + [100.0] * 18, DAYS + 1)
    middle = (DAYS - 1) * 24
    loads[middle - len(before) : middle] = before
    loads[middle : middle + len(after)] = after
    request = pb.MeasureResponseRequest(readings=pb.DayReadings(grid=grid(loads.size, FIRST)))
    request.readings.curves.names.append("anna")
    request.readings.curves.load_kw.CopyFrom(to_matrix(loads[None]))
    request.start_time.FromDatetime(MIDNIGHT - timedelta(hours=2))
    request.end_time.FromDatetime(MIDNIGHT + timedelta(hours=2))
    return request


def measured(operator: Operator, request: pb.MeasureResponseRequest) -> pb.MeasureResponseResponse:
    return operator.stub.MeasureResponse(request, timeout=120)


def test_an_event_over_midnight_is_measured_against_other_nights(operator):
    found = measured(operator, night([60.0, 60.0], [50.0, 50.0]))
    np.testing.assert_allclose(from_floats(found.baseline_kw), [100.0, 100.0, 80.0, 80.0])
    assert list(found.delivered_kwh) == [pytest.approx(2 * 40.0 + 2 * 30.0)]
    assert list(found.day_counts) == [10]


def test_its_adjustment_and_its_rebound_lie_on_two_days(operator):
    # 130 kW from 20:00 to 22:00 is a ratio of 1.3, of which 1.2 count.
    request = night([130.0, 130.0, 60.0, 60.0], [50.0, 50.0, 106.0, 106.0, 126.0])
    request.rule.adjustment = pb.ADJUSTMENT_KIND_RATIO
    request.rule.adjustment_start_minutes = 120
    request.rule.adjustment_end_minutes = 0
    request.rule.rebound_intervals = 2
    request.rule.rebound_share = 0.5
    found = measured(operator, request)
    np.testing.assert_allclose(from_floats(found.baseline_kw), [120.0, 120.0, 96.0, 96.0])
    assert list(found.rebound_kwh) == [pytest.approx(20.0)]
    assert list(found.delivered_kwh) == [pytest.approx(2 * 60.0 + 2 * 46.0 - 10.0)]


def test_rebound_beyond_midnight_is_that_of_an_evening(operator):
    request = night([60.0, 60.0], [90.0, 85.0])
    request.end_time.FromDatetime(MIDNIGHT)
    request.rule.rebound_intervals = 2
    assert list(measured(operator, request).rebound_kwh) == [pytest.approx(15.0)]


def test_the_night_of_an_event_day_is_left_out(operator):
    request = night([60.0, 60.0], [50.0, 50.0])
    loads = request.readings.curves.load_kw.values.values
    yesterday = (DAYS - 3) * 24 + 22  # from Monday to Tuesday
    loads[yesterday : yesterday + 4] = [10.0] * 4
    assert from_floats(measured(operator, request).baseline_kw)[0] < 92.0
    request.readings.event_days.append("2026-08-11")
    found = measured(operator, request)
    np.testing.assert_allclose(from_floats(found.baseline_kw), [100.0, 100.0, 80.0, 80.0])


def test_the_hour_that_is_repeated_counts_in_a_night_that_begins_before_midnight(operator):
    """From 23:00 to 03:00 on 2026-10-25 in Amsterdam pass five hours."""
    start = datetime(2026, 9, 27, 22, tzinfo=UTC)
    loads = np.full((1, 28 * 24 + 1), 3.0)
    first = 27 * 24 - 1
    loads[0, first : first + 5] -= 1.0
    request = pb.MeasureResponseRequest(readings=pb.DayReadings(grid=grid(loads.size, start)))
    request.readings.curves.names.append("anna")
    request.readings.curves.load_kw.CopyFrom(to_matrix(loads))
    request.start_time.FromDatetime(datetime(2026, 10, 24, 21, tzinfo=UTC))
    request.end_time.FromDatetime(datetime(2026, 10, 25, 2, tzinfo=UTC))
    found = measured(operator, request)
    assert list(found.delivered_kwh) == [pytest.approx(5.0)]
    assert from_floats(found.load_kw) == pytest.approx([2.0] * 5)


@pytest.mark.parametrize("other_kw", [2.0, 3.0, 5.0])
@pytest.mark.parametrize(("since", "until"), [(-1, 0), (0, 1), (-2, 0), (0, 2)])
def test_only_the_half_of_a_repeated_hour_that_is_in_the_event_counts(
    operator, since, until, other_kw
):
    """At 01:00 UTC of 2026-10-25 clocks in Amsterdam are set back from 03:00 to 02:00."""
    back = datetime(2026, 10, 25, 1, tzinfo=UTC)
    start = datetime(2026, 9, 27, 22, tzinfo=UTC)
    loads = np.full((1, 29 * 24 + 1), 3.0)
    turn = round((back - start).total_seconds() / 3600)
    loads[0, turn - 1 : turn + 1] = other_kw
    loads[0, turn + since : turn + until] = 2.0
    request = pb.MeasureResponseRequest(readings=pb.DayReadings(grid=grid(loads.size, start)))
    request.readings.curves.names.append("anna")
    request.readings.curves.load_kw.CopyFrom(to_matrix(loads))
    request.start_time.FromDatetime(back + timedelta(hours=since))
    request.end_time.FromDatetime(back + timedelta(hours=until))
    found = measured(operator, request)
    assert list(found.delivered_kwh) == [pytest.approx(float(until - since))]
    assert from_floats(found.load_kw) == pytest.approx([2.0] * (until - since))


def night_in_march(since: int, until: int) -> pb.MeasureResponseRequest:
    """A customer that saves 1 of 3 kW around 01:00 UTC of 2026-03-29, when 02:00 becomes 03:00."""
    turn, start = datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 3, 1, 23, tzinfo=UTC)
    loads = np.full((1, 29 * 24), 3.0)
    at = round((turn - start).total_seconds() / 3600)
    loads[0, at + since : at + until] = 2.0
    request = pb.MeasureResponseRequest(readings=pb.DayReadings(grid=grid(loads.size, start)))
    request.readings.curves.names.append("anna")
    request.readings.curves.load_kw.CopyFrom(to_matrix(loads))
    request.start_time.FromDatetime(turn + timedelta(hours=since))
    request.end_time.FromDatetime(turn + timedelta(hours=until))
    return request


def test_an_hour_that_the_clock_leaves_out_is_missed_by_nobody(operator):
    request = night_in_march(-2, 1)
    found = measured(operator, request)
    assert list(found.delivered_kwh) == [pytest.approx(3.0)]
    assert from_floats(found.load_kw).size == 3
    assert list(found.notes) == [""]
    request.rule.method = pb.BASELINE_METHOD_CONTROL_GROUP
    request.rule.matches = 1
    request.controls.names.append("other")
    request.controls.load_kw.CopyFrom(to_matrix(np.full((1, 29 * 24), 3.0)))
    found = measured(operator, request)
    assert list(found.delivered_kwh) == [pytest.approx(3.0)]


def test_an_event_after_midnight_is_adjusted_by_the_evening_before(operator):
    # From 01:00 to 03:00 against 80 kW; from 22:00 to midnight 110 kW in place of 100.
    request = night([110.0, 110.0], [110.0, 60.0, 60.0])
    request.start_time.FromDatetime(MIDNIGHT + timedelta(hours=1))
    request.end_time.FromDatetime(MIDNIGHT + timedelta(hours=3))
    request.rule.adjustment = pb.ADJUSTMENT_KIND_RATIO
    request.rule.adjustment_start_minutes = 180
    request.rule.adjustment_end_minutes = 60
    found = measured(operator, request)
    np.testing.assert_allclose(from_floats(found.baseline_kw), [88.0, 88.0])
    assert list(found.delivered_kwh) == [pytest.approx(2 * 28.0)]


def test_an_event_lasts_a_day_at_most(operator, failure):
    request = night([60.0, 60.0], [50.0, 50.0])
    request.end_time.FromDatetime(MIDNIGHT + timedelta(hours=22))
    assert measured(operator, request).delivered_kwh[0] > 100.0
    request.end_time.FromDatetime(MIDNIGHT + timedelta(hours=23))
    told = failure(lambda: measured(operator, request))
    assert (told.code, set(told.paths)) == (BAD, {"end_time"})
    asked = event_request("long")
    asked.problem.grid.CopyFrom(grid(25, EVENING))
    told = failure(lambda: operator.stub.CreateEvent(asked, timeout=120))
    assert (told.code, set(told.paths)) == (BAD, {"problem.grid"})


def promising(*amounts: float, fixed_from_share: float = 0.0) -> pb.CreateEventRequest:
    serial = next(SERIALS)
    request = event_request(f"promise {serial}", known_as=f"{serial}-")
    request.fixed_from_share = fixed_from_share
    request.problem.customers.fixed_payment.extend(amounts)
    return request


def test_a_plan_reckons_with_what_is_promised_to_who_accepts(operator):
    problem = pb.TargetProblem(grid=grid(2))
    problem.network.names.append("transformer")
    problem.network.need_kw.CopyFrom(to_matrix([[1.0]]))
    problem.network.confidence.append(0.5)
    its = problem.customers
    its.count = 1
    its.size_kw.CopyFrom(to_floats([[4.0]]))
    its.acceptance.CopyFrom(to_floats([[0.75]]))
    its.price_per_kwh.append(0.5)
    its.fixed_payment.append(2.0)
    its.contact_cost.append(0.25)
    request = pb.PlanTargetsRequest(problem=problem)
    plan = operator.stub.PlanTargets(request, timeout=120).plan
    # 0.25 for the call; with 0.75 it accepts, for 4 kW x 2 h x 0.5 and 2.
    assert plan.cost == pytest.approx(0.25 + 0.75 * (4.0 + 2.0))
    assert plan.cost_sd == pytest.approx((0.75 * 0.25) ** 0.5 * 6.0)


def test_a_night_is_paid_by_the_kwh_and_for_taking_part(operator):
    request = promising(1.5, 2.005, fixed_from_share=0.5)
    request.problem.grid.CopyFrom(grid(2, MIDNIGHT - timedelta(hours=1)))
    event = operator.stub.CreateEvent(request, timeout=120).event
    assert event.fixed_from_share == 0.5
    calls = operator.calls(event)
    one, two, three = list(calls.values())[:3]
    promised = {0.2: 1.5, 0.4: 2.005}
    assert all(call.fixed_payment == promised[call.price_per_kwh] for call in calls.values())
    operator.answer(
        event, accepts(one.customer), accepts(two.customer, 1.0), accepts(three.customer)
    )
    names = [one.customer, two.customer]
    days = readings(names)
    days.grid.CopyFrom(grid((DAYS + 1) * 24, FIRST))
    loads = np.full((2, (DAYS + 1) * 24), 3.0)
    middle = (DAYS - 1) * 24
    loads[0, middle - 1 : middle + 1] -= 1.25
    loads[1, middle - 1 : middle + 1] -= 0.25  # a quarter of what it accepted
    days.curves.load_kw.CopyFrom(to_matrix(loads))
    asked = pb.SettleEventRequest(
        request_id=f"settle {event.name}", name=event.name, readings=days, allow_missing=True
    )
    with operator.at(MIDNIGHT + timedelta(days=2)):
        settlement = operator.stub.SettleEvent(asked, timeout=120).settlement
    paid = operator.stub.ListPayments(pb.ListPaymentsRequest(name=event.name)).payments
    first, second, third = paid
    fixed = {0.2: 150, 0.4: 201}[one.price_per_kwh]  # 2.005 to the nearest cent
    energy = {0.2: 50, 0.4: 100}[one.price_per_kwh]
    assert (first.fixed_minor, first.payment_minor) == (fixed, energy + fixed)
    assert f"{fixed / 100:.2f} EUR for taking part" in first.formula
    assert (second.fixed_minor, second.payment_minor > 0) == (0, True)
    assert (third.fixed_minor, third.payment_minor) == (0, 0)
    assert settlement.fixed_minor == fixed
    assert settlement.paid_minor == sum(one.payment_minor for one in paid)


def test_who_accepts_a_part_is_due_a_part_of_what_was_promised(operator, failure):
    event = operator.stub.CreateEvent(promising(3.0), timeout=120).event
    one, *_ = operator.calls(event).values()
    told = failure(lambda: operator.answer(event, accepts(one.customer, 0.0)))
    assert (told.code, set(told.paths)) == (BAD, {"answers[0].accepted_kw"})
    operator.answer(event, accepts(one.customer, 0.1 * one.asked_kw))
    asked = pb.SettleEventRequest(
        request_id=f"settle {event.name}", name=event.name, readings=readings([one.customer])
    )
    assert operator.settle(asked).fixed_minor == 30


def test_an_export_tells_what_is_promised(operator):
    event = operator.stub.CreateEvent(promising(1.5), timeout=120).event
    found = operator.stub.ExportEvent(pb.ExportEventRequest(name=event.name, page_size=1))
    assert '{"type": "INCENTIVE_PAYMENT", "values": [1.5]}' in found.events[0]
    request = pb.ExportEventRequest(name=event.name, page_token=found.next_page_token)
    rest = operator.stub.ExportEvent(request)
    assert len(rest.events) == len({call.asked_kw for call in operator.calls(event).values()}) - 1


def test_promises_that_cannot_be_paid_are_told(operator, failure):
    told = failure(lambda: operator.stub.CreateEvent(promising(1.0, 2.0, 3.0), timeout=120))
    assert (told.code, set(told.paths)) == (BAD, {"problem.customers.fixed_payment"})
    told = failure(lambda: operator.stub.CreateEvent(promising(0.1234567), timeout=120))
    assert (told.code, set(told.paths)) == (BAD, {"problem.customers.fixed_payment[0]"})
    told = failure(lambda: operator.stub.CreateEvent(promising(fixed_from_share=1.5), timeout=120))
    assert (told.code, set(told.paths)) == (BAD, {"fixed_from_share"})
