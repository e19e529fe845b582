"""A store: a battery on the meter's bus, or a tank on a heat bus.

    energy[t+1] = keep[t] * energy[t] + charge_efficiency * charge[t]
                  - discharge[t] / discharge_efficiency
    keep[t]     = (1 - self_discharge_per_h) ** step_h[t]

`depth_wear` splits what a store can hold into shares, from the shallowest cycle to the deepest;
what is taken out comes from the cheapest share that holds something, and what is charged goes into
the cheapest that has room (Xu, Zhao, Zheng, Litvinov and Kirschen, 2018, "Factoring the cycle aging
cost of batteries participating in electricity markets").
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray, Horizon

NOTHING_KEPT = 1e-9
"""A share of energy below this counts as none; solvers drop such coefficients without a word."""

LEAST_EFFICIENCY = 1e-3
"""The least efficiency; below it a problem's numbers lie too far apart to be solved exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTarget:
    """A range for the energy at the end of an interval; -inf and inf where a side is open."""

    interval: int
    min_kwh: float
    max_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthWear:
    """The cost of each kWh taken out of the store by a cycle as deep as from here on.

    `from_share` is a share of the most that the store may ever hold.
    """

    from_share: float
    cost_per_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePlan:
    """What a store does, shapes (count,); the energy is that at the end of each interval."""

    charge_kw: FloatArray
    discharge_kw: FloatArray
    energy_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A store; every array has shape (count,), energies are those at the end of each interval.

    It stands on the bus behind the meter, or on the heat bus named. With a breach price, energies
    and targets may be missed at that price for each kWh; while it charges or discharges it does so
    with the least power at least.
    """

    name: str
    energy_min_kwh: FloatArray
    energy_max_kwh: FloatArray
    initial_energy_kwh: float
    charge_limit_kw: FloatArray
    discharge_limit_kw: FloatArray
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    self_discharge_per_h: float = 0.0
    wear_cost_per_kwh: float = 0.0
    end_value_per_kwh: float = 0.0
    targets: tuple[EnergyTarget, ...] = ()
    bus: str = ""
    breach_price_per_kwh: float = np.inf
    least_charge_kw: float = 0.0
    least_discharge_kw: float = 0.0
    depth_wear: tuple[DepthWear, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the fast roads can take it."""
        banded = self.least_charge_kw > 0.0 or self.least_discharge_kw > 0.0
        soft = self.breach_price_per_kwh < np.inf
        return not (self.bus or self.depth_wear or banded or soft)

    def keep(self, horizon: Horizon) -> FloatArray:
        """The share of the energy that survives each interval, shape (count,)."""
        kept = (1.0 - self.self_discharge_per_h) ** horizon.step_h
        return np.where(kept < NOTHING_KEPT, 0.0, kept)

    def energy_bounds_kwh(self) -> tuple[FloatArray, FloatArray]:
        """The bounds at the end of each interval with the targets in them, shapes (count,)."""
        if not self.targets:
            return self.energy_min_kwh, self.energy_max_kwh
        low, high = self.energy_min_kwh.copy(), self.energy_max_kwh.copy()
        for target in self.targets:
            low[target.interval] = max(low[target.interval], target.min_kwh)
            high[target.interval] = min(high[target.interval], target.max_kwh)
        return low, high

    @property
    def capacity_kwh(self) -> float:
        """The most that it can ever hold."""
        return max(float(self.energy_max_kwh.max()), self.initial_energy_kwh)

    def depth_segments(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The sizes in kWh of the shares of `depth_wear`, their costs, and what they hold at first.

        A cost is that of a kWh taken out. The deepest shares are filled first.
        """
        starts = np.array([part.from_share for part in self.depth_wear])
        sizes = np.diff(np.append(starts, 1.0)) * self.capacity_kwh
        deeper = np.append(np.cumsum(sizes[::-1])[::-1][1:], 0.0)
        held = np.clip(self.initial_energy_kwh - deeper, 0.0, sizes)
        return sizes, np.array([part.cost_per_kwh for part in self.depth_wear]), held

    def check(self, checks: Checks, path: str, horizon: Horizon, buses: Collection[str]) -> None:
        """Notes every rule that its data break."""
        self._check_limits(checks, path, horizon.count)
        checks.numbers(f"{path}.initial_energy_kwh", self.initial_energy_kwh, low=0.0)
        for name in ("charge_efficiency", "discharge_efficiency"):
            value = getattr(self, name)
            checks.require(
                LEAST_EFFICIENCY <= value <= 1.0,
                f"{path}.{name}",
                f"is {value:g}; must be from {LEAST_EFFICIENCY:g} to 1",
            )
        rate = self.self_discharge_per_h
        checks.require(
            0.0 <= rate < 1.0,
            f"{path}.self_discharge_per_h",
            f"is {rate:g}; must be at least 0 and below 1",
        )
        checks.numbers(f"{path}.wear_cost_per_kwh", self.wear_cost_per_kwh, low=0.0)
        checks.numbers(f"{path}.end_value_per_kwh", self.end_value_per_kwh)
        for index, target in enumerate(self.targets):
            _check_target(checks, f"{path}.targets[{index}]", target, horizon.count)
        known = not self.bus or self.bus in buses
        checks.require(known, f"{path}.bus", f"{self.bus!r} is no bus of the site")
        self._check_extras(checks, path)

    def _check_limits(self, checks: Checks, path: str, count: int) -> None:
        sized = True
        for name in ("energy_min_kwh", "energy_max_kwh", "charge_limit_kw", "discharge_limit_kw"):
            values = getattr(self, name)
            good = checks.length(f"{path}.{name}", values, count)
            sized &= good and checks.numbers(f"{path}.{name}", values, low=0.0)
        if not sized:
            return
        crossed = np.flatnonzero(self.energy_min_kwh > self.energy_max_kwh)
        if crossed.size:
            t = int(crossed[0])
            checks.require(
                False,
                f"{path}.energy_min_kwh[{t}]",
                f"is {self.energy_min_kwh[t]:g}; must not exceed energy_max_kwh, "
                f"{self.energy_max_kwh[t]:g}",
            )

    def _check_extras(self, checks: Checks, path: str) -> None:
        price = self.breach_price_per_kwh
        checks.breach_price(f"{path}.breach_price_per_kwh", price)
        for name in ("least_charge_kw", "least_discharge_kw"):
            checks.numbers(f"{path}.{name}", getattr(self, name), low=0.0)
        if not self.depth_wear:
            return
        starts = np.array([part.from_share for part in self.depth_wear])
        costs = np.array([part.cost_per_kwh for part in self.depth_wear])
        inside = starts[0] == 0.0 and bool(np.all(np.diff(starts) > 0.0)) and starts[-1] < 1.0
        checks.require(inside, f"{path}.depth_wear", "must begin at 0 and rise, all below 1")
        checks.numbers(f"{path}.depth_wear", costs, low=0.0)
        rising = bool(np.all(np.diff(costs) >= 0.0))
        checks.require(rising, f"{path}.depth_wear", "must not get cheaper with depth")
        kept = self.self_discharge_per_h == 0.0
        checks.require(kept, f"{path}.depth_wear", "needs a store without self-discharge")


def _check_target(checks: Checks, path: str, target: EnergyTarget, count: int) -> None:
    checks.require(
        0 <= target.interval < count, f"{path}.time", "must be the end of an interval of the grid"
    )
    if target.min_kwh != -np.inf:
        checks.numbers(f"{path}.min_kwh", target.min_kwh, low=0.0)
    if target.max_kwh != np.inf:
        checks.numbers(f"{path}.max_kwh", target.max_kwh, low=0.0)
    checks.require(
        not target.min_kwh > target.max_kwh,
        f"{path}.min_kwh",
        f"is {target.min_kwh:g}; must not exceed max_kwh, {target.max_kwh:g}",
    )
