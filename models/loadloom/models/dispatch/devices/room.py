"""A room to be kept within a band of temperatures, warmed by heat buses and cooled by cold ones.

    minimise   sum_t breach_price * (below[t] + above[t]) * step_h[t]
    subject to temperature[t+1] = outdoor[t] + decay[t] * (temperature[t] - outdoor[t])
                                  + rise[t] * (heating[t] - cooling[t] + gains[t])
               temperature_min[t] - below[t] <= temperature[t+1] <= temperature_max[t] + above[t]
               0 <= heating <= heating_limit,  0 <= cooling <= cooling_limit

with decay = exp(-loss * step_h / capacity) and rise = (1 - decay) / loss, which is exact for powers
that are constant over an interval. Only a finite breach price lets it be below or above.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray, Horizon

COLDEST_C, HOTTEST_C = -273.15, 10_000.0
"""The range of temperatures."""

LEAST_CAPACITY_KWH_PER_K = 1e-6
"""The least heat capacity of a room; what holds less has no temperature of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room with a band of comfort; every array has shape (count,).

    The band holds at the end of each interval. `heat_bus` and `cold_bus` name what heats and cools
    it; empty is nothing. Each kelvin outside for an hour costs `breach_price_per_k_h`; inf allows
    none.
    """

    name: str
    capacity_kwh_per_k: float
    loss_kw_per_k: float
    outdoor_temperature_c: FloatArray
    gains_kw: FloatArray
    temperature_min_c: FloatArray
    temperature_max_c: FloatArray
    initial_temperature_c: float
    heat_bus: str = ""
    cold_bus: str = ""
    heating_limit_kw: float = inf
    cooling_limit_kw: float = inf
    breach_price_per_k_h: float = inf

    def decay(self, horizon: Horizon) -> FloatArray:
        """The share of the distance to outdoors that is left after each interval, (count,)."""
        return np.exp(-self.loss_kw_per_k * horizon.step_h / self.capacity_kwh_per_k)

    def rise_k_per_kw(self, horizon: Horizon) -> FloatArray:
        """By how many kelvin a kW through an interval warms the room at its end, (count,)."""
        through = horizon.step_h / self.capacity_kwh_per_k
        lost = self.loss_kw_per_k * through
        # expm1 keeps the digits of small losses; the limit of none is what goes in.
        return through * np.where(lost > 0.0, -np.expm1(-lost) / np.where(lost > 0, lost, 1), 1)

    def check(self, checks: Checks, path: str, horizon: Horizon, buses: Collection[str]) -> None:
        """Notes what is wrong with a room."""
        _check_band(checks, path, self, horizon)
        _check_envelope(checks, path, self, horizon)
        known = ", ".join(buses) or "none"
        for name in ("heat_bus", "cold_bus"):
            bus = getattr(self, name)
            checks.require(
                bus == "" or bus in buses,
                f"{path}.{name}",
                f"is {bus!r}; must be a heat bus: {known}",
            )
        checks.require(
            self.heat_bus == "" or self.heat_bus != self.cold_bus,
            f"{path}.cold_bus",
            "must be another than heat_bus",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomPlan:
    """What a room takes, and its temperature at the end of each interval, each (count,)."""

    heating_kw: FloatArray
    cooling_kw: FloatArray
    temperature_c: FloatArray


def _check_band(checks: Checks, path: str, room: Room, horizon: Horizon) -> None:
    """Notes what is wrong with the temperatures."""
    good = True
    for name in ("outdoor_temperature_c", "temperature_min_c", "temperature_max_c"):
        values = getattr(room, name)
        good &= checks.length(f"{path}.{name}", values, horizon.count) and checks.numbers(
            f"{path}.{name}", values, low=COLDEST_C, high=HOTTEST_C
        )
    if good:
        crossed = np.flatnonzero(room.temperature_min_c > room.temperature_max_c)
        where = int(crossed[0]) if crossed.size else 0
        checks.require(
            crossed.size == 0,
            f"{path}.temperature_min_c[{where}]",
            f"is {room.temperature_min_c[where]:g}; must not exceed temperature_max_c, "
            f"{room.temperature_max_c[where]:g}",
        )


def _check_envelope(checks: Checks, path: str, room: Room, horizon: Horizon) -> None:
    """Notes what is wrong with what warms and cools."""
    if checks.length(f"{path}.gains_kw", room.gains_kw, horizon.count):
        checks.numbers(f"{path}.gains_kw", room.gains_kw)
    initial = room.initial_temperature_c
    checks.numbers(f"{path}.initial_temperature_c", initial, low=COLDEST_C, high=HOTTEST_C)
    checks.numbers(
        f"{path}.capacity_kwh_per_k", room.capacity_kwh_per_k, low=LEAST_CAPACITY_KWH_PER_K
    )
    checks.numbers(f"{path}.loss_kw_per_k", room.loss_kw_per_k, low=0.0)
    for name in ("heating_limit_kw", "cooling_limit_kw"):
        checks.numbers(f"{path}.{name}", getattr(room, name), low=0.0, infinite=True)
    checks.breach_price(f"{path}.breach_price_per_k_h", room.breach_price_per_k_h)
