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

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from loadloom.solvers.kernels.capped import best_under_cap, undominated

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Codes = NDArray[np.int32]
Flags = NDArray[np.bool_]

CLOSED, FREE, LISTED = 0, 1, 2
"""What a chooser may do in a turn: nothing, any window, a subset of the windows listed for it."""

NOTHING = -1
"""The code of no window and no pause."""

FAR = 1e300
"""Beyond every value."""


class Turns(NamedTuple):
    """N choosers, D turns of S steps, T = D * S steps, M options, C distinct rank factors, L lines.

    Line 0 is common to all; a chooser with `line` above 0 relieves that line's rows as well.
    """

    step_count: int
    length: Floats  # (T,)
    usual_length: float  # of steps after the last
    height: Floats  # (N, T)
    weight: Floats  # (N,) the share of the relief that counts
    line: Indices  # (N,)
    most_turns: Indices  # (N,)
    most_windows: Indices  # (N,)
    gap: Indices  # (N,)
    factor: Floats  # (N,)
    rank: Floats  # (C,) ascending
    rank_class: Indices  # (D,) the rank of the j-th used turn
    mode: NDArray[np.uint8]  # (N, D)
    option_start: Indices  # (N + 1,)
    cap: Floats  # (M,)
    rate: Floats  # (M,)
    start: Floats  # (M,)
    shortest: Indices  # (M,)
    longest: Indices  # (M,)
    rise: Floats  # (M,)
    back_share: Floats  # (M,)
    back_steps: Indices  # (M,)
    earliest: Indices  # (M,) the first step in which a window may begin
    pausing: Flags  # (M,) whether the option is taken by pauses alone
    budget: Indices  # (M,) the budget that amounts count against, -1 for none
    use: Floats  # (M,) what an amount uses of its chooser's limit
    limit: Floats  # (N,) the most that a chooser may use; inf for no limit
    allowed: Flags  # (M, T), or (0, T) where all steps are allowed
    listed_start: Indices  # (N * D + 1,)
    listed: Codes  # the codes of the windows listed for a turn
    listed_forced: Flags
    pause_start: Indices  # (N + 1,)
    pause_turn: Indices
    pause_back: Indices  # the turn in which it returns, -1 for none
    pause_option: Indices
    pause_forced: Flags


class Gains(NamedTuple):
    """What relief is worth: at prices, or (`lacking`) what it spares of what the rows still lack.

    With prices, `table[l, PRICE, t]` is that of a unit of relief to a chooser of line l, and
    `summed` its running sum from 0. Otherwise row (l, t) lacks `table[l, LACK, t]`, and the next
    unit of it costs nothing below LOW, PENALTY above HIGH, and evenly more in between.
    """

    lacking: bool
    table: Floats  # (L, 4, T)
    summed: Floats  # (L, T + 1)
    toll: Floats  # (M,)


PRICE, LACK, PENALTY, LOW, HIGH = 0, 0, 1, 2, 3


@njit(nogil=True, cache=True, error_model="numpy")
def lack_cost(lack, penalty, low, high):
    """What a row costs that lacks so much."""
    if lack <= low:
        return 0.0
    if lack >= high:
        return penalty * (lack - 0.5 * (low + high))
    return 0.5 * penalty * (lack - low) * (lack - low) / (high - low)


@njit(nogil=True, cache=True, error_model="numpy")
def _spared(rows, t, relief):
    lack, penalty, low, high = rows[LACK, t], rows[PENALTY, t], rows[LOW, t], rows[HIGH, t]
    return lack_cost(lack, penalty, low, high) - lack_cost(lack - relief, penalty, low, high)


@njit(nogil=True, cache=True, error_model="numpy")
def _worth(lacking, common, own, line, t, relief):
    """The gain of relief in a step, negative relief included."""
    if not lacking:
        return own[PRICE, t] * relief
    worth = _spared(common, t, relief)
    if line > 0:
        worth += _spared(own, t, relief)
    return worth


@njit(nogil=True, cache=True, error_model="numpy")
def _back_length(length, usual, steps, end):
    """The time over which what is taken before step `end` returns."""
    last = end + steps
    total = max(0, last - length.size) * usual
    for t in range(end, min(last, length.size)):
        total += length[t]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _return_cost(length, usual, lacking, common, own, summed, line, steps, end, returned):
    """What it costs that a weighted amount returns after a window that ends before step `end`."""
    count = length.size
    first, last = min(end, count), min(end + steps, count)
    span = _back_length(length, usual, steps, end)
    if first >= last or span <= 0.0:
        return 0.0
    power = returned / span
    if not lacking:
        return power * (summed[last] - summed[first])
    cost = 0.0
    for t in range(first, last):
        cost -= _worth(lacking, common, own, line, t, -power)
    return cost


# The columns of a chooser's options while it chooses: one table instead of many columns, since
# a compiled call counts a reference to each array that it is handed.
_CAP, _RATE, _START, _SHORTEST, _LONGEST, _RISE, _SHARE, _STEPS, _EARLIEST, _TOLL = range(10)


@njit(nogil=True, cache=True, error_model="numpy")
def _hopeless(
    option,
    factor,
    height,
    length,
    lacking,
    common,
    own,
    line,
    weight,
    begin,
    gained,
    amounts,
    ahead,
):
    """Whether no window of an option in a turn can gain more than it costs at the lowest rank.

    Writes what each step gains and amounts to at full relief, and what the best run of steps from
    it on would. Runs are without regard to lengths, returns and, if there is a rise, of gainful
    steps alone; each only raises the gain.
    """
    rate, cap = factor * option[_RATE] + option[_TOLL], option[_CAP]
    steep = option[_RISE] < FAR
    run = best = 0.0
    for s in range(gained.size - 1, -1, -1):
        t = begin + s
        relief = min(height[t], cap)
        gained[s] = _worth(lacking, common, own, line, t, weight * relief)
        amounts[s] = relief * length[t]
        net = gained[s]
        if not (steep and lacking):
            net -= rate * amounts[s]
        run = run + max(net, 0.0) if steep else net + max(run, 0.0)
        ahead[s] = run
        best = max(best, run)
    return best <= factor * option[_START]


@njit(nogil=True, cache=True, error_model="numpy")
def _singles(
    steps,
    options,
    taken,
    mode,
    length,
    usual,
    height,
    allowed,
    offset,
    lacking,
    common,
    own,
    summed,
    line,
    weight,
    factor,
    rank,
    best,
    code,
):
    """The best window of every free turn for each rank, one window a turn."""
    masked = allowed.shape[0] > 0
    gained, amounts, ahead = np.empty(steps), np.empty(steps), np.empty(steps)
    dearest = rank.size - 1
    for day in range(mode.size):
        if mode[day] != FREE:
            continue
        dawn = day * steps
        if not lacking and summed[dawn + steps] <= summed[dawn]:
            continue  # Prices are never negative: nothing is gained in this turn.
        for local in range(taken):
            option = options[local]
            shortest, earliest = int(option[_SHORTEST]), int(option[_EARLIEST])
            if earliest >= dawn + steps or _hopeless(
                option,
                factor * rank[0],
                height,
                length,
                lacking,
                common,
                own,
                line,
                weight,
                dawn,
                gained,
                amounts,
                ahead,
            ):
                continue
            longest, cap, rise = int(option[_LONGEST]), option[_CAP], option[_RISE]
            share, back_steps, toll = option[_SHARE], int(option[_STEPS]), option[_TOLL]
            least = factor * rank[0] * option[_START]
            for first in range(max(0, earliest - dawn), steps - shortest + 1):
                # The best at the dearest rank is the least gain of all: who cannot beat it at the
                # cheapest rank beats nothing.
                if least - ahead[first] >= best[day, dearest]:
                    continue
                amount = gain = level = 0.0
                for k in range(min(longest, steps - first)):
                    t = dawn + first + k
                    if masked and not allowed[offset + local, t]:
                        break
                    if rise < FAR:
                        level = min(min(height[t], cap), level + rise)
                        amount += level * length[t]
                        gain += _worth(lacking, common, own, line, t, weight * level)
                    else:
                        amount += amounts[first + k]
                        gain += gained[first + k]
                    if k + 1 < shortest:
                        continue
                    rest = toll * amount - gain
                    cost = factor * (option[_RATE] * amount + option[_START])
                    if rank[0] * cost + rest >= best[day, dearest]:
                        continue  # The same, and what returns only costs.
                    if share > 0.0:
                        rest += _return_cost(
                            length,
                            usual,
                            lacking,
                            common,
                            own,
                            summed,
                            line,
                            back_steps,
                            t + 1,
                            weight * share * amount,
                        )
                    for c in range(rank.size):
                        value = rank[c] * cost + rest
                        if value < best[day, c]:
                            best[day, c] = value
                            code[day, c, 0] = (local * steps + first) * steps + k


@njit(nogil=True, cache=True, error_model="numpy")
def _several(turns, gains, i, day, best, code, table, made):
    """The best set of windows of a turn for each rank, by the best window for each pair of ends."""
    steps, most = turns.step_count, min(turns.most_windows[i], (turns.step_count + 1) // 2)
    for c in range(turns.rank.size):
        table[:] = FAR
        _fill(turns, gains, i, day, turns.rank[c], table, made)
        best[c] = _packed(steps, most, table, made, code[c])


@njit(nogil=True, cache=True, error_model="numpy")
def _fill(turns, gains, i, day, rank, table, made):
    """Writes the least value of a window [first, last] and its code."""
    steps, line, weight = turns.step_count, turns.line[i], turns.weight[i]
    lacking, common, own = gains.lacking, gains.table[0], gains.table[line]
    masked = turns.allowed.shape[0] > 0
    for option in range(turns.option_start[i], turns.option_start[i + 1]):
        if turns.pausing[option]:
            continue
        local = option - turns.option_start[i]
        for first in range(steps):
            begin = day * steps + first
            if begin < turns.earliest[option]:
                continue
            amount = gain = level = 0.0
            for k in range(min(turns.longest[option], steps - first)):
                t = begin + k
                if masked and not turns.allowed[option, t]:
                    break
                level = min(min(turns.height[i, t], turns.cap[option]), level + turns.rise[option])
                amount += level * turns.length[t]
                gain += _worth(lacking, common, own, line, t, weight * level)
                if k + 1 < turns.shortest[option]:
                    continue
                cost = turns.factor[i] * (turns.rate[option] * amount + turns.start[option])
                value = rank * cost + gains.toll[option] * amount - gain
                if turns.back_share[option] > 0.0:
                    value += _return_cost(
                        turns.length,
                        turns.usual_length,
                        lacking,
                        common,
                        own,
                        gains.summed[line],
                        line,
                        turns.back_steps[option],
                        t + 1,
                        weight * turns.back_share[option] * amount,
                    )
                if value < table[first, first + k]:
                    table[first, first + k] = value
                    made[first, first + k] = (local * steps + first) * steps + k


@njit(nogil=True, cache=True, error_model="numpy")
def _packed(steps, most, table, made, code):
    """The least value of at most `most` windows with a free step between them, and their codes.

    least[e, b] is that of e windows that end before step b; from[e, b] the window that ends there.
    """
    least = np.zeros((most + 1, steps + 1))
    begun = np.full((most + 1, steps + 1), -1, np.int64)
    for e in range(1, most + 1):
        for b in range(1, steps + 1):
            least[e, b] = least[e, b - 1]
            for first in range(b):
                value = table[first, b - 1] + least[e - 1, max(first - 1, 0)]
                if value < least[e, b]:
                    least[e, b] = value
                    begun[e, b] = first
    code[:] = NOTHING
    e, b = most, steps
    while e > 0 and b > 0:
        first = begun[e, b]
        if first < 0:
            b -= 1
        else:
            e -= 1
            code[e] = made[first, b - 1]
            b = max(first - 1, 0)
    return least[most, steps]


@njit(nogil=True, cache=True, error_model="numpy")
def _window(turns, gains, i, day, code):
    """What a window costs its chooser at rank 1, the rest of its value, and what it uses."""
    steps, line = turns.step_count, turns.line[i]
    lacking, common, own = gains.lacking, gains.table[0], gains.table[line]
    option = turns.option_start[i] + code // (steps * steps)
    first, count = (code // steps) % steps, code % steps + 1
    end = day * steps + first + count
    amount = gain = level = 0.0
    for t in range(end - count, end):
        level = min(min(turns.height[i, t], turns.cap[option]), level + turns.rise[option])
        amount += level * turns.length[t]
        gain += _worth(lacking, common, own, line, t, turns.weight[i] * level)
    rest = gains.toll[option] * amount - gain
    if turns.back_share[option] > 0.0:
        rest += _return_cost(
            turns.length,
            turns.usual_length,
            lacking,
            common,
            own,
            gains.summed[line],
            line,
            turns.back_steps[option],
            end,
            turns.weight[i] * turns.back_share[option] * amount,
        )
    cost = turns.factor[i] * (turns.rate[option] * amount + turns.start[option])
    return cost, rest, turns.use[option] * amount


@njit(nogil=True, cache=True, error_model="numpy")
def _from_list(turns, gains, i, day, best, code):
    """The best subset of the windows listed for a turn, for each rank; whether one is forced."""
    begin = turns.listed_start[i * turns.mode.shape[1] + day]
    end = turns.listed_start[i * turns.mode.shape[1] + day + 1]
    must = False
    for c in range(turns.rank.size):
        best[c] = 0.0
        code[c, :] = NOTHING
        taken = 0
        for entry in range(begin, end):
            own, rest, _ = _window(turns, gains, i, day, turns.listed[entry])
            value = turns.rank[c] * own + rest
            must = must or turns.listed_forced[entry]
            if value < 0.0 or turns.listed_forced[entry]:
                best[c] += value
                code[c, taken] = turns.listed[entry]
                taken += 1
    return must


@njit(nogil=True, cache=True, error_model="numpy")
def _pause_value(turns, gains, i, entry):
    """The value of a pause."""
    steps, option, line = turns.step_count, turns.pause_option[entry], turns.line[i]
    lacking, common, own = gains.lacking, gains.table[0], gains.table[line]
    amount = gain = 0.0
    for s in range(steps):
        t = turns.pause_turn[entry] * steps + s
        relief = min(turns.height[i, t], turns.cap[option])
        amount += relief * turns.length[t]
        gain += _worth(lacking, common, own, line, t, turns.weight[i] * relief)
        if turns.pause_back[entry] >= 0:
            back = turns.pause_back[entry] * steps + s
            gain += _worth(lacking, common, own, line, back, -turns.weight[i] * relief)
    cost = turns.factor[i] * (turns.rate[option] * amount + turns.start[option])
    return cost + gains.toll[option] * amount - gain


class Work(NamedTuple):
    """Room for one chooser at a time."""

    best: Floats  # (D, C)
    code: Codes  # (D, C, K)
    forced: Flags  # (D,)
    pause: Indices  # (D,) the best pause of each turn
    pause_value: Floats  # (D,)
    value: Floats  # (D + 1, states)
    action: NDArray[np.int8]  # (D, states)
    origin: Indices  # (D, states)
    options: Floats  # (options of one chooser, 10)
    table: Floats  # (S, S)
    made: Codes  # (S, S)


def window_room(turns: Turns) -> int:
    """The number of windows a turn may hold."""
    return max(1, int(min(turns.most_windows.max(), (turns.step_count + 1) // 2)))


def room(turns: Turns) -> Work:
    """Room for a thread."""
    days = turns.mode.shape[1]
    used = int(min(days, turns.most_turns.max())) + 1
    states = used * (int(turns.gap.max()) + 1) * 2
    steps, windows = turns.step_count, window_room(turns)
    if turns.listed.size:
        windows = max(windows, int(np.diff(turns.listed_start).max()))
    return Work(
        best=np.zeros((days, turns.rank.size)),
        code=np.zeros((days, turns.rank.size, windows), np.int32),
        forced=np.zeros(days, np.bool_),
        pause=np.zeros(days, np.int64),
        pause_value=np.zeros(days),
        value=np.zeros((days + 1, states)),
        action=np.zeros((days, states), np.int8),
        origin=np.zeros((days, states), np.int64),
        options=np.zeros((max(1, int(np.diff(turns.option_start).max())), 10)),
        table=np.zeros((steps, steps)),
        made=np.zeros((steps, steps), np.int32),
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
    """The least value of a chooser under a limit; that without it if there are too many labels."""
    days, steps, room = turns.mode.shape[1], turns.step_count, work.code.shape[2]
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
                    own[made], rest[made], use[made] = _window(turns, gains, i, d, code[made])
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
                        own[made], rest[made], use[made] = _window(turns, gains, i, d, code[made])
                        made += 1
            top = turns.rank[turns.rank.size - 1]
            held = undominated(use, own, rest, code, start[d], made, turns.rank[0], top)
            made = start[d] + held
        start[d + 1] = made
    first, last = turns.pause_start[i], turns.pause_start[i + 1]
    pause_value, pause_use = np.zeros(last - first), np.zeros(last - first)
    must = False
    for entry in range(first, last):
        pause_value[entry - first] = _pause_value(turns, gains, i, entry)
        amount, option = 0.0, turns.pause_option[entry]
        for s in range(steps):
            t = turns.pause_turn[entry] * steps + s
            amount += min(turns.height[i, t], turns.cap[option]) * turns.length[t]
        pause_use[entry - first] = turns.use[option] * amount
        must = must or turns.pause_forced[entry]
    least, whole = best_under_cap(
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
        turns.limit[i],
        room,
        pattern,
    )
    if not whole:
        # A bound must hold: what could be gained without the limit.
        free = np.empty_like(pattern)
        return min(least, _choose_free(turns, gains, i, work, free))
    return least


@njit(nogil=True, cache=True, error_model="numpy")
def _look(turns, gains, i, work):
    """Fills in what the free turns of a chooser are worth that takes one window a turn."""
    line, offset, options = turns.line[i], turns.option_start[i], work.options
    taken = turns.option_start[i + 1] - offset
    for local in range(taken):
        o = offset + local
        options[local, _CAP] = turns.cap[o]
        options[local, _RATE] = turns.rate[o]
        options[local, _START] = turns.start[o]
        options[local, _SHORTEST] = turns.shortest[o]
        options[local, _LONGEST] = turns.longest[o]
        options[local, _RISE] = turns.rise[o]
        options[local, _SHARE] = turns.back_share[o]
        options[local, _STEPS] = turns.back_steps[o]
        options[local, _EARLIEST] = turns.length.size if turns.pausing[o] else turns.earliest[o]
        options[local, _TOLL] = gains.toll[o]
    _singles(
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
            work.forced[d] = _from_list(turns, gains, i, d, work.best[d], work.code[d])
        elif turns.mode[i, d] == FREE and turns.most_windows[i] > 1:
            _several(turns, gains, i, d, work.best[d], work.code[d], work.table, work.made)


@njit(nogil=True, cache=True, error_model="numpy")
def _look_at_pauses(turns, gains, i, work):
    """Fills in the best pause of each turn; whether one is forced."""
    must = False
    for entry in range(turns.pause_start[i], turns.pause_start[i + 1]):
        worth, d = _pause_value(turns, gains, i, entry), turns.pause_turn[entry]
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
def weigh(turns, i, pattern, relief, amounts):
    """What a pattern costs its chooser; adds its relief to (T,) and its amounts to the budgets."""
    days, steps = turns.mode.shape[1], turns.step_count
    windows = (pattern.size - 1) // days
    weight, count, used, total = turns.weight[i], turns.length.size, 0, 0.0
    for d in range(days):
        own = 0.0
        any_window = False
        for k in range(windows):
            code = pattern[d * windows + k]
            if code < 0:
                continue
            any_window = True
            option = turns.option_start[i] + code // (steps * steps)
            begin = d * steps + (code // steps) % steps
            end = begin + code % steps + 1
            amount = level = 0.0
            for t in range(begin, end):
                level = min(min(turns.height[i, t], turns.cap[option]), level + turns.rise[option])
                amount += level * turns.length[t]
                relief[t] += weight * level
            own += turns.rate[option] * amount + turns.start[option]
            if turns.budget[option] >= 0:
                amounts[turns.budget[option]] += amount
            if turns.back_share[option] > 0.0:
                span = _back_length(turns.length, turns.usual_length, turns.back_steps[option], end)
                if span > 0.0:
                    power = weight * turns.back_share[option] * amount / span
                    for t in range(end, min(end + turns.back_steps[option], count)):
                        relief[t] -= power
        if any_window:
            total += turns.factor[i] * turns.rank[turns.rank_class[used]] * own
            used += 1
    if pattern[days * windows] >= 0:
        total += _weigh_pause(turns, i, pattern[days * windows], relief, amounts)
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _weigh_pause(turns, i, which, relief, amounts):
    entry, steps = turns.pause_start[i] + which, turns.step_count
    option, amount = turns.pause_option[entry], 0.0
    for s in range(steps):
        t = turns.pause_turn[entry] * steps + s
        level = min(turns.height[i, t], turns.cap[option])
        amount += level * turns.length[t]
        relief[t] += turns.weight[i] * level
        if turns.pause_back[entry] >= 0:
            relief[turns.pause_back[entry] * steps + s] -= turns.weight[i] * level
    if turns.budget[option] >= 0:
        amounts[turns.budget[option]] += amount
    return turns.factor[i] * (turns.rate[option] * amount + turns.start[option])


@njit(nogil=True, cache=True, error_model="numpy")
def choose_range(turns, gains, begin, end, work, values, patterns):
    """Writes the least value and the pattern of choosers `begin` up to `end`."""
    for i in range(begin, end):
        values[i] = choose(turns, gains, i, work, patterns[i])


@njit(nogil=True, cache=True, error_model="numpy")
def weigh_range(turns, begin, end, patterns, costs, activity, amounts):
    """Writes the costs of patterns of choosers `begin` up to `end`; adds up activity (L, T)."""
    count = turns.length.size
    relief = np.zeros(count)
    for i in range(begin, end):
        relief[:] = 0.0
        costs[i] = weigh(turns, i, patterns[i], relief, amounts)
        line = turns.line[i]
        for t in range(count):
            activity[0, t] += relief[t]
            if line > 0:
                activity[line, t] += relief[t]


def pattern_size(turns: Turns) -> int:
    """The number of codes of a pattern: the windows of each turn, and the pause."""
    return turns.mode.shape[1] * room(turns).code.shape[2] + 1


def prices(row_price: Floats, toll: Floats) -> Gains:
    """Gains at given row prices, (L, T), and tolls on the amounts of options, (M,)."""
    lines, steps = row_price.shape
    table = np.zeros((lines, 4, steps))
    table[:, PRICE] = row_price + row_price[0]
    table[0, PRICE] = row_price[0]
    summed = np.zeros((lines, steps + 1))
    summed[:, 1:] = np.cumsum(table[:, PRICE], axis=1)
    return Gains(lacking=False, table=table, summed=summed, toll=toll)


def lacks(lack: Floats, penalty: Floats, low: Floats, high: Floats, toll: Floats) -> Gains:
    """Gains by what the rows lack, all (L, T), and tolls on the amounts of options, (M,)."""
    table = np.stack((lack, penalty, low, high), axis=1)
    summed = np.zeros((lack.shape[0], lack.shape[1] + 1))
    return Gains(lacking=True, table=table, summed=summed, toll=toll)


@njit(nogil=True, cache=True, error_model="numpy")
def put(turns, i, relief, sign, table):
    """Adds the relief of a chooser, times a sign, to what the rows lack."""
    line = turns.line[i]
    for t in range(relief.size):
        table[0, LACK, t] += sign * relief[t]
        if line > 0:
            table[line, LACK, t] += sign * relief[t]


@njit(nogil=True, cache=True, error_model="numpy")
def change_in_cost(turns, gains, i, relief):
    """How much more the rows cost without a relief than with it."""
    total, line = 0.0, turns.line[i]
    common, own = gains.table[0], gains.table[line]
    for t in range(relief.size):
        if relief[t] != 0.0:
            total += _worth(gains.lacking, common, own, line, t, relief[t])
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def respond(turns, gains, order, work, patterns, costs, amounts, over, dear):
    """Lets choosers respond in turn to what all others do; the sum of what that gains.

    `gains` must say what the rows lack under `patterns`, and is kept up to date, as are `costs`
    and the budgets' `amounts`. Amounts beyond `over` cost `dear` each. A response is taken if it
    is cheaper when weighed, which also covers what `choose` leaves out.
    """
    count, size = turns.length.size, patterns.shape[1]
    old, new = np.zeros(count), np.zeros(count)
    trial = np.zeros(size, np.int32)
    before, after = np.zeros(amounts.size), np.zeros(amounts.size)
    gained = 0.0
    for i in order:
        old[:] = 0.0
        before[:] = 0.0
        now = weigh(turns, i, patterns[i], old, before)
        put(turns, i, old, 1.0, gains.table)
        choose(turns, gains, i, work, trial)
        new[:] = 0.0
        after[:] = 0.0
        then = weigh(turns, i, trial, new, after)
        saved = now - then
        saved += change_in_cost(turns, gains, i, new) - change_in_cost(turns, gains, i, old)
        for b in range(amounts.size):
            rest = amounts[b] - before[b] - over[b]
            saved += dear[b] * (max(rest + before[b], 0.0) - max(rest + after[b], 0.0))
        if saved > 1e-9 * (1.0 + abs(now)):
            gained += saved
            patterns[i] = trial
            costs[i] = then
            put(turns, i, new, -1.0, gains.table)
            amounts += after - before
        else:
            put(turns, i, old, -1.0, gains.table)
    return gained


@njit(nogil=True, cache=True, error_model="numpy")
def turn_cost(turns, i, day, codes):
    """What the windows of one turn cost their chooser at rank 1."""
    steps, total = turns.step_count, 0.0
    for code in codes:
        if code < 0:
            continue
        option = turns.option_start[i] + code // (steps * steps)
        begin = day * steps + (code // steps) % steps
        amount = level = 0.0
        for t in range(begin, begin + code % steps + 1):
            level = min(min(turns.height[i, t], turns.cap[option]), level + turns.rise[option])
            amount += level * turns.length[t]
        total += turns.factor[i] * (turns.rate[option] * amount + turns.start[option])
    return total
