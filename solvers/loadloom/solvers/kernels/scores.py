"""How good normal forecasts were, row by row."""

from math import erf, exp, pi, sqrt

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, error_model="numpy")
def normal_scores(actual, mean, spread, least, z, score, below):
    """Fills in each row's mean continuous ranked probability score, and its share below a quantile.

    Of a normal forecast of mean m and standard deviation s, for what came to be y = m + w s, it is
    s (w (2 Phi(w) - 1) + 2 phi(w) - 1 / sqrt(pi)): Gneiting and Raftery (2007), Strictly Proper
    Scoring Rules, Prediction, and Estimation. Lower is better; NaN is passed over.

    Args:
        actual: (n, A, T).
        mean: (n, A, T).
        spread: (n, A, T).
        least: the least standard deviation; smaller ones are taken for it.
        z: the quantile of `below` in standard deviations.
        score: (n,), filled in; NaN without a value.
        below: (n,) filled in with the share of values up to mean + z * spread; NaN likewise.
    """
    for i in range(actual.shape[0]):
        total, under, count = 0.0, 0, 0
        for a in range(actual.shape[1]):
            for t in range(actual.shape[2]):
                s = max(spread[i, a, t], least)
                w = (actual[i, a, t] - mean[i, a, t]) / s
                if np.isnan(w) or np.isnan(spread[i, a, t]):
                    continue
                density = exp(-0.5 * w * w) / sqrt(2.0 * pi)
                total += s * (w * erf(w / sqrt(2.0)) + 2.0 * density - 1.0 / sqrt(pi))
                under += w <= z
                count += 1
        score[i] = total / count if count > 0 else np.nan
        below[i] = under / count if count > 0 else np.nan
