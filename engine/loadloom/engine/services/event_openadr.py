"""Events in OpenADR's words: told to its servers, and what these report."""

from dataclasses import dataclass

import numpy as np

from loadloom.engine.convert import common
from loadloom.engine.convert import response_events as convert
from loadloom.engine.convert import response_openadr as openadr
from loadloom.engine.convert import response_reports as reports
from loadloom.engine.convert.notices import page_token, place
from loadloom.engine.convert.response_reports import Reported
from loadloom.engine.guard import refusal
from loadloom.engine.services import event_life as life
from loadloom.engine.services.event_desk import Desk
from loadloom.engine.settings import Limits
from loadloom.engine.store import event_rows as rows
from loadloom.engine.store.event_tables import CallState
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import Horizon
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import to_floats


def export(desk: Desk, request: pb.ExportEventRequest) -> pb.ExportEventResponse:
    """An event as OpenADR 3 objects, as many as a page has room for."""
    found: list[Violation] = []
    after = place(request.page_token, (float, float, int, int), found)
    if found:
        raise refusal.invalid(found)
    event = desk.found(request.name)
    message = convert.public(event)
    with desk.database.reading() as connection:
        calls = list(rows.calls(connection, event, (), None))
    told = openadr.events(message, _horizon(message, desk.limits), calls, request.program_id, after)
    response = pb.ExportEventResponse(program=openadr.program(message), version=openadr.VERSION)
    size, last = len(response.program), None
    for text, end in told:
        size += len(text)
        full = size > desk.page_bytes or len(response.events) == request.page_size > 0
        if last is not None and full:
            response.next_page_token = page_token(*last)
            break
        response.events.append(text)
        last = end
    return response


def _horizon(event: pb.ResponseEvent, limits: Limits) -> Horizon:
    return common.grid(event.grid, limits).horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What reports of an event may be about.

    Attributes:
        horizon: the intervals of the event.
        request: what it was asked with, which names its customers, as it is kept.
        asked_kw: what those who are called are asked for.
    """

    horizon: Horizon
    request: bytes
    asked_kw: dict[str, float]


def expected(desk: Desk, name: str) -> Expected:
    """What reports of an event may be about.

    Raises:
        NoSuchEvent: the tenant has none of this name.
    """
    event = desk.found(name)
    with desk.database.reading() as connection:
        request = rows.request(connection, event)
        calls = rows.standing(connection, event)
    return Expected(
        horizon=_horizon(convert.public(event), desk.limits),
        request=request,
        asked_kw={call.customer: call.asked_kw for call in calls},
    )


def read(request: pb.ImportReportsRequest, expected: Expected, limits: Limits) -> Reported:
    """What reports say; customers that the event does not know are passed over.

    Raises:
        Refusal: a report is none, or there are too many readings.
    """
    names = pb.CreateEventRequest.FromString(expected.request).problem.customers.names
    its = expected.horizon, frozenset(names), limits, request.event_ids
    try:
        return reports.read(request.reports, *its)
    except InvalidProblem as error:
        raise refusal.invalid(error.violations) from error


def record(
    desk: Desk, request: pb.ImportReportsRequest, expected: Expected, said: Reported
) -> pb.ImportReportsResponse:
    """What reports said, their answers recorded.

    Acceptances of those whom the event does not call are passed over: reports of a whole program
    may come. What is available beyond what was asked for is not counted.
    """
    asked_kw, answers = expected.asked_kw, []
    for customer, (state, kw) in said.answers.items():
        if customer not in asked_kw and state is not CallState.OPTED_OUT:
            continue
        accepted_kw = None if kw is None else min(kw, asked_kw[customer])
        word = convert.CALL_STATES[state]
        answers.append(pb.Answer(customer=customer, state=word, accepted_kw=accepted_kw))
    recorded = life.record(desk, pb.RecordAnswersRequest(name=request.name, answers=answers))
    loads = np.array(list(said.load_kw.values())).reshape(-1, expected.horizon.count)
    return pb.ImportReportsResponse(
        answers=answers,
        names=said.load_kw,
        load_kw=to_floats(loads),
        counts=recorded.counts,
    )
