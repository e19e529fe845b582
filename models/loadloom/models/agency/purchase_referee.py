"""The referee of purchases: what a plan costs and which rules it breaks, from the columns alone."""

from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.agency.purchase import Plant, PurchasePlan, PurchaseProblem
from loadloom.models.checks import Violation
from loadloom.models.horizon import FloatArray

RELATIVE = 1e-6
"""The share by which a rule may be off by rounding, of the highest load and its energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantCost:
    """What one plant delivers and costs, by cause."""

    name: str
    energy_kwh: float
    peak_kw: float
    load_factor: float
    energy_cost: float
    block_cost: float
    schedule_cost: float
    capacity_cost: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.energy_cost + self.block_cost + self.schedule_cost + self.capacity_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseCost:
    """What a plan costs, in the currency of the prices."""

    plants: tuple[PlantCost, ...]
    spot_bought: float
    spot_sold: float

    @property
    def total(self) -> float:
        """F1, what is paid for all."""
        return sum(plant.total for plant in self.plants) + self.spot_bought - self.spot_sold


def cost(problem: PurchaseProblem, plan: PurchasePlan) -> PurchaseCost:
    """What the plan costs."""
    hours, spot = problem.horizon.step_h, problem.spot
    bought = sold = 0.0
    if spot is not None:
        bought = float((problem.column(spot.buy_price_per_kwh) * plan.spot_buy_kw) @ hours)
        sold = float((problem.column(spot.sell_price_per_kwh) * plan.spot_sell_kw) @ hours)
    return PurchaseCost(
        plants=tuple(
            _plant_cost(problem, plant, plan.power_kw[j], plan.block_kw[j])
            for j, plant in enumerate(problem.plants)
        ),
        spot_bought=bought,
        spot_sold=sold,
    )


def _plant_cost(
    problem: PurchaseProblem, plant: Plant, power_kw: FloatArray, block_kw: FloatArray
) -> PlantCost:
    hours = problem.horizon.step_h
    energy, peak = float(power_kw @ hours), float(max(0.0, power_kw.max()))
    used = energy > 0.0
    u = max(1.0, float(hours.sum()) * peak / energy) if used else 1.0
    price = 0.0 if plant.schedule is None else float(plant.schedule.value(u))
    blocks = zip(plant.blocks, block_kw, strict=True)
    return PlantCost(
        name=plant.name,
        energy_kwh=energy,
        peak_kw=peak,
        load_factor=1.0 / u if used else 0.0,
        energy_cost=float((problem.column(plant.price_per_kwh) * power_kw) @ hours),
        block_cost=sum(block.price_per_kwh * float(power @ hours) for block, power in blocks),
        schedule_cost=energy * price if used else 0.0,
        capacity_cost=plant.capacity_price_per_kw * peak,
    )


def violations(problem: PurchaseProblem, plan: PurchasePlan) -> list[Violation]:
    """Every rule that a plan breaks, by the worst slot of each."""
    slack = RELATIVE * max(1.0, float(problem.load_kw.max()))
    got = plan.power_kw.sum(axis=0) + plan.spot_buy_kw - plan.spot_sell_kw
    got = got + plan.discharge_kw - plan.charge_kw
    found = [_beyond("balance", got, problem.load_kw, problem.load_kw, slack)]
    for j, plant in enumerate(problem.plants):
        found += _plant(problem, f"plants[{j}]", plant, plan.power_kw[j], plan.block_kw[j], slack)
    found += _spot(problem, plan, slack)
    found += _store(problem, plan, slack)
    return [violation for violation in found if violation is not None]


def _plant(
    problem: PurchaseProblem,
    path: str,
    plant: Plant,
    power_kw: FloatArray,
    block_kw: FloatArray,
    slack: float,
) -> list[Violation | None]:
    hours = problem.horizon.step_h
    energy = np.array([power_kw @ hours])
    slack_kwh = slack * float(hours.sum())
    low, high = problem.column(plant.power_min_kw), problem.column(plant.power_max_kw)
    found = [
        _beyond(f"{path}.power_kw", power_kw, low, high, slack),
        _beyond(
            f"{path}.energy_kwh", energy, plant.energy_min_kwh, plant.energy_max_kwh, slack_kwh
        ),
    ]
    if plant.blocks:
        total = block_kw.sum(axis=0)
        found.append(_beyond(f"{path}.block_kw", total, power_kw, power_kw, slack))
    for number, block in enumerate(plant.blocks):
        here, power = f"{path}.blocks[{number}]", block_kw[number]
        energy = np.array([power @ hours])
        found.append(_beyond(f"{here}.power_kw", power, 0.0, block.power_kw, slack))
        found.append(_beyond(f"{here}.energy_kwh", energy, 0.0, block.energy_kwh, slack_kwh))
    return found


def _spot(problem: PurchaseProblem, plan: PurchasePlan, slack: float) -> list[Violation | None]:
    spot = problem.spot
    buy_max = problem.column(0.0 if spot is None else spot.buy_max_kw)
    sell_max = problem.column(0.0 if spot is None else spot.sell_max_kw)
    both = np.minimum(plan.spot_buy_kw, plan.spot_sell_kw)
    return [
        _beyond("spot_buy_kw", plan.spot_buy_kw, 0.0, buy_max, slack),
        _beyond("spot_sell_kw", plan.spot_sell_kw, 0.0, sell_max, slack),
        _beyond("spot_buy_kw and spot_sell_kw", both, -inf, 0.0, slack),
    ]


def _store(problem: PurchaseProblem, plan: PurchasePlan, slack: float) -> list[Violation | None]:
    store, hours = problem.store, problem.horizon.step_h
    charged, discharged, stored = plan.charge_kw, plan.discharge_kw, plan.energy_kwh
    if store is None:
        moved = np.abs(charged) + np.abs(discharged) + np.abs(stored)
        return [_beyond("charge_kw, discharge_kw and energy_kwh", moved, 0.0, 0.0, slack)]
    before = np.append(store.initial_energy_kwh, stored[:-1])
    after = before + hours * (
        store.charge_efficiency * charged - discharged / store.discharge_efficiency
    )
    slack_kwh = slack * float(hours.sum())
    least_end = store.end_energy_min_kwh
    return [
        _beyond("charge_kw", charged, 0.0, store.charge_max_kw, slack),
        _beyond("discharge_kw", discharged, 0.0, store.discharge_max_kw, slack),
        _beyond("charge_kw and discharge_kw", np.minimum(charged, discharged), -inf, 0.0, slack),
        _beyond("energy_kwh", stored, 0.0, store.energy_max_kwh, slack_kwh),
        _beyond("energy_kwh of the balance", stored, after, after, slack_kwh),
        _beyond("end_energy_kwh", stored[-1:], least_end, inf, slack_kwh),
    ]


def _beyond(
    path: str,
    values: FloatArray,
    low: FloatArray | float,
    high: FloatArray | float,
    slack: float,
) -> Violation | None:
    """The violation of the value that is furthest out of its range, if one is."""
    out = np.maximum(low - values, values - high)
    bad = ~(out <= slack)  # NaN is broken too
    if not bad.any():
        return None
    worst = int(np.argmax(np.where(np.isnan(out), inf, out)))
    return Violation(f"{path}[{worst}]", f"is out of its range by {out[worst]:g}")
