"""The schedules, values, breaches and prices of limits of a plan, written into messages."""

import re
from collections.abc import Iterator, Mapping

import numpy as np

from loadloom.engine.convert.dispatch_paths import Paths
from loadloom.engine.task import Task
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.sheet import Breach
from loadloom.models.dispatch.solution import Schedule, Values
from loadloom.models.horizon import FloatArray
from loadloom.v1 import common_pb2, dispatch_plans_pb2
from loadloom.v1 import dispatch_pb2 as pb
from loadloom.wire.arrays import packed, to_matrix


def write_schedule(message: pb.Schedule, task: Task[Problem], schedule: Schedule) -> None:
    """Writes what every device does."""
    problem, paths = task.problem, Paths(task.paths)
    _write(message.import_kw, schedule.import_kw)
    _write(message.export_kw, schedule.export_kw)
    for s, storage in enumerate(problem.storages):
        device = message.storages.add(name=storage.name)
        _write(device.charge_kw, schedule.charge_kw[s])
        _write(device.discharge_kw, schedule.discharge_kw[s])
        _write(device.state_of_charge_kwh, schedule.energy_kwh[s])
    _write_curtailed(message, problem, paths, schedule.curtailed_kw)
    if not problem.plain:
        _write_devices(message, problem, paths, schedule)


def _write_devices(
    message: pb.Schedule, problem: Problem, paths: Paths, schedule: Schedule
) -> None:
    _write_shed(message, problem, schedule.shed_kw)
    for vehicle, plan in zip(problem.vehicles, schedule.vehicles, strict=True):
        device = message.vehicles.add(name=vehicle.name)
        _write(device.charge_kw, plan.charge_kw)
        _write(device.discharge_kw, plan.discharge_kw)
        _write(device.state_of_charge_kwh, plan.energy_kwh)
        _write(device.missed_kwh, plan.missed_kwh)
        _write(device.public_kwh, plan.public_kwh)
    for station, plan in zip(problem.swappings, schedule.swappings, strict=True):
        device = message.swap_stations.add(name=station.name)
        _write(device.charge_kw, plan.charge_kw.sum(axis=0))
        _write(device.state_of_charge_kwh, plan.energy_kwh.sum(axis=0))
        device.battery_charge_kw.CopyFrom(to_matrix(plan.charge_kw))
        device.battery_state_of_charge_kwh.CopyFrom(to_matrix(plan.energy_kwh))
        _write(device.missed, plan.missed)
    for appliance, plan in zip(problem.appliances, schedule.appliances, strict=True):
        device = message.appliances.add(name=appliance.name, missed=plan.missed)
        _write(device.power_kw, plan.power_kw)
        _write(device.starts, plan.starts)
    _write_units(message, problem, paths, schedule)
    for bus, plan in zip(problem.buses, schedule.buses, strict=True):
        device = message.heat_buses.add(name=bus.name)
        _write(device.surplus_kw, plan.dumped_kw)
        _write(device.unmet_kw, plan.unmet_kw)
    for room, plan in zip(problem.rooms, schedule.rooms, strict=True):
        device = message.rooms.add(name=room.name)
        _write(device.heating_kw, plan.heating_kw)
        _write(device.cooling_kw, plan.cooling_kw)
        _write(device.temperature_c, plan.temperature_c)
    # A problem without scenarios has an exchange too: that of the site as it is.
    for scenario, exchange in zip(problem.scenarios, schedule.exchanges, strict=False):
        met = message.scenarios.add(name=scenario.name)
        _write(met.import_kw, exchange.import_kw)
        _write(met.export_kw, exchange.export_kw)
        _write_curtailed(met, problem, paths, exchange.curtailed_kw)
        _write_shed(met, problem, exchange.shed_kw)


def _write_curtailed(
    message: pb.Schedule | pb.ScenarioSchedule,
    problem: Problem,
    paths: Paths,
    curtailed_kw: FloatArray,
) -> None:
    for p, plant in enumerate(problem.photovoltaics):
        plants = message.wind_turbines if turbine(paths, p) else message.photovoltaics
        _write(plants.add(name=plant.name).curtailed_kw, curtailed_kw[p])


def turbine(paths: Paths, plant: int) -> bool:
    """Whether a plant of a problem is a wind turbine in its request."""
    return paths.of(f"photovoltaics[{plant}]").startswith("wind_turbines")


def _write_shed(
    message: pb.Schedule | pb.ScenarioSchedule, problem: Problem, shed_kw: FloatArray | None
) -> None:
    if shed_kw is None:
        return
    for load, shed in zip(problem.loads, shed_kw, strict=True):
        if load.shed_share > 0.0:
            _write(message.loads.add(name=load.name).shed_kw, shed)


def _write_units(message: pb.Schedule, problem: Problem, paths: Paths, schedule: Schedule) -> None:
    for u, (unit, plan) in enumerate(zip(problem.units, schedule.units, strict=True)):
        device = getattr(message, unit_field(paths, u)).add(name=unit.name)
        drawn_kw = plan.input_kw if unit.electric else np.zeros(plan.input_kw.size)
        _write(device.power_kw, drawn_kw - plan.electricity_kw)
        if unit.bus:
            _write(device.heat_kw, plan.heat_kw)
        if not unit.electric:
            _write(device.fuel_kw, plan.input_kw)
        if not unit.continuous:
            _write(device.running, plan.on)


def unit_field(paths: Paths, unit: int) -> str:
    """The field of a schedule that holds a unit of a problem."""
    return paths.of(f"units[{unit}]").partition("[")[0]


def write_values(plan: pb.DispatchPlan, task: Task[Problem], values: Values) -> None:
    """Writes the values; and as duals of the certificate, where they prove its bound."""
    problem, paths = task.problem, Paths(task.paths)
    _write(plan.values.site_value_per_kwh, values.site_per_kwh)
    for storage, stored in zip(problem.storages, values.stored_per_kwh, strict=True):
        _write(plan.values.storages.add(name=storage.name).stored_value_per_kwh, stored)
    if not problem.plain:
        for bus in problem.buses:
            if bus.name in values.buses:
                told = plan.values.heat_buses.add(name=bus.name)
                _write(told.value_per_kwh, values.buses[bus.name])
        _write_held(plan.values, problem, values.held)
        for price in values.limits:
            plan.limit_prices.add(
                rule=paths.of_site(f"site.{price.path}"),
                unit=price.unit,
                intervals=price.intervals.tolist(),
                prices=price.price.tolist(),
            )
    if plan.certificate.proof != common_pb2.PROOF_DUAL:
        return
    duals = plan.certificate.duals
    _write(duals.add(name="site_value_per_kwh").values, values.site_per_kwh)
    for storage, stored in zip(problem.storages, values.stored_per_kwh, strict=True):
        _write(duals.add(name=f"stored_value_per_kwh/{storage.name}").values, stored)


def _write_held(message: pb.Values, problem: Problem, held: Mapping[str, FloatArray]) -> None:
    """Writes the values of what vehicles, batteries of stations and rooms hold."""
    for index, vehicle in enumerate(problem.vehicles):
        if (stored := held.get(f"vehicles[{index}]")) is not None:
            _write(message.vehicles.add(name=vehicle.name).stored_value_per_kwh, stored)
    for index, station in enumerate(problem.swappings):
        places = [f"swappings[{index}].places[{n}]" for n in range(station.battery_count)]
        stored = np.array([held[place] for place in places])
        told = message.swap_stations.add(name=station.name)
        told.battery_stored_value_per_kwh.CopyFrom(to_matrix(stored))
    for index, room in enumerate(problem.rooms):
        _write(message.rooms.add(name=room.name).stored_value_per_kwh, held[f"rooms[{index}]"])


def breaches(task: Task[Problem], found: tuple[Breach, ...]) -> Iterator[dispatch_plans_pb2.Breach]:
    """The breaches in messages, each in a sentence."""
    problem, paths = task.problem, Paths(task.paths)
    for breach in found:
        rule = paths.of_site(f"site.{breach.path}")
        at = _intervals(problem, breach)
        amounts = breach.amount[breach.amount > 0.0]
        yield dispatch_plans_pb2.Breach(
            rule=rule,
            unit=breach.unit,
            intervals=at,
            amounts=amounts.tolist(),
            cost=breach.cost,
            scenario="" if breach.scene is None else _scenario(problem, breach.scene),
            text=f"{rule} gives way by {amounts.sum():.4g} {breach.unit}{_when(problem, at)}, "
            f"for {breach.cost:.4g} {problem.meter.currency_code}".rstrip(),
        )


def _intervals(problem: Problem, breach: Breach) -> list[int]:
    """The interval of each amount above zero: the one at whose end a session or a swap counts."""
    where = np.flatnonzero(breach.amount > 0.0)
    family, index, rest = (*re.split(r"\[|\]\.?", breach.path, maxsplit=2), "", "")[:3]
    if family == "vehicles" and rest.startswith("sessions["):
        session = problem.vehicles[int(index)].sessions[int(rest[9:].partition("]")[0])]
        return [session.departure - 1 for _ in where]
    if family == "swappings":
        swaps = problem.swappings[int(index)].swaps()
        return [max(swaps[j][1] - 1, 0) for j in where]
    whole = breach.amount.size != problem.horizon.count or family == "appliances"
    return [-1 for _ in where] if whole else where.tolist()


def _scenario(problem: Problem, scene: int) -> str:
    return problem.scenarios[scene].name if problem.scenarios else ""


def _when(problem: Problem, intervals: list[int]) -> str:
    """The time from the first interval to the end of the last one, in words."""
    if not intervals or intervals[0] < 0:
        return ""
    clock = problem.horizon.clock
    return f" between {clock(min(intervals))} and {clock(max(intervals) + 1)}"


def peaks(problem: Problem, schedule: Schedule) -> Iterator[dispatch_plans_pb2.DemandPeak]:
    """The peaks that the demand charges look at; those of the first scenario if there are any.

    A charge whose windows are not in the horizon has none.
    """
    for charge in problem.meter.demand_charges:
        where = np.flatnonzero(charge.intervals)
        if where.size:
            first = int(where[np.argmax(schedule.import_kw[where])])
            peak_kw = float(schedule.import_kw[first])
            yield dispatch_plans_pb2.DemandPeak(name=charge.name, peak_kw=peak_kw, interval=first)


def _write(series: common_pb2.Series, values: FloatArray) -> None:
    series.MergeFromString(packed(values))
