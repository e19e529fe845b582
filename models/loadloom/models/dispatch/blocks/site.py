"""A whole site as a general programme, and its plan read from a solution."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadloom.models.dispatch.blocks import meter
from loadloom.models.dispatch.blocks.kinds import BLOCKS
from loadloom.models.dispatch.problem import FAMILIES, Problem
from loadloom.models.dispatch.programme import ELECTRIC, IntArray, Programme
from loadloom.models.dispatch.solution import LimitPrice, Schedule, Values
from loadloom.models.horizon import FloatArray


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

    def values(self, row_dual: FloatArray, column_dual: FloatArray) -> Values:
        """What energy is worth, by the duals of a linear programme."""
        programme = self.programme
        site = -np.sum([row_dual[crossing.balance] for crossing in self.crossings], axis=0)
        held = {path: np.zeros(programme.count) for path in programme.worths}
        for path, (rows, sign, intervals) in programme.worths.items():
            held[path][intervals] = -sign * row_dual[rows]
        stores = [held.pop(f"storages[{s}]") for s in range(len(self.problem.storages))]
        prices: list[LimitPrice] = []
        for limit in programme.limits:
            dual = (column_dual if limit.of_columns else row_dual)[limit.where]
            price = np.maximum(-dual if limit.high else dual, 0.0) * limit.rule.scale
            binding = price > LEAST_PRICE
            if binding.any():
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
            held=held,
            limits=tuple(prices),
        )


LEAST_PRICE = 1e-7
"""Limits whose room is worth less do not bind but for rounding."""


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
        readers[family].append(BLOCKS[family].add(programme, path, device))
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
