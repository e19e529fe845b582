"""Scores of normal forecasts against the definition: the pinball loss of all quantiles."""

from statistics import NormalDist

import numpy as np

from loadloom.solvers.kernels.scores import normal_scores


def scored(actual, mean, spread, z=1.0):
    score, below = np.empty(len(actual)), np.empty(len(actual))
    normal_scores(actual, mean, spread, 1e-9, z, score, below)
    return score, below


def test_the_score_is_twice_the_mean_pinball_loss():
    rng = np.random.default_rng(1)
    actual, mean = rng.standard_normal((2, 4, 3, 2))
    spread = rng.uniform(0.5, 2.0, (4, 3, 2))
    levels = (np.arange(20_000) + 0.5) / 20_000
    z = np.array([NormalDist().inv_cdf(level) for level in levels])
    miss = actual[..., None] - (mean[..., None] + spread[..., None] * z)
    pinball = np.where(miss > 0, levels * miss, (levels - 1) * miss)
    score, below = scored(actual, mean, spread)
    np.testing.assert_allclose(score, 2 * pinball.mean(axis=(1, 2, 3)), rtol=1e-3)
    np.testing.assert_allclose(below, (actual <= mean + spread).mean(axis=(1, 2)))


def test_what_is_missing_is_passed_over():
    actual = np.array([[[1.0, np.nan, 1.0]], [[np.nan, np.nan, np.nan]]])
    mean, spread = np.zeros((2, 1, 3)), np.ones((2, 1, 3))
    spread[0, 0, 2] = np.nan
    score, below = scored(actual, mean, spread)
    alone, _ = scored(actual[:1, :, :1], mean[:1, :, :1], spread[:1, :, :1])
    assert score[0] == alone[0]
    assert below[0] == 1.0
    assert np.isnan(score[1])
    assert np.isnan(below[1])
