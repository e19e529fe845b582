"""Events as OpenADR 3 objects that keep the published schema."""

import json
from datetime import UTC, datetime
from itertools import count

import numpy as np
import pytest

from loadloom.engine.convert import response_openadr as openadr
from loadloom.engine.store.event_rows import Call
from loadloom.engine.store.event_tables import CallState
from loadloom.models.horizon import Horizon
from loadloom.v1 import response_pb2 as pb
from tests.engine.convert.openadr_schema import faults

START = datetime(2026, 8, 12, 16, tzinfo=UTC)
EVENT = pb.ResponseEvent(
    name=f"events/{'0' * 32}", program="demand-response", currency_code="EUR", title="hot"
)


PLACES = count()


def horizon(*step_h: float) -> Horizon:
    return Horizon(start=START, step_h=np.array(step_h), time_zone="Europe/Amsterdam")


def call(
    customer: str, kw: float = 2.0, price: float = 0.2, state=CallState.PENDING, fixed: float = 0.0
) -> Call:
    return Call(
        event=EVENT.name,
        place=next(PLACES),
        customer=customer,
        number=1,
        revision=1,
        state=state,
        level=0,
        price_per_kwh=price,
        fixed_payment=fixed,
        asked_kw=kw,
        expected_kw=kw,
        accepted_kw=None,
        called=True,
        answered_time=None,
        start_time=0.0,
        end_time=0.0,
        answer_time=0.0,
    )


def told(calls: list[Call], program_id: str = "") -> list[str]:
    return [text for text, _ in openadr.events(EVENT, horizon(1.0), calls, program_id)]


@pytest.mark.parametrize("steps", [(1.0, 1.0), (0.25,) * 8, (1.0, 0.5)])
def test_programs_and_events_keep_the_published_schema(steps):
    assert faults("program", openadr.program(EVENT)) == []
    calls = [call("anna"), call("bert", 3.0), call("cora", price=0.4), call("dora", 3.0)]
    texts = [text for text, _ in openadr.events(EVENT, horizon(*steps), calls, "")]
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
    length = f"PT{round(3600 * sum(steps))}S"
    assert found[0]["intervalPeriod"] == {"start": "2026-08-12T16:00:00Z", "duration": length}
    assert len(found[0]["intervals"]) == 1


def test_what_is_promised_for_taking_part_has_an_event_of_its_own():
    texts = told([call("anna"), call("bert", fixed=1.5)])
    assert [fault for text in texts for fault in faults("event", text)] == []
    first, second = map(json.loads, texts)
    assert [each["targets"][0]["values"] for each in (first, second)] == [["anna"], ["bert"]]
    assert second["intervals"][0]["payloads"][-1] == {"type": "INCENTIVE_PAYMENT", "values": [1.5]}
    assert second["payloadDescriptors"][-1]["currency"] == "EUR"
    assert "INCENTIVE_PAYMENT" not in texts[0]


def test_the_schema_finds_what_is_wrong():
    event = json.loads(told([call("anna")])[0])
    period = {**event["intervalPeriod"], "start": "2026-08-12T16:00:00"}  # of no zone
    for name, value in (
        ("priority", -1),
        ("programID", "a b"),
        ("programID", None),
        ("intervals", [{"id": 0}]),
        ("intervalPeriod", period),
        ("extra", 1),
    ):
        (told_of,) = faults("event", json.dumps({**event, name: value}))[:1]
        assert told_of.startswith("$")
    assert faults("event", json.dumps({**event, "priority": None})) == []


def test_only_calls_that_stand_are_exported():
    calls = [call(state.value, state=state) for state in CallState]
    (text,) = told(calls, "mine")
    found = json.loads(text)
    assert found["targets"][0]["values"] == ["PENDING", "ACCEPTED"]
    assert found["programID"] == "mine"


def test_an_export_goes_on_behind_any_of_its_events():
    calls = [call(f"home {n}", kw=1.0 + n % 3, price=0.1 * (n % 2)) for n in range(20)]
    whole = list(openadr.events(EVENT, horizon(1.0), calls, ""))
    assert len(whole) == 6
    for place in range(len(whole)):
        after = whole[place][1]
        assert list(openadr.events(EVENT, horizon(1.0), calls, "", after)) == whole[place + 1 :]


def test_events_have_no_more_targets_than_fit_into_a_message(monkeypatch):
    monkeypatch.setattr(openadr, "TARGETS", 3)
    calls = [call(f"home {n}") for n in range(7)]
    found = [json.loads(text)["targets"][0]["values"] for text in told(calls)]
    assert found == [["home 0", "home 1", "home 2"], ["home 3", "home 4", "home 5"], ["home 6"]]


def test_an_event_is_as_large_however_many_intervals_it_has():
    one, many = (
        next(openadr.events(EVENT, horizon(*steps), [call("anna")], ""))[0]
        for steps in ((8.0,), (0.25,) * 32)
    )
    assert one == many
