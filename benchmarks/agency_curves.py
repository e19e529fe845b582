"""Curves to aggregate: drawn users in memory, and the same in Parquet files."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit
from numpy.typing import NDArray

from loadloom.models.agency.windows import TimeWindows
from loadloom.models.horizon import Horizon

SLOTS = 96
BLOCK = 50_000
"""Users that are drawn at a time, and the rows of a row group."""

HORIZON = Horizon(start=datetime(2026, 12, 1, tzinfo=UTC), step_h=np.full(SLOTS, 0.25))
WINDOWS = TimeWindows.daily(
    HORIZON, [("peak", 480, 720), ("peak", 1020, 1320), ("valley", 1380, 420)], rest="flat"
)

Loads = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layouts:
    """The same curves in two files: a column of lists, and a column a slot."""

    lists: Path
    columns: Path


def drawn(users: int) -> Loads:
    """Day curves of households, (users, SLOTS): an evening peak, a morning one, and noise."""
    load = np.empty((users, SLOTS), np.float32)
    hour = np.arange(SLOTS) / 4.0
    rng = np.random.default_rng(7)
    evening = 1.4 * np.exp(-0.5 * ((hour - 19.2) / 2.0) ** 2)
    shape = 0.25 + evening + 0.6 * np.exp(-0.5 * ((hour - 7.6) / 1.3) ** 2)
    for first in range(0, users, BLOCK):
        some = load[first : first + BLOCK]
        rng.random(dtype=np.float32, out=some)
        some += 0.3
        some *= shape.astype(np.float32)
        some *= rng.lognormal(0.0, 0.5, (len(some), 1)).astype(np.float32)
    return load


def written(load: Loads, folder: Path) -> Layouts:
    """The files of curves, as pyarrow writes them when it is told nothing but the row groups."""
    found = Layouts(lists=folder / "lists.parquet", columns=folder / "columns.parquet")
    names = [f"t{t:02d}" for t in range(SLOTS)]
    for path in (found.lists, found.columns):
        writer = None
        for first in range(0, len(load), BLOCK):
            some = load[first : first + BLOCK]
            user = pa.array([f"user {first + i:08d}" for i in range(len(some))])
            if path == found.lists:
                flat = pa.array(some.reshape(-1))
                ends = pa.array(np.arange(len(some) + 1, dtype=np.int32) * SLOTS)
                table = pa.table([user, pa.ListArray.from_arrays(ends, flat)], ["user", "load_kw"])
            else:
                columns = [pa.array(some[:, t]) for t in range(SLOTS)]
                table = pa.table([user, *columns], ["user", *names])
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()
    return found


@njit(nogil=True, cache=True, error_model="numpy")
def plainly_read(words: NDArray[np.int64]) -> int:
    """All words (n, m) put together by exclusive or: nothing but a read."""
    found = np.int64(0)
    for i in range(words.shape[0]):
        for k in range(words.shape[1]):
            found ^= words[i, k]
    return int(found)
