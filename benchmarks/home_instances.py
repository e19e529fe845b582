"""A home from noon to noon that other tools can be asked for too, and a park of chargers.

The home has a battery, a roof, a car that is there overnight, a heat pump and appliances. All is
stated so that EMHASS and FlexMeasures mean the same by it: prices above zero, so that nothing gains
by wasting; a car that comes empty and wants what it wants; a store that ends where it began. What
only one of them can say is in one of two homes only: `warm_home` keeps rooms within a band of
temperatures and runs two appliances, which FlexMeasures has not in its schedule of devices;
`stored_home` has a tank without losses, which it has.
"""

from dataclasses import replace
from datetime import datetime
from math import log

import numpy as np

from benchmarks.instances import (
    ENERGY_TAX,
    FEED_IN_FEE,
    PRICE_FLOOR,
    QUARTER_H,
    ZONE,
    day_ahead,
    profile,
)
from loadloom.models.dispatch.devices.appliance import InterruptibleAppliance, ShiftableAppliance
from loadloom.models.dispatch.devices.heat import HeatBus
from loadloom.models.dispatch.devices.room import Room
from loadloom.models.dispatch.devices.unit import Unit
from loadloom.models.dispatch.devices.vehicle import Session, Vehicle
from loadloom.models.dispatch.problem import (
    EnergyTarget,
    Load,
    Meter,
    Photovoltaic,
    Problem,
    Storage,
)
from loadloom.models.dispatch.switching import Switching
from loadloom.models.horizon import FloatArray, Horizon

COUNT = 96
NOON = datetime(2024, 5, 15, 12, tzinfo=ZONE)
ANY_C = -50.0
"""A least temperature that asks for nothing."""

LOST_PER_STEP = 0.0075
"""The share of the difference to outdoors that a quarter of an hour takes."""

CARS = 50
"""The cars of the park."""

PARK_KW = 130.0
"""What the park may draw, which is not enough for all cars at once."""


def _horizon() -> Horizon:
    return Horizon(start=NOON, step_h=np.full(COUNT, QUARTER_H), time_zone=ZONE.key)


def _meter(horizon: Horizon, variant: int, import_kw: float, export_kw: float) -> Meter:
    """Prices as a forecast has them, up to a tenth away from the day's."""
    rng = np.random.default_rng([COUNT, variant])
    price = np.maximum(day_ahead(horizon), PRICE_FLOOR) * rng.uniform(0.9, 1.1, COUNT)
    return Meter(
        buy_price_per_kwh=price + ENERGY_TAX,
        sell_price_per_kwh=price - FEED_IN_FEE,
        import_limit_kw=np.full(COUNT, import_kw),
        export_limit_kw=np.full(COUNT, export_kw),
        currency_code="EUR",
    )


def stored_home(variant: int = 0) -> Problem:
    """The home with a tank that takes what the heat pump gives."""
    horizon = _horizon()
    return Problem(
        horizon=horizon,
        meter=_meter(horizon, variant, import_kw=17.0, export_kw=10.0),
        loads=(Load(name="household", power_kw=1.2 * profile("h0_a_pu", horizon)),),
        photovoltaics=(Photovoltaic(name="roof", power_kw=4.0 * profile("pv3_pu", horizon)),),
        storages=(
            _store("battery", 8.0, 2.0, 4.0, 0.95),
            replace(_store("tank", 12.0, 4.0, 15.0, 1.0), bus="heat"),
        ),
        vehicles=(_car(),),
        units=(_heat_pump(0.0),),
        buses=(HeatBus(name="heat", demand_kw=_heat_kw()),),
        name="home with a tank",
    )


def warm_home(variant: int = 0) -> Problem:
    """The home whose heat pump, on or off, warms it, with a dishwasher and a pump for a pool."""
    home = stored_home(variant)
    return replace(
        home,
        storages=home.storages[:1],
        units=(_heat_pump(0.6),),
        buses=(HeatBus(name="heat", demand_kw=np.zeros(COUNT)),),
        rooms=(_rooms(),),
        appliances=(
            ShiftableAppliance(
                name="dishwasher",
                profile_kw=np.array([2.0, 2.0, 0.2, 0.2, 1.2, 1.2, 0.2, 0.2]),
                profile_step_h=QUARTER_H,
                earliest=24,
                latest=80,
            ),
            InterruptibleAppliance(
                name="pool pump",
                power_kw=0.8,
                earliest=0,
                latest=88,
                running_min_h=6.0,
                running_max_h=6.0,
                switching=Switching(least_on_h=2.0, most_starts=3),
            ),
        ),
        name="home with rooms and appliances",
    )


def _store(name: str, size_kwh: float, begin_kwh: float, limit_kw: float, each: float) -> Storage:
    """A store that ends with what it began with."""
    return Storage(
        name=name,
        energy_min_kwh=np.zeros(COUNT),
        energy_max_kwh=np.full(COUNT, size_kwh),
        initial_energy_kwh=begin_kwh,
        charge_limit_kw=np.full(COUNT, limit_kw),
        discharge_limit_kw=np.full(COUNT, limit_kw),
        charge_efficiency=each,
        discharge_efficiency=each,
        wear_cost_per_kwh=0.0,
        targets=(EnergyTarget(interval=COUNT - 1, min_kwh=begin_kwh, max_kwh=begin_kwh),),
    )


def _car() -> Vehicle:
    """It comes at five in the afternoon and leaves at seven with 22 kWh."""
    return Vehicle(
        name="car",
        capacity_kwh=22.0,
        initial_energy_kwh=0.0,
        charge_limit_kw=np.full(COUNT, 11.0),
        discharge_limit_kw=np.zeros(COUNT),
        charge_efficiency=0.92,
        sessions=(Session(arrival=20, departure=76, wanted_kwh=22.0),),
    )


def _heat_pump(least_kw: float) -> Unit:
    nothing = np.zeros(COUNT)
    return Unit(
        name="heat pump",
        electric=True,
        input_limit_kw=np.full(COUNT, 3.0),
        input_least_kw=np.full(COUNT, least_kw),
        input_cost_per_kwh=nothing,
        electricity_per_input=nothing,
        heat_per_input=np.full(COUNT, 3.0),
        bus="heat",
    )


def _heat_kw() -> FloatArray:
    """What a house draws from its tank: more in the evening and in the morning."""
    hour = (12.0 + QUARTER_H * np.arange(COUNT)) % 24.0
    return 1.0 + 1.5 * np.exp(-(((hour - 7.0) / 1.5) ** 2)) + np.exp(-(((hour - 19.0) / 2.0) ** 2))


def _rooms() -> Room:
    """A band for the end of every interval but the last, after which nothing comes."""
    hour = (12.0 + QUARTER_H * np.arange(1, COUNT + 1)) % 24.0
    least = np.where((hour >= 6.0) & (hour < 22.0), 20.0, 18.0)
    least[-1] = ANY_C
    loss, capacity = 0.2, -0.2 * QUARTER_H / log(1.0 - LOST_PER_STEP)
    return Room(
        name="house",
        capacity_kwh_per_k=capacity,
        loss_kw_per_k=loss,
        outdoor_temperature_c=9.0 - 6.0 * np.cos(2.0 * np.pi * (hour - 3.0) / 24.0),
        gains_kw=np.zeros(COUNT),
        temperature_min_c=least,
        temperature_max_c=np.full(COUNT, 23.0),
        initial_temperature_c=20.5,
        heat_bus="heat",
        heating_limit_kw=9.0,
    )


def car_park(variant: int = 0) -> Problem:
    """Cars at work under one connection; what a car does not get is paid for."""
    horizon = replace(_horizon(), start=datetime(2024, 5, 15, tzinfo=ZONE))
    rng = np.random.default_rng(CARS)
    arrivals = np.sort(rng.integers(24, 48, CARS))
    stays = rng.integers(16, 40, CARS)
    limits = rng.choice([6.6, 11.0], CARS, p=[0.7, 0.3])
    wanted = np.minimum(np.round(4.0 + 9.0 * rng.exponential(1.0, CARS), 1), 36.0)
    return Problem(
        horizon=horizon,
        meter=_meter(horizon, variant, import_kw=PARK_KW, export_kw=60.0),
        loads=(Load(name="office", power_kw=60.0 * profile("g0_a_pu", horizon)),),
        photovoltaics=(
            Photovoltaic(name="roof", power_kw=50.0 * profile("pv3_pu", horizon), curtailable=True),
        ),
        vehicles=tuple(
            Vehicle(
                name=f"bay {bay + 1}",
                capacity_kwh=float(wanted[bay]),
                initial_energy_kwh=0.0,
                charge_limit_kw=np.full(COUNT, limits[bay]),
                discharge_limit_kw=np.zeros(COUNT),
                charge_efficiency=0.92,
                sessions=(
                    Session(
                        arrival=int(arrivals[bay]),
                        departure=int(min(arrivals[bay] + stays[bay], COUNT)),
                        wanted_kwh=float(wanted[bay]),
                        breach_price_per_kwh=0.5,
                    ),
                ),
            )
            for bay in range(CARS)
        ),
        name="car park",
    )
