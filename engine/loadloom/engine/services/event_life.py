"""The life of events: made, looked at, answered, planned anew, cancelled."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from itertools import compress
from uuid import uuid4

from sqlalchemy import Connection

from loadloom.engine.answers.agency import Answer
from loadloom.engine.answers.response import Targets
from loadloom.engine.convert import response_events as convert
from loadloom.engine.convert.common import declared, instant
from loadloom.engine.convert.notices import page_token, place
from loadloom.engine.convert.response import Targeting
from loadloom.engine.convert.response_create import Standing, new_calls, write_left
from loadloom.engine.convert.response_plans import plan
from loadloom.engine.family import Asked
from loadloom.engine.guard import refusal
from loadloom.engine.services.event_desk import Desk
from loadloom.engine.store import event_accounts as accounts
from loadloom.engine.store import event_answers as answers_store
from loadloom.engine.store import event_rows as rows
from loadloom.engine.store import events as store
from loadloom.engine.store.event_answers import MoreThanAsked, NewAnswer, NotCalled
from loadloom.engine.store.event_rows import Event
from loadloom.engine.store.event_tables import EventState
from loadloom.engine.store.events import NewEvent, NewRevision
from loadloom.engine.store.schedules import Overtaken, WrongState
from loadloom.engine.task import Answered
from loadloom.models.checks import Violation
from loadloom.v1 import common_pb2
from loadloom.v1 import response_pb2 as pb

PAGE, CALLS = 50, 1_000
"""The events and the calls in a page unless asked otherwise."""

CALL_BYTES = 160
"""About what a call takes in a message, beside its customer's name."""

CHECKED = {"request_id", "name"}
"""The fields that are looked at before anything is looked up."""

Planned = Answered[Targeting, Answer[Targets]]


def check_names(
    request: pb.CreateEventRequest | pb.RetargetEventRequest | pb.SettleEventRequest,
) -> bool:
    """Checks the fields by which something is looked up.

    Returns:
        Whether the others keep their declared rules too.

    Raises:
        Refusal: one of them is none.
    """
    faults = declared(request)
    if wrong := [each for each in faults if each.path in CHECKED]:
        raise refusal.invalid(wrong)
    return not faults


def known(desk: Desk, asked: Asked, request_id: str) -> pb.ResponseEvent | None:
    """The event that a request brought before, with that plan; None if it is new.

    Raises:
        OtherRequest: the request id was used for another request.
    """
    with desk.database.reading() as connection:
        found = rows.of_request(connection, desk.tenant, request_id, asked.digest)
        return None if found is None else _whole(connection, *found)


def history(
    desk: Desk, request: pb.CreateEventRequest
) -> tuple[dict[str, accounts.Known], dict[str, int]]:
    """What is known of the customers of a request, and their calls, as far as it asks for that.

    Raises:
        Refusal: the event is yet to come, and the time to answer its calls is over.
    """
    counts, found = {}, {}
    with desk.database.reading() as connection:
        _check_answer_time(request, desk.clock(connection))
        if request.HasField("season"):
            counts = rows.calls_since(connection, desk.tenant, _season_start(request))
        if request.use_reliabilities:
            names = request.problem.customers.names
            found = accounts.known(connection, desk.tenant, names)
    return found, counts


def _check_answer_time(request: pb.CreateEventRequest, time_s: float) -> None:
    if not request.HasField("answer_time"):
        return
    if request.answer_time.seconds < time_s < request.problem.grid.start_time.seconds:
        said = "is over by now; whoever is called must have time to answer"
        raise refusal.invalid([Violation("answer_time", said)])


def _season_start(request: pb.CreateEventRequest) -> float:
    start = instant(request.season.start_time)
    return 0.0 if start is None else start.timestamp()


def keep(desk: Desk, asked: Asked[pb.CreateEventRequest], planned: Planned) -> pb.ResponseEvent:
    """The event of a plan, once it and all its calls are on the disk.

    Raises:
        OtherRequest: the request id was used for another request meanwhile.
        Overtaken: a customer has got its last call of the season meanwhile.
        Refusal: there is no plan, or it is too large to be told.
    """
    request = asked.message
    revision = _revision(desk, asked, request.request_id, "", planned, None)
    horizon = planned.task.problem.horizon
    start, end = horizon.start.timestamp(), horizon.boundary(horizon.count).timestamp()
    answer_time = request.answer_time if request.HasField("answer_time") else None
    latest = None if answer_time is None else instant(answer_time)
    new = NewEvent(
        name=f"events/{uuid4().hex}",
        tenant=desk.tenant,
        title=request.title,
        customer_count=planned.task.problem.problem.customers.count,
        start_time=start,
        end_time=end,
        answer_time=start if latest is None else latest.timestamp(),
        header=convert.header(request).SerializeToString(),
        request=request.SerializeToString(),
    )
    check = partial(_check_season, desk, request)
    event = store.create(desk.database, new, revision, desk.clock, check)
    with desk.database.reading() as connection:
        return _whole(connection, event, store.FIRST)


def _check_season(
    desk: Desk, request: pb.CreateEventRequest, connection: Connection, called: Iterable[str]
) -> None:
    """Checks that nobody is called more often than a season allows, whoever else calls now."""
    if not request.HasField("season"):
        return
    counts = rows.calls_since(connection, desk.tenant, _season_start(request))
    if any(counts.get(name, 0) >= request.season.call_max for name in called):
        raise Overtaken("the calls of this season")


def _revision(
    desk: Desk,
    asked: Asked,
    request_id: str,
    reason: str,
    planned: Planned,
    need: common_pb2.Matrix | None,
) -> NewRevision:
    """The plan as it is kept.

    Raises:
        Refusal: there is none, or it is too large to be told.
    """
    solution = planned.answer.found.solution
    message = plan(planned.task, planned.answer, planned.origin)
    if solution.offer is None:
        said = [each.text for each in message.unsecured[:3]] or [message.termination.detail]
        more = "" if len(message.unsecured) <= 3 else f" (and {len(message.unsecured) - 3} more)"
        why = "; ".join(filter(None, said)) or "no plan was found in time"
        raise refusal.wrong_state(f"nobody is called: {why}{more}")
    calls = new_calls(planned.task.problem, solution.offer)
    most = desk.limits.event_calls
    if len(calls) > most:
        raise refusal.too_large("problem.customers", "calls of an event", len(calls), most)
    if message.ByteSize() > desk.limits.message_bytes // 2:
        size, most = message.ByteSize(), desk.limits.message_bytes // 2
        raise refusal.too_large("problem.network", "bytes of the plan of an event", size, most)
    return NewRevision(
        request_id=request_id,
        digest=asked.digest,
        reason=reason,
        plan=message.SerializeToString(),
        need=None if need is None else need.SerializeToString(),
        calls=calls,
    )


def standing(desk: Desk, asked: pb.RetargetEventRequest) -> tuple[Event, Standing]:
    """An event that is to be planned anew, and how it stands.

    Raises:
        NoSuchEvent: there is none of this name.
        WrongState: it is not open, or over.
        Refusal: the time to answer is over, or lies where no answer can count.
    """
    with desk.database.reading() as connection:
        event, now = rows.find(connection, desk.tenant, asked.name), desk.clock(connection)
        if event.state is not EventState.OPEN:
            raise WrongState(f"{asked.name} is {event.state.lower()}; it cannot be planned anew")
        if event.is_past(now):
            raise WrongState(f"{asked.name} took place; it cannot be planned anew")
        answer_time, late = _answer_time(asked, event, now)
        need = rows.need(connection, event)
        request = pb.CreateEventRequest.FromString(rows.request(connection, event))
        stand = rows.stand(connection, event)
        if request.HasField("season"):
            counts = rows.calls_since(connection, desk.tenant, _season_start(request))
            write_left(request, counts, list(compress(stand.place, stand.called)))
        return event, Standing(
            request=request,
            stand=stand,
            need=None if need is None else common_pb2.Matrix.FromString(need),
            answer_time=answer_time,
            late=late,
        )


def _answer_time(asked: pb.RetargetEventRequest, event: Event, now: float) -> tuple[float, bool]:
    """Until when answers are waited for from now on, and whether who was silent has no answer.

    Raises:
        Refusal: the request asks for a time that is over, or for one without a use.
    """
    latest = event.start_time if now < event.start_time else event.end_time
    if asked.HasField("answer_time"):
        until = instant(asked.answer_time)
        at = None if until is None else until.timestamp()
        if at is None or at > latest:
            said = "must not be after the event has begun, or after its end where it has begun"
            raise refusal.invalid([Violation("answer_time", said)])
        if at < now < event.end_time:
            said = "is over by now; whoever is called must have time to answer"
            raise refusal.invalid([Violation("answer_time", said)])
        return at, False
    # The record of a past event has its answers, whenever it is made.
    if now <= event.answer_time or now >= event.end_time:
        return event.answer_time, False
    return latest, True


def revise(
    desk: Desk,
    asked: Asked[pb.RetargetEventRequest],
    event: Event,
    standing: Standing,
    planned: Planned,
) -> pb.ResponseEvent:
    """The event with a new plan, once it is on the disk.

    Raises:
        OtherRequest: the request id was used for another request meanwhile.
        Overtaken: another call changed the event meanwhile, or gave a customer its last call of
            the season.
        Refusal: there is no plan, or it is too large to be told.
    """
    request = asked.message
    need = request.need_kw if request.HasField("need_kw") else None
    revision = replace(
        _revision(desk, asked, request.request_id, request.reason, planned, need),
        answer_time=standing.answer_time,
        late=standing.late,
    )
    check = partial(_check_season, desk, standing.request)
    moved, number = store.revise(desk.database, event, revision, desk.clock, check)
    with desk.database.reading() as connection:
        return _whole(connection, moved, number)


def _whole(connection: Connection, event: Event, revision: int) -> pb.ResponseEvent:
    return convert.whole(
        event,
        rows.counts(connection, event),
        rows.plan(connection, event, revision),
        rows.revisions(connection, event),
    )


def get(desk: Desk, request: pb.GetEventRequest) -> pb.GetEventResponse:
    """An event; a member sees what everybody may know of it."""
    event = desk.found(request.name)
    if desk.member:
        return pb.GetEventResponse(event=convert.public(event))
    with desk.database.reading() as connection:
        found = _whole(connection, event, request.revision or event.revision)
        return pb.GetEventResponse(event=found)


def page(desk: Desk, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
    """The events there are, the latest first; for a member those that call it."""
    found: list[Violation] = []
    after = place(request.page_token, (int,), found)
    if found:
        raise refusal.invalid(found)
    size = request.page_size or PAGE
    with desk.database.reading() as connection:
        before = None if after is None else int(after[0])
        events = rows.latest(connection, desk.tenant, before, size + 1, desk.member)
        counts = {} if desk.member else rows.counts_of(connection, events[:size])
    response, room = pb.ListEventsResponse(), desk.page_bytes
    for event in events[:size]:
        told = convert.public(event) if desk.member else convert.whole(event, counts[event.number])
        room -= told.ByteSize()
        if room < 0 and response.events:
            break
        response.events.append(told)
    if len(events) > len(response.events):
        response.next_page_token = page_token(events[len(response.events) - 1].number)
    return response


def cancel(desk: Desk, request: pb.CancelEventRequest) -> pb.CancelEventResponse:
    """The event, cancelled with all its calls."""
    event = store.cancel(desk.database, desk.found(request.name), request.reason, desk.clock)
    with desk.database.reading() as connection:
        return pb.CancelEventResponse(event=_whole(connection, event, event.revision))


def page_calls(desk: Desk, request: pb.ListCallsRequest) -> pb.ListCallsResponse:
    """The calls of an event by the places of the customers; for a member its own."""
    found: list[Violation] = []
    after = place(request.page_token, (int,), found)
    if found:
        raise refusal.invalid(found)
    event = desk.found(request.name)
    size = min(request.page_size or CALLS, max(1, desk.page_bytes // CALL_BYTES))
    states = [convert.CALL_STATE_OF[state] for state in request.states]
    beyond = -1 if after is None else int(after[0])
    with desk.database.reading() as connection:
        calls = list(rows.calls(connection, event, states, (beyond, size + 1), desk.member))
    whole = not desk.member
    response = pb.ListCallsResponse(
        calls=[convert.render_call(call, whole=whole) for call in calls[:size]]
    )
    if len(calls) > size:
        response.next_page_token = page_token(calls[size - 1].place)
    return response


def record(desk: Desk, request: pb.RecordAnswersRequest) -> pb.RecordAnswersResponse:
    """How calls stand when answers are recorded; a member gives its own, in time."""
    event = desk.found(request.name)
    found: list[Violation] = []
    if desk.member:
        _check_member(desk, event, request)
    answers = _answers(desk, event, request, found)
    if found:
        raise refusal.invalid(found)
    try:
        counts = answers_store.answer(
            desk.database, event, answers, desk.clock, close=request.close
        )
    except MoreThanAsked as error:
        raise refusal.invalid(_too_much(request, error.asked_kw)) from error
    except NotCalled as error:
        raise refusal.invalid(_uncalled(request, error.customers)) from error
    if desk.member:
        return pb.RecordAnswersResponse()
    return pb.RecordAnswersResponse(counts=convert.render_counts(counts))


def _too_much(request: pb.RecordAnswersRequest, asked_kw: Mapping[str, float]) -> list[Violation]:
    return [
        Violation(
            f"answers[{index}].accepted_kw",
            f"is {answer.accepted_kw:g}; must be at most the {asked_kw[answer.customer]:g} kW "
            "that are asked for",
        )
        for index, answer in enumerate(request.answers)
        if answer.customer in asked_kw
    ]


def _uncalled(request: pb.RecordAnswersRequest, customers: Collection[str]) -> list[Violation]:
    said = "was never called by the event, and may only opt out"
    return [
        Violation(f"answers[{index}].customer", f"{answer.customer!r} {said}")
        for index, answer in enumerate(request.answers)
        if answer.customer in customers
    ]


def _check_member(desk: Desk, event: Event, request: pb.RecordAnswersRequest) -> None:
    """Checks that a member answers for itself, and in time."""
    if request.close or any(answer.customer != desk.member for answer in request.answers):
        raise refusal.other_user()
    said = "must be that it accepts or opts out"
    silent = [
        Violation(f"answers[{index}].state", said)
        for index, answer in enumerate(request.answers)
        if answer.state == pb.CALL_STATE_NO_ANSWER
    ]
    if silent:
        raise refusal.invalid(silent)
    with desk.database.reading() as connection:
        if desk.clock(connection) > event.answer_time:
            raise WrongState(f"the time to answer {event.name} is over")


def _answers(
    desk: Desk, event: Event, request: pb.RecordAnswersRequest, found: list[Violation]
) -> list[NewAnswer]:
    """The answers by the places of their customers; what is wrong with them is noted."""
    first: dict[str, int] = {}
    for index, answer in enumerate(request.answers):
        before = first.setdefault(answer.customer, index)
        if before != index:
            said = f"is also that of answers[{before}]; a customer has one answer"
            found.append(Violation(f"answers[{index}].customer", said))
        if answer.HasField("accepted_kw") and answer.state != pb.CALL_STATE_ACCEPTED:
            said = "must be left out where nothing is accepted"
            found.append(Violation(f"answers[{index}].accepted_kw", said))
    places = _places(desk, event, first)
    for name, index in first.items():
        if name not in places:
            said = f"{name!r} is none of the customers of the event"
            found.append(Violation(f"answers[{index}].customer", said))
    return [
        NewAnswer(
            place=places[answer.customer],
            customer=answer.customer,
            state=convert.CALL_STATE_OF[answer.state],
            accepted_kw=answer.accepted_kw if answer.HasField("accepted_kw") else None,
        )
        for answer in request.answers
        if answer.customer in places
    ]


def _places(desk: Desk, event: Event, names: dict[str, int]) -> dict[str, int]:
    """The places of customers; none of those that the event does not know."""
    with desk.database.reading() as connection:
        found = rows.places(connection, event, names)
    if len(found) < len(names):  # who is not called is in the request alone
        for index, name in enumerate(desk.request(event).problem.customers.names):
            if name in names:
                found.setdefault(name, index)
    return found
