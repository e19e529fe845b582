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

That is a plain site. Each further device and rule is stated in `devices`, scenarios in `scenarios`.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from loadloom.models.checks import Checks
from loadloom.models.dispatch.devices.appliance import Appliance
from loadloom.models.dispatch.devices.heat import HeatBus
from loadloom.models.dispatch.devices.meter import Load, Meter, Photovoltaic
from loadloom.models.dispatch.devices.room import Room
from loadloom.models.dispatch.devices.storage import LEAST_EFFICIENCY, EnergyTarget, Storage
from loadloom.models.dispatch.devices.swapping import SwappingStation
from loadloom.models.dispatch.devices.unit import Unit
from loadloom.models.dispatch.devices.vehicle import Vehicle
from loadloom.models.dispatch.scenarios import Risk, Scenario, Scene
from loadloom.models.horizon import FloatArray, Horizon

__all__ = [
    "LEAST_EFFICIENCY",
    "EnergyTarget",
    "Load",
    "Meter",
    "Photovoltaic",
    "Problem",
    "Storage",
]

FAMILIES: tuple[str, ...] = (
    "buses",
    "rooms",
    "storages",
    "vehicles",
    "swappings",
    "appliances",
    "units",
)
"""The fields of a problem that hold devices which decide, and of a schedule that hold their plans;
buses come first and what serves them last."""


class Device(Protocol):
    """What every device that decides has."""

    @property
    def name(self) -> str:
        """The name, unique within its family."""
        ...

    def check(self, checks: Checks, path: str, horizon: Horizon, buses: Collection[str]) -> None:
        """Notes every rule that its data break; `buses` are the names of the site's buses."""
        ...


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
    buses: tuple[HeatBus, ...] = ()
    rooms: tuple[Room, ...] = ()
    storages: tuple[Storage, ...] = ()
    vehicles: tuple[Vehicle, ...] = ()
    swappings: tuple[SwappingStation, ...] = ()
    appliances: tuple[Appliance, ...] = ()
    units: tuple[Unit, ...] = ()
    scenarios: tuple[Scenario, ...] = ()
    risk: Risk | None = None
    name: str = field(default="")

    def __post_init__(self) -> None:
        checks = Checks()
        self.meter.check(checks, "meter", self.horizon)
        for family in ("loads", "photovoltaics"):
            devices = getattr(self, family)
            checks.distinct(family, [device.name for device in devices])
            for index, device in enumerate(devices):
                device.check(checks, f"{family}[{index}]", self.horizon)
        buses = [bus.name for bus in self.buses]
        for family in FAMILIES:
            checks.distinct(family, [device.name for device in getattr(self, family)])
        for _, path, device in self.devices():
            device.check(checks, path, self.horizon, buses)
        _check_members(checks, self)
        _check_scenarios(checks, self)
        checks.finish()

    def devices(self) -> Iterator[tuple[str, str, Device]]:
        """The devices that decide: family, path in the site, data."""
        for family in FAMILIES:
            for index, device in enumerate(getattr(self, family)):
                yield family, f"{family}[{index}]", device

    @cached_property
    def plain(self) -> bool:
        """Whether it is a site of prices, hard limits, fixed loads and stores alone."""
        parts = (*self.loads, *self.storages)
        others = any(getattr(self, family) for family in FAMILIES if family != "storages")
        return (
            self.meter.plain
            and all(part.plain for part in parts)
            and not (others or self.scenarios)
        )

    @cached_property
    def scenes(self) -> tuple[Scene, ...]:
        """The outcomes planned for: the scenarios, or the forecast alone."""
        return tuple(self._scene(each) for each in self.scenarios) or (
            self._scene(Scenario(name="", probability=1.0)),
        )

    def _scene(self, scenario: Scenario) -> Scene:
        meter, count = self.meter, self.horizon.count
        buy, sell = scenario.buy_price_per_kwh, scenario.sell_price_per_kwh
        loads = [scenario.loads_kw.get(load.name, load.power_kw) for load in self.loads]
        plants = [
            scenario.photovoltaics_kw.get(plant.name, plant.power_kw)
            for plant in self.photovoltaics
        ]
        return Scene(
            probability=scenario.probability,
            buy=meter.buy_price_per_kwh if buy is None else buy,
            sell=meter.sell_price_per_kwh if sell is None else sell,
            loads_kw=np.array(loads).reshape(-1, count),
            plants_kw=np.array(plants).reshape(-1, count),
        )

    @cached_property
    def circuit_members(self) -> tuple[set[str], ...]:
        """For each circuit the names of its devices and of those of the circuits below it."""
        return self.meter.circuit_members()

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


def _check_members(checks: Checks, problem: Problem) -> None:
    """Notes names in circuits that no device has, that several have, or that stand in several."""
    if not problem.meter.circuits:
        return
    parts = (*problem.loads, *problem.photovoltaics)
    names = Counter(part.name for part in parts)
    names.update(device.name for *_, device in problem.devices())
    taken: dict[str, str] = {}
    for index, circuit in enumerate(problem.meter.circuits):
        for number, name in enumerate(circuit.devices):
            path = f"meter.circuits[{index}].devices[{number}]"
            known = names[name]
            checks.require(known > 0, path, f"{name!r} is no device of the site")
            checks.require(known < 2, path, f"{name!r} is the name of several devices")
            first = taken.setdefault(name, path)
            checks.require(first == path, path, f"{name!r} also stands in {first}")


def _check_scenarios(checks: Checks, problem: Problem) -> None:
    count = problem.horizon.count
    checks.distinct("scenarios", [scenario.name for scenario in problem.scenarios])
    for index, scenario in enumerate(problem.scenarios):
        path = f"scenarios[{index}]"
        checks.numbers(f"{path}.probability", scenario.probability, low=0.0, high=1.0)
        for name in ("buy_price_per_kwh", "sell_price_per_kwh"):
            values = getattr(scenario, name)
            if values is not None and checks.length(f"{path}.{name}", values, count):
                checks.numbers(f"{path}.{name}", values)
        for name, known in (
            ("loads_kw", problem.loads),
            ("photovoltaics_kw", problem.photovoltaics),
        ):
            names = {device.name for device in known}
            for key, values in getattr(scenario, name).items():
                place = f"{path}.{name}[{key!r}]"
                checks.require(key in names, place, "is no device of the site")
                if checks.length(place, values, count):
                    checks.numbers(place, values, low=0.0)
    if problem.scenarios:
        total = sum(scenario.probability for scenario in problem.scenarios)
        message = f"have probabilities that add up to {total:g}; must be 1"
        checks.require(abs(total - 1.0) <= 1e-9, "scenarios", message)
    if problem.risk is not None:
        checks.numbers("risk.weight", problem.risk.weight, low=0.0, high=1.0)
        level = problem.risk.level
        checks.require(0.0 <= level < 1.0, "risk.level", f"is {level:g}; must be from 0 to below 1")
