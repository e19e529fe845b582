"""Long-running operations: handles to what a server works on after the call has returned.

    operation = client.operation("operations/...")
    for event in operation.events():
        print(event.state, event.progress.value, event.progress.relative_gap)
    plan = operation.result()

An operation outlives its server and this program. Handles wait through a server's restart.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import inf
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio
from google.longrunning import operations_pb2 as longrunning
from google.longrunning.operations_pb2_grpc import OperationsStub
from google.protobuf import any_pb2, message_factory
from google.protobuf.descriptor_pool import Default
from google.protobuf.timestamp_pb2 import Timestamp

from loadloom.client.errors import DeadlineExceeded, Overloaded, Unavailable, from_status, told
from loadloom.v1 import operations_pb2 as pb
from loadloom.v1.operations_pb2_grpc import OperationEventServiceStub

WAIT_S = 30.0
"""The longest time that one call waits for an end; the next one follows at once."""

ANSWER_S = 5.0
"""The time for the way there and back, beyond the time that a call waits."""

AWAY_S = 120.0
"""The time for which a server may be away before handles give up waiting for it."""

PAUSE_S = 1.0
"""The time before another try, unless the server said when."""

T = TypeVar("T")
Read = Callable[[any_pb2.Any], T]
"""What makes a response of the bytes that an operation ended with."""


class State(StrEnum):
    """The state of an operation."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self not in {State.QUEUED, State.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationProgress:
    """How far an operation is; None where it is not known."""

    value: float | None
    bound: float | None
    relative_gap: float | None
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationEvent:
    """The state of an operation after a change; events of an operation are numbered from 1."""

    number: int
    time: datetime
    state: State
    attempt: int
    progress: OperationProgress


def unpacked(packed: any_pb2.Any) -> Any:  # noqa: ANN401 -- any message
    """The message in a response, which must be one of this package or of protobuf itself."""
    kind = Default().FindMessageTypeByName(packed.TypeName())
    return message_factory.GetMessageClass(kind).FromString(packed.value)


class _View(Generic[T]):
    """What an operation said of itself when it was last asked."""

    def __init__(self, message: longrunning.Operation, read: Read[T]) -> None:
        self._read = read
        self._take(message)

    def _take(self, message: longrunning.Operation) -> None:
        self.message = message
        self.metadata = pb.OperationMetadata()
        message.metadata.Unpack(self.metadata)

    def __repr__(self) -> str:
        """The name and the state."""
        return f"<{type(self).__name__} {self.name}: {self.state}>"

    @property
    def name(self) -> str:
        """The name, by which it can be found again."""
        return self.message.name

    @property
    def method(self) -> str:
        """The method that made it."""
        return self.metadata.method

    @property
    def done(self) -> bool:
        """Whether it had ended."""
        return self.message.done

    @property
    def state(self) -> State:
        """The state it was in."""
        return _state(self.metadata.state)

    @property
    def progress(self) -> OperationProgress:
        """How far it was."""
        return _progress(self.metadata.progress)

    @property
    def create_time(self) -> datetime:
        """When the server accepted it."""
        return _instant(self.metadata.create_time)

    @property
    def _settled(self) -> bool:
        """Whether the outcome is here; lists leave it out."""
        return self.message.WhichOneof("result") is not None

    def _outcome(self) -> T:
        if self.message.HasField("error"):
            raise from_status(self.message.error)
        return self._read(self.message.response)


class Operation(_View[T]):
    """A handle to an operation, for callers that wait.

    `done`, `state` and `progress` are as of the last call; `refresh` asks anew.
    """

    def __init__(
        self, channel: grpc.Channel, message: longrunning.Operation, read: Read[T] = unpacked
    ) -> None:
        super().__init__(message, read)
        self._channel, self._stub = channel, OperationsStub(channel)

    def refresh(self) -> None:
        """Asks how it is.

        Raises:
            LoadloomError: there is no answer.
        """
        with told():
            self._take(self._stub.GetOperation(longrunning.GetOperationRequest(name=self.name)))

    def result(self, timeout_s: float = inf) -> T:
        """The response, once there is one.

        Raises:
            DeadlineExceeded: it has not ended within the timeout; it goes on.
            LoadloomError: it ended with this error, or the server was away for too long.
        """
        patience, until = Patience(), time.monotonic() + timeout_s
        while not self._settled:
            left_s = _left_s(until)
            try:
                with patience.tried():
                    request = _wait_request(self.name, left_s)
                    self._take(self._stub.WaitOperation(request, timeout=WAIT_S + ANSWER_S))
            except (Unavailable, Overloaded) as error:
                time.sleep(min(patience.pause_s(error), left_s))
        return self._outcome()

    def events(self, after: int = 0) -> Iterator[OperationEvent]:
        """The events beyond a number, as they come, up to the end of the operation.

        Raises:
            LoadloomError: there is no such operation, or the server was away for too long.
        """
        stub, patience = OperationEventServiceStub(self._channel), Patience()
        ended = False
        while not ended:
            request = pb.WatchOperationRequest(name=self.name, after_event=after)
            try:
                with patience.tried():
                    for answer in stub.WatchOperation(request):
                        event = _event(answer.event)
                        after, ended = event.number, event.state.ended
                        patience.renew()
                        yield event
            except (Unavailable, Overloaded) as error:
                time.sleep(patience.pause_s(error))

    def cancel(self) -> None:
        """Asks the server to stop working on it.

        Raises:
            LoadloomError: there is no answer.
        """
        with told():
            self._stub.CancelOperation(longrunning.CancelOperationRequest(name=self.name))

    def delete(self) -> None:
        """Has the server forget it; it must have ended.

        Raises:
            LoadloomError: there is no answer, or the server refuses.
        """
        with told():
            self._stub.DeleteOperation(longrunning.DeleteOperationRequest(name=self.name))


class AsyncOperation(_View[T]):
    """A handle to an operation, for callers that await; see `Operation`."""

    def __init__(
        self, channel: grpc.aio.Channel, message: longrunning.Operation, read: Read[T] = unpacked
    ) -> None:
        super().__init__(message, read)
        self._channel, self._stub = channel, OperationsStub(channel)

    async def refresh(self) -> None:
        """Asks how it is, as `Operation.refresh`."""
        with told():
            request = longrunning.GetOperationRequest(name=self.name)
            self._take(await self._stub.GetOperation(request))

    async def result(self, timeout_s: float = inf) -> T:
        """The response, once there is one, as `Operation.result`."""
        patience, until = Patience(), time.monotonic() + timeout_s
        while not self._settled:
            left_s = _left_s(until)
            try:
                with patience.tried():
                    request = _wait_request(self.name, left_s)
                    self._take(await self._stub.WaitOperation(request, timeout=WAIT_S + ANSWER_S))
            except (Unavailable, Overloaded) as error:
                await asyncio.sleep(min(patience.pause_s(error), left_s))
        return self._outcome()

    async def events(self, after: int = 0) -> AsyncIterator[OperationEvent]:
        """The events beyond a number, as they come, as `Operation.events`."""
        stub, patience = OperationEventServiceStub(self._channel), Patience()
        ended = False
        while not ended:
            request = pb.WatchOperationRequest(name=self.name, after_event=after)
            try:
                with patience.tried():
                    async for answer in stub.WatchOperation(request):
                        event = _event(answer.event)
                        after, ended = event.number, event.state.ended
                        patience.renew()
                        yield event
            except (Unavailable, Overloaded) as error:
                await asyncio.sleep(patience.pause_s(error))

    async def cancel(self) -> None:
        """Asks the server to stop working on it, as `Operation.cancel`."""
        with told():
            await self._stub.CancelOperation(longrunning.CancelOperationRequest(name=self.name))

    async def delete(self) -> None:
        """Has the server forget it, as `Operation.delete`."""
        with told():
            await self._stub.DeleteOperation(longrunning.DeleteOperationRequest(name=self.name))


def found(channel: grpc.Channel, name: str) -> Operation[Any]:
    """The operation of a name.

    Raises:
        LoadloomError: there is none, or no answer.
    """
    operation = Operation(channel, longrunning.Operation(name=name))
    operation.refresh()
    return operation


async def found_async(channel: grpc.aio.Channel, name: str) -> AsyncOperation[Any]:
    """The operation of a name, as `found`."""
    operation = AsyncOperation(channel, longrunning.Operation(name=name))
    await operation.refresh()
    return operation


def listed(channel: grpc.Channel, wanted: str) -> Iterator[Operation[Any]]:
    """The operations that a filter lets through, the latest first.

    Raises:
        LoadloomError: there is no answer.
    """
    stub, request = OperationsStub(channel), longrunning.ListOperationsRequest(filter=wanted)
    while True:
        with told():
            answer = stub.ListOperations(request)
        yield from (Operation(channel, one) for one in answer.operations)
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


async def listed_async(channel: grpc.aio.Channel, wanted: str) -> AsyncIterator[AsyncOperation]:
    """The operations that a filter lets through, as `listed`."""
    stub, request = OperationsStub(channel), longrunning.ListOperationsRequest(filter=wanted)
    while True:
        with told():
            answer = await stub.ListOperations(request)
        for one in answer.operations:
            yield AsyncOperation(channel, one)
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


class Patience:
    """How long a server may be away: `AWAY_S` from the last word of it on."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Counts anew, because the server spoke."""
        self._until_s = time.monotonic() + AWAY_S

    @contextmanager
    def tried(self) -> Iterator[None]:
        """Turns gRPC's errors into ours, and counts anew when there is none."""
        with told():
            yield
        self.renew()

    def pause_s(self, error: Unavailable | Overloaded) -> float:
        """The time to wait before another try; raises the error if the server is away too long."""
        if time.monotonic() > self._until_s:
            raise error
        return error.retry_after_s or PAUSE_S


def _wait_request(name: str, left_s: float) -> longrunning.WaitOperationRequest:
    request = longrunning.WaitOperationRequest(name=name)
    request.timeout.FromTimedelta(timedelta(seconds=min(left_s, WAIT_S)))
    return request


def _left_s(until: float) -> float:
    """The time left; raises when there is none."""
    left_s = until - time.monotonic()
    if left_s <= 0.0:
        raise DeadlineExceeded("the operation has not ended in time", code="DEADLINE_EXCEEDED")
    return left_s


def _event(event: pb.OperationEvent) -> OperationEvent:
    return OperationEvent(
        number=event.number,
        time=_instant(event.event_time),
        state=_state(event.state),
        attempt=event.attempt,
        progress=_progress(event.progress),
    )


def _progress(progress: pb.OperationProgress) -> OperationProgress:
    return OperationProgress(
        value=progress.value if progress.HasField("value") else None,
        bound=progress.bound if progress.HasField("bound") else None,
        relative_gap=progress.relative_gap if progress.HasField("relative_gap") else None,
        phase=progress.phase,
    )


def _state(state: pb.OperationState.ValueType) -> State:
    return State(pb.OperationState.Name(state).removeprefix("OPERATION_STATE_").lower())


def _instant(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
