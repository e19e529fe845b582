"""Events and their calls between rows and messages."""

from collections.abc import Sequence

from loadloom.engine.convert.schedules import timestamp
from loadloom.engine.store.event_accounts import Payment
from loadloom.engine.store.event_rows import Call, Counts, Event, Revision
from loadloom.engine.store.event_tables import CallState, EventState
from loadloom.v1 import response_pb2 as pb

EVENT_STATES = {
    EventState.OPEN: pb.EVENT_STATE_OPEN,
    EventState.CANCELLED: pb.EVENT_STATE_CANCELLED,
    EventState.SETTLED: pb.EVENT_STATE_SETTLED,
}

CALL_STATES = {
    CallState.PENDING: pb.CALL_STATE_PENDING,
    CallState.ACCEPTED: pb.CALL_STATE_ACCEPTED,
    CallState.OPTED_OUT: pb.CALL_STATE_OPTED_OUT,
    CallState.NO_ANSWER: pb.CALL_STATE_NO_ANSWER,
    CallState.CANCELLED: pb.CALL_STATE_CANCELLED,
}

CALL_STATE_OF = {number: state for state, number in CALL_STATES.items()}

PROGRAM = "demand-response"
"""The program of events that do not say."""


def header(request: pb.CreateEventRequest) -> pb.ResponseEvent:
    """What a request says of its event for all time."""
    problem = request.problem
    return pb.ResponseEvent(
        grid=problem.grid,
        program=request.program or PROGRAM,
        currency_code=problem.currency_code,
        fixed_from_share=request.fixed_from_share,
    )


def public(row: Event) -> pb.ResponseEvent:
    """What everybody who takes part may know of an event."""
    event = pb.ResponseEvent.FromString(row.header)
    event.MergeFrom(
        pb.ResponseEvent(
            name=row.name,
            title=row.title,
            state=EVENT_STATES[row.state],
            revision=row.revision,
            create_time=timestamp(row.create_time),
            update_time=timestamp(row.update_time),
            start_time=timestamp(row.start_time),
            end_time=timestamp(row.end_time),
            answer_time=timestamp(row.answer_time),
            cancel_reason=row.cancel_reason,
        )
    )
    return event


def whole(
    row: Event,
    counts: Counts,
    plan: bytes | None = None,
    revisions: Sequence[Revision] = (),
) -> pb.ResponseEvent:
    """An event with how its calls stand; with a plan where there is one to tell."""
    event = public(row)
    event.customer_count = row.customer_count
    event.counts.CopyFrom(render_counts(counts))
    if plan is not None:
        event.plan.MergeFromString(plan)
    for each in revisions:
        event.revisions.add(
            revision=each.revision,
            create_time=timestamp(each.create_time),
            reason=each.reason,
            called_count=each.called_count,
            added_count=each.added_count,
            cancelled_count=each.cancelled_count,
        )
    return event


def render_counts(counts: Counts) -> pb.CallCounts:
    """How calls stand, as a message."""
    by_state = counts.by_state
    return pb.CallCounts(
        pending=by_state.get(CallState.PENDING, 0),
        accepted=by_state.get(CallState.ACCEPTED, 0),
        opted_out=by_state.get(CallState.OPTED_OUT, 0),
        no_answer=by_state.get(CallState.NO_ANSWER, 0),
        cancelled=by_state.get(CallState.CANCELLED, 0),
        accepted_kw=counts.accepted_kw,
        pending_kw=counts.pending_kw,
    )


def render_call(call: Call, *, whole: bool) -> pb.Call:
    """A call as a message; for a member without what the planner expects of it."""
    message = pb.Call(
        number=call.number,
        event=call.event,
        revision=call.revision,
        customer=call.customer,
        state=CALL_STATES[call.state],
        asked_kw=call.asked_kw,
        price_per_kwh=call.price_per_kwh,
        fixed_payment=call.fixed_payment,
        accepted_kw=call.accepted_kw,
        start_time=timestamp(call.start_time),
        end_time=timestamp(call.end_time),
        answer_time=timestamp(call.answer_time),
        answered_time=timestamp(call.answered_time),
    )
    if whole:
        message.expected_kw, message.place = call.expected_kw, call.place
    return message


def render_payment(payment: Payment) -> pb.Payment:
    """A payment as a message."""
    return pb.Payment(
        customer=payment.customer,
        baseline_kwh=payment.baseline_kwh,
        load_kwh=payment.load_kwh,
        delivered_kwh=payment.delivered_kwh,
        rebound_kwh=payment.rebound_kwh,
        price_per_kwh=payment.price_per_kwh,
        payment_minor=payment.payment_minor,
        fixed_minor=payment.fixed_minor,
        formula=payment.formula,
        note=payment.note,
    )
