"""The purchase as arrays: columns and rows in groups that know what their limits are called.

Powers count in units of the highest load, so that the solver's tolerance is the same for a village
and a country; prices and duals are not changed by that.
"""

from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from loadloom.models.agency.problem import IntArray
from loadloom.models.agency.purchase import Plant, PurchasePlan, PurchaseProblem
from loadloom.models.horizon import FloatArray
from loadloom.solvers.highs import Entries, Program

SPOT, STORE, LOAD = "spot market", "store", "load"
"""The sources that are no plant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Columns or rows of one kind: whose they are, and what their limits are called.

    `soft` says which limits may give way where nothing is feasible: low, high.
    """

    source: str
    low_rule: str
    high_rule: str
    at: IntArray
    soft: tuple[bool, bool] = (False, False)


@dataclass(slots=True)
class Arrays:
    """A programme as it grows."""

    costs: list[FloatArray] = field(default_factory=list)
    lows: list[FloatArray] = field(default_factory=list)
    highs: list[FloatArray] = field(default_factory=list)
    entries: Entries = field(default_factory=Entries)
    column_groups: list[Group] = field(default_factory=list)
    row_groups: list[Group] = field(default_factory=list)

    def columns(
        self,
        source: str,
        cost: FloatArray,
        *,
        low: FloatArray | float = 0.0,
        high: FloatArray | float = inf,
        low_rule: str = "",
        high_rule: str = "",
    ) -> IntArray:
        """The indices of new columns."""
        at = np.arange(cost.size) + sum(each.size for each in self.costs)
        self.costs.append(cost)
        self.lows.append(_filled(low, cost.size))
        self.highs.append(_filled(high, cost.size))
        group = Group(source=source, low_rule=low_rule, high_rule=high_rule, at=at)
        self.column_groups.append(group)
        return at

    def rows(
        self,
        source: str,
        low: FloatArray,
        high: FloatArray,
        *,
        low_rule: str = "",
        high_rule: str = "",
        soft: tuple[bool, bool] = (False, False),
    ) -> IntArray:
        """The indices of new rows, without entries."""
        at = np.arange(low.size) + self.entries.block(low, high, low.size)
        self.row_groups.append(
            Group(source=source, low_rule=low_rule, high_rule=high_rule, at=at, soft=soft)
        )
        return at

    def program(self, integer: IntArray | None = None) -> Program:
        """The programme so far."""
        cost = np.concatenate(self.costs)
        whole = np.zeros(cost.size, np.bool_)
        if integer is not None:
            whole[integer] = True
        return Program(
            cost=cost,
            low=np.concatenate(self.lows),
            high=np.concatenate(self.highs),
            row_low=self.entries.low,
            row_high=self.entries.high,
            matrix=self.entries.matrix(cost.size),
            integer=whole,
        )


def _filled(values: FloatArray | float, count: int) -> FloatArray:
    return np.array(np.broadcast_to(values, (count,)), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseModel:
    """The programme of a purchase and where its columns and rows are.

    Attributes:
        unit_kw: the power that counts as one.
        power: the columns of each plant's power, (J, T).
        blocks: those of each plant's blocks, (B, T).
        market: those of what is bought and sold, (2, T), or no rows.
        store: those of charging, discharging and what is stored, (3, T), or no rows.
        charging: the binaries of the store, (T,), or none.
        balance: the rows of the balance, (T,).
    """

    arrays: Arrays
    unit_kw: float
    power: IntArray
    blocks: tuple[IntArray, ...]
    market: IntArray
    store: IntArray
    charging: IntArray
    balance: IntArray

    def program(self) -> Program:
        """The programme, with whole numbers where there are binaries."""
        return self.arrays.program(self.charging)

    def plan(self, primal: FloatArray, step_count: int) -> PurchasePlan:
        """The columns in kW and kWh; what is bought to be sold in the same slot is neither."""
        none = np.zeros(step_count)
        bought, sold = primal[self.market] if self.market.size else (none, none)
        both = np.minimum(bought, sold)
        charged, discharged, stored = primal[self.store] if self.store.size else (none,) * 3
        if self.store.size:
            charged, discharged = np.maximum(charged, 0.0), np.maximum(discharged, 0.0)
        plan = PurchasePlan(
            power_kw=primal[self.power].reshape(-1, step_count),
            block_kw=tuple(primal[at] for at in self.blocks),
            spot_buy_kw=bought - both,
            spot_sell_kw=sold - both,
            charge_kw=charged,
            discharge_kw=discharged,
            energy_kwh=stored,
        )
        return _scaled(plan, self.unit_kw)


def _scaled(plan: PurchasePlan, unit_kw: float) -> PurchasePlan:
    return PurchasePlan(
        power_kw=plan.power_kw * unit_kw,
        block_kw=tuple(block * unit_kw for block in plan.block_kw),
        spot_buy_kw=plan.spot_buy_kw * unit_kw,
        spot_sell_kw=plan.spot_sell_kw * unit_kw,
        charge_kw=plan.charge_kw * unit_kw,
        discharge_kw=plan.discharge_kw * unit_kw,
        energy_kwh=plan.energy_kwh * unit_kw,
    )


def model_of(problem: PurchaseProblem, *, exclusive: bool = False) -> PurchaseModel:
    """The programme of a purchase; with `exclusive` the store has a binary in every slot."""
    arrays = Arrays()
    unit = float(problem.load_kw.max()) or 1.0
    load = problem.load_kw / unit
    balance = arrays.rows(
        LOAD, load, load, low_rule="balance", high_rule="balance", soft=(True, True)
    )
    power, blocks = [], []
    for plant in problem.plants:
        mine, parts = _add_plant(arrays, problem, plant, unit, balance)
        power.append(mine)
        blocks.append(parts)
    market = _add_spot(arrays, problem, unit, balance)
    store, charging = _add_store(arrays, problem, unit, balance, exclusive=exclusive)
    count = problem.horizon.count
    return PurchaseModel(
        arrays=arrays,
        unit_kw=unit,
        power=np.array(power, dtype=np.int64).reshape(-1, count),
        blocks=tuple(blocks),
        market=market,
        store=store,
        charging=charging,
        balance=balance,
    )


def _add_plant(
    arrays: Arrays, problem: PurchaseProblem, plant: Plant, unit: float, balance: IntArray
) -> tuple[IntArray, IntArray]:
    hours, name = problem.horizon.step_h, plant.name
    high = problem.column(plant.power_max_kw) / unit
    power = arrays.columns(
        name, hours * problem.column(plant.price_per_kwh), high=high, high_rule="power_max_kw"
    )
    arrays.entries.add(balance, power, 1.0)
    least = problem.column(plant.power_min_kw) / unit
    if least.any():
        rows = arrays.rows(
            name, least, np.full(least.size, inf), low_rule="power_min_kw", soft=(True, False)
        )
        arrays.entries.add(rows, power, 1.0)
    if plant.energy_min_kwh > 0.0 or plant.energy_max_kwh < inf:
        row = arrays.rows(
            name,
            np.array([plant.energy_min_kwh / unit]),
            np.array([plant.energy_max_kwh / unit]),
            low_rule="energy_min_kwh",
            high_rule="energy_max_kwh",
            soft=(True, True),
        )
        arrays.entries.add(row, power, hours)
    blocks = _add_blocks(arrays, plant, unit, power, hours)
    _add_peak(arrays, plant, power, hours)
    return power, blocks


def _add_blocks(
    arrays: Arrays, plant: Plant, unit: float, power: IntArray, hours: FloatArray
) -> IntArray:
    """sum_b block[b, t] = power[t], and the limits of every block."""
    if not plant.blocks:
        return np.zeros((0, power.size), np.int64)
    none = np.zeros(power.size)
    split = arrays.rows(plant.name, none, none)
    arrays.entries.add(split, power, -1.0)
    found = []
    for number, block in enumerate(plant.blocks):
        columns = arrays.columns(
            plant.name,
            hours * block.price_per_kwh,
            high=block.power_kw / unit,
            high_rule=f"blocks[{number}].power_kw",
        )
        arrays.entries.add(split, columns, 1.0)
        if block.energy_kwh < inf:
            row = arrays.rows(
                plant.name,
                np.array([-inf]),
                np.array([block.energy_kwh / unit]),
                high_rule=f"blocks[{number}].energy_kwh",
            )
            arrays.entries.add(row, columns, hours)
        found.append(columns)
    return np.array(found)


def _add_peak(arrays: Arrays, plant: Plant, power: IntArray, hours: FloatArray) -> None:
    """P >= power[t], and cost >= a E + b H P for every line of a price by load factor."""
    if plant.schedule is None and plant.capacity_price_per_kw == 0.0:
        return
    peak = arrays.columns(plant.name, np.array([plant.capacity_price_per_kw]))
    rows = arrays.rows(plant.name, np.zeros(power.size), np.full(power.size, inf))
    arrays.entries.add(rows, power, -1.0)
    arrays.entries.add(rows, peak, 1.0)
    if plant.schedule is None:
        return
    cost = arrays.columns(plant.name, np.ones(1), low=-inf)
    for per_kwh, per_peak in zip(*plant.schedule.supports(1.0), strict=True):
        row = arrays.rows(plant.name, np.zeros(1), np.full(1, inf))
        arrays.entries.add(row, cost, 1.0)
        arrays.entries.add(row, peak, -per_peak * float(hours.sum()))
        arrays.entries.add(row, power, -per_kwh * hours)


def _add_spot(arrays: Arrays, problem: PurchaseProblem, unit: float, balance: IntArray) -> IntArray:
    spot, hours = problem.spot, problem.horizon.step_h
    if spot is None:
        return np.zeros((0, hours.size), np.int64)
    bought = arrays.columns(
        SPOT,
        hours * problem.column(spot.buy_price_per_kwh),
        high=problem.column(spot.buy_max_kw) / unit,
        high_rule="buy_max_kw",
    )
    sold = arrays.columns(
        SPOT,
        -hours * problem.column(spot.sell_price_per_kwh),
        high=problem.column(spot.sell_max_kw) / unit,
        high_rule="sell_max_kw",
    )
    arrays.entries.add(balance, bought, 1.0)
    arrays.entries.add(balance, sold, -1.0)
    return np.array([bought, sold])


def _add_store(
    arrays: Arrays,
    problem: PurchaseProblem,
    unit: float,
    balance: IntArray,
    *,
    exclusive: bool,
) -> tuple[IntArray, IntArray]:
    store, hours = problem.store, problem.horizon.step_h
    none = np.zeros(hours.size)
    if store is None:
        return np.zeros((0, hours.size), np.int64), np.zeros(0, np.int64)
    charge_max, discharge_max = store.charge_max_kw / unit, store.discharge_max_kw / unit
    charged = arrays.columns(STORE, none, high=charge_max, high_rule="charge_max_kw")
    discharged = arrays.columns(STORE, none, high=discharge_max, high_rule="discharge_max_kw")
    stored = arrays.columns(
        STORE, none, high=store.energy_max_kwh / unit, high_rule="energy_max_kwh"
    )
    arrays.entries.add(balance, charged, -1.0)
    arrays.entries.add(balance, discharged, 1.0)
    first = none.copy()
    first[0] = store.initial_energy_kwh / unit
    rows = arrays.rows(
        STORE, first, first, low_rule="initial_energy_kwh", high_rule="initial_energy_kwh"
    )
    arrays.entries.add(rows, stored, 1.0)
    arrays.entries.add(rows[1:], stored[:-1], -1.0)
    arrays.entries.add(rows, charged, -hours * store.charge_efficiency)
    arrays.entries.add(rows, discharged, hours / store.discharge_efficiency)
    if store.end_energy_min_kwh > 0.0:
        least = np.array([store.end_energy_min_kwh / unit])
        row = arrays.rows(
            STORE, least, np.full(1, inf), low_rule="end_energy_min_kwh", soft=(True, False)
        )
        arrays.entries.add(row, stored[-1:], 1.0)
    charging = np.zeros(0, np.int64)
    if exclusive:
        charging = arrays.columns(STORE, none, high=1.0)
        rows = arrays.rows(STORE, np.full(hours.size, -inf), none)
        arrays.entries.add(rows, charged, 1.0)
        arrays.entries.add(rows, charging, -charge_max)
        rows = arrays.rows(STORE, np.full(hours.size, -inf), np.full(hours.size, discharge_max))
        arrays.entries.add(rows, discharged, 1.0)
        arrays.entries.add(rows, charging, discharge_max)
    return np.array([charged, discharged, stored]), charging


def with_directions(problem: PurchaseProblem, model: PurchaseModel, primal: FloatArray) -> Program:
    """The linear programme whose store keeps the directions of a solution with binaries."""
    base = model_of(problem).arrays.program()
    high = base.high.copy()
    charges = primal[model.charging] > 0.5
    charged, discharged, _ = model.store
    high[charged[~charges]] = 0.0
    high[discharged[charges]] = 0.0
    return replace(base, high=high)


def elastic(problem: PurchaseProblem) -> tuple[PurchaseModel, Program, IntArray, IntArray]:
    """The model, its programme in which soft rules give way at 1 a kWh, and where they do.

    The last are the columns by which a row is lifted to its low side, and lowered to its high one;
    -1 where it is not soft.
    """
    model = model_of(problem)
    arrays, hours = model.arrays, problem.horizon.step_h
    arrays.costs = [np.zeros(cost.size) for cost in arrays.costs]
    count = arrays.entries.count
    lifted, lowered = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    for group in list(arrays.row_groups):
        # A row of every slot is of power, one of the whole horizon of energy.
        worth = hours if group.at.size == hours.size else np.ones(group.at.size)
        for soft, given, sign in ((group.soft[0], lifted, 1.0), (group.soft[1], lowered, -1.0)):
            if soft:
                given[group.at] = arrays.columns(group.source, worth)
                arrays.entries.add(group.at, given[group.at], sign)
    return model, arrays.program(), lifted, lowered
