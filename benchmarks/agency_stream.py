"""Aggregates the curves of one Parquet file, or reads them only, and says what that took.

In a process of its own: python -m benchmarks.agency_stream sum|read FILE list|columns THREADS
"""

import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.agency_curves import HORIZON, WINDOWS, drawn
from loadloom.engine.datasets.data_set import DataSet, Layout
from loadloom.engine.datasets.read import open_parts
from loadloom.engine.datasets.roots import Roots
from loadloom.engine.run.memory import keep_freed
from loadloom.models.agency.aggregate import Aggregate, aggregate
from loadloom.models.agency.curves import in_memory, in_threads

LAYOUTS = {"list": Layout.WIDE_LIST, "columns": Layout.WIDE_COLUMNS}


def streamed(path: Path, layout: Layout, threads: int) -> Aggregate:
    """The aggregate of a file, row groups in threads, names left out."""
    asked = DataSet(root="here", path=path.name, layout=layout)
    roots = Roots({"here": str(path.parent)})
    parts = open_parts(asked, roots, HORIZON, with_names=False)
    run = in_threads(threads)
    return aggregate(parts, HORIZON, windows=WINDOWS, run=run, local=run)


def decoded(path: Path, threads: int) -> int:
    """The rows that pyarrow alone reads and decodes, row groups in threads, names left out."""
    names = [name for name in pq.read_schema(path).names if name != "user"]

    def decode(group: int) -> int:
        file = pq.ParquetFile(path)
        return file.read_row_group(group, columns=names, use_threads=False).num_rows

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(decode, range(pq.ParquetFile(path).num_row_groups)))


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
        users = decoded(path, threads)
    else:
        found = streamed(path, LAYOUTS[layout], threads)
        users, energy_kwh = found.user_count, found.energy_kwh
    seconds = time.perf_counter() - begun
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(seconds, users, energy_kwh, peak_mib)


if __name__ == "__main__":
    main(sys.argv[1:])
