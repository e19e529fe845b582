"""The service that plans dispatch: one site, many sites, a stream of batches, or a fleet."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import anyio
import grpc

from loadloom.engine.answers import dispatch as answers
from loadloom.engine.answers.dispatch import Answer
from loadloom.engine.answers.fleets import OVERHEAD_S
from loadloom.engine.convert import dispatch as convert
from loadloom.engine.convert import fleets as convert_fleets
from loadloom.engine.convert.common import Grid
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.family import Family, Outcome, Runner, decoded, digest
from loadloom.engine.guard.calls import Deadline, caller, deadline, note
from loadloom.engine.guard.edge import faults_refused
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.services import fleet_jobs
from loadloom.engine.services.commission import commission
from loadloom.engine.services.fleet_jobs import NAME
from loadloom.engine.services.methods import Methods
from loadloom.engine.services.operations import Operations
from loadloom.engine.services.stream import Stream
from loadloom.engine.settings import Limits, Settings
from loadloom.engine.store.database import Database
from loadloom.engine.task import Origin, Task
from loadloom.models.dispatch.problem import Problem
from loadloom.models.options import SolveOptions
from loadloom.v1 import dispatch_fleet_pb2 as fleet_pb
from loadloom.v1 import dispatch_pb2 as pb

FAMILY = Family(
    name="dispatch",
    request=pb.PlanDispatchRequest,
    parse=convert.parse,
    light=answers.light,
    quick=answers.quick_answer,
    solve=answers.answer,
    render=convert.render,
    sizes=lambda problem: {"intervals": problem.horizon.count, "storages": len(problem.storages)},
)

CHUNK_SITES = 16
"""The sites of a batch that a thread takes at a time: some 10 ms, so that others get their turn."""


class DispatchService:
    """The methods of the service, from bytes to bytes."""

    def __init__(self, settings: Settings, runner: Runner, operations: Operations) -> None:
        self._settings, self._runner, self._operations = settings, runner, operations
        self._roots = Roots(settings.data_roots)
        self._methods = Methods(operations, runner, self._desk, nullcontext)

    def handler(self) -> grpc.GenericRpcHandler:
        """The methods by their names in the proto; none has a (de)serializer, as all take bytes."""
        return grpc.method_handlers_generic_handler(
            NAME,
            {
                "PlanDispatch": grpc.unary_unary_rpc_method_handler(self.plan),
                "BatchPlanDispatch": grpc.unary_unary_rpc_method_handler(self.plan_batch),
                "StreamPlanDispatch": grpc.stream_stream_rpc_method_handler(self.plan_stream),
                "PlanFleet": grpc.unary_unary_rpc_method_handler(self.plan_fleet),
                "ListSitePlans": grpc.unary_unary_rpc_method_handler(
                    self._methods.looked_up(fleet_pb.ListSitePlansRequest, fleet_jobs.page)
                ),
            },
        )

    async def plan(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """The plan of one site."""
        return await self._runner.respond(FAMILY, raw, deadline(context, self._settings))

    async def plan_batch(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """The plans of many sites on one grid, each with its own outcome."""
        batch = await self._runner.bulk.run(
            _read, raw, deadline(context, self._settings), perf_counter(), self._runner
        )
        sites = len(batch.request.sites)
        note(family=FAMILY.name, sites=sites, intervals=batch.axis.count)
        firsts = iter(range(0, sites, CHUNK_SITES))
        pieces: dict[int, bytes] = {}

        async def work() -> None:
            for first in firsts:
                pieces[first] = await self._plan_chunk(batch, first)

        async with anyio.create_task_group() as group:
            for _ in range(self._settings.bulk_threads):
                group.start_soon(work)
        return self._runner.sized(b"".join(pieces[first] for first in sorted(pieces)))

    async def _plan_chunk(self, batch: "_Batch", first: int) -> bytes:
        """The items of the sites from `first` on, as a response that others can be appended to."""
        sites = batch.request.sites[first : first + CHUNK_SITES]
        parsers = [partial(batch.parse, site, self._runner.limits) for site in sites]
        outcomes = await self._runner.outcomes(FAMILY, parsers, batch.origin, batch.until)
        return await self._runner.bulk.run(
            lambda: b"".join(_item(*pair) for pair in zip(sites, outcomes, strict=True))
        )

    async def plan_stream(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext
    ) -> None:
        """The plans of batches of like sites, each answered as soon as it is solved."""
        await Stream(self._runner, context).serve(requests)

    async def plan_fleet(
        self,
        raw: bytes,
        context: grpc.aio.ServicerContext,  # noqa: ARG002
    ) -> bytes:
        """The operation that will have the plan of a fleet."""
        limits = self._runner.limits

        def read() -> tuple[str, float]:
            message = decoded(fleet_pb.PlanFleetRequest, raw)
            asked = convert_fleets.parse(message, limits, roots=self._roots)
            fleet = asked.fleet
            note(family=FAMILY.name, sites=fleet.site_count, intervals=fleet.horizon.count)
            return message.request_id, asked.options.time_limit_s + OVERHEAD_S

        # The columns of a fleet may be many times as large as its message: as many at once as there
        # are threads.
        request_id, limit_s = await self._runner.bulk.run(read)
        whole = commission(raw, limits)
        return await self._operations.submit(
            fleet_jobs.PLAN, whole, asked=raw, request_id=request_id, limit_s=limit_s
        )

    def _desk(self, database: Database) -> fleet_jobs.Desk:
        most = self._runner.limits.message_bytes
        return fleet_jobs.Desk(database=database, caller=caller(), message_bytes=most)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """A request for many sites, its shared parts read."""

    request: pb.BatchPlanDispatchRequest
    axis: Grid
    options: SolveOptions
    origin: Origin
    until: Deadline

    def parse(self, site: pb.Site, limits: Limits) -> Task[Problem]:
        """The task that one of its sites asks for."""
        return convert.parse_site(site, self.axis, self.options, self.request.detail, limits)


def _item(site: pb.Site, outcome: Outcome[Problem, Answer]) -> bytes:
    """A response with the outcome of one site, to which others can be appended."""
    try:
        with faults_refused():
            return convert.render_item(site.name, outcome).SerializeToString()
    except Refusal as refused:
        return convert.render_item(site.name, refused).SerializeToString()


def _read(raw: bytes, until: Deadline, arrived: float, runner: Runner) -> _Batch:
    """The request, its shared parts read."""
    origin = Origin(digest=digest(raw), queue_s=perf_counter() - arrived)
    request = decoded(pb.BatchPlanDispatchRequest, raw)
    axis, options = convert.parse_batch(request, runner.limits)
    return _Batch(request=request, axis=axis, options=options, origin=origin, until=until)
