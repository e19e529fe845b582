"""The client: verbs of the API for callers that wait.

    with Client() as client:
        plan = client.plan_dispatch(site, prices.index)
    print(plan.saving, plan.schedule)

Prices, loads and forecasts may be numbers, lists, numpy arrays or pandas Series. The verbs of
fleets under shared limits, `plan_fleet` and on, stand in `loadloom.client.fleet_calls`, those of
weekly schedules, from `create_schedule` on, stand in `loadloom.client.orderly_calls`, those of an
agent, from `aggregate_loads` on, in `loadloom.client.agency_calls`, those of an operator who calls
customers, from `forecast_need` on, in `loadloom.client.response_calls`.
"""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from loadloom.client import connection, operations, stream
from loadloom.client.agency_calls import AgencyCalls
from loadloom.client.connection import Tls
from loadloom.client.errors import ClientClosed, LoadloomError, from_status, told
from loadloom.client.fleet import BatchPlans, GatheredPlans, SiteColumns, gather
from loadloom.client.fleet_calls import FleetCalls
from loadloom.client.grid import Grid
from loadloom.client.operations import Operation
from loadloom.client.orderly_calls import OrderlyCalls
from loadloom.client.plan import Plan
from loadloom.client.request import Times, Wishes, batch_request, grid_of, plan_request
from loadloom.client.response_calls import ResponseCalls
from loadloom.client.site import Site
from loadloom.client.stream import Batches, StreamWishes
from loadloom.client.system import SystemInfo, system_info
from loadloom.v1.agency_pb2_grpc import AgencyServiceStub
from loadloom.v1.dispatch_pb2 import BatchPlanDispatchItem
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub
from loadloom.v1.orderly_pb2_grpc import OrderlyServiceStub
from loadloom.v1.response_pb2_grpc import ResponseServiceStub
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub


class Client(FleetCalls, OrderlyCalls, AgencyCalls, ResponseCalls):
    """A connection to a server; it may be used by many threads at once, and is closed on exit.

    Args:
        target: the address of the server, "HOST:PORT".
        tls: the files for an encrypted connection; a plain one when left out.
        token: the token, where the server asks for one; that of LOADLOOM_TOKEN when left out, none
            when empty. Without TLS it is sent to servers of this machine alone.
        timeout_s: how long a call may take unless it says otherwise; streams have no limit.
    """

    def __init__(
        self,
        target: str = connection.TARGET,
        *,
        tls: Tls | None = None,
        token: str | None = None,
        timeout_s: float = connection.TIMEOUT_S,
    ) -> None:
        self.timeout_s, self._closed = timeout_s, False
        self._channel = connection.sync_channel(target, tls, token)
        self._dispatch = DispatchServiceStub(self._channel)
        self._orderly = OrderlyServiceStub(self._channel)
        self._agency = AgencyServiceStub(self._channel)
        self._response = ResponseServiceStub(self._channel)
        self._system = SystemServiceStub(self._channel)
        self._stream = self._channel.stream_stream(connection.STREAM_METHOD)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls under way are cancelled."""
        self._closed = True
        self._channel.close()

    def plan_dispatch(
        self,
        site: Site,
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[Wishes],
    ) -> Plan:
        """The plan of a site.

        Args:
            site: the site.
            grid: a Grid, or something of pandas with an index of interval starts; not needed when
                the site holds a pandas Series.
            timeout_s: how long the call may take.
            wishes: `detail`, `method`, `time_limit_s`, `relative_gap` and `seed`; see Wishes.

        Raises:
            LoadloomError: there is no answer. That a site is infeasible is an answer.
        """
        self._check_open()
        request, times = plan_request(site, grid, wishes)
        timeout_s = connection.call_timeout_s(timeout_s, self.timeout_s, wishes)
        with told():
            answer = self._dispatch.PlanDispatch(request, timeout=timeout_s)
        return Plan(answer.plan, times)

    def batch_plan_dispatch(
        self,
        sites: Sequence[Site],
        grid: Times = None,
        *,
        timeout_s: float | None = None,
        **wishes: Unpack[Wishes],
    ) -> list[Plan | LoadloomError]:
        """The plan of each site, or what was wrong with it, in the order of the sites.

        Args:
            sites: the sites, all on one grid.
            grid: as for `plan_dispatch`.
            timeout_s: how long the call may take.
            wishes: as for `plan_dispatch`.

        Raises:
            LoadloomError: there is no answer for any site.
        """
        self._check_open()
        request, times = batch_request(sites, grid, wishes)
        timeout_s = connection.call_timeout_s(timeout_s, self.timeout_s, wishes)
        with told():
            answer = self._dispatch.BatchPlanDispatch(request, timeout=timeout_s)
        return [outcome(item, times) for item in answer.items]

    def stream_plan_dispatch(
        self, batches: Batches, grid: Times, **wishes: Unpack[StreamWishes]
    ) -> Iterator[BatchPlans]:
        """The plans of batches of like sites, each as soon as it is solved, in any order.

        Args:
            batches: pairs of a key and the columns of a batch, or the columns of one large set of
                sites, which is split into messages; see `loadloom.client.fleet` for columns.
            grid: a Grid, or something of pandas with an index of interval starts.
            wishes: prices for all, columns wanted, progress and so on; see StreamWishes.

        Raises:
            LoadloomError: the stream as a whole failed; the fault in one batch is in its answer.
        """
        self._check_open()
        return stream.plans_of(self._stream, batches, grid_of(grid), wishes)

    def plan_sites(
        self, sites: SiteColumns, grid: Times, **wishes: Unpack[StreamWishes]
    ) -> GatheredPlans:
        """The plans of a large set of like sites, streamed and put back in their order.

        Raises:
            LoadloomError: the stream or a batch of it failed.
        """
        times = grid_of(grid)
        return gather(self.stream_plan_dispatch(sites, times, **wishes), times)

    def operation(self, name: str) -> Operation[Any]:
        """The operation of a name, such as one that an earlier program began.

        Raises:
            LoadloomError: there is none, or no answer.
        """
        return operations.found(self._channel, name)

    def operations(self, wanted: str = "") -> Iterator[Operation[Any]]:
        """The operations of the server, the latest first.

        Args:
            wanted: a filter, such as 'state = RUNNING AND method = "..."', or 'done = true'.

        Raises:
            LoadloomError: there is no answer.
        """
        return operations.listed(self._channel, wanted)

    def system_info(self, *, timeout_s: float | None = None) -> SystemInfo:
        """The versions, families and limits of the server.

        Raises:
            LoadloomError: there is no answer.
        """
        self._check_open()
        with told():
            request = GetSystemInfoRequest()
            return system_info(
                self._system.GetSystemInfo(request, timeout=timeout_s or self.timeout_s)
            )

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed.now()


def outcome(item: BatchPlanDispatchItem, grid: Grid) -> Plan | LoadloomError:
    """The plan in one item of a batch, or what was wrong with its site."""
    return from_status(item.error) if item.HasField("error") else Plan(item.plan, grid)
