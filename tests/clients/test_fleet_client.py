"""Fleets under shared limits through the client, against a real server."""

import asyncio
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from loadloom.client.agency import DataSet
from loadloom.client.aio import AsyncClient
from loadloom.client.errors import InvalidRequest, LimitExceeded
from loadloom.client.fleet_parts import FleetSite, FleetSites, Node, Scaled, nodes_of
from loadloom.client.fleet_request import check_size, fleet_request
from loadloom.client.grid import Grid
from loadloom.client.plan import Outcome
from loadloom.client.site import Load, Meter, Site
from loadloom.wire.arrays import from_series
from tests.clients import fleet_cases as cases


@pytest.fixture(scope="module")
def plan(client):
    """The plan of two cars below a feeder that carries less than both."""
    return client.plan_fleet(cases.cars(), cases.network(), **cases.WISHES).result()


def test_a_limit_spreads_what_all_would_do_at_once(plan):
    assert plan.outcome is Outcome.OPTIMAL
    assert plan.objective == pytest.approx(cases.COST, rel=1e-4)
    assert plan.bound <= plan.objective + 1e-9
    assert plan.unlimited_cost == pytest.approx(cases.FREE_COST, rel=1e-6)
    assert plan.currency_code == "EUR"
    assert plan.site_count == 2
    assert plan.power_kw["north"].to_numpy() == pytest.approx([6.0, 6.0, 4.0, 0.0], abs=1e-3)
    assert (plan.power_kw["town"] == plan.power_kw["north"]).all()
    assert plan.unlimited_power_kw["north"].sum() == pytest.approx(16.0)
    assert plan.unlimited_power_kw["north"].max() > cases.LIMIT_KW + 1.0
    assert (plan.power_kw.index == cases.TIMES).all()
    assert "2 sites: optimal" in repr(plan)


def test_the_limit_that_binds_has_its_price(plan):
    (binding,) = plan.bindings
    assert (binding.node, binding.rule) == ("north", "import_limit_kw")
    assert binding.starts == tuple(cases.TIMES[:2].to_pydatetime())
    assert binding.dearest_price_per_kwh == pytest.approx(0.1, abs=1e-3)
    assert binding.saving_per_kw == pytest.approx(0.2, abs=1e-3)
    prices = plan.import_price_per_kwh["north"].to_numpy()
    assert prices == pytest.approx([0.1, 0.1, 0.0, 0.0], abs=1e-3)
    assert not plan.export_price_per_kwh.to_numpy().any()


def test_nodes_are_a_frame(plan):
    frame = plan.frame.set_index(["node", "time"])
    assert len(frame) == 8
    assert (frame.loc["north", "import_limit_kw"] == cases.LIMIT_KW).all()
    assert np.isinf(frame.loc["town", "import_limit_kw"]).all()
    assert np.isinf(frame["export_limit_kw"]).all()
    assert sum(plan.costs.values()) == pytest.approx(plan.objective)


def test_sites_come_by_pages(client, plan):
    pages = list(client.list_site_plans(plan, page_size=1))
    assert [page.names for page in pages] == [["car 0"], ["car 1"]]
    frame = pd.concat([page.frame for page in pages]).set_index(["site", "time"])
    both = frame["charge_kw"].groupby("time").sum()
    assert both.to_numpy() == pytest.approx(plan.power_kw["north"].to_numpy(), abs=1e-6)
    assert (frame["state_of_charge_kwh"].xs(cases.TIMES[-1], level="time") > 8.0 - 1e-6).all()
    (whole,) = client.list_site_plans(plan, without_columns=True)
    assert whole.columns == {}
    assert whole.summary["cost"].sum() == pytest.approx(plan.objective)
    assert list(whole.summary["node"]) == ["north", "north"]
    (second,) = client.list_site_plans(plan, first_site=1)
    ((name, schedule),) = second.schedules()
    assert name == "car 1"
    assert (schedule.index == cases.TIMES).all()


def test_the_way_to_the_proof_is_told(client):
    operation = client.plan_fleet(cases.cars(), cases.network(), **cases.WISHES)
    progress = [event.progress for event in operation.events()]
    assert progress[-1].relative_gap is not None
    assert progress[-1].relative_gap <= 1e-4
    assert operation.result().objective == pytest.approx(cases.COST, rel=1e-4)


def test_limits_that_cannot_be_kept_are_told_by_node(client):
    found = client.plan_fleet(cases.cars(), cases.network(3.0), **cases.WISHES).result()
    assert found.outcome is Outcome.INFEASIBLE
    assert not found.exists
    (conflict,) = found.conflicts
    assert conflict.rule == "nodes[1].import_limit_kw"
    assert "north" in conflict.what
    assert conflict.amount == pytest.approx(4.0, abs=1e-3)


def test_a_limit_may_give_way_at_a_price(client):
    nodes = [Node(name="north", import_limit_kw=6.0, breach_price_per_kwh=0.02)]
    found = client.plan_fleet(cases.cars(), nodes, **cases.WISHES).result()
    assert found.objective == pytest.approx(12 * 0.1 + 4 * 0.12, rel=1e-4)
    assert sum(sum(breach.amounts) for breach in found.breaches) == pytest.approx(4.0, abs=1e-3)


def test_the_async_client_brings_the_same(target, plan):
    async def work():
        async with AsyncClient(target) as client:
            operation = await client.plan_fleet(cases.cars(), cases.network(), **cases.WISHES)
            found = await operation.result()
            pages = [page async for page in client.list_site_plans(found)]
            return found, pages

    found, pages = asyncio.run(work())
    assert found.message.certificate == plan.message.certificate
    assert [len(page) for page in pages] == [2]


def test_sites_with_other_devices_share_the_limits(client):
    shop = Site(
        meter=Meter(buy_price_per_kwh=cases.PRICES), loads=[Load(power_kw=2.0)], name="shop"
    )
    mixed = [FleetSite(site=shop, node="north")]
    asked = client.plan_fleet(cases.cars(), cases.network(), mixed_sites=mixed, **cases.WISHES)
    found = asked.result()
    assert found.site_count == 3
    assert found.power_kw["north"].to_numpy() == pytest.approx([6.0] * 4, abs=1e-3)
    assert found.objective == pytest.approx(6.0 * 0.7, rel=1e-4)
    (page,) = client.list_site_plans(found)
    assert page.names == ["car 0", "car 1", "shop"]
    assert page.summary.loc["shop", "cost"] == pytest.approx(2.0 * 0.7)
    assert page.summary["cost"].sum() == pytest.approx(found.objective)
    meter = page.frame.set_index(["site", "time"])["import_kw"]
    assert meter.loc["shop"].to_numpy() == pytest.approx([2.0] * 4)
    assert dict(page.schedules())["shop"]["import_kw"].to_numpy() == pytest.approx([2.0] * 4)


def test_a_plan_is_found_again_by_its_operation(client, plan):
    found = client.get_fleet_plan(plan.operation)
    assert found.message == plan.message
    assert found.parents == {"town": "", "north": "town"}
    assert next(iter(client.list_site_plans(found))).names == ["car 0", "car 1"]


def test_rows_that_sites_share_are_sent_once():
    profiles = pd.DataFrame({"flat": np.ones(4), "late": [0.0, 0.0, 1.0, 1.0]}, cases.TIMES)
    frame = pd.DataFrame(
        {
            "site": ["a", "b", "c"],
            "node": ["north", "town", "north"],
            "load_profile": ["flat", "late", "flat"],
            "load_scale": [1.0, 2.0, 3.0],
            "energy_max_kwh": [0.0, 5.0, 0.0],
        }
    )
    request = fleet_request(
        FleetSites.of(frame, profiles), cases.network(), None, {"sell_price_per_kwh": 0.01}
    )
    assert request.grid.count == 4
    assert request.sites.columns.load_kw.rows == 2
    (shared,) = request.sites.shared_rows
    assert (shared.matrix, list(shared.rows)) == ("load_kw", [0, 1, 0])
    assert from_series(shared.factors).tolist() == [1.0, 2.0, 3.0]
    assert list(request.sites.nodes) == [1, 0, 1]
    assert list(request.sites.names) == ["a", "b", "c"]


def test_loads_may_stay_in_files_of_the_server():
    grid = Grid.of_index(cases.TIMES)
    files = DataSet(root="meters", path="may", grid=grid, layout="wide list")
    cars = cases.cars()
    said = replace(cars, load_data_set=files)
    request = fleet_request(said, cases.network(), grid, {})
    assert (request.sites.load_data_set.root, request.sites.load_data_set.path) == ("meters", "may")
    assert not request.sites.HasField("pv_data_set")
    other = replace(files, grid=Grid.of_index(cases.TIMES[:3]))
    with pytest.raises(InvalidRequest, match="is for other intervals than the fleet"):
        fleet_request(replace(cars, pv_data_set=other), cases.network(), grid, {})


def test_shared_rows_plan_as_rows_of_their_own(client):
    shared = Scaled(rows=np.array([[1.0], [2.0]]), which=[0, 1], scale=4.0)
    one, other = cases.cars(), cases.cars()
    columns = {**one.columns, "charge_limit_kw": shared}
    found = client.plan_fleet(
        FleetSites(nodes=one.nodes, columns=columns), cases.network(), **cases.WISHES
    ).result()
    columns = {**other.columns, "charge_limit_kw": np.array([[4.0], [8.0]])}
    alone = client.plan_fleet(
        FleetSites(nodes=other.nodes, columns=columns), cases.network(), **cases.WISHES
    ).result()
    assert found.message.certificate == alone.message.certificate


def test_nodes_are_told_by_a_frame():
    frame = pd.DataFrame(
        {"parent": ["", "town"], "import_limit_kw": [np.nan, 6.0]}, index=["town", "north"]
    )
    town, north = nodes_of(frame)
    assert (town.name, town.import_limit_kw, north.parent) == ("town", None, "town")
    request = fleet_request(cases.cars(), frame, cases.TIMES.to_frame(), {})
    assert [node.HasField("import_limit_kw") for node in request.nodes] == [False, True]


@pytest.mark.parametrize(
    ("sites", "wishes", "told"),
    [
        (FleetSites(nodes=["west"]), {}, "sites.nodes[0]: is 'west'; there is no such node"),
        (FleetSites(nodes=[7]), {}, "sites.nodes[0]: is 7"),
        (FleetSites(nodes=["town"], names=["a", "b"]), {}, "sites.names: has 2 values"),
        (FleetSites(nodes=["town"], columns={"load": 1.0}), {}, "is no column of sites"),
        (
            FleetSites(nodes=["town"], columns={"load_kw": np.ones((3, 4))}),
            {},
            "sites.columns: have 3 rows; must have one for each of 1 sites",
        ),
        (
            FleetSites(
                nodes=["town"], columns={"load_kw": Scaled(rows=np.ones((1, 3)), which=[0])}
            ),
            {},
            "sites.columns.load_kw: has shape (1, 3)",
        ),
        (
            FleetSites(
                nodes=["town"], columns={"load_kw": Scaled(rows=np.ones((1, 4)), which=[1])}
            ),
            {},
            "sites.columns.load_kw.which[0]: is 1; there is no such profile",
        ),
        (FleetSites(nodes=["town"]), {"columns": ["power"]}, "columns[0]: is 'power'"),
        (FleetSites(nodes=["town"]), {"time_limit_s": -1.0}, "options.time_limit: is -1.0"),
    ],
)
def test_what_cannot_be_sent_is_told(sites, wishes, told):
    with pytest.raises(InvalidRequest) as caught:
        fleet_request(sites, cases.network(), cases.PRICES, wishes)
    assert told in str(caught.value)


def test_what_the_server_refuses_is_told(client):
    nodes = [Node(name="north", parent="west", import_limit_kw=1.0)]
    with pytest.raises(InvalidRequest) as caught:
        client.plan_fleet(cases.cars(), nodes, **cases.WISHES)
    assert "nodes[0].parent" in str(caught.value)


def test_a_frame_that_lacks_something_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        FleetSites.of(pd.DataFrame({"load_profile": ["flat"], "power": [1.0]}))
    for words in ("sites.node: is missing", "has no profiles", "sites.power: is not known"):
        assert words in str(caught.value)


def test_a_request_too_large_for_a_server_is_told_before_it_is_sent():
    check_size(2**20, 2**24)
    with pytest.raises(LimitExceeded, match="message-bytes 33554432"):
        check_size(2**24 + 1, 2**24)
