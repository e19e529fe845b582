"""Dispatch of one site: when to charge and discharge stores under given prices.

    minimise   sum_t buy[t] * import[t] - sell[t] * export[t]
               + sum_s,t wear[s] * (charge_efficiency[s] * charge[s,t]
                                    + discharge[s,t] / discharge_efficiency[s])
               - sum_s end_value[s] * energy[s,T]
    subject to import[t] - export[t] = load[t] - (pv[t] - curtailed[t])
                                       + sum_s (charge[s,t] - discharge[s,t])
               energy[s,t+1] = keep[s,t] * energy[s,t] + charge_efficiency[s] * charge[s,t]
                               - discharge[s,t] / discharge_efficiency[s]
               energy_min[s,t+1] <= energy[s,t+1] <= energy_max[s,t+1], and every target
               0 <= charge <= charge_limit, 0 <= discharge <= discharge_limit, never both at once
               0 <= import <= import_limit, 0 <= export <= export_limit, never both at once
               0 <= curtailed <= pv of the curtailable plants

with keep[s,t] = (1 - self_discharge_per_h[s]) ** step_h[t]. Powers are in kW and become kWh by the
step; prices are in the currency per kWh.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray, Horizon

NOTHING_KEPT = 1e-9
"""A share of energy below this counts as none; solvers drop such coefficients without a word."""

LEAST_EFFICIENCY = 1e-3
"""The least efficiency; below it a problem's numbers lie too far apart to be solved exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """The connection to the grid; every array has shape (count,), a limit of inf is none."""

    buy_price_per_kwh: FloatArray
    sell_price_per_kwh: FloatArray
    import_limit_kw: FloatArray
    export_limit_kw: FloatArray
    currency_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A demand that must be met as it comes, shape (count,)."""

    name: str
    power_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Photovoltaic:
    """A photovoltaic forecast, shape (count,)."""

    name: str
    power_kw: FloatArray
    curtailable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTarget:
    """A range for the energy at the end of an interval; -inf and inf where a side is open."""

    interval: int
    min_kwh: float
    max_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A store; every array has shape (count,), energies are those at the end of each interval."""

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


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A site and its horizon, valid once made.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by the paths of the request.
    """

    horizon: Horizon
    meter: Meter
    loads: tuple[Load, ...] = ()
    photovoltaics: tuple[Photovoltaic, ...] = ()
    storages: tuple[Storage, ...] = ()
    name: str = field(default="")

    def __post_init__(self) -> None:
        checks = Checks()
        _check_meter(checks, self.meter, self.horizon.count)
        for family, devices in (("loads", self.loads), ("photovoltaics", self.photovoltaics)):
            checks.distinct(family, [device.name for device in devices])
            for index, device in enumerate(devices):
                _check_power(checks, f"{family}[{index}]", device, self.horizon.count)
        checks.distinct("storages", [storage.name for storage in self.storages])
        for index, storage in enumerate(self.storages):
            _check_storage(checks, f"storages[{index}]", storage, self.horizon.count)
        checks.finish()

    @cached_property
    def net_load_kw(self) -> FloatArray:
        """The load less all photovoltaic power, before curtailment, shape (count,)."""
        net = np.zeros(self.horizon.count)
        for load in self.loads:
            net += load.power_kw
        for plant in self.photovoltaics:
            net -= plant.power_kw
        return net

    @cached_property
    def curtailable_kw(self) -> FloatArray:
        """The photovoltaic power that may be left unused, shape (count,)."""
        power = np.zeros(self.horizon.count)
        for plant in self.photovoltaics:
            if plant.curtailable:
                power += plant.power_kw
        return power

    @cached_property
    def grid_limits_kw(self) -> tuple[FloatArray, FloatArray]:
        """The meter's limits, cut to what any plan can use, since it never does both at once."""
        charge, discharge = np.zeros(self.horizon.count), np.zeros(self.horizon.count)
        for storage in self.storages:
            charge += storage.charge_limit_kw
            discharge += storage.discharge_limit_kw
        most = np.maximum(0.0, self.net_load_kw + self.curtailable_kw + charge)
        least = np.maximum(0.0, discharge - self.net_load_kw)
        meter = self.meter
        return np.minimum(meter.import_limit_kw, most), np.minimum(meter.export_limit_kw, least)


def _check_meter(checks: Checks, meter: Meter, count: int) -> None:
    for name in ("buy_price_per_kwh", "sell_price_per_kwh"):
        values = getattr(meter, name)
        if checks.length(f"meter.{name}", values, count):
            checks.numbers(f"meter.{name}", values)
    for name in ("import_limit_kw", "export_limit_kw"):
        values = getattr(meter, name)
        if checks.length(f"meter.{name}", values, count):
            checks.numbers(f"meter.{name}", values, low=0.0, infinite=True)


def _check_power(checks: Checks, path: str, device: Load | Photovoltaic, count: int) -> None:
    if checks.length(f"{path}.power_kw", device.power_kw, count):
        checks.numbers(f"{path}.power_kw", device.power_kw, low=0.0)


def _check_storage(checks: Checks, path: str, storage: Storage, count: int) -> None:
    sized = True
    for name in ("energy_min_kwh", "energy_max_kwh", "charge_limit_kw", "discharge_limit_kw"):
        values = getattr(storage, name)
        good = checks.length(f"{path}.{name}", values, count)
        sized &= good and checks.numbers(f"{path}.{name}", values, low=0.0)
    if sized:
        crossed = np.flatnonzero(storage.energy_min_kwh > storage.energy_max_kwh)
        if crossed.size:
            t = int(crossed[0])
            checks.require(
                False,
                f"{path}.energy_min_kwh[{t}]",
                f"is {storage.energy_min_kwh[t]:g}; must not exceed energy_max_kwh, "
                f"{storage.energy_max_kwh[t]:g}",
            )
    checks.numbers(f"{path}.initial_energy_kwh", storage.initial_energy_kwh, low=0.0)
    for name in ("charge_efficiency", "discharge_efficiency"):
        value = getattr(storage, name)
        checks.require(
            LEAST_EFFICIENCY <= value <= 1.0,
            f"{path}.{name}",
            f"is {value:g}; must be from {LEAST_EFFICIENCY:g} to 1",
        )
    rate = storage.self_discharge_per_h
    checks.require(
        0.0 <= rate < 1.0,
        f"{path}.self_discharge_per_h",
        f"is {rate:g}; must be at least 0 and below 1",
    )
    checks.numbers(f"{path}.wear_cost_per_kwh", storage.wear_cost_per_kwh, low=0.0)
    checks.numbers(f"{path}.end_value_per_kwh", storage.end_value_per_kwh)
    for index, target in enumerate(storage.targets):
        _check_target(checks, f"{path}.targets[{index}]", target, count)


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
