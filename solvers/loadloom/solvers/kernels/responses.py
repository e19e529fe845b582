"""What choices cost and do, and the best responses of choosers to each other."""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.choosers import LACK
from loadloom.solvers.kernels.turns import choose
from loadloom.solvers.kernels.windows import back_length, gain_of


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
                span = back_length(turns.length, turns.usual_length, turns.back_steps[option], end)
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
            total += gain_of(gains.lacking, common, own, line, t, relief[t])
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
