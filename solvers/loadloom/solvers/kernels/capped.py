"""The best turns of a chooser whose use of a resource is capped over all turns together.

A label is what has been chosen so far: used turns, turns still to wait, whether a pause was taken,
resource used and value. A label is dropped if another that is no less free in the first three uses
no more and costs no more, or if what can follow at best makes it no better than a week that is
known to keep the cap; all others are kept, so that the answer is exact. What can follow at best is
known without the cap, and with a toll on use instead of it: the toll at which the best week just
passes from too much use to little enough. Choosers under a cap take one window a turn.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from loadloom.solvers.kernels.choosers import Codes, Flags, Floats, Indices

FAR, NOTHING = 1e300, -1  # as in `turns`, which imports this file

MOST_LABELS, ROOM = 2_000, 8_000
"""The most labels that are kept of a turn, and the room in which they are collected; beyond them
the least value is the best that could follow those dropped, which still bounds."""

_TOLLS = 20  # the most tolls that are tried
_EVEN = 1e-12


class Knapsack(NamedTuple):
    """What a chooser can take, turn by turn, and what it uses of the resource.

    Attributes:
        item_start: the items of turn d stand from `item_start[d]` on, (D + 1,).
        item_own: the cost of each item at rank 1.
        item_rest: the rest of its value.
        item_use: what it uses.
        item_code: its code in a pattern.
        forced: whether one of a turn's items must be taken, (D,).
        pause_turn: the turn of each pause.
        pause_value: its value.
        pause_use: what it uses.
        pause_forced: whether one must be taken.
        most: the most turns.
        gap: the least free turns between two.
        ranks: the factor on the cost of the first turn taken, the second and so on.
    """

    item_start: Indices
    item_own: Floats
    item_rest: Floats
    item_use: Floats
    item_code: Codes
    forced: Flags
    pause_turn: Indices
    pause_value: Floats
    pause_use: Floats
    pause_forced: bool
    most: int
    gap: int
    ranks: Floats


@njit(nogil=True, cache=True, error_model="numpy")
def best_under_cap(sack, cap, room, pattern):
    """The least value under a cap; writes the codes and the pause to `pattern`.

    Returns FAR if nothing keeps the rules. If there are too many labels the value is a bound below
    the least one, and the pattern the best of those that were kept.
    """
    item_start, item_own, item_rest = sack.item_start, sack.item_own, sack.item_rest
    item_use, item_code, forced, ranks = sack.item_use, sack.item_code, sack.forced, sack.ranks
    pause_turn, pause_value, pause_use = sack.pause_turn, sack.pause_value, sack.pause_use
    most, gap, pause_forced = sack.most, sack.gap, sack.pause_forced
    days, waits = item_start.size - 1, gap + 1
    half = (most + 1) * waits  # states are (pause taken, used turns, turns still to wait)
    limit = cap + 1e-9 * (1.0 + cap)
    free, tolled = np.zeros((days + 1, 2 * half)), np.zeros((days + 1, 2 * half))
    path_use = np.zeros((days + 1, 2 * half))
    toll, known = _toll(sack, limit, free, tolled, path_use)
    state, next_state = np.empty(MOST_LABELS, np.int64), np.empty(ROOM, np.int64)
    use, next_use = np.empty(MOST_LABELS), np.empty(ROOM)
    value, next_value = np.empty(MOST_LABELS), np.empty(ROOM)
    came, taken = np.empty(ROOM, np.int32), np.empty(ROOM, np.int32)
    origin = np.empty((days, MOST_LABELS), np.int32)
    action = np.empty((days, MOST_LABELS), np.int32)
    least = np.empty(2 * half)
    state[0], use[0], value[0] = 0, 0.0, 0.0
    count, lost = 1, FAR
    for d in range(days):
        made = 0
        for label in range(count):
            wait, used = state[label] % waits, (state[label] // waits) % (most + 1)
            paused = state[label] // half
            first = state[label] - wait + max(0, wait - 1)
            for entry in range(-1, item_start[d + 1] - item_start[d] + pause_turn.size):
                if entry < pause_turn.size:
                    if forced[d]:
                        continue
                    total, then, after, chosen = use[label], value[label], first, NOTHING
                    if entry >= 0:
                        if paused == 1 or pause_turn[entry] != d:
                            continue
                        total += pause_use[entry]
                        then += pause_value[entry]
                        after, chosen = first + half, -2 - entry
                else:
                    if wait > 0 or used >= most:
                        break
                    chosen = item_start[d] + entry - pause_turn.size
                    total = use[label] + item_use[chosen]
                    then = value[label] + ranks[used] * item_own[chosen] + item_rest[chosen]
                    after = state[label] + waits + gap
                best = then + max(free[d + 1, after], toll * (total - limit) + tolled[d + 1, after])
                if total > limit or best > known + _EVEN * (1.0 + abs(known)):
                    continue
                ahead = path_use[d + 1, after]
                if total + ahead <= limit:
                    known = min(known, then + tolled[d + 1, after] - toll * ahead)
                if made == ROOM:
                    lost = min(lost, best)
                    continue
                next_state[made], next_use[made], next_value[made] = after, total, then
                came[made], taken[made] = label, chosen
                made += 1
        kept = _kept(next_state, next_use, next_value, made, waits, most, least, pause_forced)
        count = min(kept.size, MOST_LABELS)
        for place in range(kept.size):
            one = kept[place]
            if place < MOST_LABELS:
                state[place], use[place] = next_state[one], next_use[one]
                value[place] = next_value[one]
                origin[d, place], action[d, place] = came[one], taken[one]
            else:
                after = next_state[one]
                at_toll = toll * (next_use[one] - limit) + tolled[d + 1, after]
                lost = min(lost, next_value[one] + max(free[d + 1, after], at_toll))
    best, place = FAR, -1
    for label in range(count):
        if value[label] < best and (not pause_forced or state[label] >= half):
            best, place = value[label], label
    pattern[:] = NOTHING
    if place >= 0:
        for d in range(days - 1, -1, -1):
            chosen = action[d, place]
            if chosen >= 0:
                pattern[d * room] = item_code[chosen]
            elif chosen < NOTHING:
                pattern[days * room] = -2 - chosen
            place = origin[d, place]
    return min(best, lost)


@njit(nogil=True, cache=True, error_model="numpy")
def _toll(sack, limit, free, tolled, path_use):
    """The toll on use at which the bound by it is best, and the least value met within the cap.

    Fills in the least values that can follow each state without a toll and with it, and what the
    latter use. The value of a best week as a function of the toll is a line, its slope the use;
    where the steepest line of too much use meets the flattest of little enough, the next toll is
    tried.
    """
    item_start, item_own, item_rest = sack.item_start, sack.item_own, sack.item_rest
    item_use, ranks = sack.item_use, sack.ranks
    pause_value, pause_use = sack.pause_value, sack.pause_use
    days, states = free.shape[0] - 1, free.shape[1]
    most_toll, known = 0.0, FAR
    for item in range(item_start[days]):
        if item_use[item] > 0.0:
            gain = -(ranks[0] * item_own[item] + item_rest[item]) / item_use[item]
            most_toll = max(most_toll, gain)
    for entry in range(pause_use.size):
        if pause_use[entry] > 0.0:
            most_toll = max(most_toll, -pause_value[entry] / pause_use[entry])
    over_value = over_use = under_value = under_use = toll = following = 0.0
    trial = np.zeros((days + 1, states))
    path_use[:] = 0.0
    for step in range(_TOLLS):
        toll = following
        value, use = _week_at(sack, toll, trial, path_use)
        if value >= FAR / 2:
            return 0.0, FAR
        if step == 0:
            free[:] = trial
        tolled[:] = trial
        if use <= limit:
            known = min(known, value)
        if step == 0:
            if use <= limit:
                return 0.0, known
            over_value, over_use, following = value, use, most_toll
            continue
        if step == 1:
            if use > limit:  # what is forced alone uses too much, or almost
                return toll, known
            under_value, under_use = value, use
        elif use <= limit:
            if value + toll * use >= under_value + toll * under_use - _EVEN * (1.0 + abs(value)):
                return toll, known
            under_value, under_use = value, use
        else:
            if value + toll * use >= over_value + toll * over_use - _EVEN * (1.0 + abs(value)):
                return toll, known
            over_value, over_use = value, use
        following = (under_value - over_value) / (over_use - under_use)
    return toll, known


@njit(nogil=True, cache=True, error_model="numpy")
def _week_at(sack, toll, onward, path_use):
    """The value, without the toll, and the use of the best week at a toll and without a cap.

    Fills in the least value that can follow each state before each turn, (D + 1, states), and what
    that uses.
    """
    item_start, item_own, item_rest = sack.item_start, sack.item_own, sack.item_rest
    item_use, forced, ranks = sack.item_use, sack.forced, sack.ranks
    pause_turn, pause_value, pause_use = sack.pause_turn, sack.pause_value, sack.pause_use
    most, gap, pause_forced = sack.most, sack.gap, sack.pause_forced
    days, waits = item_start.size - 1, gap + 1
    half = (most + 1) * waits
    onward[days] = 0.0
    if pause_forced:
        onward[days, :half] = FAR
    for d in range(days - 1, -1, -1):
        pause, pause_worth = NOTHING, FAR
        for entry in range(pause_turn.size):
            worth = pause_value[entry] + toll * pause_use[entry]
            if pause_turn[entry] == d and worth < pause_worth:
                pause, pause_worth = entry, worth
        for used in range(most + 1):
            window, window_worth = NOTHING, FAR
            if used < most:
                for item in range(item_start[d], item_start[d + 1]):
                    worth = ranks[used] * item_own[item] + item_rest[item] + toll * item_use[item]
                    if worth < window_worth:
                        window, window_worth = item, worth
            for wait in range(waits):
                for paused in range(2):
                    idle = paused * half + used * waits + max(0, wait - 1)
                    best, ahead = FAR, 0.0
                    if not forced[d]:
                        best, ahead = onward[d + 1, idle], path_use[d + 1, idle]
                        if paused == 0 and pause >= 0:
                            worth = pause_worth + onward[d + 1, half + idle]
                            if worth < best:
                                best = worth
                                ahead = pause_use[pause] + path_use[d + 1, half + idle]
                    if wait == 0 and window >= 0:
                        after = paused * half + (used + 1) * waits + gap
                        worth = window_worth + onward[d + 1, after]
                        if worth < best:
                            best, ahead = worth, item_use[window] + path_use[d + 1, after]
                    at = paused * half + used * waits + wait
                    onward[d, at], path_use[d, at] = best, ahead
    return onward[0, 0] - toll * path_use[0, 0], path_use[0, 0]


@njit(nogil=True, cache=True, error_model="numpy")
def _kept(state, use, value, made, waits, most, least, pause_forced):
    """The labels that no other dominates, by what they use.

    `least` is room for the least value so far of each state or a freer one. Whoever has not paused
    yet may still do so, unless it must: the turn may be gone.
    """
    least[:] = FAR
    by_value = np.argsort(value[:made], kind="mergesort")
    order = by_value[np.argsort(use[by_value], kind="mergesort")]
    kept = np.empty(made, np.int64)
    count, half = 0, (most + 1) * waits
    for one in order:
        if least[state[one]] <= value[one] + _EVEN:
            continue
        kept[count] = one
        count += 1
        wait, used = state[one] % waits, (state[one] // waits) % (most + 1)
        paused = state[one] // half
        for p in range(paused, paused + 1 if pause_forced else 2):
            for u in range(used, most + 1):
                for w in range(wait, waits):
                    at = p * half + u * waits + w
                    least[at] = min(least[at], value[one])
    return kept[:count]


@njit(nogil=True, cache=True, error_model="numpy")
def undominated(use, own, rest, code, begin, end, low, high):
    """How many items from `begin` up to `end` are worth keeping; moves them to the front.

    One is not if it gains nothing, or if another uses no more and costs no more at the lowest and
    the highest rank.
    """
    order = np.argsort(use[begin:end], kind="mergesort")
    kept = np.zeros(end - begin, np.int64)
    count = 0
    for place in order:
        one = begin + place
        good = low * own[one] + rest[one] < 0.0
        for k in range(count):
            two = kept[k]
            at_low = low * own[two] + rest[two] <= low * own[one] + rest[one] + _EVEN
            if at_low and high * own[two] + rest[two] <= high * own[one] + rest[one] + _EVEN:
                good = False
                break
        if good:
            kept[count] = one
            count += 1
    held = np.sort(kept[:count])
    for k in range(count):
        at = held[k]
        use[begin + k], own[begin + k], rest[begin + k] = use[at], own[at], rest[at]
        code[begin + k] = code[at]
    return count
