"""Matched controls: customers who were not called and who usually draw alike.

Two customers are alike if their mean days are: the distance is that of the hourly means of their
last days alike, in kW.
"""

import numpy as np

from loadloom.models.horizon import FloatArray
from loadloom.models.response.similar_days import IntArray

PROFILE_MEANS = 24
"""The means by which a day is compared: one an hour, if slots are not longer."""

_DISTANCES = 2**24
"""Distances held at once: 128 MiB."""


def profiles(usual_kw: FloatArray) -> FloatArray:
    """The hourly means of usual days, (n, S) -> (n, up to 24)."""
    count, slots = usual_kw.shape
    means = slots if slots % PROFILE_MEANS else PROFILE_MEANS
    return usual_kw.reshape(count, means, slots // means).mean(axis=2)


def matches(called: FloatArray, pool: FloatArray, count: int) -> IntArray:
    """The nearest of the pool for each customer, nearest first; of equals the first of the pool.

    Args:
        called: (n, k) profiles without NaN.
        pool: (m, k) profiles without NaN, m >= count.
        count: the number of matches.

    Returns:
        (n, count) indexes into the pool.
    """
    found = np.empty((called.shape[0], count), dtype=np.int64)
    size = np.einsum("mk,mk->m", pool, pool)
    rows = max(1, _DISTANCES // pool.shape[0])
    for at in range(0, called.shape[0], rows):
        # Without the customer's own square, which is the same for all of the pool.
        distance = size - 2.0 * called[at : at + rows] @ pool.T
        limit = np.partition(distance, count - 1, axis=1)[:, count - 1]
        for i, row in enumerate(distance):
            near = np.flatnonzero(row <= limit[i])
            order = np.lexsort((near, row[near]))[:count]
            found[at + i] = near[order]
    return found


def moved_as_controls(
    usual_kw: FloatArray,
    controls_usual_kw: FloatArray,
    controls_actual_kw: FloatArray,
    match: IntArray,
) -> FloatArray:
    """The usual loads, moved by how much the matches' loads differed from their usual ones.

    All are (n or m, T); the change is the mean over each customer's matches, (n, count).
    """
    change = controls_actual_kw - controls_usual_kw
    return usual_kw + np.mean([change[match[:, k]] for k in range(match.shape[1])], axis=0)
