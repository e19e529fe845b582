"""Fleets on a real server: what its pages say is judged here from the request alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import numpy as np
import pytest
from google.longrunning import operations_pb2 as longrunning

from loadloom.models.dispatch.fleet.problem import Fleet
from loadloom.models.dispatch.fleet.solve import solve
from loadloom.models.options import SolveOptions
from loadloom.v1 import common_pb2, operations_pb2
from loadloom.v1 import dispatch_fleet_pb2 as pb
from loadloom.wire.arrays import from_series, to_matrix, to_series
from tests.engine.conftest import eventually
from tests.engine.services.fleet_calls import Aggregator, fleet_request, matrix, planning_fleets
from tests.models.dispatch.fleet.fleets import homes, limited

COUNT, INTERVALS = 60, 24
OPTIMAL = common_pb2.TERMINATION_REASON_OPTIMAL
INFEASIBLE = common_pb2.TERMINATION_REASON_INFEASIBLE
GONE = grpc.StatusCode.NOT_FOUND
WRONG = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture(scope="module")
def aggregator(new_url) -> Iterator[Aggregator]:
    with planning_fleets(new_url("sqlite")) as found:
        yield found


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """Homes below three feeders and a substation whose limits bind on both sides."""
    free = homes(COUNT, INTERVALS, 7)
    return limited(free, solve(free).plan.power_kw, 0.7, 0.6)


@pytest.fixture(scope="module")
def planned(aggregator, fleet) -> tuple[str, pb.FleetPlan]:
    request = fleet_request(fleet)
    request.sites.names.extend(f"home {number}" for number in range(COUNT))
    return aggregator.planned(request)


def test_pages_keep_every_rule_and_cost_what_is_told(aggregator, fleet, planned):
    name, plan = planned
    assert plan.termination.reason == OPTIMAL
    did, sites, hours = aggregator.columns(name, 7), fleet.sites, fleet.horizon.step_h
    # The meter: what is drawn is what is used, less what is made.
    net = sites.load_kw - sites.pv_kw + did["curtailed_kw"] + did["charge_kw"] - did["discharge_kw"]
    assert did["import_kw"] - did["export_kw"] == pytest.approx(net, abs=1e-7)
    assert min(did[name].min() for name in did if name != "cost") > -1e-9
    assert (did["curtailed_kw"] <= sites.pv_kw + 1e-7).all()
    # The store: what is held is what was held and charged, less losses.
    moved = did["charge_kw"] * sites.charge_efficiency
    moved = (moved - did["discharge_kw"] / sites.discharge_efficiency) * hours
    held, keep = sites.initial_energy_kwh[:, 0], 1.0 - sites.self_discharge_per_h[:, 0]
    for t in range(INTERVALS):
        held = held * keep ** hours[t] + moved[:, t]
        assert did["state_of_charge_kwh"][:, t] == pytest.approx(held, abs=1e-6)
    assert (did["state_of_charge_kwh"] <= sites.energy_max_kwh + 1e-6).all()
    assert (did["charge_kw"] <= sites.charge_limit_kw + 1e-7).all()
    assert (did["discharge_kw"] <= sites.discharge_limit_kw + 1e-7).all()
    # The nodes: feeders and the substation keep their limits.
    assert (did["nodes"] == fleet.site_nodes).all()
    site_kw = did["import_kw"] - did["export_kw"]
    power = np.array([site_kw[fleet.site_nodes == n].sum(axis=0) for n in (1, 2, 3)])
    power = np.vstack([power.sum(axis=0), power])
    assert np.array([from_series(node.power_kw) for node in plan.nodes]) == pytest.approx(power)
    assert (power <= fleet.network.import_limit_kw + 1e-6).all()
    assert (-power <= fleet.network.export_limit_kw + 1e-6).all()
    # The money.
    grid = did["import_kw"] * sites.buy_price_per_kwh - did["export_kw"] * sites.sell_price_per_kwh
    energy = did["charge_kw"] * sites.charge_efficiency
    energy += did["discharge_kw"] / sites.discharge_efficiency
    cost = (grid * hours).sum(axis=1) + (energy * hours).sum(axis=1) * sites.wear_cost_per_kwh[:, 0]
    cost -= 0.12 * did["state_of_charge_kwh"][:, -1]
    assert did["cost"] == pytest.approx(cost, rel=1e-9, abs=1e-9)
    assert plan.certificate.objective == pytest.approx(cost.sum(), rel=1e-9)
    assert sum(item.amount for item in plan.costs) == pytest.approx(cost.sum(), rel=1e-9)
    assert plan.certificate.bound <= cost.sum()
    assert plan.certificate.relative_gap <= 1e-4
    assert plan.unlimited_cost < plan.certificate.bound
    assert plan.saving == pytest.approx(plan.baseline_cost - cost.sum())


def test_the_plan_is_the_models(fleet, planned):
    _, plan = planned
    found = solve(fleet, SolveOptions(relative_gap=1e-4), threads=2)
    assert plan.certificate.objective == found.termination.objective
    assert plan.certificate.bound == found.termination.bound
    assert plan.passes == found.passes
    for side in ("import", "export"):
        prices = getattr(found, f"{side}_price_per_kwh")
        told = [from_series(getattr(node, f"{side}_price_per_kwh")) for node in plan.nodes]
        for ours, its in zip(prices, told, strict=True):
            assert its.tolist() == (ours.tolist() if ours.any() else [])
    assert any(node.HasField("import_price_per_kwh") for node in plan.nodes)
    assert [node.parent for node in plan.nodes] == ["", *["substation"] * 3]


def test_pages_begin_anywhere_and_may_leave_columns_out(aggregator, planned, failure):
    name, _ = planned
    whole = list(aggregator.pages(name, 25))
    assert [(page.first_site, page.site_count) for page in whole] == [(0, 25), (25, 25), (50, 10)]
    (one,) = aggregator.pages(name, 1, first_site=COUNT - 1)
    assert list(one.names) == [f"home {COUNT - 1}"]
    assert matrix(one.charge_kw).tolist() == matrix(whole[2].charge_kw)[-1:].tolist()
    (light,) = aggregator.pages(name, without_columns=True)
    assert not light.HasField("charge_kw")
    assert sum(light.cost.values) == pytest.approx(sum(sum(page.cost.values) for page in whole))
    (beyond,) = aggregator.pages(name, first_site=COUNT + 5)
    assert beyond.site_count == 0
    request = pb.ListSitePlansRequest(operation=name, page_token="mine")
    told = failure(lambda: aggregator.stub.ListSitePlans(request))
    assert set(told.paths) == {"page_token"}


def test_columns_are_those_asked_for_and_go_with_their_operation(aggregator, fleet, failure):
    request = fleet_request(fleet)
    request.columns.append(1)
    name, plan = aggregator.planned(request)
    assert list(plan.columns) == [1]
    (page,) = aggregator.pages(name)
    assert (page.HasField("charge_kw"), page.HasField("discharge_kw")) == (True, False)
    assert not page.names
    aggregator.operations.DeleteOperation(longrunning.DeleteOperationRequest(name=name))
    assert failure(lambda: list(aggregator.pages(name))).code is GONE


def test_shared_rows_are_the_rows_they_stand_for(aggregator, fleet):
    request, shape = fleet_request(fleet), np.linspace(0.5, 1.5, INTERVALS)[None, :]
    factors = fleet.sites.load_kw.mean(axis=1)
    rows = np.arange(COUNT) % 2
    profiles = np.vstack([shape, shape[:, ::-1]])
    request.sites.columns.load_kw.CopyFrom(to_matrix(profiles[rows] * factors[:, None]))
    for limit in request.nodes:
        limit.ClearField("import_limit_kw")
    _, long = aggregator.planned(request)
    request.sites.columns.load_kw.CopyFrom(to_matrix(profiles))
    request.sites.shared_rows.add(matrix="load_kw", rows=rows, factors=to_series(factors))
    name, short = aggregator.planned(request)
    assert short.certificate == long.certificate
    assert sum(page.site_count for page in aggregator.pages(name)) == COUNT


def test_a_site_with_other_devices_is_planned_beside_the_columns(aggregator):
    mixed = homes(6, INTERVALS, 3)
    request = fleet_request(mixed)
    its = request.mixed_sites.add(node=2)
    site = its.site
    site.name = "car park"
    site.meter.buy_price_per_kwh.CopyFrom(to_series(mixed.sites.buy_price_per_kwh[0]))
    car = site.vehicles.add(name="car", initial_energy_kwh=5.0)
    car.capacity_kwh = 40.0
    car.charge_limit_kw.values.append(7.4)
    stay = car.sessions.add(wanted_kwh=20.0)
    stay.arrival_time.seconds = request.grid.start_time.seconds
    stay.departure_time.seconds = request.grid.start_time.seconds + 86_400
    name, plan = aggregator.planned(request)
    assert plan.site_count == 7
    pages = list(aggregator.pages(name, 4))
    assert [(page.site_count, len(page.mixed_sites)) for page in pages] == [(4, 0), (3, 1)]
    (told,) = pages[1].mixed_sites
    assert (told.name, told.node) == ("car park", 2)
    charged = from_series(told.schedule.vehicles[0].charge_kw)
    assert charged.sum() >= 15.0 - 1e-6
    assert told.cost == pytest.approx(float(charged @ mixed.sites.buy_price_per_kwh[0]), rel=1e-6)
    total = sum(sum(page.cost.values) for page in pages) + told.cost
    assert plan.certificate.objective == pytest.approx(total)
    (light,) = aggregator.pages(name, without_columns=True)
    assert not light.mixed_sites[0].HasField("schedule")
    assert light.mixed_sites[0].cost == told.cost


def test_limits_that_cannot_be_kept_are_named(aggregator, fleet):
    request = fleet_request(fleet)
    for matrix_name in ("pv_kw", "initial_energy_kwh"):
        request.sites.columns.ClearField(matrix_name)
    for node in request.nodes:
        node.ClearField("import_limit_kw")
    request.nodes[2].import_limit_kw.values.append(1.0)
    name, plan = aggregator.planned(request)
    assert plan.termination.reason == INFEASIBLE
    assert {conflict.rule for conflict in plan.conflicts} == {"nodes[2].import_limit_kw"}
    first = plan.conflicts[0]
    assert "'feeder 2'" in first.what
    assert first.amount > 0.0
    assert first.cure.startswith("let 'feeder 2' draw up to")
    (page,) = aggregator.pages(name)
    assert page.site_count == 0


def test_a_site_that_cannot_keep_its_own_rules_is_named(aggregator, fleet):
    request = fleet_request(fleet)
    request.sites.names.extend(f"home {number}" for number in range(COUNT))
    least = np.zeros((COUNT, 1))
    least[17] = 1e6
    request.sites.columns.end_energy_min_kwh.CopyFrom(to_matrix(least))
    _, plan = aggregator.planned(request)
    assert plan.termination.reason == INFEASIBLE
    (conflict,) = plan.site_conflicts
    assert (conflict.site, conflict.name) == (17, "home 17")
    assert "site 17, 'home 17', cannot keep its own rules" in conflict.what


def test_a_limit_with_a_price_gives_way_at_it(aggregator, fleet):
    request = fleet_request(fleet)
    for node in request.nodes:
        node.breach_price_per_kwh = 0.01
    _, plan = aggregator.planned(request)
    assert plan.termination.reason == OPTIMAL
    costs = {item.name: item.amount for item in plan.costs}
    assert costs["breach"] == pytest.approx(sum(breach.cost for breach in plan.breaches))
    assert costs["breach"] > 0.0
    for breach in plan.breaches:
        index, side = int(breach.rule[6]), breach.rule.split(".")[1]
        power = from_series(plan.nodes[index].power_kw)[list(breach.intervals)]
        limit = getattr(fleet.network, side)[index][list(breach.intervals)]
        beyond = power - limit if side == "import_limit_kw" else -power - limit
        assert list(breach.amounts) == pytest.approx(beyond.tolist())


def test_one_request_id_from_many_is_one_operation(aggregator, fleet, failure):
    request = fleet_request(fleet, "once")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: aggregator.stub.PlanFleet(request).name, range(16)))
    assert len(set(made)) == 1
    other = fleet_request(replace(fleet, site_nodes=np.ones(COUNT, np.int64)), "once")
    told = failure(lambda: aggregator.stub.PlanFleet(other))
    assert (told.code, told.reason) == (grpc.StatusCode.ALREADY_EXISTS, "OTHER_REQUEST")


def test_progress_is_told_on_the_way(aggregator, fleet):
    made = aggregator.stub.PlanFleet(fleet_request(fleet))
    watch = operations_pb2.WatchOperationRequest(name=made.name)
    events = [answer.event for answer in aggregator.events.WatchOperation(watch, timeout=120)]
    phases = [event.progress.phase for event in events]
    assert {"reading", "prices", "refereed"} <= set(phases)
    last = events[-1].progress
    assert last.bound <= last.value
    assert last.relative_gap <= 1e-4


def long_request(request_id: str = "", **options: object) -> pb.PlanFleetRequest:
    """A fleet that keeps a worker busy for seconds: its gap can hardly be proven."""
    free = homes(12_000, INTERVALS, 5)
    most = np.maximum(free.net_load_kwh / free.horizon.step_h, 0.0).max(axis=1)[:, None]
    network = replace(
        free.network,
        import_limit_kw=np.repeat(1.02 * most, INTERVALS, axis=1),
        breach_price_per_kwh=np.full(most.size, 0.5),
    )
    return fleet_request(replace(free, network=network), request_id, relative_gap=1e-15, **options)


def under_way(aggregator: Aggregator, name: str) -> None:
    """Returns when the search has begun."""
    searching = {"a part of the sites", "prices"}
    eventually(lambda: aggregator.state(name).progress.phase, lambda phase: phase in searching)


def test_a_cancel_frees_the_worker(aggregator, fleet, failure):
    made = aggregator.stub.PlanFleet(long_request())
    told = failure(lambda: list(aggregator.pages(made.name)))
    assert (told.code, told.reason) == (WRONG, "NOT_ENDED")
    under_way(aggregator, made.name)
    aggregator.operations.CancelOperation(longrunning.CancelOperationRequest(name=made.name))
    ended = aggregator.ended(made)
    assert ended.error.code == grpc.StatusCode.CANCELLED.value[0]
    told = failure(lambda: list(aggregator.pages(made.name)))
    assert (told.code, told.reason) == (WRONG, "WRONG_STATE")
    _, plan = aggregator.planned(fleet_request(fleet))
    assert plan.termination.reason == OPTIMAL


def test_the_end_of_time_brings_the_best_plan_so_far(aggregator):
    request = long_request()
    request.options.time_limit.FromMilliseconds(1)  # it is over with the first answers
    name, plan = aggregator.planned(request)
    assert plan.termination.reason == common_pb2.TERMINATION_REASON_FEASIBLE
    assert plan.certificate.bound < plan.certificate.objective
    did = aggregator.columns(name)
    breach = next(item.amount for item in plan.costs if item.name == "breach")
    assert did["cost"].sum() + breach == pytest.approx(plan.certificate.objective)
    # 12,000 sites of 24 intervals and six columns are 13.8 MB: no page has more than 4.
    pages = [page.ByteSize() for page in aggregator.pages(name, 10_000)]
    assert len(pages) > 4
    assert max(pages) < 4 * 2**20


def test_what_plans_no_fleet_has_no_sites(aggregator, failure):
    unknown = pb.ListSitePlansRequest(operation=f"operations/{'0' * 32}")
    assert failure(lambda: aggregator.stub.ListSitePlans(unknown)).code is GONE
