"""The verbs of fleets under shared limits, for callers that await; `AsyncClient` has them.

Arguments and errors are those of `loadloom.client.fleet_calls.FleetCalls`.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Unpack

from google.longrunning import operations_pb2 as longrunning

from loadloom.client.calls import AsyncCalls
from loadloom.client.fleet_calls import pages_request, reader
from loadloom.client.fleet_parts import FleetSites
from loadloom.client.fleet_plan import FleetPlan, SitePlans
from loadloom.client.fleet_request import FleetWishes, Network, check_size, fleet_request
from loadloom.client.operations import AsyncOperation
from loadloom.client.orderly_request import SMALL_BYTES
from loadloom.client.request import Times
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub

if TYPE_CHECKING:
    import pandas as pd

    from loadloom.v1.dispatch_pb2_grpc import DispatchServiceAsyncStub


class AsyncFleetCalls(AsyncCalls):
    """The verbs of fleets, on a channel that the client opens and closes."""

    _dispatch: "DispatchServiceAsyncStub"

    async def plan_fleet(
        self,
        sites: "FleetSites | pd.DataFrame | None",
        network: "Network | pd.DataFrame",
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[FleetWishes],
    ) -> AsyncOperation[FleetPlan]:
        """The operation that plans a fleet."""
        request = fleet_request(sites, network, grid, wishes)
        if (size := request.ByteSize()) > SMALL_BYTES:
            asked = SystemServiceStub(self._channel).GetSystemInfo
            said = await self._call(asked, GetSystemInfoRequest())
            check_size(size, said.limits.message_bytes)
        message = await self._call(self._dispatch.PlanFleet, request, timeout_s)
        return AsyncOperation(self._channel, message, reader(message.name))

    async def get_fleet_plan(self, operation: str) -> FleetPlan:
        """The plan that an operation ended with."""
        known = longrunning.Operation(name=operation)
        return await AsyncOperation(self._channel, known, reader(operation)).result()

    async def list_site_plans(
        self,
        plan: FleetPlan,
        *,
        first_site: int = 0,
        page_size: int = 0,
        without_columns: bool = False,
    ) -> AsyncIterator[SitePlans]:
        """What the sites of a fleet do, in pages, in the order of the sites."""
        request = pages_request(plan, first_site, page_size, without_columns)
        async for page in self._pages(self._dispatch.ListSitePlans, request):
            yield SitePlans(page.plans, plan.grid, plan.nodes)
