"""Passes over members and coalitions: as plain Python has them, compiled or not."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from loadloom.solvers.kernels.coalitions import best_members, mean_marginals, sizes, subset_sums


def each(kernel):
    return kernel, kernel.py_func


@pytest.mark.parametrize("kernel", each(best_members))
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_best_members(kernel, kind):
    generator = np.random.default_rng(1)
    rows = generator.random((23, 5)).astype(kind)
    worth, weights = generator.random(23) * 2.0, generator.random(5)
    edges = np.array([0, 4, 4, 23])
    margins, totals, worths = np.zeros(23), np.full((3, 5), 9.0), np.full(3, 9.0)
    value = kernel(rows, worth, weights, edges, margins, totals, worths)
    over = worth - rows.astype(np.float64) @ weights
    chosen = over > 0.0
    assert 0 < chosen.sum() < 23
    assert value == pytest.approx(over[chosen].sum())
    np.testing.assert_allclose(margins, over)
    for part, (first, last) in enumerate(pairwise(edges)):
        mine = chosen & (np.arange(23) >= first) & (np.arange(23) < last)
        np.testing.assert_allclose(totals[part], rows[mine].sum(axis=0, dtype=np.float64))
        assert worths[part] == pytest.approx(worth[mine].sum())


@pytest.mark.parametrize("kernel", each(sizes))
def test_sizes(kernel):
    assert kernel(6).tolist() == [coalition.bit_count() for coalition in range(64)]


@pytest.mark.parametrize("kernel", each(subset_sums))
def test_subset_sums(kernel):
    amounts = np.array([1.0, -2.0, 4.0, 0.5])
    expected = [sum(a for i, a in enumerate(amounts) if s >> i & 1) for s in range(16)]
    assert kernel(amounts) == pytest.approx(expected)


@pytest.mark.parametrize("kernel", each(mean_marginals))
def test_mean_marginals(kernel):
    values = np.random.default_rng(2).random(16)
    added = np.zeros(4)
    for order in permutations(range(4)):
        coalition = 0
        for member in order:
            added[member] += values[coalition | 1 << member] - values[coalition]
            coalition |= 1 << member
    np.testing.assert_allclose(kernel(values, 4), added / 24.0)
