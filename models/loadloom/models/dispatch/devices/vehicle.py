"""An electric vehicle: a store that is there in its sessions only, and drives in between.

    minimise   sum_t wear * (charge_efficiency * charge[t] + discharge[t] / discharge_efficiency)
               + sum_k breach_price[k] * missed[k] + sum_k public_price * public[k]
               - end_value * energy[T]
    subject to energy[t+1] = energy[t] + charge_efficiency * charge[t]
                             - discharge[t] / discharge_efficiency     plugged in
               energy[t+1] = energy[t] - consumption[k] + public[k]    t+1 the arrival of session k
               energy[t+1] = energy[t]                                 elsewhere
               energy_min <= energy <= capacity
               energy[departure of k] >= wanted[k] - missed[k],  0 <= missed[k] <= wanted[k]
               0 <= public[k] <= consumption[k]
               charge = 0 or charge_least <= charge <= charge_limit, discharge <= discharge_limit,
               never both at once

Only a breach price that is finite lets a session miss what it wants, and only a public price that
is finite lets a trip be charged for on the road.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.checks import Checks
from loadloom.models.dispatch.devices.storage import LEAST_EFFICIENCY
from loadloom.models.horizon import FloatArray, Horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A stay at the charger, from boundary `arrival` to boundary `departure`.

    `wanted_kwh` is the energy in the battery by the departure, and `breach_price_per_kwh` what each
    kWh less costs; inf lets none be missed. `consumption_kwh` was driven since the last departure;
    the first session has none.
    """

    arrival: int
    departure: int
    wanted_kwh: float = 0.0
    breach_price_per_kwh: float = inf
    consumption_kwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A vehicle; limits have shape (count,) and hold while it is plugged in.

    `initial_energy_kwh` is that of the first arrival. It gives energy back if it has a discharge
    limit. `charge_least_kw` is the least power it charges with if it charges at all.
    """

    name: str
    capacity_kwh: float
    initial_energy_kwh: float
    charge_limit_kw: FloatArray
    discharge_limit_kw: FloatArray
    sessions: tuple[Session, ...]
    energy_min_kwh: float = 0.0
    charge_least_kw: float = 0.0
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    wear_cost_per_kwh: float = 0.0
    end_value_per_kwh: float = 0.0
    public_price_per_kwh: float = inf

    def plugged(self, horizon: Horizon) -> np.ndarray:
        """Whether the vehicle is at the charger in each interval, shape (count,)."""
        here = np.zeros(horizon.count, bool)
        for session in self.sessions:
            here[session.arrival : session.departure] = True
        return here

    def check(self, checks: Checks, path: str, horizon: Horizon, _: Collection[str]) -> None:
        """Notes what is wrong with a vehicle."""
        _check_vehicle(checks, path, self, horizon)


@dataclass(frozen=True, slots=True, kw_only=True)
class VehiclePlan:
    """What a vehicle does: powers and energies (count,), missed and public by session.

    `energy_kwh` is the energy at the end of each interval; that of an arrival is what it brings.
    `missed_kwh` and `public_kwh` have shape (sessions,); the first of `public_kwh` is zero.
    """

    charge_kw: FloatArray
    discharge_kw: FloatArray
    energy_kwh: FloatArray
    missed_kwh: FloatArray
    public_kwh: FloatArray


def _check_vehicle(checks: Checks, path: str, vehicle: Vehicle, horizon: Horizon) -> None:
    """Notes what is wrong with a vehicle."""
    for name in ("charge_limit_kw", "discharge_limit_kw"):
        values = getattr(vehicle, name)
        if checks.length(f"{path}.{name}", values, horizon.count):
            checks.numbers(f"{path}.{name}", values, low=0.0)
    capacity = vehicle.capacity_kwh
    if not checks.numbers(f"{path}.capacity_kwh", capacity, low=0.0):
        return
    checks.numbers(f"{path}.energy_min_kwh", vehicle.energy_min_kwh, low=0.0, high=capacity)
    least = vehicle.energy_min_kwh if vehicle.energy_min_kwh <= capacity else 0.0
    checks.numbers(
        f"{path}.initial_energy_kwh", vehicle.initial_energy_kwh, low=least, high=capacity
    )
    checks.numbers(f"{path}.charge_least_kw", vehicle.charge_least_kw, low=0.0)
    for name in ("charge_efficiency", "discharge_efficiency"):
        checks.numbers(f"{path}.{name}", getattr(vehicle, name), low=LEAST_EFFICIENCY, high=1.0)
    checks.numbers(f"{path}.wear_cost_per_kwh", vehicle.wear_cost_per_kwh, low=0.0)
    checks.numbers(f"{path}.end_value_per_kwh", vehicle.end_value_per_kwh)
    checks.breach_price(f"{path}.public_price_per_kwh", vehicle.public_price_per_kwh)
    free = 0  # the first boundary at which it may arrive
    for index, session in enumerate(vehicle.sessions):
        where = f"{path}.sessions[{index}]"
        _check_session(checks, where, session, capacity, free, horizon)
        checks.require(
            index > 0 or session.consumption_kwh == 0.0,
            f"{where}.consumption_kwh",
            "must be 0 in the first session, as initial_energy_kwh is that of its arrival",
        )
        free = max(free, session.departure + 1)


def _check_session(
    checks: Checks, path: str, session: Session, capacity: float, free: int, horizon: Horizon
) -> None:
    """Notes what is wrong with a session that may arrive from boundary `free` on."""
    inside = 0 <= session.arrival < session.departure <= horizon.count
    checks.require(inside, path, "must arrive before it departs, both at boundaries of the grid")
    checks.require(
        not inside or session.arrival >= free,
        path,
        "must arrive an interval or more after the last one departs",
    )
    checks.numbers(f"{path}.wanted_kwh", session.wanted_kwh, low=0.0, high=capacity)
    checks.breach_price(f"{path}.breach_price_per_kwh", session.breach_price_per_kwh)
    checks.numbers(f"{path}.consumption_kwh", session.consumption_kwh, low=0.0, high=capacity)
