"""The referee's rules for the rows of a batch: it sees request and answer, not the kernels."""

import numpy as np
from numba import njit

ABSOLUTE_KWH, RELATIVE = 1e-6, 1e-9
"""A rule is broken beyond this energy in an interval, or this share of what is compared."""


_FAST = {"contract", "nsz", "reassoc", "nnan"}
"""Sums may be taken in any order; NaN is looked for apart, where it may not be supposed away."""


@njit(nogil=True, cache=True, error_model="numpy")
def audit_row(lane, sites, numbers, step_h, keep, row, columns, amounts):
    """The sum of all breaches as a multiple of the tolerance; infinite if a number is none.

    `sites` holds the row's series in kWh in `lane`, as `kernel.expand` writes them, and `numbers`
    are its single values, as in a row of `kernel.singles`; `keep` is (lanes, T). Writes the
    objective, the cost of energy bought, the earnings from energy sold, wear, the end value and the
    baseline to the row of `amounts`.
    """
    breach = _audit(lane, sites, numbers, step_h, keep, row, columns, amounts)
    total = _sum(columns, row)
    # A number that is none would be lost in a maximum, but not in a sum.
    return breach / ABSOLUTE_KWH if np.isfinite(total) else np.inf


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc"})
def _sum(columns, row):
    total = 0.0
    for t in range(columns.shape[2]):
        powers = columns[0, row, t] + columns[1, row, t] + columns[4, row, t] + columns[5, row, t]
        total += powers + columns[2, row, t] + columns[3, row, t]
    return total


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _over(value_kwh, limit_kwh):
    """By how much a value is over a limit and its share of tolerance; never over infinity."""
    return max(0.0, value_kwh - limit_kwh * (1.0 + RELATIVE))


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _audit(lane, sites, numbers, step_h, keep, row, columns, amounts):
    """The sum of all breaches in kWh; a sum is vectorised, where maxima would make a chain."""
    share, initial, into, outof, _loss, wear, worth, end_low, end_high = numbers
    per_out = 1.0 / outof
    spent, earned, moved, baseline, breach = 0.0, 0.0, 0.0, 0.0, 0.0
    last = step_h.size - 1
    for t in range(step_h.size):
        hours, load, pv = step_h[t], sites[0, lane, t], sites[1, lane, t]
        free = share * pv
        c, d, k = columns[0, row, t] * hours, columns[1, row, t] * hours, columns[3, row, t] * hours
        g, x = columns[4, row, t] * hours, columns[5, row, t] * hours
        imbalance = abs(load - pv + k + c - d - g + x)
        breach += max(0.0, imbalance - RELATIVE * (abs(load) + pv + c + d + k))
        breach += _over(g, sites[4, lane, t]) + _over(x, sites[5, lane, t]) + _over(k, free)
        breach += max(0.0, -min(min(min(c, d), min(g, x)), k))
        breach += max(0.0, max(min(c, d), min(g, x)))
        spent += sites[2, lane, t] * g
        earned += sites[3, lane, t] * x
        baseline += _idle_cost(
            load - pv,
            free,
            sites[2, lane, t],
            sites[3, lane, t],
            sites[4, lane, t],
            sites[5, lane, t],
        )
    for t in range(step_h.size):
        c, d, e = columns[0, row, t] * step_h[t], columns[1, row, t] * step_h[t], columns[2, row, t]
        breach += _over(c, sites[8, lane, t]) + _over(d, sites[9, lane, t])
        breach += _over(e, sites[7, lane, t]) + _over(sites[6, lane, t], e)
        moved += c * into + d * per_out
    drift = abs(
        columns[2, row, 0]
        - keep[lane, 0] * initial
        - _stored(step_h, columns, row, into, per_out, 0)
    )
    breach += max(0.0, drift - RELATIVE * (columns[2, row, 0] + initial))
    for t in range(1, step_h.size):
        stored = _stored(step_h, columns, row, into, per_out, t)
        drift = abs(columns[2, row, t] - keep[lane, t] * columns[2, row, t - 1] - stored)
        breach += max(0.0, drift - RELATIVE * (columns[2, row, t] + columns[2, row, t - 1]))
    left, idle = columns[2, row, last], initial
    for t in range(step_h.size):
        idle *= keep[lane, t]
    breach += _over(left, end_high) + _over(end_low, left)
    amounts[row, 0] = spent - earned + wear * moved - worth * left
    amounts[row, 2] = spent
    amounts[row, 3] = earned
    amounts[row, 4] = wear * moved
    amounts[row, 5] = worth * left
    amounts[row, 6] = baseline - worth * idle
    return breach


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _stored(step_h, columns, row, into, per_out, t):
    """The energy that an interval adds to the store."""
    return (columns[0, row, t] * into - columns[1, row, t] * per_out) * step_h[t]


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _idle_cost(net, curtailable, buy, sell, limit_in, limit_out):
    """The least cost of an interval without the store, beyond the limits where it must be."""
    # Written without branches: the two ends of what can be settled, or the end that is forced.
    short, trapped = net > limit_in, net + curtailable < -limit_out
    least = net + curtailable if trapped else max(net, -limit_out)
    most = net if short else (least if trapped else min(net + curtailable, limit_in))
    least = net if short else least
    cost = buy * max(least, 0.0) + sell * min(least, 0.0)
    cost = min(cost, buy * max(most, 0.0) + sell * min(most, 0.0))
    return min(cost, 0.0) if (least < 0.0 and most > 0.0) else cost
