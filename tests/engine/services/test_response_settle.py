"""Events measured and paid by a real server, to the cent, and what they teach."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import grpc
import numpy as np
import pytest

from loadloom.v1 import agency_pb2
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import from_floats, from_series, to_matrix
from tests.engine.services.response_calls import (
    DAYS,
    EVENING,
    SERIALS,
    Operator,
    accepts,
    created,
    event_request,
    grid,
    operating,
    opts_out,
    readings,
)

ALREADY, STATE = grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.FAILED_PRECONDITION
BAD = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def measurer(new_url) -> Iterator[Operator]:
    with operating(new_url("sqlite")) as found:
        yield found


def measure_request(*loads_of_hours: float) -> pb.MeasureResponseRequest:
    """A customer of 100 kW on all days, whose load on the evening is as given from 16:00 on."""
    request = pb.MeasureResponseRequest(readings=readings(["anna"], usual_kw=100.0))
    request.start_time.FromDatetime(EVENING)
    request.end_time.FromSeconds(request.start_time.seconds + 7200)
    first = (DAYS - 1) * 24 + 16
    its = request.readings.curves.load_kw.values.values
    its[first : first + len(loads_of_hours)] = loads_of_hours
    return request


def test_the_baseline_that_is_worked_by_hand(measurer):
    # 130 kW before the event is a ratio of 1.3, of which 1.2 count: a baseline of 120 kW.
    request = measure_request(130.0, 130.0, 90.0, 100.0)
    request.rule.adjustment = pb.ADJUSTMENT_KIND_RATIO
    request.rule.adjustment_start_minutes = 120
    request.rule.adjustment_end_minutes = 0
    request.terms.currency_code = "EUR"
    request.terms.price_per_kwh.append(0.25)
    found = measurer.stub.MeasureResponse(request, timeout=120)
    np.testing.assert_allclose(from_floats(found.baseline_kw), [120.0, 120.0], rtol=1e-6)
    assert list(found.delivered_kwh) == [pytest.approx(50.0)]
    assert (list(found.payment_minor), found.paid_minor) == ([1250], 1250)
    assert list(found.day_counts) == [10]
    assert list(found.adjustment) == [pytest.approx(1.2)]


@pytest.mark.parametrize(("hours", "delivered_kwh"), [((0, 1), 1.0), ((-1, 1), 2.0)])
def test_an_hour_that_the_clock_repeats_is_measured(measurer, hours, delivered_kwh):
    """At 01:00 UTC of 2026-10-25 clocks in Amsterdam are set back from 03:00 to 02:00."""
    midnight = datetime(2026, 10, 4, 22, tzinfo=UTC)
    count = DAYS * 24 + 1
    loads = np.full((1, count), 3.0)
    first = (DAYS - 1) * 24 + 2
    loads[0, first + hours[0] : first + hours[1]] -= 1.0
    request = pb.MeasureResponseRequest(readings=pb.DayReadings(grid=grid(count, midnight)))
    request.readings.curves.names.append("anna")
    request.readings.curves.load_kw.CopyFrom(to_matrix(loads))
    back = datetime(2026, 10, 25, tzinfo=UTC)
    request.start_time.FromDatetime(back + timedelta(hours=hours[0]))
    request.end_time.FromDatetime(back + timedelta(hours=hours[1]))
    found = measurer.stub.MeasureResponse(request, timeout=120)
    assert list(found.delivered_kwh) == [pytest.approx(delivered_kwh)]


def test_without_terms_nothing_is_paid(measurer):
    found = measurer.stub.MeasureResponse(measure_request(100.0, 100.0, 60.0), timeout=120)
    assert list(found.delivered_kwh) == [pytest.approx(40.0)]
    assert not found.payment_minor


def test_energy_that_is_only_moved_within_the_event_is_not_paid(measurer):
    found = measurer.stub.MeasureResponse(measure_request(100, 100, 60, 130), timeout=120)
    assert list(found.delivered_kwh) == [pytest.approx(10.0)]
    rebound = measure_request(100, 100, 60, 60, 120)
    rebound.rule.rebound_intervals = 2
    rebound.rule.rebound_share = 0.5
    found = measurer.stub.MeasureResponse(rebound, timeout=120)
    assert list(found.rebound_kwh) == [pytest.approx(20.0)]
    assert list(found.delivered_kwh) == [pytest.approx(70.0)]


def test_missing_readings_are_told_and_event_days_are_no_days_alike(measurer):
    request = measure_request(100.0, 100.0, np.nan, 50.0)
    day = (DAYS - 2) * 24
    request.readings.curves.load_kw.values.values[day : day + 24] = [1.0] * 24
    found = measurer.stub.MeasureResponse(request, timeout=120)
    assert from_floats(found.baseline_kw)[0] == pytest.approx(90.1)
    assert "reading" in found.notes[0]
    request.readings.event_days.append("2026-08-11")
    found = measurer.stub.MeasureResponse(request, timeout=120)
    assert from_floats(found.baseline_kw)[0] == pytest.approx(100.0)
    assert list(found.delivered_kwh) == [pytest.approx(50.0)]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("start_time", lambda r: r.start_time.FromSeconds(r.start_time.seconds + 60)),
        ("end_time", lambda r: r.end_time.CopyFrom(r.start_time)),
        ("end_time", lambda r: r.end_time.FromSeconds(r.end_time.seconds + 86_400)),
        ("readings.curves.load_kw.values", lambda r: r.readings.curves.load_kw.values.values.pop()),
        ("readings.grid.step", lambda r: setattr(r.readings.grid.step, "seconds", 5000)),
        ("readings.holidays[0]", lambda r: r.readings.holidays.append("2026-02-30")),
        ("rule.adjustment_max", lambda r: setattr(r.rule, "adjustment_max", 0.5)),
        ("rule.fewest", lambda r: setattr(r.rule, "fewest", 11)),
        ("controls", lambda r: setattr(r.rule, "method", 4)),
        ("readings.temperature_c", lambda r: setattr(r.rule, "method", 3)),
        ("terms.currency_code", lambda r: r.terms.price_per_kwh.append(0.1)),
        ("terms.price_per_kwh", lambda r: setattr(r.terms, "currency_code", "EUR")),
        ("readings", lambda r: r.ClearField("readings")),
    ],
)
def test_what_cannot_be_measured_is_told_with_its_path(measurer, failure, path, change):
    request = measure_request(100.0)
    change(request)
    told = failure(lambda: measurer.stub.MeasureResponse(request, timeout=120))
    assert told.code is BAD
    assert path in told.paths


def called(operator: Operator) -> tuple[pb.ResponseEvent, list[str]]:
    """An event and the customers whom it calls."""
    event = created(operator)
    return event, list(operator.calls(event))


def settle_request(
    event: pb.ResponseEvent, names: list[str], saved_kw: list[float]
) -> pb.SettleEventRequest:
    return pb.SettleEventRequest(
        request_id=f"settle {event.name}",
        name=event.name,
        readings=readings(names, saved_kw=saved_kw),
    )


def test_an_event_is_paid_to_the_cent(operator):
    event, names = called(operator)
    yes = names[:3]
    operator.answer(event, *map(accepts, yes), opts_out(names[3]), close=True)
    saved = [2.0, 0.125, 0.0]
    request = settle_request(event, yes, saved)
    settlement = operator.settle(request)
    assert (settlement.customer_count, settlement.delivering_count) == (3, 2)
    assert settlement.delivered_kwh == pytest.approx(4.25)
    calls = operator.calls(event)
    page = operator.stub.ListPayments(pb.ListPaymentsRequest(name=event.name, page_size=2))
    rest = operator.stub.ListPayments(
        pb.ListPaymentsRequest(name=event.name, page_token=page.next_page_token)
    )
    paid = {p.customer: p for p in (*page.payments, *rest.payments)}
    assert list(paid) == yes
    for name, kw in zip(yes, saved, strict=True):
        price = calls[name].price_per_kwh
        cents = int(2 * kw * price * 100 + 0.5)
        assert paid[name].payment_minor == cents
        assert paid[name].delivered_kwh == pytest.approx(2 * kw)
        assert paid[name].baseline_kwh == pytest.approx(6.0)
        assert f"{2 * kw:.3f} kWh x {price}" in paid[name].formula
    assert settlement.paid_minor == sum(p.payment_minor for p in paid.values())
    np.testing.assert_allclose(from_series(settlement.reduction_kw), [2.125, 2.125])
    again = operator.stub.GetEvent(pb.GetEventRequest(name=event.name)).event
    assert again.state == pb.EVENT_STATE_SETTLED


def test_an_event_that_is_not_over_is_not_settled(operator, failure):
    event, names = called(operator)
    operator.answer(event, accepts(names[0]))
    request = settle_request(event, names[:1], [1.0])
    for early in (EVENING - timedelta(hours=1), EVENING + timedelta(minutes=119)):
        with operator.at(early):
            told = failure(lambda: operator.stub.SettleEvent(request, timeout=120))
            assert (told.code, told.reason) == (STATE, "WRONG_STATE")
    assert operator.stub.GetEvent(pb.GetEventRequest(name=event.name)).event.state == (
        pb.EVENT_STATE_OPEN
    )
    with operator.at(EVENING + timedelta(hours=2)):
        settlement = operator.stub.SettleEvent(request, timeout=120).settlement
    assert settlement.customer_count == 1


def test_days_of_events_before_are_no_days_alike(operator):
    """Anna saved 2 of 3 kW in an event a week before, which lowers no baseline of hers."""
    serial, days = next(SERIALS), timedelta(days=7)
    for turn, start in enumerate((EVENING - days, EVENING)):
        request = event_request(f"week {serial} {turn}", known_as=f"w{serial}-")
        request.problem.grid.start_time.FromDatetime(start)
        with operator.at(start - timedelta(hours=6)):
            event = operator.stub.CreateEvent(request, timeout=120).event
            name = next(iter(operator.calls(event)))
            operator.answer(event, accepts(name))
    asked = settle_request(event, [name], [1.0])
    week = (DAYS - 8) * 24 + 18
    asked.readings.curves.load_kw.values.values[week : week + 2] = [1.0, 1.0]
    assert operator.settle(asked).delivered_kwh == pytest.approx(2.0)


def test_a_settlement_is_made_once_and_for_all(operator, failure):
    event, names = called(operator)
    operator.answer(event, accepts(names[0]))
    request = settle_request(event, names[:1], [1.0])
    first = operator.settle(request)
    assert operator.settle(request) == first
    asked = pb.GetEventSettlementRequest(name=event.name)
    assert operator.stub.GetEventSettlement(asked).settlement == first
    request.minor_digits = 3
    told = failure(lambda: operator.settle(request))
    assert (told.code, told.reason) == (ALREADY, "OTHER_REQUEST")
    request.request_id = "more"
    for late in (
        lambda: operator.settle(request),
        lambda: operator.answer(event, opts_out(names[0])),
        lambda: operator.stub.CancelEvent(pb.CancelEventRequest(name=event.name)),
    ):
        assert failure(late).code is STATE


def test_who_did_not_accept_is_not_paid_and_who_has_no_reading_gets_nothing(operator, failure):
    event, names = called(operator)
    operator.answer(event, accepts(names[0]), accepts(names[1]))
    request = settle_request(event, [names[0], names[2]], [1.0, 1.0])
    told = failure(lambda: operator.settle(request))
    assert told.code is BAD
    assert "1 of the 2 customers" in told.paths["readings"]
    assert repr(names[1]) in told.paths["readings"]
    request.allow_missing = True
    settlement = operator.settle(request)
    paid = operator.stub.ListPayments(pb.ListPaymentsRequest(name=event.name)).payments
    assert [p.customer for p in paid] == names[:2]
    assert paid[0].payment_minor > 0
    assert paid[1].payment_minor == 0
    assert paid[1].note
    assert settlement.unmeasured_count == 1


def test_readings_that_measure_nobody_settle_nothing(operator, failure):
    event, names = called(operator)
    operator.answer(event, *map(accepts, names[:5]))
    strangers = settle_request(event, ["stranger"], [1.0])
    told = failure(lambda: operator.settle(strangers))
    assert told.code is BAD
    assert "5 of the 5 customers" in told.paths["readings"]
    assert "and 2 more" in told.paths["readings"]
    strangers.allow_missing = True
    assert "none of the 5" in failure(lambda: operator.settle(strangers)).paths["readings"]
    now = operator.stub.GetEvent(pb.GetEventRequest(name=event.name)).event
    assert now.state == pb.EVENT_STATE_OPEN


def test_an_event_that_nobody_accepted_is_settled_with_nothing(operator):
    event, names = called(operator)
    operator.answer(event, close=True)
    settlement = operator.settle(settle_request(event, names[:1], []))
    assert (settlement.customer_count, settlement.paid_minor) == (0, 0)


def test_a_cancelled_event_is_never_settled(operator, failure):
    event, names = called(operator)
    operator.stub.CancelEvent(pb.CancelEventRequest(name=event.name))
    told = failure(lambda: operator.settle(settle_request(event, names[:1], [])))
    assert told.code is STATE


def test_a_failed_settlement_leaves_nothing_behind(operator, failure):
    event, names = called(operator)
    operator.answer(event, accepts(names[0]))
    request = settle_request(event, names[:1], [1.0])
    request.rule.fewest = 40
    assert failure(lambda: operator.settle(request)).code is BAD
    now = operator.stub.GetEvent(pb.GetEventRequest(name=event.name)).event
    assert now.state == pb.EVENT_STATE_OPEN
    asked = pb.ListReliabilitiesRequest(customers=names[:1])
    assert not operator.stub.ListReliabilities(asked).reliabilities


def test_what_customers_deliver_makes_the_next_plan_better(operator):
    """Those who never deliver are expected to deliver less, and others are called instead."""
    serial = next(SERIALS)
    known_as = f"{serial}-"
    for turn in range(4):
        request = event_request(f"learn {serial} {turn}", known_as=known_as, need_kw=(8.0, 6.0))
        request.use_reliabilities = True
        event = operator.stub.CreateEvent(request, timeout=120).event
        calls = operator.calls(event)
        operator.answer(event, *map(accepts, calls))
        names = list(calls)
        poor = {name for name in names if int(name[-2:]) % 3 == 0}
        saved = [0.0 if name in poor else calls[name].asked_kw for name in names]
        operator.settle(settle_request(event, names, saved))
    page = operator.stub.ListReliabilities(pb.ListReliabilitiesRequest(customers=names))
    known = {each.customer: each for each in page.reliabilities}
    assert list(known) == sorted(known)
    assert known.keys() == set(names)
    shares = {name: known[name].delivered_share for name in names}
    lazy = [shares[name] for name in names if known[name].event_count > 1 and name in poor]
    busy = [shares[name] for name in names if known[name].event_count > 1 and name not in poor]
    assert busy
    assert min(busy) > 0.8
    assert not lazy or max(lazy) < 0.6
    last = [name for name in names if int(name[-2:]) % 3 == 0]
    assert len(last) < len(names) / 3


def test_reliabilities_are_paged_by_name(operator):
    event, names = called(operator)
    operator.answer(event, *map(accepts, names[:5]))
    operator.settle(settle_request(event, names[:5], [1.0] * 5))
    found, request = [], pb.ListReliabilitiesRequest(customers=names[:5], page_size=2)
    while True:
        page = operator.stub.ListReliabilities(request)
        found += [each.customer for each in page.reliabilities]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert found == sorted(names[:5])


def test_needs_follow_from_past_loads_and_ratings(measurer):
    hours = np.arange(28 * 24)
    random = np.random.default_rng(7)
    daily = 60.0 + 30.0 * np.sin((hours % 24 - 12) * np.pi / 12)
    loads = np.stack([daily, 0.5 * daily]) + random.normal(0.0, 2.0, (2, hours.size))
    request = pb.ForecastNeedRequest(names=["north", "south"], rating_kw=[85.0, 85.0])
    request.grid.CopyFrom(readings(["x"]).grid)
    request.grid.start_time.FromSeconds(request.grid.start_time.seconds - 7 * 86_400)
    request.grid.count = hours.size
    request.load_kw.rows, request.load_kw.cols = loads.shape
    request.load_kw.values.extend(loads.reshape(-1).tolist())
    found = measurer.stub.ForecastNeed(request, timeout=120)
    need = from_series(found.need_kw.values).reshape(2, 24)
    chance = from_series(found.overload_probability.values).reshape(2, 24)
    assert found.grid.count == 24
    assert need[0, 18] > 5.0
    assert chance[0, 18] > 0.9
    assert not need[1].any()
    assert chance[1].max() < 1e-6
    mean, sd = (from_series(m.values).reshape(2, 24) for m in (found.mean_kw, found.sd_kw))
    np.testing.assert_allclose(mean[0], daily[:24], atol=4.0)
    # The need is so many deviations above the mean in all slots: learnt, but near the normal law.
    short = need[0] > 0.0
    beyond = ((need[0] + 85.0 - mean[0]) / sd[0])[short]
    np.testing.assert_allclose(beyond, beyond[0], atol=1e-3)
    assert abs(beyond[0] - 1.6449) < 0.2
    np.testing.assert_allclose(
        need[0], np.maximum(0.0, mean[0] + beyond[0] * sd[0] - 85.0), atol=1e-3
    )
    assert [each.share for each in found.quantiles] == [0.05, 0.5, 0.95]
    problem = pb.TargetProblem()
    problem.network.need_kw.CopyFrom(to_matrix(need))
    assert problem.network.need_kw.rows == 2


def test_readings_may_lie_in_files_and_have_gaps(new_url, tmp_path):
    root = tmp_path / "meters"
    root.mkdir()
    with operating(new_url("sqlite"), data_roots={"meters": str(root)}) as operator:
        event, names = called(operator)
        operator.answer(event, accepts(names[0]), accepts(names[1]))
        request = settle_request(event, names[:2], [1.0, 1.0])
        curves = request.readings.curves
        loads = from_series(curves.load_kw.values).reshape(2, -1)
        start = request.readings.grid.start_time.ToDatetime()
        lines = [
            f"{name},{start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{load}"
            for name, row in zip(names, loads, strict=False)
            for hour, load in enumerate(row)
            if hour % 100 != 7  # some readings never came
        ]
        (root / "evening.csv").write_text("\n".join(["user,time,load_kw", *lines]))
        request.readings.data_set.root, request.readings.data_set.path = "meters", "evening.csv"
        request.readings.data_set.layout = agency_pb2.DATA_SET_LAYOUT_LONG
        settlement = operator.settle(request)
        assert (settlement.customer_count, settlement.delivered_kwh) == (2, pytest.approx(4.0))
