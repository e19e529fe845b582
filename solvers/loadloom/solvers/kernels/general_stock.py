"""The best control of one stock under any continuous piecewise-linear stage costs.

The problem is that of `stock`, with a variable number of pieces an interval and slopes in any
order: interval t has the pieces `offset[t]` up to `offset[t + 1]`, costs `base_cost[t]` at change
`first[t]`.

The value of a stock is continuous and piecewise linear, but no longer convex. Split into maximal
convex runs, like the stage cost, it is the lower envelope of one convex problem for each pair of
runs, and each of those is a merge of two sorted lists. All value functions are kept, since the way
forward needs them.
"""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.stock import choose

SOLVED, EMPTY, FULL = 0, 1, 2
"""Status: a plan was found; some interval's bounds leave no stock; the store of pieces is full."""


@njit(nogil=True, cache=True, error_model="numpy")
def _append(slopes, lengths, count, slope, length):
    """The number of pieces after one more, which is joined to the last if it continues it."""
    if length <= 0.0:
        return count
    if count > 0 and abs(slopes[count - 1] - slope) <= 1e-14 * (1.0 + abs(slope)):
        lengths[count - 1] += length
        return count
    slopes[count] = slope
    lengths[count] = length
    return count + 1


@njit(nogil=True, cache=True, error_model="numpy")
def _merge(vs, vl, v0, v1, fs, fl, f0, f1, out_s, out_l):
    """The convolution of a convex run of values and one of costs: the number of its pieces."""
    count = 0
    at = v0
    for piece in range(f1 - 1, f0 - 1, -1):
        slope = -fs[piece]
        while at < v1 and vs[at] < slope:
            count = _append(out_s, out_l, count, vs[at], vl[at])
            at += 1
        count = _append(out_s, out_l, count, slope, fl[piece])
    while at < v1:
        count = _append(out_s, out_l, count, vs[at], vl[at])
        at += 1
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def _envelope(lo, value, a_s, a_l, a_n, b_lo, b_value, b_s, b_l, b_n, out_s, out_l, near):
    """The lower envelope of two functions, the first of which starts no later and meets the second.

    Returns its value at the left end, and the number of its pieces. `near` is the difference in
    value that counts as none.
    """
    count = 0
    i, j = 0, 0
    position, here = lo, value
    rest_a = a_l[0] if a_n > 0 else 0.0
    while i < a_n and position < b_lo:
        step = min(rest_a, b_lo - position)
        count = _append(out_s, out_l, count, a_s[i], step)
        here += a_s[i] * step
        position = b_lo if step < rest_a else position + step
        rest_a -= step
        if rest_a <= 0.0:
            i += 1
            rest_a = a_l[i] if i < a_n else 0.0
    difference = here - b_value
    left = b_value if count == 0 and difference > 0.0 else value
    rest_b = b_l[0] if b_n > 0 else 0.0
    while i < a_n and j < b_n:
        if abs(difference) <= near:
            difference = 0.0
        step = min(rest_a, rest_b)
        after = difference + (a_s[i] - b_s[j]) * step
        if abs(after) <= near:
            after = 0.0
        if difference <= 0.0 and after <= 0.0:
            count = _append(out_s, out_l, count, a_s[i], step)
        elif difference >= 0.0 and after >= 0.0:
            count = _append(out_s, out_l, count, b_s[j], step)
        else:
            crossing = min(max(difference / (b_s[j] - a_s[i]), 0.0), step)
            if difference < 0.0:
                count = _append(out_s, out_l, count, a_s[i], crossing)
                count = _append(out_s, out_l, count, b_s[j], step - crossing)
            else:
                count = _append(out_s, out_l, count, b_s[j], crossing)
                count = _append(out_s, out_l, count, a_s[i], step - crossing)
        difference = after
        rest_a -= step
        rest_b -= step
        if rest_a <= 0.0:
            i += 1
            rest_a = a_l[i] if i < a_n else 0.0
        if rest_b <= 0.0:
            j += 1
            rest_b = b_l[j] if j < b_n else 0.0
    while i < a_n:
        count = _append(out_s, out_l, count, a_s[i], rest_a)
        i += 1
        rest_a = a_l[i] if i < a_n else 0.0
    while j < b_n:
        count = _append(out_s, out_l, count, b_s[j], rest_b)
        j += 1
        rest_b = b_l[j] if j < b_n else 0.0
    return left, count


@njit(nogil=True, cache=True, error_model="numpy")
def _step_back(vs, vl, v_lo, v_value, fs, fl, first, base_cost, near, pair, part, whole, spare):
    """The best sum of a stage cost and the value after it, as a function of what is kept.

    Every buffer is a pair of rows, slopes and lengths. Leaves the pieces in `whole` and returns the
    left end, the value there, the number of pieces, and -1 for that number if a buffer is too
    small.
    """
    v_n, f_n = vs.size, fs.size
    room = whole.shape[1] - 8
    right, right_cost = first, base_cost
    for piece in range(f_n):
        right += fl[piece]
        right_cost += fs[piece] * fl[piece]
    lo, value, count = 0.0, 0.0, -1
    f1 = f_n
    while True:  # runs of the cost from the right: the largest change needs the least kept
        f0 = max(f1 - 1, 0)
        while f0 > 0 and fs[f0 - 1] <= fs[f0]:
            f0 -= 1
        part_lo, part_value, part_count = 0.0, 0.0, -1
        v0 = 0
        run_lo, run_value = v_lo, v_value
        while True:  # runs of the value from the left
            v1 = min(v0 + 1, v_n)
            while v1 < v_n and vs[v1] >= vs[v1 - 1]:
                v1 += 1
            if (v1 - v0) + (f1 - f0) > room:
                return 0.0, 0.0, -1
            merged = _merge(vs, vl, v0, v1, fs, fl, f0, f1, pair[0], pair[1])
            if part_count < 0:
                part_lo, part_value, part_count = run_lo - right, run_value + right_cost, merged
                part[:, :merged] = pair[:, :merged]
            else:
                if 2 * (part_count + merged) > room:
                    return 0.0, 0.0, -1
                part_value, part_count = _envelope(
                    part_lo, part_value, part[0], part[1], part_count,
                    run_lo - right, run_value + right_cost, pair[0], pair[1], merged,
                    spare[0], spare[1], near,
                )  # fmt: skip
                part[:, :part_count] = spare[:, :part_count]
            for at in range(v0, v1):
                run_lo += vl[at]
                run_value += vs[at] * vl[at]
            v0 = v1
            if v0 >= v_n:
                break
        if count < 0:
            lo, value, count = part_lo, part_value, part_count
            whole[:, :count] = part[:, :count]
        else:
            if 2 * (count + part_count) > room:
                return 0.0, 0.0, -1
            value, count = _envelope(
                lo, value, whole[0], whole[1], count,
                part_lo, part_value, part[0], part[1], part_count,
                spare[0], spare[1], near,
            )  # fmt: skip
            whole[:, :count] = spare[:, :count]
        for piece in range(f0, f1):
            right -= fl[piece]
            right_cost -= fs[piece] * fl[piece]
        f1 = f0
        if f1 <= 0:
            break
    return lo, value, count


@njit(nogil=True, cache=True, error_model="numpy")
def _step_ahead(kept, fs, fl, first, base_cost, vs, vl, v_lo, v_value):
    """The best next stock, by walking the cost and the value side by side."""
    position, cost = kept + first, base_cost
    i, j = 0, 0
    f_n, v_n = fs.size, vs.size
    rest_f = fl[0] if f_n > 0 else 0.0
    while i < f_n and position < v_lo:
        step = min(rest_f, v_lo - position)
        cost += fs[i] * step
        position = v_lo if step < rest_f else position + step
        rest_f -= step
        if rest_f <= 0.0:
            i += 1
            rest_f = fl[i] if i < f_n else 0.0
    at, value = v_lo, v_value
    rest_v = vl[0] if v_n > 0 else 0.0
    while j < v_n and at < position:
        step = min(rest_v, position - at)
        value += vs[j] * step
        at += step
        rest_v -= step
        if rest_v <= 0.0:
            j += 1
            rest_v = vl[j] if j < v_n else 0.0
    best, best_at = cost + value, position
    while i < f_n and j < v_n:
        step = min(rest_f, rest_v)
        cost += fs[i] * step
        value += vs[j] * step
        position += step
        rest_f -= step
        rest_v -= step
        if rest_f <= 0.0:
            i += 1
            rest_f = fl[i] if i < f_n else 0.0
        if rest_v <= 0.0:
            j += 1
            rest_v = vl[j] if j < v_n else 0.0
        if cost + value < best - 1e-13 * (1.0 + abs(best)):
            best, best_at = cost + value, position
    return best_at


@njit(nogil=True, cache=True, error_model="numpy")
def control(
    keep, low, high, start, end_slope, first, base_cost, offset, slope, width, tolerance, near,
    room, stock,
):  # fmt: skip
    """Writes the best stocks, (T,).

    `room` is the number of pieces that all value functions may have together. Returns the status,
    the interval of an EMPTY one, and the value of the start: the least cost, proven by the
    recursion itself.
    """
    count = keep.size
    kept_s, kept_l = np.empty(room), np.empty(room)
    begin, size = np.zeros(count + 1, np.int64), np.zeros(count, np.int64)
    lows, values = np.zeros(count), np.zeros(count)
    breadth = max(256, min(room, 8 * room // count))
    pair, part = np.empty((2, breadth)), np.empty((2, breadth))
    whole, spare = np.empty((2, breadth)), np.empty((2, breadth))
    last = count - 1
    lows[last] = low[last]
    values[last] = end_slope * low[last]
    end = 0
    if high[last] > low[last]:
        kept_s[0], kept_l[0] = end_slope, high[last] - low[last]
        size[last] = 1
        end = 1
    best = np.inf
    for t in range(last, -1, -1):
        here = slice(begin[t], begin[t] + size[t])
        pieces = slice(offset[t], offset[t + 1])
        lo, value, found = _step_back(
            kept_s[here], kept_l[here], lows[t], values[t], slope[pieces], width[pieces],
            first[t], base_cost[t], near, pair, part, whole, spare,
        )  # fmt: skip
        if found < 0 or end + found + 1 > room:
            return FULL, t, np.inf
        least = keep[t] * (low[t - 1] if t > 0 else start)
        most = keep[t] * (high[t - 1] if t > 0 else start)
        at = 0
        while at < found and lo < least:
            step = min(whole[1, at], least - lo)
            value += whole[0, at] * step
            lo = least if step < whole[1, at] else lo + step
            whole[1, at] -= step
            if whole[1, at] <= 0.0:
                at += 1
        if lo < least - tolerance or lo > most + tolerance:
            return EMPTY, t, np.inf
        if t == 0:
            best = value
            break
        begin[t - 1] = end
        lows[t - 1] = min(max(lo / keep[t], low[t - 1]), high[t - 1])
        values[t - 1] = value
        while at < found and lo < most:
            step = min(whole[1, at], most - lo)
            kept_s[end], kept_l[end] = whole[0, at] * keep[t], step / keep[t]
            end += 1
            lo += step
            at += 1
        size[t - 1] = end - begin[t - 1]
    current = start
    for t in range(count):
        here = slice(begin[t], begin[t] + size[t])
        pieces = slice(offset[t], offset[t + 1])
        current = _step_ahead(
            keep[t] * current, slope[pieces], width[pieces], first[t], base_cost[t],
            kept_s[here], kept_l[here], lows[t], values[t],
        )  # fmt: skip
        current = min(max(current, low[t]), high[t])
        stock[t] = current
    return SOLVED, 0, best


@njit(nogil=True, cache=True, error_model="numpy")
def local_prices(
    keep, low, high, start, end_slope, first, offset, slope, width, stock, bounds, price
):  # fmt: skip
    """Writes the marginal cost-to-go of the stock at the end of each interval, near a best plan.

    Where the cost of an interval is convex about what the plan does, its slopes on both sides bound
    the price; at a kink where it is not, such as doing nothing when either way would gain, nothing
    does.
    The prices are the duals of the plan's own convex neighbourhood, and no proof of the whole.
    `bounds` is room for (2, T).
    """
    least, most = bounds[0], bounds[1]
    margin = 1e-9 * (1.0 + high.max())
    before = start
    for t in range(keep.size):
        rest = stock[t] - keep[t] * before - first[t]
        before = stock[t]
        left, right = -np.inf, np.inf
        for piece in range(offset[t], offset[t + 1]):
            if width[piece] > margin:
                if rest <= margin:
                    right = slope[piece]
                    break
                left = slope[piece]
                if rest < width[piece] - margin:
                    right = left
                    break
                rest -= width[piece]
        if left > right:
            left, right = -np.inf, np.inf
        least[t] = max(-right, -1e300)
        most[t] = min(-left, 1e300)
    choose(keep, low, high, end_slope, stock, margin, least, most, price)
