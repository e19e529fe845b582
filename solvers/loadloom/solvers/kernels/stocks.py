"""What `stock` does for one problem, for LANES problems of as many intervals side by side.

Every array has a row an interval, (T, LANES), or a row a piece and interval, (SEGMENTS * T, LANES),
where piece k of interval t is row k * T + t.

The lists of all problems lie between the same two rows. One step back in time is one pass over
them: it carries the four new pieces along, in order, writes what is least and cuts what the bounds
do not allow. Nothing branches on a number, so nothing is mispredicted, which is what the time of
`stock` goes into. Pieces that are cut away stay as pieces of no length until no problem has any
there, or until they are too many and the lists are packed.
"""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.lanes import (
    LANES,
    alike,
    both,
    interleave,
    least,
    load,
    most,
    rows,
    separate,
    some,
    store,
    where,
)
from loadloom.solvers.kernels.stock import SEGMENTS

SOLVED, LONG = 0, 1
"""Status: all are done; a list has become so long that one problem at a time is quicker."""

LONGEST = 80
"""Pieces of a list up to which eight at once are quicker than one after the other."""

_ROOM = 256
_FAR = 1e300
_FAST = {"contract", "nsz"}


FEWEST = 3
"""From so many problems on, solving them side by side is quicker."""


@njit(nogil=True, cache=True, error_model="numpy")
def room(count):
    """Room for tasks of `count` intervals: their data, their policies and lists, their plans."""
    task = (
        rows(count), rows(count), rows(count), rows(count), rows(SEGMENTS * count),
        rows(SEGMENTS * count),
    )  # fmt: skip
    work = rows(SEGMENTS * count), rows(count), rows(count), rows(_ROOM), rows(_ROOM)
    return task, rows(5), work, (rows(count), rows(count), rows(count), rows(count), rows(count))


@njit(nogil=True, cache=True, error_model="numpy")
def solve(task, ends, wanted, lossless, missed, levels, prices, room):
    """Solves the problems in the lanes that are `wanted`, (LANES,); whether they were solved.

    They are not where the list of one is too long. `task` is keep, low, high and first (LANES, T),
    slope and width (LANES, SEGMENTS, T); with `lossless`, keep is one everywhere. `ends` (4, LANES)
    holds the start, the slope of the end and the tolerance, and receives the gap. `missed` (LANES,)
    receives the interval whose bounds cannot be met, or -1; `levels` and `prices` (LANES, T) the
    plan.
    """
    (keep, low, high, first, slope, width), sides, work, plan = room
    stock, rest, least_price, most_price, price = plan
    count = keep.shape[0]
    source = _sources(wanted)
    if not lossless:
        interleave(task[0], source, keep)
    interleave(task[1], source, low)
    interleave(task[2], source, high)
    interleave(task[3], source, first)
    interleave(task[4].reshape((LANES, SEGMENTS * count)), source, slope)
    interleave(task[5].reshape((LANES, SEGMENTS * count)), source, width)
    for lane in range(LANES):
        for index in range(3):
            sides[index, lane] = ends[index, source[lane]]
    start, end_slope, tolerance = sides[0:1], sides[1:2], sides[2:3]
    status = look_back(
        keep, low, high, start, end_slope, first, slope, width, lossless, tolerance, work,
        sides[3:4],
    )  # fmt: skip
    if status == LONG:
        return False
    look_ahead(keep, start, first, width, lossless, work, stock)
    prove(
        keep, low, high, start, end_slope, first, slope, width, lossless, stock, rest,
        least_price, most_price, price, sides[4:5],
    )  # fmt: skip
    separate(stock, levels)
    separate(price, prices)
    for lane in range(LANES):
        if wanted[lane]:
            missed[lane], ends[3, lane] = np.int64(sides[3, lane]), sides[4, lane]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _sources(wanted):
    """The problem in each lane: its own, or another one's again where none is wanted."""
    source, other = np.arange(LANES), 0
    while not wanted[other]:
        other += 1
    for lane in range(LANES):
        if not wanted[lane]:
            source[lane] = other
    return source


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def look_back(
    keep, low, high, start, end_slope, first, slope, width, lossless, tolerance, work, missed
):  # fmt: skip
    """The policies of all problems, from the last interval back.

    Writes to `missed` (1, LANES) the interval whose bounds cannot be met given all later ones, or
    -1 where there is none. `start`, `end_slope` and `tolerance` are (1, LANES).
    """
    place, floor, ceiling, slopes, lengths = work
    count = keep.shape[0]
    lowest, highest = load(low, count - 1), load(high, count - 1)
    head, tail = _ROOM - 1, _ROOM
    store(slopes, head, load(end_slope, 0))
    store(lengths, head, highest - lowest)
    allowance, none, one = load(tolerance, 0), alike(0.0), alike(1.0)
    conflict, pack_beyond = alike(-1.0), 24
    for back in range(count):
        t = count - 1 - back
        store(floor, t, lowest)
        store(ceiling, t, highest)
        l0, l1 = load(width, 3 * count + t), load(width, 2 * count + t)
        l2, l3 = load(width, count + t), load(width, t)
        least_change = load(first, t)
        factor = one if lossless else load(keep, t)
        reach_low = lowest - (least_change + (l3 + l2 + l1 + l0))
        reach_high = highest - least_change
        bound_low, bound_high = factor * load(start, 0), factor * load(start, 0)
        if t > 0:
            bound_low, bound_high = factor * load(low, t - 1), factor * load(high, t - 1)
        # Only the first conflict counts, looking back; what follows it in a lane means nothing.
        here = where(reach_low > bound_high + allowance, alike(t), conflict)
        here = where(reach_high < bound_low - allowance, alike(t), here)
        conflict = where(conflict < 0.0, here, conflict)
        # What the bounds cut off at the low end, and what they leave in all.
        under = most(bound_low - reach_low, none)
        after_low = most(reach_low, bound_low)
        after_high = most(least(reach_high, bound_high), after_low)
        left = after_high - after_low
        x0, x1 = none - load(slope, 3 * count + t), none - load(slope, 2 * count + t)
        x2, x3 = none - load(slope, count + t), none - load(slope, t)
        c0, c1, c2, c3 = x0, x1, x2, x3
        p0, p1, p2, p3 = lowest, lowest, lowest, lowest
        for at in range(head, tail):
            rise, length = load(slopes, at), load(lengths, at)
            p0 = p0 + where(rise < x0, length, none)
            p1 = p1 + where(rise < x1, length, none)
            p2 = p2 + where(rise < x2, length, none)
            p3 = p3 + where(rise < x3, length, none)
            before = rise < c0
            out, wide = where(before, rise, c0), where(before, length, l0)
            rise, length = where(before, c0, rise), where(before, l0, length)
            before = rise < c1
            c0, l0 = where(before, rise, c1), where(before, length, l1)
            rise, length = where(before, c1, rise), where(before, l1, length)
            before = rise < c2
            c1, l1 = where(before, rise, c2), where(before, length, l2)
            rise, length = where(before, c2, rise), where(before, l2, length)
            before = rise < c3
            c2, l2 = where(before, rise, c3), where(before, length, l3)
            c3, l3 = where(before, c3, rise), where(before, l3, length)
            wide, under, left = _cut(wide, under, left)
            store(slopes, at - 4, out)
            store(lengths, at - 4, wide)
        store(place, 3 * count + t, p0)
        store(place, 2 * count + t, p1)
        store(place, count + t, p2)
        store(place, t, p3)
        head -= 4
        l0, under, left = _cut(l0, under, left)
        l1, under, left = _cut(l1, under, left)
        l2, under, left = _cut(l2, under, left)
        l3, under, left = _cut(l3, under, left)
        store(slopes, tail - 4, c0)
        store(slopes, tail - 3, c1)
        store(slopes, tail - 2, c2)
        store(slopes, tail - 1, c3)
        store(lengths, tail - 4, l0)
        store(lengths, tail - 3, l1)
        store(lengths, tail - 2, l2)
        store(lengths, tail - 1, l3)
        while head < tail and not some(load(lengths, head) > none):
            head += 1
        while head < tail and not some(load(lengths, tail - 1) > none):
            tail -= 1
        lowest, highest = after_low, after_high
        if not lossless and t > 0:
            lowest = most(lowest / factor, load(low, t - 1))
            total = none
            for at in range(head, tail):
                length = load(lengths, at) / factor
                total = total + length
                store(lengths, at, length)
                store(slopes, at, load(slopes, at) * factor)
            highest = lowest + total
        if tail - head > pack_beyond or head < 4:
            head, tail = _pack(slopes, lengths, head, tail)
            if tail - head > LONGEST:
                return LONG
            pack_beyond = (tail - head) + (tail - head) // 2 + 8
    store(missed, 0, conflict)
    return SOLVED


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST, inline="always")
def _cut(length, under, left):
    """What is left of a piece, of what is to be cut before and of what may stay."""
    cut = least(length, under)
    length = least(length - cut, left)
    return length, under - cut, left - length


@njit(nogil=True, cache=True, error_model="numpy")
def _pack(slopes, lengths, head, tail):
    """Moves the lists to the end of their room without the pieces of no length: head and tail."""
    longest = 0
    for lane in range(LANES):
        write = _ROOM
        for back in range(tail - head):
            at = tail - 1 - back
            length, rise = lengths[at, lane], slopes[at, lane]
            lengths[write - 1, lane] = length
            slopes[write - 1, lane] = rise
            write -= 1 if length > 0.0 else 0
        for at in range(write):
            lengths[at, lane] = 0.0
            slopes[at, lane] = -_FAR
        longest = max(longest, _ROOM - write)
    return _ROOM - longest, _ROOM


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def look_ahead(keep, start, first, width, lossless, work, stock):
    """Writes the best stocks at the end of all intervals, (T, LANES), by the policies in `work`."""
    place, floor, ceiling = work[0], work[1], work[2]
    count = keep.shape[0]
    current = load(start, 0)
    for t in range(count):
        reach0 = load(first, t) + load(width, t)
        reach1 = reach0 + load(width, count + t)
        reach2 = reach1 + load(width, 2 * count + t)
        reach3 = reach2 + load(width, 3 * count + t)
        top = load(ceiling, t)
        held = current if lossless else load(keep, t) * current
        none = most(least(held + load(first, t), top), load(floor, t))
        one = least(held + reach0, least(load(place, t), top))
        two = least(held + reach1, least(load(place, count + t), top))
        three = least(held + reach2, least(load(place, 2 * count + t), top))
        four = least(held + reach3, least(load(place, 3 * count + t), top))
        current = most(most(most(one, two), most(three, four)), none)
        store(stock, t, current)


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def prove(
    keep, low, high, start, end_slope, first, slope, width, lossless, stock, rest, least_price,
    most_price, price, gap
):  # fmt: skip
    """Writes the prices of all problems, (T, LANES), and the gaps they prove, (1, LANES).

    As in `stock.prove`, but what fits each interval's own cost is narrowed to what fits all later
    ones as it is found, and the regrets are summed as the prices are chosen.
    """
    count = keep.shape[0]
    last = count - 1
    far, nothing, one = alike(_FAR), alike(0.0), alike(1.0)
    margin = nothing
    for t in range(count):
        margin = most(margin, load(high, t))
    margin = 1e-11 * margin
    under, over = load(end_slope, 0), load(end_slope, 0)
    now = load(stock, last)
    for back in range(count):
        t = last - back
        under = where(now <= load(low, t) + margin, nothing - far, under)
        over = where(now >= load(high, t) - margin, far, over)
        before = load(start, 0)
        if t > 0:
            before = load(stock, t - 1)
        factor = one if lossless else load(keep, t)
        change = now - factor * before - load(first, t)
        store(rest, t, change)
        left, right, gone = nothing - far, far, nothing
        for piece in range(SEGMENTS):
            wide, rise = load(width, piece * count + t), load(slope, piece * count + t)
            taken = least(most(change - gone, nothing), wide)
            gone = gone + wide
            left = where(taken > margin, rise, left)
            right = least(right, where(wide - taken > margin, rise, far))
        under = most(under, nothing - right)
        over = most(under, least(over, nothing - left))
        store(least_price, t, under)
        store(most_price, t, over)
        if not lossless:
            under, over = factor * under, factor * over
        now = before
    under, over = load(least_price, 0), load(most_price, 0)
    now = least(most(nothing, under), over)
    free = both(under > nothing - far, over < far)
    now = where(free, 0.5 * (under + over), now)
    regret = nothing
    for t in range(count):
        if t > 0:
            factor = one if lossless else load(keep, t)
            before, held = now, load(stock, t - 1)
            if not lossless:
                now = now / factor
            now = least(most(now, load(least_price, t)), load(most_price, t))
            gain = factor * now - before
            above, below = held - load(low, t - 1), load(high, t - 1) - held
            regret = regret + most(gain, nothing) * above - least(gain, nothing) * below
        store(price, t, now)
        change, gone = load(rest, t), nothing
        for piece in range(SEGMENTS):
            wide = load(width, piece * count + t)
            taken = least(most(change - gone, nothing), wide)
            gone = gone + wide
            gain = load(slope, piece * count + t) + now
            regret = regret + most(gain, nothing) * taken - least(gain, nothing) * (wide - taken)
    gain, held = load(end_slope, 0) - now, load(stock, last)
    bound = where(gain > nothing, load(low, last), load(high, last))
    store(gap, 0, regret + gain * (held - bound))
