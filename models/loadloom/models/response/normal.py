"""The standard normal distribution, for whole columns."""

from math import erfc, sqrt
from statistics import NormalDist

import numpy as np

from loadloom.models.horizon import FloatArray

_ERFC = np.frompyfunc(erfc, 1, 1)


def quantile(confidence: FloatArray) -> FloatArray:
    """The z that a standard normal number stays below with each confidence, of any shape."""
    levels, where = np.unique(np.asarray(confidence, dtype=np.float64), return_inverse=True)
    z = np.array([NormalDist().inv_cdf(level) for level in levels.tolist()])
    return z[where].reshape(np.shape(confidence))


def probability(z: FloatArray) -> FloatArray:
    """The probability that a standard normal number stays below each z, of any shape."""
    return 0.5 * np.asarray(_ERFC(-np.asarray(z) / sqrt(2.0)), dtype=np.float64)
