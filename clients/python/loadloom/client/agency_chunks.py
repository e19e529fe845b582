"""Load curves in chunks for a stream: a setup, then the curves of some users at a time.

No more than a few chunks wait at any time, so that neither side piles them up, and nothing is drawn
from the caller's chunks before there is room for it.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import grpc

from loadloom.client.agency import Curves, CurvesLike
from loadloom.client.agency_fields import aggregate_options, set_curves
from loadloom.client.agency_sums import LoadAggregate
from loadloom.client.agency_wishes import AggregateWishes
from loadloom.client.errors import InvalidRequest, Violation, told
from loadloom.client.grid import Grid
from loadloom.client.request import Reading
from loadloom.v1 import agency_pb2 as pb

if TYPE_CHECKING:
    import pandas as pd

CHUNK_BYTES = 2**20
"""The size of the chunks that curves of any size are cut into."""

CHUNKS_WAITING = 2
"""The chunks that wait to be sent."""

LOOK_S = 0.1
"""How often to look whether a call has ended that takes no more chunks."""

Chunks: TypeAlias = "CurvesLike | Iterable[CurvesLike]"
"""Chunks of curves, or curves to be cut into chunks."""

AsyncChunks: TypeAlias = "Chunks | AsyncIterable[CurvesLike]"
"""The same, also from something that is awaited."""


class ChunkStream:
    """The messages of a stream of curves; the grid is known with the first of them."""

    def __init__(self, chunks: AsyncChunks, grid: Grid | None, wishes: AggregateWishes) -> None:
        reading = Reading(None)
        self._options = aggregate_options(wishes, reading)
        reading.finish()
        whole = isinstance(chunks, Curves) or hasattr(chunks, "columns")
        self._chunks = _cut(Curves.of(cast("pd.DataFrame", chunks))) if whole else chunks
        self._grid = grid
        self._begun = False

    @property
    def grid(self) -> Grid:
        """The grid of the curves.

        Raises:
            InvalidRequest: there were no curves to tell it.
        """
        if self._grid is None:
            raise InvalidRequest.of([Violation("curves", "are missing; there is no chunk")])
        return self._grid

    def messages(self) -> Iterator[pb.AggregateLoadStreamRequest]:
        """The setup, then a message for each chunk.

        Raises:
            InvalidRequest: a chunk cannot be put into a message.
        """
        for chunk in cast("Iterable[CurvesLike]", self._chunks):
            yield from self._of(chunk)
        yield from self._setup()

    async def messages_async(self) -> AsyncIterator[pb.AggregateLoadStreamRequest]:
        """The same for chunks that may have to be awaited."""
        if isinstance(self._chunks, AsyncIterable):
            async for chunk in self._chunks:
                for message in self._of(chunk):
                    yield message
            for message in self._setup():
                yield message
        else:
            for message in self.messages():
                yield message

    def _of(self, chunk: CurvesLike) -> Iterator[pb.AggregateLoadStreamRequest]:
        """The message of a chunk, with the setup before the first one."""
        curves = Curves.of(chunk)
        if self._grid is None:
            self._grid = curves.grid
        elif curves.grid.message() != self._grid.message():
            told = f"of {curves.names[:1]} and others has other intervals than the first"
            raise InvalidRequest.of([Violation("curves.grid", told)])
        yield from self._setup()
        message, reading = pb.AggregateLoadStreamRequest(), Reading(None)
        set_curves(message.curves, curves, reading)
        reading.finish()
        yield message

    def _setup(self) -> Iterator[pb.AggregateLoadStreamRequest]:
        """The setup, once."""
        if not self._begun:
            self._begun = True
            setup = pb.AggregateLoadStreamSetup(grid=self.grid.message(), options=self._options)
            yield pb.AggregateLoadStreamRequest(setup=setup)


def sum_of(method: Any, stream: ChunkStream, timeout_s: float | None) -> LoadAggregate:  # noqa: ANN401 -- a method of the stub
    """The sum of the curves of a stream; chunks are drawn in this thread.

    Raises:
        LoadloomError: a chunk is wrong, or there is no answer.
    """
    waiting: Queue[pb.AggregateLoadStreamRequest | None] = Queue(CHUNKS_WAITING)
    call = method.future(iter(waiting.get, None), timeout=timeout_s)
    try:
        for message in stream.messages():
            if not _put(waiting, message, call.done):
                break
        _put(waiting, None, call.done)
        with told():
            answer = call.result()
    finally:
        call.cancel()
        _release(waiting)
    return LoadAggregate(answer.aggregate, stream.grid)


async def sum_of_async(
    method: Any,  # noqa: ANN401 -- a method of the stub
    stream: ChunkStream,
    timeout_s: float | None,
) -> LoadAggregate:
    """The sum of the curves of a stream, as `sum_of`."""
    call = method(timeout=timeout_s)
    try:
        async for message in stream.messages_async():
            # A server that refuses a chunk ends the call; the answer says why.
            with suppress(grpc.RpcError, asyncio.InvalidStateError):
                await call.write(message)
                continue
            break
        if not call.done():
            await call.done_writing()
        with told():
            answer = await call
    finally:
        call.cancel()
    return LoadAggregate(answer.aggregate, stream.grid)


def _put(waiting: "Queue[Any]", message: object, done: Callable[[], bool]) -> bool:
    """Lets a message wait to be sent; False if the call has ended."""
    while not done():
        with suppress(Full):
            waiting.put(message, timeout=LOOK_S)
            return True
    return False


def _release(waiting: "Queue[Any]") -> None:
    """Ends the thread that draws from a queue, when the call it draws for has ended."""
    while True:
        with suppress(Full):
            waiting.put_nowait(None)
            return
        with suppress(Empty):
            waiting.get_nowait()


def _cut(curves: Curves) -> Iterator[Curves]:
    """The curves of some users after those of others."""
    rows = max(1, CHUNK_BYTES // max(1, curves.grid.count * curves.load_kw.itemsize))
    for first in range(0, len(curves.names), rows):
        part = slice(first, first + rows)
        yield Curves(
            names=curves.names[part],
            load_kw=curves.load_kw[part],
            grid=curves.grid,
            areas=curves.areas[part],
        )
