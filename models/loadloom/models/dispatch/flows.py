"""From the numbers of a programme to flows that can be run, and on to the schedule."""

from dataclasses import dataclass

import numpy as np

from loadloom.models.dispatch.linear_model import Arrays
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import Schedule, Values
from loadloom.models.horizon import FloatArray

NEGLIGIBLE_KWH = 1e-9
"""Energy moved in an interval that is taken for none; the solver's own tolerance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """What a solution of the programme moves in each interval, in kWh, and what the stores hold."""

    charge: FloatArray
    discharge: FloatArray
    energy: FloatArray
    drawn: FloatArray
    export: FloatArray
    curtailed: FloatArray


def energies(site: Arrays, primal: FloatArray) -> FloatArray:
    """The energies of the stores in a solution, shape (stores, count)."""
    cells = site.keep.size
    return primal[2 * cells : 3 * cells].reshape(site.shape)


def values(site: Arrays, row_dual: FloatArray) -> Values:
    """The values of energy that the duals of the rows tell.

    A kWh more of load costs what it costs to buy, less what the balance's dual says of its sides;
    a kWh more in a store moves the side of its row.
    """
    cells = site.keep.size
    balance = row_dual[cells : cells + site.buy.size]
    return Values(
        site_per_kwh=site.buy - balance, stored_per_kwh=-row_dual[:cells].reshape(site.shape)
    )


def settled(site: Arrays, energy: FloatArray) -> Flows:
    """The cheapest flows that give the stores these energies, nothing ever running both ways.

    They keep every limit but perhaps those of the meter, where the energies leave no other way.
    """
    energy = np.minimum(np.maximum(energy, site.energy_min), site.energy_max)
    before = np.concatenate((site.initial, energy[:, :-1]), axis=1)
    change = energy - site.keep * before
    change[np.abs(change) < NEGLIGIBLE_KWH] = 0.0
    most = site.charge_limit * site.charge_efficiency
    charge = np.minimum(np.maximum(change, 0.0), most) / site.charge_efficiency
    discharge = np.maximum(-change, 0.0) * site.discharge_efficiency
    discharge = np.minimum(discharge, site.discharge_limit)
    demand = site.net_load + charge.sum(axis=0) - discharge.sum(axis=0)
    grid = _cheapest_exchange(site, demand)
    return Flows(
        charge=charge,
        discharge=discharge,
        energy=energy,
        drawn=np.maximum(grid, 0.0),
        export=np.maximum(-grid, 0.0),
        curtailed=grid - demand,
    )


def _cheapest_exchange(site: Arrays, demand: FloatArray) -> FloatArray:
    """The import less export that meets a demand, curtailing least, most, or to no exchange."""
    fullest = demand + site.curtailable
    best = least = np.minimum(np.maximum(demand, -site.export_limit), fullest)
    most = np.maximum(np.minimum(fullest, site.import_limit), np.maximum(demand, least))
    paid = np.where(least > 0.0, site.buy, site.sell) * least
    for other in (np.minimum(np.maximum(0.0, least), most), most):
        cost = np.where(other > 0.0, site.buy, site.sell) * other
        better = cost < paid
        best, paid = np.where(better, other, best), np.where(better, cost, paid)
    return best


def costs(site: Arrays, moved: Flows) -> FloatArray:
    """What the flows of each interval cost, without the value of what is left, shape (count,)."""
    through = site.charge_efficiency * moved.charge + moved.discharge / site.discharge_efficiency
    exchange = site.buy * moved.drawn - site.sell * moved.export
    return exchange + (site.wear * through).sum(axis=0)


def total(site: Arrays, moved: Flows) -> float:
    """What the flows cost, less the value of the energy left."""
    left = float(moved.energy[:, -1] @ site.end_value[:, 0])
    return float(costs(site, moved).sum()) - left


def breach(site: Arrays, moved: Flows) -> FloatArray:
    """By how many kWh settled flows pass limits of the meter or miss the energies, (count,)."""
    over = np.maximum(moved.drawn - site.import_limit, moved.export - site.export_limit)
    before = np.concatenate((site.initial, moved.energy[:, :-1]), axis=1)
    after = site.keep * before + site.charge_efficiency * moved.charge
    missed = moved.energy - after + moved.discharge / site.discharge_efficiency
    return np.maximum(over, np.abs(missed).sum(axis=0))


def schedule(problem: Problem, moved: Flows) -> Schedule:
    """The flows in kW, what is curtailed shared among the plants in proportion."""
    hours, count = problem.horizon.step_h, problem.horizon.count
    plants = [plant.power_kw * plant.curtailable for plant in problem.photovoltaics]
    free = np.array(plants).reshape(-1, count)
    share = free / np.maximum(problem.curtailable_kw, np.finfo(float).tiny)
    return Schedule(
        charge_kw=moved.charge / hours,
        discharge_kw=moved.discharge / hours,
        energy_kwh=moved.energy,
        curtailed_kw=share * (moved.curtailed / hours),
        import_kw=moved.drawn / hours,
        export_kw=moved.export / hours,
    )
