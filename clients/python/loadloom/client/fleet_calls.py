"""The verbs of fleets under shared limits, for callers that wait; `Client` has them."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Unpack

from google.longrunning import operations_pb2 as longrunning
from google.protobuf import any_pb2
from google.protobuf.message import Message

from loadloom.client.calls import Calls
from loadloom.client.fleet_parts import FleetSites
from loadloom.client.fleet_plan import FleetPlan, SitePlans
from loadloom.client.fleet_request import FleetWishes, Network, check_size, fleet_request
from loadloom.client.operations import Operation, unpacked
from loadloom.client.orderly_request import SMALL_BYTES
from loadloom.client.request import Times
from loadloom.v1 import dispatch_fleet_pb2 as pb
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub

if TYPE_CHECKING:
    import pandas as pd


class FleetCalls(Calls):
    """The verbs of fleets, on a channel that the client opens and closes."""

    _dispatch: DispatchServiceStub

    def plan_fleet(
        self,
        sites: "FleetSites | pd.DataFrame | None",
        network: "Network | pd.DataFrame",
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[FleetWishes],
    ) -> Operation[FleetPlan]:
        """The operation that plans a fleet; `result()` of it is the plan, for as long as it lives.

        Args:
            sites: the sites: FleetSites, or a DataFrame with a row for each (see FleetSites.of);
                None if all are among the `mixed_sites`.
            network: the nodes that they are below, or a DataFrame with a row for each.
            grid: a Grid, or something of pandas with an index of interval starts; not needed when
                a price or a profile is something of pandas.
            timeout_s: how long the call may take; the solve goes on after it.
            wishes: prices, currency, limits of the solve and so on; see FleetWishes.

        Raises:
            LoadloomError: the request is wrong, or there is no answer. That limits cannot be kept
                is an answer.
        """
        request = fleet_request(sites, network, grid, wishes)
        if (size := request.ByteSize()) > SMALL_BYTES:
            asked = SystemServiceStub(self._channel).GetSystemInfo
            check_size(size, self._call(asked, GetSystemInfoRequest()).limits.message_bytes)
        message = self._call(self._dispatch.PlanFleet, request, timeout_s)
        return Operation(self._channel, message, reader(message.name))

    def get_fleet_plan(self, operation: str) -> FleetPlan:
        """The plan that an operation ended with, such as one that an earlier program began.

        Raises:
            LoadloomError: there is none, it failed, or there is no answer.
        """
        known = longrunning.Operation(name=operation)
        return Operation(self._channel, known, reader(operation)).result()

    def list_site_plans(
        self,
        plan: FleetPlan,
        *,
        first_site: int = 0,
        page_size: int = 0,
        without_columns: bool = False,
    ) -> Iterator[SitePlans]:
        """What the sites of a fleet do, in pages, in the order of the sites.

        Args:
            plan: the plan of the fleet.
            first_site: the number of the site to begin with.
            page_size: the most sites of a page; 1,000 when zero.
            without_columns: whether to tell what each site costs alone.

        Raises:
            LoadloomError: the operation is deleted, or there is no answer.
        """
        request = pages_request(plan, first_site, page_size, without_columns)
        for page in self._pages(self._dispatch.ListSitePlans, request):
            yield SitePlans(page.plans, plan.grid, plan.nodes)


def reader(operation: str) -> "partial[FleetPlan]":
    """What makes a plan of the response of an operation."""
    return partial(_read, operation=operation)


def pages_request(
    plan: FleetPlan, first_site: int, page_size: int, without_columns: bool
) -> Message:
    """The request for the plans of sites."""
    return pb.ListSitePlansRequest(
        operation=plan.operation,
        first_site=first_site,
        page_size=page_size,
        without_columns=without_columns,
    )


def _read(packed: any_pb2.Any, operation: str) -> FleetPlan:
    return FleetPlan(unpacked(packed), operation)
