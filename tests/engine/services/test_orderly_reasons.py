"""The reasons behind schedules, made by a worker process of a real server."""

import pytest

from loadloom.v1 import orderly_pb2 as pb


def test_what_is_short_is_explained(shared):
    schedule = shared.create(short={1: 400.0, 3: 100.0})
    request = pb.ExplainScheduleRequest(
        name=schedule.name, user=shared.names[1], exact_exemption=True
    )
    request.time_limit.seconds = 8
    found = shared.stub.ExplainSchedule(request, timeout=60)
    assert found.user.user == shared.names[1]
    assert found.user.cost > 0
    assert found.user.exemption_price > 0
    assert found.user.words
    (uncovered,) = found.uncovered
    assert (uncovered.day, uncovered.slot) == (1, 6)
    assert uncovered.missing_kw == pytest.approx(80.0)
    assert "MWh" in found.shortfall[0]


def test_a_rota_is_explained_without_prices_and_excuses_nobody(shared, failure):
    request = shared.request()
    request.fairness.mode = pb.FAIRNESS_MODE_EQUAL_HOURS
    request.options.ClearField("method")
    request.shortage.shortage_kw.values[:] = [100.0] * 56
    request.users.ClearField("max_days")
    request.users.max_events_per_day.append(8)
    for name in ("max_slots", "notice"):
        request.measures.ClearField(name)
    request.measures.cap_kw.values[:] = [100.0]
    request.measures.cost_per_kwh.values[:] = [1.0]
    schedule = shared.solved(shared.stub.CreateSchedule(request))
    assert schedule.method == pb.ORDERLY_METHOD_ROTA
    question = pb.ExplainScheduleRequest(name=schedule.name, user=shared.names[0])
    assert "no prices" in shared.stub.ExplainSchedule(question, timeout=60).user.words[0]
    question.exact_exemption = True
    told = failure(lambda: shared.stub.ExplainSchedule(question, timeout=60))
    assert set(told.paths) == {"exact_exemption"}
