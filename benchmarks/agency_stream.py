"""Aggregates the curves of one Parquet file, or reads them only, and says what that took.

In a process of its own: python -m benchmarks.agency_stream sum|read FILE list|columns THREADS
"""

import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from math import nan
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.agency_curves import HORIZON, WINDOWS, drawn
from loadloom.engine.datasets.data_set import DataSet, Layout
from loadloom.engine.datasets.read import open_parts
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.run.memory import keep_freed
from loadloom.models.agency.aggregate import Aggregate, aggregate
from loadloom.models.agency.curves import in_memory
from loadloom.models.crew import in_threads

LAYOUTS = {"list": Layout.WIDE_LIST, "columns": Layout.WIDE_COLUMNS}

BATCH_ROWS, PIECE_BYTES = {"list": 4_096, "columns": 65_536}, 1 << 20
"""What pyarrow is fastest with: lists that stay in the cache, and whole row groups of columns."""


def streamed(path: Path, layout: Layout, threads: int) -> Aggregate:
    """The aggregate of a file, row groups in threads, names left out."""
    asked = DataSet(root="here", path=path.name, layout=layout)
    roots = Roots({"here": str(path.parent)})
    parts = open_parts(asked, roots, HORIZON, with_names=False)
    run = in_threads(threads)
    return aggregate(parts, HORIZON, windows=WINDOWS, run=run, local=run)


def decoded(path: Path, layout: str, threads: int) -> int:
    """The rows that pyarrow alone reads and decodes, row groups in threads, names left out.

    In the fastest way of those tried: batches from 2,048 rows to whole row groups, each column read
    at once or piece by piece, threads of ours or of pyarrow. The footer is read once.
    """
    footer = pq.read_metadata(path)
    names = [name for name in footer.schema.to_arrow_schema().names if name != "user"]

    def decode(group: int) -> int:
        file = pq.ParquetFile(path, metadata=footer, buffer_size=PIECE_BYTES)
        batches = file.iter_batches(BATCH_ROWS[layout], [group], names, use_threads=False)
        return sum(batch.num_rows for batch in batches)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(decode, range(footer.num_row_groups)))


def main(words: list[str]) -> None:
    """Says seconds, users, energy in kWh and the most memory that the process had, in MiB."""
    what, path, layout, threads = words[0], Path(words[1]), words[2], int(words[3])
    keep_freed()
    aggregate(
        in_memory(drawn(9)), HORIZON, windows=WINDOWS
    )  # the kernels are loaded, as in servers
    begun = time.perf_counter()
    users, energy_kwh = 0, 0.0
    if what == "read":
        users = decoded(path, layout, threads)
    else:
        found = streamed(path, LAYOUTS[layout], threads)
        users, energy_kwh = found.user_count, found.energy_kwh
    seconds = time.perf_counter() - begun
    print(seconds, users, energy_kwh, _peak_mib())


def _peak_mib() -> float:
    """The most memory that this process had; that of getrusage begins with what its parent had."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return float(found[1]) / 1024 if found else nan


if __name__ == "__main__":
    main(sys.argv[1:])
