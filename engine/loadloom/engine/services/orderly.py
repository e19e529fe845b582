"""The service that makes weekly schedules and carries them from the draft to the ledger."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import grpc
from google.protobuf.message import Message

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
from loadloom.engine.services.operations import Operations
from loadloom.engine.services.orderly_jobs import CREATE, NAME, REVISE
from loadloom.engine.store import notices as store
from loadloom.engine.store.database import Database
from loadloom.engine.store.schedules import Clock, database_time
from loadloom.models.checks import InvalidProblem
from loadloom.v1 import orderly_pb2 as pb

FAMILY = "orderly"

NOTICES_AT_ONCE = 500
"""The most notices that one question brings."""

M = TypeVar("M", bound=Message)
A = TypeVar("A")


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
        self.watch = Watch(self._latest, operations.settings.waiting_calls)

    def handler(self) -> grpc.GenericRpcHandler:
        """The methods by their names in the proto; none has a (de)serializer, as all take bytes."""
        methods = {
            "CreateSchedule": self._ordered(CREATE, life.create),
            "ReviseSchedule": self._ordered(REVISE, life.revise),
            "GetSchedule": self._answered(pb.GetScheduleRequest, life.get),
            "ListSchedules": self._answered(pb.ListSchedulesRequest, life.page),
            "DeleteSchedule": self._answered(pb.DeleteScheduleRequest, life.delete),
            "PublishSchedule": self._answered(pb.PublishScheduleRequest, life.publish),
            "ConfirmDay": self._answered(pb.ConfirmDayRequest, life.confirm),
            "ListNotices": self._answered(pb.ListNoticesRequest, accounts.list_notices),
            "AcknowledgeNotice": self._answered(pb.AcknowledgeNoticeRequest, accounts.acknowledge),
            "RecordDelivery": self._answered(pb.RecordDeliveryRequest, accounts.record),
            "SettleSchedule": self._answered(pb.SettleScheduleRequest, accounts.settle),
            "GetLedger": self._answered(pb.GetLedgerRequest, accounts.read_ledger),
            "ExplainSchedule": self.explain,
        }
        unary = grpc.unary_unary_rpc_method_handler
        handlers = {name: unary(method) for name, method in methods.items()}
        handlers["StreamNotices"] = grpc.unary_stream_rpc_method_handler(self.stream_notices)
        return grpc.method_handlers_generic_handler(NAME, handlers)

    def _answered(self, kind: type[M], answer: Callable[[Desk, M], Message]):  # noqa: ANN202
        """The method that answers a message from the database."""

        async def method(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:  # noqa: ARG001
            def asked(desk: Desk) -> bytes:
                return answer(desk, checked(kind, raw)).SerializeToString()

            return self._runner.sized(await self._ask(asked))

        return method

    def _ordered(self, job: Job, order: Callable[[Desk, bytes], life.Order]):  # noqa: ANN202
        """The method that submits a job."""

        async def method(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:  # noqa: ARG001
            made = await self._ask(order, raw)
            with refused():
                return await self._operations.submit(
                    job,
                    made.commission,
                    asked=raw,
                    also=made.also,
                    request_id=made.request_id,
                    limit_s=made.limit_s,
                )

        return method

    async def explain(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """The reasons behind a schedule, from a worker process."""
        left_s = deadline(context, self._operations.settings).remaining_s
        question = await self._ask(asked_for, raw, left_s)
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
            await self._ask(Desk.found, request.schedule)
        tenant, user = caller().tenant, caller().seen_as(request.user)
        wanted, after = store.Wanted(user=user, schedule=request.schedule), request.after_notice
        with self._operations.waiting():
            while True:
                last = (await self._latest((tenant,)))[tenant][0]
                asked = (store.due_after, tenant, wanted, after, NOTICES_AT_ONCE)
                while news := await self._operations.ask_once(*asked):
                    for notice in news:
                        message = pb.StreamNoticesResponse(notice=render(notice))
                        yield message.SerializeToString()
                    after = news[-1].number
                    asked = (store.due_after, tenant, wanted, after, NOTICES_AT_ONCE)
                after = max(after, last)
                await self.watch.beyond(tenant, after)

    async def _latest(self, tenants: Sequence[str]) -> dict[str, tuple[int, bool]]:
        """The number of the last notice of each tenant that is due, for whoever waits for one."""
        ask = self._operations.ask_once
        return {each: (await ask(store.latest, each, self._clock), False) for each in tenants}

    async def _ask(self, question: Callable[..., A], *arguments: object) -> A:
        """What a function returns from a desk, in a thread of the store."""

        def asked(database: Database) -> A:
            limits = self._operations.settings.limits
            desk = Desk(database=database, caller=caller(), clock=self._clock, limits=limits)
            with refused():
                return question(desk, *arguments)

        return await self._operations.ask(asked)
