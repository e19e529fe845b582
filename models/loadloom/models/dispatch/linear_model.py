"""The formulation of dispatch as arrays, with the meter folded into the balance.

All columns are kWh of an interval, or kWh held at its end; what a store gives out is counted inside
it, before its losses. The energy drawn is no column: it is what the row of the balance adds up to,

    import[t] = net_load[t] + sum_s (charge[s,t] - discharge_efficiency[s] * taken[s,t])
                + export[t] + curtailed[t],    0 <= import[t] <= import_limit[t]

and its price stands in the costs of the others. That the two of a pair never run together takes a
binary, in those intervals alone that are asked for:

    charge[s,t] <= most_charge[s,t] * charging[s,t]
    taken[s,t] <= most_taken[s,t] * (1 - charging[s,t])
    import[t] <= import_limit[t] * importing[t]
    export[t] <= export_limit[t] * (1 - importing[t])

A search has two more rows for each interval of a store. They hold wherever it never runs both ways,
since what it holds is then what it kept, less what is taken or more what is charged, and leave no
room to burn energy in a store that is full or empty, where the search would have to branch:

    energy[s,t] + taken[s,t] <= max(energy_max[s,t], keep[s,t] * energy_max[s,t-1])
    energy[s,t] - charge_efficiency[s] * charge[s,t]
                             >= min(energy_min[s,t], keep[s,t] * energy_min[s,t-1])
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadloom.models.dispatch.problem import Problem
from loadloom.models.horizon import FloatArray
from loadloom.solvers.highs import Matrix, Program, compressed

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Entries = tuple[IntArray, IntArray, FloatArray]
"""Rows, columns and numbers of some entries of the matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """A problem in kWh and prices per kWh: stores by row (stores, count), all else (count,).

    What is constant over time in a store has shape (stores, 1).
    """

    step_h: FloatArray
    net_load: FloatArray
    curtailable: FloatArray
    import_limit: FloatArray
    export_limit: FloatArray
    buy: FloatArray
    sell: FloatArray
    charge_limit: FloatArray
    discharge_limit: FloatArray
    energy_min: FloatArray
    energy_max: FloatArray
    keep: FloatArray
    initial: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    wear: FloatArray
    end_value: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of stores and intervals."""
        stores, count = self.charge_limit.shape
        return stores, count

    @property
    def taken_limit(self) -> FloatArray:
        """The most that may be taken out of a store, before its losses, shape (stores, count)."""
        with np.errstate(over="ignore"):
            return self.discharge_limit / self.discharge_efficiency

    def most_charge(self) -> FloatArray:
        """The most that a store can be charged with without giving out, shape (stores, count)."""
        least = self.kept(self.energy_min)
        with np.errstate(over="ignore"):
            room = np.maximum(self.energy_max - least, 0.0) / self.charge_efficiency
        return np.minimum(self.charge_limit, room)

    def most_taken(self) -> FloatArray:
        """The most that can be taken out of a store without charging, shape (stores, count)."""
        most = self.kept(self.energy_max)
        return np.minimum(self.taken_limit, np.maximum(most - self.energy_min, 0.0))

    def kept(self, energy: FloatArray) -> FloatArray:
        """What is kept through each interval of the energy before it, shape (stores, count)."""
        return self.keep * np.concatenate((self.initial, energy[:, :-1]), axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Where binaries keep apart charge and discharge (stores, count), import and export (count,).

    A pair outside these is left to the programme, which runs both ways only where that pays.
    """

    stores: BoolArray
    meter: BoolArray

    @property
    def count(self) -> int:
        """The number of binaries."""
        return int(np.count_nonzero(self.stores)) + int(np.count_nonzero(self.meter))


def arrays(problem: Problem) -> Arrays:
    """The problem in kWh, the limits of the meter cut to what any plan can use."""
    step_h, stores = problem.horizon.step_h, problem.storages
    most_in, most_out = problem.grid_limits_kw
    low_high = [storage.energy_bounds_kwh() for storage in stores]

    def rows(values: list[FloatArray]) -> FloatArray:
        return np.array(values).reshape(len(stores), step_h.size)

    def each(name: str) -> FloatArray:
        return np.array([getattr(storage, name) for storage in stores]).reshape(-1, 1)

    return Arrays(
        step_h=step_h,
        net_load=problem.net_load_kw * step_h,
        curtailable=problem.curtailable_kw * step_h,
        import_limit=most_in * step_h,
        export_limit=most_out * step_h,
        buy=problem.meter.buy_price_per_kwh,
        sell=problem.meter.sell_price_per_kwh,
        charge_limit=rows([storage.charge_limit_kw for storage in stores]) * step_h,
        discharge_limit=rows([storage.discharge_limit_kw for storage in stores]) * step_h,
        energy_min=rows([low for low, _ in low_high]),
        energy_max=rows([high for _, high in low_high]),
        keep=rows([storage.keep(problem.horizon) for storage in stores]),
        initial=each("initial_energy_kwh"),
        charge_efficiency=each("charge_efficiency"),
        discharge_efficiency=each("discharge_efficiency"),
        wear=each("wear_cost_per_kwh"),
        end_value=each("end_value_per_kwh"),
    )


def tightened(site: Arrays) -> Arrays:
    """The site with every limit of power cut to what is possible when nothing runs both ways.

    A search needs near limits: what a binary switches off may leak by the tolerance of whole
    numbers times the limit.
    """
    charge = site.most_charge()
    discharge = np.minimum(site.discharge_limit, site.most_taken() * site.discharge_efficiency)
    most = site.net_load + site.curtailable + charge.sum(axis=0)
    return replace(
        site,
        charge_limit=charge,
        discharge_limit=discharge,
        import_limit=np.minimum(site.import_limit, np.maximum(0.0, most)),
        export_limit=np.minimum(
            site.export_limit, np.maximum(0.0, discharge.sum(axis=0) - site.net_load)
        ),
    )


def no_pairs(site: Arrays) -> Pairs:
    """No binaries."""
    stores, count = site.shape
    return Pairs(stores=np.zeros((stores, count), bool), meter=np.zeros(count, bool))


def all_pairs(site: Arrays) -> Pairs:
    """Every binary that can matter.

    A store without losses moves nothing by running both ways, and drawing while feeding in can pay
    only where selling pays more than buying costs.
    """
    lossy = site.charge_efficiency * site.discharge_efficiency < 1.0
    both = (site.charge_limit > 0.0) & (site.discharge_limit > 0.0)
    open_ = (site.import_limit > 0.0) & (site.export_limit > 0.0)
    return Pairs(stores=lossy & both, meter=(site.sell > site.buy) & open_)


def burdened_pairs(site: Arrays) -> Pairs:
    """Every binary that can matter within these limits, loosened by nothing.

    Running both ways burns energy, which can pay only where energy may be a burden: at a negative
    price, or where not all of what is generated can be fed in or curtailed.
    """
    every = all_pairs(site)
    least = site.net_load - site.discharge_limit.sum(axis=0)
    trapped = least + site.curtailable + site.export_limit < 0.0
    burden = (site.buy < 0.0) | (site.sell < 0.0) | trapped
    return Pairs(stores=every.stores & burden, meter=every.meter)


def matrix(site: Arrays, pairs: Pairs) -> Matrix:
    """The matrix of a site, which depends on the losses of its stores and the pairs alone.

    Columns: charge, taken and energy by store, export, curtailed, binaries. Rows: energy by store,
    balance, then two for each binary and two for each interval of a store, if there are binaries.
    """
    stores, count = site.shape
    cells, interval = stores * count, np.arange(count)
    entries = _store_entries(site) + _balance_entries(site, interval, cells + interval)
    if pairs.count:
        entries += _pair_entries(site, pairs) + _one_way_entries(site, 2 * pairs.count)
    rows, columns, numbers = (np.concatenate(part) for part in zip(*entries, strict=True))
    return compressed(rows, columns, numbers, 3 * cells + 2 * count + pairs.count)


def same_losses(site: Arrays, other: Arrays) -> bool:
    """Whether two sites have the same matrix when there are no pairs."""
    if site.shape != other.shape:
        return False
    same = (site.charge_efficiency == other.charge_efficiency).all()
    same &= (site.discharge_efficiency == other.discharge_efficiency).all()
    return bool(same & (site.keep == other.keep).all())


def program(site: Arrays, pairs: Pairs, entries: Matrix) -> Program:
    """The programme of a site, with binaries for the pairs, around its matrix."""
    stores, count = site.shape
    held = np.zeros((stores, count))
    held[:, :1] = site.keep[:, :1] * site.initial
    row_low = np.concatenate((held.ravel(), -site.net_load))
    row_high = np.concatenate((held.ravel(), site.import_limit - site.net_load))
    low, high = _bounds(site)
    cost, width = _costs(site), low.size
    if pairs.count:
        sides = np.concatenate((_pair_sides(site, pairs), _one_way_sides(site)))
        none = np.zeros(pairs.count)
        row_low = np.concatenate((row_low, np.full(sides.size, -np.inf)))
        row_high = np.concatenate((row_high, sides))
        low, high = np.concatenate((low, none)), np.concatenate((high, none + 1.0))
        cost = np.concatenate((cost, none))
    return Program(
        cost=cost,
        low=low,
        high=high,
        row_low=row_low,
        row_high=row_high,
        matrix=entries,
        integer=np.arange(width + pairs.count) >= width,
        offset=float(site.buy @ site.net_load),
    )


def _store_entries(site: Arrays) -> list[Entries]:
    """What a store holds, less what it kept of before, took in and gave out, each in its row."""
    cells = site.keep.size
    cell = np.arange(cells)
    onward = cell.reshape(site.shape)[:, :-1].ravel()
    into = np.broadcast_to(site.charge_efficiency, site.shape).ravel()
    return [
        (cell, cell, -into),
        (cell, cells + cell, np.ones(cells)),
        (cell, 2 * cells + cell, np.ones(cells)),
        (onward + 1, 2 * cells + onward, -site.keep[:, 1:].ravel()),
    ]


def _balance_entries(site: Arrays, intervals: IntArray, rows: IntArray) -> list[Entries]:
    """Import less net load in each of the intervals, each in its row."""
    stores, count = site.shape
    cells = stores * count
    charge = (np.arange(stores)[:, None] * count + intervals).ravel()
    tiled, ones, unit = np.tile(rows, stores), np.ones(charge.size), np.ones(intervals.size)
    out = np.repeat(site.discharge_efficiency, intervals.size)
    return [
        (tiled, charge, ones),
        (tiled, cells + charge, -out),
        (rows, 3 * cells + intervals, unit),
        (rows, 3 * cells + count + intervals, unit),
    ]


def _pair_entries(site: Arrays, pairs: Pairs) -> list[Entries]:
    """The rows that keep the pairs apart, two for each binary."""
    cells, count = site.keep.size, site.buy.size
    apart, intervals = np.flatnonzero(pairs.stores), np.flatnonzero(pairs.meter)
    binary = 3 * cells + 2 * count + np.arange(pairs.count)
    first = cells + count + 2 * np.arange(pairs.count)
    by_store, by_meter = np.split(first, [apart.size])
    of_store, of_meter = np.split(binary, [apart.size])
    ones, unit = np.ones(apart.size), np.ones(intervals.size)
    return [
        (by_store, apart, ones),
        (by_store, of_store, -site.most_charge().ravel()[apart]),
        (by_store + 1, cells + apart, ones),
        (by_store + 1, of_store, site.most_taken().ravel()[apart]),
        *_balance_entries(site, intervals, by_meter),
        (by_meter, of_meter, -site.import_limit[intervals]),
        (by_meter + 1, 3 * cells + intervals, unit),
        (by_meter + 1, of_meter, site.export_limit[intervals]),
    ]


def _pair_sides(site: Arrays, pairs: Pairs) -> FloatArray:
    """The upper sides of the rows that keep the pairs apart."""
    out = site.most_taken()[pairs.stores]
    first = np.append(np.zeros(out.size), -site.net_load[pairs.meter])
    second = np.append(out, site.export_limit[pairs.meter])
    return np.column_stack((first, second)).ravel()


def _one_way_entries(site: Arrays, begin: int) -> list[Entries]:
    """The rows of a store that holds what it can when it runs one way only, two an interval."""
    cells = site.keep.size
    cell, ones = np.arange(cells), np.ones(cells)
    full = cells + site.buy.size + begin + cell
    into = np.broadcast_to(site.charge_efficiency, site.shape).ravel()
    return [
        (full, cells + cell, ones),
        (full, 2 * cells + cell, ones),
        (full + cells, cell, into),
        (full + cells, 2 * cells + cell, -ones),
    ]


def _one_way_sides(site: Arrays) -> FloatArray:
    """The upper sides of the rows of stores that run one way only."""
    full = np.maximum(site.energy_max, site.kept(site.energy_max))
    empty = np.minimum(site.energy_min, site.kept(site.energy_min))
    return np.concatenate((full.ravel(), -empty.ravel()))


def _bounds(site: Arrays) -> tuple[FloatArray, FloatArray]:
    stores, count = site.shape
    nothing = np.zeros(2 * stores * count)
    low = np.concatenate((nothing, site.energy_min.ravel(), np.zeros(2 * count)))
    power = (site.charge_limit.ravel(), site.taken_limit.ravel())
    high = (*power, site.energy_max.ravel(), site.export_limit, site.curtailable)
    return low, np.concatenate(high)


def _costs(site: Arrays) -> FloatArray:
    """What one more kWh in each column costs, with the import that it needs or saves."""
    ending = np.zeros(site.shape)
    ending[:, -1:] = -site.end_value
    parts = (
        (site.buy + site.wear * site.charge_efficiency).ravel(),
        (site.wear - site.buy * site.discharge_efficiency).ravel(),
        ending.ravel(),
        site.buy - site.sell,
        site.buy,
    )
    return np.concatenate(parts)


def decided(site: Arrays, base: Program, pairs: Pairs, primal: FloatArray) -> Program:
    """The programme without pairs, each pair that had a binary held to the one way it chose."""
    cells = site.keep.size
    width = base.cost.size
    apart, intervals = np.flatnonzero(pairs.stores), np.flatnonzero(pairs.meter)
    one_way = primal[width:] > 0.5
    charging, importing = np.split(one_way, [apart.size])
    high, row_high = base.high.copy(), base.row_high.copy()
    high[apart[~charging]] = 0.0
    high[cells + apart[charging]] = 0.0
    high[3 * cells + intervals[importing]] = 0.0
    not_drawn = intervals[~importing]
    row_high[cells + not_drawn] = -site.net_load[not_drawn]
    return replace(base, high=high, row_high=row_high)
