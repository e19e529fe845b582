"""The exact dynamic programme for sites with one store, row by row over the columns of a batch.

Each site is solved by `stock` where all its stage costs are convex, else by `general_stock`, and
its row of the answer is audited while it is still in the cache.
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
from loadloom.solvers.kernels import general_stock, stock

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
def expand(matrices, row, step_h, wanted, site):
    """Writes the series of a row whose numbers are `wanted` to `site` (10, T), energies in kWh.

    One row of a matrix may hold for all sites, one column for all intervals. Choosing a matrix
    takes some 20 ns, so series that all rows share are best written once.
    """
    for index in wanted:
        matrix = matrices[_SERIES[index]]
        at = row if matrix.shape[0] > 1 else 0
        if matrix.shape[1] > 1:
            for t in range(step_h.size):
                site[index, t] = matrix[at, t]
        else:
            value = matrix[at, 0]
            for t in range(step_h.size):
                site[index, t] = value
        if _POWERS[index]:
            for t in range(step_h.size):
                site[index, t] *= step_h[t]


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
def _numbers(single, at):
    return (
        single[at, 0], single[at, 1], single[at, 2], single[at, 3], single[at, 4], single[at, 5],
        single[at, 6], single[at, 7], single[at, 8],
    )  # fmt: skip


@njit(nogil=True, cache=True, error_model="numpy")
def _general(
    keep, low, high, start, end_slope, energies, prices, efficiencies, wear, tolerance, stock_kwh,
    price
):  # fmt: skip
    """The outcome, interval of conflict and value of the start by the general kernel."""
    net, curtailable, into, out, charge, discharge = energies
    buy, sell = prices
    count = keep.size
    slope, width = np.empty(GENERAL_PIECES * count), np.empty(GENERAL_PIECES * count)
    first, base_cost = np.empty(count), np.empty(count)
    offset = np.zeros(count + 1, np.int64)
    steepest = 0.0
    for t in range(count):
        pieces, first[t], base_cost[t] = general_stage(
            net[t], curtailable[t], buy[t], sell[t], into[t], out[t], charge[t], discharge[t],
            efficiencies[0], efficiencies[1], wear, slope, width, offset[t],
        )  # fmt: skip
        offset[t + 1] = offset[t] + pieces
        steepest = max(steepest, abs(buy[t]), abs(sell[t]))
    near = 1e-13 * (1.0 + steepest * (1.0 + high.max()))
    room = max(1024, 64 * count)
    while True:
        status, interval, best = general_stock.control(
            keep, low, high, start, end_slope, first, base_cost, offset, slope, width,
            tolerance, near, room, stock_kwh,
        )  # fmt: skip
        if status == general_stock.EMPTY:
            return INFEASIBLE, interval, best
        if status == general_stock.SOLVED:
            general_stock.local_prices(
                keep, low, high, start, end_slope, first, offset, slope, width, stock_kwh,
                np.empty((2, count)), price,
            )  # fmt: skip
            return OPTIMAL, interval, best
        room *= 4
        if room > _MOST_PIECES:
            return UNDECIDED, interval, best


@njit(nogil=True, cache=True, error_model="numpy")
def solve_range(
    matrices, step_h, first_row, last_row, columns, amounts, outcomes, conflicts, kernels
):
    """Solves and audits the rows from `first_row` up to `last_row`.

    `matrices` are a batch's, in the order of its fields. `columns` (7, rows, T) receives charge,
    discharge, energy, curtailed, import, export and value, `amounts` (rows, 7) objective, bound,
    bought, sold, wear, end value and baseline.
    """
    count = step_h.size
    site, keep = np.empty((10, count)), np.ones(count)
    net, pv, low, high = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    first = np.empty(count)
    slope, width = np.empty((stock.SEGMENTS, count)), np.empty((stock.SEGMENTS, count))
    energy, price = np.empty(count), np.empty(count)
    rest, least, most = np.empty(count), np.empty(count), np.empty(count)
    work = stock.workspace(count)
    per_h = 1.0 / step_h
    last_loss, least_keep = 0.0, 1.0
    buy, sell, imports, exports = site[2], site[3], site[4], site[5]
    charge, discharge = site[8], site[9]
    expand(matrices, first_row, step_h, every_series(), site)
    wanted, single = own_series(matrices), singles(matrices, first_row, last_row)
    for row in range(first_row, last_row):
        if row > first_row:
            expand(matrices, row, step_h, wanted, site)
        numbers = _numbers(single, row - first_row)
        share, start, into, outof, loss, wear, end_value, end_low, end_high = numbers
        end_slope = -end_value
        largest, crossing = _prepare(site, share, end_low, end_high, net, pv, low, high)
        if loss != last_loss:
            for t in range(count):
                keep[t] = (1.0 - loss) ** step_h[t]
            last_loss, least_keep = loss, keep.min()
        impossible, not_convex = convex_stages(
            net, pv, buy, sell, imports, exports, charge, discharge, into, outof, wear,
            first, slope, width,
        )  # fmt: skip
        largest = max(start, largest)
        tolerance = 1e-9 + 1e-12 * largest
        outcome, interval, best = OPTIMAL, 0, 0.0
        if crossing > tolerance:
            outcome, interval = INFEASIBLE, _last_crossed(low, high, tolerance)
        elif least_keep < LEAST_KEEP:
            outcome = UNDECIDED
        elif impossible > 0:
            outcome = INFEASIBLE
            interval = _first_impossible(net, pv, imports, exports, charge, discharge)
        elif not_convex > 0:
            outcome, interval, best = _general(
                keep, low, high, start, end_slope, (net, pv, imports, exports, charge, discharge),
                (buy, sell), (into, outof), wear, tolerance, energy, price,
            )  # fmt: skip
        else:
            status, interval = stock.look_back(
                keep, low, high, start, end_slope, first, slope, width, tolerance, work
            )
            if status == stock.EMPTY:
                outcome = INFEASIBLE
            else:
                stock.look_ahead(keep, start, first, width, work, energy)
        kernels[row] = GENERAL if not_convex > 0 else CONVEX
        conflicts[row] = interval if outcome == INFEASIBLE else -1
        outcomes[row] = outcome
        if outcome != OPTIMAL:
            columns[:, row] = np.nan
            amounts[row, :] = np.nan
            continue
        _write_columns(
            row, keep, start, energy, (net, pv, imports, exports), (buy, sell), per_h,
            into, outof, 1e-13 * (1.0 + largest), columns,
        )  # fmt: skip
        breach = audit_row(site, numbers, step_h, keep, row, columns, amounts)
        objective = amounts[row, 0]
        if not_convex > 0:
            gap = max(0.0, objective - best)
        else:
            gap = stock.prove(
                keep, low, high, start, end_slope, first, slope, width, energy, rest, least, most,
                price,
            )  # fmt: skip
        for t in range(count):
            columns[6, row, t] = -price[t]
        amounts[row, 1] = objective - gap
        if breach > 1.0 or gap > PROVEN * max(1.0, abs(objective)):
            outcomes[row] = UNDECIDED


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"nsz", "nnan", "reassoc"})
def _prepare(site, share, end_low, end_high, net, curtailable, low, high):
    """Writes what the stages and the store are made of, (T) each.

    Returns the highest bound, and by how much a lower bound exceeds its upper one at most.
    """
    last = net.size - 1
    for t in range(net.size):
        net[t] = site[0, t] - site[1, t]
        curtailable[t] = site[1, t] * share
        low[t], high[t] = site[6, t], site[7, t]
    low[last], high[last] = max(low[last], end_low), min(high[last], end_high)
    highest, crossing = high[last], low[last] - high[last]
    for t in range(last):
        highest = max(highest, high[t])
        crossing = max(crossing, low[t] - high[t])
    return highest, crossing


@njit(nogil=True, cache=True, error_model="numpy")
def _last_crossed(low, high, tolerance):
    """The last interval whose bounds and targets leave no energy to hold."""
    t = low.size - 1
    while t > 0 and low[t] <= high[t] + tolerance:
        t -= 1
    return t


@njit(nogil=True, cache=True, error_model="numpy")
def _first_impossible(net, curtailable, into, out, charge, discharge):
    """The first interval whose meter limits no operation keeps."""
    for t in range(net.size):
        short = net[t] - discharge[t] > into[t]
        trapped = net[t] + charge[t] + curtailable[t] < -out[t]
        if short or trapped:
            return t
    return 0


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nnan"})
def _write_columns(
    row, keep, start, energy, site, prices, per_h, charge_efficiency, discharge_efficiency, nothing,
    columns
):  # fmt: skip
    """Writes what every device does, given the stored energy; up to `nothing` is rounding."""
    net, curtailable, into, out = site
    buy, sell = prices
    per_in = 1.0 / charge_efficiency
    before = start
    for t in range(energy.size):
        change = energy[t] - keep[t] * before
        before = energy[t]
        # Written so that nothing comes out as minus zero.
        charged = change * per_in if change > nothing else 0.0
        taken = -change * discharge_efficiency if change < -nothing else 0.0
        demand = net[t] + charged - taken
        grid = settle(demand, curtailable[t], buy[t], sell[t], into[t], out[t])
        grid = min(grid, demand + curtailable[t])
        unused = grid - demand
        columns[0, row, t] = charged * per_h[t]
        columns[1, row, t] = taken * per_h[t]
        columns[2, row, t] = energy[t]
        columns[3, row, t] = unused * per_h[t] if unused > 0.0 else 0.0
        columns[4, row, t] = grid * per_h[t] if grid > 0.0 else 0.0
        columns[5, row, t] = -grid * per_h[t] if grid < 0.0 else 0.0
