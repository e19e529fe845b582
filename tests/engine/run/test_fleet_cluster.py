"""Fleets on a Dask cluster: a real scheduler and two real workers, one of them killed midway."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from loadloom.engine.run.cluster import connected, crew_of
from loadloom.models.dispatch.fleet.plain import PlainSites
from loadloom.models.dispatch.fleet.solve import solve
from tests.models.dispatch.fleet.fleets import homes, limited, with_mixed

distributed = pytest.importorskip("distributed")

MIDWAY = 30
"""The chunks after which a worker dies; a solve takes some two hundred."""


def armed(mark: str):
    """Has this process die over a chunk midway, if no other has before."""
    whole, seen = PlainSites.respond, [0]

    def deadly(self, *asked):
        seen[0] += 1
        if seen[0] == MIDWAY:
            try:
                Path(mark).touch(exist_ok=False)
            except FileExistsError:
                return whole(self, *asked)
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, *asked)

    PlainSites.respond = deadly


def test_a_fleet_has_the_same_plan_though_a_worker_is_killed(tmp_path):
    fleet = with_mixed(homes(400, 24, 3), ("washer", "car", "both"))
    plan = solve(fleet).plan
    assert plan is not None
    fleet = limited(fleet, plan.power_kw, 0.7)
    due, mark, heard = solve(fleet), tmp_path / "killed", []
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        connected(cluster.scheduler_address) as client,
    ):
        client.run(partial(armed, str(mark)))

        def listener(*told):
            heard.append(told)
            return True

        found = solve(fleet, crew=crew_of(client), listener=listener)
    assert mark.exists()
    assert found.passes > 10
    assert len(heard) > 10
    assert found.termination == due.termination
    assert found.plan is not None
    assert due.plan is not None
    assert found.plan.columns.tobytes() == due.plan.columns.tobytes()
    assert found.import_price_per_kwh.tobytes() == due.import_price_per_kwh.tobytes()
    for one, other in zip(found.plan.schedules, due.plan.schedules, strict=True):
        assert np.array_equal(one.import_kw, other.import_kw)
        assert np.array_equal(one.export_kw, other.export_kw)
