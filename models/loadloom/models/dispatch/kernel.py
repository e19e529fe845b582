"""The exact dynamic programme for sites with one store, row by row over the columns of a batch.

Sites whose stage costs are all convex are solved side by side by `stocks`, or by `stock` where they
are few, all others by `general_stock`. Each row of the answer is audited while it is still in the
cache.
"""

import numpy as np
from numba import njit

from loadloom.models.dispatch.audit import audit_row
from loadloom.models.dispatch.stage import (
    GENERAL_PIECES,
    convex_stages,
    general_stage,
    settle,
)
from loadloom.solvers.kernels import general_stock, stock, stocks

OPTIMAL, FEASIBLE, INFEASIBLE = 1, 2, 3
"""Outcomes in the numbers of TerminationReason."""

UNDECIDED = 0
"""Outcome: too many pieces for the room, or the audit refused the plan; another road decides."""

CONVEX, GENERAL = 0, 1
"""The kernel that took a row."""

PROVEN = 1e-6
"""The relative gap up to which a plan counts as optimal; rounding leaves some 1e-13."""

_MOST_PIECES = 1 << 20
"""The pieces of all value functions, some second's work; beyond it integers are quicker."""

LEAST_KEEP = 1e-3
"""Where less than this survives an interval, dividing by it would cost the kernel its digits."""


_SERIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 11)
"""The matrices of load, PV, buy, sell, import, export, low, high, charge and discharge limit."""

_POWERS = (True, True, False, False, True, True, False, False, True, True)
"""Which of them are powers, and become energies by the step."""

_SINGLES = (2, 9, 12, 13, 14, 15, 16, 17, 18)
"""The matrices of one column: share that is curtailable, initial energy, efficiencies in and out,
self-discharge, wear, end value, least and most energy at the end."""


@njit(nogil=True, cache=True, error_model="numpy")
def every_series():
    """The numbers of all series."""
    return np.arange(len(_SERIES))


@njit(nogil=True, cache=True, error_model="numpy")
def own_series(matrices):
    """The numbers of the series that each row has for itself."""
    return np.array([i for i in range(len(_SERIES)) if matrices[_SERIES[i]].shape[0] > 1])


@njit(nogil=True, cache=True, error_model="numpy")
def expand(matrices, row, step_h, wanted, lane, sites):
    """Writes the series of a row whose numbers are `wanted`, energies in kWh.

    They are written to `lane` of `sites` (10, lanes, T).

    One row of a matrix may hold for all sites, one column for all intervals. Choosing a matrix
    takes some 20 ns, so series that all rows share are best written once.
    """
    for index in wanted:
        matrix = matrices[_SERIES[index]]
        at = row if matrix.shape[0] > 1 else 0
        if matrix.shape[1] > 1:
            for t in range(step_h.size):
                sites[index, lane, t] = matrix[at, t]
        else:
            value = matrix[at, 0]
            for t in range(step_h.size):
                sites[index, lane, t] = value
        if _POWERS[index]:
            for t in range(step_h.size):
                sites[index, lane, t] *= step_h[t]


@njit(nogil=True, cache=True, error_model="numpy")
def singles(matrices, first_row, last_row):
    """The single values of the rows from `first_row` up to `last_row`, (rows, 9)."""
    found = np.empty((last_row - first_row, len(_SINGLES)))
    for index in range(len(_SINGLES)):
        matrix = matrices[_SINGLES[index]]
        for row in range(first_row, last_row):
            found[row - first_row, index] = matrix[row if matrix.shape[0] > 1 else 0, 0]
    return found


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def numbers_of(single, at):
    """The numbers of a row that hold for all its intervals."""
    return (
        single[at, 0], single[at, 1], single[at, 2], single[at, 3], single[at, 4], single[at, 5],
        single[at, 6], single[at, 7], single[at, 8],
    )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def solve_range(
    matrices, step_h, first_row, last_row, columns, amounts, outcomes, conflicts, kernels
):
    """Solves and audits the rows from `first_row` up to `last_row`.

    `matrices` are a batch's, in the order of its fields. `columns` (7, rows, T) receives charge,
    discharge, energy, curtailed, import, export and value, `amounts` (rows, 7) objective, bound,
    bought, sold, wear, end value and baseline.

    Rows are taken LANES at a time. What belongs to one of them stands in its lane of arrays (lanes,
    T) from its series to the audit; those whose costs are convex are solved side by side.
    """
    count, abreast = step_h.size, last_row - first_row >= stocks.FEWEST
    lanes = stocks.LANES if abreast else 1
    sites, per_h = np.empty((10, lanes, count)), 1.0 / step_h
    net, pv = np.empty((lanes, count)), np.empty((lanes, count))
    keep, low, high = np.ones((lanes, count)), np.empty((lanes, count)), np.empty((lanes, count))
    first, slope = np.empty((lanes, count)), np.empty((lanes, stock.SEGMENTS, count))
    task = keep, low, high, first, slope, np.empty((lanes, stock.SEGMENTS, count))
    energy, price = np.empty((lanes, count)), np.empty((lanes, count))
    kept, ends, largest = np.zeros((2, lanes)), np.empty((4, lanes)), np.empty(lanes)
    missed, convex = np.empty(lanes, np.int64), np.empty(lanes, np.bool_)
    wanted, single = own_series(matrices), singles(matrices, first_row, last_row)
    alone, together = room(count), stocks.room(count if abreast else 0)
    kept[1] = 1.0
    for lane in range(lanes):
        expand(matrices, first_row, step_h, every_series(), lane, sites)
    for begin in range(first_row, last_row, lanes):
        filled = min(lanes, last_row - begin)
        convex[:] = False
        for lane in range(filled):
            row = begin + lane
            expand(matrices, row, step_h, wanted, lane, sites)
            numbers = numbers_of(single, row - first_row)
            largest[lane] = lay_out(lane, sites, numbers, step_h, net, pv, kept, task, ends)
            outcomes[row], missed[lane], kernels[row] = first_word(
                lane, sites, numbers, net, pv, kept, task, ends
            )
            convex[lane] = outcomes[row] == OPTIMAL and kernels[row] == CONVEX
        solved = abreast and convex.sum() >= stocks.FEWEST
        if solved:
            # Where one list is too long to be solved side by side, so are the next rows' as a rule.
            lossless = kept[0].max() == 0.0
            solved = abreast = stocks.solve(
                task, ends, convex, lossless, missed, energy, price, together
            )
        for lane in range(filled):
            row, numbers = begin + lane, numbers_of(single, begin + lane - first_row)
            if convex[lane] and not solved:
                missed[lane] = solve_alone(lane, task, ends, energy, price, alone)
            elif outcomes[row] == OPTIMAL and not convex[lane]:
                outcomes[row], missed[lane] = solve_general(
                    lane, sites, numbers, net, pv, task, ends, energy, price
                )
            if convex[lane] and missed[lane] >= 0:
                outcomes[row] = INFEASIBLE
            conflicts[row] = missed[lane] if outcomes[row] == INFEASIBLE else -1
            if outcomes[row] != OPTIMAL:
                columns[:, row] = np.nan
                amounts[row, :] = np.nan
                continue
            _write_columns(
                row, lane, keep, numbers, energy, net, pv, sites, per_h,
                1e-13 * (1.0 + largest[lane]), columns,
            )  # fmt: skip
            breach = audit_row(lane, sites, numbers, step_h, keep, row, columns, amounts)
            objective = amounts[row, 0]
            gap = ends[3, lane] if convex[lane] else max(0.0, objective - ends[3, lane])
            for t in range(count):
                columns[6, row, t] = -price[lane, t]
            amounts[row, 1] = objective - gap
            if breach > 1.0 or not gap <= PROVEN * max(1.0, abs(objective)):
                outcomes[row] = UNDECIDED


@njit(nogil=True, cache=True, error_model="numpy")
def room(count):
    """Room to solve one row alone."""
    return stock.workspace(count), np.empty(count), np.empty(count), np.empty(count)


@njit(nogil=True, cache=True, error_model="numpy")
def lay_out(lane, sites, numbers, step_h, net, pv, kept, task, ends):
    """Writes what a row's stages and store are made of to its lane; returns the highest energy.

    `kept` (2, lanes) holds the loss that `keep` was computed with and the least it leaves, `ends`
    (4, lanes) receives the start, the slope of the end, the tolerance, and how far bounds cross.
    """
    share, start, _into, _out, loss, _wear, end_value, end_low, end_high = numbers
    keep, low, high = task[0], task[1], task[2]
    highest, crossing = _prepare(lane, sites, share, end_low, end_high, net, pv, low, high)
    if loss != kept[0, lane]:
        for t in range(step_h.size):
            keep[lane, t] = (1.0 - loss) ** step_h[t]
        kept[0, lane], kept[1, lane] = loss, keep[lane].min()
    largest = max(start, highest)
    ends[0, lane], ends[1, lane] = start, -end_value
    ends[2, lane], ends[3, lane] = 1e-9 + 1e-12 * largest, crossing
    return largest


@njit(nogil=True, cache=True, error_model="numpy")
def first_word(lane, sites, numbers, net, pv, kept, task, ends):
    """What is known of a row before it is solved: outcome, interval of conflict and kernel."""
    _keep, low, high, first, slope, width = task
    imports, exports, charge, discharge = sites[4], sites[5], sites[8], sites[9]
    impossible, not_convex = convex_stages(
        lane, net, pv, sites[2], sites[3], imports, exports, charge, discharge,
        numbers[2], numbers[3], numbers[5], first, slope, width,
    )  # fmt: skip
    which = GENERAL if not_convex > 0 else CONVEX
    if ends[3, lane] > ends[2, lane]:
        return INFEASIBLE, _last_crossed(low[lane], high[lane], ends[2, lane]), which
    if kept[1, lane] < LEAST_KEEP:
        return UNDECIDED, -1, which
    if impossible > 0:
        t = _first_impossible(lane, net, pv, imports, exports, charge, discharge)
        return INFEASIBLE, t, which
    return OPTIMAL, -1, which


@njit(nogil=True, cache=True, error_model="numpy")
def solve_alone(lane, task, ends, energy, price, room):
    """Solves a row whose costs are convex; the interval of conflict, or -1."""
    keep, low, high = task[0][lane], task[1][lane], task[2][lane]
    first, slope, width = task[3][lane], task[4][lane], task[5][lane]
    work, rest, least, most = room
    start, end_slope = ends[0, lane], ends[1, lane]
    status, interval = stock.look_back(
        keep, low, high, start, end_slope, first, slope, width, ends[2, lane], work
    )
    if status == stock.EMPTY:
        return interval
    stock.look_ahead(keep, start, first, width, work, energy[lane])
    ends[3, lane] = stock.prove(
        keep, low, high, start, end_slope, first, slope, width, energy[lane], rest, least, most,
        price[lane],
    )  # fmt: skip
    return -1


@njit(nogil=True, cache=True, error_model="numpy")
def solve_general(lane, sites, numbers, net, pv, task, ends, energy, price):
    """Solves a row whose costs are not convex: outcome and interval of conflict.

    Writes the value of the start to `ends`.
    """
    into, out, wear = numbers[2], numbers[3], numbers[5]
    keep, low, high = task[0][lane], task[1][lane], task[2][lane]
    start, end_slope, tolerance = ends[0, lane], ends[1, lane], ends[2, lane]
    count = keep.size
    slope, width = np.empty(GENERAL_PIECES * count), np.empty(GENERAL_PIECES * count)
    first, base_cost = np.empty(count), np.empty(count)
    offset = np.zeros(count + 1, np.int64)
    steepest = 0.0
    for t in range(count):
        buy, sell = sites[2, lane, t], sites[3, lane, t]
        pieces, first[t], base_cost[t] = general_stage(
            net[lane, t], pv[lane, t], buy, sell, sites[4, lane, t], sites[5, lane, t],
            sites[8, lane, t], sites[9, lane, t], into, out, wear, slope, width, offset[t],
        )  # fmt: skip
        offset[t + 1] = offset[t] + pieces
        steepest = max(steepest, abs(buy), abs(sell))
    near = 1e-13 * (1.0 + steepest * (1.0 + high.max()))
    room = max(1024, 64 * count)
    while True:
        status, interval, ends[3, lane] = general_stock.control(
            keep, low, high, start, end_slope, first, base_cost, offset, slope, width,
            tolerance, near, room, energy[lane],
        )  # fmt: skip
        if status == general_stock.EMPTY:
            return INFEASIBLE, interval
        if status == general_stock.SOLVED:
            general_stock.local_prices(
                keep, low, high, start, end_slope, first, offset, slope, width, energy[lane],
                np.empty((2, count)), price[lane],
            )  # fmt: skip
            return OPTIMAL, -1
        room *= 4
        if room > _MOST_PIECES:
            return UNDECIDED, -1


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nsz", "nnan", "reassoc"})
def _prepare(lane, sites, share, end_low, end_high, net, curtailable, low, high):
    """Writes net load, what may be curtailed and bounds of a row to its lane.

    Returns the highest bound, and by how much a lower bound exceeds its upper one at most.
    """
    count = net.shape[1]
    last = count - 1
    for t in range(count):
        net[lane, t] = sites[0, lane, t] - sites[1, lane, t]
        curtailable[lane, t] = sites[1, lane, t] * share
        low[lane, t], high[lane, t] = sites[6, lane, t], sites[7, lane, t]
    low[lane, last] = max(low[lane, last], end_low)
    high[lane, last] = min(high[lane, last], end_high)
    highest, crossing = high[lane, last], low[lane, last] - high[lane, last]
    for t in range(last):
        highest = max(highest, high[lane, t])
        crossing = max(crossing, low[lane, t] - high[lane, t])
    return highest, crossing


@njit(nogil=True, cache=True, error_model="numpy")
def _last_crossed(low, high, tolerance):
    """The last interval whose bounds and targets leave no energy to hold."""
    t = low.size - 1
    while t > 0 and low[t] <= high[t] + tolerance:
        t -= 1
    return t


@njit(nogil=True, cache=True, error_model="numpy")
def _first_impossible(lane, net, curtailable, into, out, charge, discharge):
    """The first interval whose meter limits no operation keeps."""
    for t in range(net.shape[1]):
        load = net[lane, t]
        short = load - discharge[lane, t] > into[lane, t]
        trapped = load + charge[lane, t] + curtailable[lane, t] < -out[lane, t]
        if short or trapped:
            return t
    return 0


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nnan"})
def _write_columns(
    row, lane, keep, numbers, energy, net, curtailable, sites, per_h, nothing, columns
):  # fmt: skip
    """Writes what every device does, given the stored energy; up to `nothing` is rounding."""
    start, discharge_efficiency = numbers[1], numbers[3]
    per_in = 1.0 / numbers[2]
    before = start
    for t in range(energy.shape[1]):
        change = energy[lane, t] - keep[lane, t] * before
        before = energy[lane, t]
        # Written so that nothing comes out as minus zero.
        charged = change * per_in if change > nothing else 0.0
        taken = -change * discharge_efficiency if change < -nothing else 0.0
        demand, free = net[lane, t] + charged - taken, curtailable[lane, t]
        grid = settle(
            demand, free, sites[2, lane, t], sites[3, lane, t], sites[4, lane, t],
            sites[5, lane, t],
        )  # fmt: skip
        grid = min(grid, demand + free)
        unused = grid - demand
        columns[0, row, t] = charged * per_h[t]
        columns[1, row, t] = taken * per_h[t]
        columns[2, row, t] = energy[lane, t]
        columns[3, row, t] = unused * per_h[t] if unused > 0.0 else 0.0
        columns[4, row, t] = grid * per_h[t] if grid > 0.0 else 0.0
        columns[5, row, t] = -grid * per_h[t] if grid < 0.0 else 0.0
