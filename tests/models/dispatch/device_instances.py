"""Random sites with further devices: small, repeatable, and full of awkward corners."""

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
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.switching import Switching
from tests.models.dispatch.instances import random_problem

KINDS = ("vehicle", "swapping", "appliance", "unit", "heat", "room", "mixed")
"""What a random site can be full of; a mixed one has one device of each kind."""


def random_site(rng: np.random.Generator, kind: str, *, count: int = 12) -> Problem:
    """A random site with devices of a kind, most often feasible."""
    base = random_problem(rng, count=count, stores=0, convex=bool(rng.random() < 0.5))
    meter = base.meter
    if rng.random() < 0.6:
        roomy = np.full(count, 1000.0)
        meter = replace(meter, import_limit_kw=roomy, export_limit_kw=roomy)
    base = replace(base, meter=meter)
    hours = base.horizon.step_h
    several = 1 if kind == "mixed" else int(rng.integers(1, 3))
    wanted = KINDS[:-1] if kind == "mixed" else (kind,)
    makers = {"vehicle": _vehicle, "swapping": _swapping, "appliance": _appliance}
    families = {"vehicle": "vehicles", "swapping": "swappings", "appliance": "appliances"}
    more = {
        families[each]: tuple(makers[each](rng, f"{each} {i}", hours) for i in range(several))
        for each in wanted
        if each in makers
    }
    if "unit" in wanted:
        more["units"] = tuple(_generator(rng, f"generator {i}", hours) for i in range(several))
    if {"heat", "room"} & set(wanted):
        more |= _heated(rng, hours, "room" in wanted, more.get("units", ()))
    return replace(base, **more)


def _price(rng: np.random.Generator) -> float:
    """A breach price, or inf."""
    return float(rng.choice([inf, 0.05, 2.0]))


def _vehicle(rng: np.random.Generator, name: str, hours: np.ndarray) -> Vehicle:
    count, capacity, power = hours.size, float(rng.choice([8.0, 30.0])), rng.choice([3.0, 11.0])
    edges = np.sort(rng.choice(np.arange(1, count), 3, replace=False))
    edges = np.concatenate((edges, [count]))
    if rng.random() < 0.4:  # there from the beginning, and perhaps to the end
        edges[0] = 0
    spans = [(edges[0], edges[1])]
    if edges[2] > edges[1] and rng.random() < 0.7:
        spans.append((edges[2], edges[3]))
    sessions = tuple(
        Session(
            arrival=int(a),
            departure=int(b),
            wanted_kwh=float(rng.choice([0.0, 0.3, 0.5, 0.9])) * capacity,
            breach_price_per_kwh=_price(rng),
            consumption_kwh=float(rng.choice([0.0, 0.2])) * capacity if k else 0.0,
        )
        for k, (a, b) in enumerate(spans)
    )
    least = float(rng.choice([0.0, 0.1])) * capacity
    return Vehicle(
        name=name,
        capacity_kwh=capacity,
        initial_energy_kwh=least + float(rng.uniform(0.0, 0.4)) * capacity,
        charge_limit_kw=power * rng.choice([1.0, 1.0, 0.4], count),
        discharge_limit_kw=np.full(count, float(rng.choice([0.0, power]))),
        sessions=sessions,
        energy_min_kwh=least,
        charge_least_kw=float(rng.choice([0.0, 1.4])),
        charge_efficiency=float(rng.choice([1.0, 0.9])),
        discharge_efficiency=float(rng.choice([1.0, 0.85])),
        wear_cost_per_kwh=float(rng.choice([0.0, 0.02])),
        end_value_per_kwh=float(rng.choice([0.0, 0.15])),
        public_price_per_kwh=float(rng.choice([inf, 0.5])),
    )


def _swapping(rng: np.random.Generator, name: str, hours: np.ndarray) -> SwappingStation:
    batteries, capacity = int(rng.integers(1, 5)), 4.0
    when = np.sort(rng.integers(0, hours.size + 1, int(rng.integers(1, 4))))
    return SwappingStation(
        name=name,
        capacity_kwh=capacity,
        initial_energy_kwh=tuple(rng.choice([0.0, 0.5, 1.0], batteries) * capacity),
        slot_count=int(rng.integers(1, 3)),
        slot_limit_kw=float(rng.choice([2.0, 7.0])),
        bookings=tuple(
            Booking(boundary=int(b), returned_kwh=tuple(rng.uniform(0, 2, rng.integers(1, 3))))
            for b in when
        ),
        efficiency=float(rng.choice([1.0, 0.9])),
        missed_price=_price(rng),
        end_value_per_kwh=float(rng.choice([0.0, 0.15])),
    )


def _switching(rng: np.random.Generator, hours: np.ndarray) -> Switching:
    return Switching(
        least_on_h=float(rng.choice([0.0, 2.5])) * hours[0],
        least_off_h=float(rng.choice([0.0, 2.0])) * hours[0],
        start_cost=float(rng.choice([0.0, 0.3])),
        most_starts=[None, 1, 3][rng.integers(3)],
        initially_on=bool(rng.random() < 0.3),
        initial_h=float(rng.choice([inf, hours[0]])),
    )


def _appliance(
    rng: np.random.Generator, name: str, hours: np.ndarray
) -> ShiftableAppliance | InterruptibleAppliance:
    count, total_h = hours.size, float(hours.sum())
    if rng.random() < 0.5:
        profile = rng.uniform(0.0, 3.0, int(rng.integers(1, 4)))
        step_h = float(rng.choice([0.5, 1.0, 1.25])) * hours[0]
        return ShiftableAppliance(
            name=name,
            profile_kw=profile,
            profile_step_h=step_h,
            earliest=int(rng.integers(0, 3)),
            latest=count - int(rng.integers(0, 3)),
            run_count=int(rng.integers(0, 3)),
            carried_h=float(rng.choice([0.0, 0.5])) * step_h,
            breach_price_per_run=_price(rng),
        )
    least_h = float(rng.choice([0.2, 0.4])) * total_h
    return InterruptibleAppliance(
        name=name,
        power_kw=float(rng.choice([0.5, 2.0])),
        earliest=0,
        latest=count - int(rng.integers(0, 3)),
        running_min_h=least_h,
        running_max_h=float(rng.choice([inf, least_h + 2.0 * hours.max()])),
        breach_price_per_h=_price(rng),
        switching=_switching(rng, hours),
    )


def _generator(rng: np.random.Generator, name: str, hours: np.ndarray) -> Unit:
    count, power = hours.size, float(rng.choice([4.0, 10.0]))
    switching = _switching(rng, hours)
    return Unit(
        name=name,
        electric=False,
        input_limit_kw=np.full(count, power),
        input_least_kw=np.full(count, float(rng.choice([0.0, 0.5])) * power),
        input_cost_per_kwh=np.full(count, 0.07) * rng.uniform(0.7, 1.3, count),
        electricity_per_input=np.full(count, 0.4),
        heat_per_input=np.zeros(count),
        carbon_kg_per_kwh=0.2,
        ramp_kw_per_h=float(rng.choice([inf, 0.5, 2.0])) * power,
        initial_input_kw=0.6 * power if switching.initially_on else 0.0,
        switching=switching,
    )


def _heated(
    rng: np.random.Generator, hours: np.ndarray, rooms: bool, units: tuple[Unit, ...]
) -> dict[str, tuple]:
    """A bus with a heat pump, a boiler, sometimes heat and power, a tank, and rooms."""
    count, bus = hours.size, "heat"
    pump = Unit(
        name="heat pump",
        electric=True,
        input_limit_kw=np.full(count, 2.0),
        input_least_kw=np.full(count, float(rng.choice([0.0, 0.5]))),
        input_cost_per_kwh=np.zeros(count),
        electricity_per_input=np.zeros(count),
        heat_per_input=rng.uniform(2.0, 4.0, count),
        bus=bus,
        switching=_switching(rng, hours) if rng.random() < 0.5 else Switching(),
    )
    boiler = replace(
        pump,
        name="boiler",
        electric=False,
        input_limit_kw=np.full(count, 12.0),
        input_least_kw=np.zeros(count),
        input_cost_per_kwh=np.full(count, 0.09),
        heat_per_input=np.full(count, 0.9),
        switching=Switching(),
    )
    both = replace(
        _generator(rng, "heat and power", hours), heat_per_input=np.full(count, 0.5), bus=bus
    )
    tank = Storage(
        name="tank",
        energy_min_kwh=np.zeros(count),
        energy_max_kwh=np.full(count, 8.0),
        initial_energy_kwh=2.0,
        charge_limit_kw=np.full(count, 6.0),
        discharge_limit_kw=np.full(count, 6.0),
        self_discharge_per_h=float(rng.choice([0.0, 0.02])),
        bus=bus,
    )
    demand = rng.gamma(2.0, 1.0, count)
    heated = (_room(rng, hours, bus),) if rooms else ()
    return {
        "buses": (
            HeatBus(
                name=bus,
                demand_kw=demand,
                dump=bool(rng.random() < 0.5),
                breach_price_per_kwh=_price(rng),
            ),
        ),
        "rooms": heated,
        "storages": (tank,) if rng.random() < 0.7 else (),
        "units": (*units, pump, boiler, *((both,) if rng.random() < 0.5 else ())),
    }


def _room(rng: np.random.Generator, hours: np.ndarray, bus: str) -> Room:
    count = hours.size
    return Room(
        name="room",
        capacity_kwh_per_k=float(rng.choice([0.5, 3.0])),
        loss_kw_per_k=float(rng.choice([0.0, 0.1])),
        outdoor_temperature_c=rng.uniform(-5.0, 15.0, count),
        gains_kw=rng.uniform(0.0, 0.5, count),
        temperature_min_c=rng.choice([18.0, 20.0], count),
        temperature_max_c=np.full(count, 24.0),
        initial_temperature_c=20.0,
        heat_bus=bus,
        heating_limit_kw=float(rng.choice([inf, 8.0])),
        breach_price_per_k_h=float(rng.choice([inf, 0.5])),
    )


def random_single(rng: np.random.Generator, kind: str) -> Problem:
    """A random site with one device, of the shape that a road of its own takes as a rule."""
    problem = random_site(rng, "heat" if kind == "tank" else kind, count=int(rng.integers(5, 30)))
    if rng.random() < 0.8:
        hours = np.full(problem.horizon.count, problem.horizon.step_h.mean())
        problem = replace(problem, horizon=replace(problem.horizon, step_h=hours))
    if kind == "tank":
        units = [replace(each, switching=Switching()) for each in problem.units]
        units = [replace(each, input_least_kw=0.0 * each.input_least_kw) for each in units]
        units = [replace(each, ramp_kw_per_h=inf) for each in units]
        # The pump, the boiler, and heat and power: one of them touches electricity.
        both = len(units) > 2 and rng.random() < 0.6
        kept = (units[1], units[-1]) if both else (units[0], units[1])
        meter = problem.meter
        sell = np.minimum(meter.buy_price_per_kwh, meter.sell_price_per_kwh)
        return replace(problem, units=kept, meter=replace(meter, sell_price_per_kwh=sell))
    if kind == "vehicle":
        car = problem.vehicles[0]
        sessions = [replace(each, breach_price_per_kwh=inf) for each in car.sessions[:-1]]
        car = replace(car, sessions=(*sessions, car.sessions[-1]))
        if rng.random() < 0.8:
            car = replace(car, charge_least_kw=0.0, public_price_per_kwh=inf)
        return replace(problem, vehicles=(car,))
    return replace(problem, appliances=problem.appliances[:1])
