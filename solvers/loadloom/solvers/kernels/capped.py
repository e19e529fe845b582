"""The best turns of a chooser whose use of a resource is capped over all turns together.

A label is what has been chosen so far: used turns, turns still to wait, pause taken, resource used
and value. Of two labels alike in the first three, one that uses no less and costs no less is
dropped; all others are kept, so that the answer is exact. Choosers under a cap take one window a
turn.
"""

import numpy as np
from numba import njit

FAR, NOTHING = 1e300, -1  # as in `turns`, which imports this file

MOST_LABELS = 4_000
"""The most labels of a turn; beyond them the least value is that without a cap, which still
bounds, and the pattern the best of the labels kept."""

_EVEN = 1e-12


@njit(nogil=True, cache=True, error_model="numpy")
def best_under_cap(
    item_start,
    item_own,
    item_rest,
    item_use,
    item_code,
    forced,
    pause_turn,
    pause_value,
    pause_use,
    pause_forced,
    most,
    gap,
    ranks,
    cap,
    room,
    pattern,
):
    """The least value under a cap; writes the codes and the pause to `pattern`.

    Items of turn d stand from `item_start[d]` on: their cost at rank 1, the rest of their value
    and what they use. A turn that is `forced` has items of which one must be taken. Returns FAR if
    nothing keeps the rules, and whether all labels could be kept.
    """
    days = item_start.size - 1
    size = MOST_LABELS
    used, wait = np.empty((2, size), np.int64), np.empty((2, size), np.int64)
    paused = np.empty((2, size), np.int64)
    use, value = np.empty((2, size)), np.empty((2, size))
    codes = np.empty((2, size, days), np.int32)
    old, count, whole = 0, 1, True
    used[0, 0], wait[0, 0], paused[0, 0] = 0, 0, NOTHING
    use[0, 0], value[0, 0] = 0.0, 0.0
    codes[0, 0, :] = NOTHING
    for d in range(days):
        new, made = 1 - old, 0
        for label in range(count):
            for entry in range(-2, pause_turn.size):
                # -2: nothing, -1: the items, 0 and on: pauses.
                if entry == -2 and forced[d]:
                    continue
                if entry == -1:
                    if wait[old, label] > 0 or used[old, label] >= most:
                        continue
                    rank = ranks[used[old, label]]
                    for item in range(item_start[d], item_start[d + 1]):
                        total = use[old, label] + item_use[item]
                        worth = rank * item_own[item] + item_rest[item]
                        if total > cap + 1e-9 * (1.0 + cap) or (worth >= 0.0 and not forced[d]):
                            continue
                        if made >= size:
                            whole = False
                            continue
                        used[new, made] = used[old, label] + 1
                        wait[new, made] = gap
                        paused[new, made] = paused[old, label]
                        use[new, made] = total
                        value[new, made] = value[old, label] + worth
                        codes[new, made] = codes[old, label]
                        codes[new, made, d] = item_code[item]
                        made += 1
                    continue
                added, worth = 0.0, 0.0
                if entry >= 0:
                    taken = paused[old, label] >= 0 or pause_turn[entry] != d or forced[d]
                    added, worth = pause_use[entry], pause_value[entry]
                    if taken or use[old, label] + added > cap + 1e-9 * (1.0 + cap):
                        continue
                if made >= size:
                    whole = False
                    continue
                used[new, made] = used[old, label]
                wait[new, made] = max(0, wait[old, label] - 1)
                paused[new, made] = entry if entry >= 0 else paused[old, label]
                use[new, made] = use[old, label] + added
                value[new, made] = value[old, label] + worth
                codes[new, made] = codes[old, label]
                made += 1
        count = _prune(
            used[new],
            wait[new],
            paused[new],
            use[new],
            value[new],
            codes[new],
            made,
            pause_forced,
        )
        old = new
    best, place = FAR, -1
    for label in range(count):
        if value[old, label] < best and (not pause_forced or paused[old, label] >= 0):
            best, place = value[old, label], label
    pattern[:] = NOTHING
    if place >= 0:
        for d in range(days):
            pattern[d * room] = codes[old, place, d]
        pattern[days * room] = paused[old, place]
    return best, whole


@njit(nogil=True, cache=True, error_model="numpy")
def _prune(used, wait, paused, use, value, codes, made, pause_forced):
    """Moves the labels that no other dominates to the front; how many they are."""
    order = np.argsort(use[:made], kind="mergesort")
    keep = np.zeros(made, np.bool_)
    kept = np.zeros(made, np.int64)
    count = 0
    for place in range(made):
        one = order[place]
        good = True
        for k in range(count):
            two = kept[k]
            # Whoever has not paused yet may still do so, unless it must and the turn is gone.
            same = (paused[two] >= 0) == (paused[one] >= 0)
            alike = same or (paused[two] < 0 and not pause_forced)
            alike = alike and used[two] <= used[one]
            if alike and wait[two] <= wait[one] and value[two] <= value[one] + _EVEN:
                good = False
                break
        if good:
            kept[count] = one
            count += 1
            keep[one] = True
    at = 0
    for label in range(made):
        if keep[label]:
            if at != label:
                used[at], wait[at], paused[at] = used[label], wait[label], paused[label]
                use[at], value[at] = use[label], value[label]
                codes[at] = codes[label]
            at += 1
    return at


@njit(nogil=True, cache=True, error_model="numpy")
def undominated(use, own, rest, code, begin, end, low, high):
    """How many items from `begin` up to `end` are worth keeping; moves them to the front.

    One is not if another uses no more and costs no more at the lowest and the highest rank.
    """
    order = np.argsort(use[begin:end], kind="mergesort")
    kept = np.zeros(end - begin, np.int64)
    count = 0
    for place in order:
        one = begin + place
        good = True
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
