"""The edge of the server: one interceptor over every method, health and reflection among them.

It asks who calls and whether it may, turns bytes into messages, so that malformed ones are the
caller's fault, sheds calls beyond the limit, logs, counts and times every call, and turns whatever
goes wrong into a status with details.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any

import anyio
import grpc
from google.protobuf.message import DecodeError

from loadloom.engine.guard import log, refusal
from loadloom.engine.guard.admission import OURS, Admission
from loadloom.engine.guard.calls import Call, current
from loadloom.engine.guard.gate import Gate
from loadloom.engine.guard.metrics import Metrics
from loadloom.engine.guard.refusal import Refusal

Context = grpc.aio.ServicerContext
Handler = Any
"""A handler of gRPC, whose types cover the synchronous kind alone."""

Decoder = Callable[[bytes], Any]


@contextmanager
def faults_refused() -> Iterator[None]:
    """Turns a fault of ours in its block into a refusal, and logs the fault under the same id.

    Whatever has an outcome of its own, be it a call, a site of a batch or a batch of a stream, runs
    in such a block, so that a fault ends nothing else.

    Raises:
        Refusal: the block's own, or that of a fault.
    """
    try:
        yield
    except (Refusal, grpc.aio.AbortError):
        raise
    except Exception as error:  # the one place in the repository; it logs
        if _is_of_a_gone_caller(error):
            raise asyncio.CancelledError from error
        raise refusal.internal(log.fault(error)) from error


class Edge(grpc.aio.ServerInterceptor):
    """The interceptor of one server."""

    def __init__(self, admission: Admission, metrics: Metrics, gate: Gate) -> None:
        self._admission, self._metrics, self._gate = admission, metrics, gate
        self._wrapped: dict[str, Handler] = {}
        self._watches: set[anyio.CancelScope] = set()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The method's handler with the edge around it; None, which is no method, stays None."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is not None and method not in self._wrapped:
            self._wrapped[method] = self._around(method, handler)
        return self._wrapped.get(method, handler)

    def end_watches(self) -> None:
        """Ends the streams about the server itself, which never end on their own."""
        for scope in tuple(self._watches):
            scope.cancel()

    def _around(self, method: str, handler: Handler) -> Handler:
        if handler.response_streaming:
            return self._around_stream(method, handler)
        if handler.request_streaming:
            return self._around_chunks(method, handler)
        return self._around_unary(method, handler)

    def _around_unary(self, method: str, handler: Handler) -> Handler:
        async def answer(raw: bytes, context: Context) -> Any:  # noqa: ANN401 -- any message
            async with self._call(method, context) as call:
                call.notes["bytes_in"] = len(raw)
                with self._admission.held(len(raw)):
                    response = await handler.unary_unary(
                        _decoded(handler.request_deserializer, raw), context
                    )
                if isinstance(response, bytes):
                    call.notes["bytes_out"] = len(response)
                return response

        return grpc.unary_unary_rpc_method_handler(
            answer, response_serializer=handler.response_serializer
        )

    def _around_chunks(self, method: str, handler: Handler) -> Handler:
        async def answer(requests: AsyncIterator[bytes], context: Context) -> Any:  # noqa: ANN401
            async with self._call(method, context):
                decoded = _all_decoded(handler.request_deserializer, requests)
                return await handler.stream_unary(decoded, context)

        return grpc.stream_unary_rpc_method_handler(
            answer, response_serializer=handler.response_serializer
        )

    def _around_stream(self, method: str, handler: Handler) -> Handler:
        decoder = handler.request_deserializer

        async def answer(request: Any, context: Context) -> None:  # noqa: ANN401 -- bytes or many
            async with self._call(method, context):
                if handler.request_streaming:
                    responses = handler.stream_stream(_all_decoded(decoder, request), context)
                else:
                    responses = handler.unary_stream(_decoded(decoder, request), context)
                await self._written(method, responses, context)

        wrap = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )
        return wrap(answer, response_serializer=handler.response_serializer)

    async def _written(
        self,
        method: str,
        responses: AsyncIterator[Any] | Awaitable[None],
        context: Context,
    ) -> None:
        """Writes what a handler yields, or waits for one that writes by itself."""
        with anyio.CancelScope() as scope:
            if not method.startswith(OURS):
                self._watches.add(scope)
            try:
                if isinstance(responses, AsyncIterator):
                    async for response in responses:
                        await context.write(response)
                else:
                    await responses
            finally:
                self._watches.discard(scope)
        if scope.cancelled_caught:
            raise refusal.going_away()

    @asynccontextmanager
    async def _call(self, method: str, context: Context) -> AsyncIterator[Call]:
        """A call under way: admitted, counted, and ended with the status that befits it."""
        call = Call(method=method)
        current.set(call)
        # Until the caller has the status, as one who does not read keeps an answer in memory.
        with self._admission.counted(method) as places:
            async with self._told(call, context):
                with faults_refused():
                    call.caller = self._gate.admitted(method, _metadata(context))
                    if call.caller.token:
                        call.notes["token"] = call.caller.token
                    with self._admission.let_in(call.caller.tenant, places):
                        yield call

    @asynccontextmanager
    async def _told(self, call: Call, context: Context) -> AsyncIterator[None]:
        """Tells the log, the metrics and the caller how the block, which is the call, ends."""
        self._metrics.in_flight.inc()
        code, refused = grpc.StatusCode.OK, None
        try:
            yield
        except Refusal as error:
            code, refused = error.code, error
        except grpc.aio.AbortError:
            code = context.code() or grpc.StatusCode.UNKNOWN
            raise
        except asyncio.CancelledError:
            late = context.time_remaining() == 0
            code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
            raise
        finally:
            self._metrics.in_flight.dec()
            self._ended(call, code)
        if refused is not None:
            await context.abort(refused.code, refused.status().message, refused.trailer())

    def _ended(self, call: Call, code: grpc.StatusCode) -> None:
        seconds = monotonic() - call.started_s
        self._metrics.calls.labels(call.method, code.name).inc()
        self._metrics.call_seconds.labels(call.method).observe(seconds)
        level = logging.INFO if call.method.startswith(OURS) else logging.DEBUG
        log.event(level, "call", method=call.method, code=code.name, seconds=seconds, **call.notes)


def _metadata(context: Context) -> tuple[tuple[str, str | bytes], ...]:
    """What came with the call beside its messages."""
    return tuple(context.invocation_metadata() or ())


def _decoded(decoder: Decoder | None, raw: bytes) -> Any:  # noqa: ANN401 -- any message
    """The message, or the bytes where the handler reads them itself."""
    if decoder is None:
        return raw
    try:
        return decoder(raw)
    except DecodeError as error:
        raise refusal.malformed("the bytes are not the message of this method") from error


async def _all_decoded(decoder: Decoder | None, requests: AsyncIterator[bytes]) -> AsyncIterator:
    async for raw in requests:
        yield _decoded(decoder, raw)


def _is_of_a_gone_caller(error: Exception) -> bool:
    """Whether all that went wrong is that nobody is there to be written to any more."""
    if isinstance(error, ExceptionGroup):
        return error.split(grpc.aio.BaseError)[1] is None
    return isinstance(error, grpc.aio.BaseError)
