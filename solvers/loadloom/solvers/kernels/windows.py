"""The best windows of a single turn, for every rank, and what each is worth."""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.choosers import (
    FAR,
    FREE,
    HIGH,
    LACK,
    LOW,
    NOTHING,
    PENALTY,
    PRICE,
)


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
def gain_of(lacking, common, own, line, t, relief):
    """The gain of relief in a step, negative relief included."""
    if not lacking:
        return own[PRICE, t] * relief
    worth = _spared(common, t, relief)
    if line > 0:
        worth += _spared(own, t, relief)
    return worth


@njit(nogil=True, cache=True, error_model="numpy")
def back_length(length, usual, steps, end):
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
    span = back_length(length, usual, steps, end)
    if first >= last or span <= 0.0:
        return 0.0
    power = returned / span
    if not lacking:
        return power * (summed[last] - summed[first])
    cost = 0.0
    for t in range(first, last):
        cost -= gain_of(lacking, common, own, line, t, -power)
    return cost


# The columns of a chooser's options while it chooses: one table instead of many columns, since
# a compiled call counts a reference to each array that it is handed.
CAP, RATE, START, SHORTEST, LONGEST, RISE, SHARE, STEPS, EARLIEST, TOLL = range(10)


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
    rate, cap = factor * option[RATE] + option[TOLL], option[CAP]
    steep = option[RISE] < FAR
    run = best = 0.0
    for s in range(gained.size - 1, -1, -1):
        t = begin + s
        relief = min(height[t], cap)
        gained[s] = gain_of(lacking, common, own, line, t, weight * relief)
        amounts[s] = relief * length[t]
        net = gained[s]
        if not (steep and lacking):
            net -= rate * amounts[s]
        run = run + max(net, 0.0) if steep else net + max(run, 0.0)
        ahead[s] = run
        best = max(best, run)
    return best <= factor * option[START]


@njit(nogil=True, cache=True, error_model="numpy")
def best_singles(
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
            shortest, earliest = int(option[SHORTEST]), int(option[EARLIEST])
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
            longest, cap, rise = int(option[LONGEST]), option[CAP], option[RISE]
            share, back_steps, toll = option[SHARE], int(option[STEPS]), option[TOLL]
            least = factor * rank[0] * option[START]
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
                        gain += gain_of(lacking, common, own, line, t, weight * level)
                    else:
                        amount += amounts[first + k]
                        gain += gained[first + k]
                    if k + 1 < shortest:
                        continue
                    rest = toll * amount - gain
                    cost = factor * (option[RATE] * amount + option[START])
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
def best_sets(turns, gains, i, day, best, code, table, made):
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
                gain += gain_of(lacking, common, own, line, t, weight * level)
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
def window_value(turns, gains, i, day, code):
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
        gain += gain_of(lacking, common, own, line, t, turns.weight[i] * level)
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
def best_of_list(turns, gains, i, day, best, code):
    """The best subset of the windows listed for a turn, for each rank; whether one is forced."""
    begin = turns.listed_start[i * turns.mode.shape[1] + day]
    end = turns.listed_start[i * turns.mode.shape[1] + day + 1]
    must = False
    for c in range(turns.rank.size):
        best[c] = 0.0
        code[c, :] = NOTHING
        taken = 0
        for entry in range(begin, end):
            own, rest, _ = window_value(turns, gains, i, day, turns.listed[entry])
            value = turns.rank[c] * own + rest
            must = must or turns.listed_forced[entry]
            if value < 0.0 or turns.listed_forced[entry]:
                best[c] += value
                code[c, taken] = turns.listed[entry]
                taken += 1
    return must


@njit(nogil=True, cache=True, error_model="numpy")
def value_of_pause(turns, gains, i, entry):
    """The value of a pause."""
    steps, option, line = turns.step_count, turns.pause_option[entry], turns.line[i]
    lacking, common, own = gains.lacking, gains.table[0], gains.table[line]
    amount = gain = 0.0
    for s in range(steps):
        t = turns.pause_turn[entry] * steps + s
        relief = min(turns.height[i, t], turns.cap[option])
        amount += relief * turns.length[t]
        gain += gain_of(lacking, common, own, line, t, turns.weight[i] * relief)
        if turns.pause_back[entry] >= 0:
            back = turns.pause_back[entry] * steps + s
            gain += gain_of(lacking, common, own, line, back, -turns.weight[i] * relief)
    cost = turns.factor[i] * (turns.rate[option] * amount + turns.start[option])
    return cost + gains.toll[option] * amount - gain
