"""Columns of customers and nodes, read from messages: their lengths, shapes and values checked."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import MAGNITUDE, Checks
from loadloom.models.horizon import FloatArray
from loadloom.v1 import common_pb2
from loadloom.wire.arrays import from_floats, from_series

IndexArray = NDArray[np.int64]
FlagArray = NDArray[np.bool_]


def column(
    checks: Checks,
    path: str,
    values: Sequence[float],
    count: int,
    otherwise: float,
    *,
    high: float = MAGNITUDE,
) -> FloatArray:
    """A number from 0 to `high` for each of `count`, or () for one that holds for all."""
    found = np.array(values, dtype=np.float64)
    if found.size in {0, 1} and not (found.size == count == 1):
        found = found[0] if found.size else np.float64(otherwise)
    elif found.size != count:
        checks.require(False, path, f"has {found.size} values; must have 1 or {count}")
        return np.full((), otherwise)
    checks.numbers(path, found, low=0.0, high=high)
    return np.asarray(found)


def places(
    checks: Checks,
    path: str,
    values: Sequence[int],
    count: int,
    limit: int,
    otherwise: int,
    *,
    low: int = 0,
) -> IndexArray:
    """A place from `low` below `limit` for each of `count`, or () for one that holds for all."""
    found = np.array(values, dtype=np.int64)
    if found.size in {0, 1}:
        found = np.asarray(found[0] if found.size else otherwise)
    elif found.size != count:
        checks.require(False, path, f"has {found.size} values; must have 1 or {count}")
        return np.asarray(otherwise)
    _check_places(checks, path, found, limit, low)
    return found


def chosen(
    checks: Checks, path: str, values: Sequence[int], count: int, what: str = "customers"
) -> IndexArray:
    """Places of some among `count`, each one once."""
    found = np.array(values, dtype=np.int64)
    before = len(checks.violations)
    _check_places(checks, path, found, count, 0)
    if len(checks.violations) == before and np.unique(found).size != found.size:
        checks.require(False, path, f"names {what} twice; must name each one once")
    return found if len(checks.violations) == before else found[:0]


def _check_places(checks: Checks, path: str, found: IndexArray, limit: int, low: int) -> None:
    wrong = (found < low) | (found >= limit)
    if wrong.any():
        first = int(np.argmax(wrong))
        where = f"{path}[{first}]" if found.ndim else path
        message = f"is {found.reshape(-1)[first]}; must be from {low} to {limit - 1}"
        checks.require(False, where, message)


def flags(found: IndexArray, count: int) -> FlagArray | None:
    """True at these places among `count`; None if there are none."""
    if not found.size:
        return None
    marked = np.zeros(count, np.bool_)
    marked[found] = True
    return marked


def table(
    checks: Checks,
    path: str,
    matrix: common_pb2.FloatMatrix | common_pb2.Matrix,
    rows: int,
    cols: int,
    *,
    low: float = 0.0,
    high: float = MAGNITUDE,
    infinite: bool = False,
    gaps: bool = False,
) -> FloatArray:
    """Numbers in `rows` rows or one for all, and `cols` columns or one for all, each (1 or n, ...).

    With `infinite` there may be plus infinity, with `gaps` NaN.
    """
    is_single = isinstance(matrix, common_pb2.FloatMatrix)
    read = from_floats(matrix) if is_single else from_series(matrix.values)
    values = read.astype(np.float64, copy=False)
    good = True
    for name, given, wanted in (("rows", matrix.rows, rows), ("cols", matrix.cols, cols)):
        if given not in {1, wanted}:
            allowed = str(wanted) if wanted == 1 else f"1 or {wanted}"
            checks.require(False, f"{path}.{name}", f"is {given}; must be {allowed}")
            good = False
    if good and values.size != matrix.rows * matrix.cols:
        said = f"has {values.size} values; must have {matrix.rows} x {matrix.cols}"
        checks.require(False, f"{path}.values", said)
        good = False
    if not good:
        return np.zeros((1, 1))
    checked = np.where(np.isnan(values), 0.0, values) if gaps else values
    checks.numbers(f"{path}.values", checked, low=low, high=high, infinite=infinite)
    return values.reshape(matrix.rows, matrix.cols)
