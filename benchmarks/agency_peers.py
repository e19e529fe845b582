"""What others make of the same curves: totals, and each user's energy, peak, load then, and effect.

Each answers with the totals and four columns of users: energy, own peak, load at the peak, and the
peak without the user. That peak is sought among the four slots with the largest totals, which is
right for households and saves the others the other ninety-two; ours looks until it is sure.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.agency_curves import HORIZON, NAMES, Loads
from loadloom.models.agency.aggregate import aggregate
from loadloom.models.agency.curves import in_memory
from loadloom.models.crew import in_threads

HOURS = float(HORIZON.step_h[0])


@dataclass(frozen=True, slots=True)
class Found:
    """The totals (T,), and columns of users."""

    total_kw: NDArray[np.float64]
    energy_kwh: NDArray[np.floating]
    coincident_kw: NDArray[np.floating]
    peak_without_kw: NDArray[np.floating]


Peer = Callable[[], Found]


def ours(load: Loads, threads: int) -> Peer:
    """Loadloom's aggregate."""
    parts, run = in_memory(load), in_threads(threads)

    def found() -> Found:
        its = aggregate(parts, HORIZON, run=run, local=run)
        users = its.users
        return Found(its.total_kw, users.energy_kwh, users.coincident_kw, users.peak_without_kw)

    return found


def _four(total_kw: NDArray[np.float64]) -> list[int]:
    """The slots with the largest totals, largest first."""
    return np.argsort(-total_kw)[:4].tolist()


def numpy_peer(load: Loads) -> Peer:
    """NumPy, told to sum in float64."""

    def found() -> Found:
        total_kw = load.sum(axis=0, dtype=np.float64)
        energy_kwh = load.sum(axis=1, dtype=np.float64) * HOURS
        load.max(axis=1)
        four = _four(total_kw)
        without = (total_kw[four] - load[:, four]).max(axis=1)
        return Found(total_kw, energy_kwh, load[:, four[0]], without)

    return found


def pandas_peer(load: Loads) -> Peer:
    """pandas, a column a slot."""
    import pandas as pd

    frame = pd.DataFrame(load, columns=NAMES, copy=False)

    def found() -> Found:
        total_kw = frame.astype(np.float64).sum(axis=0)
        energy_kwh = frame.sum(axis=1).to_numpy(np.float64) * HOURS
        frame.max(axis=1)
        four = [NAMES[t] for t in _four(total_kw.to_numpy())]
        without = (total_kw[four] - frame[four]).max(axis=1)
        return Found(total_kw.to_numpy(), energy_kwh, frame[four[0]].to_numpy(), without.to_numpy())

    return found


def polars_peer(load: Loads) -> Peer:
    """Polars, a column a slot."""
    import polars as pl  # pyright: ignore[reportMissingImports] -- of the peers' environment

    frame = pl.DataFrame({name: load[:, t] for t, name in enumerate(NAMES)})

    def found() -> Found:
        total_kw = frame.select(pl.all().cast(pl.Float64).sum()).to_numpy()[0]
        four = _four(total_kw)
        users = frame.select(
            (pl.sum_horizontal(pl.all().cast(pl.Float64)) * HOURS).alias("energy"),
            pl.max_horizontal(pl.all()).alias("peak"),
            pl.col(NAMES[four[0]]).alias("then"),
            pl.max_horizontal(
                [pl.lit(total_kw[t]) - pl.col(NAMES[t]).cast(pl.Float64) for t in four]
            ).alias("without"),
        )
        columns = (users[name].to_numpy() for name in ("energy", "then", "without"))
        return Found(total_kw, *columns)

    return found


def duckdb_peer(load: Loads) -> Peer:
    """DuckDB, a column a slot, its answer as Arrow."""
    import duckdb  # pyright: ignore[reportMissingImports] -- of the peers' environment
    import pyarrow as pa

    table = pa.table({name: np.ascontiguousarray(load[:, t]) for t, name in enumerate(NAMES)})
    connection = duckdb.connect()
    connection.register("loads", table)

    def found() -> Found:
        sums = ", ".join(f"sum({name}::DOUBLE)" for name in NAMES)
        (row,) = connection.sql(f"SELECT {sums} FROM loads").fetchall()
        total_kw = np.array(row, np.float64)
        four = _four(total_kw)
        energy = " + ".join(f"{name}::DOUBLE" for name in NAMES)
        without = ", ".join(f"{float(total_kw[t])!r} - {NAMES[t]}::DOUBLE" for t in four)
        query = (
            f"SELECT ({energy}) * {HOURS} AS energy, greatest({', '.join(NAMES)}) AS peak, "
            f"{NAMES[four[0]]} AS then_, greatest({without}) AS without FROM loads"
        )
        users = connection.sql(query).to_arrow_table()
        columns = (users[name].to_numpy() for name in ("energy", "then_", "without"))
        return Found(total_kw, *columns)

    return found
