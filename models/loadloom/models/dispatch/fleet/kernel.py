"""What sites of a fleet answer to prices on top of their own, and their plans from several answers.

Sites are taken LANES at a time, as in `dispatch.kernel`, whose pieces these loops are made of. The
price of a site is the sum of the prices of all nodes above it, in the currency per kWh, and is
added to its buying and its selling price.
"""

import numpy as np
from numba import njit

from loadloom.models.dispatch.kernel import (
    CONVEX,
    INFEASIBLE,
    OPTIMAL,
    first_word,
    lay_out,
    numbers_of,
    room,
    solve_alone,
    solve_general,
)
from loadloom.models.dispatch.stage import settle
from loadloom.solvers.kernels import stock, stocks

_BUY, _SELL = 2, 3
"""The numbers of the prices among the series."""

_DEARER = 1e-6
"""A mean plan that costs this share more than its parts is left for one of them."""


@njit(nogil=True, cache=True, error_model="numpy")
def _space(count, lanes):
    """Room for the sites of all lanes: series, what their stages are made of, and answers."""
    keep, low, high = np.ones((lanes, count)), np.empty((lanes, count)), np.empty((lanes, count))
    first, slope = np.empty((lanes, count)), np.empty((lanes, stock.SEGMENTS, count))
    task = keep, low, high, first, slope, np.empty((lanes, stock.SEGMENTS, count))
    sites, tariff = np.empty((10, lanes, count)), np.empty((2, lanes, count))
    net, pv = np.empty((lanes, count)), np.empty((lanes, count))
    energy, price = np.empty((lanes, count)), np.empty((lanes, count))
    kept, ends, largest = np.zeros((2, lanes)), np.empty((4, lanes)), np.empty(lanes)
    kept[1] = 1.0
    words = np.empty(lanes, np.int64), np.empty(lanes, np.int64), np.empty(lanes, np.bool_)
    return task, sites, tariff, net, pv, energy, price, kept, ends, largest, words


@njit(nogil=True, cache=True, error_model="numpy")
def _fill(matrix, rows, step_h, power, index, sites):
    """Writes one series of some sites to the first lanes, as energies where it holds powers."""
    for lane in range(rows.size):
        at = rows[lane] if matrix.shape[0] > 1 else 0
        if matrix.shape[1] > 1:
            for t in range(step_h.size):
                sites[index, lane, t] = matrix[at, t]
        else:
            value = matrix[at, 0]
            for t in range(step_h.size):
                sites[index, lane, t] = value
        if power:
            for t in range(step_h.size):
                sites[index, lane, t] *= step_h[t]


@njit(nogil=True, cache=True, error_model="numpy")
def _enter(matrices, single, rows, at, step_h, space):
    """Writes all of some sites to the first lanes that does not depend on prices.

    `rows` are their numbers, `single` their single values from row `at` on. All are entered by one
    call: each array that threads share is counted by whoever holds it, and to count takes turns,
    which took most of the time where each site was entered by itself.
    """
    task, sites, tariff, net, pv, _energy, _price, kept, ends, largest, _words = space
    _fill(matrices[0], rows, step_h, True, 0, sites)
    _fill(matrices[1], rows, step_h, True, 1, sites)
    _fill(matrices[3], rows, step_h, False, _BUY, sites)
    _fill(matrices[4], rows, step_h, False, _SELL, sites)
    _fill(matrices[5], rows, step_h, True, 4, sites)
    _fill(matrices[6], rows, step_h, True, 5, sites)
    _fill(matrices[7], rows, step_h, False, 6, sites)
    _fill(matrices[8], rows, step_h, False, 7, sites)
    _fill(matrices[10], rows, step_h, True, 8, sites)
    _fill(matrices[11], rows, step_h, True, 9, sites)
    for lane in range(rows.size):
        numbers = numbers_of(single, at + lane)
        largest[lane] = lay_out(lane, sites, numbers, step_h, net, pv, kept, task, ends)
        for t in range(step_h.size):
            tariff[0, lane, t] = sites[_BUY, lane, t]
            tariff[1, lane, t] = sites[_SELL, lane, t]


@njit(nogil=True, cache=True, error_model="numpy")
def _add_prices(scale, prices, which, space):
    """Sets the prices of the first lanes: their tariff times `scale` and rows of `prices`."""
    sites, tariff = space[1], space[2]
    for lane in range(which.size):
        at = which[lane]
        for t in range(tariff.shape[2]):
            sites[_BUY, lane, t] = scale * tariff[0, lane, t] + prices[at, t]
            sites[_SELL, lane, t] = scale * tariff[1, lane, t] + prices[at, t]


@njit(nogil=True, cache=True, error_model="numpy")
def _solve(single, at, filled, space, alone, together):
    """Solves the sites in the first lanes; what is known of each is left in the words."""
    task, sites, _tariff, net, pv, energy, price, kept, ends, _largest, words = space
    outcomes, missed, convex = words
    convex[:] = False
    for lane in range(filled):
        # A crossing of bounds stands where the gap will be, and is looked at with other prices too.
        numbers = numbers_of(single, at + lane)
        ends[3, lane] = _crossing(lane, task)
        outcomes[lane], missed[lane], which = first_word(
            lane, sites, numbers, net, pv, kept, task, ends
        )
        convex[lane] = outcomes[lane] == OPTIMAL and which == CONVEX
    solved = energy.shape[0] > 1 and convex.sum() >= stocks.FEWEST
    if solved:
        lossless = kept[0].max() == 0.0
        solved = stocks.solve(task, ends, convex, lossless, missed, energy, price, together)
    for lane in range(filled):
        if convex[lane]:
            if not solved:
                missed[lane] = solve_alone(lane, task, ends, energy, price, alone)
            if missed[lane] >= 0:
                outcomes[lane] = INFEASIBLE
        elif outcomes[lane] == OPTIMAL:
            numbers = numbers_of(single, at + lane)
            outcomes[lane], missed[lane] = solve_general(
                lane, sites, numbers, net, pv, task, ends, energy, price
            )


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "reassoc", "nsz"})
def _crossing(lane, task):
    """By how much the lower bound of a lane's energy exceeds the upper one at most."""
    low, high, crossing = task[1], task[2], -np.inf
    for t in range(low.shape[1]):
        crossing = max(crossing, low[lane, t] - high[lane, t])
    return crossing


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nnan"})
def _trade(single, at, filled, space, grid, unused, cost):
    """Writes what the first lanes draw and curtail, (lanes, T), and pay at their prices."""
    task, sites, _tariff, net, pv, energy, _price, _kept, _ends, largest, words = space
    keep = task[0]
    for lane in range(filled):
        if words[0][lane] != OPTIMAL:
            continue
        row, nothing = at + lane, 1e-13 * (1.0 + largest[lane])
        before, paid, moved = single[row, 1], 0.0, 0.0
        per_in, outof = 1.0 / single[row, 2], single[row, 3]
        for t in range(net.shape[1]):
            change = energy[lane, t] - keep[lane, t] * before
            before = energy[lane, t]
            charged = change * per_in if change > nothing else 0.0
            taken = -change * outof if change < -nothing else 0.0
            moved += abs(change)
            demand, free = net[lane, t] + charged - taken, pv[lane, t]
            drawn = settle(
                demand, free, sites[_BUY, lane, t], sites[_SELL, lane, t], sites[4, lane, t],
                sites[5, lane, t],
            )  # fmt: skip
            drawn = min(drawn, demand + free)
            grid[lane, t] = drawn
            unused[lane, t] = max(drawn - demand, 0.0)
            paid += (sites[_BUY, lane, t] if drawn > 0.0 else sites[_SELL, lane, t]) * drawn
        cost[lane] = paid + single[row, 5] * moved - single[row, 6] * before


@njit(nogil=True, cache=True, error_model="numpy")
def respond(
    matrices, single, step_h, rows, group, prices, scale, flow, cost, value, outcomes, conflicts
):
    """Adds up what the sites in `rows` of matrices answer to prices of their groups, (groups, T).

    `single` (sites, 9) are their single values, `group` (sites,) their groups. `flow` (groups, T)
    receives what groups draw in kWh, `cost` (groups,) what that costs without the prices, `value`
    (groups,) what it can cost at least with them; own tariffs count `scale` times. `outcomes` and
    `conflicts` (sites,) are written.
    """
    # Copies, so that threads do not count each other's arrays.
    hours, extra = step_h.copy(), prices.copy()
    count, sites = hours.size, rows.size
    lanes = stocks.LANES if sites >= stocks.FEWEST else 1
    space, alone = _space(count, lanes), room(count)
    together = stocks.room(count if lanes > 1 else 0)
    grid, unused, paid = np.empty((lanes, count)), np.empty((lanes, count)), np.empty(lanes)
    for at in range(0, sites, lanes):
        filled = min(lanes, sites - at)
        _enter(matrices, single, rows[at : at + filled], at, hours, space)
        _add_prices(scale, extra, group[at : at + filled], space)
        _solve(single, at, filled, space, alone, together)
        _trade(single, at, filled, space, grid, unused, paid)
        ends, (words, missed, convex) = space[8], space[10]
        for lane in range(filled):
            row, g = at + lane, group[at + lane]
            outcomes[row] = words[lane]
            conflicts[row] = missed[lane] if words[lane] == INFEASIBLE else -1
            if words[lane] != OPTIMAL:
                continue
            more = 0.0
            for t in range(count):
                more += extra[g, t] * grid[lane, t]
                flow[g, t] += grid[lane, t]
            cost[g] += paid[lane] - more
            low = paid[lane] - ends[3, lane] if convex[lane] else min(paid[lane], ends[3, lane])
            value[g] += low


@njit(nogil=True, cache=True, error_model="numpy")
def mix(matrices, single, step_h, rows, first, prices, share, tight, columns, rounded):
    """Writes the plans of the sites in `rows` of matrices, mixed from their answers to prices.

    All of them belong to one group, which takes `share` (answers,) of its answers to `prices`
    (answers, T). Where costs are convex, energies and what is curtailed are averaged; whoever moves
    both ways in the mean moves less than its parts, and draws less. Where `tight` (T,), it curtails
    that much more, so as not to feed in what the limit has no room for. A site whose mean plan
    costs more than its parts, or breaks a limit of its meter, takes one of its answers instead,
    in turns by their shares, and is noted in `rounded`. `single` (sites, 9) are the single values
    of these sites; their plans go to `columns` (6, more, T) and `rounded` (more,) from `first` on.
    """
    hours, answers = step_h.copy(), share.size
    count, sites = hours.size, rows.size
    lanes = stocks.LANES if sites >= stocks.FEWEST else 1
    space, alone = _space(count, lanes), room(count)
    together = stocks.room(count if lanes > 1 else 0)
    energies, grids = np.empty((answers, lanes, count)), np.empty((answers, lanes, count))
    wasted, paid = np.empty((answers, lanes, count)), np.empty((answers, lanes))
    sound, owed = np.empty(lanes, np.bool_), np.zeros(answers)
    for at in range(0, sites, lanes):
        filled = min(lanes, sites - at)
        _enter(matrices, single, rows[at : at + filled], at, hours, space)
        sound[:] = True
        for k in range(answers):
            _add_prices(1.0, prices, np.full(filled, k), space)
            _solve(single, at, filled, space, alone, together)
            _trade(single, at, filled, space, grids[k], wasted[k], paid[k])
            energies[k] = space[5]
            for lane in range(filled):
                sound[lane] &= space[10][0][lane] == OPTIMAL
                for t in range(count):
                    paid[k, lane] -= prices[k, t] * grids[k, lane, t]
        for lane in range(filled):
            row = first + at + lane
            if sound[lane]:
                rounded[row] = _settle(
                    row, at + lane, lane, single, hours, energies, wasted, grids, paid, share,
                    owed, tight, space, columns,
                )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def _settle(
    row, at, lane, single, hours, energies, wasted, grids, paid, share, owed, tight, space, columns
):  # fmt: skip
    """Writes the mean plan of a site, or one of its answers; whether it is one of them.

    `owed` (answers,) is how much of each answer the sites before have not taken of their shares.
    """
    answers, count = share.size, hours.size
    mean, wanted, size = np.zeros((3, count)), 0.0, 0.0
    for k in range(answers):
        wanted += share[k] * paid[k, lane]
        for t in range(count):
            mean[0, t] += share[k] * energies[k, lane, t]
            mean[1, t] += share[k] * wasted[k, lane, t]
            mean[2, t] += share[k] * grids[k, lane, t]
    beyond, cost = _write(row, at, lane, single, hours, mean, tight, space, columns)
    for t in range(count):
        size += abs(space[2][0, lane, t] * mean[2, t])
    if answers == 1 or not (beyond or cost > wanted + _DEARER * size):
        return False
    for k in range(answers):
        owed[k] += share[k]
    best = int(np.argmax(owed))
    owed[best] -= 1.0
    for t in range(count):
        mean[0, t], mean[1, t] = energies[best, lane, t], wasted[best, lane, t]
        mean[2, t] = grids[best, lane, t]
    _write(row, at, lane, single, hours, mean, tight, space, columns)
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _write(row, at, lane, single, hours, mean, tight, space, columns):
    """Writes the plan of a site to its columns: whether its meter's limits are broken, its cost.

    `mean` holds the energies, what is curtailed at least, and the exchange to be kept where
    `tight`, (3, T).
    """
    task, sites, tariff, net, pv, _energy, _price, _kept, _ends, largest, _words = space
    keep, nothing = task[0], 1e-13 * (1.0 + largest[lane])
    before, cost, beyond, moved = single[at, 1], 0.0, False, 0.0
    per_in, outof = 1.0 / single[at, 2], single[at, 3]
    for t in range(net.shape[1]):
        after, per_h = mean[0, t], 1.0 / hours[t]
        change = after - keep[lane, t] * before
        before = after
        charged = change * per_in if change > nothing else 0.0
        taken = -change * outof if change < -nothing else 0.0
        moved += abs(change)
        demand = net[lane, t] + charged - taken
        wanted = max(mean[1, t], -sites[5, lane, t] - demand)
        if tight[t]:
            wanted = max(wanted, mean[2, t] - demand)
        unused = min(max(wanted, 0.0), pv[lane, t])
        grid = demand + unused
        # What is out by rounding alone is let in, as by the kernel.
        slack = 1e-9 * (1.0 + abs(demand))
        beyond |= grid < -sites[5, lane, t] - slack or grid > sites[4, lane, t] + slack
        grid = min(max(grid, -sites[5, lane, t]), sites[4, lane, t])
        cost += (tariff[0, lane, t] if grid > 0.0 else tariff[1, lane, t]) * grid
        columns[0, row, t] = charged * per_h
        columns[1, row, t] = taken * per_h
        columns[2, row, t] = after
        columns[3, row, t] = unused * per_h
        columns[4, row, t] = grid * per_h if grid > 0.0 else 0.0
        columns[5, row, t] = -grid * per_h if grid < 0.0 else 0.0
    return beyond, cost + single[at, 5] * moved - single[at, 6] * before
