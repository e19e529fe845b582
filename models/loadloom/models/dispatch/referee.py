"""The referee of dispatch: what a schedule costs and which rules it breaks, from the columns alone.

It knows the request and the answer, and nothing of how the answer was made. `audit` holds the same
rules for the rows of a batch.
"""

from dataclasses import dataclass

import numpy as np

from loadloom.models.checks import Violation
from loadloom.models.dispatch.audit import ABSOLUTE_KWH, RELATIVE
from loadloom.models.dispatch.problem import Problem, Storage
from loadloom.models.dispatch.solution import Schedule
from loadloom.models.horizon import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a schedule costs, by cause, in the currency of the prices."""

    bought: float
    sold: float
    wear: float
    end_value: float

    @property
    def total(self) -> float:
        """The objective of the problem."""
        return self.bought - self.sold + self.wear - self.end_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The cost if no store moved, and whether the meter's limits hold; it is priced beyond them."""

    cost: Cost
    within_limits: bool


def cost(problem: Problem, schedule: Schedule) -> Cost:
    """What the schedule costs."""
    step_h, meter = problem.horizon.step_h, problem.meter
    wear, end_value = 0.0, 0.0
    for s, storage in enumerate(problem.storages):
        moved = storage.charge_efficiency * schedule.charge_kw[s]
        moved = moved + schedule.discharge_kw[s] / storage.discharge_efficiency
        wear += storage.wear_cost_per_kwh * float(moved @ step_h)
        end_value += storage.end_value_per_kwh * float(schedule.energy_kwh[s, -1])
    return Cost(
        bought=float((meter.buy_price_per_kwh * schedule.import_kw) @ step_h),
        sold=float((meter.sell_price_per_kwh * schedule.export_kw) @ step_h),
        wear=wear,
        end_value=end_value,
    )


def baseline(problem: Problem) -> Baseline:
    """What the site costs if no store moves and curtailment alone is used, where it helps."""
    meter, step_h = problem.meter, problem.horizon.step_h
    net, free = problem.net_load_kw, problem.curtailable_kw
    buy, sell = meter.buy_price_per_kwh, meter.sell_price_per_kwh
    short, trapped = net > meter.import_limit_kw, net + free < -meter.export_limit_kw
    # The least and the most that curtailment leaves, or what is forced beyond the limits.
    least = np.where(trapped, net + free, np.maximum(net, -meter.export_limit_kw))
    most = np.where(trapped, least, np.minimum(net + free, meter.import_limit_kw))
    least, most = np.where(short, net, least), np.where(short, net, most)
    grid = np.where(_paid(most, buy, sell) < _paid(least, buy, sell), most, least)
    at_zero = (least < 0.0) & (most > 0.0) & (_paid(grid, buy, sell) > 0.0)
    grid = np.where(at_zero, 0.0, grid)
    end_value = 0.0
    for storage in problem.storages:
        left = storage.initial_energy_kwh * float(np.prod(storage.keep(problem.horizon)))
        end_value += storage.end_value_per_kwh * left
    idle = Cost(
        bought=float((buy * np.maximum(grid, 0.0)) @ step_h),
        sold=float((sell * np.maximum(-grid, 0.0)) @ step_h),
        wear=0.0,
        end_value=end_value,
    )
    return Baseline(cost=idle, within_limits=not bool(np.any(short | trapped)))


def _paid(grid: FloatArray, buy: FloatArray, sell: FloatArray) -> FloatArray:
    return np.where(grid > 0.0, buy, sell) * grid


@np.errstate(invalid="ignore")  # a plan may hold numbers that are none, and limits be infinite
def violations(problem: Problem, schedule: Schedule) -> list[Violation]:
    """Every rule that the schedule breaks, by the worst interval of each."""
    hours = problem.horizon.step_h
    meter = problem.meter
    drawn, fed = schedule.import_kw * hours, schedule.export_kw * hours
    curtailed = schedule.curtailed_kw * hours
    charged, taken = schedule.charge_kw * hours, schedule.discharge_kw * hours
    demand = problem.net_load_kw * hours + curtailed.sum(axis=0)
    demand = demand + charged.sum(axis=0) - taken.sum(axis=0)
    size = abs(problem.net_load_kw) * hours + charged.sum(axis=0) + taken.sum(axis=0)
    size = size + curtailed.sum(axis=0)
    found: list[Violation | None] = [
        _equal("balance", demand, drawn - fed, size),
        _within("import_kw", drawn, 0.0, meter.import_limit_kw * hours),
        _within("export_kw", fed, 0.0, meter.export_limit_kw * hours),
        _exclusive("import_kw", "export_kw", drawn, fed),
    ]
    for index, plant in enumerate(problem.photovoltaics):
        most = plant.power_kw * hours if plant.curtailable else np.zeros(hours.size)
        path = f"photovoltaics[{index}].curtailed_kw"
        found.append(_within(path, curtailed[index], 0.0, most))
    for index, storage in enumerate(problem.storages):
        energy = schedule.energy_kwh[index]
        found += _storage(problem, index, storage, charged[index], taken[index], energy)
    return [violation for violation in found if violation is not None]


def _storage(
    problem: Problem,
    index: int,
    storage: Storage,
    charged: FloatArray,
    taken: FloatArray,
    energy: FloatArray,
) -> list[Violation | None]:
    path = f"storages[{index}]"
    hours = problem.horizon.step_h
    before = np.concatenate(([storage.initial_energy_kwh], energy[:-1]))
    after = storage.keep(problem.horizon) * before
    after = after + storage.charge_efficiency * charged - taken / storage.discharge_efficiency
    found = [
        _equal(f"{path}.energy_kwh", energy, after, abs(energy) + charged + taken),
        _within(f"{path}.energy_kwh", energy, storage.energy_min_kwh, storage.energy_max_kwh),
        _within(f"{path}.charge_kw", charged, 0.0, storage.charge_limit_kw * hours),
        _within(f"{path}.discharge_kw", taken, 0.0, storage.discharge_limit_kw * hours),
        _exclusive(f"{path}.charge_kw", f"{path}.discharge_kw", charged, taken),
    ]
    for number, target in enumerate(storage.targets):
        at = slice(target.interval, target.interval + 1)
        found.append(
            _within(f"{path}.targets[{number}]", energy[at], target.min_kwh, target.max_kwh)
        )
    return found


def _worst(path: str, excess: FloatArray, size: FloatArray | float, what: str) -> Violation | None:
    """The violation of the interval that is furthest beyond what is tolerated, if there is one."""
    if excess.max() <= ABSOLUTE_KWH:  # never so if one is NaN
        return None
    size = np.where(np.isfinite(size), size, 0.0)  # a limit of infinity is never passed
    over = excess - (ABSOLUTE_KWH + RELATIVE * np.abs(size))
    bad = ~(over <= 0.0)  # NaN is broken too
    if not bad.any():
        return None
    t = int(np.argmax(np.where(np.isnan(over), np.inf, over)))
    return Violation(f"{path}[{t}]", f"{what} by {excess[t]:g} kWh")


def _within(
    path: str, values: FloatArray, low: FloatArray | float, high: FloatArray | float
) -> Violation | None:
    return _worst(path, np.maximum(values - high, low - values), high, "is out of its range")


def _equal(path: str, left: FloatArray, right: FloatArray, size: FloatArray) -> Violation | None:
    return _worst(path, np.abs(left - right), size, "does not add up")


def _exclusive(one: str, other: str, a: FloatArray, b: FloatArray) -> Violation | None:
    return _worst(one, np.minimum(a, b), 0.0, f"runs together with {other}")
