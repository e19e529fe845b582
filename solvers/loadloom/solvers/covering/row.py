"""One row of items whose sum is reached with confidence.

minimise   cost.x,  x in {0, 1}^n
subject to mean.x - quantile * sqrt(base_variance + variance.x) >= threshold
"""

from dataclasses import dataclass

import numpy as np

from loadloom.solvers.covering.terms import FREE, TAKEN, Flags, Floats, States, row_unit, slack
from loadloom.solvers.kernels.covering import most_prefix


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Row:
    """Items and the row they keep.

    Attributes:
        cost: what each item costs, of any sign, (n,).
        mean: what it adds on average, of any sign, (n,).
        variance: by what variance, independent of the others, never negative, (n,).
        threshold: what the row reaches; -inf if it need not reach anything.
        quantile: how many deviations the mean is above it, never negative.
        base_variance: the variance that is there without any item.
        state: FREE, TAKEN or BARRED, (n,); None: all are free.

    Raises:
        ValueError: names everything that is not as said.
    """

    cost: Floats
    mean: Floats
    variance: Floats
    threshold: float
    quantile: float
    base_variance: float = 0.0
    state: States | None = None

    def __post_init__(self) -> None:
        columns = {"cost": self.cost, "mean": self.mean, "variance": self.variance}
        faults = column_faults(columns, self.cost.shape, self.state)
        if self.threshold == np.inf or np.isnan(self.threshold):
            faults.append(f"threshold is {self.threshold}; it must be finite or -inf")
        for name in ("quantile", "base_variance"):
            value = getattr(self, name)
            if not 0.0 <= value < np.inf:
                faults.append(f"{name} is {value}; it must be finite and not negative")
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def count(self) -> int:
        """The number of items."""
        return self.cost.size


def column_faults(
    columns: dict[str, Floats], shape: tuple[int, ...], state: States | None
) -> list[str]:
    """What is wrong with columns of items, which must be vectors of one shape and finite."""
    faults = []
    for name, column in columns.items():
        if column.ndim != 1 or column.shape != shape:
            faults.append(f"{name} has shape {column.shape}; it must be {shape}")
        elif column.dtype != np.float64:
            faults.append(f"{name} is {column.dtype}; it must be float64")
        elif (wrong := np.flatnonzero(~np.isfinite(column))).size:
            faults.append(f"{name}[{wrong[0]}] is {column[wrong[0]]}; it must be finite")
        elif name == "variance" and (wrong := np.flatnonzero(column < 0.0)).size:
            faults.append(f"{name}[{wrong[0]}] is {column[wrong[0]]}; it must not be negative")
    if state is not None:
        if state.shape != shape:
            faults.append(f"state has shape {state.shape}; it must be {shape}")
        elif (wrong := np.flatnonzero(np.abs(state) > 1)).size:
            faults.append(f"state[{wrong[0]}] is {state[wrong[0]]}; it must be -1, 0 or 1")
    return faults


def attained(row: Row, chosen: Flags) -> float:
    """What a choice reaches: its mean less so many deviations."""
    variance = row.base_variance + float(row.variance[chosen].sum())
    return float(row.mean[chosen].sum()) - row.quantile * float(np.sqrt(variance))


def cost_of(row: Row, chosen: Flags) -> float:
    """What a choice costs."""
    return float(row.cost[chosen].sum())


def needed(row: Row) -> float:
    """What a choice must reach at least: the threshold less what rounding may take."""
    unit = row_unit(np.array([row.threshold]), row.mean)
    return row.threshold - float(slack(row.threshold, unit))


def most(row: Row) -> tuple[Flags, float]:
    """The choice that reaches most, and what it reaches.

    It is exact: for the deviation it has, the best choice takes each item that gains, so it begins
    the order of mean per variance.
    """
    chosen = taken(row)
    free = np.flatnonzero(freedom(row))
    _, count, order = most_prefix(
        row.mean[free],
        row.variance[free],
        free.size,
        float(row.mean[chosen].sum()),
        row.base_variance + float(row.variance[chosen].sum()),
        row.quantile,
    )
    chosen[free[order[:count]]] = True
    return chosen, attained(row, chosen)


def taken(row: Row) -> Flags:
    """The items that must be chosen."""
    return np.zeros(row.count, bool) if row.state is None else row.state == TAKEN


def freedom(row: Row) -> Flags:
    """The items that may be chosen or not."""
    return np.ones(row.count, bool) if row.state is None else row.state == FREE
