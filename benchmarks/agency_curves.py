"""Curves to aggregate: drawn users in memory, and the same in Parquet files."""

from collections.abc import Iterator
from contextlib import closing
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

NAMES = [f"t{t:02d}" for t in range(SLOTS)]
"""The names of the columns of slots."""

Loads = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layouts:
    """The same curves in two files: a column of lists, and a column a slot; and their energy."""

    lists: Path
    columns: Path
    energy_kwh: float


def blocks(users: int) -> Iterator[Loads]:
    """Day curves of households, some at a time: an evening peak, a morning one, and noise."""
    hour = np.arange(SLOTS) / 4.0
    rng = np.random.default_rng(7)
    evening = 1.4 * np.exp(-0.5 * ((hour - 19.2) / 2.0) ** 2)
    shape = 0.25 + evening + 0.6 * np.exp(-0.5 * ((hour - 7.6) / 1.3) ** 2)
    for first in range(0, users, BLOCK):
        some = rng.random((min(BLOCK, users - first), SLOTS), dtype=np.float32)
        some += 0.3
        some *= shape.astype(np.float32)
        some *= rng.lognormal(0.0, 0.5, (len(some), 1)).astype(np.float32)
        yield some


def drawn(users: int) -> Loads:
    """The curves of all users, (users, SLOTS)."""
    load = np.empty((users, SLOTS), np.float32)
    for number, some in enumerate(blocks(users)):
        load[number * BLOCK : number * BLOCK + len(some)] = some
    return load


def written(users: int, folder: Path) -> Layouts:
    """The files of curves, as pyarrow writes them when it is told nothing but the row groups."""
    paths = [folder / f"{name}.parquet" for name in ("lists", "columns")]
    columns = pa.schema([("user", pa.string()), *((name, pa.float32()) for name in NAMES)])
    lists = pa.schema([("user", pa.string()), ("load_kw", pa.list_(pa.float32()))])
    first, energy_kwh = 0, 0.0
    with (
        closing(pq.ParquetWriter(paths[0], lists)) as in_lists,
        closing(pq.ParquetWriter(paths[1], columns)) as in_columns,
    ):
        for some in blocks(users):
            user = pa.array([f"user {first + i:08d}" for i in range(len(some))])
            ends = pa.array(np.arange(len(some) + 1, dtype=np.int32) * SLOTS)
            values = pa.ListArray.from_arrays(ends, pa.array(some.reshape(-1)))
            in_lists.write_table(pa.table([user, values], schema=lists))
            values = (pa.array(some[:, t]) for t in range(SLOTS))
            in_columns.write_table(pa.table([user, *values], schema=columns))
            energy_kwh += float((some.sum(axis=0, dtype=np.float64) * HORIZON.step_h).sum())
            first += len(some)
    return Layouts(lists=paths[0], columns=paths[1], energy_kwh=energy_kwh)


@njit(nogil=True, cache=True, error_model="numpy")
def plainly_read(words: NDArray[np.int64]) -> int:
    """All words (n, m) put together by exclusive or: nothing but a read."""
    found = np.int64(0)
    for i in range(words.shape[0]):
        for k in range(words.shape[1]):
            found ^= words[i, k]
    return int(found)
