"""Simulated annealing over the windows of few choosers, where whole numbers are what is hard.

All windows are written out beforehand, those of a turn in the order of what they gain at given
prices, so that a step costs a fraction of a microsecond. A step makes one to three changes, mostly
in one turn or by one chooser, and is taken if it is cheaper or by the chance that the temperature
leaves it. The best answer met is kept.
Randomness is a generator of its own, so that a seed decides everything.
"""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.choosers import NOTHING


@njit(nogil=True, cache=True, error_model="numpy")
def _draw(state):
    """The next random number in [0, 1), by xorshift."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return float(x >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(nogil=True, cache=True, error_model="numpy")
def _below(state, count):
    """A random whole number from 0 up to `count`."""
    return min(int(_draw(state) * count), count - 1)


@njit(nogil=True, cache=True, error_model="numpy")
def _add(at, relief, begin, window, sign, line, lack, penalty, soft):
    """Adds a window's relief, times a sign, to what the rows lack; what that costs, and softly."""
    change, felt, low = 0.0, 0.0, at[window]
    for k in range(at[window + 1] - low):
        value, t = sign * relief[low + k], begin + k
        before = lack[0, t]
        lack[0, t] = before + value
        more = max(before + value, 0.0) - max(before, 0.0)
        change += penalty[0, t] * more
        felt += soft[0, t] * more
        if line > 0:
            before = lack[line, t]
            lack[line, t] = before + value
            more = max(before + value, 0.0) - max(before, 0.0)
            change += penalty[line, t] * more
            felt += soft[line, t] * more
    return change, felt


@njit(nogil=True, cache=True, error_model="numpy")
def _cost_of(places, pause, cost, pause_base, pause_from, fixed, ranks, room, days):
    """What a chooser's windows and pause cost; `fixed` is that of its turns that do not change."""
    total, used = 0.0, 0
    for d in range(days):
        own, taken = fixed[d], fixed[d] >= 0.0
        if not taken:
            own = 0.0
        for k in range(room):
            w = places[d * room + k]
            if w >= 0:
                own += cost[w]
                taken = True
        if taken:
            total += ranks[used] * own
            used += 1
    if pause >= 0:
        total += cost[pause_base + pause_from + pause]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _keeps_rules(places, pause_turn, most, gap, fixed, room, days):
    """Whether the used turns are few and far enough apart, and the pause is in none of them."""
    used, last = 0, -1
    for d in range(days):
        taken = fixed[d] >= 0.0
        for k in range(room):
            taken = taken or places[d * room + k] >= 0
        if taken:
            if pause_turn == d or (last >= 0 and d - last <= gap):
                return False
            used += 1
            last = d
    return used <= most


@njit(nogil=True, cache=True, error_model="numpy")
def _apart(places, day, slot, room, most, window, first, last):
    """Whether a window leaves a free step to the others of its turn, and is not one too many."""
    taken = 1
    for k in range(room):
        other = places[day * room + k]
        if k == slot or other < 0:
            continue
        taken += 1
        if first[window] <= last[other] + 1 and first[other] <= last[window] + 1:
            return False
    return taken <= most


@njit(nogil=True, cache=True, error_model="numpy")
def _proposal(low, high, now, state):
    """A window of a turn, or none: a neighbour in value, one of the best, or any."""
    how = _draw(state)
    if now >= 0 and how < 0.25:
        return NOTHING
    if now >= 0 and how < 0.45:
        return min(max(now + _below(state, 9) - 4, low), high - 1)
    u = _draw(state)
    return low + min(int((high - low) * (u * u * u if how < 0.85 else u)), high - low - 1)


@njit(nogil=True, cache=True, error_model="numpy")
def anneal(
    start,
    cost,
    amount,
    budget,
    first,
    last,
    begins,
    at,
    relief,
    pause_base,
    pause_start,
    pause_turn,
    pause_locked,
    line,
    most_turns,
    most_windows,
    gap,
    ranks,
    fixed,
    steps,
    lack,
    penalty,
    soft,
    amounts,
    over,
    dear,
    worthy,
    places,
    pauses,
    held,
    held_pauses,
    totals,
    state,
    heat,
    steps_at_heat,
):
    """Takes so many steps at one temperature from `places` and `pauses` on.

    `held` and `held_pauses` become the best answer met, if it is better than they are; `totals` is
    by how much this answer and the best one are cheaper than the first, both below 0. `lack` is
    what the rows lack, `penalty` what a unit of that costs, `soft` what it counts for when a step
    is taken, `worthy` the running sum of what relief is worth in each step,
    `fixed[i, d]` the cost of a turn that does not change, -1 for one that may.
    """
    count, days = fixed.shape
    room = places.shape[1] // days
    own = np.zeros(count)
    for i in range(count):
        own[i] = _cost_of(
            places[i], pauses[i], cost, pause_base, pause_start[i], fixed[i], ranks, room, days
        )
    now, best = totals[0], totals[1]
    who, where, old = np.zeros(4, np.int64), np.zeros(4, np.int64), np.zeros(4, np.int64)
    due = np.zeros(4)  # what each changed chooser costs with all changes made
    pause_place = days * room
    for _ in range(steps_at_heat):
        done, change, felt, legal = 0, 0.0, 0.0, True
        kind = _draw(state)
        wanted = 1 if kind < 0.3 else 2 if kind < 0.8 else 3
        i, day = _below(state, count), 0
        for p in range(wanted):
            same = p > 0 and _draw(state) < 0.4
            if p > 0 and not same:
                i = _below(state, count)
            if p == 0 or same or _draw(state) < 0.25:
                # Otherwise another chooser changes in the same turn: they swap their parts.
                spot = _draw(state) * worthy[worthy.size - 1]
                day = min(int(np.searchsorted(worthy, spot)), worthy.size - 1) // steps
            choices = pause_start[i + 1] - pause_start[i]
            pausing = choices > 0 and _draw(state) < 0.08
            if pausing:
                if pause_locked[i]:
                    legal = False
                    break
                before, slot = pauses[i], 0
                after = NOTHING
                if before < 0 or _draw(state) < 0.5:
                    after = _below(state, choices)
                place = pause_place
            else:
                low, high = start[i * days + day], start[i * days + day + 1]
                slot = _below(state, room)
                place = day * room + slot
                if same and _draw(state) < 0.7:
                    # The same chooser takes a window elsewhere and gives one up for it.
                    other = _below(state, days * room)
                    if places[i, other] >= 0:
                        place = other
                        day, slot = other // room, other % room
                        low, high = start[i * days + day], start[i * days + day + 1]
                        low = high
                before = places[i, place]
                if fixed[i, day] >= 0.0:
                    legal = False
                    break
                after = NOTHING if low == high else _proposal(low, high, before, state)
            if after == before:
                continue
            if not pausing and after >= 0:
                most = most_windows[i]
                legal = _apart(places[i], day, slot, room, most, after, first, last)
                if not legal:
                    break
            base = pause_base + pause_start[i] if pausing else 0
            for sign in (1.0, -1.0):
                w = before if sign > 0.0 else after
                if w < 0:
                    continue
                more, of_rows = _add(
                    at, relief, begins[base + w], base + w, sign, line[i], lack, penalty, soft
                )
                change += more
                felt += of_rows
                b = budget[base + w]
                if b >= 0:
                    rest = amounts[b] - over[b]
                    amounts[b] -= sign * amount[base + w]
                    more = dear[b] * (max(amounts[b] - over[b], 0.0) - max(rest, 0.0))
                    change += more
                    felt += more
            if pausing:
                pauses[i] = after
            else:
                places[i, place] = after
            who[done], where[done], old[done] = i, place, before
            done += 1
        for p in range(done):
            if not legal:
                break
            j = who[p]
            turn = -1
            if pauses[j] >= 0:
                turn = pause_turn[pause_start[j] + pauses[j]]
            legal = _keeps_rules(places[j], turn, most_turns[j], gap[j], fixed[j], room, days)
            if (p < 1 or j != who[0]) and (p < 2 or j != who[1]):
                due[p] = _cost_of(
                    places[j],
                    pauses[j],
                    cost,
                    pause_base,
                    pause_start[j],
                    fixed[j],
                    ranks,
                    room,
                    days,
                )
                change += due[p] - own[j]
                felt += due[p] - own[j]
            else:
                due[p] = due[0] if j == who[0] else due[1]
        taken = legal and done > 0
        if taken and felt > 0.0:
            taken = heat > 0.0 and _draw(state) < np.exp(-felt / heat)
        if taken:
            now += change
            for p in range(done):
                own[who[p]] = due[p]
            if now < best - 1e-7:
                best = now
                for j in range(count):
                    held_pauses[j] = pauses[j]
                    for k in range(days * room):
                        held[j, k] = places[j, k]
            continue
        for p in range(done - 1, -1, -1):
            j = who[p]
            pausing = where[p] == pause_place
            base = pause_base + pause_start[j] if pausing else 0
            current = pauses[j] if pausing else places[j, where[p]]
            for sign in (1.0, -1.0):
                w = current if sign > 0.0 else old[p]
                if w < 0:
                    continue
                _add(at, relief, begins[base + w], base + w, sign, line[j], lack, penalty, soft)
                if budget[base + w] >= 0:
                    amounts[budget[base + w]] -= sign * amount[base + w]
            if pausing:
                pauses[j] = old[p]
            else:
                places[j, where[p]] = old[p]
    totals[0], totals[1] = now, best
