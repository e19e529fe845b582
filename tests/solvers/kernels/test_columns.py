"""Columns turned into rows, whatever is left over at the ends of the squares."""

import numpy as np
import pytest

from loadloom.solvers.kernels.columns import gather


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (33, 96), (100, 7), (0, 3)])
def test_columns_are_gathered_into_rows(kind, shape):
    values = np.random.default_rng(1).random(shape).astype(kind)
    columns = [np.ascontiguousarray(column) for column in values.T]
    rows = np.full(shape, np.nan, kind)
    gather(np.array([column.ctypes.data for column in columns], np.uint64), rows)
    assert np.array_equal(rows, values)
