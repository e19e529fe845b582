"""Counts of marked and filled readings, which merge: by slot, user and area."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadloom.solvers.kernels.gaps import count_marks

MARK_COUNT = 5
"""The number of marks that a reading can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many readings were marked, and filled by which of F rules; the last column is of none.

    Attributes:
        slot_marks: (5, T).
        slot_filled: (F + 1, T).
        user_marks: (n, 5).
        user_filled: (n, F + 1).
        group_marks: (G, 5).
        group_filled: (G, F + 1).
    """

    slot_marks: NDArray[np.int64]
    slot_filled: NDArray[np.int64]
    user_marks: NDArray[np.uint32]
    user_filled: NDArray[np.uint32]
    group_marks: NDArray[np.int64]
    group_filled: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        marks: NDArray[np.uint8],
        filled: NDArray[np.uint8],
        fill_count: int,
        group: NDArray[np.int32],
        group_count: int,
    ) -> "Tally":
        """The counts of some users with their marks (n, T), fillings (n, T) and areas (n,)."""
        users, slots = marks.shape
        tally = cls(
            slot_marks=np.zeros((MARK_COUNT, slots), np.int64),
            slot_filled=np.zeros((fill_count + 1, slots), np.int64),
            user_marks=np.zeros((users, MARK_COUNT), np.uint32),
            user_filled=np.zeros((users, fill_count + 1), np.uint32),
            group_marks=np.zeros((group_count, MARK_COUNT), np.int64),
            group_filled=np.zeros((group_count, fill_count + 1), np.int64),
        )
        count_marks(
            marks,
            filled,
            tally.slot_marks,
            tally.slot_filled,
            tally.user_marks,
            tally.user_filled,
        )
        np.add.at(tally.group_marks, group, tally.user_marks)
        np.add.at(tally.group_filled, group, tally.user_filled)
        return tally

    def merged(self, other: "Tally", place: NDArray[np.int32], group_count: int) -> "Tally":
        """The counts of both; `place` says which of `group_count` areas the other's areas are."""
        more = ((0, group_count - self.group_marks.shape[0]), (0, 0))
        group_marks, group_filled = np.pad(self.group_marks, more), np.pad(self.group_filled, more)
        group_marks[place] += other.group_marks
        group_filled[place] += other.group_filled
        return Tally(
            slot_marks=self.slot_marks + other.slot_marks,
            slot_filled=self.slot_filled + other.slot_filled,
            user_marks=np.concatenate((self.user_marks, other.user_marks)),
            user_filled=np.concatenate((self.user_filled, other.user_filled)),
            group_marks=group_marks,
            group_filled=group_filled,
        )
