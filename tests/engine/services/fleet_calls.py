"""Requests of small fleets, and an aggregator who sends them to a server."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import numpy as np
from anyio.from_thread import start_blocking_portal
from google.longrunning import operations_pb2 as longrunning
from google.longrunning.operations_pb2_grpc import OperationsStub

from loadloom.engine.job_table import JOBS
from loadloom.engine.jobs import Job
from loadloom.engine.server import Offer, running
from loadloom.engine.settings import Settings
from loadloom.models.dispatch.batch import MATRICES
from loadloom.models.dispatch.fleet.problem import Fleet
from loadloom.v1 import dispatch_fleet_pb2 as pb
from loadloom.v1 import operations_pb2
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub
from loadloom.v1.operations_pb2_grpc import OperationEventServiceStub
from loadloom.wire.arrays import from_series, to_matrix, to_series

COLUMNS = ("charge_kw", "discharge_kw", "state_of_charge_kwh", "curtailed_kw")
METER = ("import_kw", "export_kw")


def fleet_request(fleet: Fleet, request_id: str = "", **options: object) -> pb.PlanFleetRequest:
    """A fleet of sites in columns as a request."""
    sites, network = fleet.sites, fleet.network
    request = pb.PlanFleetRequest(
        request_id=request_id, currency_code="EUR", options=pb.FleetOptions(**options)
    )
    request.grid.start_time.FromDatetime(fleet.horizon.start)
    request.grid.step.FromNanoseconds(round(3.6e12 * fleet.horizon.step_h[0]))
    request.grid.count = fleet.horizon.count
    if sites is not None:
        request.sites.nodes.extend(fleet.site_nodes.tolist())
        request.sites.columns.site_count = sites.site_count
        for name in MATRICES:
            matrix = getattr(sites, name)
            if np.isfinite(matrix).all():
                getattr(request.sites.columns, name).CopyFrom(to_matrix(matrix))
    for index, name in enumerate(network.names):
        above = network.parents[index]
        node = request.nodes.add(name=name, parent=network.names[above] if above >= 0 else "")
        for side in ("import_limit_kw", "export_limit_kw"):
            limit = getattr(network, side)[index]
            if np.isfinite(limit).any():
                getattr(node, side).CopyFrom(to_series(limit))
        if np.isfinite(network.breach_price_per_kwh[index]):
            node.breach_price_per_kwh = network.breach_price_per_kwh[index]
    return request


@dataclass
class Aggregator:
    """Somebody who plans fleets."""

    channel: grpc.Channel

    def __post_init__(self) -> None:
        self.stub = DispatchServiceStub(self.channel)
        self.operations = OperationsStub(self.channel)
        self.events = OperationEventServiceStub(self.channel)

    def ended(self, operation: longrunning.Operation) -> longrunning.Operation:
        wait = longrunning.WaitOperationRequest(name=operation.name)
        found = self.operations.WaitOperation(wait, timeout=170)
        assert found.done, found
        return found

    def planned(self, request: pb.PlanFleetRequest) -> tuple[str, pb.FleetPlan]:
        """The name of the operation, and the plan."""
        operation = self.ended(self.stub.PlanFleet(request))
        found = pb.FleetPlan()
        assert operation.response.Unpack(found), operation
        return operation.name, found

    def state(self, name: str) -> operations_pb2.OperationMetadata:
        found = self.operations.GetOperation(longrunning.GetOperationRequest(name=name))
        metadata = operations_pb2.OperationMetadata()
        found.metadata.Unpack(metadata)
        return metadata

    def pages(self, operation: str, size: int = 0, **words: object) -> Iterator[pb.SitePlans]:
        request = pb.ListSitePlansRequest(operation=operation, page_size=size, **words)
        while True:
            page = self.stub.ListSitePlans(request)
            yield page.plans
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def columns(self, operation: str, size: int = 0) -> dict[str, np.ndarray]:
        """What all sites in columns do and cost, from the pages alone."""
        pages = list(self.pages(operation, size))
        found = {}
        for name in (*COLUMNS, *METER):
            its = [matrix(getattr(page, name)) for page in pages if page.HasField(name)]
            if its:
                found[name] = np.concatenate(its)
        found["cost"] = np.concatenate([from_series(page.cost) for page in pages])
        found["nodes"] = np.concatenate([list(page.nodes) for page in pages])
        return found


def matrix(message) -> np.ndarray:
    return from_series(message.values).reshape(message.rows, message.cols)


@contextmanager
def planning_fleets(
    url: str, jobs: Sequence[Job] = JOBS, **settings: object
) -> Iterator[Aggregator]:
    """An aggregator at a server in a thread of this process, with a database of that URL."""
    usual = {"port": 0, "workers": 1, "job_workers": 1, "database_url": url}
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            running(Settings(**{**usual, **settings}), Offer(jobs=jobs))
        ) as engine,
        opened(engine.address) as channel,
    ):
        yield Aggregator(channel)


def opened(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)])


def change(statement: str) -> Callable[[object], None]:
    """A change written as a statement about `r`, a request."""
    code = compile(statement, statement, "exec")

    def changed(request: object) -> None:
        exec(code, {"r": request, "pb": pb, "nan": np.nan, "inf": np.inf})

    return changed
