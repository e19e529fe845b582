"""Rows that are covered with confidence, one by one: bounds by intervals, then a search of each.

The deviation of the best plan is somewhere. An interval of deviations has a bound, that of its
chord; what reduced costs leave open narrows the interval, and it is halved while the chord's error
is much of what is left to prove. Then the open items are searched.
"""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.covering import (
    best_price,
    centre,
    chord,
    keep_plan,
    most_prefix,
    narrowed,
)
from loadloom.solvers.kernels.covering_search import (
    CORE_ROWS,
    MEAN,
    MEANS,
    NEED,
    PATH_ROWS,
    RATE,
    SPEND,
    SPENT,
    VARIANCE,
    VARIANCES,
    WEIGHT,
    prepare,
    search,
)

INTERVALS = 400
"""At most so many intervals of a row's deviation are looked at."""
_DEPTH = 128
_CHORD_SHARE = 0.25  # of what is to be proven, that the chord may be off by in a first search,
# and in proportion less in later ones, which take more nodes, down to:
_FINE_SHARE = 0.004
_TRIAL = 300.0  # nodes of a first search; each later one of the same deviations has so many times:
_MORE = 8.0
_CORE = 10.0  # items of a core for each node of its search, at most
_LOW, _HIGH, _PROVEN, _NODES = range(4)  # the rows of the stack of intervals
_FEW = 10  # so few open items are searched whatever the chord
_ROUNDING = 1e-13
_LOST = 4e-16  # of what is added and taken off in a search, by rounding
_SEARCH_SHARE = 0.01  # of what is to be proven, that a better plan must be better by
_LEADING = 10  # items at most are decided before all others,
_LARGE = 3.0  # if they cost so many times the mean of the core,
_LEAD_CORE = 250  # and it has so many items: of more, each is a small part of what is chosen
_STEP_SHARE = 1e-5  # of a step of costs, that rounding may take


@njit(nogil=True, cache=True, error_model="numpy")
def _lead(cost, place, rate, count):
    """Lets the largest items come first in the order of rates, and returns their number."""
    total = 0.0
    for n in range(count):
        total += abs(cost[place[n]])
    number = 0
    while number < _LEADING:
        largest, at = _LARGE * total / count, -1
        for n in range(count):
            if rate[n] >= 0.0 and abs(cost[place[n]]) > largest:
                largest, at = abs(cost[place[n]]), n
        if at < 0:
            break
        rate[at] = number - _LEADING
        number += 1
    return number


@njit(nogil=True, cache=True, error_model="numpy")
def _fill_core(
    cost,
    mean,
    variance,
    count,
    price,
    slope,
    room,
    needed,
    fixed_mean,
    base,
    leads,
    core,
    items,
    path,
):
    """Writes the open items in the order of the search, each as a turn from where it costs least.

    Returns their number, how many lead, and the variance of what is chosen beside them; the root of
    the path is where all of them cost least.
    """
    spent, gained, spread, fixed, lost = 0.0, fixed_mean, base, base, 0.0
    rate, place, number = np.empty(count), np.empty(count, np.int64), 0
    for i in range(count):
        weight = mean[i] - slope * variance[i]
        reduced = cost[i] - price * weight
        if reduced >= room:
            continue
        if reduced <= -room or cost[i] < 0.0:
            spent += cost[i]
            gained += mean[i]
            spread += variance[i]
        if reduced <= -room:
            fixed += variance[i]
            continue
        lost += _LOST * (abs(mean[i]) + slope * variance[i])
        gain = weight if cost[i] >= 0.0 else -weight
        rate[number] = abs(cost[i]) / gain if gain > 0.0 else np.inf
        place[number] = i
        number += 1
    leading = _lead(cost, place, rate, number) if leads else 0
    order = np.argsort(rate[:number], kind="mergesort")
    for j in range(number):
        i = place[order[j]]
        sign = 1.0 if cost[i] >= 0.0 else -1.0
        items[j] = i
        core[SPEND, j] = abs(cost[i])
        core[MEAN, j] = sign * mean[i]
        core[VARIANCE, j] = sign * variance[i]
        core[WEIGHT, j] = sign * (mean[i] - slope * variance[i])
        core[RATE, j] = max(0.0, rate[order[j]])
    path[SPENT, 0] = spent
    path[NEED, 0] = needed - (gained - slope * (spread - base)) - lost
    path[MEANS, 0] = gained
    path[VARIANCES, 0] = spread
    return number, leading, fixed


@njit(nogil=True, cache=True, error_model="numpy")
def workspace(count):
    """The arrays that `cover_items` works in, for up to so many items."""
    size = count + 2
    return (
        np.empty((CORE_ROWS, size)),
        np.empty((PATH_ROWS, size)),
        np.empty((5, size), np.int64),
        np.empty((2, size), np.uint64),
        np.empty((4, _DEPTH)),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def cover_items(
    cost,
    mean,
    variance,
    count,
    fixed_mean,
    base,
    threshold,
    quantile,
    start,
    step,
    relative_gap,
    nodes,
    work,
    chosen,
):
    """The least cost of the first `count` items that keep the row; `chosen` is written.

    Returns cost, bound, price, toll and nodes taken; cost and bound are inf if nothing keeps it.
    A threshold of -inf is no row. `start` is a price to begin with, 0 for none. All costs are
    multiples of `step`, 0 if they are of none: whoever is cheaper then is so by a step.
    """
    core, path, places, marks, stack = work
    items, breaks, runs, turned, best = places[0], places[1], places[2], places[3], places[4]
    masks, skipped = marks[0], marks[1]
    total, sizes, spent, gained, spread = 0.0, 0.0, 0.0, fixed_mean, base
    for i in range(count):
        total += variance[i]
        sizes += abs(cost[i])
        chosen[i] = 1 if cost[i] < 0.0 else 0
        if cost[i] < 0.0:
            spent += cost[i]
            gained += mean[i]
            spread += variance[i]
    if gained - quantile * np.sqrt(spread) >= threshold:
        return spent, spent, 0.0, 0.0, 0
    least = spent
    need = threshold - fixed_mean
    deviation, price, at, slope, limit = centre(
        cost, mean, variance, count, base, need, quantile, start, 1e-4 * sizes / max(1, count)
    )
    toll = price * quantile / (2.0 * deviation) if deviation > 0.0 else 0.0
    if limit < np.inf:
        limit = keep_plan(cost, mean, variance, count, base, need, quantile, at, slope, chosen)
    if limit == np.inf:
        most, taken, order = most_prefix(mean, variance, count, fixed_mean, base, quantile)
        if most < threshold:
            chosen[:count] = 0
            return np.inf, np.inf, 0.0, 0.0, 0
        limit = 0.0
        chosen[:count] = 0
        for n in range(taken):
            chosen[order[n]] = 1
            limit += cost[order[n]]
    rounding = _ROUNDING * (sizes + price * abs(need))
    closest = max(rounding, (1.0 - 2.0 * _STEP_SHARE) * step)
    bound, used = np.inf, 0
    stack[_LOW, 0], stack[_HIGH, 0] = np.sqrt(base), np.sqrt(base + total)
    stack[_PROVEN, 0], stack[_NODES, 0] = least, _TRIAL
    height, looked = 1, 0
    while height > 0:
        height -= 1
        low, high = stack[_LOW, height], stack[_HIGH, height]
        proven, trial = stack[_PROVEN, height], stack[_NODES, height]
        opened, room, found = count, limit - proven, price
        tolerance = max(relative_gap * min(abs(limit), proven - least), closest)
        if room <= tolerance or looked >= INTERVALS:
            bound = min(bound, proven)
            continue
        for turn in range(4):
            looked += 1
            chord_slope, needed = chord(low, high, quantile, base, need)
            found, value, _, _, _, _ = best_price(
                cost,
                mean,
                variance,
                count,
                chord_slope,
                needed,
                price,
                max(0.01 * room, 0.1 * tolerance),
                limit - tolerance + rounding,
            )
            proven = max(proven, value - rounding)
            room = limit - proven
            tolerance = max(relative_gap * min(abs(limit), proven - least), closest)
            if room <= tolerance:
                break
            least_deviation, most_deviation, opened = narrowed(
                cost, mean, variance, count, found, chord_slope, limit - value + rounding, base
            )
            narrow_low, narrow_high = max(low, least_deviation), min(high, most_deviation)
            if narrow_low > narrow_high:
                proven = limit
                break
            shrunk = narrow_high - narrow_low <= 0.8 * (high - low)
            low, high = narrow_low, narrow_high
            if not shrunk or turn == 3:
                break
        room = limit - proven
        if room <= tolerance:
            bound = min(bound, proven)
            continue
        # The interval may have shrunk since its price was found, and is valid all the same.
        chord_slope, needed = chord(low, high, quantile, base, need)
        error = found * chord_slope * (high - low) ** 2 / 4.0
        share = max(_FINE_SHARE, _CHORD_SHARE * _TRIAL / trial)
        if error > share * room and opened > _FEW and height + 2 < _DEPTH:
            # The half that holds the centre is pushed last and looked at first.
            middle = 0.5 * (low + high)
            near = 0 if deviation < middle else 1
            stack[_LOW, height + near], stack[_HIGH, height + near] = middle, high
            stack[_LOW, height + 1 - near], stack[_HIGH, height + 1 - near] = low, middle
            for half in range(height, height + 2):
                stack[_PROVEN, half], stack[_NODES, half] = proven, trial
            height += 2
            continue
        if nodes <= used:
            bound = min(bound, proven)
            continue
        found, value, _, _, _, _ = best_price(
            cost,
            mean,
            variance,
            count,
            chord_slope,
            needed,
            found,
            max(0.01 * room, 0.1 * tolerance),
            limit - tolerance + rounding,
        )
        proven = max(proven, value - rounding)
        room = limit - value + rounding
        whole = opened <= _CORE * trial
        while opened > _CORE * trial and room > rounding:
            # A larger core takes more time to order than a first plan needs.
            room *= 0.5 * max(0.01, min(1.0, _CORE * trial / opened))
            _, _, opened = narrowed(cost, mean, variance, count, found, chord_slope, room, base)
        number, leading, fixed = _fill_core(
            cost,
            mean,
            variance,
            count,
            found,
            chord_slope,
            room,
            needed + fixed_mean,
            fixed_mean,
            base,
            trial > _TRIAL and opened <= _LEAD_CORE,
            core,
            items,
            path,
        )
        prune = min(tolerance, max(_SEARCH_SHARE * (limit - proven), closest))
        gaining = prepare(core, number, leading, masks, runs)
        better, turns, taken, complete = search(
            core,
            number,
            leading,
            gaining,
            masks,
            runs,
            path,
            breaks,
            skipped,
            turned,
            best,
            fixed,
            threshold,
            quantile,
            limit,
            proven + tolerance,
            prune,
            int(min(trial + 2 * number, nodes - used)),
        )
        used += taken
        if better < limit:
            for i in range(count):
                weight = mean[i] - chord_slope * variance[i]
                reduced = cost[i] - found * weight
                chosen[i] = 1 if reduced <= -room or (reduced < room and cost[i] < 0.0) else 0
            for n in range(turns):
                chosen[items[best[n]]] ^= 1
            limit = better
        if complete and whole:
            bound = min(bound, limit - prune)
        else:
            stack[_LOW, height], stack[_HIGH, height] = low, high
            stack[_PROVEN, height], stack[_NODES, height] = proven, _MORE * trial
            height += 1
    if step > 0.0 and bound < limit:
        bound = step * np.ceil(bound / step - _STEP_SHARE)
    return limit, min(limit, bound), price, toll, used


@njit(nogil=True, cache=True, error_model="numpy")
def cover_rows(
    first,
    last,
    starts,
    cost,
    mean,
    variance,
    state,
    threshold,
    quantile,
    base_variance,
    relative_gap,
    nodes,
    chosen,
    found,
    used,
):
    """Covers the rows from `first` to `last`, row r of the items starts[r] to starts[r + 1].

    `chosen` is written for the items and `found` for the rows: cost, bound, price, toll. An item's
    state is 0 if it is free, 1 if it is taken and -1 if it is barred. A row's price is begun with
    the one that stands in `found`.
    """
    longest = 0
    for r in range(first, last):
        longest = max(longest, starts[r + 1] - starts[r])
    work = workspace(longest)
    costs, means, variances = np.empty(longest), np.empty(longest), np.empty(longest)
    place, part = np.empty(longest, np.int64), np.empty(longest, np.uint8)
    for r in range(first, last):
        count, spent, gained, base = 0, 0.0, 0.0, base_variance[r]
        for i in range(starts[r], starts[r + 1]):
            chosen[i] = state[i] == 1
            if state[i] == 1:
                spent += cost[i]
                gained += mean[i]
                base += variance[i]
            elif state[i] == 0:
                place[count] = i
                costs[count], means[count], variances[count] = cost[i], mean[i], variance[i]
                count += 1
        value, bound, price, toll, used[r] = cover_items(
            costs,
            means,
            variances,
            count,
            gained,
            base,
            threshold[r],
            quantile[r],
            found[2, r],
            0.0,
            relative_gap,
            nodes,
            work,
            part,
        )
        found[0, r], found[1, r] = value + spent, bound + spent
        found[2, r], found[3, r] = price, toll
        if value < np.inf:
            for n in range(count):
                chosen[place[n]] = part[n] == 1
