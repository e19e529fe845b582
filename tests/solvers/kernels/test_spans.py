"""Sums of rows over spans of columns: as numpy has them, and the same wherever a row stands."""

import numpy as np
import pytest

from loadloom.solvers.kernels.spans import chosen_sums, products, span_sums

START = np.array([0, 3, 4, 11])


def summed(values, weight, start=START, kernel=span_sums):
    total, sums = np.zeros(values.shape[1]), np.empty((values.shape[0], start.size - 1))
    kernel(values, weight, start, total, sums)
    return total, sums


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", [span_sums, span_sums.py_func])
def test_totals_and_sums_of_spans(kind, kernel):
    rng = np.random.default_rng(0)
    values, weight = rng.gamma(2.0, 1.0, (7, 11)).astype(kind), rng.random(11)
    total, sums = summed(values, weight, kernel=kernel)
    assert total == pytest.approx(values.sum(axis=0, dtype=np.float64), rel=1e-14)
    whole = values.astype(np.float64) * weight
    assert sums == pytest.approx(np.add.reduceat(whole, START[:-1], axis=1), rel=1e-14)


def test_equal_rows_have_equal_bits_wherever_they_stand():
    rng = np.random.default_rng(1)
    values = rng.random((1001, 97), dtype=np.float32)
    values[::10] = values[0]
    _, sums = summed(values, rng.random(97), np.array([0, 13, 97]))
    assert (sums[::10] == sums[0]).all()


def test_a_float32_total_loses_nothing_that_matters():
    values = np.full((300_000, 2), 0.1, np.float32)
    total, _ = summed(values, np.ones(2), np.array([0, 2]))
    assert total == pytest.approx(300_000 * float(np.float32(0.1)), rel=1e-10)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_products_are_sums_over_one_span(kind):
    rng = np.random.default_rng(2)
    values, weight = rng.random((9, 97)).astype(kind), rng.random(97)
    found = np.empty(9)
    products(values, weight, found)
    assert found == pytest.approx(values.astype(np.float64) @ weight, rel=1e-14)
    assert found.tolist() == summed(values, weight, np.array([0, 97]))[1][:, 0].tolist()


@pytest.mark.parametrize("kernel", [chosen_sums, chosen_sums.py_func])
def test_sums_of_chosen_columns(kernel):
    values = np.arange(12.0).reshape(3, 4)
    sums = np.full((3, 3), 9.0)
    column, span = np.array([1, 3, 0]), np.array([0, 0, 2])
    kernel(values, column, np.array([1.0, 0.5, 2.0]), span, sums)
    expected = [values[:, 1] + 0.5 * values[:, 3], np.zeros(3), 2.0 * values[:, 0]]
    assert sums.T.tolist() == [column.tolist() for column in expected]
