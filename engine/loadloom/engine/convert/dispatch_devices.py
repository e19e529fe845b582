"""The devices of a site beyond loads, plants and stores, read into those of the models."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from loadloom.engine.convert.dispatch_paths import SPREAD
from loadloom.engine.convert.dispatch_reader import Reader, given, share
from loadloom.models.dispatch.devices.appliance import (
    Appliance,
    InterruptibleAppliance,
    ShiftableAppliance,
)
from loadloom.models.dispatch.devices.heat import HeatBus
from loadloom.models.dispatch.devices.room import Room
from loadloom.models.dispatch.devices.swapping import Booking, SwappingStation
from loadloom.models.dispatch.devices.unit import Unit
from loadloom.models.dispatch.devices.vehicle import Session, Vehicle
from loadloom.models.dispatch.switching import Switching
from loadloom.models.horizon import FloatArray
from loadloom.v1 import dispatch_devices_pb2 as devices
from loadloom.v1 import dispatch_pb2 as pb

ON_OFF = {
    "switching.least_on_h": "on_off.min_on_h",
    "switching.least_off_h": "on_off.min_off_h",
    "switching.start_cost": "on_off.start_cost",
    "switching.most_starts": "on_off.most_starts",
    "switching.initially_on": "on_off.initially_on",
    "switching.initial_h": "on_off.initial_h",
}
UNIT = {
    "input_cost_per_kwh": "fuel.price_per_kwh",
    "carbon_kg_per_kwh": "fuel.carbon_kg_per_kwh",
    "ramp_kw_per_h": "ramp.limit_kw_per_h",
    "initial_input_kw": "ramp.initial_power_kw",
    "bus": "heat_bus",
    **ON_OFF,
}
ELECTRIC_OUT = {"input_limit_kw": "power_limit_kw", "input_least_kw": f"power_min_kw{SPREAD}"}
HEAT_OUT = {"input_limit_kw": "heat_limit_kw", "input_least_kw": f"heat_min_kw{SPREAD}"}
"""The names of a device's fields in the request, by those in its model, where they differ."""


def families(reader: Reader, site: pb.Site) -> dict[str, tuple[Any, ...]]:
    """The devices of a site by family, as its problem has them."""
    found = {
        "buses": _all(reader, site, "heat_buses", "buses", _bus),
        "rooms": _all(reader, site, "rooms", "rooms", _room),
        "vehicles": _all(reader, site, "vehicles", "vehicles", _vehicle),
        "swappings": _all(reader, site, "swap_stations", "swappings", _swapping),
        "appliances": _all(reader, site, "appliances", "appliances", _appliance),
        "units": tuple(_units(reader, site)),
    }
    return {family: devices for family, devices in found.items() if devices}


def _all(
    reader: Reader,
    site: pb.Site,
    field: str,
    family: str,
    read: Callable[[Reader, str, str, Any], Any],
) -> tuple[Any, ...]:
    """The devices in a field; `read` is told where each stands in request and problem."""
    entries = enumerate(getattr(site, field))
    return tuple(read(reader, f"{field}[{i}]", f"{family}[{i}]", each) for i, each in entries)


def _bus(reader: Reader, path: str, ours: str, bus: devices.HeatBus) -> HeatBus:
    reader.name(ours, path)
    return HeatBus(
        name=bus.name,
        demand_kw=reader.column(bus, "demand_kw"),
        dump=bus.surplus_allowed,
        breach_price_per_kwh=given(bus, "breach_price_per_kwh"),
    )


def _room(reader: Reader, path: str, _: str, room: devices.Room) -> Room:
    columns = ("outdoor_temperature_c", "gains_kw", "temperature_min_c", "temperature_max_c")
    if not (room.heat_bus or room.cold_bus):
        reader.fault(f"{path}.heat_bus", "is empty, as cold_bus is; must name what heats or cools")
    return Room(
        name=room.name,
        capacity_kwh_per_k=room.capacity_kwh_per_k,
        loss_kw_per_k=room.loss_kw_per_k,
        **{name: reader.column(room, name) for name in columns},
        initial_temperature_c=room.initial_temperature_c,
        heat_bus=room.heat_bus,
        cold_bus=room.cold_bus,
        heating_limit_kw=given(room, "heating_limit_kw"),
        cooling_limit_kw=given(room, "cooling_limit_kw"),
        breach_price_per_k_h=given(room, "breach_price_per_k_h"),
    )


def _vehicle(reader: Reader, path: str, ours: str, vehicle: devices.Vehicle) -> Vehicle:
    reader.name(ours, path, {"charge_least_kw": "charge_min_kw"})
    sessions = enumerate(vehicle.sessions)
    return Vehicle(
        name=vehicle.name,
        capacity_kwh=vehicle.capacity_kwh,
        initial_energy_kwh=vehicle.initial_energy_kwh,
        charge_limit_kw=reader.column(vehicle, "charge_limit_kw"),
        discharge_limit_kw=reader.column(vehicle, "discharge_limit_kw"),
        sessions=tuple(_session(reader, f"{path}.sessions[{i}]", x) for i, x in sessions),
        energy_min_kwh=vehicle.energy_min_kwh,
        charge_least_kw=vehicle.charge_min_kw,
        charge_efficiency=given(vehicle, "charge_efficiency", 1.0),
        discharge_efficiency=given(vehicle, "discharge_efficiency", 1.0),
        wear_cost_per_kwh=vehicle.wear_cost_per_kwh,
        end_value_per_kwh=vehicle.end_value_per_kwh,
        public_price_per_kwh=given(vehicle, "public_price_per_kwh"),
    )


def _session(reader: Reader, path: str, session: devices.ChargingSession) -> Session:
    return Session(
        arrival=reader.boundary(path, session, "arrival_time", 0),
        departure=reader.boundary(path, session, "departure_time", reader.horizon.count),
        wanted_kwh=session.wanted_kwh,
        breach_price_per_kwh=given(session, "breach_price_per_kwh"),
        consumption_kwh=session.consumption_kwh,
    )


def _swapping(
    reader: Reader, path: str, ours: str, station: devices.SwapStation
) -> SwappingStation:
    fields = {"efficiency": "charge_efficiency", "missed_price": "missed_swap_price"}
    reader.name(ours, path, fields)
    return SwappingStation(
        name=station.name,
        capacity_kwh=station.capacity_kwh,
        initial_energy_kwh=tuple(station.initial_energy_kwh),
        slot_count=station.slot_count,
        slot_limit_kw=station.slot_limit_kw,
        bookings=tuple(
            Booking(
                boundary=reader.boundary(f"{path}.bookings[{i}]", booking, "time", 0),
                returned_kwh=tuple(booking.returned_kwh),
            )
            for i, booking in enumerate(station.bookings)
        ),
        efficiency=given(station, "charge_efficiency", 1.0),
        missed_price=given(station, "missed_swap_price"),
        end_value_per_kwh=station.end_value_per_kwh,
    )


def _appliance(reader: Reader, path: str, ours: str, appliance: devices.Appliance) -> Appliance:
    window = {
        "earliest": reader.boundary(path, appliance, "earliest_time", 0),
        "latest": reader.boundary(path, appliance, "latest_time", reader.horizon.count),
    }
    times = {"earliest": "earliest_time", "latest": "latest_time"}
    if appliance.WhichOneof("run") == "interruptible":
        run = appliance.interruptible
        names = ("power_kw", "running_min_h", "running_max_h", "breach_price_per_h")
        below = {name: f"interruptible.{name}" for name in names}
        below |= {ours: f"interruptible.{theirs}" for ours, theirs in ON_OFF.items()}
        reader.name(ours, path, times | below)
        return InterruptibleAppliance(
            name=appliance.name,
            power_kw=run.power_kw,
            **window,
            running_min_h=run.running_min_h,
            running_max_h=given(run, "running_max_h"),
            breach_price_per_h=given(run, "breach_price_per_h"),
            switching=_switching(run.on_off),
        )
    run = appliance.fixed
    names = ("profile_kw", "profile_step_h", "run_count", "carried_h", "breach_price_per_run")
    reader.name(ours, path, times | {name: f"fixed.{name}" for name in names})
    return ShiftableAppliance(
        name=appliance.name,
        profile_kw=np.array(run.profile_kw, np.float64),
        profile_step_h=run.profile_step_h,
        **window,
        run_count=int(given(run, "run_count", 1)),
        carried_h=run.carried_h,
        breach_price_per_run=given(run, "breach_price_per_run"),
    )


def _switching(rules: devices.OnOffRules) -> Switching:
    return Switching(
        least_on_h=rules.min_on_h,
        least_off_h=rules.min_off_h,
        start_cost=rules.start_cost,
        most_starts=rules.most_starts if rules.HasField("most_starts") else None,
        initially_on=rules.initially_on,
        initial_h=given(rules, "initial_h"),
    )


def _units(reader: Reader, site: pb.Site) -> Iterator[Unit]:
    """The units of a site: generators, combined heat and power, boilers, heat pumps, chillers."""
    number = 0
    for field, read in (
        ("generators", _generator),
        ("combined_heat_and_powers", _combined),
        ("boilers", _boiler),
        ("heat_pumps", _heat_pump),
        ("chillers", _chiller),
    ):
        for index, each in enumerate(getattr(site, field)):
            yield read(reader, f"{field}[{index}]", f"units[{number}]", each)
            number += 1


def _generator(reader: Reader, path: str, ours: str, unit: devices.Generator) -> Unit:
    reader.name(ours, path, UNIT | ELECTRIC_OUT | {"electricity_per_input": f"efficiency{SPREAD}"})
    return _unit(reader, path, unit, "power", electricity=unit.efficiency)


def _combined(reader: Reader, path: str, ours: str, unit: devices.CombinedHeatAndPower) -> Unit:
    electric, heat = f"electric_efficiency{SPREAD}", f"heat_efficiency{SPREAD}"
    fields = {"electricity_per_input": electric, "heat_per_input": heat}
    reader.name(ours, path, UNIT | ELECTRIC_OUT | fields)
    return _unit(
        reader,
        path,
        unit,
        "power",
        electricity=unit.electric_efficiency,
        heat=unit.heat_efficiency,
    )


def _boiler(reader: Reader, path: str, ours: str, unit: devices.Boiler) -> Unit:
    reader.name(ours, path, UNIT | HEAT_OUT | {"heat_per_input": f"efficiency{SPREAD}"})
    return _unit(reader, path, unit, "heat", heat=given(unit, "efficiency", 1.0))


def _heat_pump(reader: Reader, path: str, ours: str, unit: devices.HeatPump) -> Unit:
    ratio = "coefficient_of_performance"
    reader.name(ours, path, UNIT | ELECTRIC_OUT | {"heat_per_input": ratio})
    return _unit(reader, path, unit, "power", heat=reader.column(unit, ratio))


def _chiller(reader: Reader, path: str, ours: str, unit: devices.Chiller) -> Unit:
    ratio = "energy_efficiency_ratio"
    reader.name(ours, path, UNIT | ELECTRIC_OUT | {"heat_per_input": ratio})
    return _unit(reader, path, unit, "power", heat=reader.column(unit, ratio))


def _unit(
    reader: Reader,
    path: str,
    unit: Any,  # noqa: ANN401 -- one of five messages with fields of the same names
    side: str,
    *,
    electricity: float = 0.0,
    heat: FloatArray | float = 0.0,
) -> Unit:
    """A unit whose powers are said of its "power" or its "heat", turned into those of its input."""
    count = reader.horizon.count
    fuel = unit.fuel if hasattr(unit, "fuel") and unit.HasField("fuel") else None
    electric = fuel is None and not electricity
    ratio = 1.0
    if side == "heat":
        ratio = share(float(np.max(heat)))
    elif not electric:
        ratio = share(electricity)
    limit = reader.checked(path, unit, f"{side}_limit_kw", low=0.0)
    ramp = unit.ramp if unit.HasField("ramp") else None
    switching = _switching(unit.on_off)
    if ramp is not None and ramp.initial_power_kw > 0.0 and not unit.HasField("on_off"):
        switching = replace(switching, initially_on=True)
    return Unit(
        name=unit.name,
        electric=electric,
        input_limit_kw=limit / ratio,
        input_least_kw=np.full(count, getattr(unit, f"{side}_min_kw") / ratio),
        input_cost_per_kwh=np.zeros(count)
        if fuel is None
        else reader.column(fuel, "price_per_kwh"),
        electricity_per_input=np.full(count, electricity),
        heat_per_input=heat if isinstance(heat, np.ndarray) else np.full(count, heat),
        bus=getattr(unit, "heat_bus", ""),
        carbon_kg_per_kwh=0.0 if fuel is None else fuel.carbon_kg_per_kwh,
        ramp_kw_per_h=inf if ramp is None else ramp.limit_kw_per_h / ratio,
        initial_input_kw=0.0 if ramp is None else ramp.initial_power_kw / ratio,
        rated=ratio,
        switching=switching,
    )
