"""What callers send and ask for is bounded before it is read, looked up or told."""

import json
from collections.abc import Iterator

import grpc
import pytest

from loadloom.v1 import response_pb2 as pb
from tests.engine.services.response_calls import Operator, event_request, operating

BAD, FULL = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def operator(request, new_url) -> Iterator[Operator]:
    with operating(new_url(request.param), limits={"message_bytes": 16_384}) as found:
        yield found


@pytest.fixture(scope="module")
def event(operator) -> pb.ResponseEvent:
    return operator.stub.CreateEvent(event_request(), timeout=120).event


def reported(name: str, kind: str, value: object, event_id: str = "e", **others: object) -> str:
    payloads = [{"type": kind, "values": [value]}]
    resource = {"resourceName": name, "intervals": [{"id": 0, "payloads": payloads, **others}]}
    whole = {"programID": "p", "eventID": event_id, "clientName": "ven", "resources": [resource]}
    return json.dumps(whole)


def imported(operator: Operator, event: pb.ResponseEvent, *reports: str, ids: tuple[str, ...] = ()):
    request = pb.ImportReportsRequest(name=event.name, reports=reports, event_ids=ids)
    return operator.stub.ImportReports(request, timeout=60)


@pytest.mark.parametrize("known", [False, True])
def test_a_name_that_no_database_takes_is_told_with_its_path(operator, failure, known):
    request = event_request("nul", use_reliabilities=known)
    request.problem.customers.names[3] = "nul\0"
    told = failure(lambda: operator.stub.CreateEvent(request, timeout=60))
    assert (told.code, list(told.paths)) == (BAD, ["problem.customers.names[3]"])


def test_what_is_known_is_not_written_into_a_request_that_would_be_too_large(operator, failure):
    request = event_request("large", use_reliabilities=True)
    request.problem.customers.price_per_kwh[:] = [0.25] * 1_000
    request.problem.customers.ClearField("acceptance")
    told = failure(lambda: operator.stub.CreateEvent(request, timeout=60))
    assert (told.code, told.reason) == (FULL, "LIMIT_EXCEEDED")
    assert "what is known" in told.message


def test_an_event_of_many_sizes_is_exported_page_by_page(operator, event):
    request, events, pages = pb.ExportEventRequest(name=event.name), [], 0
    while True:
        page = operator.stub.ExportEvent(request)
        assert page.events
        assert page.ByteSize() < 16_384
        events, pages = events + list(page.events), pages + 1
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert pages > 1
    targets = [name for each in events for name in json.loads(each)["targets"][0]["values"]]
    assert sorted(targets) == sorted(operator.calls(event))
    request = pb.ExportEventRequest(name=event.name, page_size=2)
    assert list(operator.stub.ExportEvent(request).events) == events[:2]


def test_a_wrong_page_of_an_export_is_told(operator, event, failure):
    request = pb.ExportEventRequest(name=event.name, page_token="x")
    assert list(failure(lambda: operator.stub.ExportEvent(request)).paths) == ["page_token"]


@pytest.mark.parametrize(
    ("path", "kind", "value", "others"),
    [
        ("payloads[0].values", "USAGE", 10**400, {}),
        (
            "intervalPeriod.duration",
            "USAGE",
            1.0,
            {"intervalPeriod": {"start": "2026-08-12T16:00:00Z", "duration": "P9999999999999D"}},
        ),
    ],
)
def test_what_no_clock_or_float_holds_is_told_with_its_path(
    operator, event, failure, path, kind, value, others
):
    name = next(iter(operator.calls(event)))
    report = reported(name, kind, value, **others)
    told = failure(lambda: imported(operator, event, report))
    assert told.code is BAD
    assert list(told.paths) == [f"reports[0].resources[0].intervals[0].{path}"]


def test_no_more_is_available_than_was_asked_for(operator):
    event = operator.stub.CreateEvent(event_request("more", known_as="more-"), timeout=120).event
    name, call = next(iter(operator.calls(event).items()))
    said = imported(operator, event, reported(name, "LOAD_SHED_DELTA_AVAILABLE", -1e9))
    assert said.counts.accepted_kw == pytest.approx(call.asked_kw)
    assert [answer.accepted_kw for answer in said.answers] == [call.asked_kw]


def test_answers_to_another_event_are_no_answers_to_this_one(operator, failure):
    event = operator.stub.CreateEvent(event_request("other", known_as="other-"), timeout=120).event
    first, second, *_ = operator.calls(event)
    reports = [
        reported(first, "OPERATING_STATE", "IDLE_OPTED_OUT", "today"),
        reported(second, "OPERATING_STATE", "IDLE_OPTED_OUT", "yesterday"),
    ]
    told = failure(lambda: imported(operator, event, *reports))
    assert (told.code, list(told.paths)) == (BAD, ["reports[1].eventID"])
    said = imported(operator, event, *reports, ids=("today",))
    assert [answer.customer for answer in said.answers] == [first]
    assert operator.calls(event)[second].state == pb.CALL_STATE_PENDING


def test_strangers_in_reports_take_no_room(operator, event):
    payloads = [{"type": "DEMAND", "values": [1.0]}]
    strangers = [
        {"resourceName": f"x{n}", "intervals": [{"id": 0, "payloads": payloads}]} for n in range(99)
    ]
    whole = {"programID": "p", "eventID": "e", "clientName": "ven", "resources": strangers}
    said = imported(operator, event, json.dumps(whole))
    assert (list(said.names), said.load_kw.rows) == ([], 0)
