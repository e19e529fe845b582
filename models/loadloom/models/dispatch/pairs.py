"""Pairs of ways that never run at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.horizon import FloatArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

TOGETHER = 1e-8
"""Two ways of a pair below this, in kWh, do not run together but for rounding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Columns of which `one` and `other` are never both above zero.

    `rate` is how much of the other undoes one of the one; `most` bound them in a plan, and are
    the bounds of the columns where there are none.
    """

    one: IntArray
    other: IntArray
    intervals: IntArray
    most_one: FloatArray | None
    most_other: FloatArray | None
    rate: FloatArray

    def both(self, primal: FloatArray) -> BoolArray:
        """Where both ways run."""
        return np.minimum(primal[self.one], primal[self.other]) > TOGETHER

    def close(
        self, low: FloatArray, high: FloatArray, primal: FloatArray, where: BoolArray
    ) -> None:
        """Closes the way that is undone by the other, in the upper bounds of all columns."""
        forward = primal[self.one] * self.rate >= primal[self.other]
        for closed in (self.other[where & forward], self.one[where & ~forward]):
            high[closed] = np.minimum(low[closed], 0.0)
