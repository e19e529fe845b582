"""What members see of events that call them, and nothing of others'."""

from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest

from loadloom.engine.guard import tokens
from loadloom.engine.guard.roles import Role
from loadloom.v1 import response_pb2 as pb
from loadloom.v1.response_pb2_grpc import ResponseServiceStub
from tests.engine.guard.test_roles import bearing
from tests.engine.services.response_calls import (
    EVENING,
    NEXT_DAY,
    Clock,
    accepts,
    event_calling,
    operating,
    opts_out,
    readings,
)
from tests.pace import slowness

ANNA, BERT = "anna", "bert"
DENIED, GONE = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND
BAD = grpc.StatusCode.INVALID_ARGUMENT
STATE = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(scope="module")
def park(tmp_path_factory) -> Iterator[dict[str, ResponseServiceStub]]:
    """Stubs of an operator and two members, and the clock by which they are told the time."""
    folder = tmp_path_factory.mktemp("park")
    file = folder / "tokens"
    secrets = {"operator": tokens.make(file, Role.OPERATOR, "park", "")}
    for name in (ANNA, BERT):
        secrets[name] = tokens.make(file, Role.MEMBER, "park", name)
    clock = Clock()
    with operating(f"sqlite:///{folder}/db", clock, token_hashes=file) as found:
        stubs = {
            who: ResponseServiceStub(bearing(found.channel, secret))
            for who, secret in secrets.items()
        }
        yield {**stubs, "clock": clock}


@pytest.fixture(scope="module")
def event(park) -> pb.ResponseEvent:
    return park["operator"].CreateEvent(event_calling(ANNA, BERT), timeout=120).event


def test_a_member_sees_its_own_call_and_nothing_of_others(park, event, failure):
    member, name = park[ANNA], event.name
    (call,) = member.ListCalls(pb.ListCallsRequest(name=name)).calls
    assert call.customer == ANNA
    assert call.expected_kw == 0.0
    seen = member.GetEvent(pb.GetEventRequest(name=name)).event
    assert not seen.HasField("plan")
    assert not seen.HasField("counts")
    assert not seen.revisions
    assert BERT not in str(seen)
    assert [each.name for each in member.ListEvents(pb.ListEventsRequest()).events] == [name]
    watched = []
    with pytest.raises(grpc.RpcError):  # the time of the stream is over
        watched.extend(member.WatchCalls(pb.WatchCallsRequest(), timeout=2 * slowness()))
    assert [each.call.customer for each in watched] == [ANNA]
    for asked in (
        lambda: next(member.WatchCalls(pb.WatchCallsRequest(customer=BERT))),
        lambda: member.RecordAnswers(pb.RecordAnswersRequest(name=name, answers=[accepts(BERT)])),
        lambda: member.RecordAnswers(pb.RecordAnswersRequest(name=name, close=True)),
    ):
        assert (failure(asked).code, failure(asked).reason) == (DENIED, "OTHER_USER")


def test_a_member_answers_for_itself_in_time(park, event, failure):
    member, clock = park[ANNA], park["clock"]
    answer = pb.RecordAnswersRequest(name=event.name, answers=[accepts(ANNA, 1.0)])
    assert not member.RecordAnswers(answer).HasField("counts")
    (call,) = member.ListCalls(pb.ListCallsRequest(name=event.name)).calls
    assert (call.state, call.accepted_kw) == (pb.CALL_STATE_ACCEPTED, 1.0)
    clock.time = EVENING + timedelta(minutes=1)
    try:
        late = pb.RecordAnswersRequest(name=event.name, answers=[opts_out(ANNA)])
        told = failure(lambda: member.RecordAnswers(late))
        assert (told.code, told.reason) == (STATE, "WRONG_STATE")
        assert park["operator"].RecordAnswers(late).counts.opted_out == 1
        again = pb.RecordAnswersRequest(name=event.name, answers=[accepts(ANNA, 1.0)])
        assert park["operator"].RecordAnswers(again).counts.accepted == 1
    finally:
        clock.time = EVENING - timedelta(hours=6)


def test_whom_a_new_plan_calls_has_time_to_answer(park, failure):
    """Answers were waited for until 17:00; at 17:00 those who were silent have none."""
    operator, clock = park["operator"], park["clock"]
    request = event_calling()
    request.request_id = "answers until five"
    names = request.problem.customers.names
    names[-1] = BERT
    request.problem.customers.never_call.append(len(names) - 1)
    request.answer_time.FromDatetime(EVENING - timedelta(hours=1))
    first = operator.CreateEvent(request, timeout=120).event
    anew = pb.RetargetEventRequest(request_id="anew", name=first.name)
    try:
        clock.time = EVENING - timedelta(minutes=59)
        anew.answer_time.FromDatetime(EVENING - timedelta(minutes=59, seconds=1))
        assert set(failure(lambda: operator.RetargetEvent(anew, timeout=120)).paths) == {
            "answer_time"
        }
        anew.answer_time.FromDatetime(EVENING + timedelta(minutes=1))
        assert "answer_time" in failure(lambda: operator.RetargetEvent(anew, timeout=120)).paths
        anew.ClearField("answer_time")
        second = operator.RetargetEvent(anew, timeout=120).event
        assert second.answer_time.ToSeconds() == EVENING.timestamp()
        assert second.counts.no_answer == first.counts.pending
        page = operator.ListCalls(pb.ListCallsRequest(name=first.name, states=[1])).calls
        assert len(page) == second.counts.pending > 0
        assert {call.answer_time.ToSeconds() for call in page} == {EVENING.timestamp()}
        clock.time = EVENING + timedelta(hours=2)
        late = pb.RetargetEventRequest(request_id="late", name=first.name)
        told = failure(lambda: operator.RetargetEvent(late, timeout=120))
        assert (told.code, told.reason) == (STATE, "WRONG_STATE")
    finally:
        clock.time = EVENING - timedelta(hours=6)


def test_a_member_accepts_no_more_than_it_is_asked_for(park, event, failure):
    member = park[ANNA]
    (call,) = member.ListCalls(pb.ListCallsRequest(name=event.name)).calls
    told = failure(
        lambda: member.RecordAnswers(
            pb.RecordAnswersRequest(name=event.name, answers=[accepts(ANNA, 1e9)])
        )
    )
    assert told.code is BAD
    assert f"{call.asked_kw:g} kW" in told.paths["answers[0].accepted_kw"]
    whole = pb.RecordAnswersRequest(name=event.name, answers=[accepts(ANNA, call.asked_kw)])
    member.RecordAnswers(whole)


def test_an_event_that_does_not_call_a_member_does_not_exist_for_it(park, failure):
    request = event_calling(BERT)
    request.request_id = "bert alone"
    other = park["operator"].CreateEvent(request, timeout=120).event
    member = park[ANNA]
    for asked in (
        lambda: member.GetEvent(pb.GetEventRequest(name=other.name)),
        lambda: member.ListCalls(pb.ListCallsRequest(name=other.name)),
        lambda: member.RecordAnswers(
            pb.RecordAnswersRequest(name=other.name, answers=[opts_out(ANNA)])
        ),
        lambda: next(member.WatchCalls(pb.WatchCallsRequest(event=other.name))),
    ):
        assert failure(asked).code is GONE
    names = [each.name for each in member.ListEvents(pb.ListEventsRequest()).events]
    assert other.name not in names


def test_a_member_sees_its_own_payment(park, failure):
    request = event_calling(ANNA, BERT)
    request.request_id = "paid"
    operator = park["operator"]
    event = operator.CreateEvent(request, timeout=120).event
    answers = [accepts(ANNA), accepts(BERT)]
    operator.RecordAnswers(pb.RecordAnswersRequest(name=event.name, answers=answers))
    clock = park["clock"]
    clock.time = NEXT_DAY
    try:
        operator.SettleEvent(
            pb.SettleEventRequest(
                request_id="paid",
                name=event.name,
                readings=readings([ANNA, BERT], saved_kw=[1.0, 2.0]),
            ),
            timeout=120,
        )
    finally:
        clock.time = EVENING - timedelta(hours=6)
    paid = park[BERT].ListPayments(pb.ListPaymentsRequest(name=event.name)).payments
    assert [(payment.customer, payment.delivered_kwh) for payment in paid] == [(BERT, 4.0)]
    asked = pb.GetEventSettlementRequest(name=event.name)
    assert failure(lambda: park[BERT].GetEventSettlement(asked)).code is DENIED
