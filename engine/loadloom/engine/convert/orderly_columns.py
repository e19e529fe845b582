"""The columns of weekly schedules: one value for all, or one for each user, measure or slot."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from google.protobuf.message import Message

from loadloom.models.checks import MAGNITUDE, Checks, Violation
from loadloom.models.horizon import FloatArray
from loadloom.models.orderly.week import BoolArray, IntArray
from loadloom.v1 import common_pb2
from loadloom.v1 import orderly_pb2 as pb
from loadloom.wire.arrays import from_series


def slots_of(
    path: str, series: common_pb2.Series, shape: tuple[int, int], found: list[Violation]
) -> FloatArray:
    """The values of the slots of a week, (D, S); zeros, and a violation, if there are no such."""
    values, (days, slots) = from_series(series), shape
    if values.size not in {1, slots, days * slots}:
        found.append(Violation(path, f"has {values.size} values; must have {_sizes(shape)}"))
        return np.zeros(shape)
    values = _finite(path, values, -MAGNITUDE, found)
    if values.size == days * slots:
        return values.reshape(shape)
    return np.broadcast_to(values, shape)


def _sizes(shape: tuple[int, int], *also: int) -> str:
    """The numbers of values that stand for the slots of a week: "1, 24 or 168"."""
    wanted = sorted({1, shape[1], shape[0] * shape[1], *also})
    return _choices(wanted)


def _choices(wanted: Iterable[int]) -> str:
    words = [str(number) for number in sorted(set(wanted))]
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def _finite(path: str, values: FloatArray, low: float, found: list[Violation]) -> FloatArray:
    """The values, or zeros if one of them is beyond the range of a power."""
    checks = Checks()
    if checks.numbers(path, values, low=low):
        return values
    found.extend(checks.violations)
    return np.zeros_like(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Reads the columns of a message; what is at fault is noted, and replaced by its default.

    Attributes:
        path: the path of the message.
        message: the message.
        count: the number of users or measures.
        shape: the days of the week and the slots of a day.
        found: the violations.
    """

    path: str
    message: Message
    count: int
    shape: tuple[int, int]
    found: list[Violation]

    def numbers(self, name: str, default: float | None = None) -> FloatArray:
        """A column of numbers; without a default it must be there."""
        if not self.message.HasField(name):
            if default is None and self.count:
                self._note(name, "value is required")
            return np.array(default or 0.0)
        values = from_series(getattr(self.message, name))
        return values if self._fits(name, values.size) else np.array(default or 0.0)

    def integers(self, name: str, default: int) -> IntArray:
        """A column of whole numbers."""
        values = np.array(getattr(self.message, name), dtype=np.int64)
        return values if values.size and self._fits(name, values.size) else np.array(default)

    def words(self, name: str) -> tuple[str, ...]:
        """A column of words; none if it is left out."""
        words = tuple(getattr(self.message, name))
        if not words or not self._fits(name, len(words)):
            return ()
        return words if len(words) == self.count else words * self.count

    def powers(self, name: str) -> FloatArray:
        """A matrix of powers, which broadcasts to (count, D, S); zero if it is left out."""
        if not self.message.HasField(name):
            return np.zeros((1, 1, 1))
        matrix: common_pb2.Matrix = getattr(self.message, name)
        values = from_series(matrix.values)
        if not self._is_whole(name, matrix.rows, matrix.cols, values.size, self._week_cols()):
            return np.zeros((1, 1, 1))
        path = f"{self.path}.{name}"
        if not ((values >= 0.0) & (values <= MAGNITUDE)).all():
            return self._told(path, values.reshape(matrix.rows, matrix.cols))
        return self._cube(values, matrix.rows, matrix.cols)

    def profiled(self, name: str, profile: str, scale: str) -> FloatArray:
        """A matrix of powers, which broadcasts to (count, D, S), whose rows may be shared.

        With a column `profile`, the powers of each are its row of the matrix times its `scale`.
        """
        if not getattr(self.message, profile):
            if self.message.HasField(scale):
                self._note(scale, f"needs {profile} beside it")
            return self.powers(name)
        before = len(self.found)
        row_count: int = getattr(self.message, name).rows
        if not row_count:
            self._note(f"{name}.rows", "is 0; must be the number of profiles")
            return np.zeros((1, 1, 1))
        rows = replace(self, count=row_count).powers(name)
        chosen, factors = self.integers(profile, 0), self.numbers(scale, 1.0)
        checks = Checks()
        checks.numbers(f"{self.path}.{scale}", factors, low=0.0)
        places = chosen.astype(np.float64)
        checks.numbers(f"{self.path}.{profile}", places, low=0.0, high=row_count - 1.0)
        self.found.extend(checks.violations)
        if len(self.found) > before:
            return np.zeros((1, 1, 1))
        powers = rows[np.atleast_1d(chosen)] * factors.reshape(-1, 1, 1)
        largest_kw = float(powers.max(initial=0.0))
        if largest_kw > MAGNITUDE:
            self._note(scale, f"makes a power of {largest_kw:g} kW; the most is {MAGNITUDE:g}")
            return np.zeros((1, 1, 1))
        return powers

    def days(self, name: str, default: bool) -> BoolArray:
        """A mask of days, which broadcasts to (count, D)."""
        if not self.message.HasField(name):
            return np.array(default)
        mask: pb.Mask = getattr(self.message, name)
        wanted = {1, self.shape[0]}
        if not self._is_whole(name, mask.rows, mask.cols, len(mask.values), wanted):
            return np.array(default)
        return np.array(mask.values, dtype=np.bool_).reshape(mask.rows, mask.cols)

    def slots(self, name: str) -> BoolArray | None:
        """A mask of slots, which broadcasts to (count, D, S); None if it is left out."""
        if not self.message.HasField(name):
            return None
        mask: pb.Mask = getattr(self.message, name)
        if not self._is_whole(name, mask.rows, mask.cols, len(mask.values), self._week_cols()):
            return None
        return self._cube(np.array(mask.values, dtype=np.bool_), mask.rows, mask.cols)

    def _week_cols(self) -> set[int]:
        days, slots = self.shape
        return {1, slots, days * slots}

    def _cube(self, values: np.ndarray, rows: int, cols: int) -> np.ndarray:
        days, slots = self.shape
        if cols == days * slots:
            return values.reshape(rows, days, slots)
        return values.reshape(rows, 1, cols)

    def _told(self, path: str, values: FloatArray) -> FloatArray:
        """Zeros, once the first value that is no power is told with its row and column."""
        good = (values >= 0.0) & (values <= MAGNITUDE)
        row, column = np.unravel_index(int(np.argmin(good)), values.shape)
        more = int(good.size - np.count_nonzero(good)) - 1
        also = f" (and {more} more)" if more else ""
        right = f"must be a number from 0 to {MAGNITUDE:g}"
        message = f"is {values[row, column]:g}{also}; {right}"
        self.found.append(Violation(f"{path}[{row}][{column}]", message))
        return np.zeros((1, 1, 1))

    def _is_whole(self, name: str, rows: int, cols: int, size: int, wanted: set[int]) -> bool:
        """Whether a matrix has the rows and columns that fit, and a value for each of them."""
        before = len(self.found)
        if rows not in {1, self.count}:
            self._note(f"{name}.rows", f"is {rows}; must be {_choices((1, self.count))}")
        if cols not in wanted:
            self._note(f"{name}.cols", f"is {cols}; must be {_choices(wanted)}")
        if len(self.found) == before and size != rows * cols:
            self._note(f"{name}.values", f"has {size} values; must have {rows} x {cols}")
        return len(self.found) == before

    def _fits(self, name: str, size: int) -> bool:
        if size in {1, self.count}:
            return True
        self._note(name, f"has {size} values; must have {_choices((1, self.count))}")
        return False

    def _note(self, name: str, message: str) -> None:
        self.found.append(Violation(f"{self.path}.{name}", message))
