"""The fleet as one programme, for small ones: what the road is tested against, and timed beside.

    columns per site and interval: charge, discharge, energy, import, export, curtailed, in kWh
    rows: the balance of every meter, the balance of every store, the limits of every node

It is the formulation of `dispatch.problem` and `fleet.problem`, written down as it stands. Without
binaries it is a relaxation where prices are negative; with them, it is exact.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.dispatch.batch import PER_SITE
from loadloom.models.dispatch.fleet.problem import Fleet, NodeArray
from loadloom.models.horizon import FloatArray
from loadloom.solvers.highs import Entries, Model, Options, Program
from loadloom.solvers.termination import Termination

CHARGE, DISCHARGE, ENERGY, IMPORT, EXPORT, CURTAILED = range(6)
"""The numbers of the columns of a site and interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """How the whole programme ended, its columns in kWh (6, sites, T), and the seconds it took."""

    termination: Termination
    energies_kwh: FloatArray | None
    seconds: float


def solve_whole(
    fleet: Fleet,
    *,
    exclusive: bool = False,
    time_limit_s: float = inf,
    relative_gap: float = 0.0,
    options: Options | None = None,
) -> Reference:
    """The fleet in HiGHS; with `exclusive`, no store and no meter goes both ways at once."""
    program = whole(fleet, exclusive=exclusive)
    outcome = Model(program, options=options).solve(
        time_limit_s=time_limit_s, relative_gap=relative_gap
    )
    size = 6, fleet.sites.site_count, fleet.sites.horizon.count
    found = outcome.primal
    return Reference(
        termination=outcome.termination,
        energies_kwh=None if found is None else found[: np.prod(size)].reshape(size),
        seconds=outcome.seconds,
    )


def whole(fleet: Fleet, *, exclusive: bool = False) -> Program:
    """The programme of a fleet."""
    data = _Data(fleet)
    sites, count = data.shape
    at = np.arange(6 * sites * count).reshape(6, sites, count)
    low, high, cost = np.zeros(at.shape), data.most(), data.costs()
    low[ENERGY], high[ENERGY] = data.energy_bounds()
    rows = Entries()
    _meters(rows, at, data)
    _stores(rows, at, data)
    extra = _nodes(rows, at, fleet, 6 * sites * count)
    breach = np.repeat(fleet.network.breach_price_per_kwh, 2 * count)
    breach = breach[np.isfinite(breach)]
    columns = [(low.reshape(-1), high.reshape(-1), cost.reshape(-1))]
    columns.append((np.zeros(extra), np.full(extra, inf), breach))
    binary = 0
    if exclusive:
        binary = _exclusive(rows, at, high, 6 * sites * count + extra)
        columns.append((np.zeros(binary), np.ones(binary), np.zeros(binary)))
    parts = [np.concatenate(part) for part in zip(*columns, strict=True)]
    integer = np.zeros(parts[0].size, np.bool_)
    integer[integer.size - binary :] = True
    return Program(
        cost=parts[2], low=parts[0], high=parts[1], row_low=rows.low, row_high=rows.high,
        matrix=rows.matrix(parts[0].size), integer=integer,
    )  # fmt: skip


class _Data:
    """The matrices of a fleet's sites, (sites, count) each, or (sites, 1)."""

    def __init__(self, fleet: Fleet) -> None:
        self._sites = fleet.sites
        self.hours = fleet.sites.horizon.step_h
        self.shape = fleet.sites.site_count, self.hours.size

    def of(self, name: str) -> FloatArray:
        """A matrix of the batch with all its rows, and all its columns if it has a series."""
        columns = 1 if name in PER_SITE else self.shape[1]
        return np.broadcast_to(getattr(self._sites, name), (self.shape[0], columns))

    def kwh(self, name: str) -> FloatArray:
        """The same in kWh of each interval, where it holds powers."""
        return self.of(name) * self.hours

    @property
    def keep(self) -> FloatArray:
        """The share of a store's energy that survives each interval."""
        return (1.0 - self.of("self_discharge_per_h")) ** self.hours

    def most(self) -> FloatArray:
        """The upper bounds of all columns, cut to what any plan can use."""
        charge, discharge = self.kwh("charge_limit_kw"), self.kwh("discharge_limit_kw")
        load, free = self.kwh("load_kw"), self.kwh("pv_kw") * self.of("pv_curtailable")
        net = load - self.kwh("pv_kw")
        drawn = np.minimum(self.kwh("import_limit_kw"), np.maximum(0.0, net + free + charge))
        fed = np.minimum(self.kwh("export_limit_kw"), np.maximum(0.0, discharge - net))
        return np.array([charge, discharge, np.zeros(self.shape), drawn, fed, free])

    def energy_bounds(self) -> tuple[FloatArray, FloatArray]:
        """What stores must and may hold at the end of each interval."""
        low, high = self.of("energy_min_kwh").copy(), self.of("energy_max_kwh").copy()
        low[:, -1] = np.maximum(low[:, -1], self.of("end_energy_min_kwh")[:, 0])
        high[:, -1] = np.minimum(high[:, -1], self.of("end_energy_max_kwh")[:, 0])
        return low, high

    def costs(self) -> FloatArray:
        """The costs of all columns."""
        cost = np.zeros((6, *self.shape))
        wear = self.of("wear_cost_per_kwh")
        cost[CHARGE] = wear * self.of("charge_efficiency")
        cost[DISCHARGE] = wear / self.of("discharge_efficiency")
        cost[ENERGY, :, -1] = -self.of("end_value_per_kwh")[:, 0]
        cost[IMPORT] = self.of("buy_price_per_kwh")
        cost[EXPORT] = -self.of("sell_price_per_kwh")
        return cost


def _meters(rows: Entries, at: NodeArray, data: _Data) -> None:
    """The balance: import - export - charge + discharge - curtailed = load - pv."""
    net = (data.kwh("load_kw") - data.kwh("pv_kw")).reshape(-1)
    first = rows.block(net, net, net.size)
    row = first + np.arange(net.size)
    signs = {IMPORT: 1.0, EXPORT: -1.0, CHARGE: -1.0, DISCHARGE: 1.0, CURTAILED: -1.0}
    for kind, sign in signs.items():
        rows.add(row, at[kind].reshape(-1), sign)


def _stores(rows: Entries, at: NodeArray, data: _Data) -> None:
    """Energy: e[t] - keep[t] * e[t-1] - efficiency * charge + discharge / efficiency = 0."""
    sites, count = data.shape
    start = np.zeros(data.shape)
    start[:, 0] = data.keep[:, 0] * data.of("initial_energy_kwh")[:, 0]
    first = rows.block(start.reshape(-1), start.reshape(-1), sites * count)
    row = first + np.arange(sites * count).reshape(sites, count)
    rows.add(row.reshape(-1), at[ENERGY].reshape(-1), 1.0)
    rows.add(row[:, 1:].reshape(-1), at[ENERGY, :, :-1].reshape(-1), -data.keep[:, 1:].reshape(-1))
    into = np.repeat(data.of("charge_efficiency")[:, 0], count)
    out = np.repeat(data.of("discharge_efficiency")[:, 0], count)
    rows.add(row.reshape(-1), at[CHARGE].reshape(-1), -into)
    rows.add(row.reshape(-1), at[DISCHARGE].reshape(-1), 1.0 / out)


def _nodes(rows: Entries, at: NodeArray, fleet: Fleet, first_column: int) -> int:
    """The limits of every node; how many columns there are for breaches, from the first one on."""
    limits, count, added = fleet.limits, fleet.sites.horizon.count, 0
    above = limits.tree.above
    for node in range(len(fleet.network.names)):
        below = np.flatnonzero([node in above[own] for own in fleet.site_nodes])
        first = rows.block(limits.low[node], limits.high[node], count)
        row = first + np.arange(count)
        for kind, sign in ((IMPORT, 1.0), (EXPORT, -1.0)):
            columns = at[kind, below]
            rows.add(np.broadcast_to(row, columns.shape).reshape(-1), columns.reshape(-1), sign)
        if np.isfinite(limits.breach[node]):
            for sign in (-1.0, 1.0):
                rows.add(row, first_column + added + np.arange(count), sign)
                added += count
    return added


def _exclusive(rows: Entries, at: NodeArray, most: FloatArray, first_column: int) -> int:
    """One of each pair of columns is zero; how many binaries there are, from the first one on."""
    added = 0
    for one, other in ((CHARGE, DISCHARGE), (IMPORT, EXPORT)):
        size = at[one].size
        binary = first_column + added + np.arange(size)
        for kind, sign, side in ((one, -1.0, 0.0), (other, 1.0, 1.0)):
            limit = most[kind].reshape(-1)
            row = rows.block(-inf, side * limit, size) + np.arange(size)
            rows.add(row, at[kind].reshape(-1), 1.0)
            rows.add(row, binary, sign * limit)
        added += size
    return added
