"""What some sites of a fleet answer to prices, and what a group takes of its answers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.models.horizon import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What sites of some groups answer to prices.

    Attributes:
        flow: what the sites of each group draw in kWh, (groups, T).
        cost: what that costs without the prices, (groups,).
        value: what it costs with them at least, (groups,).
        outcomes: how each site's solve ended, in the numbers of `dispatch.kernel`, int8 (sites,).
        conflicts: the interval where its own rules conflict, or -1, int32 (sites,).
    """

    flow: FloatArray
    cost: FloatArray
    value: FloatArray
    outcomes: NDArray[np.int8]
    conflicts: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mixed:
    """What a group takes of its answers.

    Attributes:
        prices: those to which it answers, (answers, T).
        share: of each answer, (answers,).
        tight: where its sites may not feed in more than in these answers together, bool (T,).
    """

    prices: FloatArray
    share: FloatArray
    tight: NDArray[np.bool_]
