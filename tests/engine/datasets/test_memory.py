"""Data sets larger than the memory that reading them takes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SLOTS, GROUP, GROUPS = 960, 2_000, 25
STREAMER = Path(__file__).with_name("streamer.py")


def streamed(folder, path, layout):
    command = [sys.executable, str(STREAMER), str(folder), path, layout, str(SLOTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    users, energy_kwh, grown_mib = map(float, done.stdout.split())
    return int(users), energy_kwh, grown_mib


def test_curves_are_streamed_in_less_memory_than_they_have(tmp_path):
    rng = np.random.default_rng(6)
    ends = pa.array(np.arange(GROUP + 1, dtype=np.int32) * SLOTS)
    schema = pa.schema([("user", pa.string()), ("load_kw", pa.list_(pa.float32()))])
    total = 0.0
    with pq.ParquetWriter(tmp_path / "a.parquet", schema) as writer:
        for k in range(GROUPS):
            load = rng.random(GROUP * SLOTS, dtype=np.float32)
            lists = pa.ListArray.from_arrays(ends, pa.array(load))
            names = [f"user {k * GROUP + i}" for i in range(GROUP)]
            writer.write_table(pa.table([names, lists], schema=schema))
            total += load.sum(dtype=np.float64)
    users, energy_kwh, grown_mib = streamed(tmp_path, "a.parquet", "WIDE_LIST")
    assert users == GROUP * GROUPS
    assert energy_kwh == pytest.approx(total * 0.25)
    data_mib = GROUP * GROUPS * SLOTS * 4 / 2**20
    assert data_mib > 180.0
    assert grown_mib < 0.6 * data_mib


@pytest.mark.slow
def test_long_readings_are_spread_out_in_less_memory_than_they_have(tmp_path):
    users, batch = 12_000, 600
    start = np.datetime64("2026-12-01T00:00", "us")
    times = start + np.arange(SLOTS) * np.timedelta64(15, "m")
    with pq.ParquetWriter(
        tmp_path / "a.parquet",
        pa.schema([("user", pa.string()), ("time", pa.timestamp("us")), ("load_kw", pa.float64())]),
    ) as writer:
        for first in range(0, users, batch):
            names = np.repeat(
                [f"a user with a longer name {first + i}" for i in range(batch)], SLOTS
            )
            writer.write_table(
                pa.table(
                    [names, np.tile(times, batch), np.ones(batch * SLOTS)], schema=writer.schema
                ),
                row_group_size=200_000,
            )
    count, energy_kwh, grown_mib = streamed(tmp_path, "a.parquet", "LONG")
    assert (count, energy_kwh) == (users, users * SLOTS * 0.25)
    assert grown_mib < 900.0 < users * SLOTS * (31 + 8 + 8 + 4) / 2**20 * 2
