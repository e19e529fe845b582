"""Totals are exact in fractions; figures of rows are those of NumPy, wherever a row stands."""

from fractions import Fraction

import numpy as np
import pytest

from loadloom.solvers.kernels.curves import (
    COARSE_BITS,
    FINE_BITS,
    SMALL,
    add_rows,
    add_totals,
    figures_at_peak,
)

KINDS = (np.float32, np.float64)


def added(values, group=None, weight=None, begin=0, watch=()):
    """Totals as fractions (G, T), and table, largest, smallest and watched of the rows."""
    count, slots = values.shape
    group = np.zeros(count, np.int32) if group is None else group
    weight = np.ones((1, slots)) if weight is None else weight
    coarse, fine = np.zeros((2, int(group.max(initial=0)) + 1, slots), np.int64)
    table = np.full((weight.shape[0], begin + count), np.nan)
    largest, smallest = np.full(count, np.nan, values.dtype), np.zeros(count, values.dtype)
    columns = np.array(watch, np.int64)
    watched = np.empty((count, columns.size), values.dtype)
    add_rows(values, group, weight, coarse, fine, table, begin, largest, smallest, columns, watched)
    return exact(coarse, fine), table, largest, smallest, watched


def exact(coarse, fine):
    """Totals as fractions."""
    unit = Fraction(1, 2**FINE_BITS)
    return [
        [
            (int(c) * 2 ** (FINE_BITS - COARSE_BITS) + int(f)) * unit
            for c, f in zip(*pair, strict=True)
        ]
        for pair in zip(coarse.tolist(), fine.tolist(), strict=True)
    ]


def rounded(value):
    """The nearest multiple of 2^-FINE_BITS, ties to even."""
    return Fraction(round(Fraction(float(value)) * 2**FINE_BITS), 2**FINE_BITS)


def drawn(kind, seed, count=41, slots=19):
    """Rows of all sizes and signs: many small ones, some large, negative, zero, or minus zero."""
    rng = np.random.default_rng(seed)
    values = rng.random((count, slots)) * 3.0
    values[rng.random(count) < 0.2] *= 1e4
    values[rng.random(values.shape) < 0.02] *= -1.0
    values[rng.random(values.shape) < 0.02] = -0.0
    values[rng.integers(count)] *= 1e-12
    values[rng.integers(count), 0] = SMALL
    return values.astype(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_totals_are_those_of_fractions(kind, seed):
    values = drawn(kind, seed)
    group = np.random.default_rng(seed).integers(0, 2, len(values)).astype(np.int32)
    found = added(values, group)[0]
    for g in range(2):
        due = [sum(map(rounded, column), Fraction(0)) for column in values[group == g].T]
        assert found[g] == due
    coarse, fine = np.zeros((2, 2, values.shape[1]), np.int64)
    add_totals(values, group, coarse, fine)
    assert exact(coarse, fine) == found


@pytest.mark.parametrize("kind", KINDS)
def test_limbs_are_carried_before_they_are_full(kind):
    values = np.full((10_000, 2), SMALL, kind)
    assert added(values)[0] == [[Fraction(320_000)] * 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 41])
def test_figures_are_those_of_numpy(kind, count):
    values = drawn(kind, count)[:count]
    weight = np.random.default_rng(count).random((5, values.shape[1]))
    _, table, largest, smallest, watched = added(values, weight=weight, begin=3, watch=(4, 0))
    assert np.isnan(table[:, :3]).all()
    np.testing.assert_allclose(table[:, 3:], weight @ values.T, rtol=1e-12, atol=1e-9)
    assert np.array_equal(largest, values.max(axis=1))
    assert np.array_equal(smallest, np.minimum(values.min(axis=1), 0.0))
    assert np.array_equal(watched, values[:, [4, 0]])


@pytest.mark.parametrize("kind", KINDS)
def test_figures_at_the_peak_may_take_the_place_of_the_values(kind):
    rng = np.random.default_rng(4)
    values = rng.random((50, 4)).astype(kind)
    total = np.array([50.3, 50.3, 50.0, 49.6])  # some rows settle which column is the largest
    due = np.stack([values[:, :2].mean(axis=1), (total - values).max(axis=1)], axis=1)
    for rest in (40.0, 50.2):
        place = values.copy()
        figures = place.reshape(-1).view(np.float64)[:100].reshape(50, 2)
        ties, weight, none = np.arange(2), np.full(2, 0.5), np.zeros(50, kind)
        unknown = figures_at_peak(place, np.arange(4), total, ties, weight, none, rest, figures)
        known = due[:, 1] >= rest
        assert unknown == 50 - known.sum()
        np.testing.assert_allclose(figures[:, 0], due[:, 0], rtol=1e-7)
        assert np.array_equal(figures[known, 1], due[known, 1])
        assert np.isnan(figures[~known, 1]).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights", range(1, 8))
def test_equal_rows_have_equal_bits_wherever_they_stand(kind, weights):
    rng = np.random.default_rng(weights)
    values = np.repeat(drawn(kind, weights, slots=96), 7, axis=0)[:-3]
    order = rng.permutation(len(values))
    weight = rng.random((weights, 96))
    table, shuffled = added(values, weight=weight)[1], added(values[order], weight=weight)[1]
    assert np.array_equal(table[:, order], shuffled)
    assert np.array_equal(table[:, 0:-4:7], table[:, 1:-3:7])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", [np.nan, -np.nan, np.inf, -np.inf])
def test_what_is_no_number_shows_in_an_extreme(kind, odd):
    values = drawn(kind, 9)
    values[17, 5] = odd
    _, _, largest, smallest, _ = added(values)
    sound = np.isfinite(largest) & np.isfinite(smallest)
    assert np.flatnonzero(~sound).tolist() == [17]
