import asyncio
from concurrent import futures
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import grpc
import numpy as np
import pandas as pd
import pytest

from loadloom.client.aio import AsyncClient
from loadloom.client.client import Client
from loadloom.client.errors import (
    ClientClosed,
    DeadlineExceeded,
    InfeasibleError,
    InvalidRequest,
    LimitExceeded,
    Unavailable,
)
from loadloom.client.grid import Grid
from loadloom.client.plan import Outcome, Plan
from loadloom.client.site import EnergyTarget, Load, Meter, Site, Storage
from loadloom.v1.dispatch_pb2 import PlanDispatchResponse
from loadloom.v1.dispatch_pb2_grpc import (
    DispatchServiceServicer,
    add_DispatchServiceServicer_to_server,
)

ZONE = ZoneInfo("Europe/Amsterdam")
INDEX = pd.date_range("2024-06-01", periods=4, freq="h", tz=ZONE)
GRID = Grid(start=datetime(2024, 6, 1, tzinfo=ZONE), step=timedelta(hours=1), count=4)
BATTERY = Storage(
    name="battery",
    energy_max_kwh=10,
    charge_limit_kw=10,
    discharge_limit_kw=10,
    charge_efficiency=0.9,
)
SITE = Site(
    name="home",
    meter=Meter(buy_price_per_kwh=[0.1, 0.1, 0.5, 0.5], currency_code="EUR"),
    loads=[Load(power_kw=3)],
    storages=[BATTERY],
)
# 6 kWh are wanted in the dear hours; they cost 6 / 0.9 kWh in the cheap ones.
COST = 0.1 * (6 + 6 / 0.9)


def test_a_plan_comes_with_cost_proof_and_schedule(client):
    plan = client.plan_dispatch(SITE, GRID)
    assert plan.outcome is Outcome.OPTIMAL
    assert plan.objective == pytest.approx(COST)
    assert plan.bound == pytest.approx(COST)
    assert plan.baseline_cost == pytest.approx(0.1 * 6 + 0.5 * 6)
    assert plan.saving == pytest.approx(3.6 - COST)
    assert sum(plan.costs.values()) == pytest.approx(COST)
    assert (plan.site_name, plan.currency_code) == ("home", "EUR")
    assert plan.schedule["battery.discharge_kw"].tolist() == pytest.approx([0, 0, 3, 3])
    assert plan.schedule.index.tz == ZONE
    assert plan.provenance.method == "kernel"
    assert len(plan.provenance.request_digest) == 64
    assert plan.reasons == []
    assert plan.value_columns == {}


@pytest.mark.parametrize("detail", ["cost", "schedule", "values", "reasons"])
def test_each_detail_brings_what_the_ones_before_it_bring(client, detail):
    plan = client.plan_dispatch(SITE, GRID, detail=detail)
    level = ["cost", "schedule", "values", "reasons"].index(detail)
    assert bool(plan.columns) == (level >= 1)
    assert bool(plan.value_columns) == (level >= 2)
    assert bool(plan.duals) == (level >= 2)
    assert bool(plan.reasons) == (level >= 3)


@pytest.mark.parametrize("method", ["kernel", "linear", "mixed-integer"])
def test_every_technique_finds_the_same_cost(client, method):
    plan = client.plan_dispatch(SITE, GRID, method=method, time_limit_s=30)
    assert plan.provenance.method == method
    assert plan.objective == pytest.approx(COST)


def test_pandas_goes_in_and_comes_out_with_the_same_index(client):
    price = pd.Series([0.1, 0.1, 0.5, 0.5], index=INDEX)
    load = pd.Series(3.0, index=INDEX)
    site = replace(SITE, meter=Meter(buy_price_per_kwh=price), loads=[Load(power_kw=load)])
    plan = client.plan_dispatch(site)
    assert plan.objective == pytest.approx(COST)
    assert (plan.schedule.index == INDEX).all()


@pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_a_day_of_a_clock_change_is_planned_whole(client, day, hours):
    start = pd.Timestamp(day, tz=ZONE)
    index = pd.date_range(start, start + pd.DateOffset(days=1), freq="h", inclusive="left")
    price = pd.Series(np.linspace(0.1, 0.5, hours), index=index)
    plan = client.plan_dispatch(replace(SITE, meter=Meter(buy_price_per_kwh=price)))
    assert len(plan.schedule) == hours
    assert plan.baseline_cost == pytest.approx(3 * price.sum())


def test_uneven_steps_are_planned(client):
    grid = Grid(start=GRID.start, step=[timedelta(minutes=m) for m in (30, 60, 60, 30)])
    plan = client.plan_dispatch(SITE, grid)
    assert plan.objective == pytest.approx(0.1 * (4.5 + 4.5 / 0.9))


def test_an_impossible_site_is_an_answer_until_the_caller_asks_for_an_error(client):
    target = EnergyTarget(time=GRID.boundaries[-1], min_kwh=9)
    weak = replace(BATTERY, charge_limit_kw=1, targets=[target])
    plan = client.plan_dispatch(replace(SITE, storages=[weak]), GRID)
    assert plan.outcome is Outcome.INFEASIBLE
    assert plan.conflicts
    assert all(c.end > c.start for c in plan.conflicts)
    with pytest.raises(InfeasibleError):
        plan.raise_if_infeasible()


def test_every_fault_that_the_server_finds_is_told_with_its_path(client):
    bad = replace(BATTERY, charge_efficiency=1.5, charge_limit_kw=[1, -1, np.nan, 1])
    meter = Meter(buy_price_per_kwh=[0.1] * 5)
    with pytest.raises(InvalidRequest) as raised:
        client.plan_dispatch(replace(SITE, storages=[bad], meter=meter), GRID)
    paths = {violation.path for violation in raised.value.violations}
    assert paths == {
        "site.storages[0].charge_efficiency",
        "site.storages[0].charge_limit_kw[1]",
        "site.meter.buy_price_per_kwh",
    }


def test_one_bad_site_spoils_nobody_elses_plan(client):
    bad = replace(SITE, name="bad", loads=[Load(power_kw=-1)])
    first, second, third = client.batch_plan_dispatch([SITE, bad, SITE], GRID)
    assert isinstance(first, Plan)
    assert isinstance(third, Plan)
    assert first.objective == third.objective == pytest.approx(COST)
    assert isinstance(second, InvalidRequest)
    assert "loads[0].power_kw" in second.violations[0].path


def test_what_is_too_large_is_told_apart_from_what_is_too_much(client):
    grid = replace(GRID, step=timedelta(seconds=1), count=1_000_000)
    with pytest.raises(LimitExceeded, match="1,000,000"):
        client.plan_dispatch(replace(SITE, meter=Meter(buy_price_per_kwh=0.1)), grid)


def test_a_deadline_that_is_over_is_an_error(client):
    with pytest.raises(DeadlineExceeded):
        client.plan_dispatch(SITE, GRID, method="reference", timeout_s=1e-3)


def test_the_server_tells_what_it_is(client):
    info = client.system_info()
    assert "dispatch" in info.families
    assert "highspy" in info.solvers
    assert info.limits["sites_per_batch"] > 0


def test_a_server_that_is_not_there_is_unavailable():
    with Client("127.0.0.1:1") as client, pytest.raises(Unavailable):
        client.plan_dispatch(SITE, GRID)


class Flaky(DispatchServiceServicer):
    """A server that turns the first callers away."""

    def __init__(self, code, refusals):
        self.code, self.refusals, self.calls = code, refusals, 0

    def PlanDispatch(self, request, context):  # noqa: ARG002, N802
        self.calls += 1
        if self.calls <= self.refusals:
            context.abort(self.code, "not now")
        return PlanDispatchResponse()


@pytest.fixture
def flaky():
    """Starts servers that turn the first callers away, and gives a client of each."""
    servers = []

    def start(code, refusals):
        server = grpc.server(futures.ThreadPoolExecutor(1))
        service = Flaky(code, refusals)
        add_DispatchServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return service, Client(f"127.0.0.1:{port}")

    yield start
    for server in servers:
        server.stop(None).wait()


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_call_is_tried_again_while_the_server_is_busy(flaky, code):
    service, client = flaky(code, 2)
    large = replace(SITE, loads=[Load(power_kw=np.ones(100_000))])  # beyond gRPC's usual buffer
    with client:
        client.plan_dispatch(large, GRID)
    assert service.calls == 3


def test_a_call_is_given_up_after_some_tries(flaky):
    service, client = flaky(grpc.StatusCode.UNAVAILABLE, 99)
    with client, pytest.raises(Unavailable, match="not now"):
        client.plan_dispatch(SITE, GRID)
    assert service.calls == 4


def test_a_wrong_request_is_not_tried_again(flaky):
    service, client = flaky(grpc.StatusCode.INVALID_ARGUMENT, 99)
    with client, pytest.raises(InvalidRequest):
        client.plan_dispatch(SITE, GRID)
    assert service.calls == 1


def test_a_server_that_is_not_there_is_told_in_plain_words():
    with Client("127.0.0.1:1") as client, pytest.raises(Unavailable) as raised:
        client.system_info()
    assert str(raised.value).startswith("no server can be reached there")
    assert any("gRPC says" in note for note in raised.value.__notes__)


def test_a_closed_client_says_so(target):
    client = Client(target)
    client.close()
    for call in (
        lambda: client.plan_dispatch(SITE, GRID),
        lambda: client.batch_plan_dispatch([SITE], GRID),
        lambda: client.plan_sites({"load_kw": 1.0}, GRID),
        client.system_info,
    ):
        with pytest.raises(ClientClosed, match="the client is closed; make a new one"):
            call()


def test_a_closed_async_client_says_so(target):
    async def use() -> None:
        client = AsyncClient(target)
        await client.close()
        with pytest.raises(ClientClosed):
            await client.plan_dispatch(SITE, GRID)
        with pytest.raises(ClientClosed):
            await client.system_info()

    asyncio.run(use())
