"""What is wrong with a fleet is told at once, all of it, with its paths."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from loadloom.engine.convert.fleets import parse
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from loadloom.v1 import common_data_sets_pb2, dispatch_sites_pb2
from loadloom.v1 import dispatch_fleet_pb2 as pb
from loadloom.wire.arrays import from_series, to_series
from tests.engine.services.fleet_calls import Aggregator, change, fleet_request, planning_fleets
from tests.models.dispatch.fleet.fleets import homes

SITES, INTERVALS = 6, 4
BAD, LARGE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED


def request() -> pb.PlanFleetRequest:
    """A fleet with names, shared rows, limits, and a site with a vehicle."""
    fleet = homes(SITES, INTERVALS, 1)
    found = fleet_request(fleet)
    found.sites.names.extend(f"home {number}" for number in range(SITES))
    found.sites.shared_rows.add(matrix="load_kw", rows=range(SITES), factors=to_series(np.ones(1)))
    for node in found.nodes:
        node.import_limit_kw.values.append(100.0)
    site = found.mixed_sites.add(node=1).site
    site.name = "car park"
    site.meter.buy_price_per_kwh.values.append(0.2)
    car = site.vehicles.add(name="car", initial_energy_kwh=5.0, capacity_kwh=40.0)
    car.charge_limit_kw.values.append(7.4)
    return found


def paths_of(message: pb.PlanFleetRequest, limits: Limits | None = None) -> dict[str, str]:
    """What is said of a request, by path."""
    with pytest.raises(Refusal) as caught:
        parse(message, limits or Limits(), roots=Roots({}))
    assert caught.value.code is BAD
    return {violation.path: violation.message for violation in caught.value.violations}


def test_the_request_is_sound():
    asked = parse(request(), Limits(), roots=Roots({}))
    assert asked.fleet.site_count == SITES + 1
    assert asked.columns[-1] == "export_kw"


FAULTS = [
    ("r.ClearField('grid')", {"grid"}),
    ("r.grid.step.seconds = 0", {"grid.step"}),
    ("del r.nodes[:]", {"nodes"}),
    ("r.nodes[1].name = 'substation'", {"nodes[1].name"}),
    ("r.nodes[2].parent = 'nobody'", {"nodes[2].parent"}),
    ("r.nodes[0].parent = 'feeder 1'", {"nodes.parent"}),
    ("r.nodes[0].import_limit_kw.values.extend([1, 2])", {"nodes[0].import_limit_kw"}),
    ("r.nodes[0].export_limit_kw.values.extend([1, 2, -3, 4])", {"nodes[0].export_limit_kw[2]"}),
    ("r.nodes[0].breach_price_per_kwh = nan", {"nodes[0].breach_price_per_kwh"}),
    ("r.sites.nodes[3] = 9", {"sites.nodes[3]"}),
    ("del r.sites.nodes[3:]", {"sites.nodes"}),
    ("r.sites.names[4] = 'home 1'", {"sites.names[4]"}),
    ("del r.sites.names[2:]", {"sites.names"}),
    ("r.sites.ClearField('columns')", {"sites.columns"}),
    ("r.sites.columns.ClearField('buy_price_per_kwh')", {"sites.columns.buy_price_per_kwh"}),
    ("r.sites.columns.pv_kw.values.values[5] = nan", {"sites.columns.pv_kw[1,1]"}),
    ("r.sites.columns.load_kw.values.values[5] = -1", {"sites.columns.load_kw[1,1]"}),
    ("del r.sites.columns.pv_kw.values.values[5:]", {"sites.columns.pv_kw.values"}),
    ("r.sites.columns.pv_kw.rows, r.sites.columns.pv_kw.cols = 4, 6", {"sites.columns.pv_kw"}),
    ("r.sites.shared_rows[0].matrix = 'loads'", {"sites.shared_rows[0].matrix"}),
    ("r.sites.shared_rows.add(matrix='load_kw')", {"sites.shared_rows[1].matrix"}),
    ("r.sites.shared_rows.add(matrix='pv_kw', rows=[9])", {"sites.shared_rows[1].rows[0]"}),
    ("r.sites.shared_rows[0].rows[2] = 6", {"sites.shared_rows[0].rows[2]"}),
    ("del r.sites.shared_rows[0].rows[3:]", {"sites.shared_rows[0].rows"}),
    ("r.sites.shared_rows[0].factors.values[0] = -1", {"sites.shared_rows[0].factors[0]"}),
    ("r.sites.shared_rows[0].factors.values[0] = 1e9", {"sites.columns.load_kw[0,1]"}),
    ("r.columns.append(7)", {"columns[0]"}),
    ("r.columns.extend([1, 1])", {"columns"}),
    ("r.currency_code = 'euro'", {"currency_code"}),
    ("r.options.relative_gap = 2", {"options.relative_gap"}),
    ("r.options.time_limit.seconds = 0", {"options.time_limit"}),
    ("r.request_id = 'ü'", {"request_id"}),
    ("r.mixed_sites[0].node = 4", {"mixed_sites[0].node"}),
    ("r.mixed_sites[0].site.scenarios.add()", {"mixed_sites[0].site.scenarios"}),
    ("r.mixed_sites[0].site.meter.currency_code = 'USD'",
     {"mixed_sites[0].site.meter.currency_code"}),
    ("r.mixed_sites[0].site.vehicles[0].charge_limit_kw.values[0] = -1",
     {"mixed_sites[0].site.vehicles[0].charge_limit_kw[0]"}),
    ("r.sites.load_data_set.root, r.sites.load_data_set.path = 'a', 'b'",
     {"sites.load_data_set.root", "sites.load_data_set.layout"}),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "paths"), FAULTS, ids=[one for one, _ in FAULTS])
def test_a_fault_is_told_with_its_path(statement, paths):
    message = request()
    change(statement)(message)
    told = paths_of(message)
    assert paths <= set(told)
    assert all(told.values())
    stray = {path for path in told if not any(path.startswith(one.split("[")[0]) for one in paths)}
    assert not stray


def test_all_faults_are_told_at_once():
    message = request()
    for statement in (
        "r.nodes[2].parent = 'nobody'",
        "r.sites.nodes[3] = 9",
        "r.sites.columns.pv_kw.values.values[5] = nan",
        "r.sites.shared_rows[0].rows[2] = 6",
        "r.mixed_sites[0].node = 4",
        "r.options.relative_gap = -1",
    ):
        change(statement)(message)
    assert set(paths_of(message)) == {
        "nodes[2].parent",
        "sites.nodes[3]",
        "sites.columns.pv_kw[1,1]",
        "sites.shared_rows[0].rows[2]",
        "mixed_sites[0].node",
        "options.relative_gap",
    }


def test_a_fault_of_a_shared_row_is_told_at_the_row_with_a_site_that_has_it():
    message = request()
    message.sites.shared_rows[0].rows[:] = [0, 1, 1, 1, 1, 1]
    message.sites.columns.load_kw.values.values[6] = -2.0
    assert "site 1" in paths_of(message)["sites.columns.load_kw[1,2]"]


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        (Limits(fleet_sites=SITES), "sites.columns.site_count"),
        (Limits(fleet_points=SITES * INTERVALS - 1), "mixed_sites"),
        (Limits(points=95), "nodes"),
        (Limits(intervals=3), "grid.count"),
    ],
)
def test_what_is_too_large_is_refused(limits, path):
    with pytest.raises(Refusal) as caught:
        parse(request(), limits, roots=Roots({}))
    assert caught.value.code is LARGE
    assert [violation.path for violation in caught.value.violations] == [path]


@pytest.fixture(scope="module")
def aggregator(new_url, tmp_path_factory) -> Iterator[Aggregator]:
    folder = tmp_path_factory.mktemp("meters")
    lines = ["user," + ",".join("abcd")]
    load = homes(SITES, INTERVALS, 1).sites.load_kw
    # In another order than the sites, and one more.
    lines += [f"home {n}," + ",".join(map(repr, load[n].tolist())) for n in (3, 1, 5, 0, 2, 4)]
    lines.append("somebody,1,2,3,4")
    (folder / "loads.csv").write_text("\n".join(lines))
    (folder / "negative.csv").write_text("\n".join([*lines[:1], "home 0,1,-2,3,4"]))
    with planning_fleets(new_url("sqlite"), data_roots={"meters": str(folder)}) as found:
        yield found


def files(path: str) -> common_data_sets_pb2.DataSet:
    layout = common_data_sets_pb2.DATA_SET_LAYOUT_WIDE_COLUMNS
    return common_data_sets_pb2.DataSet(root="meters", path=path, layout=layout)


def of_files(path: str) -> pb.PlanFleetRequest:
    message = request()
    del message.sites.shared_rows[:], message.mixed_sites[:]
    message.sites.columns.ClearField("load_kw")
    message.sites.load_data_set.CopyFrom(files(path))
    return message


def test_loads_of_files_are_those_of_the_message(aggregator):
    _, found = aggregator.planned(of_files("loads.csv"))
    message = request()
    del message.mixed_sites[:]
    _, own = aggregator.planned(message)
    assert found.certificate == own.certificate
    assert found.certificate.objective != 0.0


def test_faults_of_files_are_told_with_their_paths(aggregator, failure, told):
    missing = failure(lambda: aggregator.stub.PlanFleet(of_files("nothing.csv")))
    assert set(missing.paths) == {"sites.load_data_set.path"}
    ended = aggregator.ended(aggregator.stub.PlanFleet(of_files("negative.csv")))
    assert ended.error.code == BAD.value[0]
    lacking = told(ended.error).paths
    assert lacking["sites.names[1]"] == "'home 1' is no user of load_data_set"
    assert len(lacking) == SITES - 1
    message = of_files("negative.csv")
    del message.sites.names[1:], message.sites.nodes[1:]
    columns = message.sites.columns
    columns.site_count = 1
    for field, value in columns.ListFields():
        if field.message_type and value.rows == SITES:
            values = from_series(value.values)[: value.cols]
            value.CopyFrom(type(value)(rows=1, cols=value.cols, values=to_series(values)))
    ended = aggregator.ended(aggregator.stub.PlanFleet(message))
    assert "'home 0' in interval 1 is -2" in told(ended.error).paths["sites.load_data_set"]


def test_files_need_names_and_no_such_columns(aggregator, failure):
    message = of_files("loads.csv")
    del message.sites.names[:]
    message.sites.columns.load_kw.CopyFrom(message.sites.columns.pv_kw)
    found = failure(lambda: aggregator.stub.PlanFleet(message))
    assert set(found.paths) == {"sites.names", "sites.load_data_set"}


def test_a_site_alone_needs_no_columns(aggregator):
    message = request()
    message.ClearField("sites")
    name, plan = aggregator.planned(message)
    assert plan.site_count == 1
    (page,) = aggregator.pages(name)
    (park,) = page.mixed_sites
    assert isinstance(park.schedule, dispatch_sites_pb2.Schedule)
    assert park.name == "car park"
