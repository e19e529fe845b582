"""Operations: submitted by the families' services, then asked for, waited for and watched."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import inf
from typing import Any, TypeVar, TypeVarTuple, Unpack

import anyio
import grpc
from google.longrunning import operations_pb2 as longrunning
from google.longrunning.operations_pb2_grpc import OperationsServicer
from google.protobuf.empty_pb2 import Empty

from loadloom.engine.convert import operations as convert
from loadloom.engine.convert.common import declared
from loadloom.engine.family import digest
from loadloom.engine.guard import log, refusal
from loadloom.engine.guard.calls import caller, deadline, note
from loadloom.engine.jobs import Job
from loadloom.engine.run.lanes import Lane
from loadloom.engine.run.watch import Watch
from loadloom.engine.settings import Settings
from loadloom.engine.store import operations as store
from loadloom.engine.store.beside import Also, write_nothing
from loadloom.engine.store.database import Database, StoreAway
from loadloom.engine.store.operations import (
    NewOperation,
    NoSuchOperation,
    NotEnded,
    Operation,
    OtherRequest,
)
from loadloom.engine.store.quotas import OverQuota, Quota
from loadloom.models.checks import Violation
from loadloom.v1 import operations_pb2 as pb
from loadloom.v1.operations_pb2_grpc import OperationEventServiceServicer

NAME = longrunning.DESCRIPTOR.services_by_name["Operations"].full_name
EVENTS_NAME = pb.DESCRIPTOR.services_by_name["OperationEventService"].full_name

THREADS = 4
"""The threads that wait for the database."""

EVENTS_AT_ONCE = 500
"""The most events that one question brings."""

ENVELOPE_BYTES = 1024
"""The room in a message for all of an operation but its response."""

SWEEP_S = 3_600.0
"""The time between two sweeps of what is older than the retention."""

A = TypeVar("A")
Arguments = TypeVarTuple("Arguments")


class Operations:
    """The operations of a server: how families submit jobs, and what the services below ask.

    Attributes:
        settings: the settings of the server.
        watch: wakes calls that wait.
        submitted: set when the first job comes.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self._database = settings, database
        self._lane = Lane(THREADS)
        self._asked: dict[object, asyncio.Task[Any]] = {}
        self.watch = Watch(self._latest, settings.waiting_calls)
        self.submitted = anyio.Event()

    async def submit(
        self,
        job: Job,
        raw: bytes,
        *,
        asked: bytes | None = None,
        also: Also = write_nothing,
        request_id: str = "",
        priority: int = 0,
        limit_s: float | None = None,
        deadline_s: float | None = None,
    ) -> bytes:
        """The bytes of the google.longrunning.Operation that will have the job's response.

        It is on the disk when this returns. The request should have been found valid before.

        Args:
            job: the job.
            raw: the bytes of its request, which its solve gets.
            asked: what the caller sent, for which the request id stands; `raw` unless it is told.
            also: writes what else there is to write, if a new operation is made, beside it.
            request_id: the caller's name for the request: the same one brings the same operation.
            priority: higher ones are solved first.
            limit_s: the time that one attempt may take; the server's own limit when it is shorter.
            deadline_s: the time by which the operation must have ended, from now on.

        Raises:
            Refusal: the request id is not one or belongs to another request, the tenant has used
                what it may, or the database cannot be used, in which case the call may be repeated
                with the same request id.
        """
        if not convert.REQUEST_ID.fullmatch(request_id):
            said = "must be at most 200 printable characters of ASCII"
            raise refusal.invalid([Violation("request_id", said)])
        limits = self.settings.limits
        new = NewOperation(
            tenant=caller().tenant,
            method=job.method,
            request=raw,
            digest=digest(raw if asked is None else asked),
            response_type=job.response.DESCRIPTOR.full_name,
            request_id=request_id,
            priority=priority,
            limit_s=limit_s,
            deadline_s=deadline_s,
            also=also,
            quota=Quota(operations=limits.tenant_operations, cpu_s=limits.tenant_cpu_seconds),
        )
        self.submitted.set()
        operation = await self.ask(store.create, new)
        note(operation=operation.name)
        return convert.render(operation).SerializeToString()

    async def ask(
        self, question: Callable[[Database, Unpack[Arguments]], A], *arguments: *Arguments
    ) -> A:
        """What a function of the store returns, from a thread; its errors as refusals."""

        def asked() -> A:
            with _refused():
                return question(self._database, *arguments)

        return await self._lane.run(asked)

    async def ask_once(
        self, question: Callable[[Database, Unpack[Arguments]], A], *arguments: *Arguments
    ) -> A:
        """As `ask`, but all calls that ask the same at the same time share the answer.

        It may be as old as the question of the first of them.
        """
        key = (question, arguments)
        if key not in self._asked:
            task = asyncio.create_task(self.ask(question, *arguments))
            self._asked[key] = task
            task.add_done_callback(lambda _: self._asked.pop(key))
        return await asyncio.shield(self._asked[key])

    async def ended(self, operation: Operation, within_s: float) -> Operation:
        """The operation when it has ended, or as it is after that time.

        Raises:
            Refusal: there are too many calls that wait, or the server is going away.
        """
        with self.waiting(), anyio.move_on_after(within_s if within_s < inf else None):
            while not operation.ended:
                await self.watch.beyond(operation.number, inf)
                operation = await self.ask_once(store.find, caller().tenant, operation.name)
        return operation

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts a call that waits while the block lasts."""
        self.watch.enter()
        try:
            yield
        finally:
            self.watch.leave()

    async def sweep(self) -> None:
        """Deletes what is older than the retention, from time to time; never ends."""
        while True:
            with suppress(refusal.Refusal):  # the database is away; there is time
                await self.ask(store.sweep, 86_400.0 * self.settings.retention_days)
            await anyio.sleep(SWEEP_S)

    async def _latest(self, numbers: Sequence[int]) -> dict[int, tuple[int, bool]]:
        return await self.ask(store.latest, numbers)


@contextmanager
def _refused() -> Iterator[None]:
    """Turns what the store raises into what callers are told."""
    try:
        yield
    except StoreAway as error:
        log.event(logging.WARNING, "database away", why=str(error))
        raise refusal.store_away() from error
    except NoSuchOperation as error:
        raise refusal.not_found(str(error)) from error
    except OtherRequest as error:
        raise refusal.other_request(str(error)) from error
    except NotEnded as error:
        raise refusal.not_ended(str(error)) from error
    except OverQuota as error:
        raise refusal.over_quota(str(error), error.retry_s) from error


class OperationsService(OperationsServicer):
    """The methods of google.longrunning.Operations."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def GetOperation(  # noqa: N802 -- named by the proto
        self,
        request: longrunning.GetOperationRequest,
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> longrunning.Operation:
        """An operation as it is."""
        return self._rendered(await self._found(request.name))

    async def WaitOperation(  # noqa: N802 -- named by the proto
        self, request: longrunning.WaitOperationRequest, context: grpc.aio.ServicerContext
    ) -> longrunning.Operation:
        """An operation when it has ended, or as it is when time runs out."""
        asked_s = request.timeout.seconds + 1e-9 * request.timeout.nanos
        if asked_s < 0.0:
            raise refusal.invalid([Violation("timeout", "must not be negative")])
        left_s = deadline(context, self._operations.settings).remaining_s
        within_s = min(left_s, asked_s if request.HasField("timeout") else inf)
        found = await self._found(request.name)
        return self._rendered(await self._operations.ended(found, within_s))

    async def ListOperations(  # noqa: N802 -- named by the proto
        self,
        request: longrunning.ListOperationsRequest,
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> longrunning.ListOperationsResponse:
        """A page of operations, the latest first, without their responses."""
        wanted, before, size = convert.parse_list(request)

        tenant = caller().tenant

        def page(database: Database) -> list[Operation]:
            return store.page(database, tenant, wanted, before=before, size=size + 1)

        found = await self._operations.ask(page)
        response = longrunning.ListOperationsResponse()
        response.operations.extend(map(convert.render, found[:size]))
        if len(found) > size:
            response.next_page_token = convert.page_token(found[size - 1])
        return response

    async def CancelOperation(  # noqa: N802 -- named by the proto
        self,
        request: longrunning.CancelOperationRequest,
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> Empty:
        """Nothing, once the operation is cancelled, or its worker is asked to."""
        error = refusal.cancelled().status().SerializeToString()
        name = convert.parse_name(request.name)
        await self._operations.ask(store.cancel, caller().tenant, name, error)
        return Empty()

    async def DeleteOperation(  # noqa: N802 -- named by the proto
        self,
        request: longrunning.DeleteOperationRequest,
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> Empty:
        """Nothing, once the operation, which has ended, is forgotten."""
        name = convert.parse_name(request.name)
        await self._operations.ask(store.remove, caller().tenant, name)
        return Empty()

    async def _found(self, name: str) -> Operation:
        return await self._operations.ask(store.find, caller().tenant, convert.parse_name(name))

    def _rendered(self, operation: Operation) -> longrunning.Operation:
        most = self._operations.settings.limits.message_bytes - ENVELOPE_BYTES
        size = len(operation.response or b"")
        if size > most:
            raise refusal.too_large("response", "bytes in a message", size, most)
        return convert.render(operation)


class OperationEventService(OperationEventServiceServicer):
    """The stream of what happens to an operation."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def WatchOperation(  # noqa: N802 -- named by the proto
        self,
        request: pb.WatchOperationRequest,
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> AsyncIterator[pb.WatchOperationResponse]:
        """The events beyond a number, as they come, up to the end of the operation."""
        if violations := declared(request):
            raise refusal.invalid(violations)
        operations, after = self._operations, request.after_event
        with operations.waiting():
            while True:
                found = await operations.ask(store.find, caller().tenant, request.name)
                asked = (store.events, found.number, after, EVENTS_AT_ONCE)
                while news := await operations.ask_once(*asked):
                    for event in news:
                        yield convert.render_event(event)
                    after = news[-1].number
                    if news[-1].is_last:
                        return
                    if len(news) < EVENTS_AT_ONCE:
                        await operations.watch.beyond(found.number, after)
                    asked = (store.events, found.number, after, EVENTS_AT_ONCE)
                if after < found.event:
                    continue  # the answer was older than the operation
                if found.ended:
                    return
                await operations.watch.beyond(found.number, after)
