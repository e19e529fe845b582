"""The referee's rules for the rows of a batch: it sees request and answer, not the kernels."""

import numpy as np
from numba import njit

ABSOLUTE_KWH, RELATIVE = 1e-6, 1e-9
"""A rule is broken beyond this energy in an interval, or this share of what is compared."""


_FAST = {"contract", "nsz", "reassoc", "nnan"}
"""Sums may be taken in any order; NaN is looked for apart, where it may not be supposed away."""


@njit(nogil=True, cache=True, error_model="numpy")
def audit_row(site, numbers, step_h, keep, row, columns, amounts):
    """The sum of all breaches as a multiple of the tolerance; infinite if a number is none.

    `site` holds the row's series in kWh and `numbers` its single values, as `kernel.expand` gives
    them. Writes the objective, the cost of energy bought, the earnings from energy sold, wear, the
    end value and the baseline to the row of `amounts`.
    """
    breach = _audit(site, numbers, step_h, keep, row, columns, amounts)
    total = 0.0
    for column in range(6):
        total += _sum(columns[column, row])
    # A number that is none would be lost in a maximum, but not in a sum.
    return breach / ABSOLUTE_KWH if np.isfinite(total) else np.inf


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc"})
def _sum(values):
    total = 0.0
    for value in values:
        total += value
    return total


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _over(value_kwh, limit_kwh):
    """By how much a value is over a limit and its share of tolerance; never over infinity."""
    return max(0.0, value_kwh - limit_kwh * (1.0 + RELATIVE))


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def _audit(site, numbers, step_h, keep, row, columns, amounts):
    """The sum of all breaches in kWh; a sum is vectorised, where maxima would make a chain."""
    loads, pvs, buy, sell, imports, exports = site[0], site[1], site[2], site[3], site[4], site[5]
    low, high, charges, discharges = site[6], site[7], site[8], site[9]
    share, initial, into, outof, _loss, wear, worth, end_low, end_high = numbers
    charge, discharge, energy = columns[0, row], columns[1, row], columns[2, row]
    curtailed, bought, sold = columns[3, row], columns[4, row], columns[5, row]
    per_out = 1.0 / outof
    spent, earned, moved, baseline, breach = 0.0, 0.0, 0.0, 0.0, 0.0
    last = step_h.size - 1
    for t in range(step_h.size):
        hours, load, pv = step_h[t], loads[t], pvs[t]
        free = share * pv
        c, d, k = charge[t] * hours, discharge[t] * hours, curtailed[t] * hours
        g, x = bought[t] * hours, sold[t] * hours
        imbalance = abs(load - pv + k + c - d - g + x)
        breach += max(0.0, imbalance - RELATIVE * (abs(load) + pv + c + d + k))
        breach += _over(g, imports[t]) + _over(x, exports[t]) + _over(k, free)
        breach += max(0.0, -min(min(min(c, d), min(g, x)), k))
        breach += max(0.0, max(min(c, d), min(g, x)))
        spent += buy[t] * g
        earned += sell[t] * x
        baseline += _idle_cost(load - pv, free, buy[t], sell[t], imports[t], exports[t])
    for t in range(step_h.size):
        c, d, e = charge[t] * step_h[t], discharge[t] * step_h[t], energy[t]
        breach += _over(c, charges[t]) + _over(d, discharges[t])
        breach += _over(e, high[t]) + _over(low[t], e)
        moved += c * into + d * per_out
    drift = abs(
        energy[0] - keep[0] * initial - _stored(step_h, charge, discharge, into, per_out, 0)
    )
    breach += max(0.0, drift - RELATIVE * (energy[0] + initial))
    for t in range(1, step_h.size):
        stored = _stored(step_h, charge, discharge, into, per_out, t)
        drift = abs(energy[t] - keep[t] * energy[t - 1] - stored)
        breach += max(0.0, drift - RELATIVE * (energy[t] + energy[t - 1]))
    left, idle = energy[last], initial
    for t in range(step_h.size):
        idle *= keep[t]
    breach += _over(left, end_high) + _over(end_low, left)
    amounts[row, 0] = spent - earned + wear * moved - worth * left
    amounts[row, 2] = spent
    amounts[row, 3] = earned
    amounts[row, 4] = wear * moved
    amounts[row, 5] = worth * left
    amounts[row, 6] = baseline - worth * idle
    return breach


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _stored(step_h, charge, discharge, into, per_out, t):
    """The energy that an interval adds to the store."""
    return (charge[t] * into - discharge[t] * per_out) * step_h[t]


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
