"""A pass on real worker processes: the same bits as in this one, and a lost worker changes none."""

import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadloom.engine.datasets.data_set import DataSet, Layout
from loadloom.engine.datasets.read import open_parts
from loadloom.engine.datasets.roots import Roots
from loadloom.models.agency.aggregate import aggregate
from loadloom.models.agency.completeness import Fill, FillRule, Rules
from loadloom.models.horizon import Horizon

distributed = pytest.importorskip("distributed")

HORIZON = Horizon(start=datetime(2026, 12, 1, tzinfo=UTC), step_h=np.full(24, 1.0))
USERS, GROUP_ROWS = 4_000, 250


@dataclass(frozen=True)
class Slow:
    """A part whose worker is killed while it reads, once: whoever comes first leaves its mark."""

    part: object
    mark: Path

    def chunks(self):
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        yield from self.part.chunks()


@pytest.fixture(scope="module")
def cluster():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as here,
        distributed.Client(here) as client,
    ):
        yield client


@pytest.fixture
def parts(tmp_path):
    rng = np.random.default_rng(3)
    load = (rng.random((USERS, 24)) * (1 + np.sin(np.arange(24) / 4))).astype(np.float32)
    load[rng.random(load.shape) < 0.01] = np.nan
    lists = pa.FixedSizeListArray.from_arrays(pa.array(load.reshape(-1)), 24)
    made = pa.table(
        {
            "user": [f"u{i}" for i in range(USERS)],
            "area": [f"area {i // 1000}" for i in range(USERS)],
            "load_kw": lists,
        }
    )
    pq.write_table(made, tmp_path / "a.parquet", row_group_size=GROUP_ROWS)
    asked = DataSet(root="meters", path="a.parquet", layout=Layout.WIDE_LIST, area_column="area")
    return open_parts(asked, Roots({"meters": str(tmp_path)}), HORIZON)


RULES = Rules(fills=(FillRule(fill=Fill.LINEAR, longest_slots=2), FillRule(fill=Fill.AREA_PROFILE)))


def same(one, other):
    assert np.array_equal(one.total_kw, other.total_kw)
    assert np.array_equal(one.group_kw, other.group_kw)
    assert one.group_names == other.group_names
    for column in ("energy_kwh", "coincident_kw", "peak_without_kw", "load_factor_without"):
        assert np.array_equal(getattr(one.users, column), getattr(other.users, column))
    assert np.array_equal(one.completeness.slot_filled, other.completeness.slot_filled)
    assert np.array_equal(one.completeness.user_left, other.completeness.user_left)


def test_workers_find_the_same_bits_though_one_is_killed_midway(cluster, parts, tmp_path):
    from loadloom.engine.run.cluster import on_cluster

    here = aggregate(parts, HORIZON, rules=RULES)
    before = {worker["pid"] for worker in cluster.run(lambda: {"pid": os.getpid()}).values()}
    run = on_cluster(cluster)
    same(aggregate(parts, HORIZON, rules=RULES, run=run), here)
    fatal = [Slow(part, tmp_path / "killed") if k == 7 else part for k, part in enumerate(parts)]
    same(aggregate(fatal, HORIZON, rules=RULES, run=run), here)
    assert (tmp_path / "killed").exists()
    cluster.wait_for_workers(2, timeout=60)
    after = {worker["pid"] for worker in cluster.run(lambda: {"pid": os.getpid()}).values()}
    assert len(before - after) == 1
