"""The best control of one stock under convex piecewise-linear stage costs, by dynamic programming.

    minimise   sum_t cost[t](change[t]) + end_slope * stock[T-1]
    subject to stock[t] = keep[t] * stock[t-1] + change[t],  stock[-1] = start
               low[t] <= stock[t] <= high[t]

Interval t has SEGMENTS pieces of cost: from change `first[t]` on, piece k is `width[k, t]` wide and
rises by `slope[k, t]`, slopes ascending. A width of zero leaves a piece out; its slope is in order
too, so that it can be inserted like the others, which costs less than to ask.

The value of a stock is convex and piecewise linear too. It is kept as a list of (slope, length)
sorted by slope, in the middle of a buffer. One step back in time inserts each piece of cost,
negated, where its slope belongs, and cuts the ends to what the bounds allow. The place of an
insertion is all that is remembered of it: while the stock lies below that place the piece is worth
taking. These SEGMENTS numbers an interval are the whole policy, so the work is O(T * list), and no
value function is stored.
"""

import numpy as np
from numba import njit

SEGMENTS = 4
"""The number of cost pieces of an interval."""

SOLVED, EMPTY = 0, 1
"""Status: a plan was found; the bounds of some interval leave no stock to hold."""

_FAR = 1e300
"""Beyond every slope: infinity would make NaN of a product with zero."""

# Contraction and the sign of zero do not touch NaN or infinity, unlike the rest of fastmath.
_FAST = {"contract", "nsz"}
# Sums may be taken in any order, and nothing is NaN, where inputs are checked to be numbers.
_FASTER = {"contract", "nsz", "nnan", "reassoc"}

_ONE = np.uint64(1)


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def look_back(keep, low, high, start, end_slope, first, slope, width, tolerance, work):
    """The policy of every interval, from the last one back.

    Writes to `work` the stock below which each piece is worth taking, (SEGMENTS, T), and the stocks
    from which the rest can be done, (T,) each. Returns the status and, when it is EMPTY, the
    interval whose bounds cannot be met given all later ones.

    Most pieces belong beyond an end of the list, where the bounds then cut them away: these never
    enter it. Indices are unsigned: a signed one costs a test for wrap-around at every access.
    """
    place, floor, ceiling, slopes, lengths = work
    count = keep.size
    head = np.uint64(SEGMENTS * count + 8)
    tail = head + _ONE
    lowest, highest = low[count - 1], high[count - 1]
    slopes[head] = end_slope
    lengths[head] = highest - lowest
    for back in range(count):
        t = np.uint64(count - 1 - back)
        floor[t] = lowest
        ceiling[t] = highest
        # What must be left of the previous stock, and what of that its own bounds cut off.
        reach_low = lowest - (first[t] + (width[0, t] + width[1, t] + width[2, t] + width[3, t]))
        reach_high = highest - first[t]
        factor = keep[t]
        bound_low, bound_high = -_FAR, _FAR
        if t > 0:
            bound_low, bound_high = factor * low[t - _ONE], factor * high[t - _ONE]
            if reach_low > bound_high + tolerance or reach_high < bound_low - tolerance:
                return EMPTY, np.int64(t)
        under = max(bound_low - reach_low, 0.0)
        over = max(reach_high - bound_high, 0.0)
        # Pieces that belong below the list: cut, or put there.
        below, bottom = lowest, slopes[head] if head < tail else _FAR
        dearest = SEGMENTS - 1
        while dearest >= 0 and (-slope[dearest, t] <= bottom or width[dearest, t] == 0.0):
            left = width[dearest, t] - under
            under = max(-left, 0.0)
            if left > 0.0:
                head -= _ONE
                bottom = -slope[dearest, t]
                slopes[head] = bottom
                lengths[head] = left
                below -= left
            place[dearest, t] = lowest
            dearest -= 1
        # Pieces that belong above it.
        above, top = highest, slopes[tail - _ONE] if head < tail else -_FAR
        cheapest = 0
        while cheapest <= dearest and (-slope[cheapest, t] > top or width[cheapest, t] == 0.0):
            left = width[cheapest, t] - over
            over = max(-left, 0.0)
            if left > 0.0:
                top = -slope[cheapest, t]
                slopes[tail] = top
                lengths[tail] = left
                tail += _ONE
                above += left
            place[cheapest, t] = highest
            cheapest += 1
        # Pieces within it. Only what lies between an end and them moves, so start from the nearer.
        if cheapest <= dearest:
            pieces = np.uint64(dearest + 1 - cheapest)
            if -slope[cheapest, t] < slopes[(head + tail) >> _ONE]:
                write, read, position = head - pieces, head, below
                for piece in range(dearest, cheapest - 1, -1):
                    inserted = -slope[piece, t]
                    while slopes[read] < inserted:
                        length = lengths[read]
                        slopes[write] = slopes[read]
                        lengths[write] = length
                        position += length
                        read += _ONE
                        write += _ONE
                    slopes[write] = inserted
                    lengths[write] = width[piece, t]
                    write += _ONE
                    place[piece, t] = position
                head -= pieces
            else:
                write, read, position = tail + pieces, tail, above
                for piece in range(cheapest, dearest + 1):
                    inserted = -slope[piece, t]
                    while slopes[read - _ONE] >= inserted:
                        read -= _ONE
                        write -= _ONE
                        length = lengths[read]
                        slopes[write] = slopes[read]
                        lengths[write] = length
                        position -= length
                    write -= _ONE
                    slopes[write] = inserted
                    lengths[write] = width[piece, t]
                    place[piece, t] = position
                tail += pieces
        if t == 0:
            kept = factor * start
            missed = kept < reach_low - tolerance or kept > reach_high + tolerance
            return (EMPTY if missed else SOLVED), 0
        # What the bounds cut off the list itself.
        while head < tail and lengths[head] <= under:
            under -= lengths[head]
            head += _ONE
        while tail > head and lengths[tail - _ONE] <= over:
            tail -= _ONE
            over -= lengths[tail]
        if head < tail:
            lengths[head] -= under
            lengths[tail - _ONE] -= over
        lowest = max(reach_low, bound_low)
        highest = max(min(reach_high, bound_high), lowest)  # they cross by no more than tolerance
        if factor != 1.0:
            # Summed anew: carried along, the error of the range would grow like 1 / keep each
            # interval.
            lowest = max(lowest / factor, low[t - _ONE])
            total = 0.0
            for at in range(head, tail):
                slopes[at] *= factor
                length = lengths[at] / factor
                lengths[at] = length
                total += length
            highest = lowest + total
    return SOLVED, 0


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
def look_ahead(keep, start, first, width, work, stock):
    """Writes the best stock at the end of every interval, shape (T,), by the policy in `work`.

    Piece after piece is taken up to its place. As the places fall from piece to piece, the last
    position is the largest of min(place, position with all pieces up to this one), which waits for
    less than the chain of single steps would. What each interval starts from enters as late as can
    be: all sums are made without it, and the upper limit is applied to the terms.
    """
    place, floor, ceiling = work[0], work[1], work[2]
    current = start
    for t in range(keep.size):
        reach0 = first[t] + width[0, t]
        reach1 = reach0 + width[1, t]
        reach2 = reach1 + width[2, t]
        reach3 = reach2 + width[3, t]
        top, factor = ceiling[t], keep[t]
        none = max(min(factor * current + first[t], top), floor[t])
        one = min(factor * current + reach0, min(place[0, t], top))
        two = min(factor * current + reach1, min(place[1, t], top))
        three = min(factor * current + reach2, min(place[2, t], top))
        four = min(factor * current + reach3, min(place[3, t], top))
        current = max(max(max(one, two), max(three, four)), none)
        stock[t] = current


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FASTER)
def prove(keep, low, high, start, end_slope, first, slope, width, stock, rest, least, most, price):
    """How much better than `stock` a plan could be at most: the gap of a dual certificate.

    Writes `price` (T): the marginal cost-to-go of the stock at the end of each interval, minus the
    worth of one more unit. Backwards through time the subgradients that fit the plan form an
    interval [least, most]; forwards one of each is chosen. Whatever the choice, the gap that it
    proves is valid: by weak duality no plan costs less than this one less the sum of its regrets at
    those prices, where a regret is what a single cost piece or a single stock could gain. `rest` is
    room for (T,).
    """
    count = keep.size
    # One margin for all: what rounding leaves of a wide piece must not fill a narrow one, and
    # pieces that are nothing but rounding have no say.
    margin = 0.0
    for t in range(count):
        margin = max(margin, 1e-11 * high[t])
    rest[0] = stock[0] - keep[0] * start - first[0]
    for t in range(1, count):
        rest[t] = stock[t] - keep[t] * stock[t - 1] - first[t]
    # The subgradients of each interval's own cost at what it does, from the dearest piece taken to
    # the cheapest left; a loop without branches, for the compiler to vectorise.
    for t in range(count):
        left, right, gone = -_FAR, _FAR, 0.0
        for piece in range(SEGMENTS):
            wide, rise = width[piece, t], slope[piece, t]
            taken = min(max(rest[t] - gone, 0.0), wide)
            gone += wide
            left = rise if taken > margin else left
            right = min(right, rise if wide - taken > margin else _FAR)
        least[t] = -right
        most[t] = -left
    choose(keep, low, high, end_slope, stock, margin, least, most, price)
    return _regret(keep, low, high, end_slope, slope, width, stock, rest, price)


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FASTER)
def choose(keep, low, high, end_slope, stock, margin, least, most, price):
    """Writes prices that fit the plan in every interval, where there are such.

    [`least`, `most`] holds what fits the cost of each interval alone, and is narrowed backwards to
    what fits all later ones too; forwards one price of each is taken, as near as can be to the one
    before. A stock within `margin` of a bound frees the price on one side.
    """
    count = keep.size
    last = count - 1
    # A stock without loss is the usual one, and a product fewer shortens both chains by a third.
    lossless = True
    for t in range(count):
        lossless &= keep[t] == 1.0
    under, over = end_slope, end_slope
    for back in range(count):
        t = last - back
        under = -_FAR if stock[t] <= low[t] + margin else under
        over = _FAR if stock[t] >= high[t] - margin else over
        # Where the two ranges miss each other it is by rounding, and any price near will do.
        least[t] = max(under, least[t])
        most[t] = max(least[t], min(over, most[t]))
        under = least[t] if lossless else keep[t] * least[t]
        over = most[t] if lossless else keep[t] * most[t]
    # Divisions beside the chain of dependent steps, not in it.
    for t in range(count):
        price[t] = 1.0 / keep[t]
    now = min(max(0.0, least[0]), most[0])
    if least[0] > -_FAR and most[0] < _FAR:
        now = 0.5 * (least[0] + most[0])
    price[0] = now
    for t in range(1, count):
        now = min(max(now if lossless else now * price[t], least[t]), most[t])
        price[t] = now


@njit(nogil=True, cache=True, error_model="numpy", fastmath=_FASTER)
def _regret(keep, low, high, end_slope, slope, width, stock, rest, price):
    """What all cost pieces and all stocks could gain at these prices, each for itself."""
    last = keep.size - 1
    gain = end_slope - price[last]
    regret = gain * (stock[last] - (low[last] if gain > 0.0 else high[last]))
    for t in range(1, keep.size):
        gain = keep[t] * price[t] - price[t - 1]
        above, below = stock[t - 1] - low[t - 1], high[t - 1] - stock[t - 1]
        regret += max(gain, 0.0) * above - min(gain, 0.0) * below
    for t in range(keep.size):
        gone = 0.0
        for piece in range(SEGMENTS):
            wide = width[piece, t]
            taken = min(max(rest[t] - gone, 0.0), wide)
            gone += wide
            gain = slope[piece, t] + price[t]
            regret += max(gain, 0.0) * taken - min(gain, 0.0) * (wide - taken)
    return regret


@njit(nogil=True, cache=True, error_model="numpy")
def workspace(count):
    """Room for one problem of `count` intervals: place, floor, ceiling, slopes and lengths."""
    room = 2 * SEGMENTS * count + 16
    return (
        np.empty((SEGMENTS, count)),
        np.empty(count),
        np.empty(count),
        np.empty(room),
        np.empty(room),
    )
