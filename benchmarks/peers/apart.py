"""Tools whose libraries do not go with ours, each in an environment and a process of its own.

A process reads a home a line and writes its plan a line, with the seconds of its processor, as the
programs in `benchmarks/apart` do. What it plans is put together here as a schedule, which the
referee judges like ours; the tools themselves tell only what flows.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loadloom.models.dispatch.devices.appliance import AppliancePlan
from loadloom.models.dispatch.devices.heat import BusPlan
from loadloom.models.dispatch.devices.room import RoomPlan
from loadloom.models.dispatch.devices.storage import StoragePlan
from loadloom.models.dispatch.devices.unit import UnitPlan
from loadloom.models.dispatch.devices.vehicle import VehiclePlan
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.solution import Exchange, Schedule
from loadloom.models.horizon import FloatArray

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A plan and what it took, in seconds."""

    schedule: Schedule
    wall_s: float
    cpu_s: float


class Apart:
    """A running process that plans homes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def plan(self, home: Problem) -> Timed:
        """The plan of a home.

        Raises:
            RuntimeError: the process ended without an answer.
        """
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self.process.stdin.write(json.dumps(told(home)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait()}")
        answer = json.loads(line)
        wall_s, cpu_s = answer.pop("wall_s"), answer.pop("cpu_s")
        flows = {name: np.array(values) for name, values in answer.items()}
        return Timed(schedule=_schedule(home, flows), wall_s=wall_s, cpu_s=cpu_s)


def python_of(environment: str) -> Path:
    """The interpreter of an environment beside the project's own."""
    return ROOT / environment / "bin/python"


@contextmanager
def running(environment: str, program: str, *arguments: str) -> Iterator[Apart]:
    """A process with a program of `benchmarks/apart`, ended on the way out."""
    command = [str(python_of(environment)), str(ROOT / "benchmarks/apart" / program), *arguments]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield Apart(process)
        finally:
            process.kill()


def told(home: Problem) -> dict[str, Any]:
    """A home of `home_instances` in words that every tool has its own for."""
    meter, battery, car, pump = home.meter, home.storages[0], home.vehicles[0], home.units[0]
    stay = car.sessions[0]
    words: dict[str, Any] = {
        "step_h": float(home.horizon.step_h[0]),
        "buy_per_kwh": meter.buy_price_per_kwh.tolist(),
        "sell_per_kwh": meter.sell_price_per_kwh.tolist(),
        "import_kw": float(meter.import_limit_kw[0]),
        "export_kw": float(meter.export_limit_kw[0]),
        "load_kw": home.loads[0].power_kw.tolist(),
        "pv_kw": home.photovoltaics[0].power_kw.tolist(),
        "battery": {
            "size_kwh": float(battery.energy_max_kwh[0]),
            "begin_kwh": battery.initial_energy_kwh,
            "limit_kw": float(battery.charge_limit_kw[0]),
            "efficiency": battery.charge_efficiency,
        },
        "car": {
            "arrival": stay.arrival,
            "departure": stay.departure,
            "limit_kw": float(car.charge_limit_kw[0]),
            "efficiency": car.charge_efficiency,
            "wanted_kwh": stay.wanted_kwh,
            "drawn_kwh": stay.wanted_kwh / car.charge_efficiency,
        },
        "heat_pump": {
            "limit_kw": float(pump.input_limit_kw[0]),
            "least_kw": float(pump.input_least_kw[0]),
            "cop": float(pump.heat_per_input[0]),
            "demand_kw": home.buses[0].demand_kw.tolist(),
        },
    }
    if len(home.storages) > 1:
        tank = home.storages[1]
        words["heat_pump"] |= {
            "size_kwh": float(tank.energy_max_kwh[0]),
            "begin_kwh": tank.initial_energy_kwh,
        }
    for room in home.rooms:
        rise = float(room.rise_k_per_kw(home.horizon)[0])
        words["heat_pump"] |= {
            "initial_c": room.initial_temperature_c,
            "lost_per_step": 1.0 - float(room.decay(home.horizon)[0]),
            "kelvin_per_kwh": rise * words["heat_pump"]["cop"] / words["step_h"],
            "least_c": room.temperature_min_c.tolist(),
            "most_c": room.temperature_max_c.tolist(),
            "outdoor_c": room.outdoor_temperature_c.tolist(),
        }
    for appliance in home.appliances:
        words |= _appliance_words(appliance)
    return words


def _appliance_words(appliance: Any) -> dict[str, Any]:  # noqa: ANN401 -- of either kind
    if appliance.name == "dishwasher":
        return {
            "dishwasher": {
                "profile_kw": appliance.profile_kw.tolist(),
                "earliest": appliance.earliest,
                "latest": appliance.latest,
            }
        }
    return {
        "pump": {
            "kw": appliance.power_kw,
            "latest": appliance.latest,
            "hours": appliance.running_min_h,
            "least_on_h": appliance.switching.least_on_h,
            "most_starts": appliance.switching.most_starts,
        }
    }


def _schedule(home: Problem, flows: dict[str, FloatArray]) -> Schedule:
    """What the flows mean for every device; a battery's is above zero where it gives."""
    nothing = np.zeros(home.horizon.count)
    step_h, heat = home.horizon.step_h, home.buses[0]
    given, car, pump_kw = flows["battery"], flows["car"], flows["heat_pump"]
    heat_kw = home.units[0].heat_per_input * pump_kw
    stores = [_stored(home, 0, np.maximum(-given, 0.0), np.maximum(given, 0.0))]
    rooms: tuple[RoomPlan, ...] = ()
    if len(home.storages) > 1:
        surplus = heat_kw - heat.demand_kw
        stores.append(_stored(home, 1, np.maximum(surplus, 0.0), np.maximum(-surplus, 0.0)))
    for room in home.rooms:
        temperature, reached = room.initial_temperature_c, []
        decay, rise = room.decay(home.horizon), room.rise_k_per_kw(home.horizon)
        for t, outdoor in enumerate(room.outdoor_temperature_c):
            temperature = outdoor + decay[t] * (temperature - outdoor) + rise[t] * heat_kw[t]
            reached.append(temperature)
        rooms = (RoomPlan(heating_kw=heat_kw, cooling_kw=nothing, temperature_c=np.array(reached)),)
    charged = np.cumsum(home.vehicles[0].charge_efficiency * car * step_h)
    net = home.loads[0].power_kw - home.photovoltaics[0].power_kw + car + pump_kw - given
    appliances = tuple(_run(flows[name]) for name in ("dishwasher", "pump") if name in flows)
    net = net + sum((plan.power_kw for plan in appliances), nothing)
    return Schedule.of(
        home.horizon.count,
        {
            "storages": tuple(stores),
            "vehicles": (
                VehiclePlan(
                    charge_kw=car,
                    discharge_kw=nothing,
                    energy_kwh=charged,
                    missed_kwh=np.zeros(1),
                    public_kwh=np.zeros(1),
                ),
            ),
            "units": (
                UnitPlan(
                    on=(pump_kw > 1e-6).astype(float),
                    input_kw=pump_kw,
                    electricity_kw=nothing,
                    heat_kw=heat_kw,
                ),
            ),
            "buses": (BusPlan(dumped_kw=nothing, unmet_kw=nothing),),
            "rooms": rooms,
            "appliances": appliances,
            "swappings": (),
        },
        (
            Exchange(
                import_kw=np.maximum(net, 0.0),
                export_kw=np.maximum(-net, 0.0),
                curtailed_kw=nothing[None, :],
            ),
        ),
    )


def _stored(home: Problem, index: int, charge: FloatArray, discharge: FloatArray) -> StoragePlan:
    store, step_h = home.storages[index], home.horizon.step_h
    moved = store.charge_efficiency * charge - discharge / store.discharge_efficiency
    energy = store.initial_energy_kwh + np.cumsum(moved * step_h)
    return StoragePlan(charge_kw=charge, discharge_kw=discharge, energy_kwh=energy)


def _run(power_kw: FloatArray) -> AppliancePlan:
    """An appliance's plan; it starts wherever it draws and did not before."""
    on = power_kw > 1e-3
    starts = on & ~np.append(False, on[:-1])
    return AppliancePlan(power_kw=power_kw, starts=starts.astype(float), missed=0.0)
