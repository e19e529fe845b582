"""The fleet as one programme, for small ones: what the road is tested against, and timed beside.

    columns per site and interval: charge, discharge, energy, import, export, curtailed, in kWh
    rows: the balance of every meter, the balance of every store, the limits of every node

It is the formulation of `dispatch.problem` and `fleet.problem`, written down as it stands; mixed
sites have their general programmes. Without binaries it is a relaxation where prices are negative
or two ways of a device exclude each other; with them, it is exact.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.dispatch.batch import PER_SITE, Batch
from loadloom.models.dispatch.blocks.site import build
from loadloom.models.dispatch.fleet.problem import Fleet, NodeArray
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.programme import BoolArray, IntArray
from loadloom.models.horizon import FloatArray
from loadloom.solvers.highs import Entries, Model, Options, Program
from loadloom.solvers.termination import Termination

CHARGE, DISCHARGE, ENERGY, IMPORT, EXPORT, CURTAILED = range(6)
"""The numbers of the columns of a site and interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """How the whole programme ended, what plain sites do in kWh (6, plain, T), and its seconds."""

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
    size = 6, fleet.plain_count, fleet.horizon.count
    found = outcome.primal
    return Reference(
        termination=outcome.termination,
        energies_kwh=None if found is None else found[: np.prod(size)].reshape(size),
        seconds=outcome.seconds,
    )


def whole(fleet: Fleet, *, exclusive: bool = False) -> Program:
    """The programme of a fleet."""
    rows, columns = Entries(), _Columns()
    flows: list[tuple[int, IntArray, IntArray]] = []
    if fleet.sites is not None:
        flows += _plain(rows, columns, fleet, _Data(fleet.sites), exclusive=exclusive)
    for node, problem in zip(fleet.mixed_nodes, fleet.mixed, strict=True):
        flows.append((int(node), *_mixed(rows, columns, problem, exclusive=exclusive)))
    _nodes(rows, columns, fleet, flows)
    cost, low, high = (np.concatenate(part) for part in zip(*columns.parts, strict=True))
    return Program(
        cost=cost, low=low, high=high, row_low=rows.low, row_high=rows.high,
        matrix=rows.matrix(cost.size), integer=np.concatenate(columns.integer),
        offset=columns.offset,
    )  # fmt: skip


class _Columns:
    """Columns under construction, block by block."""

    def __init__(self) -> None:
        self.count, self.offset = 0, 0.0
        self.parts: list[tuple[FloatArray, FloatArray, FloatArray]] = []
        self.integer: list[BoolArray] = []

    def add(
        self, cost: FloatArray, low: FloatArray, high: FloatArray, integer: BoolArray | None = None
    ) -> int:
        """The number of the first of new columns, whole numbers where they are `integer`."""
        first, self.count = self.count, self.count + cost.size
        self.parts.append((cost.reshape(-1), low.reshape(-1), high.reshape(-1)))
        self.integer.append(np.zeros(cost.size, np.bool_) if integer is None else integer)
        return first


def _plain(
    rows: Entries, columns: _Columns, fleet: Fleet, data: "_Data", *, exclusive: bool
) -> Iterator[tuple[int, IntArray, IntArray]]:
    """Adds the plain sites; gives the node of each, and its columns of import and export."""
    sites, count = data.shape
    at = np.arange(6 * sites * count).reshape(6, sites, count)
    low, high, cost = np.zeros(at.shape), data.most(), data.costs()
    low[ENERGY], high[ENERGY] = data.energy_bounds()
    columns.add(cost, low, high)
    _meters(rows, at, data)
    _stores(rows, at, data)
    if exclusive:
        _exclusive(rows, columns, at, high)
    for site, node in enumerate(fleet.site_nodes):
        yield int(node), at[IMPORT, site], at[EXPORT, site]


def _mixed(
    rows: Entries, columns: _Columns, problem: Problem, *, exclusive: bool
) -> tuple[IntArray, IntArray]:
    """Adds a mixed site; gives its columns of import and export."""
    site = build(problem)
    masks = [np.full(pair.one.size, exclusive) for pair in site.programme.pairs]
    program = site.programme.program(site.cost, masks)
    first = columns.add(program.cost, program.low, program.high, program.integer)
    columns.offset += program.offset
    row = rows.block(program.row_low, program.row_high, program.row_low.size)
    own = np.repeat(np.arange(program.cost.size), np.diff(program.matrix.starts))
    rows.add(row + program.matrix.rows, first + own, program.matrix.entries)
    crossing = site.crossings[0]
    return first + crossing.drawn, first + crossing.fed


class _Data:
    """The matrices of plain sites, (sites, count) each, or (sites, 1)."""

    def __init__(self, sites: Batch) -> None:
        self._sites = sites
        self.hours = sites.horizon.step_h
        self.shape = sites.site_count, self.hours.size

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


def _nodes(
    rows: Entries,
    columns: _Columns,
    fleet: Fleet,
    flows: list[tuple[int, IntArray, IntArray]],
) -> None:
    """The limits of every node, with columns for breaches that have a price."""
    limits, count = fleet.limits, fleet.horizon.count
    above = limits.tree.above
    for node in range(len(fleet.network.names)):
        first = rows.block(limits.low[node], limits.high[node], count)
        row = first + np.arange(count)
        below = [flow for flow in flows if node in above[flow[0]]]
        if below:
            for side, sign in ((1, 1.0), (2, -1.0)):
                own = np.concatenate([flow[side] for flow in below])
                rows.add(np.tile(row, len(below)), own, sign)
        if np.isfinite(limits.breach[node]):
            cost = np.full(count, limits.breach[node])
            for sign in (-1.0, 1.0):
                begin = columns.add(cost, np.zeros(count), np.full(count, inf))
                rows.add(row, begin + np.arange(count), sign)


def _exclusive(rows: Entries, columns: _Columns, at: NodeArray, most: FloatArray) -> None:
    """One of each pair of columns is zero."""
    for one, other in ((CHARGE, DISCHARGE), (IMPORT, EXPORT)):
        size = at[one].size
        nothing = np.zeros(size)
        first = columns.add(nothing, nothing, nothing + 1.0, nothing == 0.0)
        binary = first + np.arange(size)
        for kind, sign, side in ((one, -1.0, 0.0), (other, 1.0, 1.0)):
            limit = most[kind].reshape(-1)
            row = rows.block(-inf, side * limit, size) + np.arange(size)
            rows.add(row, at[kind].reshape(-1), 1.0)
            rows.add(row, binary, sign * limit)
