"""A whole site as a general programme, and its plan read from a solution."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np

from loadloom.models.dispatch.blocks import meter
from loadloom.models.dispatch.blocks.kinds import BLOCKS
from loadloom.models.dispatch.devices.storage import Storage
from loadloom.models.dispatch.problem import FAMILIES, Problem
from loadloom.models.dispatch.programme import ELECTRIC, BoolArray, IntArray, Limit, Programme
from loadloom.models.dispatch.solution import LimitPrice, Schedule, Values
from loadloom.models.horizon import FloatArray
from loadloom.solvers.highs import Program


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """A programme, what reads the plan of each device from a solution, and what values rest on."""

    problem: Problem
    programme: Programme
    readers: dict[str, list[Callable[[FloatArray], object]]]
    crossings: list[meter.Crossing]
    balances: dict[str, IntArray]
    cost: FloatArray

    def schedule(self, primal: FloatArray) -> Schedule:
        """The plan that a solution stands for."""
        plans = {
            name: tuple(read(primal) for read in found) for name, found in self.readers.items()
        }
        exchanges = tuple(
            meter.reader(self.problem, crossing)(primal) for crossing in self.crossings
        )
        return Schedule.of(self.problem.horizon.count, plans, exchanges)

    def values(
        self,
        program: Program,
        primal: FloatArray,
        row_dual: FloatArray,
        column_dual: FloatArray,
    ) -> Values:
        """What energy is worth, by a plan and the duals of the linear programme that it leaves."""
        programme = self.programme
        site = -np.sum([row_dual[crossing.balance] for crossing in self.crossings], axis=0)
        held = {path: np.zeros(programme.count) for path in programme.worths}
        for path, (rows, sign, intervals) in programme.worths.items():
            held[path][intervals] = -sign * row_dual[rows]
        stores: list[FloatArray] = []
        wears: list[FloatArray] = []
        for s, storage in enumerate(self.problem.storages):
            stored, wear = _worth_of_store(f"storages[{s}]", storage, held)
            stores.append(stored)
            wears.append(wear)
        prices: list[LimitPrice] = []
        in_force = _in_force(programme, program, primal)
        for limit in programme.limits:
            dual = (column_dual if limit.of_columns else row_dual)[limit.where]
            price = np.maximum(-dual if limit.high else dual, 0.0) * limit.rule.scale
            binding = price > LEAST_PRICE
            if binding.any() and (binding := binding & in_force(limit)).any():
                prices.append(
                    LimitPrice(
                        path=limit.rule.field,
                        unit=limit.rule.unit,
                        intervals=limit.intervals[binding],
                        price=price[binding],
                    )
                )
        return Values(
            site_per_kwh=site,
            stored_per_kwh=np.array(stores).reshape(-1, programme.count),
            buses={name: -row_dual[rows] for name, rows in self.balances.items()},
            depth_wear_per_kwh=np.array(wears).reshape(-1, programme.count),
            held=held,
            limits=tuple(prices),
        )


LEAST_PRICE = 1e-7
"""Limits whose room is worth less do not bind but for rounding."""

SAME = 1e-9
"""The relative difference from a limit that is rounding."""


def build(problem: Problem) -> Site:
    """The programme of a site."""
    programme = Programme(
        problem.horizon,
        problem.scenes,
        carbon=problem.meter.carbon,
        island=problem.meter.island,
    )
    readers: dict[str, list[Callable[[FloatArray], object]]] = {name: [] for name in FAMILIES}
    for family, path, device in problem.devices():
        programme.begin(path)
        readers[family].append(BLOCKS[family].add(programme, path, device))
    programme.begin("meter")
    crossings = meter.add(programme, problem)
    names = {draw.bus for draw in programme.draws_by_device} - {ELECTRIC}
    names |= {demand.bus for demand in programme.demands_by_device} - {ELECTRIC}
    balances = {name: programme.balance(name) for name in sorted(names)}
    return Site(
        problem=problem,
        programme=programme,
        readers=readers,
        crossings=crossings,
        balances=balances,
        cost=_objective(problem, programme),
    )


def repriced(site: Site, problem: Problem) -> Site | None:
    """The programme of a site with other prices of the meter; None where anything else is new."""
    first, prices = site.problem, {"buy_price_per_kwh", "sell_price_per_kwh"}
    same = alike(problem, first, {"meter"}) and alike(problem.meter, first.meter, prices)
    if not same or problem.scenarios or site.programme.column_count != site.cost.size:
        return None
    (crossing,), (scene,) = site.crossings, problem.scenes
    site.programme.reprice(crossing.drawn, scene.buy)
    site.programme.reprice(crossing.fed, -scene.sell)
    return replace(site, problem=problem, cost=_objective(problem, site.programme))


def alike(one: object, other: object, but: Collection[str] = ()) -> bool:
    """Whether two parts of problems are the same to the last number, but for some fields."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return np.array_equal(one, np.asarray(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if is_dataclass(one):
        names = [each.name for each in fields(one) if each.name not in but]
        return all(alike(getattr(one, name), getattr(other, name)) for name in names)
    return one == other


def _worth_of_store(
    path: str, storage: Storage, held: dict[str, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """What one more kWh in a store is worth, and what depth makes a kWh taken out cost, (count,).

    One more kWh goes to the share where it is worth most, one taken out comes from the share where
    it costs least.
    """
    stored = held.pop(path)
    if not storage.depth_wear:
        return stored, np.zeros_like(stored)
    costs = storage.depth_segments()[1]
    parts = np.array([held.pop(f"{path}.depth_wear[{k}]") for k in range(costs.size)])
    return stored + parts.max(axis=0), (costs[:, None] + parts).min(axis=0) - parts.max(axis=0)


def _in_force(
    programme: Programme, program: Program, primal: FloatArray
) -> Callable[[Limit], BoolArray]:
    """Tells where a limit itself holds a plan, and neither a decision nor all there is to move.

    A way that is closed and a device that is off have duals too, but more room would save nothing.
    """
    low, high, cut = programme.low, programme.high, programme.cut
    row, column = (
        program.matrix.rows,
        np.repeat(np.arange(primal.size), np.diff(program.matrix.starts)),
    )
    whole = program.integer[column]
    decided, on = (np.zeros(program.row_low.size, np.bool_) for _ in range(2))
    decided[row[whole]] = True
    on[row[whole & (primal[column] > 0.5)]] = True

    def told(limit: Limit) -> BoolArray:
        where = limit.where
        if not limit.of_columns:
            side = (program.row_high if limit.high else program.row_low)[where]
            return (side != 0.0) | on[where] | ~decided[where]
        side = (high if limit.high else low)[where]
        at_it = np.abs(primal[where] - side) <= SAME * np.maximum(1.0, np.abs(side))
        return at_it & ~program.integer[where] & (not limit.high or side < cut[where])

    return told


def _objective(problem: Problem, programme: Programme) -> FloatArray:
    """The cost of each column in the objective; adds the columns and rows of the CVaR."""
    risk, scenes = problem.risk, programme.scenes
    scene, cost = programme.scene_costs()
    probability = np.array([each.probability for each in scenes])
    weight = 0.0 if risk is None or len(scenes) == 1 else risk.weight
    expected = np.where(scene < 0, cost, (1.0 - weight) * cost * probability[scene])
    if risk is None or weight == 0.0:
        return expected
    level = programme.columns(1, low=-np.inf)
    above = programme.columns(len(scenes))
    rows = programme.rows(len(scenes), -np.inf, 0.0)
    programme.entries(rows, level, -1.0)
    programme.entries(rows, above, -1.0)
    counted = np.flatnonzero((scene >= 0) & (cost != 0.0))
    programme.entries(rows[scene[counted]], counted, cost[counted])
    return np.concatenate((expected, [weight], weight * probability / (1.0 - risk.level)))
