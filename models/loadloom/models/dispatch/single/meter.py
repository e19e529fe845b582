"""What a site pays for any draw of a single device, and the plan and solution made of it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit

from loadloom.models.certificate import Proof
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import Schedule, Solution, Values
from loadloom.models.dispatch.stage import settle
from loadloom.models.dispatch.values import site_values
from loadloom.models.horizon import FloatArray
from loadloom.models.options import Method
from loadloom.solvers.termination import Reason, Termination


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Connection:
    """The meter of a plain site in kWh of each interval, shapes (count,)."""

    net: FloatArray
    free: FloatArray
    buy: FloatArray
    sell: FloatArray
    most_in: FloatArray
    most_out: FloatArray

    def settled(self, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The grid exchange for what a device draws, and what it costs; inf where it cannot be."""
        demand = self.net + drawn
        return _settled(demand, self.free, self.buy, self.sell, self.most_in, self.most_out)

    def cost(self, drawn: FloatArray) -> FloatArray:
        """What each interval costs, shape (count,)."""
        return self.settled(drawn)[1]


def connection_of(problem: Problem) -> Connection:
    """The meter of a site."""
    hours, meter = problem.horizon.step_h, problem.meter
    return Connection(
        net=problem.net_load_kw * hours,
        free=problem.curtailable_kw * hours,
        buy=meter.buy_price_per_kwh,
        sell=meter.sell_price_per_kwh,
        most_in=meter.import_limit_kw * hours,
        most_out=meter.export_limit_kw * hours,
    )


def solution_of(
    problem: Problem,
    drawn_kw: FloatArray,
    plans: dict[str, tuple[Any, ...]],
    objective: float,
    road: str,
    tank: tuple[FloatArray, ...] | None = None,
) -> Solution:
    """The proven plan in which devices draw this much, in the words of all solutions.

    `tank` is what the only store charges, discharges, holds, and what that is worth, each (count,).
    """
    hours, count = problem.horizon.step_h, problem.horizon.count
    meter = connection_of(problem)
    grid, _ = meter.settled(drawn_kw * hours)
    unused = np.maximum(grid - meter.net - drawn_kw * hours, 0.0)
    plants = [plant.power_kw * plant.curtailable for plant in problem.photovoltaics]
    share = np.array(plants).reshape(-1, count) / np.maximum(problem.curtailable_kw, 1e-300)
    stores = 0 if tank is None else 1
    charge, discharge, energy, value = np.array(tank or np.zeros((4, 0))).reshape(4, stores, count)
    schedule = Schedule(
        charge_kw=charge,
        discharge_kw=discharge,
        energy_kwh=energy,
        curtailed_kw=share * (unused / hours),
        import_kw=np.maximum(grid, 0.0) / hours,
        export_kw=np.maximum(-grid, 0.0) / hours,
        shed_kw=np.zeros((len(problem.loads), count)),
        **plans,
    )
    nobody = replace(problem, **dict.fromkeys(("storages", *plans), ()))
    site = site_values(nobody, schedule, np.zeros((0, count)))
    return Solution(
        termination=Termination(reason=Reason.OPTIMAL, objective=objective, bound=objective),
        method=Method.KERNEL,
        road=road,
        proof=Proof.DYNAMIC_PROGRAM,
        schedule=schedule,
        values=Values(site_per_kwh=site, stored_per_kwh=value),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _settled(
    demand: FloatArray,
    free: FloatArray,
    buy: FloatArray,
    sell: FloatArray,
    most_in: FloatArray,
    most_out: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The exchange and its cost by interval."""
    grid, cost = np.zeros(demand.size), np.full(demand.size, np.inf)
    for t in range(demand.size):
        near = 1e-9 * (1.0 + abs(demand[t]))
        if demand[t] > most_in[t] + near or demand[t] + free[t] < -most_out[t] - near:
            continue
        grid[t] = settle(demand[t], free[t], buy[t], sell[t], most_in[t], most_out[t])
        cost[t] = (buy[t] if grid[t] > 0.0 else sell[t]) * grid[t]
    return grid, cost
