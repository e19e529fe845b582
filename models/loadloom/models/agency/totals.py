"""The exact sum of curves by area, which merges."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.problem import IntArray
from loadloom.models.horizon import FloatArray
from loadloom.solvers.kernels.curves import COARSE_BITS, FINE_BITS, SHIFT, add_totals, carry

LARGEST_KW = 2.0 ** (62 - COARSE_BITS)
"""What the loads of all users may add up to, so that no total leaves 64 bits: 4.4e12 kW."""


@dataclass(frozen=True)
class Totals:
    """The exact sum of curves by area, as integers (see `solvers.kernels.curves`).

    Attributes:
        group_names: the areas, in the order of their first user.
        user_count: (G,) the users of each area.
        coarse: (G, T) units of 2^-20 kW.
        fine: (G, T) units of 2^-46 kW.
    """

    group_names: tuple[str, ...]
    user_count: IntArray
    coarse: IntArray
    fine: IntArray

    @classmethod
    def empty(cls, slot_count: int) -> "Totals":
        """The sum of nobody's curves."""
        none = np.zeros((0, slot_count), np.int64)
        return cls((), np.zeros(0, np.int64), none, none.copy())

    @cached_property
    def group_kw(self) -> FloatArray:
        """The total of each area, (G, T), correctly rounded."""
        return _as_kw(self.coarse, self.fine)

    @cached_property
    def total_kw(self) -> FloatArray:
        """The total of all areas, (T,), correctly rounded."""
        coarse = self.coarse.sum(axis=0, keepdims=True)
        fine = self.fine.sum(axis=0, keepdims=True)
        carry(coarse, fine)
        return _as_kw(coarse, fine)[0]

    def extended(self, names: Sequence[str]) -> tuple["Totals", NDArray[np.int32]]:
        """A copy with rows for these areas too, and in which row each of them is."""
        row = {name: index for index, name in enumerate(self.group_names)}
        place = np.array([row.setdefault(name, len(row)) for name in names], np.int32)
        more = len(row) - len(self.group_names)
        if not more:  # as for all chunks but the first, where np.pad would cost as much as the sum
            its = self.user_count.copy(), self.coarse.copy(), self.fine.copy()
        else:
            its = (
                np.pad(self.user_count, (0, more)),
                np.pad(self.coarse, ((0, more), (0, 0))),
                np.pad(self.fine, ((0, more), (0, 0))),
            )
        return Totals(tuple(row), *its), place

    def merged(self, other: "Totals") -> tuple["Totals", NDArray[np.int32]]:
        """The sum of both, and in which row of it each area of the other is."""
        both, place = self.extended(other.group_names)
        both.user_count[place] += other.user_count
        both.coarse[place] += other.coarse
        both.fine[place] += other.fine
        carry(both.coarse, both.fine)
        return both, place


def in_units(values: NDArray[np.floating]) -> int:
    """The exact sum of values (n,) in units of 2^-46, to which each is rounded."""
    coarse, fine = np.zeros((2, 1, 1), np.int64)
    add_totals(values[:, None], np.zeros(values.size, np.int32), coarse, fine)
    return (int(coarse[0, 0]) << SHIFT) + int(fine[0, 0])


def _as_kw(coarse: IntArray, fine: IntArray) -> FloatArray:
    return coarse * 2.0**-COARSE_BITS + fine * 2.0**-FINE_BITS
