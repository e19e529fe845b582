"""One stream of load curves: chunk by chunk, each forgotten, or in a file, when it was added."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio

from loadloom.engine.answers.load_sums import Adding, Summed, Summing, Wishes
from loadloom.engine.convert import agency, common
from loadloom.engine.convert.common import Grid, under
from loadloom.engine.convert.load_sums import parse_chunk, parse_wishes, render_sum
from loadloom.engine.family import Family, Runner, decoded
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import Deadline, note
from loadloom.engine.task import Origin, Task
from loadloom.models.agency.completeness import Fill
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.options import SolveOptions
from loadloom.v1 import agency_pb2 as pb


class LoadStream:
    """The state of one stream.

    A chunk takes room among the batches of all streams while it is added, and the next one is read
    when that is done: so a stream holds one chunk at a time, however fast its caller is. Where
    chunks wait in a file, a worker goes over them at the end.
    """

    def __init__(self, runner: Runner, family: Family, until: Deadline) -> None:
        """Begins a stream whose chunks are added up by a family of load sums."""
        self._runner, self._family, self._until = runner, family, until
        self._scope = anyio.CancelScope()  # that of a stream whose answers are never unread
        self._chunks = self._bytes_in = 0

    async def serve(self, requests: AsyncIterator[bytes]) -> bytes:
        """The sum of all chunks.

        Raises:
            Refusal: the messages do not follow each other as they should, or break rules.
        """
        setup, axis, wishes = await self._open(requests)
        adding = await self._runner.bulk.run(Adding, axis.horizon, wishes, self._runner.limits)
        try:
            while (raw := await self._next(requests)) is not None:
                await self._add(raw, axis, wishes, adding)
            found = await self._finished(setup, adding)
            return await self._runner.bulk.run(self._rendered, setup, found)
        finally:
            adding.close()
            note(
                family="agency",
                chunks=self._chunks,
                users=adding.user_count,
                bytes_in=self._bytes_in,
            )

    async def _open(
        self, requests: AsyncIterator[bytes]
    ) -> tuple[pb.AggregateLoadStreamSetup, Grid, Wishes]:
        """Reads the setup."""
        raw = None
        with anyio.move_on_after(self._runner.setup_s) as waiting:
            raw = await anext(requests, None)
        if waiting.cancelled_caught:
            raise refusal.no_setup(self._runner.setup_s)
        message = None if raw is None else decoded(pb.AggregateLoadStreamRequest, raw)
        if message is None or not message.HasField("setup"):
            raise refusal.malformed("the first message of a stream must be its setup")
        return await self._runner.bulk.run(self._begin, message)

    async def _next(self, requests: AsyncIterator[bytes]) -> bytes | None:
        """The next message; None at the end.

        Raises:
            Refusal: nothing came for too long, while the sum, or a file of curves, is kept.
        """
        with anyio.move_on_after(self._runner.silence_s):
            return await anext(requests, None)
        raise refusal.silent(self._runner.silence_s)

    def _begin(
        self, message: pb.AggregateLoadStreamRequest
    ) -> tuple[pb.AggregateLoadStreamSetup, Grid, Wishes]:
        setup, found = message.setup, []
        axis = agency.horizon(setup.grid, self._runner.limits, found)
        wishes = parse_wishes(setup.options, axis, found)
        if wishes.rules is not None:
            for index, step in enumerate(wishes.rules.fills):
                if step.fill is Fill.AREA_PROFILE:
                    said = "needs all curves beforehand; a stream has other ways to fill"
                    found.append(Violation(f"options.rules.fills[{index}].rule", said))
        if not setup.HasField("grid"):
            found = agency.without("grid", found)
        common.accepted(setup, common.declared(message), under("setup.", found))
        return setup, axis, wishes

    async def _add(self, raw: bytes, axis: Grid, wishes: Wishes, adding: Adding) -> None:
        """Adds the curves of a message when there is room for them among those of all streams."""
        self._bytes_in += len(raw)
        points = await self._runner.room.take(len(raw) // 4, self._scope)
        try:
            await self._runner.bulk.run(self._added, raw, axis, wishes, adding)
        finally:
            self._runner.room.give(points)
        self._chunks += 1
        self._runner.metrics.batches.inc()

    def _added(self, raw: bytes, axis: Grid, wishes: Wishes, adding: Adding) -> None:
        message = decoded(pb.AggregateLoadStreamRequest, raw)
        if message.HasField("setup"):
            raise refusal.malformed("the setup of a stream comes once")
        found: list[Violation] = []
        chunk = None
        if message.HasField("curves"):
            chunk = parse_chunk("curves", message.curves, axis, wishes, found)
        chunk = common.accepted(chunk, common.declared(message), found)
        with _refused():
            adding.add(chunk)

    async def _finished(self, setup: pb.AggregateLoadStreamSetup, adding: Adding) -> Summed:
        """The sum, of a worker if there are chunks to go over."""

        def ending() -> Summing | Summed:
            with _refused():
                return adding.left(setup.options.roll_ups) or adding.finish()

        found = await self._runner.bulk.run(ending)
        if isinstance(found, Summed):
            return found
        task = Task(problem=found, options=SolveOptions(), detail=0)
        origin = Origin(digest="", queue_s=0.0)
        answered = await self._runner.solved(self._family, task, origin, self._until)
        return answered.answer.found

    def _rendered(self, setup: pb.AggregateLoadStreamSetup, found: Summed) -> bytes:
        its = setup.options
        total = render_sum(found, users=its.users, spans=its.roll_ups)
        response = pb.AggregateLoadStreamResponse(aggregate=total, chunk_count=self._chunks)
        return self._runner.sized(response.SerializeToString(), "setup.options")


@contextmanager
def _refused() -> Iterator[None]:
    """Tells callers of what is wrong with their curves."""
    try:
        yield
    except InvalidProblem as error:
        raise refusal.invalid(error.violations) from error
