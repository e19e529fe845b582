"""What all turns of a chooser together cost where every window is written out and has a worth.

A state is (used turns, turns still to wait, pause taken), as in `turns`; a chooser takes at most
one window a turn. Costs of the turns before a state and after it, both least, tell what the best
pattern costs that holds a given window: what a search may leave out for good follows from that.
"""

import numpy as np
from numba import njit

from loadloom.solvers.kernels.choosers import FAR, NOTHING


@njit(nogil=True, cache=True, error_model="numpy")
def _best_of_turns(start, cost, worth, open_, turn, days, rank, best, which):
    """Fills in the least value of the windows of each turn at each rank, and which one it is."""
    for d in range(days):
        for c in range(rank.size):
            best[d, c], which[d, c] = FAR, NOTHING
        for w in range(start[turn + d], start[turn + d + 1]):
            for c in range(rank.size):
                value = rank[c] * cost[w] - worth[w]
                if open_[c, w] and value < best[d, c]:
                    best[d, c], which[d, c] = value, w


@njit(nogil=True, cache=True, error_model="numpy")
def _forwards(most, gap, rank_class, best, pause_best, must, value):
    """Fills in `value[d, state]`: the least cost of turns before d that leads to a state."""
    days, waits = best.shape[0], gap + 1
    states = (most + 1) * waits * 2
    value[: days + 1, :states] = FAR
    value[0, 0] = 0.0
    for d in range(days):
        for state in range(states):
            now = value[d, state]
            if now >= FAR:
                continue
            paused, wait, used = state % 2, (state // 2) % waits, state // (2 * waits)
            idle = (used * waits + max(wait - 1, 0)) * 2 + paused
            if not must[d]:
                value[d + 1, idle] = min(value[d + 1, idle], now)
            if paused == 0 and not must[d] and pause_best[d] < FAR:
                value[d + 1, idle + 1] = min(value[d + 1, idle + 1], now + pause_best[d])
            if wait == 0 and used < most and best[d, rank_class[used]] < FAR:
                after = ((used + 1) * waits + gap) * 2 + paused
                value[d + 1, after] = min(value[d + 1, after], now + best[d, rank_class[used]])


@njit(nogil=True, cache=True, error_model="numpy")
def _backwards(most, gap, rank_class, best, pause_best, must, must_pause, value):
    """Fills in `value[d, state]`: the least cost of turn d and later ones from a state on."""
    days, waits = best.shape[0], gap + 1
    states = (most + 1) * waits * 2
    for state in range(states):
        value[days, state] = FAR if must_pause and state % 2 == 0 else 0.0
    for d in range(days - 1, -1, -1):
        for state in range(states):
            paused, wait, used = state % 2, (state // 2) % waits, state // (2 * waits)
            idle = (used * waits + max(wait - 1, 0)) * 2 + paused
            least = FAR if must[d] else value[d + 1, idle]
            if paused == 0 and not must[d] and pause_best[d] < FAR:
                least = min(least, value[d + 1, idle + 1] + pause_best[d])
            if wait == 0 and used < most and best[d, rank_class[used]] < FAR:
                after = ((used + 1) * waits + gap) * 2 + paused
                least = min(least, value[d + 1, after] + best[d, rank_class[used]])
            value[d, state] = least


@njit(nogil=True, cache=True, error_model="numpy")
def week_values(
    start,
    cost,
    worth,
    open_,
    pause_base,
    pause_start,
    pause_turn,
    most_turns,
    gaps,
    rank,
    rank_class,
    musts,
    must_pause,
    values,
    taken,
    regret,
):
    """Writes the least value of each chooser, the windows and pauses it takes, and all regrets.

    `worth[w]` is what taking window w earns, `open_[c, w]` whether it may be taken at rank c,
    `musts[i, d]` whether a turn must hold a window, `must_pause[i]` whether a chooser must pause;
    a value is FAR where it cannot. What the best pattern of its chooser costs with it at rank c,
    beyond the best of all, is `regret[c, w]`; that of pauses stands in row 0.
    """
    count, ranks, days = most_turns.size, rank.size, musts.shape[1]
    widest = 2 * (days + 1) * (np.max(gaps) + 1)
    best, which = np.zeros((days, ranks)), np.zeros((days, ranks), np.int64)
    pause_best, pause_which = np.zeros(days), np.zeros(days, np.int64)
    before, behind = np.zeros((days + 1, widest)), np.zeros((days + 1, widest))
    through = np.zeros(ranks)
    taken[:] = False
    for i in range(count):
        turn, most, gap = i * days, min(most_turns[i], days), gaps[i]
        waits = gap + 1
        states = (most + 1) * waits * 2
        _best_of_turns(start, cost, worth, open_, turn, days, rank, best, which)
        pause_best[:] = FAR
        for entry in range(pause_start[i], pause_start[i + 1]):
            w, d = pause_base + entry, pause_turn[entry]
            if open_[0, w] and cost[w] - worth[w] < pause_best[d]:
                pause_best[d], pause_which[d] = cost[w] - worth[w], w
        must = musts[i]
        _forwards(most, gap, rank_class, best, pause_best, must, before)
        _backwards(most, gap, rank_class, best, pause_best, must, must_pause[i], behind)
        least = behind[0, 0]
        values[i] = least
        for d in range(days):
            through[:] = FAR
            pausing = FAR
            for state in range(states):
                if before[d, state] >= FAR:
                    continue
                paused, wait, done = state % 2, (state // 2) % waits, state // (2 * waits)
                idle = (done * waits + max(wait - 1, 0)) * 2 + paused
                if paused == 0 and not must[d]:
                    pausing = min(pausing, before[d, state] + behind[d + 1, idle + 1])
                if wait == 0 and done < most:
                    c = rank_class[done]
                    after = ((done + 1) * waits + gap) * 2 + paused
                    through[c] = min(through[c], before[d, state] + behind[d + 1, after])
            for c in range(ranks):
                for w in range(start[turn + d], start[turn + d + 1]):
                    regret[c, w] = FAR
                    if open_[c, w] and through[c] < FAR:
                        regret[c, w] = through[c] + rank[c] * cost[w] - worth[w] - least
            for entry in range(pause_start[i], pause_start[i + 1]):
                if pause_turn[entry] == d:
                    w = pause_base + entry
                    regret[0, w] = FAR
                    if open_[0, w] and pausing < FAR:
                        regret[0, w] = pausing + cost[w] - worth[w] - least
        if least < FAR:
            _take(most, gap, rank_class, best, which, pause_best, pause_which, must, behind, taken)


@njit(nogil=True, cache=True, error_model="numpy")
def _take(most, gap, rank_class, best, which, pause_best, pause_which, must, behind, taken):
    """Marks the windows and the pause on the way of least cost; doing nothing comes first."""
    days, waits, state = best.shape[0], gap + 1, 0
    for d in range(days):
        paused, wait, used = state % 2, (state // 2) % waits, state // (2 * waits)
        idle = (used * waits + max(wait - 1, 0)) * 2 + paused
        least, move = FAR if must[d] else behind[d + 1, idle], 0
        if paused == 0 and not must[d] and pause_best[d] < FAR:
            pausing = behind[d + 1, idle + 1] + pause_best[d]
            if pausing < least:
                least, move = pausing, 1
        if wait == 0 and used < most:
            c = rank_class[used]
            after = ((used + 1) * waits + gap) * 2 + paused
            if best[d, c] < FAR and behind[d + 1, after] + best[d, c] < least:
                move = 2
        if move == 2:
            taken[which[d, rank_class[used]]] = True
            state = ((used + 1) * waits + gap) * 2 + paused
        elif move == 1:
            taken[pause_which[d]] = True
            state = idle + 1
        else:
            state = idle
