"""One stream of batches: read as fast as answers are written, and answered by key."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import perf_counter

import anyio
import grpc
import numpy as np
from anyio.abc import TaskGroup

from loadloom.engine.convert import batches
from loadloom.engine.convert.batches import Setup
from loadloom.engine.convert.common import REASONS
from loadloom.engine.family import Runner, digest
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import note
from loadloom.engine.guard.edge import faults_refused
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.task import Origin
from loadloom.models.checks import Violation
from loadloom.models.dispatch.batch import Batch, BatchSolution, empty_solution, solve_rows
from loadloom.v1.dispatch_pb2 import StreamSetup
from loadloom.wire.columns import BadMatrix, Sites, decode_request, encode_error, encode_ready
from loadloom.wire.fields import MalformedMessage

SMALL_BYTES = 65_536
"""Messages up to this size are decoded in the event loop; a thread would cost more."""

CHUNK_CELLS = 50_000
"""The intervals x sites that a thread takes at a time: some 5 ms, so that others get their turn."""


class Stream:
    """The state of one stream."""

    def __init__(self, runner: Runner, context: grpc.aio.ServicerContext) -> None:
        self._runner, self._context = runner, context
        self._slots = asyncio.Semaphore(runner.limits.batches_under_way)
        self._pen = asyncio.Lock()
        self._scope, self._held = anyio.CancelScope(), 0
        self._keys: set[str] = set()
        self._batches = self._sites = self._bytes_in = self._bytes_out = 0

    async def serve(self, requests: AsyncIterator[bytes]) -> None:
        """Answers the messages of the stream until it ends.

        Raises:
            Refusal: the messages do not follow each other as they should. What came before is
                answered first.
        """
        refused = None
        try:
            setup = await self._open(requests)
            with self._scope:
                async with anyio.create_task_group() as group:
                    refused = await self._read_all(requests, setup, group)
        finally:
            self._runner.room.give(self._held)  # of batches that were never answered
            note(
                family="dispatch",
                batches=self._batches,
                sites=self._sites,
                bytes_in=self._bytes_in,
                bytes_out=self._bytes_out,
            )
        if self._scope.cancelled_caught:
            raise refusal.unread(self._runner.room.unread_s)
        if refused is not None:
            raise refused

    async def _open(self, requests: AsyncIterator[bytes]) -> Setup:
        """Reads the setup and consents to it."""
        raw = None
        with anyio.move_on_after(self._runner.setup_s) as waiting:
            raw = await anext(requests, None)
        if waiting.cancelled_caught:
            raise refusal.no_setup(self._runner.setup_s)
        try:
            message = None if raw is None else await self._decoded(raw)
        except _BadBatch:
            message = None
        if not isinstance(message, StreamSetup):
            raise refusal.malformed("the first message of a stream must be its setup")
        limits = self._runner.limits
        setup = batches.parse_setup(message, limits)
        ready = encode_ready(
            sites_per_batch=limits.sites_per_batch,
            points=limits.points,
            batches_under_way=limits.batches_under_way,
        )
        await self._write(ready)
        return setup

    async def _read_all(
        self, requests: AsyncIterator[bytes], setup: Setup, group: TaskGroup
    ) -> Refusal | None:
        """Starts an answer to every batch; returns what ended the stream, if it was not its end.

        A slot is taken before a message is read and given back when its answer is written, so a
        caller that does not read its answers is not read either.
        """
        while True:
            await self._slots.acquire()
            raw = await anext(requests, None)
            if raw is None:
                return None
            try:
                message = await self._decoded(raw)
                if isinstance(message, StreamSetup):
                    return refusal.malformed("the setup of a stream comes once")
                if message.key in self._keys:
                    raise _BadBatch(message.key, [Violation("key", "is under way already")])
            except Refusal as refused:
                return refused
            except _BadBatch as bad:
                group.start_soon(self._refuse, bad.key, refusal.invalid(bad.violations))
            else:
                await self._begin(message, _Received(raw, perf_counter()), setup, group)

    async def _begin(
        self, sites: Sites, received: "_Received", setup: Setup, group: TaskGroup
    ) -> None:
        """Starts the answer to a batch when there is room for it among those of all streams."""
        try:
            points = batches.size(sites, setup, self._runner.limits)
        except Refusal as refused:
            group.start_soon(self._refuse, sites.key, refused)
            return
        points = await self._runner.room.take(points, self._scope)
        self._held += points
        self._keys.add(sites.key)
        group.start_soon(self._answer, sites, received, setup, points)

    async def _decoded(self, raw: bytes) -> StreamSetup | Sites:
        self._bytes_in += len(raw)
        try:
            if len(raw) <= SMALL_BYTES:
                return decode_request(raw)
            return await self._runner.bulk.run(decode_request, raw)
        except MalformedMessage as error:
            raise refusal.malformed(str(error)) from error
        except BadMatrix as error:
            raise _BadBatch(error.key, [Violation(*found) for found in error.violations]) from error

    async def _refuse(self, key: str, refused: Refusal) -> None:
        await self._write(encode_error(key, refused.status()))
        self._slots.release()

    async def _answer(self, sites: Sites, received: "_Received", setup: Setup, points: int) -> None:
        try:
            with faults_refused():
                answer = self._runner.sized(await self._plans(sites, received, setup))
        except Refusal as refused:
            answer = encode_error(sites.key, refused.status())
        await self._write(answer)
        self._keys.discard(sites.key)
        self._held -= points
        self._runner.room.give(points)
        self._slots.release()

    async def _plans(self, sites: Sites, received: "_Received", setup: Setup) -> bytes:
        """The message with the plans of a batch, solved by as many threads as are free."""
        started, bulk = perf_counter(), self._runner.bulk
        rows = max(1, CHUNK_CELLS // setup.horizon.count)

        def begin() -> tuple[Batch, BatchSolution]:
            batch = batches.parse_batch(sites, setup)
            solution = empty_solution(batch)
            solve_rows(batch, solution, 0, min(rows, batch.site_count))
            return batch, solution

        batch, solution = await bulk.run(begin)
        async with anyio.create_task_group() as group:
            for first in range(rows, batch.site_count, rows):
                last = min(first + rows, batch.site_count)
                group.start_soon(bulk.run, solve_rows, batch, solution, first, last)
        solve_s = perf_counter() - started
        self._count(solution, solve_s)

        def render() -> bytes:
            origin = None
            if setup.provenance:
                waited_s = started - received.at_s
                origin = Origin(digest=digest(received.raw), queue_s=waited_s)
            return batches.render_batch(sites.key, setup, solution, solve_s, origin)

        return await bulk.run(render)

    def _count(self, solution: BatchSolution, solve_s: float) -> None:
        """Tells the log and the metrics of a batch that is solved."""
        self._batches += 1
        self._sites += solution.reasons.size
        metrics = self._runner.metrics
        metrics.batches.inc()
        metrics.solve_seconds.labels("dispatch", "batch").observe(solve_s)
        for reason, number in REASONS.items():
            sites = np.count_nonzero(solution.reasons == number)
            if sites:
                metrics.sites.labels("dispatch", reason.value).inc(int(sites))

    async def _write(self, message: bytes) -> None:
        """Writes a message; one at a time, as gRPC demands."""
        self._bytes_out += len(message)
        async with self._pen:
            with self._runner.room.unread(self._scope):
                await self._context.write(message)


@dataclass(frozen=True, slots=True)
class _Received:
    """A message with a batch, and when it was there."""

    raw: bytes
    at_s: float


class _BadBatch(Exception):  # noqa: N818 -- it names the batch's state
    """A batch that is answered with an error, while the stream goes on."""

    def __init__(self, key: str, violations: list[Violation]) -> None:
        super().__init__(key)
        self.key, self.violations = key, violations
