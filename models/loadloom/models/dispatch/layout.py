"""Where the columns, or the rows, of a programme stand: whose they are, and in which interval."""

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


class Block(NamedTuple):
    """Places that were added at once, from `first` on; `at` has the interval of each, if known."""

    first: int
    size: int
    at: IntArray | None


class Layout:
    """The places of a programme over so many intervals, block by block.

    A block is known by its owner and by how many the owner had before it.
    """

    def __init__(self, count: int) -> None:
        self.count, self.size, self.owner = count, 0, ""
        self.blocks: dict[tuple[str, int], Block] = {}
        self._numbers: Counter[str] = Counter()

    def add(self, size: int, intervals: IntArray | None) -> None:
        """Adds so many places of the owner, one for each interval, or of these intervals."""
        at = None
        if intervals is None and size == self.count:
            at = np.arange(size)
        elif intervals is not None and intervals.size == size and intervals.min(initial=0) >= 0:
            at = intervals
        key = self.owner, self._numbers[self.owner]
        self._numbers[self.owner] += 1
        self.blocks[key] = Block(self.size, size, at)
        self.size += size

    def before(self, held: "Layout", by: int) -> IntArray:
        """The place that each had in a layout held, whose interval `by` is the first now, (size,).

        It is -1 where there was none.
        """
        found = np.full(self.size, -1)
        for key, (first, size, at) in self.blocks.items():
            known = held.blocks.get(key)
            if known is None or not size:
                continue
            if at is None or known.at is None:
                if size == known.size:
                    found[first : first + size] = np.arange(known.first, known.first + size)
                continue
            place = np.full(max(held.count + 1, int(at.max()) + by + 1), -1)
            place[known.at] = np.arange(known.first, known.first + known.size)
            then = at + by
            found[first : first + size] = np.where(then >= 0, place[then], -1)
        return found
