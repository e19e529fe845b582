"""Windows of the day by the caller's clock times: peak, flat and valley."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadloom.models.agency.problem import IntArray
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray, Horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindows:
    """Windows of the day, such as peak, flat and valley: which one each slot belongs to.

    Attributes:
        names: the windows.
        index: (T,) the window of each slot.

    Raises:
        InvalidProblem: an index is none of a window, or two windows have one name.
    """

    names: tuple[str, ...]
    index: IntArray

    def __post_init__(self) -> None:
        faults = []
        bad = np.flatnonzero((self.index < 0) | (self.index >= len(self.names)))
        if bad.size:
            words = f"is {self.index[bad[0]]}; must be one of {len(self.names)} windows"
            faults.append(Violation(f"windows.index[{bad[0]}]", words))
        if len(set(self.names)) < len(self.names):
            faults.append(Violation("windows.names", "has a name twice; names must differ"))
        if faults:
            raise InvalidProblem(faults)

    @classmethod
    def daily(
        cls, horizon: Horizon, windows: Sequence[tuple[str, int, int]], *, rest: str
    ) -> "TimeWindows":
        """The windows of a horizon: each a name and the minutes of the local day, from and to.

        A name may come several times, a window that does not end after its begin goes over
        midnight, and all other times are the `rest`. A slot belongs to the window in which it
        begins, to the first one given of several.
        """
        names = tuple(dict.fromkeys((*(name for name, _, _ in windows), rest)))
        begins = [horizon.boundary(t) for t in range(horizon.count)]
        minute = np.array([60 * begin.hour + begin.minute for begin in begins])
        index = np.full(horizon.count, names.index(rest), np.int64)
        for name, first, last in reversed(windows):
            after, before = minute >= first, minute < last
            index[after & before if first < last else after | before] = names.index(name)
        return cls(names=names, index=index)

    def weight_h(self, horizon: Horizon) -> FloatArray:
        """The hours of each slot that count for each window, (K, T)."""
        weight = np.zeros((len(self.names), horizon.count))
        weight[self.index, np.arange(horizon.count)] = horizon.step_h
        return weight
