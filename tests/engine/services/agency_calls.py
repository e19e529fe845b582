"""Requests of a small agency, and an agent who sends them to a server."""

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
from loadloom.v1 import agency_pb2 as pb
from loadloom.v1 import common_pb2
from loadloom.v1.agency_pb2_grpc import AgencyServiceStub
from loadloom.wire.arrays import from_series, to_floats, to_matrix

NAMES = ("anna", "bert")
LOADS = ((3.0, 1.0), (1.0, 2.0))
"""The example that is worked by hand: A = (4, 3), LF = 7/8, shares 1.8 and 1.1."""


def grid(count: int = 2, start: str = "2024-06-01T00:00:00Z") -> common_pb2.TimeGrid:
    found = common_pb2.TimeGrid(count=count)
    found.start_time.FromJsonString(start)
    found.step.seconds = 3600
    return found


def curves(loads: Sequence = LOADS, names: Sequence[str] = NAMES, *, single=False) -> pb.Curves:
    """Curves of users, as doubles, or as floats if `single`."""
    array = np.array(loads, dtype=float)
    if single:
        return pb.Curves(names=names, load_kw_float32=to_floats(array))
    return pb.Curves(names=names, load_kw=to_matrix(array))


def affine(base: float = 0.3, slope: float = 0.1) -> pb.PriceSchedule:
    return pb.PriceSchedule(affine=pb.AffinePrice(base_per_kwh=base, slope_per_kwh=slope))


def settlement_request(request_id: str = "june", **changes: object) -> pb.CreateSettlementRequest:
    """The settlement that is worked by hand: f2 = 0.6, alpha = 0.1."""
    request = pb.CreateSettlementRequest(
        request_id=request_id, title="June", grid=grid(), curves=curves(), price=affine()
    )
    request.terms.currency_code, request.terms.profit_rate = "EUR", 0.1
    request.terms.highest_price_per_kwh.values.append(0.6)
    for name, value in changes.items():
        if isinstance(value, (str, int)):
            setattr(request, name, value)
        else:
            getattr(request, name).CopyFrom(value)
    return request


def many_request(
    users: int, request_id: str = "many", slots: int = 4
) -> pb.CreateSettlementRequest:
    """A settlement of many users, whose names are in no order."""
    generator = np.random.default_rng(users)
    names = [f"user {number}" for number in generator.permutation(users)]
    loads = generator.random((users, slots))
    return settlement_request(request_id, grid=grid(slots), curves=curves(loads, names))


def sharing_request() -> pb.ShareCostRequest:
    request = pb.ShareCostRequest(grid=grid(), curves=curves(), price=affine())
    request.options.report = True
    return request


def assess_request() -> pb.AssessPricesRequest:
    """The schedule that fails: 0.6 - 0.2 LF on curves (1, 1) and (1, 0)."""
    price = pb.PriceSchedule(load_factor=pb.LoadFactorPrice(base_per_kwh=0.6, slope_per_kwh=0.2))
    return pb.AssessPricesRequest(price=price, grid=grid(), curves=curves(((1, 1), (1, 0))))


def purchase_request() -> pb.PlanPurchaseRequest:
    """A load of 4 and 3 kW from coal up to 3.5 kW at 0.3 and 0.4, and gas at 0.5."""
    request = pb.PlanPurchaseRequest(grid=grid(), currency_code="EUR")
    request.load_kw.values.extend([4.0, 3.0])
    coal = request.plants.add(name="coal")
    coal.price_per_kwh.values.extend([0.3, 0.4])
    coal.power_max_kw.values.append(3.5)
    request.plants.add(name="gas").price_per_kwh.values.append(0.5)
    return request


def sum_request() -> pb.AggregateLoadsRequest:
    request = pb.AggregateLoadsRequest(grid=grid(), curves=curves())
    request.options.users = True
    request.options.price.CopyFrom(affine())
    return request


def portfolio_request(request_id: str = "") -> pb.FormPortfolioRequest:
    """Three candidates: two that complement each other, and one that pays less than it costs."""
    loads = ((3.0, 1.0), (1.0, 2.0), (2.0, 0.0))
    request = pb.FormPortfolioRequest(
        request_id=request_id,
        grid=grid(),
        candidates=curves(loads, (*NAMES, "cora")),
        currency_code="EUR",
    )
    request.contracts.add(name="plant").price.CopyFrom(affine())
    request.highest_price_per_kwh.CopyFrom(to_matrix([[0.6], [0.6], [0.2]]))
    request.options.explain_users.append("cora")
    return request


def chunks(*parts: pb.Curves, **options: object) -> Iterator[pb.AggregateLoadStreamRequest]:
    """The messages of a stream: a setup with these options, and chunks."""
    cols = (parts[0].load_kw.cols or parts[0].load_kw_float32.cols) if parts else 2
    setup = pb.AggregateLoadStreamSetup(grid=grid(cols), options=pb.AggregateOptions(**options))
    yield pb.AggregateLoadStreamRequest(setup=setup)
    for part in parts:
        yield pb.AggregateLoadStreamRequest(curves=part)


@dataclass
class Agent:
    """Somebody who settles."""

    channel: grpc.Channel

    def __post_init__(self) -> None:
        self.stub = AgencyServiceStub(self.channel)
        self.operations = OperationsStub(self.channel)

    def settled(self, request: pb.CreateSettlementRequest) -> pb.Settlement:
        return self.stub.CreateSettlement(request, timeout=60).settlement

    def corrected(self, name: str, request_id: str, its: pb.Curves) -> pb.Settlement:
        request = pb.CorrectSettlementRequest(request_id=request_id, name=name, curves=its)
        return self.stub.CorrectSettlement(request, timeout=60).settlement

    def pages(self, name: str, size: int) -> Iterator[pb.Statements]:
        """The statements of a settlement, page by page."""
        request = pb.ListStatementsRequest(name=name, page_size=size)
        while True:
            page = self.stub.ListStatements(request)
            yield page.statements
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def statement(self, name: str, user: str) -> pb.Statement:
        request = pb.GetStatementRequest(name=name, user=user)
        return self.stub.GetStatement(request).statement

    def portfolio(self, request: pb.FormPortfolioRequest) -> pb.Portfolio:
        operation = self.stub.FormPortfolio(request)
        wait = longrunning.WaitOperationRequest(name=operation.name)
        ended = self.operations.WaitOperation(wait, timeout=70)
        found = pb.Portfolio()
        assert ended.response.Unpack(found), ended
        return found


@contextmanager
def settling(url: str, jobs: Sequence[Job] = JOBS, **settings: object) -> Iterator[Agent]:
    """An agent of a server in a thread of this process, with a database of that URL."""
    usual = {"port": 0, "workers": 1, "job_workers": 1, "database_url": url}
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            running(Settings(**{**usual, **settings}), Offer(jobs=jobs))
        ) as engine,
        grpc.insecure_channel(engine.address, options=[("grpc.enable_retries", 0)]) as channel,
    ):
        yield Agent(channel)


def values(series: common_pb2.Series) -> list[float]:
    return from_series(series).tolist()


def change(statement: str) -> Callable[[object], None]:
    """A change written as a statement about `r`, a request."""
    code = compile(statement, statement, "exec")

    def changed(request: object) -> None:
        names = {"r": request, "pb": pb, "nan": np.nan, "inf": np.inf}
        exec(code, {**names, "to_matrix": to_matrix, "affine": affine})

    return changed
