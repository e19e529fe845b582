"""Events as OpenADR 3 objects that keep the published schema, and reports read back."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from loadloom.engine.convert import response_openadr as openadr
from loadloom.engine.store.event_rows import Call
from loadloom.engine.store.event_tables import CallState
from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import Horizon
from loadloom.v1 import response_pb2 as pb
from tests.engine.convert.openadr_schema import faults

START = datetime(2026, 8, 12, 16, tzinfo=UTC)
EVENT = pb.ResponseEvent(
    name=f"events/{'0' * 32}", program="demand-response", currency_code="EUR", title="hot"
)


def horizon(*step_h: float) -> Horizon:
    return Horizon(start=START, step_h=np.array(step_h), time_zone="Europe/Amsterdam")


def call(customer: str, kw: float = 2.0, price: float = 0.2, state=CallState.PENDING) -> Call:
    return Call(
        event=EVENT.name,
        place=0,
        customer=customer,
        number=1,
        revision=1,
        state=state,
        level=0,
        price_per_kwh=price,
        asked_kw=kw,
        expected_kw=kw,
        accepted_kw=None,
        answered_time=None,
        start_time=0.0,
        end_time=0.0,
        answer_time=0.0,
    )


def report(*resources: dict, **others: object) -> str:
    whole = {
        "objectType": "REPORT",
        "programID": "demand-response",
        "eventID": "object-1",
        "clientName": "VEN-1",
        "resources": list(resources),
        **others,
    }
    assert faults("report", json.dumps(whole)) == []
    return json.dumps(whole)


def resource(name: str, *payloads: dict[str, object], period: dict | None = None) -> dict:
    """A resource with an interval for each dictionary of payloads."""
    found: dict[str, object] = {
        "resourceName": name,
        "intervals": [
            {"id": index, "payloads": [{"type": t, "values": [v]} for t, v in each.items()]}
            for index, each in enumerate(payloads)
        ],
    }
    return found if period is None else {**found, "intervalPeriod": period}


@pytest.mark.parametrize("steps", [(1.0, 1.0), (0.25,) * 8, (1.0, 0.5)])
def test_programs_and_events_keep_the_published_schema(steps):
    assert faults("program", openadr.program(EVENT)) == []
    calls = [call("anna"), call("bert", 3.0), call("cora", price=0.4), call("dora", 3.0)]
    texts = openadr.events(EVENT, horizon(*steps), calls, "")
    assert [fault for text in texts for fault in faults("event", text)] == []
    found = [json.loads(text) for text in texts]
    targets = [set(each["targets"][0]["values"]) for each in found]
    assert targets == [{"anna"}, {"bert", "dora"}, {"cora"}]
    payloads = {p["type"]: p["values"] for p in found[1]["intervals"][0]["payloads"]}
    assert payloads == {
        "SIMPLE": [1],
        "DISPATCH_SETPOINT_RELATIVE": [-3.0],
        "INCENTIVE_PRICE": [0.2],
    }
    assert len(found[0]["intervals"]) == len(steps)
    assert found[0]["intervalPeriod"]["start"] == "2026-08-12T16:00:00Z"


def test_the_schema_finds_what_is_wrong():
    event = json.loads(openadr.events(EVENT, horizon(1.0), [call("anna")], "")[0])
    for name, value in (("priority", -1), ("programID", "a b"), ("intervals", [{"id": 0}])):
        assert faults("event", json.dumps({**event, name: value}))
    assert faults("event", json.dumps({**event, "extra": 1}))


def test_only_calls_that_stand_are_exported():
    calls = [call(state.value, state=state) for state in CallState]
    (text,) = openadr.events(EVENT, horizon(1.0), calls, "mine")
    found = json.loads(text)
    assert found["targets"][0]["values"] == ["PENDING", "ACCEPTED"]
    assert found["programID"] == "mine"


def test_answers_are_read_from_states_and_from_what_is_available():
    said = openadr.read(
        [
            report(
                resource("anna", {"OPERATING_STATE": "RUNNING_CURTAILED"}),
                resource("bert", {"OPERATING_STATE": "IDLE_OPTED_OUT"}),
                resource("cora", {"LOAD_SHED_DELTA_AVAILABLE": -1.5}),
                resource("dora", {"LOAD_SHED_DELTA_AVAILABLE": 0}),
                resource("emil", {"OPERATING_STATE": "NORMAL"}),
                resource("AGGREGATED_REPORT", {"LOAD_SHED_DELTA_AVAILABLE": 9.0}),
            ),
            report(resource("anna", {"OPERATING_STATE": "RUNNING_OPTED_OUT"})),
        ],
        horizon(1.0),
    )
    assert said.answers == {
        "anna": (CallState.OPTED_OUT, None),
        "bert": (CallState.OPTED_OUT, None),
        "cora": (CallState.ACCEPTED, 1.5),
        "dora": (CallState.OPTED_OUT, None),
    }


def test_readings_are_mean_loads_in_the_intervals_of_the_event():
    quarter = {"start": "2026-08-12T16:00:00Z", "duration": "PT15M"}
    quarters = resource("anna", *({"USAGE": kwh} for kwh in (0.5, 0.5, 0.25, 0.25)), period=quarter)
    whole = resource("bert", {"USAGE": 3.0}, {"DEMAND": 2.0})
    late = resource("cora", {"DEMAND": 7.0}, period={"start": "2026-08-13T16:00:00Z"})
    bad = resource("dora", {"USAGE": 3.0, "DATA_QUALITY": "BAD"}, {"DEMAND": 2.0})
    said = openadr.read([report(quarters, whole, late, bad)], horizon(1.0, 1.0))
    assert set(said.load_kw) == {"anna", "bert", "dora"}
    np.testing.assert_allclose(said.load_kw["anna"], [1.5, np.nan])
    np.testing.assert_allclose(said.load_kw["bert"], [3.0, 2.0])
    np.testing.assert_allclose(said.load_kw["dora"], [np.nan, 2.0])


def test_a_later_report_fills_what_is_missing():
    first = {"start": START.isoformat(), "duration": "PT1H"}
    second = {"start": (START + timedelta(hours=1)).isoformat(), "duration": "PT1H"}
    reports = [
        report(resource("anna", {"DEMAND": 1.0}, period=first)),
        report(resource("anna", {"DEMAND": 2.0}, period=second)),
    ]
    np.testing.assert_allclose(openadr.read(reports, horizon(1.0, 1.0)).load_kw["anna"], [1, 2])


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{", "reports[0]"),
        ("[]", "reports[0]"),
        ("{}", "reports[0].programID"),
        (report().replace("object-1", "a b"), "reports[0].eventID"),
        (
            report(resource("anna", {"USAGE": 1.0})).replace('"id": 0', '"id": "x"'),
            "intervals[0].id",
        ),
        (report(resource("anna", {"USAGE": "much"})), "payloads[0].values"),
        (report(resource("anna", {"DATA_QUALITY": 1})), "payloads[0].values"),
        (
            report(payloadDescriptors=[{"payloadType": "USAGE", "units": "THERMS"}]),
            "payloadDescriptors[0].units",
        ),
        (
            report(
                resource("anna", {"USAGE": 1.0}, period={"start": "2026-08-12T16:00:00Z"})
            ).replace('16:00:00Z"', '16:00:00Z", "duration": "P1M"'),
            "intervalPeriod.duration",
        ),
    ],
)
def test_what_is_no_report_is_told_with_its_path(text, path):
    with pytest.raises(InvalidProblem) as caught:
        openadr.read([text], horizon(1.0))
    assert path in str(caught.value.violations[0].path)
