"""Many rows that share no item, each covered at least cost: as leaves of a tree are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from loadloom.solvers.covering.row import column_faults
from loadloom.solvers.covering.terms import Flags, Floats, States, row_unit, slack
from loadloom.solvers.kernels.covering_rows import cover_rows

_PART = 64  # the rows between which it is asked whether time is over


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Rows one after the other; row r has the items from starts[r] to starts[r + 1].

    Attributes:
        starts: from 0 to N, never falling, (R + 1,).
        mean, variance: what each item adds, (N,).
        threshold: what each row reaches, -inf if nothing, (R,).
        quantile: how many deviations its mean is above it, never negative, (R,).
        base_variance: the variance that is there without any item, (R,).
        state: FREE, TAKEN or BARRED, (N,).

    Raises:
        ValueError: names everything that is not as said.
    """

    starts: NDArray[np.int64]
    mean: Floats
    variance: Floats
    threshold: Floats
    quantile: Floats
    base_variance: Floats
    state: States

    def __post_init__(self) -> None:
        columns = {"mean": self.mean, "variance": self.variance}
        faults = column_faults(columns, self.mean.shape, self.state)
        rows, starts = self.starts.size - 1, self.starts
        if (
            rows < 0
            or starts[0] != 0
            or starts[-1] != self.mean.size
            or (np.diff(starts) < 0).any()
        ):
            faults.append(f"starts must rise from 0 to {self.mean.size}")
        for name in ("threshold", "quantile", "base_variance"):
            column = getattr(self, name)
            if column.shape != (rows,):
                faults.append(f"{name} has shape {column.shape}; it must be ({rows},)")
            elif name == "threshold" and (np.isnan(column) | (column == np.inf)).any():
                faults.append("threshold must be finite or -inf in every row")
            elif name != "threshold" and not ((column >= 0.0) & (column < np.inf)).all():
                faults.append(f"{name} must be finite and not negative in every row")
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return self.starts.size - 1

    def needed(self) -> Floats:
        """What choices must reach at least: the thresholds less what rounding may take, (R,)."""
        unit = np.abs(self.threshold)
        for r in np.flatnonzero(unit == 0.0).tolist():
            unit[r] = row_unit(np.zeros(0), self.mean[self.starts[r] : self.starts[r + 1]])
        return self.threshold - slack(self.threshold, unit)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Covers:
    """The cheapest choices that were found.

    Attributes:
        chosen: the items, (N,); none but those taken in a row that no choice keeps.
        cost: what they cost in each row; inf where none keeps it, (R,).
        bound: what none costs less than, (R,).
        price: what one more of the threshold costs, (R,).
        toll: what one more of variance costs, (R,).
        nodes: how many nodes were searched, (R,).
    """

    chosen: Flags
    cost: Floats
    bound: Floats
    price: Floats
    toll: Floats
    nodes: NDArray[np.int64]


def cover_batch(
    batch: Batch,
    cost: Floats,
    *,
    prices: Floats | None = None,
    relative_gap: float = 1e-9,
    nodes: int = 20_000,
    threads: int = 1,
    halt: Callable[[], bool] | None = None,
) -> Covers:
    """The least cost of every row, each searched until its gap or its nodes are used up.

    Without nodes a row has its bound and what one price chooses. `prices` are those of a like
    problem, to begin with, (R,). Threads change nothing but the time. Rows that are not begun when
    `halt` says that time is over have no nodes.

    Raises:
        ValueError: if costs are not finite, one of each item.
    """
    faults = column_faults({"cost": cost}, batch.mean.shape, None)
    if faults:
        raise ValueError("; ".join(faults))
    rows = batch.row_count
    chosen = np.empty(batch.mean.size, np.bool_)
    found, used = np.zeros((4, rows)), np.zeros(rows, np.int64)
    if prices is not None:
        found[2] = prices
    needed = batch.needed()

    def part(ends: tuple[int, int]) -> None:
        cover_rows(
            *ends,
            batch.starts,
            cost,
            batch.mean,
            batch.variance,
            batch.state,
            needed,
            batch.quantile,
            batch.base_variance,
            relative_gap,
            0 if halt is not None and halt() else nodes,
            chosen,
            found,
            used,
        )

    # Some rows take longer than others, so each thread has several parts.
    parts = max(1, min(rows, 8 * threads if halt is None else max(8 * threads, rows // _PART)))
    cuts = np.linspace(0, rows, parts + 1).astype(int).tolist()
    if threads == 1:
        for ends in pairwise(cuts):
            part(ends)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, pairwise(cuts)))
    return Covers(
        chosen=chosen, cost=found[0], bound=found[1], price=found[2], toll=found[3], nodes=used
    )
