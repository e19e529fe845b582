"""The windows of few choosers, all written out, for what looks at them again and again."""

from typing import NamedTuple

import numpy as np
from numba import njit

from loadloom.solvers.kernels.choosers import (
    FREE,
    LISTED,
    NOTHING,
    Codes,
    Flags,
    Floats,
    Indices,
    Turns,
)


class Windows(NamedTuple):
    """The windows of every chooser and turn, W in all, and the pauses after them.

    Those of chooser i in turn d stand from `start[i * D + d]` up to the next start; pause entries
    of `Turns` follow as windows `pause_base + entry`. The relief of window w is
    `relief[at[w] : at[w + 1]]`, in steps from `begin[w]` on (returns negative).
    """

    start: Indices  # (N * D + 1,)
    code: Codes  # (W,)
    cost: Floats  # (W,) at rank 1
    amount: Floats  # (W,)
    budget: Indices  # (W,)
    first: Indices  # (W,) in the turn
    last: Indices  # (W,)
    begin: Indices  # (W,)
    at: Indices  # (W + 1,)
    relief: Floats
    pause_base: int


@njit(nogil=True, cache=True, error_model="numpy")
def _count(turns, i, day):
    """The number of windows of a free turn."""
    steps, total = turns.step_count, 0
    for option in range(turns.option_start[i], turns.option_start[i + 1]):
        if turns.pausing[option]:
            continue
        for first in range(steps):
            begin = day * steps + first
            if begin < turns.earliest[option]:
                continue
            for k in range(min(turns.longest[option], steps - first)):
                if turns.allowed.shape[0] > 0 and not turns.allowed[option, begin + k]:
                    break
                if k + 1 >= turns.shortest[option]:
                    total += 1
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def count_windows(turns):
    """The running number of windows of all turns, (N * D + 1,).

    Those of free turns, and of turns with one listed, which is taken or left; several are not
    written out.
    """
    count, days = turns.mode.shape
    start = np.zeros(count * days + 1, np.int64)
    for i in range(count):
        for d in range(days):
            turn, size = i * days + d, 0
            if turns.mode[i, d] == FREE:
                size = _count(turns, i, d)
            elif turns.mode[i, d] == LISTED:
                size = int(turns.listed_start[turn + 1] - turns.listed_start[turn] == 1)
            start[turn + 1] = start[turn] + size
    return start


def stands(turns: Turns) -> Flags:
    """Whether each turn must hold something that is listed for it, (N, D)."""
    sizes = np.diff(turns.listed_start)
    forced = np.zeros(sizes.size, np.bool_)
    forced[np.repeat(np.arange(sizes.size), sizes)[turns.listed_forced]] = True
    return forced.reshape(turns.mode.shape)


@njit(nogil=True, cache=True, error_model="numpy")
def _write_codes(turns, i, d, at, code):
    steps = turns.step_count
    for option in range(turns.option_start[i], turns.option_start[i + 1]):
        if turns.pausing[option]:
            continue
        local = option - turns.option_start[i]
        for first in range(steps):
            begin = d * steps + first
            if begin < turns.earliest[option]:
                continue
            for k in range(min(turns.longest[option], steps - first)):
                if turns.allowed.shape[0] > 0 and not turns.allowed[option, begin + k]:
                    break
                if k + 1 >= turns.shortest[option]:
                    code[at] = (local * steps + first) * steps + k
                    at += 1


@njit(nogil=True, cache=True, error_model="numpy")
def _window(turns, i, day, code, relief):
    """The cost, amount and number of steps of a window; writes its relief from its begin on."""
    steps, count = turns.step_count, turns.length.size
    option = turns.option_start[i] + code // (steps * steps)
    begin = day * steps + (code // steps) % steps
    end = begin + code % steps + 1
    amount = level = 0.0
    for t in range(begin, end):
        level = min(min(turns.height[i, t], turns.cap[option]), level + turns.rise[option])
        amount += level * turns.length[t]
        relief[t - begin] = turns.weight[i] * level
    last = end
    if turns.back_share[option] > 0.0:
        span = max(0, end + turns.back_steps[option] - count) * turns.usual_length
        last = min(end + turns.back_steps[option], count)
        for t in range(end, last):
            span += turns.length[t]
        for t in range(end, last):
            returned = turns.weight[i] * turns.back_share[option] * amount
            relief[t - begin] = -returned / span if span > 0.0 else 0.0
    cost = turns.factor[i] * (turns.rate[option] * amount + turns.start[option])
    return cost, amount, last - begin


@njit(nogil=True, cache=True, error_model="numpy")
def _pause(turns, i, entry, relief):
    """The cost and amount of a pause; writes its relief in all steps."""
    steps, option, amount = turns.step_count, turns.pause_option[entry], 0.0
    relief[:] = 0.0
    for s in range(steps):
        t = turns.pause_turn[entry] * steps + s
        level = min(turns.height[i, t], turns.cap[option])
        amount += level * turns.length[t]
        relief[t] += turns.weight[i] * level
        if turns.pause_back[entry] >= 0:
            relief[turns.pause_back[entry] * steps + s] -= turns.weight[i] * level
    return turns.factor[i] * (turns.rate[option] * amount + turns.start[option]), amount


@njit(nogil=True, cache=True, error_model="numpy")
def _measure(turns, start, code, price, cost, amount, budget, size, value, begin):
    """Fills in every window and pause, with its value at prices and the steps of its relief."""
    count, days = turns.mode.shape
    steps, total = turns.step_count, turns.length.size
    relief = np.zeros(total)
    for i in range(count):
        line, first_option = turns.line[i], turns.option_start[i]
        for d in range(days):
            turn = i * days + d
            if turns.mode[i, d] == FREE:
                _write_codes(turns, i, d, start[turn], code)
            elif start[turn] < start[turn + 1]:
                code[start[turn]] = turns.listed[turns.listed_start[turn]]
            for w in range(start[turn], start[turn + 1]):
                cost[w], amount[w], size[w] = _window(turns, i, d, code[w], relief)
                begin[w] = d * steps + (code[w] // steps) % steps
                budget[w] = turns.budget[first_option + code[w] // (steps * steps)]
                value[w] = cost[w]
                for k in range(size[w]):
                    value[w] -= price[line, begin[w] + k] * relief[k]
        for entry in range(turns.pause_start[i], turns.pause_start[i + 1]):
            w = start[count * days] + entry
            cost[w], amount[w] = _pause(turns, i, entry, relief)
            budget[w] = turns.budget[turns.pause_option[entry]]
            size[w] = total


@njit(nogil=True, cache=True, error_model="numpy")
def _write_relief(turns, start, code, at, relief):
    count, days = turns.mode.shape
    for i in range(count):
        for d in range(days):
            for w in range(start[i * days + d], start[i * days + d + 1]):
                _window(turns, i, d, code[w], relief[at[w] : at[w + 1]])
        for entry in range(turns.pause_start[i], turns.pause_start[i + 1]):
            w = start[count * days] + entry
            _pause(turns, i, entry, relief[at[w] : at[w + 1]])


def written_out(turns: Turns, price: Floats) -> Windows:
    """All windows, those of a turn by what they gain at prices of each line's relief, (L, T)."""
    steps = turns.step_count
    start = count_windows(turns)
    made, total = int(start[-1]), int(start[-1]) + turns.pause_turn.size
    code, budget = np.zeros(total, np.int32), np.zeros(total, np.int64)
    size, begin = np.zeros(total, np.int64), np.zeros(total, np.int64)
    cost, amount, value = np.zeros(total), np.zeros(total), np.zeros(total)
    _measure(turns, start, code, price, cost, amount, budget, size, value, begin)
    turn = np.repeat(np.arange(start.size - 1), np.diff(start))
    order = np.concatenate((np.lexsort((value[:made], turn)), np.arange(made, total)))
    code, size = code[order], size[order]
    at = np.concatenate(([0], np.cumsum(size)))
    relief = np.zeros(int(at[-1]))
    _write_relief(turns, start, code, at, relief)
    first = (code // steps) % steps
    return Windows(
        start=start,
        code=code,
        cost=cost[order],
        amount=amount[order],
        budget=budget[order],
        first=first.astype(np.int64),
        last=(first + code % steps).astype(np.int64),
        begin=begin[order],
        at=at,
        relief=relief,
        pause_base=made,
    )


def places_of(turns: Turns, windows: Windows, patterns: Codes) -> tuple[Indices, Indices]:
    """The window in each place of each chooser's turns, (N, D * K), and its pause, (N,).

    There is none in turns whose windows are not written out.
    """
    count, days = turns.mode.shape
    room = (patterns.shape[1] - 1) // days
    places = np.full((count, days * room), NOTHING, np.int64)
    for i, at in zip(*np.nonzero(patterns[:, :-1] >= 0), strict=True):
        turn = i * days + at // room
        span = slice(int(windows.start[turn]), int(windows.start[turn + 1]))
        same = np.flatnonzero(windows.code[span] == patterns[i, at])
        if same.size:
            places[i, at] = span.start + same[0]
    return places, patterns[:, -1].astype(np.int64)


@njit(nogil=True, cache=True, error_model="numpy")
def _beats(one, other, at, begin, relief, cost, amount, budget, needed, later):
    """Whether a window costs no more than another of its turn, and relieves no less where needed.

    It must not count more against a budget. Of two that are alike, the one that does not stand
    later beats the other.
    """
    if cost[one] > cost[other]:
        return False
    alike = cost[one] == cost[other]
    if budget[one] >= 0:
        if budget[one] != budget[other] or amount[one] > amount[other]:
            return False
        alike = alike and amount[one] == amount[other]
    elif budget[other] >= 0:
        alike = False
    low = min(begin[one], begin[other])
    high = max(begin[one] + at[one + 1] - at[one], begin[other] + at[other + 1] - at[other])
    for t in range(low, high):
        if not needed[t]:
            continue
        mine = theirs = 0.0
        if begin[one] <= t < begin[one] + at[one + 1] - at[one]:
            mine = relief[at[one] + t - begin[one]]
        if begin[other] <= t < begin[other] + at[other + 1] - at[other]:
            theirs = relief[at[other] + t - begin[other]]
        if mine < theirs:
            return False
        alike = alike and mine == theirs
    return not alike or not later


@njit(nogil=True, cache=True, error_model="numpy")
def _mark_beaten(start, begin, at, relief, cost, amount, budget, needed, line, days, beaten):
    for turn in range(start.size - 1):
        steps = needed[line[turn // days]]
        for other in range(start[turn], start[turn + 1]):
            useful = False
            for k in range(at[other + 1] - at[other]):
                useful = useful or (relief[at[other] + k] > 0.0 and steps[begin[other] + k])
            beaten[other] = not useful
            for one in range(start[turn], start[turn + 1]):
                if beaten[other]:
                    break
                if one != other and not beaten[one]:
                    later = one > other
                    beaten[other] = _beats(
                        one, other, at, begin, relief, cost, amount, budget, steps, later
                    )


def dominated(turns: Turns, windows: Windows, needed: Flags) -> Flags:
    """Whether another window of the same turn costs no more and relieves no less, or nothing does.

    `needed` is whether relief can be of use to choosers of a line in a step, (L, T).
    """
    beaten = np.zeros(windows.pause_base, np.bool_)
    _mark_beaten(
        windows.start,
        windows.begin,
        windows.at,
        windows.relief,
        windows.cost,
        windows.amount,
        windows.budget,
        needed,
        turns.line,
        turns.mode.shape[1],
        beaten,
    )
    return beaten
