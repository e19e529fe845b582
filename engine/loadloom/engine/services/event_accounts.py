"""Events settled, and what they teach of customers."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
from sqlalchemy import Connection

from loadloom.engine.answers import response_settle
from loadloom.engine.answers.agency import Answer
from loadloom.engine.answers.response_settle import Settled, Settling, reliabilities
from loadloom.engine.convert import common
from loadloom.engine.convert import response_events as convert
from loadloom.engine.convert.agency import provenance
from loadloom.engine.convert.notices import page_token, place
from loadloom.engine.convert.response import without_missing
from loadloom.engine.convert.response_measure import Earlier, Prices, measuring
from loadloom.engine.convert.response_told import header
from loadloom.engine.convert.schedules import timestamp
from loadloom.engine.convert.settlements import DIGITS
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.family import Asked
from loadloom.engine.guard import refusal
from loadloom.engine.services.event_desk import Desk
from loadloom.engine.settings import Limits
from loadloom.engine.store import event_accounts as store
from loadloom.engine.store import event_rows as rows
from loadloom.engine.store.event_rows import Call, Event
from loadloom.engine.store.event_tables import CallState, EventState
from loadloom.engine.store.schedules import WrongState
from loadloom.engine.task import Answered, Task
from loadloom.models.agency.problem import Currency
from loadloom.models.checks import Violation
from loadloom.models.options import SolveOptions
from loadloom.models.response.similar_days import MOST_DAYS
from loadloom.v1 import response_pb2 as pb

PAGE = 1_000
"""The payments, or the customers, in a page unless asked otherwise."""

ROW_BYTES = 300
"""About what a payment takes in a message."""

SAMPLE = 10_000
"""The customers whose history says what to start with of those who are new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """An event that is to be settled, and what it is settled by.

    Attributes:
        event: the event.
        standing: its calls that are not cancelled.
        expected_kwh: what was expected of them when they were made.
        known: what is known of their customers.
        others: what is known of some customers.
        earlier: the events before it that called those who accepted.
        settled_count: the settlements on which that rests.
    """

    event: Event
    standing: list[Call]
    expected_kwh: float
    known: dict[str, store.Known]
    others: list[store.Known]
    earlier: tuple[Earlier, ...]
    settled_count: int

    @property
    def calls(self) -> list[Call]:
        """The calls that were answered, or not answered in time."""
        return [call for call in self.standing if call.state is not CallState.PENDING]


def known(desk: Desk, asked: Asked[pb.SettleEventRequest]) -> pb.EventSettlement | None:
    """The settlement that a request brought before; None if it is new.

    Raises:
        OtherRequest: the request id was used for another request.
    """
    with desk.database.reading() as connection:
        request_id = asked.message.request_id
        found = store.of_request(connection, desk.tenant, request_id, asked.digest)
    return None if found is None else _told(found)


def past(desk: Desk, name: str) -> Past:
    """What a settlement of an event rests on.

    Raises:
        NoSuchEvent: the tenant has none of this name.
        WrongState: it is cancelled, settled, or not over.
    """
    with desk.database.reading() as connection:
        event = rows.find(connection, desk.tenant, name)
        if event.state is not EventState.OPEN:
            raise WrongState(f"{name} is {event.state.lower()}; it cannot be settled")
        if desk.clock(connection) < event.end_time:
            raise WrongState(f"{name} is not over; it cannot be settled yet")
        standing = rows.standing(connection, event)
        hours = (event.end_time - event.start_time) / 3600.0
        return Past(
            event=event,
            standing=standing,
            expected_kwh=hours * sum(call.expected_kw for call in standing),
            known=store.known(connection, desk.tenant, (call.customer for call in standing)),
            others=store.known_latest(connection, desk.tenant, SAMPLE),
            earlier=_earlier(connection, event, standing),
            settled_count=store.settled_count(connection, desk.tenant),
        )


def _earlier(connection: Connection, event: Event, standing: list[Call]) -> tuple[Earlier, ...]:
    """The events before an event that called customers who accepted it."""
    takes_part = {call.customer for call in standing if call.state is CallState.ACCEPTED}
    found = rows.called_before(connection, event, MOST_DAYS * 86_400.0)
    at = partial(datetime.fromtimestamp, tz=UTC)
    return tuple(
        Earlier(start=at(start), end=at(end), customers=frozenset(called & takes_part))
        for start, end, called in found
        if called & takes_part
    )


def parse(
    message: pb.SettleEventRequest, limits: Limits, *, roots: Roots, past: Past
) -> Task[Settling]:
    """What an event is settled by.

    Raises:
        Refusal: the request breaks rules, all of them named, or limits.
    """
    found: list[Violation] = []
    asked = measuring(
        message.readings,
        message.controls if message.HasField("controls") else None,
        message.rule,
        limits,
        roots,
        found,
    )
    declared = common.declared(message)
    asked = common.accepted(asked, without_missing(found, declared), declared)
    event = convert.public(past.event)
    takes_part = [call for call in past.calls if call.state is CallState.ACCEPTED]
    digits = message.minor_digits if message.HasField("minor_digits") else DIGITS
    prices = Prices(
        price_per_kwh=np.array([call.price_per_kwh for call in takes_part]),
        fixed_payment=np.array([_fixed_payment(call) for call in takes_part]),
        fixed_from_share=event.fixed_from_share,
        currency=Currency(code=event.currency_code, minor_digits=digits),
    )
    instant = partial(datetime.fromtimestamp, tz=UTC)
    asked = replace(
        asked,
        start=instant(past.event.start_time),
        end=instant(past.event.end_time),
        prices=prices,
        earlier=past.earlier,
    )
    settling = Settling(
        measuring=asked,
        allow_missing=message.allow_missing,
        answered=_answered(past),
        known=past.known,
        others=past.others,
    )
    return Task(problem=settling, options=SolveOptions(), detail=0)


def _fixed_payment(call: Call) -> float:
    """What is promised for taking part; who accepts a part of what is asked is due that part."""
    if call.accepted_kw is None or call.asked_kw <= 0.0:
        return call.fixed_payment
    return call.fixed_payment * min(1.0, call.accepted_kw / call.asked_kw)


def _answered(past: Past) -> response_settle.Answered:
    calls = past.calls
    agreed = [call.asked_kw if call.accepted_kw is None else call.accepted_kw for call in calls]
    return response_settle.Answered(
        places=tuple(call.place for call in calls),
        names=tuple(call.customer for call in calls),
        accepted=np.array([call.state is CallState.ACCEPTED for call in calls], dtype=np.bool_),
        agreed_kw=np.array(agreed, dtype=np.float64),
        price_per_kwh=np.array([call.price_per_kwh for call in calls], dtype=np.float64),
        expected_kwh=past.expected_kwh,
    )


def keep(
    desk: Desk,
    asked: Asked[pb.SettleEventRequest],
    past: Past,
    answered: Answered[Settling, Answer[Settled]],
) -> pb.EventSettlement:
    """The settlement of an event, once it is on the disk with its payments and what it taught.

    Raises:
        OtherRequest: the request id was used for another request meanwhile.
        Overtaken: the event was changed, or another one settled, meanwhile.
    """
    found, request = answered.answer.found, asked.message
    event = convert.public(past.event)
    if found.deliveries is None:
        message = pb.EventSettlement(
            currency_code=event.currency_code, rule=request.rule, expected_kwh=past.expected_kwh
        )
    else:
        message = header(found.deliveries, request.rule, event.currency_code, past.expected_kwh)
    message.event = past.event.name
    message.provenance.CopyFrom(provenance(answered.task, answered.answer, answered.origin))
    new = store.NewSettlement(
        request_id=request.request_id,
        digest=asked.digest,
        response=message.SerializeToString(),
        payments=found.payments,
        known=found.known,
    )
    return _told(
        store.settle(desk.database, past.event, past.standing, new, desk.clock, past.settled_count)
    )


def _told(found: store.Settlement) -> pb.EventSettlement:
    message = pb.EventSettlement.FromString(found.response)
    stamp = timestamp(found.create_time)
    if stamp is not None:
        message.create_time.CopyFrom(stamp)
    return message


def get(desk: Desk, request: pb.GetEventSettlementRequest) -> pb.GetEventSettlementResponse:
    """The settlement of an event."""
    event = desk.found(request.name)
    _check_settled(event)
    with desk.database.reading() as connection:
        found = store.settlement(connection, event)
    return pb.GetEventSettlementResponse(settlement=_told(found))


def _check_settled(event: Event) -> None:
    if event.state is not EventState.SETTLED:
        raise WrongState(f"{event.name} is not settled")


def page_payments(desk: Desk, request: pb.ListPaymentsRequest) -> pb.ListPaymentsResponse:
    """The payments of an event by the places of the customers; for a member its own."""
    found: list[Violation] = []
    after = place(request.page_token, (int,), found)
    if found:
        raise refusal.invalid(found)
    event = desk.found(request.name)
    _check_settled(event)
    size = min(request.page_size or PAGE, max(1, desk.page_bytes // ROW_BYTES))
    beyond = -1 if after is None else int(after[0])
    with desk.database.reading() as connection:
        paid = store.payments(connection, event, beyond, size + 1, desk.member)
    response = pb.ListPaymentsResponse(payments=map(convert.render_payment, paid[:size]))
    if len(paid) > size:
        response.next_page_token = page_token(paid[size - 1].place)
    return response


def page_known(desk: Desk, request: pb.ListReliabilitiesRequest) -> pb.ListReliabilitiesResponse:
    """What is known of customers, by their names."""
    found: list[Violation] = []
    after = place(request.page_token, (str,), found)
    if found:
        raise refusal.invalid(found)
    size = request.page_size or PAGE
    beyond = "" if after is None else str(after[0])
    with desk.database.reading() as connection:
        page = store.known_page(connection, desk.tenant, request.customers, beyond, size + 1)
    response = pb.ListReliabilitiesResponse()
    told = page[:size]
    if told:
        its = reliabilities([each.customer for each in told], {e.customer: e for e in told}, ())
        sd = np.sqrt(its.share_variance)
        for index, each in enumerate(told):
            response.reliabilities.add(
                customer=each.customer,
                event_count=each.event_count,
                acceptance=float(its.acceptance[index]),
                delivered_share=float(its.share_mean[index]),
                delivered_share_sd=float(sd[index]),
                update_time=timestamp(each.update_time),
            )
    if len(page) > size:
        response.next_page_token = page_token(page[size - 1].customer)
    return response
