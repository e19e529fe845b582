"""What one row and many rows have in common: types, what is said of an item, how exact a row is."""

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


def slack(need: Floats | float) -> Floats:
    """By how much rows may be missed that need so much, which rounding may take.

    What items add has no part in it: a large one that is not chosen would excuse any shortfall.
    """
    return TOLERANCE * np.maximum(1.0, np.abs(need))
