"""The best turns of each of many choosers: an exact dynamic programme over windows and turns.

Time is a row of turns, each of the same number of steps. A chooser takes options in windows of
consecutive steps inside a turn, and what it takes relieves the rows of a demand:

    minimise   sum_j factor * rank[j] * (rate * amount + start) of the windows of its j-th used
               turn + toll * amount of every window  -  gain of the relief
    subject to a window of option o: shortest..longest steps, from `earliest` on, in allowed steps
               at most `most_windows` windows a turn, a free step or more between two of them
               at most `most_turns` used turns, `gap` free turns or more between two of them
               at most one pause, in a turn without windows; rank and gap do not see it
               sum use * amount of windows and pause <= limit

The relief in step t of a window is min(height[t], cap, the relief one step earlier + rise), its
amount the sum times `length`, and back_share * amount returns afterwards, evenly over `back_steps`.
A pause relieves all steps of its turn, and the same returns in another turn, if there is one.

The gain is linear in the relief at given prices (a bound must come from these), or what the rows
would cost that still lack something, so that the answer is the best response to all others. That
is exact but for returns that fall on steps with other relief; callers weigh answers by `weigh`.

Every window is tried for every rank. A cheaper window for one rank may lose at another, and a
programme that drops it would overstate the least cost, so that its "bound" bounds nothing.
"""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.capped import Knapsack, best_under_cap, undominated
from loadloom.solvers.kernels.choosers import FAR, FREE, LISTED, NOTHING
from loadloom.solvers.kernels.windows import (
    CAP,
    EARLIEST,
    LONGEST,
    RATE,
    RISE,
    SHARE,
    SHORTEST,
    START,
    STEPS,
    TOLL,
    best_of_list,
    best_sets,
    best_singles,
    value_of_pause,
    window_value,
)


@njit(nogil=True, cache=True, error_model="numpy")
def choose(turns, gains, i, work, pattern):
    """The least value of chooser i; writes its codes, turn by turn, and its pause to `pattern`."""
    if turns.limit[i] < FAR:
        return _choose_capped(turns, gains, i, work, pattern)
    return _choose_free(turns, gains, i, work, pattern)


@njit(nogil=True, cache=True, error_model="numpy")
def _choose_free(turns, gains, i, work, pattern):
    """The least value of a chooser without a limit."""
    days = turns.mode.shape[1]
    mode = turns.mode[i]
    listed = plural = False
    for d in range(days):
        listed = listed or mode[d] == LISTED
        plural = plural or (mode[d] == FREE and turns.most_windows[i] > 1)
    work.best[:] = 0.0
    work.code[:] = NOTHING
    work.forced[:] = False
    if plural or listed:
        _look_slowly(turns, gains, i, work)
    if not plural:
        _look(turns, gains, i, work)
    must_pause = False
    for d in range(days):
        work.pause[d] = NOTHING
    if turns.pause_start[i] < turns.pause_start[i + 1]:
        must_pause = _look_at_pauses(turns, gains, i, work)
    most = min(turns.most_turns[i], days)
    return _week(
        most,
        turns.gap[i],
        turns.rank_class,
        must_pause,
        work.best,
        work.code,
        work.forced,
        work.pause,
        work.pause_value,
        work.value,
        work.action,
        work.origin,
        pattern,
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _choose_capped(turns, gains, i, work, pattern):
    """The least value of a chooser under a limit; a bound below it if there are too many labels."""
    days, steps, room = turns.mode.shape[1], turns.step_count, work.code.shape[2]
    # The best week of all is mostly within the limit, and takes a thousandth of the time.
    free = _choose_free(turns, gains, i, work, pattern)
    if _used(turns, gains, i, room, pattern) <= turns.limit[i]:
        return free
    masked = turns.allowed.shape[0] > 0
    most_items = 0
    for option in range(turns.option_start[i], turns.option_start[i + 1]):
        span = min(turns.longest[option], steps) - turns.shortest[option] + 1
        most_items += max(0, span) * steps
    size = days * max(most_items, 1) + turns.listed.size
    use, own, rest = np.empty(size), np.empty(size), np.empty(size)
    code, start = np.empty(size, np.int32), np.zeros(days + 1, np.int64)
    forced = np.zeros(days, np.bool_)
    for d in range(days):
        made = start[d]
        turn = i * days + d
        if turns.mode[i, d] == LISTED:
            for entry in range(turns.listed_start[turn], turns.listed_start[turn + 1]):
                forced[d] = forced[d] or turns.listed_forced[entry]
            for entry in range(turns.listed_start[turn], turns.listed_start[turn + 1]):
                if turns.listed_forced[entry] or not forced[d]:
                    code[made] = turns.listed[entry]
                    own[made], rest[made], use[made] = window_value(turns, gains, i, d, code[made])
                    made += 1
        elif turns.mode[i, d] == FREE:
            for option in range(turns.option_start[i], turns.option_start[i + 1]):
                if turns.pausing[option]:
                    continue
                local = option - turns.option_start[i]
                for first in range(steps):
                    begin = d * steps + first
                    if begin < turns.earliest[option]:
                        continue
                    for k in range(min(turns.longest[option], steps - first)):
                        if masked and not turns.allowed[option, begin + k]:
                            break
                        if k + 1 < turns.shortest[option]:
                            continue
                        code[made] = (local * steps + first) * steps + k
                        own[made], rest[made], use[made] = window_value(
                            turns, gains, i, d, code[made]
                        )
                        made += 1
            top = turns.rank[turns.rank.size - 1]
            held = undominated(use, own, rest, code, start[d], made, turns.rank[0], top)
            made = start[d] + held
        start[d + 1] = made
    first, last = turns.pause_start[i], turns.pause_start[i + 1]
    pause_value, pause_use = np.zeros(last - first), np.zeros(last - first)
    must = False
    for entry in range(first, last):
        pause_value[entry - first] = value_of_pause(turns, gains, i, entry)
        pause_use[entry - first] = _use_of_pause(turns, i, entry)
        must = must or turns.pause_forced[entry]
    sack = Knapsack(
        start,
        own,
        rest,
        use,
        code,
        forced,
        turns.pause_turn[first:last],
        pause_value,
        pause_use,
        must,
        min(turns.most_turns[i], days),
        turns.gap[i],
        turns.rank[turns.rank_class],
    )
    return best_under_cap(sack, turns.limit[i], room, pattern)


@njit(nogil=True, cache=True, error_model="numpy")
def _used(turns, gains, i, room, pattern):
    """What a pattern uses of its chooser's limit."""
    days, total = turns.mode.shape[1], 0.0
    for d in range(days):
        for k in range(room):
            code = pattern[d * room + k]
            if code >= 0:
                total += window_value(turns, gains, i, d, code)[2]
    if pattern[days * room] >= 0:
        total += _use_of_pause(turns, i, turns.pause_start[i] + pattern[days * room])
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _use_of_pause(turns, i, entry):
    """What a pause uses of its chooser's limit."""
    steps, option, amount = turns.step_count, turns.pause_option[entry], 0.0
    for s in range(steps):
        t = turns.pause_turn[entry] * steps + s
        amount += min(turns.height[i, t], turns.cap[option]) * turns.length[t]
    return turns.use[option] * amount


@njit(nogil=True, cache=True, error_model="numpy")
def _look(turns, gains, i, work):
    """Fills in what the free turns of a chooser are worth that takes one window a turn."""
    line, offset, options = turns.line[i], turns.option_start[i], work.options
    taken = turns.option_start[i + 1] - offset
    for local in range(taken):
        o = offset + local
        options[local, CAP] = turns.cap[o]
        options[local, RATE] = turns.rate[o]
        options[local, START] = turns.start[o]
        options[local, SHORTEST] = turns.shortest[o]
        options[local, LONGEST] = turns.longest[o]
        options[local, RISE] = turns.rise[o]
        options[local, SHARE] = turns.back_share[o]
        options[local, STEPS] = turns.back_steps[o]
        options[local, EARLIEST] = turns.length.size if turns.pausing[o] else turns.earliest[o]
        options[local, TOLL] = gains.toll[o]
    best_singles(
        turns.step_count,
        options,
        taken,
        turns.mode[i],
        turns.length,
        turns.usual_length,
        turns.height[i],
        turns.allowed,
        offset,
        gains.lacking,
        gains.table[0],
        gains.table[line],
        gains.summed[line],
        line,
        turns.weight[i],
        turns.factor[i],
        turns.rank,
        work.best,
        work.code,
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _look_slowly(turns, gains, i, work):
    """Fills in what turns are worth that are listed or may hold several windows."""
    for d in range(turns.mode.shape[1]):
        if turns.mode[i, d] == LISTED:
            work.forced[d] = best_of_list(turns, gains, i, d, work.best[d], work.code[d])
        elif turns.mode[i, d] == FREE and turns.most_windows[i] > 1:
            best_sets(turns, gains, i, d, work.best[d], work.code[d], work.table, work.made)


@njit(nogil=True, cache=True, error_model="numpy")
def _look_at_pauses(turns, gains, i, work):
    """Fills in the best pause of each turn; whether one is forced."""
    must = False
    for entry in range(turns.pause_start[i], turns.pause_start[i + 1]):
        worth, d = value_of_pause(turns, gains, i, entry), turns.pause_turn[entry]
        must = must or turns.pause_forced[entry]
        if work.pause[d] < 0 or worth < work.pause_value[d]:
            work.pause_value[d] = worth
            work.pause[d] = entry - turns.pause_start[i]
    return must


@njit(nogil=True, cache=True, error_model="numpy")
def _week(
    most,
    gap,
    rank_class,
    must_pause,
    best,
    code,
    forced,
    pause,
    pause_value,
    value,
    action,
    origin,
    pattern,
):
    """The least value of all turns together; writes what is chosen to `pattern`.

    States are (used turns, turns still to wait, pause taken); those before turn d are in
    `value[d]`, and what led to them is remembered.
    """
    days, room_of_turn, waits = code.shape[0], code.shape[2], gap + 1
    states = (most + 1) * waits * 2
    value[0, :states] = FAR
    value[0, 0] = 0.0
    for d in range(days):
        value[d + 1, :states] = FAR
        for state in range(states):
            now = value[d, state]
            if now >= FAR:
                continue
            paused, wait, used = state % 2, (state // 2) % waits, state // (2 * waits)
            idle = (used * waits + max(wait - 1, 0)) * 2 + paused
            if not forced[d]:
                if now < value[d + 1, idle]:
                    value[d + 1, idle], action[d, idle], origin[d, idle] = now, 0, state
                if paused == 0 and pause[d] >= 0:
                    total = now + pause_value[d]
                    if total < value[d + 1, idle + 1]:
                        value[d + 1, idle + 1] = total
                        action[d, idle + 1], origin[d, idle + 1] = 2, state
            if wait == 0 and used < most:
                rank = rank_class[used]
                if best[d, rank] < 0.0 or forced[d]:
                    total = now + best[d, rank]
                    after = ((used + 1) * waits + gap) * 2 + paused
                    if total < value[d + 1, after]:
                        value[d + 1, after], action[d, after], origin[d, after] = total, 1, state
    least, state = FAR, -1
    for last in range(states):
        if value[days, last] < least and (last % 2 == 1 or not must_pause):
            least, state = value[days, last], last
    pattern[:] = NOTHING
    if state < 0:
        return FAR
    for d in range(days - 1, -1, -1):
        before = origin[d, state]
        if action[d, state] == 1:
            rank = rank_class[before // (2 * waits)]
            for k in range(room_of_turn):
                pattern[d * room_of_turn + k] = code[d, rank, k]
        elif action[d, state] == 2:
            pattern[days * room_of_turn] = pause[d]
        state = before
    return least


@njit(nogil=True, cache=True, error_model="numpy")
def choose_range(turns, gains, begin, end, work, values, patterns):
    """Writes the least value and the pattern of choosers `begin` up to `end`."""
    for i in range(begin, end):
        values[i] = choose(turns, gains, i, work, patterns[i])
