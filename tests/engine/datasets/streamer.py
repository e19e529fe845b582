"""Aggregates a data set and says by how much that raised the most memory the process had."""

import resource
import sys
from datetime import UTC, datetime

import numpy as np

from loadloom.engine.datasets.data_set import DataSet, Layout
from loadloom.engine.datasets.read import open_parts
from loadloom.engine.datasets.roots import Roots
from loadloom.models.agency.aggregate import aggregate
from loadloom.models.agency.curves import in_memory
from loadloom.models.crew import in_threads
from loadloom.models.horizon import Horizon


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


folder, path, layout, slots = sys.argv[1:]
horizon = Horizon(start=datetime(2026, 12, 1, tzinfo=UTC), step_h=np.full(int(slots), 0.25))
for kind in (np.float32, np.float64):  # the kernels are loaded before the first look
    aggregate(in_memory(np.ones((9, int(slots)), kind)), horizon)
before = peak_mib()
asked = DataSet(root="meters", path=path, layout=Layout[layout])
parts = open_parts(asked, Roots({"meters": folder}), horizon)
found = aggregate(parts, horizon, run=in_threads(2))
print(found.user_count, found.energy_kwh, peak_mib() - before)
