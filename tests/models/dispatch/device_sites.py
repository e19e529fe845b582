"""Small sites with further devices: what tests of devices are made of."""

from dataclasses import replace
from math import inf

import numpy as np

from loadloom.models.dispatch.devices.appliance import InterruptibleAppliance, ShiftableAppliance
from loadloom.models.dispatch.devices.heat import HeatBus
from loadloom.models.dispatch.devices.room import Room
from loadloom.models.dispatch.devices.storage import Storage
from loadloom.models.dispatch.devices.swapping import Booking, SwappingStation
from loadloom.models.dispatch.devices.unit import Unit
from loadloom.models.dispatch.devices.vehicle import Session, Vehicle
from loadloom.models.dispatch.switching import Switching
from tests.models.dispatch.cases import column, site, store

EVENING = [0.3, 0.1, 0.4, 0.2]
"""Four hours of prices; the two cheapest do not touch."""


def vehicle(count, *, capacity=4.0, power=1.0, discharge=0.0, initial=0.0, sessions, **more):
    return Vehicle(
        name=more.pop("name", "car"),
        capacity_kwh=capacity,
        initial_energy_kwh=initial,
        charge_limit_kw=column(power, count),
        discharge_limit_kw=column(discharge, count),
        sessions=tuple(sessions),
        **more,
    )


def stay(arrival, departure, wanted=0.0, *, driven=0.0, price=inf):
    return Session(
        arrival=arrival,
        departure=departure,
        wanted_kwh=wanted,
        consumption_kwh=driven,
        breach_price_per_kwh=price,
    )


def with_vehicle(prices, *, sell=0.0, step_h=1.0, load=0.0, **car):
    problem = site(prices, sell=sell, step_h=step_h, load=load)
    return replace(problem, vehicles=(vehicle(len(prices), **car),))


def shiftable(profile, *, latest, earliest=0, step_h=1.0, **more):
    return ShiftableAppliance(
        name="washer",
        profile_kw=np.array(profile, dtype=float),
        profile_step_h=step_h,
        earliest=earliest,
        latest=latest,
        **more,
    )


def interruptible(hours, *, latest, earliest=0, power=1.0, most=None, switching=None, **more):
    return InterruptibleAppliance(
        name="pump",
        power_kw=power,
        earliest=earliest,
        latest=latest,
        running_min_h=hours,
        running_max_h=hours if most is None else most,
        switching=Switching(**(switching or {})),
        **more,
    )


def with_appliance(appliance, prices=EVENING, **more):
    return replace(site(prices, **more), appliances=(appliance,))


def unit(count, *, limit=4.0, least=0.0, cost=0.2, electricity=0.0, heat=0.0, **more):
    return Unit(
        name=more.pop("name", "unit"),
        electric=more.pop("electric", False),
        input_limit_kw=column(limit, count),
        input_least_kw=column(least, count),
        input_cost_per_kwh=column(cost, count),
        electricity_per_input=column(electricity, count),
        heat_per_input=column(heat, count),
        switching=Switching(**more.pop("switching", {})),
        **more,
    )


def generator(count, **more):
    """Four kW of fuel at 0.2 per kWh, half of it electricity: 0.4 per kWh, up to 2 kW."""
    return unit(count, electricity=0.5, name="generator", **more)


def with_units(prices, *units, heat=None, sell=0.0, load=0.0, step_h=1.0, bus=None, **more):
    problem = site(prices, sell=sell, load=load, step_h=step_h)
    count = len(prices)
    buses = ()
    if heat is not None:
        buses = (HeatBus(name="heat", demand_kw=column(heat, count), **(bus or {})),)
    return replace(problem, units=tuple(units), buses=buses, **more)


def boiler(count, **more):
    """An electric boiler without losses."""
    return unit(count, electric=True, cost=0.0, heat=1.0, bus="heat", name="boiler", **more)


def tank(count, *, capacity=10.0, **more) -> Storage:
    return replace(store(count, capacity=capacity, power=10.0, name="tank", **more), bus="heat")


def station(batteries, bookings, *, capacity=1.0, power=1.0, slots=10, **more):
    return SwappingStation(
        name="station",
        capacity_kwh=capacity,
        initial_energy_kwh=tuple(map(float, batteries)),
        slot_count=slots,
        slot_limit_kw=power,
        bookings=tuple(Booking(boundary=b, returned_kwh=tuple(back)) for b, back in bookings),
        **more,
    )


def with_station(*arguments, prices=EVENING, **more):
    return replace(site(prices), swappings=(station(*arguments, **more),))


def room(count, *, low=20.0, high=24.0, loss=0.0, capacity=1.0, outdoor=0.0, **more):
    return Room(
        name="room",
        capacity_kwh_per_k=capacity,
        loss_kw_per_k=loss,
        outdoor_temperature_c=column(outdoor, count),
        gains_kw=column(more.pop("gains", 0.0), count),
        temperature_min_c=column(low, count),
        temperature_max_c=column(high, count),
        initial_temperature_c=more.pop("initial", 20.0),
        **more,
    )


def with_room(prices, *, units=None, step_h=1.0, **more):
    """A room on the electric boiler's bus, unless other units are named."""
    count = len(prices)
    problem = with_units(prices, *(units or (boiler(count),)), heat=0.0, step_h=step_h)
    return replace(problem, rooms=(room(count, **({"heat_bus": "heat"} | more)),))


def cold_room(prices, **more):
    """A room that a chiller cools with 3 kWh for each of electricity."""
    count = len(prices)
    chiller = unit(count, electric=True, cost=0.0, heat=3.0, bus="heat", name="chiller")
    return with_room(prices, units=(chiller,), heat_bus="", cold_bus="heat", **more)
