"""The verbs of an operator who calls customers, for callers that wait; `Client` has them."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Unpack

from numpy.typing import ArrayLike

from loadloom.client.agency import CurvesLike
from loadloom.client.errors import ClientClosed, Overloaded, Unavailable
from loadloom.client.grid import Grid
from loadloom.client.operations import PAUSE_S, Patience
from loadloom.client.request import Times
from loadloom.client.response import Answer, CustomersLike, Network, Place, ResponseLaw
from loadloom.client.response_accounts import (
    ROWS_PER_PAGE,
    EventName,
    ResponseAccounts,
    event_name,
)
from loadloom.client.response_answers import Confidence, Needs, TargetPlan
from loadloom.client.response_events import (
    Call,
    Counts,
    Event,
    OpenAdr,
    Reported,
)
from loadloom.client.response_faults import told_by_name
from loadloom.client.response_request import (
    answers_request,
    calls_request,
    check_request,
    event_request,
    forecast_request,
    plan_request,
    retarget_request,
)
from loadloom.client.response_wishes import (
    EventWishes,
    ForecastWishes,
    RestWishes,
    TargetWishes,
)
from loadloom.v1 import response_pb2 as pb

if TYPE_CHECKING:
    import pandas as pd

EVENTS_PER_PAGE = 200


class ResponseCalls(ResponseAccounts):
    """The verbs of an operator, on a channel that the client opens and closes."""

    def forecast_need(
        self,
        loads: CurvesLike,
        rating_kw: ArrayLike,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[ForecastWishes],
    ) -> Needs:
        """How much less load each node needs on the days ahead, and how sure that is.

        Args:
            loads: the past loads of the nodes, whole local days; NaN where one is missing.
            rating_kw: the rating of each node, or of all.
            timeout_s: how long the call may take.
            wishes: temperatures, drivers, confidence and so on; see ForecastWishes.

        Raises:
            LoadloomError: the request is wrong, or there is no answer.
        """
        request = forecast_request(loads, rating_kw, wishes)
        self._check_message(request)
        answer = self._call(self._response.ForecastNeed, request, timeout_s)
        return Needs(message=answer, names=tuple(request.names))

    def plan_targets(
        self,
        network: Network,
        customers: CustomersLike,
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[TargetWishes],
    ) -> TargetPlan:
        """The customers to call, so that every need is met with its confidence at the least cost.

        Args:
            network: the nodes and their needs.
            customers: the customers: Customers, or a DataFrame with a row for each.
            grid: the intervals; not needed where the needs are a DataFrame with times.
            timeout_s: how long the call may take.
            wishes: quotas, budget, what to tell and so on; see TargetWishes.

        Raises:
            LoadloomError: the request is wrong, or there is no answer. That a need cannot be met is
                an answer.
        """
        request, times = plan_request(network, customers, grid, wishes)
        self._check_message(request)
        with told_by_name(request.problem):
            answer = self._call(self._response.PlanTargets, request, timeout_s)
        return plan_of(answer.plan, request.problem, times)

    def check_confidence(
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
        """How often a choice of customers would meet the needs, by draws.

        Args:
            network: the nodes and their needs.
            customers: the customers.
            called: those that are called; a mapping has the level that each is offered.
            grid: as for `plan_targets`.
            law: the law to draw from; that of the customers when left out.
            samples: the number of draws; 4,000 when zero.
            seed: the seed of the draws.
            timeout_s: how long the call may take.

        Raises:
            LoadloomError: the request is wrong, or there is no answer.
        """
        request, times = check_request(network, customers, grid, called, law, samples, seed)
        self._check_message(request)
        with told_by_name(request.problem):
            answer = self._call(self._response.CheckConfidence, request, timeout_s)
        nodes = tuple(request.problem.network.names)
        return Confidence(message=answer.confidence, grid=times, nodes=nodes)

    def create_event(
        self,
        network: Network,
        customers: CustomersLike,
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[EventWishes],
    ) -> Event:
        """Plans an event and keeps it: its customers are called from then on.

        Args:
            network: the nodes and their needs.
            customers: the customers, with names.
            grid: as for `plan_targets`.
            timeout_s: how long the call may take.
            wishes: title, currency, time to answer and so on; see EventWishes. With the same
                `request_id` it brings the same event.

        Raises:
            LoadloomError: the request is wrong, a need cannot be met, or there is no answer.
        """
        request = event_request(network, customers, grid, wishes)
        self._check_message(request)
        with told_by_name(request.problem):
            answer = self._call(self._response.CreateEvent, request, timeout_s)
        return Event(answer.event)

    def get_event(self, event: EventName, *, revision: int = 0) -> Event:
        """An event as it stands, with its latest plan or that of a revision.

        Raises:
            LoadloomError: there is none, or no answer.
        """
        request = pb.GetEventRequest(name=event_name(event), revision=revision)
        return Event(self._call(self._response.GetEvent, request).event)

    def list_events(self) -> Iterator[Event]:
        """The events there are, the latest first, without their plans.

        Raises:
            LoadloomError: there is no answer.
        """
        request = pb.ListEventsRequest(page_size=EVENTS_PER_PAGE)
        for page in self._pages(self._response.ListEvents, request):
            yield from map(Event, page.events)

    def cancel_event(self, event: EventName, reason: str = "") -> Event:
        """The event, now cancelled with all its calls.

        Raises:
            LoadloomError: there is none, it is settled, or there is no answer.
        """
        request = pb.CancelEventRequest(name=event_name(event), reason=reason)
        return Event(self._call(self._response.CancelEvent, request).event)

    def list_calls(self, event: EventName, states: Iterable[str] = ()) -> Iterator[Call]:
        """The calls of an event, those in some states alone when they are given.

        `calls_frame` of `loadloom.client.response_events` makes a DataFrame of them.

        Raises:
            LoadloomError: there is no such event, or no answer.
        """
        request = calls_request(event_name(event), states, ROWS_PER_PAGE)
        for page in self._pages(self._response.ListCalls, request):
            yield from map(Call.of_message, page.calls)

    def record_answers(
        self,
        event: EventName,
        answers: "Mapping[str, str] | Iterable[Answer]" = (),
        *,
        close: bool = False,
    ) -> Counts:
        """How the calls stand, once answers are recorded.

        Args:
            event: the event.
            answers: the answers, or a word for each customer: "accepted", "opted out", "no answer".
            close: whether all calls that still wait have had no answer in time.

        Raises:
            LoadloomError: there is no such event or customer, or no answer.
        """
        request = answers_request(event_name(event), answers, close=close)
        self._check_message(request)
        return Counts.of_message(self._call(self._response.RecordAnswers, request).counts)

    def retarget_event(
        self,
        event: EventName,
        *,
        need_kw: "ArrayLike | pd.DataFrame | None" = None,
        reason: str = "",
        request_id: str = "",
        timeout_s: float | None = None,
        **wishes: Unpack[RestWishes],
    ) -> Event:
        """The event with a new plan: who accepted is kept, who opted out is not called.

        Args:
            event: the event.
            need_kw: the needs from now on, a row for each node of its network; those of the plan
                before when left out.
            reason: why, for people.
            request_id: the caller's id of the request: the same id brings the same plan.
            timeout_s: how long the call may take.
            wishes: what to tell, and the time to solve; see RestWishes.

        Raises:
            LoadloomError: the request is wrong, a need cannot be met, or there is no answer.
        """
        request = retarget_request(event_name(event), need_kw, reason, request_id, wishes)
        return Event(self._call(self._response.RetargetEvent, request, timeout_s).event)

    def watch_calls(
        self, *, customer: str = "", event: EventName = "", after: int = 0
    ) -> Iterator[Call]:
        """The calls as they are made, changed, answered and cancelled, beyond a number, for ever.

        It is resumed where it broke off when the server was away.

        Raises:
            LoadloomError: the server refuses, or was away for too long.
        """
        request = pb.WatchCallsRequest(
            customer=customer, event=event_name(event), after_number=after
        )
        patience = Patience()
        while not self._closed:
            stream = self._response.WatchCalls(request)
            try:
                with patience.tried():
                    for answer in stream:
                        request.after_number = answer.call.number
                        patience.renew()
                        yield Call.of_message(answer.call)
                time.sleep(PAUSE_S)
            except (Unavailable, Overloaded) as error:
                time.sleep(patience.pause_s(error))
            finally:
                stream.cancel()
        raise ClientClosed.now()

    def export_event(self, event: EventName, *, program_id: str = "") -> OpenAdr:
        """An event as OpenADR 3 objects.

        Args:
            event: the event.
            program_id: the identifier that the program has at the server it is sent to.

        Raises:
            LoadloomError: there is no such event, or no answer.
        """
        request = pb.ExportEventRequest(name=event_name(event), program_id=program_id)
        return OpenAdr.of_pages(self._pages(self._response.ExportEvent, request))

    def import_reports(
        self, event: EventName, reports: Iterable[str], event_ids: Iterable[str] = ()
    ) -> Reported:
        """What OpenADR 3 reports say: their answers are recorded, their readings returned.

        With `event_ids`, those of the event's objects at their server, others are passed over.

        Raises:
            LoadloomError: a report is wrong, or there is no answer.
        """
        its = event_name(event)
        request = pb.ImportReportsRequest(name=its, reports=reports, event_ids=event_ids)
        return Reported(self._call(self._response.ImportReports, request))


def plan_of(plan: pb.TargetPlan, problem: pb.TargetProblem, grid: Grid) -> TargetPlan:
    """A plan with the names of its question."""
    return TargetPlan(
        message=plan,
        grid=grid,
        nodes=tuple(problem.network.names),
        customers=tuple(problem.customers.names),
        price_per_kwh=tuple(problem.customers.price_per_kwh),
    )
