"""The service that calls customers for less load, from the plan of an event to the payment."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

import grpc

from loadloom.engine.answers import response as answers
from loadloom.engine.answers import response_measure, response_need, response_settle
from loadloom.engine.convert import (
    response,
    response_create,
    response_events,
    response_plans,
    response_told,
)
from loadloom.engine.convert import response_measure as convert_measure
from loadloom.engine.convert import response_need as convert_need
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.family import Family, Kind, Runner, read
from loadloom.engine.guard.calls import caller, deadline, note
from loadloom.engine.run.watch import Watch
from loadloom.engine.services import event_accounts as accounts
from loadloom.engine.services import event_life as life
from loadloom.engine.services import event_openadr as openadr
from loadloom.engine.services.desk import checked
from loadloom.engine.services.event_desk import Desk, refused
from loadloom.engine.services.methods import Methods
from loadloom.engine.services.operations import Operations
from loadloom.engine.settings import Settings
from loadloom.engine.store import event_rows as rows
from loadloom.engine.store.database import Database
from loadloom.engine.store.schedules import Clock, database_time
from loadloom.v1 import response_pb2 as pb

FAMILY = "response"

NAME = pb.DESCRIPTOR.services_by_name["ResponseService"].full_name

CALLS_AT_ONCE = 500
"""The most calls that one question brings to a watcher."""


def _sizes(asked: response.Targeting) -> dict[str, int]:
    return {"customers": asked.problem.customers.count, "nodes": asked.problem.network.count}


class ResponseService:
    """The methods of the service, from bytes to bytes."""

    def __init__(
        self, operations: Operations, runner: Runner, clock: Clock = database_time
    ) -> None:
        self._operations, self._runner, self._clock = operations, runner, clock
        self._settings: Settings = operations.settings
        self._roots = Roots(self._settings.data_roots)
        self._methods = Methods(operations, runner, self._desk, refused)
        self.watch = Watch(self._latest, operations.settings.waiting_calls)
        self._forecast = Family(
            name=FAMILY,
            request=pb.ForecastNeedRequest,
            parse=convert_need.parse,
            solve=response_need.foretold,
            render=response_told.render_foretold,
            sizes=lambda asked: {"nodes": asked.load_kw.shape[0]},
            large="names",
        )
        self._plan = Family(
            name=FAMILY,
            points=lambda message: response.points(message.problem),
            request=pb.PlanTargetsRequest,
            parse=response.parse,
            solve=answers.planned,
            render=response_plans.render,
            sizes=_sizes,
            large="problem.network",
        )
        self._check = Family(
            name=FAMILY,
            points=lambda message: response.points(message.problem),
            request=pb.CheckConfidenceRequest,
            parse=response_plans.parse_choice,
            solve=answers.checked,
            render=response_plans.render_confidence,
            sizes=lambda choice: _sizes(choice.asked),
            large="problem.network",
        )
        self._measure = Family(
            name=FAMILY,
            request=pb.MeasureResponseRequest,
            parse=partial(convert_measure.parse, roots=self._roots),
            solve=response_measure.measured,
            render=response_told.render_measured,
            sizes=lambda asked: {"customers": asked.customer_count},
            large="readings",
        )
        self._create = Kind(
            name=FAMILY,
            points=lambda message: response.points(message.problem),
            parse=response_create.parse,
            solve=answers.planned,
            sizes=_sizes,
        )

    def handler(self) -> grpc.GenericRpcHandler:
        """The methods by their names in the proto; none has a (de)serializer, as all take bytes."""
        its = self._methods
        methods = {
            "ForecastNeed": its.solved(self._forecast),
            "PlanTargets": its.solved(self._plan),
            "CheckConfidence": its.solved(self._check),
            "MeasureResponse": its.solved(self._measure),
            "CreateEvent": self.create_event,
            "RetargetEvent": self.retarget_event,
            "SettleEvent": self.settle_event,
            "GetEvent": its.looked_up(pb.GetEventRequest, life.get),
            "ListEvents": its.looked_up(pb.ListEventsRequest, life.page),
            "CancelEvent": its.looked_up(pb.CancelEventRequest, life.cancel),
            "ListCalls": its.looked_up(pb.ListCallsRequest, life.page_calls),
            "RecordAnswers": its.looked_up(pb.RecordAnswersRequest, life.record),
            "ExportEvent": its.looked_up(pb.ExportEventRequest, openadr.export),
            "ImportReports": self.import_reports,
            "GetEventSettlement": its.looked_up(pb.GetEventSettlementRequest, accounts.get),
            "ListPayments": its.looked_up(pb.ListPaymentsRequest, accounts.page_payments),
            "ListReliabilities": its.looked_up(pb.ListReliabilitiesRequest, accounts.page_known),
        }
        unary = grpc.unary_unary_rpc_method_handler
        handlers = {name: unary(method) for name, method in methods.items()}
        handlers["WatchCalls"] = grpc.unary_stream_rpc_method_handler(self.watch_calls)
        return grpc.method_handlers_generic_handler(NAME, handlers)

    async def create_event(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """The event of a request, which is on the disk with all its calls."""
        until = deadline(context, self._settings)
        asked = await self._runner.bulk.run(read, pb.CreateEventRequest, raw)
        sound = await self._runner.bulk.run(life.check_names, asked.message)
        found = await self._methods.ask(life.known, asked, asked.message.request_id)
        if found is None:
            if sound:  # the others are refused when they are parsed
                await self._complete(asked.message)
            planned = await self._runner.answered(self._create, asked, until)
            found = await self._methods.ask(life.keep, asked, planned)
        note(event=found.name)
        return self._runner.sized(pb.CreateEventResponse(event=found).SerializeToString())

    async def _complete(self, request: pb.CreateEventRequest) -> None:
        """Writes what is known of its customers into a request that is not too large for that."""
        limits = self._settings.limits
        await self._runner.bulk.run(response_create.check_size, request, limits)
        known, called = await self._methods.ask(life.history, request)
        await self._runner.bulk.run(response_create.write_known, request, known, called)

    async def retarget_event(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """The event with its new plan, which is on the disk."""
        until = deadline(context, self._settings)
        asked = await self._runner.bulk.run(read, pb.RetargetEventRequest, raw)
        await self._runner.bulk.run(life.check_names, asked.message)
        found = await self._methods.ask(life.known, asked, asked.message.request_id)
        if found is None:
            event, standing = await self._methods.ask(life.standing, asked.message)
            rest = partial(response_create.parse_rest, standing=standing)
            kind = Kind(
                name=FAMILY,
                points=lambda _: response.points(standing.request.problem),
                parse=rest,
                solve=answers.planned,
                sizes=_sizes,
            )
            planned = await self._runner.answered(kind, asked, until)
            found = await self._methods.ask(life.revise, asked, event, standing, planned)
        note(event=found.name, revision=found.revision)
        return self._runner.sized(pb.RetargetEventResponse(event=found).SerializeToString())

    async def import_reports(
        self,
        raw: bytes,
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> bytes:
        """What reports say, their answers on the disk; they are read aside from the store."""
        request = await self._runner.bulk.run(checked, pb.ImportReportsRequest, raw)
        expected = await self._methods.ask(openadr.expected, request.name)
        limits = self._settings.limits
        said = await self._runner.bulk.run(openadr.read, request, expected, limits)
        found = await self._methods.ask(openadr.record, request, expected, said)
        return self._runner.sized(found.SerializeToString(), "reports")

    async def settle_event(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """The settlement of an event, which is on the disk."""
        until = deadline(context, self._settings)
        asked = await self._runner.bulk.run(read, pb.SettleEventRequest, raw)
        await self._runner.bulk.run(life.check_names, asked.message)
        found = await self._methods.ask(accounts.known, asked)
        if found is None:
            past = await self._methods.ask(accounts.past, asked.message.name)
            kind = Kind(
                name=FAMILY,
                parse=partial(accounts.parse, roots=self._roots, past=past),
                solve=response_settle.settled,
                sizes=lambda settling: {"customers": settling.customer_count},
            )
            answered = await self._runner.answered(kind, asked, until)
            found = await self._methods.ask(accounts.keep, asked, past, answered)
        note(event=found.event)
        return self._runner.sized(pb.SettleEventResponse(settlement=found).SerializeToString())

    async def watch_calls(
        self,
        raw: bytes,
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> AsyncIterator[bytes]:
        """The calls beyond a number, as they change; ends with the call or the server."""
        request = checked(pb.WatchCallsRequest, raw)
        if request.event:
            await self._methods.ask(Desk.found, request.event)
        who = caller()
        tenant, customer, after = who.tenant, who.seen_as(request.customer), request.after_number
        whole = customer != who.user or not who.user
        with self._operations.waiting():
            while True:
                last = (await self._latest((tenant,)))[tenant][0]
                wanted = (tenant, customer, request.event)
                while news := await self._operations.ask_once(
                    rows.calls_after, *wanted, after, last, CALLS_AT_ONCE
                ):
                    for call in news:
                        told = response_events.render_call(call, whole=whole)
                        yield pb.WatchCallsResponse(call=told).SerializeToString()
                    after = news[-1].number
                after = max(after, last)
                await self.watch.beyond(tenant, after)

    async def _latest(self, tenants: Sequence[str]) -> dict[str, tuple[int, bool]]:
        """The number of the latest change of a call of each tenant, for whoever waits for one."""
        ask = self._operations.ask_once
        return {each: (await ask(rows.last_number, each), False) for each in tenants}

    def _desk(self, database: Database) -> Desk:
        limits = self._settings.limits
        return Desk(database=database, caller=caller(), clock=self._clock, limits=limits)
