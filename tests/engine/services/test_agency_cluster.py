"""Sums of data sets on a Dask cluster: a real server, a real scheduler, and two real workers."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadloom.engine.datasets.long import LongPart
from loadloom.engine.datasets.wide import WidePart
from loadloom.engine.run.cluster import NoCluster, connected
from loadloom.engine.settings import BadSettings, load
from loadloom.models.dispatch.fleet.solve import solve
from loadloom.v1 import agency_pb2 as pb
from tests.engine.services.agency_calls import grid, settling
from tests.engine.services.fleet_calls import fleet_request, planning_fleets
from tests.models.dispatch.fleet.fleets import homes, limited

distributed = pytest.importorskip("distributed")

USERS, GROUP_ROWS = 3_000, 100
NOWHERE = "tcp://127.0.0.1:9"


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as here:
        yield here


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("meters")
    rng = np.random.default_rng(5)
    load = (rng.random((USERS, 24)) * (1 + np.sin(np.arange(24) / 4))).astype(np.float32)
    table = pa.table(
        {
            "user": [f"u{i}" for i in range(USERS)],
            "area": [f"area {i // 700}" for i in range(USERS)],
            "load_kw": pa.FixedSizeListArray.from_arrays(pa.array(load.reshape(-1)), 24),
        }
    )
    pq.write_table(table, folder / "all.parquet", row_group_size=GROUP_ROWS)
    (folder / "short.csv").write_text("user,a,b\nanna,3,1\n")
    rows = [f"anna,2024-06-01T{hour:02d}:00:00Z,1.5" for hour in range(24)]
    (folder / "long.csv").write_text("\n".join(["user,time,load_kw", *rows]))
    return folder


def request(path="all.parquet", layout=pb.DATA_SET_LAYOUT_WIDE_LIST, **more):
    asked = pb.AggregateLoadsRequest(grid=grid(24))
    asked.data_set.CopyFrom(pb.DataSet(root="meters", path=path, layout=layout, **more))
    return asked


def answers(agent):
    """The road, and the sum by area, without and with the figures of users."""
    for users in (False, True):
        asked = request(area_column="area")
        asked.options.users = users
        found = agent.stub.AggregateLoads(asked, timeout=100).aggregate
        road = found.provenance.road
        found.ClearField("provenance")
        yield road, found


def armed(mark: str):
    """Has this process die as it reads its first part, if no other has before."""
    whole = WidePart.chunks

    def deadly(self):
        try:
            Path(mark).touch(exist_ok=False)
        except FileExistsError:
            return whole(self)
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    WidePart.chunks = deadly


def blind():
    """Has this process see no parts of readings, as on another machine."""

    def unseen(_):
        raise FileNotFoundError("no such file")

    LongPart.chunks = unseen


def test_a_cluster_tells_the_same_bits_though_a_worker_is_killed(cluster, new_url, root, tmp_path):
    settings = {"data_roots": {"meters": str(root)}}
    with settling(new_url("sqlite"), **settings) as agent:
        due = [found for _, found in answers(agent)]
    mark = tmp_path / "killed"
    with distributed.Client(cluster, set_as_default=False) as client:
        client.run(partial(armed, str(mark)))
    address = cluster.scheduler_address
    with settling(new_url("sqlite"), cluster=address, **settings) as agent:
        roads, found = zip(*answers(agent), strict=True)
    assert mark.exists()
    assert roads == ("sums in one pass on a cluster",) * 2
    assert list(found) == due


def test_faults_of_files_are_told_from_workers_as_from_here(cluster, new_url, root):
    address = cluster.scheduler_address
    with settling(new_url("sqlite"), cluster=address, data_roots={"meters": str(root)}) as agent:
        with pytest.raises(grpc.RpcError) as caught:
            agent.stub.AggregateLoads(request("short.csv", pb.DATA_SET_LAYOUT_WIDE_COLUMNS))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "meters/short.csv: has 2 columns of slots" in caught.value.details()


def test_readings_in_any_order_are_added_up_on_a_cluster_that_sees_their_parts(
    cluster, new_url, root, tmp_path, failure
):
    asked = request("long.csv", pb.DATA_SET_LAYOUT_LONG)
    settings = {"data_roots": {"meters": str(root)}, "cluster": cluster.scheduler_address}
    with settling(new_url("sqlite"), **settings) as agent:
        here = agent.stub.AggregateLoads(asked, timeout=60).aggregate
    with settling(new_url("sqlite"), cluster_folder=str(tmp_path), **settings) as agent:
        there = agent.stub.AggregateLoads(asked, timeout=60).aggregate
        assert not list(tmp_path.iterdir())  # they are gone with the sum
        roads = [found.provenance.road for found in (here, there)]
        assert roads == ["sums in one pass", "sums in one pass on a cluster"]
        for found in (here, there):
            found.ClearField("provenance")
        assert there == here
        with distributed.Client(cluster, set_as_default=False) as client:
            client.run(blind)
        told = failure(lambda: agent.stub.AggregateLoads(asked, timeout=60))
        assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "CLUSTER_AWAY")
        assert "do not see what lies in the folder of the setting" in told.message
        assert str(tmp_path) not in str(told)


def test_a_cluster_that_went_away_is_told_and_harms_no_other_call(new_url, root):
    with distributed.LocalCluster(
        n_workers=1, processes=False, dashboard_address=":0", scheduler_port=0, protocol="tcp"
    ) as short_lived:
        address = short_lived.scheduler_address
        server = settling(new_url("sqlite"), cluster=address, data_roots={"meters": str(root)})
        agent = server.__enter__()
    try:
        with pytest.raises(grpc.RpcError) as caught:
            agent.stub.AggregateLoads(request(), timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "no Dask scheduler can be reached" in caught.value.details()
        # Readings in any order are added up on the server's own machine.
        here = agent.stub.AggregateLoads(request("long.csv", pb.DATA_SET_LAYOUT_LONG), timeout=60)
        assert here.aggregate.provenance.road == "sums in one pass"
    finally:
        server.__exit__(None, None, None)


def test_a_server_does_not_begin_without_its_cluster(new_url):
    with (
        pytest.raises(BadSettings, match="cluster: no Dask scheduler can be reached at 'tcp://"),
        settling(new_url("sqlite"), cluster=NOWHERE),
    ):
        pass


def test_an_address_that_is_none_is_told():
    with (
        pytest.raises(NoCluster, match="can be reached at 'smoke://signals'"),
        connected("smoke://signals"),
    ):
        pass


def test_the_extra_that_lacks_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(NoCluster, match="needs the extra `cluster`"), connected(NOWHERE):
        pass


def test_the_environment_may_name_the_cluster(monkeypatch):
    monkeypatch.setenv("LOADLOOM_CLUSTER", NOWHERE)
    assert load([]).cluster == NOWHERE
    assert load(["--cluster", "tcp://other:8786"]).cluster == "tcp://other:8786"


def test_a_fleet_is_planned_by_the_cluster_as_by_this_machine(cluster, new_url):
    free = homes(300, 24, 4)
    fleet = limited(free, solve(free).plan.power_kw, 0.7)
    with planning_fleets(new_url("sqlite"), cluster=cluster.scheduler_address) as aggregator:
        _, plan = aggregator.planned(fleet_request(fleet))
    due = solve(fleet).termination
    assert (plan.certificate.objective, plan.certificate.bound) == (due.objective, due.bound)
    assert plan.unlimited_cost < plan.certificate.bound
