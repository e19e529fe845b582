"""The best times to be on, by dynamic programming over a line of steps.

`best_hours` chooses each step of a window, on or off, where stays have least lengths; with F[t, r]
the least cost from step t on when it is off and free to start, after r steps on, and N[t, r] when
it is on and free to stop,

    F[t, r] = min(off[t] + F[t+1, r],
                  start_cost + on[t..t+least_on) + N[t+least_on, r+least_on])
    N[t, r] = min(on[t] + N[t+1, r+1], off[t..t+least_off) + F[t+least_off, r])

which is O(T * R). `best_starts` chooses starts of runs of which none overlaps another.
"""

import numpy as np
from numba import njit

_FAR = np.inf


@njit(nogil=True, cache=True, error_model="numpy")
def best_hours(
    on_cost, off_cost, least_on, least_off, start_cost, end_cost, running, held, on
):  # fmt: skip
    """Writes to `on` (T,) which steps are on; the least cost, or inf where no choice is allowed.

    Costs of a step are `on_cost` and `off_cost` (T,), and `end_cost` (R + 1,) that of the number of
    steps on in the end, at most R. Before the first step it is on if it is `running`, and stays as
    it is for `held` steps. A stay that is on ends within the steps, one that is off need not.
    """
    count, most = on_cost.size, end_cost.size - 1
    ons, offs = np.zeros(count + 1), np.zeros(count + 1)
    for t in range(count):
        ons[t + 1] = ons[t] + on_cost[t]
        offs[t + 1] = offs[t] + off_cost[t]
    free, busy = np.full((count + 1, most + 1), _FAR), np.full((count + 1, most + 1), _FAR)
    free[count] = end_cost
    busy[count] = end_cost
    for t in range(count - 1, -1, -1):
        again = min(t + least_off, count)
        rest = offs[again] - offs[t]
        for r in range(most + 1):
            best = off_cost[t] + free[t + 1, r]
            if t + least_on <= count and r + least_on <= most:
                run = start_cost + (ons[t + least_on] - ons[t])
                best = min(best, run + busy[t + least_on, r + least_on])
            free[t, r] = best
            best = rest + free[again, r]
            if r < most:
                best = min(best, on_cost[t] + busy[t + 1, r + 1])
            busy[t, r] = best
    t, r = held, 0
    on[:] = 0.0
    cost = offs[held]
    if running:
        if held > most:
            return _FAR
        on[:held] = 1.0
        r, cost = held, ons[held]
    cost += busy[t, r] if running else free[t, r]
    if cost == _FAR:
        return cost
    while t < count:
        if running:
            again = min(t + least_off, count)
            if busy[t, r] == (offs[again] - offs[t]) + free[again, r]:
                t, running = again, False
            else:
                on[t] = 1.0
                t, r = t + 1, r + 1
        elif free[t, r] == off_cost[t] + free[t + 1, r]:
            t += 1
        else:
            on[t : t + least_on] = 1.0
            t, r, running = t + least_on, r + least_on, True
    return cost


@njit(nogil=True, cache=True, error_model="numpy")
def best_starts(cost, following, most, missed_cost, chosen):
    """Writes to `chosen` (n,) which starts are made; the least cost, or inf if none is allowed.

    At most `most` are made, and each that is not costs `missed_cost`. Start i costs `cost[i]`, and
    the next one can be `following[i]` or later.
    """
    count = cost.size
    value = np.full((count + 1, most + 1), _FAR)
    for left in range(most + 1):
        value[count, left] = missed_cost * left if left > 0 else 0.0
    for i in range(count - 1, -1, -1):
        value[i, 0] = 0.0
        for left in range(1, most + 1):
            made = cost[i] + value[following[i], left - 1]
            value[i, left] = min(made, value[i + 1, left])
    chosen[:] = 0.0
    i, left = 0, most
    while i < count and left > 0 and value[i, left] < _FAR:
        if value[i, left] == value[i + 1, left]:
            i += 1
        else:
            chosen[i] = 1.0
            i, left = following[i], left - 1
    return value[0, most]
