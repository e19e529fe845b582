"""Batches of like sites in columns, and the plans of them.

A column is a number that holds for all sites and intervals, or an array: with two dimensions a row
for each site (or one for all) and a column for each interval (or one for all); with one dimension
a value for each site where the API says "per site", else one for each interval. The names are
those of the API's SiteBatch, such as `load_kw`, `energy_max_kwh`, `initial_energy_kwh`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from loadloom.client.errors import LoadloomError
from loadloom.client.grid import Grid
from loadloom.client.plan import Outcome, Provenance
from loadloom.client.request import Reading, compare_times, index_of
from loadloom.v1.dispatch_pb2 import StreamReady
from loadloom.wire.columns import PLAN_MATRICES, SITE_MATRICES, Plans

if TYPE_CHECKING:
    import pandas as pd

SITES_PER_MESSAGE = 1000
"""The sites in a message when one large set is split: large enough that messages cost little."""

PER_SITE = frozenset(
    {
        "pv_curtailable",
        "initial_energy_kwh",
        "charge_efficiency",
        "discharge_efficiency",
        "self_discharge_per_h",
        "wear_cost_per_kwh",
        "end_value_per_kwh",
        "end_energy_min_kwh",
        "end_energy_max_kwh",
    }
)
"""The columns with one value a site."""

SiteColumns = Mapping[str, ArrayLike]
Matrices = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BatchPlans:
    """The plans of one batch, or the fault in it.

    Attributes:
        key: the name of the batch.
        position: its place in the order of sending, from 0.
        error: the fault, if there is one; then there are no columns.
        columns: by name, one value a site ("reasons", "objective", "bound", "bought_cost", ...) and
            rows of intervals ("charge_kw", "import_kw", ...); NaN for sites without a plan.
        solve_time_s: the time the server took to solve.
        provenance: the origin of the plans, where it was asked for.
    """

    key: str
    position: int
    error: LoadloomError | None
    columns: dict[str, NDArray[Any]]
    solve_time_s: float
    provenance: Provenance | None = None

    def __repr__(self) -> str:
        """The batch in a line: its key, and how its solves ended or what was wrong."""
        told = f"error {self.error}" if self.error else _outcome_counts(self.columns)
        return f"<BatchPlans {self.key!r}: {told}>"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GatheredPlans:
    """The plans of all sites, in the order in which the sites were sent."""

    grid: Grid
    columns: dict[str, NDArray[Any]]

    def __repr__(self) -> str:
        """The fleet in a line: how the solves ended, and when it is for."""
        span = f"{self.grid.count} intervals from {self.grid.start.isoformat()}"
        return f"<GatheredPlans: {_outcome_counts(self.columns)}; {span}>"

    @property
    def outcomes(self) -> list[Outcome]:
        """The way each solve ended."""
        return [Outcome.of(number) for number in self.columns["reasons"].tolist()]

    @property
    def summary(self) -> "pd.DataFrame":
        """The outcome, costs, bound and baseline of each site, one row a site."""
        import pandas as pd

        per_site = {name: values for name, values in self.columns.items() if values.ndim == 1}
        frame = pd.DataFrame(per_site).drop(columns="reasons")
        frame.insert(0, "outcome", [outcome.value for outcome in self.outcomes])
        frame["saving"] = frame["baseline_cost"] - frame["objective"]
        return frame

    def schedule(self, site: int) -> "pd.DataFrame":
        """The schedule of a site, by the local time at which each interval starts."""
        import pandas as pd

        profiles = {name: values for name, values in self.columns.items() if values.ndim == 2}
        rows = {name: values[site] for name, values in profiles.items()}
        return pd.DataFrame(rows, index=self.grid.index)


def gather(plans: Iterable[BatchPlans], grid: Grid) -> GatheredPlans:
    """The plans of all batches as one set of columns, in the order of sending.

    Raises:
        LoadloomError: what was wrong with the first batch that has a fault.
    """
    batches = sorted(plans, key=lambda batch: batch.position)
    for batch in batches:
        if batch.error is not None:
            batch.error.add_note(f"in batch {batch.key!r}")
            raise batch.error
    names = batches[0].columns if batches else {}
    columns = {name: np.concatenate([b.columns[name] for b in batches]) for name in names}
    return GatheredPlans(grid=grid, columns=columns)


def matrices(columns: SiteColumns, grid: Grid, path: str) -> tuple[Matrices, int]:
    """The columns with two dimensions each, and the number of sites they are for.

    Raises:
        InvalidRequest: a column has a name, a shape or times that do not fit.
    """
    reading = Reading(grid)
    shaped = {name: _matrix(name, values, path, reading) for name, values in columns.items()}
    site_count = max((array.shape[0] for array in shaped.values()), default=0)
    for name, array in shaped.items():
        rows, width = array.shape
        wide = 1 if name in PER_SITE else grid.count
        if rows not in {1, site_count} or width not in {1, wide}:
            need = f"{site_count} sites or 1, and {wide} values each or 1"
            told = f"is {rows} x {width}; must be for {need}"
            reading.fault(f"{path}.{name}", told + _shape_hint(name, columns[name]))
    if not site_count:
        reading.fault(path, "has no sites")
    reading.finish()
    return shaped, site_count


def _shape_hint(name: str, values: ArrayLike) -> str:
    """How to say that a row of numbers is one for each site."""
    if name in PER_SITE or np.ndim(values) != 1:
        return ""
    return (
        "; a row is taken for one value an interval: if it is one value a site, "
        f"make it a column of shape ({len(np.asarray(values))}, 1) by array[:, np.newaxis]"
    )


def site_names(columns: SiteColumns) -> "pd.Index | None":
    """The names of the sites, if a column of pandas with a row for each site has names for them."""
    for name, values in columns.items():
        index = index_of(values)
        rows = name in PER_SITE or np.ndim(values) == 2
        if index is not None and rows and len(index) > 1 and type(index).__name__ != "RangeIndex":
            return index
    return None


def split(shaped: Matrices, site_count: int, size: int) -> Iterator[tuple[str, Matrices, int]]:
    """Batches of at most `size` sites each, named by their first site."""
    for first in range(0, site_count, size):
        last = min(first + size, site_count)
        yield (
            str(first),
            {n: a if a.shape[0] == 1 else a[first:last] for n, a in shaped.items()},
            last - first,
        )


def batch_size(shaped: Matrices, count: int, column_count: int, ready: StreamReady) -> int:
    """The sites in each message, as many as pay off and the server's limits allow."""
    shared = sum(array.shape[1] for array in shaped.values() if array.shape[0] == 1)
    asked = sum(array.shape[1] for array in shaped.values() if array.shape[0] > 1)
    answered = count * (column_count or len(PLAN_MATRICES) - 1)
    room = min((ready.points - shared) // max(1, asked), ready.points // answered)
    return max(1, min(SITES_PER_MESSAGE, ready.sites_per_batch, room))


def batch_plans(plans: Plans, position: int, error: LoadloomError | None) -> BatchPlans:
    """The plans in a message of the stream."""
    columns = {"reasons": plans.reasons, **plans.series, **plans.matrices}
    return BatchPlans(
        key=plans.key,
        position=position,
        error=error,
        columns={} if error else columns | {"conflict_intervals": plans.conflict_intervals},
        solve_time_s=plans.solve_time_s,
        provenance=None if plans.provenance is None else Provenance.of(plans.provenance),
    )


def _matrix(name: str, values: ArrayLike, path: str, reading: Reading) -> NDArray[np.float64]:
    where = f"{path}.{name}"
    if name not in SITE_MATRICES:
        known = ", ".join(SITE_MATRICES)
        reading.fault(where, f"is no column of sites; must be one of {known}")
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        reading.fault(where, f"is not made of numbers: {error}")
        return np.zeros((1, 1))
    _compare_times(name, values, where, reading)
    if array.ndim < 2:
        return array.reshape(-1, 1) if name in PER_SITE else array.reshape(1, -1)
    if array.ndim > 2:
        reading.fault(where, f"has {array.ndim} dimensions; must have at most 2")
        return np.zeros((1, 1))
    return array


def _compare_times(name: str, values: ArrayLike, path: str, reading: Reading) -> None:
    """Notes something of pandas whose times are not those of the grid, or stand the wrong way."""
    rows = index_of(values)
    if rows is None or name in PER_SITE:
        return
    columns = getattr(values, "columns", None)
    times = rows if columns is None else columns
    if type(times).__name__ == "DatetimeIndex":
        compare_times(times, path, reading)
    elif type(rows).__name__ == "DatetimeIndex":
        reading.fault(path, "has its times in rows; must have a row for each site: frame.T")


def _outcome_counts(columns: dict[str, NDArray[Any]]) -> str:
    reasons = columns.get("reasons", np.zeros(0, np.int32))
    numbers, counts = np.unique(reasons, return_counts=True)
    pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
    ends = ", ".join(f"{count:,} {Outcome.of(number)}" for number, count in pairs)
    return f"{reasons.size:,} sites ({ends})" if ends else "no sites"
