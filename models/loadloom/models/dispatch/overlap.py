"""What series of one horizon say about another: an earlier plan about a horizon rolled on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.dispatch.switching import NEAR_H
from loadloom.models.horizon import FloatArray, Horizon


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overlap:
    """Takes series of an earlier horizon over to a later one; NaN where they say nothing.

    `place` is the boundary of the earlier horizon at each boundary of the later one, -1 where there
    is none, and `at_h` the time of each in hours from the earlier start, shapes (count + 1,).
    """

    earlier: Horizon
    place: NDArray[np.int64]
    at_h: FloatArray

    @classmethod
    def of(cls, earlier: Horizon, later: Horizon) -> "Overlap":
        """The overlap of two horizons."""
        at_h = (later.start - earlier.start).total_seconds() / 3600.0 + later.boundaries_h
        known = earlier.boundaries_h
        place = np.minimum(np.searchsorted(known, at_h - NEAR_H), earlier.count)
        same = np.abs(known[place] - at_h) <= NEAR_H
        return cls(earlier=earlier, place=np.where(same, place, -1), at_h=at_h)

    @property
    def whole(self) -> bool:
        """Whether both are the same horizon."""
        return np.array_equal(self.place, np.arange(self.earlier.count + 1))

    def means(self, values: FloatArray) -> FloatArray:
        """The mean in each interval of values (..., earlier count) that hold through theirs."""
        first, last, known = self.place[:-1], self.place[1:], self.earlier.boundaries_h
        begin, end = self.at_h[:-1], self.at_h[1:]
        inside = (begin >= -NEAR_H) & (end <= known[-1] + NEAR_H)
        total = np.zeros((*values.shape[:-1], known.size))
        np.cumsum(values * self.earlier.step_h, axis=-1, out=total[..., 1:])
        rows = total.reshape(-1, known.size)
        grown = [np.interp(end, known, row) - np.interp(begin, known, row) for row in rows]
        means = np.array(grown).reshape(*values.shape[:-1], begin.size) / (end - begin)
        one = (first >= 0) & (last == first + 1)  # the same interval, whose value is exact
        means[..., one] = values[..., first[one]]
        return np.where(inside, means, np.nan)

    def ends(self, values: FloatArray) -> FloatArray:
        """The value at the end of each interval of values (..., earlier count) at theirs."""
        place = self.place[1:]
        return np.where(place > 0, values[..., np.maximum(place, 1) - 1], np.nan)
