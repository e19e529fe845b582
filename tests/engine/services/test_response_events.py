"""Events from the call to the last answer, on both kinds of database."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import to_floats, to_matrix
from tests.engine.services.response_calls import (
    SERIALS,
    Operator,
    accepts,
    created,
    event_request,
    operating,
    opts_out,
)

ALREADY, ABORTED = grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.ABORTED
BAD, GONE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
STATE = grpc.StatusCode.FAILED_PRECONDITION


def retargeted(operator: Operator, event: pb.ResponseEvent, **changes) -> pb.ResponseEvent:
    request = pb.RetargetEventRequest(
        request_id=f"rest {next(SERIALS)}", name=event.name, reason="answers", **changes
    )
    return operator.stub.RetargetEvent(request, timeout=120).event


def test_an_event_calls_the_customers_of_its_plan(operator):
    event = created(operator)
    assert (event.state, event.revision, event.customer_count) == (pb.EVENT_STATE_OPEN, 1, 40)
    assert event.start_time == event.answer_time
    calls = operator.calls(event)
    assert len(calls) == event.plan.called_count == event.counts.pending
    assert not event.plan.called
    one = next(iter(calls.values()))
    assert one.state == pb.CALL_STATE_PENDING
    assert one.price_per_kwh in {0.2, 0.4}
    assert 1.5 <= one.asked_kw <= 2.5
    assert one.expected_kw < one.asked_kw
    assert all(reserve.names for reserve in event.plan.reserves)
    next_to_call = {name for reserve in event.plan.reserves for name in reserve.names}
    assert not next_to_call & calls.keys()
    assert [(each.called_count, each.added_count) for each in event.revisions] == [
        (len(calls), len(calls))
    ]


def test_the_same_request_brings_the_same_event(operator, failure):
    request = event_request("again", known_as="again-")
    first = operator.stub.CreateEvent(request, timeout=120).event
    assert operator.stub.CreateEvent(request, timeout=120).event == first
    with ThreadPoolExecutor(4) as pool:
        request.request_id = "at once"
        found = pool.map(lambda _: operator.stub.CreateEvent(request, timeout=120).event, range(4))
        assert len({event.name for event in found}) == 1
    request.title = "other"
    told = failure(lambda: operator.stub.CreateEvent(request, timeout=120))
    assert (told.code, told.reason) == (ALREADY, "OTHER_REQUEST")


def test_events_are_listed_the_latest_first(operator):
    made = [created(operator).name for _ in range(3)]
    page = operator.stub.ListEvents(pb.ListEventsRequest(page_size=2))
    assert [event.name for event in page.events] == made[:0:-1]
    assert not page.events[0].HasField("plan")
    rest = operator.stub.ListEvents(
        pb.ListEventsRequest(page_size=1, page_token=page.next_page_token)
    )
    assert [event.name for event in rest.events] == made[:1]


def test_who_accepted_is_kept_and_who_opted_out_is_never_called_again(operator):
    event = created(operator)
    names = list(operator.calls(event))
    yes, no = names[: len(names) // 2], names[len(names) // 2 : -2]
    counts = operator.answer(event, *map(accepts, yes), *map(opts_out, no))
    assert (counts.accepted, counts.opted_out, counts.pending) == (len(yes), len(no), 2)
    for _ in range(3):
        event = retargeted(operator, event)
        calls = operator.calls(event)
        assert {n for n, c in calls.items() if c.state == pb.CALL_STATE_ACCEPTED} == set(yes)
        assert all(calls[name].state == pb.CALL_STATE_OPTED_OUT for name in no)
        assert all(calls[name].revision == 1 for name in yes)
        new = [n for n, c in calls.items() if c.state == pb.CALL_STATE_PENDING and n not in names]
        operator.answer(event, *map(opts_out, new[:2]))
        no += new[:2]
    assert event.revision == 4
    assert [each.revision for each in event.revisions] == [1, 2, 3, 4]
    assert event.plan.called_count >= len(yes)


def test_the_needs_are_met_again_by_the_new_plan(operator):
    event = created(operator)
    names = list(operator.calls(event))
    operator.answer(event, *map(opts_out, names[:3]))
    after = retargeted(operator, event)
    assert not after.plan.unsecured
    assert min(after.plan.nodes.probability.values.values) >= 0.9 - 1e-6
    assert after.revisions[1].added_count >= 3
    lasting = operator.stub.GetEvent(pb.GetEventRequest(name=event.name, revision=1)).event
    assert lasting.plan == event.plan


def test_certain_answers_need_fewer_calls(operator):
    event = created(operator)
    calls = operator.calls(event)
    operator.answer(event, *map(accepts, calls))
    after = retargeted(operator, event)
    assert after.counts.accepted == len(calls)
    assert after.counts.pending == 0
    assert after.plan.cost > 0.0


def test_less_than_asked_for_is_made_up_by_others(operator):
    event = created(operator)
    calls = operator.calls(event)
    operator.answer(event, *(accepts(name, 0.5) for name in calls))
    after = retargeted(operator, event)
    assert after.counts.accepted == len(calls)
    assert after.counts.accepted_kw == pytest.approx(0.5 * len(calls))
    assert after.counts.pending > 0


def test_calls_without_need_are_cancelled_and_may_be_made_again(operator):
    event = created(operator)
    before = operator.calls(event)
    less = retargeted(operator, event, need_kw=to_matrix([[0.0], [3.0], [0.0]]))
    gone = operator.calls(event, pb.CALL_STATE_CANCELLED)
    assert 0 < len(gone) == less.revisions[1].cancelled_count
    assert less.counts.pending == len(before) - len(gone)
    again = retargeted(operator, event, need_kw=to_matrix([[0.0], [18.0], [12.0]]))
    assert again.counts.pending == len(before)
    kept = retargeted(operator, event)
    assert kept.counts.pending == len(before)
    assert (kept.revisions[3].added_count, kept.revisions[3].cancelled_count) == (0, 0)


def test_who_does_not_answer_in_time_is_replaced(operator):
    event = created(operator)
    names = list(operator.calls(event))
    counts = operator.answer(event, *map(accepts, names[1:]), close=True)
    assert (counts.accepted, counts.no_answer, counts.pending) == (len(names) - 1, 1, 0)
    calls = operator.calls(retargeted(operator, event))
    assert calls[names[0]].state == pb.CALL_STATE_NO_ANSWER


def test_anybody_may_opt_out_and_nobody_accepts_uncalled(operator, failure):
    event = created(operator)
    called = operator.calls(event)
    prefix = next(iter(called)).split("-")[0]
    free = [f"{prefix}-home {n:02d}" for n in range(40)]
    free = [name for name in free if name not in called]
    wrong = [accepts(next(iter(called))), accepts(free[0]), opts_out(free[1]), accepts(free[2])]
    told = failure(lambda: operator.answer(event, *wrong))
    assert (told.code, set(told.paths)) == (BAD, {"answers[1].customer", "answers[3].customer"})
    assert operator.calls(event)[next(iter(called))].state == pb.CALL_STATE_PENDING
    counts = operator.answer(event, opts_out(free[0]))
    assert counts.opted_out == 1
    told = failure(lambda: operator.answer(event, accepts(free[0])))
    assert (told.code, told.reason) == (STATE, "WRONG_STATE")
    operator.answer(event, *map(opts_out, called))
    after = operator.calls(retargeted(operator, event))
    assert after[free[0]].state == pb.CALL_STATE_OPTED_OUT
    assert after[free[0]].number > max(call.number for call in called.values())


def test_wrong_answers_are_told_all_at_once(operator, failure):
    event = created(operator)
    name = next(iter(operator.calls(event)))
    wrong = [accepts("nobody"), accepts(name), opts_out(name)]
    wrong[2].accepted_kw = 1.0
    told = failure(lambda: operator.answer(event, *wrong))
    assert told.code is BAD
    assert set(told.paths) == {
        "answers[0].customer",
        "answers[2].customer",
        "answers[2].accepted_kw",
    }


def test_a_cancelled_event_calls_nobody_and_stays_cancelled(operator, failure):
    event = created(operator)
    operator.answer(event, accepts(next(iter(operator.calls(event)))))
    request = pb.CancelEventRequest(name=event.name, reason="cool wind")
    cancelled = operator.stub.CancelEvent(request).event
    assert (cancelled.state, cancelled.cancel_reason) == (pb.EVENT_STATE_CANCELLED, "cool wind")
    assert {call.state for call in operator.calls(event).values()} == {pb.CALL_STATE_CANCELLED}
    assert operator.stub.CancelEvent(request).event == cancelled
    for late in (
        lambda: operator.answer(event, accepts("x")),
        lambda: retargeted(operator, event),
    ):
        assert failure(late).code in {STATE, BAD}


def test_watchers_are_told_each_change_once_and_resume(operator):
    event = created(operator)
    first = operator.watched(event.counts.pending, event=event.name)
    numbers = [call.number for call in first]
    assert numbers == sorted(set(numbers))
    resumed = operator.watched(2, event=event.name, after_number=numbers[1])
    assert [call.number for call in resumed] == numbers[2:4]
    retargeted(operator, event, need_kw=to_matrix([[0.0], [3.0], [0.0]]))
    news = operator.watched(1, event=event.name, after_number=numbers[-1])
    assert news[0].state == pb.CALL_STATE_CANCELLED
    assert news[0].number > numbers[-1]
    mine = operator.watched(1, customer=first[0].customer)
    assert mine[0].customer == first[0].customer


def test_watchers_are_told_answers_by_number_and_members_their_own(operator):
    event = created(operator)
    one, two, three, *rest = operator.watched(event.counts.pending, event=event.name)
    last = max(call.number for call in (one, two, three, *rest))
    operator.answer(event, accepts(three.customer, 0.5), opts_out(one.customer))
    operator.answer(event, accepts(two.customer))
    told = operator.watched(3, event=event.name, after_number=last)
    assert [call.customer for call in told] == [three.customer, one.customer, two.customer]
    assert [call.number for call in told] == [last + 1, last + 2, last + 3]
    assert (told[0].state, told[0].accepted_kw) == (pb.CALL_STATE_ACCEPTED, 0.5)
    assert told[1].state == pb.CALL_STATE_OPTED_OUT
    (own,) = operator.watched(1, customer=one.customer, after_number=last)
    assert own == told[1]
    operator.answer(event, opts_out(two.customer), close=True)
    resumed = operator.watched(1 + len(rest), event=event.name, after_number=last + 3)
    assert (resumed[0].customer, resumed[0].state) == (two.customer, pb.CALL_STATE_OPTED_OUT)
    assert {call.state for call in resumed[1:]} == {pb.CALL_STATE_NO_ANSWER}
    assert [call.number for call in resumed] == list(range(last + 4, last + 5 + len(rest)))


def test_a_watcher_that_waits_hears_of_the_next_event(operator):
    before = created(operator)
    last = max(call.number for call in operator.calls(before).values())
    stream = operator.stub.WatchCalls(pb.WatchCallsRequest(after_number=last), timeout=60)
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(next, stream)
        event = created(operator)
        assert heard.result(timeout=60).call.event == event.name
    stream.cancel()


def test_nobody_is_called_more_often_than_the_season_allows(operator, failure):
    serial, names = next(SERIALS), set()
    events = []
    for turn in range(3):
        request = event_request(
            f"season {serial} {turn}", known_as=f"s{serial}-", need_kw=(3.0, 2.0)
        )
        request.season.start_time.FromJsonString("2026-06-01T00:00:00Z")
        request.season.call_max = 1
        events.append(operator.stub.CreateEvent(request, timeout=120).event)
        called = set(operator.calls(events[-1]))
        assert not called & names
        names |= called
    request.request_id = f"season {serial} more"
    request.problem.network.need_kw.CopyFrom(to_matrix([[0.0], [18.0], [12.0]]))
    told = failure(lambda: operator.stub.CreateEvent(request, timeout=120))
    assert (told.code, told.reason) == (STATE, "WRONG_STATE")
    assert "nobody is called" in told.message
    operator.stub.CancelEvent(pb.CancelEventRequest(name=events[0].name))
    request.request_id, request.season.call_max = f"season {serial} two", 2
    operator.stub.CreateEvent(request, timeout=120)


def test_two_plans_at_once_leave_one_of_them(operator):
    event = created(operator)
    names = list(operator.calls(event))
    operator.answer(event, *map(opts_out, names[:2]))

    def revise(_: int) -> str:
        try:
            retargeted(operator, event)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(revise, range(4)))
    assert set(outcomes) <= {"OK", "ABORTED"}
    now = operator.stub.GetEvent(pb.GetEventRequest(name=event.name)).event
    assert now.revision == 1 + outcomes.count("OK")


def test_answers_while_a_plan_is_made_are_never_lost(operator):
    event = created(operator)
    names = list(operator.calls(event))
    answers = [accepts(name) if n % 2 else opts_out(name) for n, name in enumerate(names)]

    def answered(answer: pb.Answer) -> bool:
        try:
            operator.answer(event, answer)
        except grpc.RpcError as error:
            # The plan took the call back first; anybody may opt out all the same.
            return error.code() is not STATE or answer.state != pb.CALL_STATE_ACCEPTED
        return True

    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(answered, answer) for answer in answers]
        plan = pool.submit(retargeted, operator, event, need_kw=to_matrix([[0.0], [1.0], [1.0]]))
        heard = [future.result() for future in sent]
        plan.result()
    calls = operator.calls(event)
    for answer, was_heard in zip(answers, heard, strict=True):
        found = calls[answer.customer].state
        assert found == (answer.state if was_heard else pb.CALL_STATE_CANCELLED)


def test_what_is_not_there_is_told(operator, failure):
    name = f"events/{'0' * 32}"
    event = created(operator)
    for call in (
        lambda: operator.stub.GetEvent(pb.GetEventRequest(name=name)),
        lambda: operator.stub.GetEvent(pb.GetEventRequest(name=event.name, revision=9)),
        lambda: operator.stub.CancelEvent(pb.CancelEventRequest(name=name)),
        lambda: operator.stub.ListCalls(pb.ListCallsRequest(name=name)),
        lambda: operator.stub.ExportEvent(pb.ExportEventRequest(name=name)),
        lambda: operator.answer(pb.ResponseEvent(name=name), opts_out("anna")),
    ):
        assert failure(call).code is GONE
    for early in (
        lambda: operator.stub.GetEventSettlement(pb.GetEventSettlementRequest(name=event.name)),
        lambda: operator.stub.ListPayments(pb.ListPaymentsRequest(name=event.name)),
    ):
        assert failure(early).code is STATE


def test_a_need_that_cannot_be_met_makes_no_event_unless_effort_is_enough(operator, failure):
    request = event_request("too much", known_as="much-")
    request.problem.network.need_kw.CopyFrom(to_matrix([[0.0], [900.0], [0.0]]))
    told = failure(lambda: operator.stub.CreateEvent(request, timeout=120))
    assert (told.code, told.reason) == (STATE, "WRONG_STATE")
    assert "north" in told.message
    request.problem.best_effort = True
    event = operator.stub.CreateEvent(request, timeout=120).event
    assert event.plan.unsecured
    assert event.counts.pending == 20


def test_more_calls_than_an_event_may_have_are_refused(new_url, failure):
    with operating(new_url("sqlite"), limits={"event_calls": 3}) as operator:
        told = failure(lambda: operator.stub.CreateEvent(event_request(), timeout=120))
        assert (told.code, told.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "LIMIT_EXCEEDED",
        )
        assert not operator.stub.ListEvents(pb.ListEventsRequest()).events


def test_reports_of_openadr_are_answers_and_readings(operator):
    event = created(operator)
    first, second, *_ = operator.calls(event)
    exported = operator.stub.ExportEvent(pb.ExportEventRequest(name=event.name))
    assert exported.version == "3.0.1"
    assert len(exported.events) > 1
    report = (
        '{"programID": "p", "eventID": "e", "clientName": "ven", "resources": ['
        f'{{"resourceName": "{first}", "intervals": [{{"id": 0, "payloads": '
        '[{"type": "LOAD_SHED_DELTA_AVAILABLE", "values": [1.25]}, '
        '{"type": "USAGE", "values": [0.5]}]}]}, '
        f'{{"resourceName": "{second}", "intervals": [{{"id": 0, "payloads": '
        '[{"type": "OPERATING_STATE", "values": ["IDLE_OPTED_OUT"]}]}]}, '
        '{"resourceName": "somebody else", "intervals": [{"id": 0, "payloads": '
        '[{"type": "OPERATING_STATE", "values": ["RUNNING_CURTAILED"]}]}]}]}'
    )
    said = operator.stub.ImportReports(pb.ImportReportsRequest(name=event.name, reports=[report]))
    assert (said.counts.accepted, said.counts.opted_out) == (1, 1)
    assert said.counts.accepted_kw == pytest.approx(1.25)
    assert (list(said.names), said.load_kw.rows, said.load_kw.cols) == ([first], 1, 2)
    assert list(said.load_kw.values) == [pytest.approx(0.25)] * 2
    assert {answer.customer for answer in said.answers} == {first, second}


def test_what_a_customer_delivers_is_weighed_in_the_plan(operator):
    whole = created(operator, need_kw=(8.0, 6.0))
    serial = next(SERIALS)
    request = event_request(f"event {serial}", known_as=f"{serial}-", need_kw=(8.0, 6.0))
    request.problem.customers.delivered_share.append(0.5)
    half = operator.stub.CreateEvent(request, timeout=120).event
    assert half.plan.called_count > whole.plan.called_count
    assert next(iter(operator.calls(half).values())).asked_kw >= 1.5


def test_a_shock_keeps_its_place_through_a_new_plan(operator):
    serial = next(SERIALS)
    request = event_request(f"event {serial}", known_as=f"{serial}-")
    request.problem.customers.shock_share.CopyFrom(to_floats([[0.2]]))
    event = operator.stub.CreateEvent(request, timeout=120).event
    names = list(operator.calls(event))
    operator.answer(event, *map(opts_out, names[:2]))
    after = retargeted(operator, event)
    assert min(after.plan.nodes.probability.values.values) >= 0.9 - 1e-6
