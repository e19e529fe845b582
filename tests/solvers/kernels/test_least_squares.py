"""Least squares of many tables against numpy's, one by one."""

import numpy as np
import pytest

from loadloom.solvers.kernels.least_squares import fit, predict


def fitted(values, weight, features, asked, ridge, first=0):
    rows, columns = len(values), features.shape[2]
    predicted = np.empty((rows, asked.shape[1], columns))
    variance, freedom = np.empty_like(predicted), np.empty((rows, columns), np.int64)
    fit(values, weight, features, asked, ridge, first, predicted, variance, freedom)
    return predicted, variance, freedom


@pytest.mark.parametrize("seed", range(20))
def test_predictions_and_variances_are_those_of_the_normal_equations(seed):
    rng = np.random.default_rng(seed)
    rows, pages, columns, size, ridge = 3, 25, 4, 4, 0.3
    values = rng.standard_normal((rows, pages, columns + 2))
    values[rng.random(values.shape) < 0.1] = np.nan
    weight = rng.choice([0.0, 0.5, 1.0, 2.0], (rng.choice([1, rows]), pages))
    features = rng.standard_normal((rng.choice([1, rows]), pages, columns, size))
    features[..., 0] = 1.0
    asked = rng.standard_normal((len(features), 2, columns, size))
    predicted, variance, freedom = fitted(values, weight, features, asked, ridge, first=1)
    for i in range(rows):
        for t in range(columns):
            y, w = values[i, :, 1 + t], weight[min(i, len(weight) - 1)]
            x = features[min(i, len(features) - 1), :, t]
            z = asked[min(i, len(asked) - 1), :, t]
            good = ~np.isnan(y) & (w > 0)
            gram = x[good].T * w[good] @ x[good] + ridge * np.diag([0, 1, 1, 1])
            beta = np.linalg.solve(gram, x[good].T @ (w[good] * y[good]))
            np.testing.assert_allclose(predicted[i, :, t], z @ beta, rtol=1e-8, atol=1e-10)
            assert freedom[i, t] == good.sum() - size
            rest, mean = y[good] - x[good] @ beta, w[good].mean()
            spread = (w[good] * rest**2).sum() / mean / freedom[i, t]
            lever = np.einsum("ak,kl,al->a", z, np.linalg.inv(gram), z) * mean
            np.testing.assert_allclose(variance[i, :, t], spread * (1 + lever), rtol=1e-8)


def test_the_factor_that_rows_share_is_that_of_each():
    rng = np.random.default_rng(2)
    values = rng.standard_normal((5, 20, 3))
    values[2, 4, 1] = np.nan  # this column of this row is factored alone
    weight = rng.choice([0.0, 1.0, 2.0], (1, 20))
    features = rng.standard_normal((1, 20, 3, 4))
    asked = rng.standard_normal((1, 2, 3, 4))
    together = fitted(values, weight, features, asked, 0.1)
    for i in range(5):
        alone = fitted(values[i : i + 1], weight, features, asked, 0.1)
        for all_rows, one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(all_rows[i], one[0])


def test_a_feature_that_repeats_another_changes_nothing():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((1, 12, 1))
    one = np.concatenate([np.ones((1, 12, 1, 1)), rng.standard_normal((1, 12, 1, 1))], axis=3)
    twice = np.concatenate([one, one[..., 1:]], axis=3)
    weight = np.ones((1, 12))
    first = fitted(values, weight, one, one[:, :2], 0.0)
    second = fitted(values, weight, twice, twice[:, :2], 0.0)
    np.testing.assert_allclose(second[0], first[0])
    np.testing.assert_allclose(second[1], first[1])
    assert second[2].tolist() == first[2].tolist() == [[10]]


def test_without_values_nothing_is_said():
    features = np.ones((1, 5, 1, 2))
    predicted, variance, freedom = fitted(
        np.full((1, 5, 1), np.nan), np.ones((1, 5)), features, features[:, :1], 1.0
    )
    assert np.isnan(predicted).all()
    assert np.isnan(variance).all()
    assert freedom[0, 0] <= 0


@pytest.mark.parametrize("seed", range(10))
def test_rows_with_gaps_are_fitted_as_if_their_pages_were_all(seed):
    rng = np.random.default_rng(seed)
    rows, columns, size, ridge, first = 20, 4, 3, 0.2, 2
    values = rng.standard_normal((rows, 30, columns + 3)).astype(np.float32)
    rate = 0.02 if seed % 2 else 0.1  # mostly one gap a column, or several
    values[rng.random(values.shape) < rate] = np.nan
    values[5, :, first] = np.nan
    pages = np.sort(rng.choice(30, 20, replace=False))
    excluded = rng.random((rng.choice([1, rows]), 20)) < rate
    features = rng.standard_normal((20, columns, size))
    features[..., 0] = 1.0
    asked = rng.standard_normal((columns, size))
    predicted, counts = np.empty((rows, columns)), np.empty(rows, np.int64)
    span = np.array([first + 1, first + 3])
    predict(values, pages, excluded, features, asked, ridge, first, span, predicted, counts)
    for i in range(rows):
        own = ~excluded[min(i, len(excluded) - 1)]
        gaps = np.isnan(values[i][pages][:, first + 1 : first + 3]).any(axis=1)
        assert counts[i] == (own & ~gaps).sum()
        for t in range(columns):
            y = values[i, pages, first + t].astype(float)
            good = ~np.isnan(y) & own
            if not good.any():
                assert np.isnan(predicted[i, t])
                continue
            x = features[good, t]
            beta = np.linalg.solve(x.T @ x + ridge * np.diag([0, 1, 1]), x.T @ y[good])
            assert predicted[i, t] == pytest.approx(asked[t] @ beta, rel=1e-8, abs=1e-9)
