"""Aggregates the curves of one Parquet file and says what that took; in a process of its own.

python -m benchmarks.agency_stream FILE list|columns THREADS
"""

import resource
import sys
import time
from pathlib import Path

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


def main(words: list[str]) -> None:
    """Says seconds, users, energy in kWh and the most memory that the process had, in MiB."""
    keep_freed()
    aggregate(
        in_memory(drawn(9)), HORIZON, windows=WINDOWS
    )  # the kernels are loaded, as in servers
    begun = time.perf_counter()
    found = streamed(Path(words[0]), LAYOUTS[words[1]], int(words[2]))
    seconds = time.perf_counter() - begun
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(seconds, found.user_count, found.energy_kwh, peak_mib)


if __name__ == "__main__":
    main(sys.argv[1:])
