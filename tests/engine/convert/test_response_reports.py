"""OpenADR 3 reports, read into answers and readings."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from loadloom.engine.convert import response_reports as reports
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from loadloom.engine.store.event_tables import CallState
from loadloom.models.checks import InvalidProblem
from loadloom.models.horizon import Horizon
from tests.engine.convert.openadr_schema import faults

START = datetime(2026, 8, 12, 16, tzinfo=UTC)
KNOWN = frozenset({"anna", "bert", "cora", "dora", "emil", "AGGREGATED_REPORT"})


def horizon(*step_h: float) -> Horizon:
    return Horizon(start=START, step_h=np.array(step_h), time_zone="Europe/Amsterdam")


def read(
    texts: Sequence[str], axis: Horizon, event_ids: Sequence[str] = (), **limits: int
) -> reports.Reported:
    return reports.read(texts, axis, KNOWN, Limits(**limits), event_ids)


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


def resource(name: str, *payloads: Mapping[str, object], period: dict | None = None) -> dict:
    """A resource with an interval for each dictionary of payloads."""
    found: dict[str, object] = {
        "resourceName": name,
        "intervals": [
            {"id": index, "payloads": [{"type": t, "values": [v]} for t, v in each.items()]}
            for index, each in enumerate(payloads)
        ],
    }
    return found if period is None else {**found, "intervalPeriod": period}


def test_answers_are_read_from_states_and_from_what_is_available():
    said = read(
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
    said = read([report(quarters, whole, late, bad)], horizon(1.0, 1.0))
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
    np.testing.assert_allclose(read(reports, horizon(1.0, 1.0)).load_kw["anna"], [1, 2])


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
        read([text], horizon(1.0))
    assert path in str(caught.value.violations[0].path)


def test_resources_that_are_not_known_are_passed_over():
    said = read(
        [
            report(
                resource("anna", {"DEMAND": 1.0}),
                *(resource(f"stranger {n}", {"DEMAND": 1.0, "USAGE": "x"}) for n in range(9)),
                resource("zoe", {"OPERATING_STATE": "IDLE_OPTED_OUT"}),
            )
        ],
        horizon(1.0, 1.0),
    )
    assert (list(said.load_kw), said.answers) == (["anna"], {})


@pytest.mark.parametrize("limits", [{"customer_points": 7}, {"message_bytes": 4096}])
def test_more_readings_than_there_is_room_for_are_refused(limits):
    count = 4 if "customer_points" in limits else 600
    texts = [report(resource("anna", {"DEMAND": 1.0}), resource("bert", {"DEMAND": 1.0}))]
    read(texts, horizon(*[1.0] * count))
    with pytest.raises(Refusal) as caught:
        read(texts, horizon(*[1.0] * count), **limits)
    assert caught.value.reason == "LIMIT_EXCEEDED"


def test_a_report_of_another_event_says_nothing_of_this_one():
    def of(event_id: str, name: str) -> str:
        answer = resource(name, {"OPERATING_STATE": "IDLE_OPTED_OUT"})
        return report(answer, eventID=event_id)

    texts = [of("today", "anna"), of("yesterday", "bert"), of("today-2", "cora")]
    said = read(texts, horizon(1.0), ["today", "today-2"])
    assert set(said.answers) == {"anna", "cora"}
    with pytest.raises(InvalidProblem) as caught:
        read(texts, horizon(1.0))
    found = [violation.path for violation in caught.value.violations]
    assert found == ["reports[1].eventID", "reports[2].eventID"]


def period(start: str, duration: str) -> dict[str, str]:
    return {"start": start, "duration": duration}


NOON = "2026-08-12T12:00:00Z"


@pytest.mark.parametrize(
    "duration",
    ["P9999999999999D", f"PT{'9' * 400}S", "P999999DT999999999H", "P367D", "PT8785H", "P1W", "P"],
)
def test_periods_that_are_too_long_are_told_with_their_path(duration):
    texts = [
        json.dumps(
            {**json.loads(report()), "resources": [resource("anna", {}, period=period(NOON, own))]}
        )
        for own in (duration, "P366D")
    ]
    read(texts[1:], horizon(1.0))
    with pytest.raises(InvalidProblem) as caught:
        read(texts, horizon(1.0))
    path = "reports[0].resources[0].intervalPeriod.duration"
    assert [violation.path for violation in caught.value.violations] == [path]


@pytest.mark.parametrize("start", ["9999-12-31T23:00:00", "0001-01-01T00:00:00+14:00"])
def test_periods_at_the_ends_of_time_are_outside_the_event(start):
    two = resource("anna", {"DEMAND": 1.0}, {"DEMAND": 1.0}, period=period(start, "P366D"))
    assert (
        read([json.dumps({**json.loads(report()), "resources": [two]})], horizon(1.0)).load_kw == {}
    )


@pytest.mark.parametrize("digits", [400, 4000])
def test_a_number_beyond_all_floats_is_told_with_its_path(digits):
    text = report(resource("anna", {"USAGE": 1.5})).replace("1.5", "9" * digits)
    with pytest.raises(InvalidProblem) as caught:
        read([text], horizon(1.0))
    assert caught.value.violations[0].path.startswith("reports[0]")


def test_a_single_reading_without_a_period_is_of_the_whole_event():
    said = read([report(resource("anna", {"USAGE": 3.0}))], horizon(1.0, 0.5))
    np.testing.assert_allclose(said.load_kw["anna"], [2.0, 2.0])


def test_mean_loads_are_those_of_a_plain_sum_over_spans():
    rng = np.random.default_rng(7)
    for _ in range(200):
        axis = horizon(*rng.choice([0.25, 0.5, 1.0], rng.integers(1, 9)))
        bounds = axis.boundaries_h
        first = rng.integers(-4, 20, rng.integers(1, 9)) / 4
        last = first + rng.integers(1, 12, first.size) / 4
        kw = rng.uniform(-5.0, 5.0, first.size)
        spans = list(zip(first.tolist(), last.tolist(), kw.tolist(), strict=True))
        covered = np.clip(
            np.minimum(bounds[1:, None], last) - np.maximum(bounds[:-1, None], first), 0.0, None
        )
        hours = covered.sum(axis=1)
        whole = np.isclose(hours, axis.step_h)
        found = reports.mean_loads(spans, axis)
        if not (hours > 0.0).any():
            assert found is None
            continue
        assert found is not None
        assert (np.isnan(found) == ~whole).all()
        np.testing.assert_allclose(found[whole], ((covered @ kw) / axis.step_h)[whole], atol=1e-9)
