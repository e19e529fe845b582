"""The client: verbs of the API for callers that await.

    async with AsyncClient() as client:
        plan = await client.plan_dispatch(site, prices.index)

Its verbs, their arguments and their errors are those of `loadloom.client.client.Client`.
"""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from loadloom.client import connection, operations, stream
from loadloom.client.agency_aio import AsyncAgencyCalls
from loadloom.client.client import outcome
from loadloom.client.connection import Tls
from loadloom.client.errors import ClientClosed, LoadloomError, told
from loadloom.client.fleet import BatchPlans, GatheredPlans, SiteColumns, gather
from loadloom.client.fleet_aio import AsyncFleetCalls
from loadloom.client.operations import AsyncOperation
from loadloom.client.orderly_aio import AsyncOrderlyCalls
from loadloom.client.plan import Plan
from loadloom.client.request import Times, Wishes, batch_request, grid_of, plan_request
from loadloom.client.response_aio import AsyncResponseCalls
from loadloom.client.site import Site
from loadloom.client.stream import AsyncBatches, StreamWishes
from loadloom.client.system import SystemInfo, system_info
from loadloom.v1.agency_pb2_grpc import AgencyServiceStub
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub
from loadloom.v1.orderly_pb2_grpc import OrderlyServiceStub
from loadloom.v1.response_pb2_grpc import ResponseServiceStub
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub


class AsyncClient(AsyncFleetCalls, AsyncOrderlyCalls, AsyncAgencyCalls, AsyncResponseCalls):
    """A connection to a server within one event loop; see `loadloom.client.client.Client`."""

    def __init__(
        self,
        target: str = connection.TARGET,
        *,
        tls: Tls | None = None,
        token: str | None = None,
        timeout_s: float = connection.TIMEOUT_S,
    ) -> None:
        self.timeout_s, self._closed = timeout_s, False
        self._channel = connection.aio_channel(target, tls, token)
        self._dispatch = DispatchServiceStub(self._channel)
        self._orderly = OrderlyServiceStub(self._channel)
        self._agency = AgencyServiceStub(self._channel)
        self._response = ResponseServiceStub(self._channel)
        self._system = SystemServiceStub(self._channel)
        self._stream = self._channel.stream_stream(connection.STREAM_METHOD)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; calls under way are cancelled."""
        self._closed = True
        await self._channel.close()

    async def plan_dispatch(
        self,
        site: Site,
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[Wishes],
    ) -> Plan:
        """The plan of a site; arguments and errors are those of `Client.plan_dispatch`."""
        self._check_open()
        request, times = plan_request(site, grid, wishes)
        timeout_s = connection.call_timeout_s(timeout_s, self.timeout_s, wishes)
        with told():
            answer = await self._dispatch.PlanDispatch(request, timeout=timeout_s)
        return Plan(answer.plan, times)

    async def batch_plan_dispatch(
        self,
        sites: Sequence[Site],
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[Wishes],
    ) -> list[Plan | LoadloomError]:
        """The plan of each site, or what was wrong with it, as `Client.batch_plan_dispatch`."""
        self._check_open()
        request, times = batch_request(sites, grid, wishes)
        timeout_s = connection.call_timeout_s(timeout_s, self.timeout_s, wishes)
        with told():
            answer = await self._dispatch.BatchPlanDispatch(request, timeout=timeout_s)
        return [outcome(item, times) for item in answer.items]

    def stream_plan_dispatch(
        self, batches: AsyncBatches, grid: Times, **wishes: Unpack[StreamWishes]
    ) -> AsyncIterator[BatchPlans]:
        """The plans of batches of like sites, each as soon as it is solved, in any order.

        The batches may also come from an async iterable; all else is as for
        `Client.stream_plan_dispatch`.
        """
        self._check_open()
        return stream.plans_of_async(self._stream, batches, grid_of(grid), wishes)

    async def plan_sites(
        self, sites: SiteColumns, grid: Times, **wishes: Unpack[StreamWishes]
    ) -> GatheredPlans:
        """The plans of a large set of like sites, as `Client.plan_sites`."""
        times = grid_of(grid)
        batches = [plans async for plans in self.stream_plan_dispatch(sites, times, **wishes)]
        return gather(batches, times)

    async def operation(self, name: str) -> AsyncOperation[Any]:
        """The operation of a name, as `Client.operation`."""
        return await operations.found_async(self._channel, name)

    def operations(self, wanted: str = "") -> AsyncIterator[AsyncOperation[Any]]:
        """The operations of the server, as `Client.operations`."""
        return operations.listed_async(self._channel, wanted)

    async def system_info(self, *, timeout_s: float | None = None) -> SystemInfo:
        """The versions, families and limits of the server, as `Client.system_info`."""
        self._check_open()
        with told():
            request = GetSystemInfoRequest()
            return system_info(
                await self._system.GetSystemInfo(request, timeout=timeout_s or self.timeout_s)
            )

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed.now()
