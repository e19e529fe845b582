"""Means of recent pages against a plain reading of their definition."""

import numpy as np
import pytest

from loadloom.solvers.kernels.recent import recent_means, weighted_sums


def by_definition(values, candidates, excluded, spans, last, kept, fewest):
    """The means and the pages taken of one row."""
    (a, b), (c, d), (e, f) = spans
    whole = [
        p
        for p in candidates
        if not excluded[p]
        and np.isfinite(values[p, a:b]).all()
        and np.isfinite(values[p, c:d]).all()
    ][:last]
    if len(whole) < fewest:
        return np.full(f - e, np.nan), [], len(whole), np.nan
    place = {p: k for k, p in enumerate(whole)}
    best = sorted(whole, key=lambda p: (-values[p, a:b].sum(), place[p]))[:kept]
    taken = sorted(best, key=place.__getitem__)
    table = values[taken, e:f].astype(float)
    known = ~np.isnan(table)
    with np.errstate(invalid="ignore"):
        means = np.where(known, table, 0).sum(axis=0) / known.sum(axis=0)
    levels = [values[p, a:b].astype(float).mean() for p in whole]
    spread = np.std(levels, ddof=1) * np.sqrt(1 + 1 / len(taken)) if len(whole) > 1 else np.nan
    return means, taken, len(whole), spread


@pytest.mark.parametrize("seed", range(60))
def test_means_are_those_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    rows, pages, columns = 4, 15, 12
    values = rng.integers(0, 4, (rows, pages, columns)).astype(rng.choice([np.float32, np.float64]))
    values[rng.random(values.shape) < 0.02] = np.nan
    excluded = rng.random((rng.choice([1, rows]), pages)) < 0.2
    candidates = np.flatnonzero(rng.random(pages) < 0.8)[::-1].astype(np.int64)
    spans = np.array([[6, 8], [2, 5], [1, 11]])
    last, kept, fewest = (int(rng.integers(1, most)) for most in (11, 8, 5))
    means = np.empty((rows, 10))
    taken, counts = np.empty((rows, last), np.int32), np.empty(rows, np.int32)
    spreads = np.empty(rows)
    recent_means(
        values, candidates, excluded, spans, last, kept, fewest, means, taken, counts, spreads
    )
    for i in range(rows):
        mine = excluded[min(i, len(excluded) - 1)]
        right, pages_taken, count, spread = by_definition(
            values[i], candidates, mine, spans, last, kept, fewest
        )
        np.testing.assert_allclose(means[i], right)
        assert taken[i].tolist() == pages_taken + [-1] * (last - len(pages_taken))
        assert counts[i] == count
        np.testing.assert_allclose(spreads[i], spread, atol=1e-12)


def test_weighted_sums_are_those_of_numpy_and_lack_what_lacks():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((5, 9, 8))
    weights = rng.standard_normal((9, 3))
    weights[4] = 0.0
    values[1, 4, 5] = np.nan  # of no weight
    values[2, 3, 4] = np.nan
    sums = np.empty((5, 3))
    weighted_sums(values, weights, 3, sums)
    right = np.einsum("npt,pt->nt", np.nan_to_num(values[:, :, 3:6]), weights)
    right[2, 1] = np.nan
    np.testing.assert_allclose(sums, right)
