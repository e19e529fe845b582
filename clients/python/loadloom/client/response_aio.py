"""The verbs of an operator who calls customers, for callers that await; `AsyncClient` has them.

Arguments and errors are those of `loadloom.client.response_calls.ResponseCalls`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Unpack

from google.protobuf.message import Message
from numpy.typing import ArrayLike

from loadloom.client.agency import CurvesLike
from loadloom.client.agency_fields import Source
from loadloom.client.agency_request import check_size
from loadloom.client.calls import AsyncCalls
from loadloom.client.errors import ClientClosed, Overloaded, Unavailable
from loadloom.client.operations import PAUSE_S, Patience
from loadloom.client.orderly_request import SMALL_BYTES
from loadloom.client.request import Times
from loadloom.client.response import Answer, CustomersLike, Network, Place, ResponseLaw
from loadloom.client.response_accounts import ROWS_PER_PAGE, EventName, event_name, measured_of
from loadloom.client.response_answers import Confidence, Measured, Needs, TargetPlan
from loadloom.client.response_calls import EVENTS_PER_PAGE, plan_of
from loadloom.client.response_events import (
    Call,
    Counts,
    Event,
    EventSettlement,
    OpenAdr,
    Reported,
    payments_frame,
    reliabilities_frame,
)
from loadloom.client.response_faults import told_by_name
from loadloom.client.response_request import (
    answers_request,
    calls_request,
    check_request,
    event_request,
    forecast_request,
    measure_request,
    plan_request,
    retarget_request,
    settle_request,
)
from loadloom.client.response_wishes import (
    EventWishes,
    ForecastWishes,
    MeasureWishes,
    RestWishes,
    TargetWishes,
)
from loadloom.v1 import response_pb2 as pb
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub

if TYPE_CHECKING:
    import pandas as pd

    from loadloom.v1.response_pb2_grpc import ResponseServiceAsyncStub


class AsyncResponseCalls(AsyncCalls):
    """The verbs of an operator, on a channel that the client opens and closes."""

    _response: "ResponseServiceAsyncStub"

    async def forecast_need(
        self,
        loads: CurvesLike,
        rating_kw: ArrayLike,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[ForecastWishes],
    ) -> Needs:
        """How much less load each node needs on the days ahead, and how sure that is."""
        request = forecast_request(loads, rating_kw, wishes)
        await self._check_message(request)
        answer = await self._call(self._response.ForecastNeed, request, timeout_s)
        return Needs(message=answer, names=tuple(request.names))

    async def plan_targets(
        self,
        network: Network,
        customers: CustomersLike,
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[TargetWishes],
    ) -> TargetPlan:
        """The customers to call, so that needs are met with their confidence at the least cost."""
        request, times = plan_request(network, customers, grid, wishes)
        await self._check_message(request)
        with told_by_name(request.problem):
            answer = await self._call(self._response.PlanTargets, request, timeout_s)
        return plan_of(answer.plan, request.problem, times)

    async def check_confidence(
        self,
        network: Network,
        customers: CustomersLike,
        called: "Mapping[Place, int] | Iterable[Place]",
        grid: Times = None,
        *,
        law: ResponseLaw | None = None,
        samples: int = 0,
        seed: int = 0,
        timeout_s: float | None = None,
    ) -> Confidence:
        """How often a choice of customers would meet the needs, by draws."""
        request, times = check_request(network, customers, grid, called, law, samples, seed)
        await self._check_message(request)
        with told_by_name(request.problem):
            answer = await self._call(self._response.CheckConfidence, request, timeout_s)
        nodes = tuple(request.problem.network.names)
        return Confidence(message=answer.confidence, grid=times, nodes=nodes)

    async def create_event(
        self,
        network: Network,
        customers: CustomersLike,
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[EventWishes],
    ) -> Event:
        """Plans an event and keeps it: its customers are called from then on."""
        request = event_request(network, customers, grid, wishes)
        await self._check_message(request)
        with told_by_name(request.problem):
            answer = await self._call(self._response.CreateEvent, request, timeout_s)
        return Event(answer.event)

    async def get_event(self, event: EventName, *, revision: int = 0) -> Event:
        """An event as it stands, with its latest plan or that of a revision."""
        request = pb.GetEventRequest(name=event_name(event), revision=revision)
        return Event((await self._call(self._response.GetEvent, request)).event)

    async def list_events(self) -> AsyncIterator[Event]:
        """The events there are, the latest first, without their plans."""
        request = pb.ListEventsRequest(page_size=EVENTS_PER_PAGE)
        async for page in self._pages(self._response.ListEvents, request):
            for event in page.events:
                yield Event(event)

    async def cancel_event(self, event: EventName, reason: str = "") -> Event:
        """The event, now cancelled with all its calls."""
        request = pb.CancelEventRequest(name=event_name(event), reason=reason)
        return Event((await self._call(self._response.CancelEvent, request)).event)

    async def list_calls(self, event: EventName, states: Iterable[str] = ()) -> AsyncIterator[Call]:
        """The calls of an event, those in some states alone when they are given."""
        request = calls_request(event_name(event), states, ROWS_PER_PAGE)
        async for page in self._pages(self._response.ListCalls, request):
            for call in page.calls:
                yield Call.of_message(call)

    async def record_answers(
        self,
        event: EventName,
        answers: "Mapping[str, str] | Iterable[Answer]" = (),
        *,
        close: bool = False,
    ) -> Counts:
        """How the calls stand, once answers are recorded."""
        request = answers_request(event_name(event), answers, close=close)
        await self._check_message(request)
        return Counts.of_message((await self._call(self._response.RecordAnswers, request)).counts)

    async def retarget_event(
        self,
        event: EventName,
        *,
        need_kw: "ArrayLike | pd.DataFrame | None" = None,
        reason: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
        **wishes: Unpack[RestWishes],
    ) -> Event:
        """The event with a new plan: who accepted is kept, who opted out is not called."""
        request = retarget_request(event_name(event), need_kw, reason, request_id, wishes)
        return Event((await self._call(self._response.RetargetEvent, request, timeout_s)).event)

    async def watch_calls(
        self, *, customer: str = "", event: EventName = "", after: int = 0
    ) -> AsyncIterator[Call]:
        """The calls as they are made, changed and cancelled; it goes on for ever."""
        request = pb.WatchCallsRequest(
            customer=customer, event=event_name(event), after_number=after
        )
        patience = Patience()
        while not self._closed:
            stream = self._response.WatchCalls(request)
            try:
                with patience.tried():
                    async for answer in stream:
                        request.after_number = answer.call.number
                        patience.renew()
                        yield Call.of_message(answer.call)
                await asyncio.sleep(PAUSE_S)
            except (Unavailable, Overloaded) as error:
                await asyncio.sleep(patience.pause_s(error))
            finally:
                stream.cancel()
        raise ClientClosed.now()

    async def export_event(self, event: EventName, *, program_id: str = "") -> OpenAdr:
        """An event as OpenADR 3 objects."""
        request = pb.ExportEventRequest(name=event_name(event), program_id=program_id)
        pages = [page async for page in self._pages(self._response.ExportEvent, request)]
        return OpenAdr.of_pages(pages)

    async def import_reports(
        self, event: EventName, reports: Iterable[str], event_ids: Iterable[str] = ()
    ) -> Reported:
        """What OpenADR 3 reports say: their answers are recorded, their readings returned."""
        its = event_name(event)
        request = pb.ImportReportsRequest(name=its, reports=reports, event_ids=event_ids)
        return Reported(await self._call(self._response.ImportReports, request))

    async def measure_response(
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
        """What customers would have used, and what they delivered, from readings alone."""
        request = measure_request(readings, start, end, price_per_kwh, currency_code, wishes)
        await self._check_message(request)
        answer = await self._call(self._response.MeasureResponse, request, timeout_s)
        return measured_of(answer, readings, start, currency_code)

    async def settle_event(
        self,
        event: EventName,
        readings: Source,
        *,
        allow_missing: bool = False,
        request_id: str = "",
        timeout_s: float | None = None,
        **wishes: Unpack[MeasureWishes],
    ) -> EventSettlement:
        """Measures an event, pays for it and learns from it, all at once and for good."""
        found = event if isinstance(event, Event) else await self.get_event(event)
        its = found.name, found.currency_code, readings, request_id, wishes
        request = settle_request(*its, allow_missing=allow_missing)
        await self._check_message(request)
        answer = await self._call(self._response.SettleEvent, request, timeout_s)
        return EventSettlement(answer.settlement)

    async def get_event_settlement(self, event: EventName) -> EventSettlement:
        """The settlement of an event, without its payments."""
        request = pb.GetEventSettlementRequest(name=event_name(event))
        answer = await self._call(self._response.GetEventSettlement, request)
        return EventSettlement(answer.settlement)

    async def event_payments(self, settlement: EventSettlement) -> "pd.DataFrame":
        """The payments of a settlement, a row for each customer, amounts exact."""
        request = pb.ListPaymentsRequest(name=settlement.event, page_size=ROWS_PER_PAGE)
        pages = self._pages(self._response.ListPayments, request)
        return payments_frame(
            [one async for page in pages for one in page.payments], settlement.digits
        )

    async def reliabilities(self, customers: Iterable[str] = ()) -> "pd.DataFrame":
        """What is known of customers from their settled events, a row for each; all when empty."""
        request = pb.ListReliabilitiesRequest(customers=customers, page_size=ROWS_PER_PAGE)
        pages = self._pages(self._response.ListReliabilities, request)
        return reliabilities_frame([one async for page in pages for one in page.reliabilities])

    async def _check_message(self, request: Message) -> None:
        """Checks that the server takes a large request; a small one fits any server."""
        size = request.ByteSize()
        if size > SMALL_BYTES:
            asked = SystemServiceStub(self._channel).GetSystemInfo
            limits = (await self._call(asked, GetSystemInfoRequest())).limits
            check_size(size, limits.message_bytes)
