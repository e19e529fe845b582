"""What happens while something else is under way, on both kinds of database."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from loadloom.engine.services import event_accounts as accounts
from loadloom.engine.services import event_life as life
from loadloom.engine.store import event_rows as rows
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import to_matrix
from tests.engine.services.held import held
from tests.engine.services.response_calls import (
    SERIALS,
    accepts,
    created,
    event_request,
    opts_out,
    readings,
)

ABORTED = grpc.StatusCode.ABORTED


@pytest.mark.parametrize("late", [accepts, opts_out, lambda name: accepts(name, 0.5)])
def test_an_answer_during_a_settlement_is_never_lost(operator, monkeypatch, failure, late):
    event = created(operator, need_kw=(5.0, 4.0))
    first, second, *_ = operator.calls(event)
    operator.answer(event, accepts(first))
    request = pb.SettleEventRequest(
        request_id=f"settle {event.name}",
        name=event.name,
        readings=readings([first, second], saved_kw=[1.0, 1.0]),
    )
    with ThreadPoolExecutor(1) as pool:
        with held(monkeypatch, accounts, "past") as read:
            under_way = pool.submit(failure, lambda: operator.settle(request))
            assert read()
            operator.answer(event, late(second))
        assert under_way.result(timeout=120).code is ABORTED
    settlement = operator.settle(request)
    paid = operator.stub.ListPayments(pb.ListPaymentsRequest(name=event.name)).payments
    accepted = [first] if late is opts_out else [first, second]
    assert [payment.customer for payment in paid] == accepted
    assert settlement.customer_count == len(accepted)


def test_a_watcher_is_told_no_answer_older_than_what_it_knows(operator, monkeypatch):
    before = created(operator, need_kw=(5.0, 4.0))
    last = max(call.number for call in operator.calls(before).values())
    asked = pb.WatchCallsRequest(after_number=last)
    with ThreadPoolExecutor(2) as pool:
        with held(monkeypatch, rows, "calls_after") as nothing_new:
            early = operator.stub.WatchCalls(asked, timeout=80)
            first = pool.submit(next, early)
            assert nothing_new()
            event = created(operator, need_kw=(5.0, 4.0))
            late = operator.stub.WatchCalls(asked, timeout=60)
            assert next(late).call.event == event.name
        assert first.result(timeout=60).call.event == event.name
    early.cancel()
    late.cancel()


def test_a_plan_that_is_made_meanwhile_takes_the_last_call_of_a_season(
    operator, monkeypatch, failure
):
    serial = next(SERIALS)

    def request(turn: int, kw: float) -> pb.CreateEventRequest:
        found = event_request(f"season {serial} {turn}", known_as=f"s{serial}-", need_kw=(kw, kw))
        found.season.start_time.FromJsonString("2026-06-01T00:00:00Z")
        found.season.call_max = 1
        return found

    event = operator.stub.CreateEvent(request(0, 3.0), timeout=120).event
    more = pb.RetargetEventRequest(request_id=f"more {serial}", name=event.name)
    more.need_kw.CopyFrom(to_matrix([[0.0], [8.0], [8.0]]))
    with ThreadPoolExecutor(1) as pool:
        with held(monkeypatch, life, "standing") as read:
            under_way = pool.submit(failure, lambda: operator.stub.RetargetEvent(more, timeout=120))
            assert read()
            other = operator.stub.CreateEvent(request(1, 3.0), timeout=120).event
        assert under_way.result(timeout=120).code is ABORTED
    operator.stub.RetargetEvent(more, timeout=120)
    assert not operator.calls(event).keys() & operator.calls(other).keys()


def test_the_same_request_twice_at_once_brings_its_own_plan(operator, monkeypatch):
    event = created(operator, need_kw=(5.0, 4.0))
    request = pb.RetargetEventRequest(request_id=f"rest {event.name}", name=event.name)

    def asked() -> pb.ResponseEvent:
        return operator.stub.RetargetEvent(request, timeout=120).event

    with ThreadPoolExecutor(1) as pool:
        with held(monkeypatch, life, "standing") as read:
            late = pool.submit(asked)
            assert read()
            first = asked()
            other = pb.RetargetEventRequest(request_id=f"more {event.name}", name=event.name)
            other.need_kw.CopyFrom(to_matrix([[0.0], [8.0], [8.0]]))
            operator.stub.RetargetEvent(other, timeout=120)
        again = late.result(timeout=120)
    assert again.revision == 3
    assert again.plan == first.plan
