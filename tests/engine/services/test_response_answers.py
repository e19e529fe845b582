"""What answers and plans must not do: revive calls, promise too much, call too often or late."""

from collections.abc import Sequence
from datetime import timedelta

import grpc
import pytest
from sqlalchemy import create_engine
from sqlalchemy.event import listen

from loadloom.engine.services import event_desk
from loadloom.engine.store import event_rows as rows
from loadloom.engine.store import events
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import to_matrix
from tests.engine.services.response_calls import (
    EVENING,
    NEXT_DAY,
    SERIALS,
    Operator,
    accepts,
    created,
    event_request,
    operating,
    opts_out,
)

BAD, STATE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION


def retargeted(operator: Operator, event: pb.ResponseEvent, *need_kw: float) -> pb.ResponseEvent:
    request = pb.RetargetEventRequest(request_id=f"rest {next(SERIALS)}", name=event.name)
    if need_kw:
        request.need_kw.CopyFrom(to_matrix([[0.0], *([kw] for kw in need_kw)]))
    return operator.stub.RetargetEvent(request, timeout=120).event


def test_a_cancelled_call_is_not_revived_by_its_customer(operator, failure):
    event = created(operator)
    retargeted(operator, event, 3.0, 0.0)
    gone = next(iter(operator.calls(event, pb.CALL_STATE_CANCELLED)))
    for _ in range(2):
        told = failure(lambda: operator.answer(event, accepts(gone)))
        assert (told.code, told.reason) == (STATE, "WRONG_STATE")
        operator.answer(event, opts_out(gone))
    retargeted(operator, event, 18.0, 12.0)
    assert operator.calls(event)[gone].state == pb.CALL_STATE_OPTED_OUT


def test_who_opts_out_of_a_call_may_accept_it_after_all(operator):
    event = created(operator)
    name = next(iter(operator.calls(event)))
    operator.answer(event, opts_out(name))
    assert operator.answer(event, accepts(name)).accepted == 1


def test_nobody_accepts_more_than_is_asked_for(operator, failure):
    event = created(operator)
    first, second, third, *_ = calls = operator.calls(event)
    asked = {name: calls[name].asked_kw for name in (first, second, third)}
    answers = [accepts(first), accepts(second, 1e9), accepts(third, asked[third] + 0.01)]
    told = failure(lambda: operator.answer(event, *answers))
    assert told.code is BAD
    assert set(told.paths) == {"answers[1].accepted_kw", "answers[2].accepted_kw"}
    assert operator.calls(event)[first].state == pb.CALL_STATE_PENDING
    answers = [accepts(name, kw) for name, kw in asked.items()]
    assert operator.answer(event, *answers).accepted_kw == pytest.approx(sum(asked.values()))
    assert retargeted(operator, event).counts.accepted == 3


def test_a_new_plan_counts_the_calls_of_the_season_again(operator):
    serial = next(SERIALS)

    def made(turn: int) -> pb.ResponseEvent:
        request = event_request(
            f"season {serial} {turn}", known_as=f"s{serial}-", need_kw=(3.0, 2.0)
        )
        request.season.start_time.FromJsonString("2026-06-01T00:00:00Z")
        request.season.call_max = 1
        return operator.stub.CreateEvent(request, timeout=120).event

    early, later = made(0), made(1)
    stays, *gone = operator.calls(early)
    operator.answer(early, *map(opts_out, gone))
    assert retargeted(operator, early, 14.0, 10.0).plan.called_count > 1
    pending = operator.calls(early, pb.CALL_STATE_PENDING).keys()
    assert stays in pending
    assert len(pending) > 1
    assert not pending & operator.calls(later).keys()


def test_an_event_that_took_place_is_not_cancelled(operator, failure):
    event = created(operator)
    operator.answer(event, accepts(next(iter(operator.calls(event)))))
    cancel = pb.CancelEventRequest(name=event.name)
    with operator.at(EVENING + timedelta(hours=2)):
        told = failure(lambda: operator.stub.CancelEvent(cancel))
    assert (told.code, told.reason) == (STATE, "WRONG_STATE")
    now = operator.stub.GetEvent(pb.GetEventRequest(name=event.name)).event
    assert (now.state, now.counts.accepted) == (pb.EVENT_STATE_OPEN, 1)
    with operator.at(EVENING + timedelta(hours=1)):
        assert operator.stub.CancelEvent(cancel).event.state == pb.EVENT_STATE_CANCELLED


def test_a_past_event_is_replayed(operator):
    with operator.at(NEXT_DAY):
        event = created(operator)
        name = next(iter(operator.calls(event)))
        operator.answer(event, opts_out(name))
        assert retargeted(operator, event).revision == 2
        cancelled = operator.stub.CancelEvent(pb.CancelEventRequest(name=event.name)).event
    assert cancelled.state == pb.EVENT_STATE_CANCELLED


def test_a_call_has_time_for_an_answer(operator, failure):
    request = event_request(f"event {next(SERIALS)}")
    request.answer_time.FromDatetime(operator.clock.time - timedelta(seconds=1))
    told = failure(lambda: operator.stub.CreateEvent(request, timeout=120))
    assert told.code is BAD
    assert set(told.paths) == {"answer_time"}
    request.answer_time.FromDatetime(operator.clock.time + timedelta(minutes=1))
    operator.stub.CreateEvent(request, timeout=120)


def test_all_who_are_not_called_are_told(operator, failure):
    event = created(operator)
    retargeted(operator, event, 0.0, 0.0)
    gone = list(operator.calls(event, pb.CALL_STATE_CANCELLED))[:5]
    told = failure(lambda: operator.answer(event, *map(accepts, gone)))
    assert told.code is STATE
    assert all(name in told.message for name in gone[:3])
    assert "2 more" in told.message


def test_an_event_has_only_so_many_plans(operator, monkeypatch, failure):
    monkeypatch.setattr(events, "REVISIONS", 2)
    event = created(operator)
    assert retargeted(operator, event).revision == 2
    told = failure(lambda: retargeted(operator, event))
    assert (told.code, told.reason) == (STATE, "WRONG_STATE")
    assert "2 plans" in told.message


def test_a_page_of_events_is_cut_where_a_message_would_be_too_large(operator, monkeypatch):
    made = [created(operator).name for _ in range(3)]
    whole = operator.stub.ListEvents(pb.ListEventsRequest(page_size=3)).events
    monkeypatch.setattr(event_desk, "PLAIN_BYTES", 4 * whole[0].ByteSize() + 100)
    found, request = [], pb.ListEventsRequest(page_size=1000)
    for kept in (2, 1):
        page = operator.stub.ListEvents(request)
        found += page.events[:kept]
        request.page_token = page.next_page_token
        assert len(page.events) == 2
    assert found == list(whole)
    assert [event.name for event in found] == made[::-1]


def test_the_calls_of_one_customer_are_found_without_looking_at_all(new_url):
    url = new_url("sqlite")
    with operating(url) as operator:
        made = created(operator)
        name = next(iter(operator.calls(made)))
    asked: list[tuple[str, Sequence[object]]] = []
    with create_engine(url).connect() as connection:
        event = rows.find(connection, "", made.name)
        listen(connection, "before_cursor_execute", lambda *said: asked.append(said[2:4]))
        assert rows.knows(connection, event, name)
        assert name in rows.places(connection, event, [name])
        assert len(list(rows.calls(connection, event, (), (-1, 2), name))) == 1
        assert rows.latest(connection, "", None, 2, name) == [event]
        found = [
            step[3]
            for statement, values in list(asked)
            for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            if "event_calls" in step[3]
        ]
    assert len(found) == 4
    assert all("(event=? AND customer=?)" in step for step in found), found
