"""How loads spread over users in every slot: percentiles, exact or by counts of narrow bins.

Up to EXACT_VALUES loads are kept, and their percentiles are exact. Beyond, loads are counted in
bins whose ends are 1/128 apart, relative to their lower end, and a percentile is the middle of its
bin: at most RELATIVE_ERROR off. Loads below 2^-11 kW, half a watt, and negative ones count as 0.
Both merge, and neither depends on the order of the users.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray
from loadloom.solvers.kernels.curves import BIN_COUNT, BIN_SHIFT, LOWEST_BIN, count_bins

EXACT_VALUES = 4_000_000
"""The number of loads up to which all are kept."""

RELATIVE_ERROR = 2.0**-8
"""By how much the middle of a bin may be off, relative to the load."""


MOST_SLOTS = 10_000
"""The slots for which loads are counted: 20 kB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Percentiles of the users' loads in every slot.

    Attributes:
        levels: (L,) from 0 to 100.
        load_kw: (L, T); the lowest load that at least that share of the users does not exceed.
        relative_error: by how much a load may be off; 0 if it is exact.
    """

    levels: FloatArray
    load_kw: FloatArray
    relative_error: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The loads of some users: `kept` (n, T), or `counts` (T, bins)."""

    kept: FloatArray | None
    counts: NDArray[np.int32] | None

    @classmethod
    def empty(cls, slot_count: int) -> "Spread":
        """The loads of nobody."""
        return cls(np.zeros((0, slot_count)), None)

    @classmethod
    def of(cls, load_kw: NDArray[np.floating]) -> "Spread":
        """The loads of some users."""
        if load_kw.size <= EXACT_VALUES:
            return cls(np.array(load_kw, np.float64), None)
        return cls(None, _counts(load_kw))

    def merged(self, other: "Spread") -> "Spread":
        """The loads of both."""
        mine, others = self.kept, other.kept
        if mine is not None and others is not None and mine.size + others.size <= EXACT_VALUES:
            return Spread(np.concatenate((mine, others)), None)
        return Spread(None, self.counted() + other.counted())

    def counted(self) -> NDArray[np.int32]:
        """The counts, (T, bins), made from what was kept if there are none."""
        if self.counts is not None:
            return self.counts
        return _counts(np.zeros((0, 0)) if self.kept is None else self.kept)

    def percentiles(self, levels: FloatArray) -> Percentiles:
        """The percentiles of the loads."""
        if self.kept is not None:
            found = np.percentile(self.kept, levels, axis=0, method="inverted_cdf")
            return Percentiles(levels=levels, load_kw=found, relative_error=0.0)
        below = np.cumsum(self.counted(), axis=1, dtype=np.int64)
        users = below[:, -1]
        rank = np.maximum(np.ceil(levels[:, None] / 100.0 * users - 1e-9), 1.0)  # (L, T)
        place = np.array([np.searchsorted(row, rank[:, t]) for t, row in enumerate(below)]).T
        return Percentiles(levels=levels, load_kw=_middle(place), relative_error=RELATIVE_ERROR)


def _counts(load_kw: NDArray[np.floating]) -> NDArray[np.int32]:
    """The number of loads (n, T) in each bin of each slot.

    Raises:
        InvalidProblem: there are too many slots to count for.
    """
    slots = load_kw.shape[1]
    if slots > MOST_SLOTS:
        words = f"of more than {EXACT_VALUES:,} loads can be told in at most {MOST_SLOTS:,} slots"
        raise InvalidProblem([Violation("levels", f"{words}; there are {slots:,}")])
    counts = np.zeros((slots, BIN_COUNT), np.int32)
    keys = np.ascontiguousarray(load_kw, np.float32).view(np.int32)
    keys.flags.writeable = False  # as those of files are, so that there is one kernel
    count_bins(keys, counts)
    return counts


def _middle(place: NDArray[np.int64]) -> FloatArray:
    """The middle of a bin, 0 for the first."""
    ends = [
        ((place + LOWEST_BIN + step) << BIN_SHIFT).astype(np.int32).view(np.float32)
        for step in (0, 1)
    ]
    middle = 0.5 * (ends[0].astype(np.float64) + ends[1])
    return np.where(place == 0, 0.0, middle)
