"""Money in integer minor units: amounts are rounded so that they add up to their total exactly.

By largest remainder: every amount is rounded down, and what is then missing of the total is given
out, one minor unit each, to those who lost the most. Remainders are compared by whole millionths of
a minor unit; among equals the name that sorts first, by its characters' code points, comes first.
So no amount is off by a whole minor unit, amounts that are equal differ by at most one, and the
order in which users are listed changes nothing.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.problem import LARGEST_MINOR, Currency, IntArray
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.models.horizon import FloatArray

REMAINDER_STEPS = 1_000_000
"""The steps of a minor unit in which remainders are compared; what is finer is float noise."""


def in_minor_units(path: str, amounts: FloatArray, currency: Currency) -> FloatArray:
    """The amounts of a currency in minor units, not yet rounded, in the shape they come.

    Raises:
        InvalidProblem: an amount is no number, or the amounts of a row (last axis) are too large to
            be told to the minor unit; the violation stands at `path`.
    """
    scaled = np.asarray(amounts, dtype=np.float64) * currency.scale
    size = np.abs(scaled).sum(axis=-1).max() if scaled.size else 0.0
    if size <= LARGEST_MINOR:  # not so with NaN
        return scaled
    what = f"adds up to {size / currency.scale:g} {currency.code}"
    most = f"{LARGEST_MINOR / currency.scale:g} {currency.code}"
    message = f"{what}; amounts of up to {most} in all can be settled to the minor unit"
    raise InvalidProblem([Violation(path, message)])


def to_nearest(amounts: FloatArray) -> IntArray:
    """The amounts, in minor units, to the nearest whole one; halves away from zero.

    What is within a millionth of a half is a half: 2.675 of a currency are 267.5 cents, and not the
    267.49999999999994 that floats make of them.
    """
    grid = np.rint(np.abs(amounts) * REMAINDER_STEPS) / REMAINDER_STEPS
    exact = np.abs(amounts) < 2**52 / REMAINDER_STEPS  # beyond, the grid is finer than floats
    size = np.floor(np.where(exact, grid, np.abs(amounts)) + 0.5)
    return (np.sign(amounts) * size).astype(np.int64)


def in_nearest_units(path: str, amounts: FloatArray, currency: Currency) -> IntArray:
    """The amounts of a currency in whole minor units, each rounded by itself.

    Raises:
        InvalidProblem: as `in_minor_units` does.
    """
    return to_nearest(in_minor_units(path, amounts, currency))


def apportion(amounts: FloatArray, total: IntArray | int, names: Sequence[str]) -> IntArray:
    """The amounts of each row in whole minor units, adding up to the row's total exactly.

    Args:
        amounts: in minor units, not rounded, (..., n).
        total: what each row must add up to: the nearest integer to its sum, (...).
        names: n distinct names, by which ties are broken.

    Raises:
        ValueError: a total is not what its amounts add up to.
    """
    down = np.floor(amounts)
    rest = ((amounts - down) * REMAINDER_STEPS).astype(np.int64)
    whole = down.astype(np.int64)
    missing = np.asarray(total, dtype=np.int64) - whole.sum(axis=-1)
    if (missing < 0).any() or (missing > whole.shape[-1]).any():
        raise ValueError("a total is not what its amounts add up to")
    return whole + _first(rest, missing, names)


def _first(rest: IntArray, count: IntArray, names: Sequence[str]) -> NDArray[np.bool_]:
    """Which `count` entries of each row have the largest rest; ties go by name."""
    last = np.maximum(count - 1, 0)[..., None]
    level = -np.take_along_axis(np.sort(-rest, axis=-1), last, axis=-1)
    level = np.where(count[..., None] > 0, level, REMAINDER_STEPS)
    chosen = rest > level
    tied = rest == level
    left = (count - chosen.sum(axis=-1))[..., None]
    rows = tuple(range(tied.ndim - 1))
    among = np.flatnonzero(tied.any(axis=rows))
    if among.size > 1:  # names are sorted only where they decide: a million take a second
        among = np.array(sorted(among.tolist(), key=names.__getitem__))
    places = tied[..., among]
    chosen[..., among] |= places & (np.cumsum(places, axis=-1) <= left)
    return chosen


def in_words(minor: int, currency: Currency) -> str:
    """The amount in the currency with all its digits, without the currency's code: 1.86."""
    digits = currency.minor_digits
    whole, part = divmod(abs(int(minor)), currency.scale)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole}.{part:0{digits}d}" if digits else f"{sign}{whole}"
