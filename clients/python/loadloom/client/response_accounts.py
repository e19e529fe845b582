"""What events came to, for callers that wait: measured, settled, paid, and what they taught.

`loadloom.client.response_calls.ResponseCalls` has these verbs with all others.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Unpack

from google.protobuf.message import Message
from numpy.typing import ArrayLike

from loadloom.client.agency import Curves
from loadloom.client.agency_fields import Source
from loadloom.client.agency_money import minor_digits
from loadloom.client.agency_request import check_size
from loadloom.client.calls import Calls
from loadloom.client.grid import Grid
from loadloom.client.orderly_request import SMALL_BYTES
from loadloom.client.response_answers import Measured
from loadloom.client.response_events import (
    Event,
    EventSettlement,
    payments_frame,
    reliabilities_frame,
)
from loadloom.client.response_request import measure_request, settle_request
from loadloom.client.response_wishes import MeasureWishes
from loadloom.v1 import response_pb2 as pb
from loadloom.v1.response_pb2_grpc import ResponseServiceStub
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub

if TYPE_CHECKING:
    import pandas as pd

EventName = Event | str
"""An event, or its name."""

ROWS_PER_PAGE = 10_000


class ResponseAccounts(Calls):
    """The verbs about what events came to, on a channel that the client opens and closes."""

    _response: ResponseServiceStub

    def measure_response(
        self,
        readings: Source,
        start: datetime,
        end: datetime,
        *,
        price_per_kwh: ArrayLike | None = None,
        currency_code: str = "",
        timeout_s: float | None = None,
        **wishes: Unpack[MeasureWishes],
    ) -> Measured:
        """What customers would have used, and what they delivered, from readings alone.

        Args:
            readings: the readings over whole local days, that of the event among them: Curves, a
                DataFrame, or a DataSet that the server reads; NaN where one is missing.
            start: when the event begins.
            end: when it ends, a day later at most by the local clock.
            price_per_kwh: what is paid per kWh, to all or each; nothing is paid when left out.
            currency_code: the currency of the price.
            timeout_s: how long the call may take.
            wishes: how baselines are made, holidays and so on; see MeasureWishes.

        Raises:
            LoadloomError: the request is wrong, or there is no answer.
        """
        request = measure_request(readings, start, end, price_per_kwh, currency_code, wishes)
        self._check_message(request)
        answer = self._call(self._response.MeasureResponse, request, timeout_s)
        return measured_of(answer, readings, start, currency_code)

    def settle_event(
        self,
        event: EventName,
        readings: Source,
        *,
        allow_missing: bool = False,
        request_id: str = "",
        timeout_s: float | None = None,
        **wishes: Unpack[MeasureWishes],
    ) -> EventSettlement:
        """Measures an event, pays for it and learns from it, all at once and for good.

        Args:
            event: the event.
            readings: as for `measure_response`, of the customers that accepted.
            allow_missing: whether who accepted may be without readings, and is then paid nothing.
            request_id: the caller's id of the request; one for each event when left out.
            timeout_s: how long the call may take.
            wishes: how baselines are made, holidays and so on; see MeasureWishes.

        Raises:
            LoadloomError: the request is wrong, the event is not over, or there is no answer.
        """
        found = event if isinstance(event, Event) else self._event(event)
        its = found.name, found.currency_code, readings, request_id, wishes
        asked = settle_request(*its, allow_missing=allow_missing)
        self._check_message(asked)
        return EventSettlement(self._call(self._response.SettleEvent, asked, timeout_s).settlement)

    def get_event_settlement(self, event: EventName) -> EventSettlement:
        """The settlement of an event, without its payments.

        Raises:
            LoadloomError: there is none, or no answer.
        """
        request = pb.GetEventSettlementRequest(name=event_name(event))
        return EventSettlement(self._call(self._response.GetEventSettlement, request).settlement)

    def event_payments(self, settlement: EventSettlement) -> "pd.DataFrame":
        """The payments of a settlement, a row for each customer, amounts exact.

        Raises:
            LoadloomError: there is no such event, or no answer.
        """
        request = pb.ListPaymentsRequest(name=settlement.event, page_size=ROWS_PER_PAGE)
        pages = self._pages(self._response.ListPayments, request)
        return payments_frame((one for page in pages for one in page.payments), settlement.digits)

    def reliabilities(self, customers: Iterable[str] = ()) -> "pd.DataFrame":
        """What is known of customers from their settled events, a row for each; all when empty.

        Raises:
            LoadloomError: there is no answer.
        """
        request = pb.ListReliabilitiesRequest(customers=customers, page_size=ROWS_PER_PAGE)
        pages = self._pages(self._response.ListReliabilities, request)
        return reliabilities_frame(one for page in pages for one in page.reliabilities)

    def _event(self, name: str) -> Event:
        """The event of a name."""
        return Event(self._call(self._response.GetEvent, pb.GetEventRequest(name=name)).event)

    def _check_message(self, request: Message) -> None:
        """Checks that the server takes a large request; a small one fits any server."""
        size = request.ByteSize()
        if size > SMALL_BYTES:
            asked = SystemServiceStub(self._channel).GetSystemInfo
            check_size(size, self._call(asked, GetSystemInfoRequest()).limits.message_bytes)


def measured_of(
    answer: pb.MeasureResponseResponse, readings: Source, start: datetime, currency_code: str
) -> Measured:
    """What was measured, on the grid of the event."""
    its = Curves.of(readings).grid if hasattr(readings, "columns") else readings.grid  # type: ignore[union-attr, arg-type] -- a DataFrame is the one with columns
    step, count = its.steps[0], answer.load_kw.cols
    grid = Grid(start=start, step=step, count=count, time_zone=its.time_zone)
    return Measured(message=answer, grid=grid, digits=minor_digits(currency_code))


def event_name(event: EventName) -> str:
    """The name of an event."""
    return event.name if isinstance(event, Event) else event
