"""One stream of load curves: chunk by chunk, each forgotten when it has been added."""

from collections.abc import AsyncIterator

import anyio
import grpc

from loadloom.engine.answers.load_sums import Adding, Wishes
from loadloom.engine.convert import agency, common
from loadloom.engine.convert.common import Grid, under
from loadloom.engine.convert.load_sums import parse_chunk, parse_wishes, render_sum
from loadloom.engine.family import Runner, decoded
from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import note
from loadloom.models.agency.completeness import Fill
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.v1 import agency_pb2 as pb

USER_BYTES = 100
"""About what the figures of a user take in the answer."""


class LoadStream:
    """The state of one stream.

    A chunk takes room among the batches of all streams while it is added, and the next one is read
    when that is done: so a stream holds one chunk at a time, however fast its caller is.
    """

    def __init__(self, runner: Runner, context: grpc.aio.ServicerContext) -> None:
        self._runner, self._context = runner, context
        self._scope = anyio.CancelScope()
        self._chunks = self._bytes_in = 0

    async def serve(self, requests: AsyncIterator[bytes]) -> bytes:
        """The sum of all chunks.

        Raises:
            Refusal: the messages do not follow each other as they should, or break rules.
        """
        setup, axis, wishes = await self._open(requests)
        adding = await self._runner.bulk.run(Adding, axis.horizon, wishes)
        try:
            async for raw in requests:
                await self._add(raw, axis, wishes, adding)
            return await self._runner.bulk.run(self._finish, setup, wishes, adding)
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
        users = adding.user_count + chunk.user_count
        most = self._runner.limits.message_bytes // USER_BYTES
        if wishes.users and users > most:
            raise refusal.too_large("setup.options.users", "users with figures", users, most)
        try:
            adding.add(chunk)
        except InvalidProblem as error:
            raise refusal.invalid(error.violations) from error

    def _finish(self, setup: pb.AggregateLoadStreamSetup, wishes: Wishes, adding: Adding) -> bytes:
        try:
            answer = adding.finish()
        except InvalidProblem as error:
            raise refusal.invalid(error.violations) from error
        total = render_sum(answer.found, users=wishes.users, spans=setup.options.roll_ups)
        response = pb.AggregateLoadStreamResponse(aggregate=total, chunk_count=self._chunks)
        return self._runner.sized(response.SerializeToString())
