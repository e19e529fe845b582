"""The service that makes weekly schedules and carries them from the draft to the ledger."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

import anyio
import grpc

from loadloom.engine.answers.orderly import OVERHEAD_S
from loadloom.engine.convert.notices import render
from loadloom.engine.family import Runner
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import caller, deadline
from loadloom.engine.jobs import Job
from loadloom.engine.run.lanes import Workers
from loadloom.engine.run.watch import Watch
from loadloom.engine.services import schedule_accounts as accounts
from loadloom.engine.services import schedule_life as life
from loadloom.engine.services.desk import Desk, checked, refused
from loadloom.engine.services.explanations import asked_for, explained
from loadloom.engine.services.methods import Methods
from loadloom.engine.services.operations import SWEEP_S, Operations
from loadloom.engine.services.orderly_jobs import CREATE, NAME, REVISE
from loadloom.engine.store import notices as store
from loadloom.engine.store import schedules
from loadloom.engine.store.database import Database
from loadloom.engine.store.schedules import Clock, database_time
from loadloom.models.checks import InvalidProblem
from loadloom.v1 import orderly_pb2 as pb

FAMILY = "orderly"

NOTICES_AT_ONCE = 500
"""The most notices that one question brings."""


class OrderlyService:
    """The methods of the service, from bytes to bytes."""

    def __init__(
        self,
        operations: Operations,
        runner: Runner,
        workers: Workers,
        clock: Clock = database_time,
    ) -> None:
        self._operations, self._runner, self._workers = operations, runner, workers
        self._clock = clock
        self._methods = Methods(operations, runner, self._desk, refused)
        self.watch = Watch(self._latest, operations.settings.waiting_calls)

    def handler(self) -> grpc.GenericRpcHandler:
        """The methods by their names in the proto; none has a (de)serializer, as all take bytes."""
        its = self._methods
        methods = {
            "CreateSchedule": self._ordered(CREATE, life.create),
            "ReviseSchedule": self._ordered(REVISE, life.revise),
            "GetSchedule": its.looked_up(pb.GetScheduleRequest, life.get),
            "ListSchedules": its.looked_up(pb.ListSchedulesRequest, life.page),
            "DeleteSchedule": its.looked_up(pb.DeleteScheduleRequest, life.delete),
            "PublishSchedule": its.looked_up(pb.PublishScheduleRequest, life.publish),
            "ConfirmDay": its.looked_up(pb.ConfirmDayRequest, life.confirm),
            "ListNotices": its.looked_up(pb.ListNoticesRequest, accounts.list_notices),
            "AcknowledgeNotice": its.looked_up(pb.AcknowledgeNoticeRequest, accounts.acknowledge),
            "RecordDelivery": its.looked_up(pb.RecordDeliveryRequest, accounts.record),
            "SettleSchedule": its.looked_up(pb.SettleScheduleRequest, accounts.settle),
            "GetLedger": its.looked_up(pb.GetLedgerRequest, accounts.read_ledger),
            "ExplainSchedule": self.explain,
        }
        unary = grpc.unary_unary_rpc_method_handler
        handlers = {name: unary(method) for name, method in methods.items()}
        handlers["StreamNotices"] = grpc.unary_stream_rpc_method_handler(self.stream_notices)
        return grpc.method_handlers_generic_handler(NAME, handlers)

    def _ordered(self, job: Job, order: Callable[[Desk, bytes], life.Order]):  # noqa: ANN202
        """The method that submits a job."""

        async def method(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:  # noqa: ARG001
            made = await self._methods.ask(order, raw)
            with refused():
                return await self._operations.submit(
                    job,
                    made.commission,
                    asked=raw,
                    also=made.also,
                    request_id=made.request_id,
                    priority=made.priority,
                    limit_s=made.limit_s,
                    deadline_s=made.deadline_s,
                )

        return method

    async def sweep(self) -> None:
        """Deletes schedules that nobody waits for any more, from time to time; never ends."""
        days = self._operations.settings.schedule_days
        kept_s = 86_400.0 * days if days else None
        while True:
            with suppress(refusal.Refusal):  # the database is away; there is time
                await self._operations.ask(schedules.sweep, kept_s, self._clock)
            await anyio.sleep(SWEEP_S)

    async def explain(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """The reasons behind a schedule, from a worker process."""
        left_s = deadline(context, self._operations.settings).remaining_s
        question = await self._methods.ask(asked_for, raw, left_s)
        async with self._workers.ready():
            limit_s = question.limit_s + OVERHEAD_S
            try:
                answer = await self._workers.run(explained, question, limit_s=limit_s)
            except InvalidProblem as error:
                raise refusal.invalid(error.violations) from error
        return self._runner.sized(answer)

    async def stream_notices(
        self,
        raw: bytes,
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> AsyncIterator[bytes]:
        """The notices beyond a number, as they fall due; ends with the call or the server."""
        request = checked(pb.StreamNoticesRequest, raw)
        if request.schedule:
            await self._methods.ask(Desk.found, request.schedule)
        tenant, user = caller().tenant, caller().seen_as(request.user)
        wanted, after = store.Wanted(user=user, schedule=request.schedule), request.after_notice
        with self._operations.waiting():
            while True:
                last = (await self._latest((tenant,)))[tenant][0]
                while news := await self._operations.ask_once(
                    store.due_after, tenant, wanted, after, last, NOTICES_AT_ONCE
                ):
                    for notice in news:
                        message = pb.StreamNoticesResponse(notice=render(notice))
                        yield message.SerializeToString()
                    after = news[-1].number
                after = max(after, last)
                await self.watch.beyond(tenant, after)

    async def _latest(self, tenants: Sequence[str]) -> dict[str, tuple[int, bool]]:
        """The number of the last notice of each tenant that is due, for whoever waits for one."""
        ask = self._operations.ask_once
        return {each: (await ask(store.latest, each, self._clock), False) for each in tenants}

    def _desk(self, database: Database) -> Desk:
        limits = self._operations.settings.limits
        return Desk(database=database, caller=caller(), clock=self._clock, limits=limits)
