"""A swapping station: batteries are handed over full and come back empty, first in, first out.

The stock is a queue: the j-th battery handed over is the j-th of the queue, and the one that comes
back for it goes to its end. So with n batteries the j-th swap is made at place j mod n, and each
place is a battery of its own that a swap empties from full to what comes back:

    minimise   sum_j missed_price * missed[j] - end_value * sum_n energy[n,T]
    subject to energy[n,t+1] = energy[n,t] + efficiency * charge[n,t]
                               - sum of (capacity - returned[j]) * (1 - missed[j]) over the swaps j
                                 at place n at boundary t, before it is charged
               energy[n,t] >= capacity * (1 - missed[j])    at those swaps
               0 <= energy <= capacity
               0 <= charge[n,t] <= slot_limit,  sum_n charge[n,t] <= slot_count * slot_limit

By McNaughton's wrap-around rule (Management Science 6, 1959) charges within these two limits can
always be given to the slots, one battery at a time each, by changing batteries within an interval.
A place whose swap is missed keeps its battery and goes to the end of the queue. The queue begins
with the fullest battery.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.checks import Checks
from loadloom.models.dispatch.devices.storage import LEAST_EFFICIENCY
from loadloom.models.horizon import FloatArray, Horizon

MOST_BATTERIES, MOST_SWAPS = 10_000, 100_000
"""The most batteries and swaps that a station can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """Swaps at one boundary: a full battery for each that comes back with its energy in kWh."""

    boundary: int
    returned_kwh: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwappingStation:
    """A station; `initial_energy_kwh` holds one number for each battery in stock.

    A swap that is missed costs `missed_price`; inf lets none be missed.
    """

    name: str
    capacity_kwh: float
    initial_energy_kwh: tuple[float, ...]
    slot_count: int
    slot_limit_kw: float
    bookings: tuple[Booking, ...]
    efficiency: float = 1.0
    missed_price: float = inf
    end_value_per_kwh: float = 0.0

    @property
    def battery_count(self) -> int:
        """The number of batteries in stock, which never changes."""
        return len(self.initial_energy_kwh)

    @property
    def queue_kwh(self) -> FloatArray:
        """The energies of the queue at the start, the fullest first, shape (batteries,)."""
        return np.sort(np.array(self.initial_energy_kwh, np.float64))[::-1]

    def swaps(self) -> list[tuple[int, int, float]]:
        """The place, the boundary and the energy that comes back of each swap, in order."""
        swaps = [(each.boundary, energy) for each in self.bookings for energy in each.returned_kwh]
        return [
            (j % self.battery_count, boundary, energy) for j, (boundary, energy) in enumerate(swaps)
        ]

    def check(self, checks: Checks, path: str, horizon: Horizon, _: Collection[str]) -> None:
        """Notes what is wrong with a station."""
        _check_swapping(checks, path, self, horizon)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwappingPlan:
    """What a station does: charge by place (batteries, count), and which swaps are missed (swaps,).

    `energy_kwh` (batteries, count) is what each place holds at the end of each interval, before the
    swaps at that boundary.
    """

    charge_kw: FloatArray
    energy_kwh: FloatArray
    missed: FloatArray


def _check_swapping(checks: Checks, path: str, station: SwappingStation, horizon: Horizon) -> None:
    """Notes what is wrong with a station."""
    checks.require(
        1 <= station.battery_count <= MOST_BATTERIES,
        f"{path}.initial_energy_kwh",
        f"has {station.battery_count} values; must have one for each of 1 to {MOST_BATTERIES} "
        "batteries",
    )
    checks.require(
        1 <= station.slot_count <= MOST_BATTERIES,
        f"{path}.slot_count",
        f"is {station.slot_count}; must be from 1 to {MOST_BATTERIES}",
    )
    checks.numbers(f"{path}.slot_limit_kw", station.slot_limit_kw, low=0.0)
    checks.numbers(f"{path}.efficiency", station.efficiency, low=LEAST_EFFICIENCY, high=1.0)
    checks.breach_price(f"{path}.missed_price", station.missed_price)
    checks.numbers(f"{path}.end_value_per_kwh", station.end_value_per_kwh)
    capacity = station.capacity_kwh
    if not checks.numbers(f"{path}.capacity_kwh", capacity, low=0.0):
        return
    held = np.array(station.initial_energy_kwh, np.float64)
    checks.numbers(f"{path}.initial_energy_kwh", held, low=0.0, high=capacity)
    before = 0
    for index, booking in enumerate(station.bookings):
        where = f"{path}.bookings[{index}]"
        checks.require(
            0 <= booking.boundary <= horizon.count, where, "must be at a boundary of the grid"
        )
        checks.require(booking.boundary >= before, where, "must not be before the last one")
        returned = np.array(booking.returned_kwh, np.float64)
        checks.numbers(f"{where}.returned_kwh", returned, low=0.0, high=capacity)
        before = max(before, booking.boundary)
    swaps = sum(len(booking.returned_kwh) for booking in station.bookings)
    checks.require(
        swaps <= MOST_SWAPS, f"{path}.bookings", f"has {swaps} swaps; must have up to {MOST_SWAPS}"
    )
