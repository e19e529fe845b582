"""What one row and many rows have in common: types, what is said of an item, how exact a row is."""

from math import inf

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int32]
Flags = NDArray[np.bool_]
States = NDArray[np.int8]

FREE, TAKEN, BARRED = 0, 1, -1
"""What an item's state says: it may be chosen, it must be, or it must not be."""

TOLERANCE = 1e-9
"""By what share of its need, or of one, a row may be missed."""

_NOTHING = 1e-6  # the share of a row's other numbers below which a need is no measure of them


def slack(need: Floats | float, unit: Floats | float = 1.0) -> Floats:
    """By how much rows may be missed that need so much, which rounding may take.

    Needs below a `unit` may be missed by as much as the unit. It is that of `row_unit`, or 1 where
    needs are told in such units.
    """
    return TOLERANCE * np.maximum(unit, np.abs(need))


def row_unit(need: Floats, mean: Floats) -> float:
    """A unit for rows with these needs: the least of them in size, or of the means if all are 0.

    No larger mean has a part in it: a large item that is not chosen would excuse any shortfall. Nor
    has a need that is next to nothing beside the largest need and the least mean: in its units all
    others would be too large to compute with.
    """
    sizes, means = (np.abs(each[np.isfinite(each) & (each != 0.0)]) for each in (need, mean))
    least = float(means.min(initial=inf))
    if not sizes.size:
        return least if least < inf else 1.0
    typical = max(float(sizes.max()), least if least < inf else 0.0)
    return max(float(sizes.min()), _NOTHING * typical)
