"""What energy is worth at a site, and the bound that these worths prove.

With l the value of a kWh behind the meter and v that of a kWh in a store, weak duality gives

    cost >= sum_t step[t] * ( min (buy - l) * import + min (l - sell) * export
                              + min l * curtailed + l * net_load )
            + sum_s,t step[t] * ( min (l + (wear - v) * charge_efficiency) * charge
                                  + min ((wear + v) / discharge_efficiency - l) * discharge )
            + sum_s,t min (v[t] - keep[t+1] * v[t+1]) * energy[t]
            - sum_s keep[0] * v[0] * initial_energy

for any l and v, each minimum over one number between its limits, v[T] standing for the end value.
"""

import numpy as np

from loadloom.models.dispatch.problem import Problem, Storage
from loadloom.models.dispatch.solution import Schedule, Values
from loadloom.models.horizon import FloatArray


def dual_bound(problem: Problem, values: Values) -> float:
    """The least cost that any plan can have, by the formula above, for any values given."""
    meter, step_h = problem.meter, problem.horizon.step_h
    site = values.site_per_kwh
    most_in, most_out = problem.grid_limits_kw
    interval = np.minimum(0.0, meter.buy_price_per_kwh - site) * most_in
    interval = interval + np.minimum(0.0, site - meter.sell_price_per_kwh) * most_out
    interval = interval + np.minimum(0.0, site) * problem.curtailable_kw
    bound = float((interval + site * problem.net_load_kw) @ step_h)
    for storage, stored in zip(problem.storages, values.stored_per_kwh, strict=True):
        bound += _store_bound(problem, storage, site, stored)
    return bound


def _store_bound(problem: Problem, storage: Storage, site: FloatArray, stored: FloatArray) -> float:
    wear, keep = storage.wear_cost_per_kwh, storage.keep(problem.horizon)
    charging = site + (wear - stored) * storage.charge_efficiency
    taking = (wear + stored) / storage.discharge_efficiency - site
    interval = np.minimum(0.0, charging) * storage.charge_limit_kw
    interval = interval + np.minimum(0.0, taking) * storage.discharge_limit_kw
    after = np.append(keep[1:] * stored[1:], storage.end_value_per_kwh)
    low, high = storage.energy_bounds_kwh()
    gain = stored - after
    held = np.where(gain > 0.0, gain * low, gain * high)
    start = float(keep[0] * stored[0]) * storage.initial_energy_kwh
    return float(interval @ problem.horizon.step_h) + float(held.sum()) - start


def site_values(problem: Problem, schedule: Schedule, stored: FloatArray) -> FloatArray:
    """The value of a kWh behind the meter that fits a schedule and the values in its stores.

    Each device that is between its limits fixes the value, each one at a limit bounds it from one
    side. Where the problem is convex and the plan optimal, these ranges meet. Elsewhere they may
    not, and then the meter, whose prices are facts, has the last word. The value taken is the one
    nearest to the price the meter pays.
    """
    meter, count = problem.meter, problem.horizon.count
    facts = np.full(count, -np.inf), np.full(count, np.inf)
    # Never both at once: while the meter exports, its buying price says nothing, and the reverse.
    buying = np.where(schedule.export_kw > 0.0, np.inf, meter.buy_price_per_kwh)
    selling = np.where(schedule.import_kw > 0.0, -np.inf, meter.sell_price_per_kwh)
    _source(*facts, buying, schedule.import_kw, meter.import_limit_kw)
    _use(*facts, selling, schedule.export_kw, meter.export_limit_kw)
    _use(*facts, np.zeros(count), schedule.curtailed_kw.sum(axis=0), problem.curtailable_kw)
    stores = np.full(count, -np.inf), np.full(count, np.inf)
    for s, storage in enumerate(problem.storages):
        wear = storage.wear_cost_per_kwh
        pays = storage.charge_efficiency * (stored[s] - wear)
        earns = (stored[s] + wear) / storage.discharge_efficiency
        _use(*stores, pays, schedule.charge_kw[s], storage.charge_limit_kw)
        _source(*stores, earns, schedule.discharge_kw[s], storage.discharge_limit_kw)
    wanted = np.where(schedule.export_kw > 0.0, meter.sell_price_per_kwh, meter.buy_price_per_kwh)
    for low, high in (stores, facts):
        wanted = np.clip(wanted, low, np.maximum(low, high))
    return wanted


def _source(
    low: FloatArray, high: FloatArray, rate: FloatArray, used: FloatArray, limit: FloatArray
) -> None:
    """Bounds it by a source at `rate`: at least that if used, at most that if not used up."""
    near = 1e-9 * (1.0 + used)
    np.maximum(low, np.where(used > near, rate, -np.inf), out=low)
    np.minimum(high, np.where(used < limit - near, rate, np.inf), out=high)


def _use(
    low: FloatArray, high: FloatArray, rate: FloatArray, used: FloatArray, limit: FloatArray
) -> None:
    """Bounds the value by a use paying `rate`: at most that if used, at least that if not full."""
    near = 1e-9 * (1.0 + used)
    np.minimum(high, np.where(used > near, rate, np.inf), out=high)
    np.maximum(low, np.where(used < limit - near, rate, -np.inf), out=low)
