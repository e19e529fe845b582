"""What the kernels are compiled for beforehand is all that sums of data sets ask of them."""

import subprocess
import sys
from textwrap import dedent

SUMS = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq
    from numba.core.dispatcher import Dispatcher

    import loadloom.engine.services.agency_kernels
    from loadloom.engine.datasets.data_set import DataSet, Layout, Unit
    from loadloom.engine.datasets.read import open_parts
    from loadloom.engine.datasets.roots import Roots
    from loadloom.engine.datasets.spool import Spool
    from loadloom.models.agency import percentiles
    from loadloom.models.agency.aggregate import aggregate
    from loadloom.models.agency.completeness import Fill, FillRule, Rules, SpikeRule
    from loadloom.models.agency.curves import all_chunks, in_memory
    from loadloom.models.crew import in_threads
    from loadloom.models.agency.solve import warm
    from loadloom.models.agency.windows import TimeWindows
    from loadloom.models.horizon import Horizon
    from loadloom.solvers.kernels import columns, curves, gaps

    folder, slots = Path(sys.argv[1]), 24
    horizon = Horizon(start=datetime(2026, 12, 1, tzinfo=UTC), step_h=np.ones(slots))
    load = np.random.default_rng(0).random((60, slots))
    for kind in (np.float32, np.float64):
        some, name = load.astype(kind), np.dtype(kind).name
        heads = {"user": [f"u{i}" for i in range(60)], "area": ["a", "b"] * 30}
        lists = pa.FixedSizeListArray.from_arrays(pa.array(some.reshape(-1)), slots)
        names = {f"t{t}": some[:, t] for t in range(slots)}
        pq.write_table(pa.table({**heads, "load_kw": lists}), folder / f"{name}.list.parquet", 25)
        pq.write_table(pa.table({**heads, **names}), folder / f"{name}.columns.parquet", 25)
        pa_csv.write_csv(pa.table({**heads, **names}), folder / f"{name}.columns.csv")

    def signatures():
        kernels = (one for module in (columns, curves, gaps) for one in vars(module).values())
        return {
            (kernel.py_func.__name__, signature)
            for kernel in kernels
            if isinstance(kernel, Dispatcher)
            for signature in kernel.signatures
        }

    warm()
    known = signatures()
    assert len(known) > 14
    bands = TimeWindows.daily(horizon, [("day", 360, 1200), ("eve", 1200, 1380)], rest="night")
    rules = Rules(
        fills=(FillRule(fill=Fill.LINEAR), FillRule(fill=Fill.AREA_PROFILE)),
        spike=SpikeRule(times=9.0),
    )
    percentiles.EXACT_VALUES = 500
    for path in sorted(folder.iterdir()):
        layout = Layout.WIDE_LIST if "list" in path.name else Layout.WIDE_COLUMNS
        for unit in (Unit.KW, Unit.W):
            for area in ("", "area"):
                asked = DataSet(
                    root="here", path=path.name, layout=layout, unit=unit, area_column=area
                )
                if not area:
                    some = tuple(f"t{t}" for t in range(slots)) * (layout is Layout.WIDE_COLUMNS)
                    asked = DataSet(
                        root="here", path=path.name, layout=layout, unit=unit, slot_columns=some
                    )
                parts = open_parts(asked, Roots({"here": str(folder)}), horizon)
                for judged in (None, rules):
                    for windows in (None, bands):
                        aggregate(
                            parts,
                            horizon,
                            windows=windows,
                            rules=judged,
                            levels=(50.0,),
                            tie_tolerance=0.1,  # many ties, so that users are gone over again
                            run=in_threads(2),
                        )
                with Spool() as spool:
                    for chunk in all_chunks(parts):
                        spool.add(chunk)
                    aggregate(spool.parts(), horizon, rules=rules)
    for kind in (np.float32, np.float64):
        aggregate(in_memory(load.astype(kind), part_rows=7), horizon, windows=bands)
    print(sorted(map(str, signatures() - known)))
"""


def test_sums_of_files_of_all_kinds_compile_nothing_after_the_warming(tmp_path):
    command = [sys.executable, "-c", dedent(SUMS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
