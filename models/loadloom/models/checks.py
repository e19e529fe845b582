"""Violations of what a problem asks of its data, collected so that a caller hears of all."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

MAGNITUDE = 1e9
"""The largest absolute value of any number: a terawatt in kW. Beyond it sums lose the cents."""

DEAREST = 1e6
"""The highest price of breaking a rule: higher ones drown all other costs in rounding."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that is broken: where, and what is wrong and would be right."""

    path: str
    message: str

    def __str__(self) -> str:
        """The path and what is wrong there."""
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidProblem(ValueError):  # noqa: N818 -- the problem's state, no error of ours
    """The data of a problem breaks rules; `violations` names every one."""

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(map(str, self.violations)))

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Violation, ...]]]:
        # An exception is pickled with its words, of which no violations can be made again.
        return type(self), (self.violations,)


@dataclass(slots=True)
class Checks:
    """The violations found so far."""

    violations: list[Violation] = field(default_factory=list)

    def require(self, condition: bool, path: str, message: str) -> None:
        """Notes a violation at `path` unless the condition holds."""
        if not condition:
            self.violations.append(Violation(path, message))

    def numbers(
        self,
        path: str,
        values: NDArray[np.float64] | float,
        *,
        low: float = -MAGNITUDE,
        high: float = MAGNITUDE,
        infinite: bool = False,
    ) -> bool:
        """Whether all values are numbers from `low` to `high`; notes the first one that is not.

        With `infinite`, plus infinity is allowed beside them and means that there is no limit.
        """
        if isinstance(values, float) and (low <= values <= high):
            return True  # without arrays, which take a hundred times as long
        array = np.asarray(values, dtype=np.float64)
        good = (array >= low) & (array <= high)  # NaN is neither
        if infinite:
            good |= array == np.inf
        if good.all():
            return True
        first = int(np.argmin(good))
        where = f"{path}[{first}]" if array.ndim else path
        value = float(array.reshape(-1)[first])
        more = int(good.size - np.count_nonzero(good)) - 1
        also = f" (and {more} more)" if more else ""
        self.require(False, where, f"is {value:g}{also}; must be {_range(low, high)}")
        return False

    def breach_price(self, path: str, price: float) -> bool:
        """Whether a price may be one of breaking a rule; inf is one too: that of a hard rule."""
        return self.numbers(path, price, low=0.0, high=DEAREST, infinite=True)

    def length(self, path: str, values: NDArray[np.float64], count: int) -> bool:
        """Whether there is one value for each of `count` intervals."""
        good = values.shape == (count,)
        self.require(good, path, f"has {values.size} values; must have 1 or {count}")
        return good

    def distinct(self, path: str, names: list[str]) -> None:
        """Notes every name that stands a second time in a list of named things."""
        seen: dict[str, int] = {}
        for index, name in enumerate(names):
            first = seen.setdefault(name, index)
            self.require(
                first == index,
                f"{path}[{index}].name",
                f"{name!r} is also the name of {path}[{first}]",
            )

    def finish(self) -> None:
        """Raises InvalidProblem if anything was noted."""
        if self.violations:
            raise InvalidProblem(self.violations)


def _range(low: float, high: float) -> str:
    if low == 0 and high == MAGNITUDE:
        return f"a number from 0 to {MAGNITUDE:g}"
    return f"a number from {low:g} to {high:g}"
