"""What one interval of a site with one store costs, as a function of the change in the store.

With q = net load + charge - discharge in kWh (net load after all photovoltaic power), the meter
must take q plus what is curtailed, from -export_limit to import_limit. Its least cost is the
infimal convolution of three straight pieces (slope, length): (sell, export_limit), (0,
curtailable), (buy, import_limit), which starts at q = -export_limit - curtailable. Charging u
stored kWh moves q by u / charge_efficiency, discharging by u * discharge_efficiency, and wear is
paid for |u|.
"""

import numpy as np
from numba import njit

GENERAL_PIECES = 9
"""The most pieces of an interval whose cost is not convex: two ends and at most eight kinks."""

_FAR = 1e300
"""Beyond every rate: the side of zero on which there is nothing."""


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def settle(q, curtailable, buy, sell, import_limit, export_limit):
    """The cheapest grid exchange at meter demand q: drawn minus fed in, all in kWh.

    Costs are linear on either side of zero, so the best is at one end of the reachable range or at
    zero; the least curtailment wins ties.
    """
    least = max(q, -export_limit)
    most = min(q + curtailable, import_limit)
    grid = least
    cost = buy * least if least > 0.0 else sell * least
    if least < 0.0 < most and cost > 0.0:
        grid, cost = 0.0, 0.0
    other = buy * most if most > 0.0 else sell * most
    if other < cost and most > least:
        grid = most
    return grid


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nnan", "nsz"})
def convex_stages(
    lane, net, curtailable, buy, sell, import_limit, export_limit, charge_limit, discharge_limit,
    charge_efficiency, discharge_efficiency, wear, first, slope, width,
):  # fmt: skip
    """Writes the pieces of every interval of a site, supposing that its cost is convex.

    All limits are energies of the interval. Arrays are (lanes, T), `slope` and `width` (lanes, 4,
    T), piece by piece; the site is the one in `lane`. Returns how many intervals allow no operation
    and how many are not convex. There is no branch, so that the compiler vectorises the loop.
    """
    per_out = 1.0 / discharge_efficiency
    per_in = 1.0 / charge_efficiency
    impossible, not_convex = 0, 0
    for t in range(net.shape[1]):
        load, free, b, s = net[lane, t], curtailable[lane, t], buy[lane, t], sell[lane, t]
        # No operation goes beyond these, and far limits would cost digits.
        into = min(import_limit[lane, t], max(0.0, load + free + charge_limit[lane, t]))
        out = min(export_limit[lane, t], max(0.0, discharge_limit[lane, t] - load))
        rate0 = min(s, 0.0)
        rate1 = min(b, 0.0) if s < 0.0 else s
        rate2 = max(b, 0.0)
        length0 = out if s < 0.0 else free
        length1 = (into if b < 0.0 else free) if s < 0.0 else out
        # Kinks of the meter as charge minus discharge, cut to what the store can do.
        kink0 = -out - free - load
        kink1 = kink0 + length0
        kink2 = kink1 + length1
        left = max(kink0, -discharge_limit[lane, t])
        right = min(into - load, charge_limit[lane, t])
        kink1 = min(max(kink1, left), right)
        kink2 = min(max(kink2, left), right)
        d0, d1, d2, d3 = min(left, 0.0), min(kink1, 0.0), min(kink2, 0.0), min(right, 0.0)
        c0, c1, c2, c3 = max(left, 0.0), max(kink1, 0.0), max(kink2, 0.0), max(right, 0.0)
        # Zero splits one of the three: what is left of it discharges, what is right of it charges.
        split1, split2 = kink1 <= 0.0, kink2 <= 0.0
        w0 = (d1 - d0) * per_out
        w1 = (d2 - d1) * per_out if split1 else (c1 - c0) * charge_efficiency
        w2 = (d3 - d2) * per_out if split2 else (c2 - c1) * charge_efficiency
        w3 = (c3 - c2) * charge_efficiency
        s0 = rate0 * discharge_efficiency - wear
        s1 = rate1 * discharge_efficiency - wear if split1 else rate0 * per_in + wear
        s2 = rate2 * discharge_efficiency - wear if split2 else rate1 * per_in + wear
        s3 = rate2 * per_in + wear
        # At a negative rate, a piece of no width beside zero would be out of order.
        s1 = s1 if w1 > 0.0 else max(s0, s1)
        s2 = s2 if w2 > 0.0 else max(s1, s2)
        s3 = s3 if w3 > 0.0 else max(s2, s3)
        s2 = s2 if w2 > 0.0 else min(s2, s3)
        s1 = s1 if w1 > 0.0 else min(s1, s2)
        s0 = s0 if w0 > 0.0 else min(s0, s1)
        slope[lane, 0, t], slope[lane, 1, t], slope[lane, 2, t], slope[lane, 3, t] = s0, s1, s2, s3
        width[lane, 0, t], width[lane, 1, t], width[lane, 2, t], width[lane, 3, t] = w0, w1, w2, w3
        first[lane, t] = left * per_out if left < 0.0 else left * charge_efficiency
        # The rates on either side of zero must rise by more than the losses for a convex cost.
        below = rate0 if d1 > d0 else -_FAR
        below = rate1 if d2 > d1 else below
        below = rate2 if d3 > d2 else below
        above = rate2 if c3 > c2 else _FAR
        above = rate1 if c2 > c1 else above
        above = rate0 if c1 > c0 else above
        rising = below * discharge_efficiency - wear <= above * per_in + wear
        not_convex += 0 if (s <= b and rising) else 1
        # Rounding must not refuse a meter that fits exactly.
        impossible += 1 if right < left - 1e-9 * (1.0 + abs(load)) else 0
    return impossible, not_convex


@njit(nogil=True, cache=True, error_model="numpy")
def general_stage(
    net, curtailable, buy, sell, import_limit, export_limit, charge_limit, discharge_limit,
    charge_efficiency, discharge_efficiency, wear, slope, width, base,
):  # fmt: skip
    """Writes the pieces of any stage cost: the number of them, the first change, its cost.

    The kinks are those of the three ways to settle (curtail least, most, or to zero exchange) and,
    where selling pays more than buying costs, the demands at which curtailing least and most cost
    the same.
    """
    into = min(import_limit, max(0.0, net + curtailable + charge_limit))
    out = min(export_limit, max(0.0, discharge_limit - net))
    left = max(-out - curtailable - net, -discharge_limit)
    right = max(left, min(into - net, charge_limit))
    kinks = np.empty(GENERAL_PIECES + 1)
    kinks[0], kinks[1], kinks[2] = left, right, 0.0
    kinks[3], kinks[4], kinks[5] = -out - net, -curtailable - net, -net
    kinks[6] = into - curtailable - net
    kinks[7], kinks[8], kinks[9] = left, left, left
    if buy < 0.0 < sell:
        kinks[7] = buy * curtailable / (sell - buy) - net
        kinks[8] = -sell * out / buy - curtailable - net
        kinks[9] = buy * into / sell - net
    for at in range(kinks.size):
        kinks[at] = min(max(kinks[at], left), right)
    kinks.sort()
    grid = settle(net + left, curtailable, buy, sell, into, out)
    cost = buy * grid if grid > 0.0 else sell * grid
    first = left / discharge_efficiency if left < 0.0 else left * charge_efficiency
    cost += wear * abs(first)
    count = 0
    for at in range(kinks.size - 1):
        span = kinks[at + 1] - kinks[at]
        if span > 0.0:
            middle = 0.5 * (kinks[at] + kinks[at + 1])
            rate = _rate(net + middle, curtailable, buy, sell, into, out)
            if middle < 0.0:
                slope[base + count] = rate * discharge_efficiency - wear
                width[base + count] = span / discharge_efficiency
            else:
                slope[base + count] = rate / charge_efficiency + wear
                width[base + count] = span * charge_efficiency
            count += 1
    return count, first, cost


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _rate(q, curtailable, buy, sell, import_limit, export_limit):
    """What one more kWh of meter demand costs at q, away from kinks: 0 if the grid sees none."""
    grid = settle(q, curtailable, buy, sell, import_limit, export_limit)
    if grid not in (q, q + curtailable):  # held by a limit or at zero
        return 0.0
    return buy if grid > 0.0 else sell
