"""What forecasts were wrong by, in units of their spread, beside what a normal law says.

    a load ahead is below mean + g(z) * spread with the probability that a normal number is below z

g(z) is the quantile of the errors of held-out days at that probability: the order statistic number
(n + 1) * Phi(z) of n of them, as split conformal prediction has it (Lei, G'Sell, Rinaldo,
Tibshirani and Wasserman, 2018). Errors of a day and of days in a row are alike, so that n of them
count for fewer. A node's own quantile is therefore mixed with that of all nodes, and that with the
normal law, each of which weighs as much as `PRIOR` errors. A node that has changed since is wrong
by many spreads: its errors count as `MOST` at most, and say nothing of other nodes. Beyond the
errors seen, g goes on as the normal law does, or as much steeper as it was up to there.
"""

import numpy as np
from numpy.typing import NDArray

from loadloom.models.horizon import FloatArray
from loadloom.models.response.normal import probability

PRIOR = 50.0
"""So many errors weigh those of all nodes in what is said of one, and the normal law in these."""

KNOTS = np.linspace(-4.0, 4.0, 81)
"""The z at which g is known; between them it is a line, beyond them it is parallel to z."""

MOST = 8.0
"""An error of more spreads is a change of the node, of which a quantile of errors says nothing."""

UNLIKE = 4.0
"""Whose errors are so many times those of the nodes in the middle says nothing of others."""

_MOST_POOLED = 1_000_000
_LEAST_STEP = 1e-6  # by which g rises from knot to knot, so that it can be turned round


def tails(errors: NDArray[np.floating]) -> FloatArray:
    """The g of every node at the knots, (m, K), given what forecasts were wrong by, (m, A, T).

    `errors` are in units of the spread, of A days of T slots, NaN where nothing was measured.
    Without any errors g(z) = z.
    """
    nodes = len(errors)
    alike = _alike(errors)
    errors = np.clip(errors, -MOST, MOST)
    counts = _independent(errors)
    flat = errors.reshape(nodes, -1)
    every = flat[alike]
    every = every[np.isfinite(every)]
    total = counts[alike].sum()
    # A sample of them does for quantiles.
    shared = _quantiles(every[None, :: 1 + every.size // _MOST_POOLED], np.array([total]))
    shared = _mixed(shared, np.broadcast_to(KNOTS, shared.shape), np.array([total]))
    mixed = _mixed(_quantiles(flat, counts), np.broadcast_to(shared, (nodes, KNOTS.size)), counts)
    steps = np.maximum(np.diff(mixed, axis=1), _LEAST_STEP)
    middle = KNOTS.size // 2
    found = np.empty(mixed.shape)
    found[:, middle] = mixed[:, middle]
    found[:, middle + 1 :] = mixed[:, [middle]] + np.cumsum(steps[:, middle:], axis=1)
    down = np.cumsum(steps[:, middle - 1 :: -1], axis=1)
    found[:, :middle] = mixed[:, [middle]] - down[:, ::-1]
    return found


def stretched(tail: FloatArray | None, z: FloatArray) -> FloatArray:
    """The g of every node at z, (m, k) of (k,) or of (m, k)."""
    if tail is None:
        return z
    rows = np.broadcast_to(z, (len(tail), z.shape[-1]))
    inside = np.clip(rows, KNOTS[0], KNOTS[-1])
    found = [np.interp(each, KNOTS, g) for each, g in zip(inside, tail, strict=True)]
    return np.array(found).reshape(rows.shape) + rows - inside


def shrunk(tail: FloatArray | None, w: FloatArray) -> FloatArray:
    """The z at which g of every node is w, (m, k): the other way round."""
    if tail is None:
        return w
    inside = np.clip(w, tail[:, :1], tail[:, -1:])
    found = [np.interp(each, g, KNOTS) for each, g in zip(inside, tail, strict=True)]
    return np.array(found).reshape(w.shape) + w - inside


def _alike(errors: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whose errors are of the size of most nodes', (m,)."""
    known = np.isfinite(errors)
    count = known.sum(axis=(1, 2))
    size = np.where(known, np.abs(errors), 0.0).sum(axis=(1, 2)) / np.maximum(count, 1)
    if not count.any():
        return count > 0
    return (count > 0) & (size <= UNLIKE * np.median(size[count > 0]))


def _mixed(own: FloatArray, prior: FloatArray, counts: FloatArray) -> FloatArray:
    """Quantiles of so many errors with those before them, alone where own ones are NaN."""
    weight = (counts / (counts + PRIOR))[:, None]
    return np.where(np.isfinite(own), weight * own + (1.0 - weight) * prior, prior)


def _independent(errors: NDArray[np.floating]) -> FloatArray:
    """How many independent errors those of each node are worth, (m,).

    By how far the means of days vary more than those of independent errors would, and by how alike
    days in a row are.
    """
    known = np.isfinite(errors)
    count = known.sum(axis=(1, 2)).astype(np.float64)
    each = np.where(known, errors, 0.0).astype(np.float64)
    by_day = known.sum(axis=2)
    means = each.sum(axis=2) / np.maximum(by_day, 1)
    centre = each.sum(axis=(1, 2)) / np.maximum(count, 1.0)
    off = np.where(by_day > 0, means - centre[:, None], 0.0)
    days = np.maximum((by_day > 0).sum(axis=1), 1)
    spread = np.where(known, (each - centre[:, None, None]) ** 2, 0.0).sum(axis=(1, 2))
    spread = np.maximum(spread / np.maximum(count, 1.0), 1e-300)
    alike = (off**2).sum(axis=1) / days / spread * count / days
    lag = (off[:, 1:] * off[:, :-1]).sum(axis=1) / np.maximum((off**2).sum(axis=1), 1e-300)
    lag = np.clip(lag, 0.0, 0.95)
    return count / np.maximum(alike, 1.0) * (1.0 - lag) / (1.0 + lag)


def _quantiles(errors: NDArray[np.floating], counts: FloatArray) -> FloatArray:
    """The errors' quantiles at the knots, (m, K), NaN for a node without any.

    `counts` are what they are worth, (m,).
    """
    ordered = np.sort(errors, axis=1).astype(np.float64)
    count = np.isfinite(ordered).sum(axis=1)[:, None]
    if ordered.shape[1] == 0:
        return np.full((len(errors), KNOTS.size), np.nan)
    worth = np.maximum(counts, 1.0)[:, None]
    level = probability(KNOTS)[None, :]
    # Both sides move outwards, as those of n + 1 errors do of which the next one is unknown.
    level = level + (level - 0.5) / worth
    place = level * count - 0.5
    seen = np.clip(place, 0.0, np.maximum(count - 1, 0))
    low = np.floor(seen).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    rows = np.arange(len(errors))[:, None]
    found = ordered[rows, low] + (seen - low) * (ordered[rows, high] - ordered[rows, low])
    return np.where(count > 0, _extended(found, place, seen), np.nan)


def _extended(found: FloatArray, place: FloatArray, seen: FloatArray) -> FloatArray:
    """The quantiles with those beyond the first and the last error drawn on from there."""
    reached = np.where(place == seen, KNOTS, 0.0)
    for side in (1.0, -1.0):
        last = (side * reached).max(axis=1)[:, None]
        at = np.argmax(side * reached, axis=1)[:, None]
        value = np.take_along_axis(found, at, axis=1)
        steep = np.maximum(1.0, side * value / np.where(last > 0.0, last, 1.0))
        beyond = (side * KNOTS > last) & (last > 0.0)
        found = np.where(beyond, value + side * (side * KNOTS - last) * steep, found)
    return found
