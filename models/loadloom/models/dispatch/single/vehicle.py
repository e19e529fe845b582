"""The road for a site with one vehicle: a battery whose bounds take its trips and sessions in.

With what has been driven up to then added, the energy only changes at the charger, so the vehicle
is a store that loses nothing: its bounds are those of the battery and what sessions want, moved by
what has been driven, and its limits are zero while it is away. What the last session misses at a
price is charged at that price in one more interval, after all others.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from loadloom.models.dispatch.devices.storage import Storage
from loadloom.models.dispatch.devices.vehicle import Vehicle, VehiclePlan
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.single.meter import solution_of
from loadloom.models.dispatch.solution import Schedule, Solution
from loadloom.models.horizon import FloatArray, Horizon


def solve_vehicle(
    problem: Problem, vehicle: Vehicle, solve_store: Callable[[Problem], Solution | None]
) -> Solution | None:
    """The best plan of a site whose only device is a vehicle, by the kernel of sites with a store.

    None where there is none, or where it has rules that a store has not: a least power, charging on
    the road, and prices of what sessions before the last one miss.
    """
    sessions = vehicle.sessions
    soft = [np.isfinite(session.breach_price_per_kwh) for session in sessions]
    road = np.isfinite(vehicle.public_price_per_kwh)
    if not sessions or vehicle.charge_least_kw > 0.0 or road or any(soft[:-1]):
        return None
    driven = _driven(problem, vehicle)
    solution = solve_store(_as_store(problem, vehicle, driven, soft[-1]))
    if solution is None or solution.schedule is None:
        return None
    plan = _plan(problem, vehicle, driven, solution.schedule)
    shift = vehicle.end_value_per_kwh * float(driven[-1])
    whole = solution_of(
        problem,
        plan.charge_kw - plan.discharge_kw,
        {"vehicles": (plan,)},
        solution.termination.objective + shift,
        f"{solution.road} of a vehicle",
    )
    if whole.values is None or solution.values is None:
        return whole
    held = {"vehicles[0]": solution.values.stored_per_kwh[0, : problem.horizon.count]}
    return replace(whole, values=replace(whole.values, held=held))


def _driven(problem: Problem, vehicle: Vehicle) -> FloatArray:
    """What has been driven by the end of each interval since the first session, (count,)."""
    trips = np.zeros(problem.horizon.count)
    for session in vehicle.sessions[1:]:
        trips[session.arrival - 1] = session.consumption_kwh
    return np.cumsum(trips)


def _as_store(problem: Problem, vehicle: Vehicle, driven: FloatArray, soft: bool) -> Problem:
    """The site with a store instead of the vehicle, and one more interval at its end if `soft`."""
    here = vehicle.plugged(problem.horizon)
    low, high = vehicle.energy_min_kwh + driven, vehicle.capacity_kwh + driven
    last = vehicle.sessions[-1]
    for session in vehicle.sessions:
        if not (soft and session is last):
            at = session.departure - 1
            low[at] = max(low[at], session.wanted_kwh + driven[at])
    store = Storage(
        name=vehicle.name,
        energy_min_kwh=low,
        energy_max_kwh=high,
        initial_energy_kwh=vehicle.initial_energy_kwh,
        charge_limit_kw=vehicle.charge_limit_kw * here,
        discharge_limit_kw=vehicle.discharge_limit_kw * here,
        charge_efficiency=vehicle.charge_efficiency,
        discharge_efficiency=vehicle.discharge_efficiency,
        wear_cost_per_kwh=vehicle.wear_cost_per_kwh,
        end_value_per_kwh=vehicle.end_value_per_kwh,
    )
    plain = replace(problem, vehicles=(), storages=(store,))
    return _with_breach(plain, vehicle, driven) if soft else plain


def _with_breach(problem: Problem, vehicle: Vehicle, driven: FloatArray) -> Problem:
    """The site with an interval more, in which what is missed is charged for what it costs.

    The store's wear and the value of what it holds in the end do not count there.
    """
    last, meter, store = vehicle.sessions[-1], problem.meter, problem.storages[0]
    of_stored = last.breach_price_per_kwh + vehicle.end_value_per_kwh - vehicle.wear_cost_per_kwh
    price = of_stored * vehicle.charge_efficiency
    wanted = max(last.wanted_kwh, vehicle.energy_min_kwh)
    horizon = problem.horizon

    def more(values: FloatArray, value: float) -> FloatArray:
        return np.append(values, value)

    return replace(
        problem,
        horizon=Horizon(start=horizon.start, step_h=more(horizon.step_h, 1.0)),
        meter=replace(
            meter,
            buy_price_per_kwh=more(meter.buy_price_per_kwh, price),
            sell_price_per_kwh=more(meter.sell_price_per_kwh, min(price, 0.0)),
            import_limit_kw=more(meter.import_limit_kw, np.inf),
            export_limit_kw=more(meter.export_limit_kw, 0.0),
        ),
        loads=tuple(replace(each, power_kw=more(each.power_kw, 0.0)) for each in problem.loads),
        photovoltaics=tuple(
            replace(each, power_kw=more(each.power_kw, 0.0)) for each in problem.photovoltaics
        ),
        storages=(
            replace(
                store,
                energy_min_kwh=more(store.energy_min_kwh, wanted + driven[-1]),
                energy_max_kwh=more(store.energy_max_kwh, vehicle.capacity_kwh + driven[-1]),
                charge_limit_kw=more(store.charge_limit_kw, wanted / vehicle.charge_efficiency),
                discharge_limit_kw=more(store.discharge_limit_kw, 0.0),
            ),
        ),
    )


def _plan(
    problem: Problem, vehicle: Vehicle, driven: FloatArray, schedule: Schedule
) -> VehiclePlan:
    count = problem.horizon.count
    energy = schedule.energy_kwh[0, :count] - driven
    missed = [each.wanted_kwh - energy[each.departure - 1] for each in vehicle.sessions]
    return VehiclePlan(
        charge_kw=schedule.charge_kw[0, :count],
        discharge_kw=schedule.discharge_kw[0, :count],
        energy_kwh=energy,
        missed_kwh=np.maximum(np.array(missed), 0.0),
        public_kwh=np.zeros(len(vehicle.sessions)),
    )
