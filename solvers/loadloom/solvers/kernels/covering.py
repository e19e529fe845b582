"""One row that is covered with confidence: its Lagrangian responses, prices and bounds.

    minimise   cost.x          subject to  mean.x - quantile * sqrt(variance.x) >= threshold

The deviation sqrt(variance.x) is concave in x. Between a and b it is at least the chord
(ab + variance.x) / (a + b), so every x whose deviation lies there keeps a linear row:

    (mean - slope * variance).x >= threshold + slope * ab,    slope = quantile / (a + b)

The dual of that row bounds all such x. At a = b the chord is the tangent, which is never below the
deviation, so what keeps it is a plan. Items stand in columns; `base` is the variance that is there
without any of them.
"""

import numpy as np
from numba import njit

_SUMS = {"reassoc", "contract", "nsz"}  # in the order that suits the machine
PASSES = 80
"""Each price takes at most so many passes over the items."""
_STEP = 0.01  # by what share of itself a price is first moved away from where it begins


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_SUMS)
def respond(cost, mean, variance, count, price, toll):
    """The sums of cost, mean and variance of the items with cost - price mean + toll variance < 0.

    These are the best response to a price of the mean and a toll on the variance.
    """
    spent, gained, spread = 0.0, 0.0, 0.0
    for i in range(count):
        if cost[i] - price * mean[i] + toll * variance[i] < 0.0:
            spent += cost[i]
            gained += mean[i]
            spread += variance[i]
    return spent, gained, spread


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_SUMS)
def _most_weight(mean, variance, count, slope):
    """The largest sum of mean - slope * variance."""
    total = 0.0
    for i in range(count):
        total += max(0.0, mean[i] - slope * variance[i])
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def best_price(cost, mean, variance, count, slope, needed, start, precision, enough):
    """The price that proves most for (mean - slope * variance).x >= needed.

    Returns the price, what it proves, and of the cheapest response seen that keeps the row: its
    price, cost, mean and variance. Where nothing keeps the row the proven value and that cost are
    inf. A search from `start`, 0 for none, ends within `precision` of the most that can be proven,
    or as soon as `enough` is.

    Proven values are concave in the price, and each response is a tangent. The next price is where
    the lack would vanish if it were linear, which is quick for many items, or where the two
    tangents meet, which ends at the very break for few.
    """
    spent, gained, spread = respond(cost, mean, variance, count, 0.0, 0.0)
    lack = needed - (gained - slope * spread)
    best, proven = 0.0, spent
    at = 0.0, spent, gained, spread
    if lack <= 0.0:
        return best, proven, at[0], at[1], at[2], at[3]
    if _most_weight(mean, variance, count, slope) < needed:
        return 0.0, np.inf, 0.0, np.inf, 0.0, 0.0
    low, lack_low, cost_low = 0.0, lack, spent
    high, lack_high, cost_high = np.inf, 0.0, 0.0
    trial, step = start, _STEP
    if start <= 0.0:
        trial = 1.0
    for turn in range(PASSES):
        spent, gained, spread = respond(cost, mean, variance, count, trial, trial * slope)
        lack = needed - (gained - slope * spread)
        if spent + trial * lack > proven:
            best, proven = trial, spent + trial * lack
        if lack > 0.0:
            low, lack_low, cost_low = trial, lack, spent
        else:
            high, lack_high, cost_high = trial, lack, spent
            at = trial, spent, gained, spread
        if proven >= enough:
            break
        if high == np.inf or (low == 0.0 and step < 1.0):
            # Not between two prices yet: away from the last one, further each time.
            trial *= 1.0 + step if high == np.inf else 1.0 - step
            step = 8.0 * step if start > 0.0 else 3.0
            continue
        meet = (cost_high - cost_low) / (lack_low - lack_high)
        if cost_low + meet * lack_low - proven <= precision:
            break
        trial = meet
        if turn % 2 == 0:
            trial = low + (high - low) * lack_low / (lack_low - lack_high)
        if not low < trial < high:
            trial = 0.5 * (low + high)
            if not low < trial < high:
                break
    if high == np.inf:
        return best, proven, 0.0, np.inf, 0.0, 0.0
    return best, proven, at[0], at[1], at[2], at[3]


@njit(nogil=True, cache=True, error_model="numpy")
def chord(low, high, quantile, base, threshold):
    """The slope of the chord between two deviations, and the row's right side with it."""
    if high <= 0.0:
        return 0.0, threshold
    slope = quantile / (low + high)
    return slope, threshold + slope * (low * high + base)


@njit(nogil=True, cache=True, error_model="numpy")
def centre(cost, mean, variance, count, base, threshold, quantile, start, precision):
    """The tangent that touches near the deviation of its own response, a fixed point.

    Returns the deviation it touches at, the price, and of the best plan found on the way its price,
    slope and cost; the cost is inf where no plan was found.
    """
    total = 0.0
    for i in range(count):
        total += variance[i]
    deviation = np.sqrt(base + 0.5 * total)
    price, plan_price, plan_slope, plan_cost = start, 0.0, 0.0, np.inf
    for _ in range(8):
        slope, needed = chord(deviation, deviation, quantile, base, threshold)
        found, proven, at, spent, gained, spread = best_price(
            cost, mean, variance, count, slope, needed, price, precision, np.inf
        )
        if proven == np.inf or spent == np.inf:
            # A larger deviation has a lower toll: who is infeasible there may not be here.
            if deviation * deviation >= base + total:
                break
            deviation = np.sqrt(base + total)
            continue
        price = found
        if spent < plan_cost and gained - quantile * np.sqrt(base + spread) >= threshold:
            plan_price, plan_slope, plan_cost = at, slope, spent
        moved = np.sqrt(base + spread)
        if abs(moved - deviation) <= 1e-3 * deviation:
            break
        deviation = moved
    return deviation, price, plan_price, plan_slope, plan_cost


@njit(nogil=True, cache=True, error_model="numpy")
def most_prefix(mean, variance, count, fixed_mean, base, quantile):
    """The largest mean - quantile * deviation, and how many items of the best order attain it.

    The best choice answers some toll on variance, so it begins the order of mean per variance; that
    order is returned too.
    """
    rate = np.empty(count)
    for i in range(count):
        if mean[i] <= 0.0:
            rate[i] = 1.0
        else:
            rate[i] = -mean[i] / variance[i] if variance[i] > 0.0 else -np.inf
    order = np.argsort(rate, kind="mergesort")
    gained, spread, taken = fixed_mean, base, 0
    most = gained - quantile * np.sqrt(spread)
    for n in range(count):
        i = order[n]
        if mean[i] <= 0.0:
            break
        gained += mean[i]
        spread += variance[i]
        reached = gained - quantile * np.sqrt(spread)
        if reached > most:
            most, taken = reached, n + 1
    return most, taken, order


@njit(nogil=True, cache=True, error_model="numpy")
def keep_plan(cost, mean, variance, count, base, need, quantile, price, slope, chosen):
    """Writes the response at a price and returns its cost, inf if it does not keep the row.

    A price is often the very break of an item, on whose side two compiled loops may not agree.
    """
    for push in range(3):
        above = price * (1.0 + 1e-12 * push)
        spent, gained, spread = 0.0, 0.0, base
        for i in range(count):
            chosen[i] = 1 if cost[i] - above * (mean[i] - slope * variance[i]) < 0.0 else 0
            if chosen[i]:
                spent += cost[i]
                gained += mean[i]
                spread += variance[i]
        if gained - quantile * np.sqrt(spread) >= need:
            return spent
    return np.inf


@njit(nogil=True, cache=True, error_model="numpy")
def narrowed(cost, mean, variance, count, price, slope, room, base):
    """The deviations that a plan within `room` of the bound can have, and how many items are open.

    An item whose reduced cost is `room` or more stands as the prices say.
    """
    fixed, free, opened = base, 0.0, 0
    for i in range(count):
        reduced = cost[i] - price * (mean[i] - slope * variance[i])
        if reduced <= -room:
            fixed += variance[i]
        elif reduced < room:
            free += variance[i]
            opened += 1
    return np.sqrt(fixed), np.sqrt(fixed + free), opened
