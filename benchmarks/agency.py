"""Ten million load curves added up: against the speed of memory, of Parquet, and of others."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import psutil

from benchmarks import agency_peers as peers
from benchmarks.agency_curves import (
    HORIZON,
    SLOTS,
    WINDOWS,
    Loads,
    drawn,
    plainly_read,
    written,
)
from benchmarks.agency_stream import LAYOUTS
from benchmarks.registry import FULL, Bar, BenchSpec, Effort, Findings, Table
from benchmarks.report import number
from loadloom.models.agency.aggregate import aggregate
from loadloom.models.agency.curves import in_memory
from loadloom.models.crew import in_threads

USERS, FEW = 10_000_000, 100_000
"""The users of a full run, and of a quick one."""

ROOM, PEER_ROOM = 3.2, 4.5
"""The memory that must be free, as a multiple of the curves: 12.3 GB for ten million, and 17.3 GB
where others copy them too."""

ROUNDS, PEER_ROUNDS = 5, 2


class Wrong(RuntimeError):  # noqa: N818 -- it names the state of an answer
    """An answer is not that of the others, so nothing is timed."""


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _users(effort: Effort, room: float = ROOM) -> int:
    """The users of a run: fewer than are asked for where memory does not hold what peers make."""
    if effort.budget_s < FULL.budget_s:
        return FEW
    held = int(psutil.virtual_memory().available / (room * 4 * SLOTS))
    return min(USERS, held // FEW * FEW)


def _in_turns(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each; they run in turns, once more beforehand."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, run in contenders.items():
            begun = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - begun)
    return {name: median(taken) for name, taken in times.items()}


def _reading(load: Loads, threads: int) -> Callable[[], object]:
    """A plain read of all bytes, in pieces shared by threads."""
    words = load.view(np.int64)
    pieces = np.array_split(words, max(8, threads * 8))

    def read() -> object:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(plainly_read, pieces))

    return read


def _adding(load: Loads, threads: int) -> Callable[[], object]:
    parts, run = in_memory(load), map if threads == 1 else in_threads(threads)
    return lambda: aggregate(parts, HORIZON, windows=WINDOWS, run=run, local=run)


def in_memory_curves(effort: Effort) -> Findings:
    """Adding up curves is work for memory, so a read of the same bytes is what it is held to.

    Totals are exact; in the same run each user's energy in three windows, own peak, load at the
    peak, and the peak of all others, of which load factors are made when they are asked for. Both
    run in the same threads.
    """
    load, threads = drawn(_users(effort)), _cores()
    contenders: dict[str, Callable[[], object]] = {}
    for count in sorted({1, threads}):
        contenders[f"plain read, {count} threads"] = _reading(load, count)
        contenders[f"Loadloom, {count} threads"] = _adding(load, count)
    contenders["numpy.sum of all"] = lambda: load.sum()
    seconds = _in_turns(contenders, min(ROUNDS, effort.rounds))
    rows = [
        (name, number(1e3 * taken), number(load.nbytes / taken / 1e9))
        for name, taken in seconds.items()
    ]
    ratio = seconds[f"Loadloom, {threads} threads"] / seconds[f"plain read, {threads} threads"]
    what = f"{len(load):,} x {SLOTS} in memory, {threads} threads: times a plain read"
    title = f"{len(load):,} users x {SLOTS} slots of float32, in memory"
    headings = ("what", "ms", "GB/s")
    return Findings(
        tables=(Table(title=title, headings=headings, rows=tuple(rows)),),
        bars=(Bar(what=what, measured=ratio, limit=3.0),),
    )


def _of_file(what: str, path: Path, layout: str, threads: int) -> tuple[float, float, float]:
    """Seconds, energy in kWh and MiB at most, of a process that aggregates a file, or reads it."""
    command = ["benchmarks.agency_stream", what, str(path), layout, str(threads)]
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=True
    )
    seconds, _, energy_kwh, peak_mib = map(float, done.stdout.split())
    return seconds, energy_kwh, peak_mib


def from_files(effort: Effort) -> Findings:
    """Meters' data lie in files, larger than memory; reading them is what cannot be avoided.

    pyarrow reads and decodes the row groups in as many threads, in the batches that are fastest,
    keeps nothing, and finds the pages in the system's cache as we do. Both in processes of their
    own, the names left out by both.
    """
    users, threads = _users(effort), _cores()
    rows, bars = [], []
    with TemporaryDirectory() as folder:
        files = written(users, Path(folder))
        for layout, path in (("list", files.lists), ("columns", files.columns)):
            runs: dict[str, list[tuple[float, float, float]]] = {"read": [], "sum": []}
            for _ in range(min(ROUNDS, effort.rounds)):
                for what, its in runs.items():
                    its.append(_of_file(what, path, layout, threads))
                if abs(runs["sum"][-1][1] / files.energy_kwh - 1.0) > 1e-9:
                    raise Wrong(f"{runs['sum'][-1][1]} kWh, of {files.energy_kwh} in the files")
            read_s = median(run[0] for run in runs["read"])
            ours_s = median(run[0] for run in runs["sum"])
            peak_mib = max(run[2] for run in runs["sum"])
            rows.append((layout, "pyarrow alone", number(read_s), ""))
            rows.append((layout, "Loadloom", number(ours_s), number(peak_mib, 4)))
            what = f"{users:,} x {SLOTS} from Parquet, {LAYOUTS[layout].value}"
            bars.append(
                Bar(
                    what=f"{what}: times reading and decoding",
                    measured=ours_s / read_s,
                    limit=1.5,
                )
            )
            bars.append(Bar(what=f"{what}: memory", measured=peak_mib, limit=2048.0, unit="MiB"))
    size = 4 * users * SLOTS
    title = f"{users:,} users x {SLOTS} slots, {size / 1e9:.2f} GB, {threads} threads"
    headings = ("layout", "what", "seconds", "MiB at most")
    return Findings(
        tables=(Table(title=title, headings=headings, rows=tuple(rows)),), bars=tuple(bars)
    )


def among_peers(effort: Effort) -> Findings:
    """Data frames and databases add up columns too, and are what an agent would reach for first.

    All answer the same: totals in float64, each user's energy, own peak, load at the peak and the
    peak without it. Their tables are made before the clock starts, one peer after the other, since
    memory does not hold all of them. A plain read of the same bytes is beside them.
    """
    load, threads = drawn(_users(effort, PEER_ROOM)), _cores()
    users = len(load)
    makers: dict[str, Callable[[Loads], peers.Peer]] = {
        "Loadloom": lambda load: peers.ours(load, threads),
        "NumPy": peers.numpy_peer,
        "pandas": peers.pandas_peer,
        "Polars": peers.polars_peer,
        "DuckDB": peers.duckdb_peer,
    }
    due = peers.ours(load, threads)()
    seconds = _in_turns({"plain read": _reading(load, threads)}, min(ROUNDS, effort.rounds))
    for name, make in makers.items():
        seconds[name] = _of_peer(name, make(load), due, min(PEER_ROUNDS, effort.rounds))
    rows = [
        (name, number(1e3 * taken), number(taken / seconds["Loadloom"]))
        for name, taken in seconds.items()
    ]
    bars = [
        Bar(
            what=f"{users:,} x {SLOTS}: times faster than {name}",
            measured=taken / seconds["Loadloom"],
            limit=1.0,
            at_least=True,
        )
        for name, taken in seconds.items()
        if name not in ("Loadloom", "plain read")
    ]
    table = Table(
        title=f"{users:,} users x {SLOTS} slots, the same answers, {threads} cores",
        headings=("who", "ms", "times ours"),
        rows=tuple(rows),
    )
    return Findings(tables=(table,), bars=tuple(bars))


def _of_peer(name: str, run: peers.Peer, due: peers.Found, rounds: int) -> float:
    """The median seconds of a peer whose first answer is what is due."""
    found = run()
    for column in ("total_kw", "energy_kwh", "coincident_kw", "peak_without_kw"):
        if not np.allclose(getattr(found, column), getattr(due, column), rtol=1e-6, atol=1e-6):
            raise Wrong(f"{name} has another {column}")
    del found
    return _in_turns({name: run}, rounds)[name]


SPECS = (
    BenchSpec(
        name="agency-aggregate",
        question="How much more than reading them does it take to add up ten million curves?",
        bar="10 million x 96 float32 in memory: at most 3 times a plain read in as many threads",
        run=in_memory_curves,
    ),
    BenchSpec(
        name="agency-parquet",
        question="And from files that do not fit into memory?",
        bar="at most 1.5 times reading and decoding with pyarrow alone, in at most 2 GiB",
        run=from_files,
    ),
    BenchSpec(
        name="agency-frames",
        question="What do data frames and databases take for the same answers?",
        bar="faster than each of NumPy, pandas, Polars and DuckDB",
        run=among_peers,
    ),
)
