"""The referee of further devices finds a fault planted in each rule, and none in a good plan."""

import tracemalloc
from dataclasses import replace
from math import exp, inf

import numpy as np
import pytest

from loadloom.models.dispatch.devices.appliance import AppliancePlan
from loadloom.models.dispatch.devices.heat import BusPlan, HeatBus
from loadloom.models.dispatch.devices.meter import Island
from loadloom.models.dispatch.devices.room import RoomPlan
from loadloom.models.dispatch.devices.storage import StoragePlan
from loadloom.models.dispatch.devices.swapping import SwappingPlan
from loadloom.models.dispatch.devices.unit import UnitPlan
from loadloom.models.dispatch.devices.vehicle import VehiclePlan
from loadloom.models.dispatch.judges import (
    appliance,
    heat,
    room,
    storage,
    swapping,
    unit,
    vehicle,
)
from loadloom.models.dispatch.referee import violations
from loadloom.models.dispatch.sheet import Sheet
from loadloom.models.dispatch.solve import solve
from loadloom.models.dispatch.switching import Switching
from loadloom.models.horizon import Horizon
from tests.models.dispatch import device_sites as make
from tests.models.dispatch.cases import START, store, target


def judged(judge, device, plan, hours=(1.0, 1.0, 1.0, 1.0), reserve=None):
    """The sheet of one device on its own."""
    sheet = Sheet(Horizon(start=START, step_h=np.array(hours)), reserve)
    judge(sheet, "x", device, plan)
    return sheet


def row(*values):
    return np.array(values, dtype=float)


CAR = make.vehicle(
    4,
    capacity=3.0,
    power=1.5,
    discharge=1.0,
    initial=1.0,
    energy_min_kwh=0.5,
    charge_least_kw=1.0,
    public_price_per_kwh=0.4,
    sessions=[make.stay(0, 2, 2), make.stay(3, 4, 2.0, driven=2, price=1.0)],
)
DRIVEN = VehiclePlan(
    charge_kw=row(1.5, 0, 0, 1.0),
    discharge_kw=row(0, 0.5, 0, 0),
    energy_kwh=row(2.5, 2.0, 0.5, 1.5),
    missed_kwh=row(0, 0.5),
    public_kwh=row(0, 0.5),
)
CAR_FAULTS = [
    ("charge_kw", {"charge_kw": row(2.0, 0, 0, 1.0), "energy_kwh": row(3, 2.5, 1, 2)}),
    ("charge_kw", {"charge_kw": row(1.5, 0, 1, 1.0)}),  # away
    ("charge_kw", {"charge_kw": row(1.5, 0, 0, 0.9)}),  # below its least
    ("discharge_kw", {"discharge_kw": row(0, 1.1, 0, 0)}),
    ("charge_kw", {"discharge_kw": row(0.5, 0, 0, 0)}),  # both at once
    ("energy_kwh", {"energy_kwh": row(2.5, 2.1, 0.5, 1.5)}),
    ("energy_kwh", {"public_kwh": row(0, 0.4), "energy_kwh": row(2.5, 2.0, 0.4, 1.4)}),
    (
        "energy_kwh",  # more than it can hold
        {
            "charge_kw": row(1.5, 1.0, 0, 1.0),
            "discharge_kw": row(0, 0, 0, 0),
            "energy_kwh": row(2.5, 3.5, 2.0, 3.0),
        },
    ),
    ("missed_kwh", {"missed_kwh": row(0, 0.4)}),
    ("sessions[0].wanted_kwh", {"missed_kwh": row(0.1, 0.5)}),
    ("public_kwh", {"public_kwh": row(0, 2.5)}),
    ("public_kwh", {"public_kwh": row(0, -0.1)}),
]

STATION = make.station([1.0, 0.25], [(1, [0.5]), (3, [0.0])], slots=1)
SWAPPED = SwappingPlan(
    charge_kw=np.array([[0, 0, 0, 0.5], [0.5, 0.25, 0, 0]]),
    energy_kwh=np.array([[1, 0.5, 0.5, 1.0], [0.75, 1, 1, 0]]),
    missed=row(0, 0),
)


def charged(*rows):
    return {"charge_kw": np.array(rows, dtype=float)}


STATION_FAULTS = [
    ("charge_kw[1]", charged([0, 0, 0, 0.5], [1.25, 0, 0, 0])),  # more than a slot gives
    ("charge_kw[1]", charged([0, 0, 0, 0.5], [0.5, 0.5, -0.25, 0])),
    ("charge_kw", charged([0, 0.9, -0.9, 0.5], [0.5, 0.25, 0, 0])),
    ("charge_kw", charged([0.0, 0, 0, 0.5], [0.5, 0.25, 0, 0.6])),  # more than its slots
    ("swaps[1]", charged([0, 0, 0, 0.5], [0.5, 0.15, 0, 0])),
    ("energy_kwh[0]", {"energy_kwh": SWAPPED.energy_kwh - [[0.1], [0.0]]}),
    ("energy_kwh[0]", charged([0, 0.6, 0, 0.5], [0.5, 0.25, 0, 0])),  # more than it can hold
    ("missed", {"missed": row(0, 0.3)}),
    ("bookings", {"missed": row(0, 1)}),
]

WASHER = make.shiftable([2, 1], earliest=1, latest=4, carried_h=1.0, run_count=1)
WASHED = AppliancePlan(power_kw=row(1, 2, 1, 0), starts=row(0, 1, 0, 0), missed=0.0)
WASHER_FAULTS = [
    ("power_kw", {"power_kw": row(1, 2, 0, 1)}),
    ("power_kw", {"power_kw": row(0, 2, 1, 0)}),  # without what was carried
    ("starts[0]", {"starts": row(1, 0, 0, 0), "power_kw": row(3, 1, 0, 0)}),  # too early
    ("starts[3]", {"starts": row(0, 0, 0, 1), "power_kw": row(1, 0, 0, 2)}),  # too late
    ("starts[2]", {"starts": row(0, 1, 1, 0), "power_kw": row(1, 2, 3, 1)}),  # one in another
    ("run_count", {"starts": row(0, 0, 0, 0), "power_kw": row(1, 0, 0, 0), "missed": 1.0}),
    ("missed", {"starts": row(0, 0, 0, 0), "power_kw": row(1, 0, 0, 0)}),
]

RESTED = replace(WASHER, carried_h=0.0)
RESTED_FAULTS = [("starts[0]", {"starts": row(1, 0, 0, 0), "power_kw": row(2, 1, 0, 0)})]

PUMP = make.interruptible(
    2,
    earliest=0,
    latest=5,
    most=3,
    power=2.0,
    switching={
        "least_on_h": 2.0,
        "least_off_h": 2.0,
        "most_starts": 1,
        "initially_on": True,
        "initial_h": 1.0,
    },
)


def pumped(*on, starts=None):
    on = row(*on)
    begun = on * (np.append(1.0, on[:-1]) == 0)
    return {
        "power_kw": 2.0 * on,
        "starts": begun if starts is None else starts,
        "missed": max(0.0, 2 - on.sum()),
    }


PUMPED = AppliancePlan(**pumped(1, 0, 0, 1, 1, 0))
PUMP_FAULTS = [
    ("power_kw", {"power_kw": row(2, 0, 0, 2, 1.5, 0)}),
    ("power_kw[5]", pumped(1, 0, 0, 0, 1, 1)),
    ("least_on_h[0]", pumped(0, 0, 0, 1, 1, 0)),  # carried on, one hour too short
    ("least_on_h[3]", pumped(1, 0, 0, 1, 0, 0)),
    ("least_off_h[1]", pumped(1, 0, 1, 1, 0, 0)),
    ("starts", {"starts": row(1, 0, 0, 1, 0, 0)}),
    ("running_min_h", pumped(1, 0, 0, 0, 0, 0)),
    ("running_max_h", pumped(1, 1, 1, 1, 0, 0)),
    ("missed", {**pumped(1, 0, 0, 0, 0, 0), "missed": 0.0}),
    ("missed", {"missed": -1.0}),
]

# What runs when the horizon ends must have run for its least time, too.
DRYER = make.interruptible(2, latest=4, most=3, power=2.0, switching={"least_on_h": 2.0})
DRIED = AppliancePlan(**pumped(0, 0, 1, 1))
DRYER_FAULTS = [("least_on_h[3]", pumped(1, 1, 0, 1)), ("least_on_h[0]", pumped(1, 0, 1, 1))]

ENGINE = make.unit(
    4,
    limit=4.0,
    least=2.0,
    electricity=0.5,
    heat=0.25,
    bus="heat",
    ramp_kw_per_h=1.0,
    initial_input_kw=0.0,
    switching={"least_on_h": 2.0, "least_off_h": 1.0, "most_starts": 1},
)


def running(*power, on=None):
    power = row(*power)
    return {
        "on": (power > 0).astype(float) if on is None else row(*on),
        "input_kw": power,
        "electricity_kw": 0.5 * power,
        "heat_kw": 0.25 * power,
    }


RAN = UnitPlan(**running(0, 2, 3, 2))
ENGINE_FAULTS = [
    ("input_kw", running(0, 2, 3, 4.5)),
    ("input_kw", running(0, 2, 2, 1.5)),
    ("input_kw", running(0, 2, 3, 2, on=(0, 1, 1, 0))),
    ("on", running(0, 2, 3, 2, on=(0, 1, 1, 0.8))),
    ("least_on_h[1]", running(0, 2, 0, 0)),
    ("most_starts", running(2, 0, 2, 2)),
    ("ramp_kw_per_h", running(0, 2, 3.5, 2.5)),
    ("ramp_kw_per_h", running(0, 3, 3, 2)),  # starts above its least
    ("ramp_kw_per_h", running(2, 3, 3, 0)),  # stops from above it
    ("electricity_kw", {"electricity_kw": row(0, 1, 2, 1)}),
    ("heat_kw", {"heat_kw": row(0, 0.5, 1, 0.5)}),
]

REST = replace(ENGINE, ramp_kw_per_h=inf, switching=Switching(least_off_h=2.0, initial_h=1.0))
REST_FAULTS = [
    ("least_off_h[0]", running(2, 2, 0, 0)),  # carried off, one hour too short
    ("least_off_h[2]", running(0, 2, 0, 2)),
]

BUS = HeatBus(name="heat", demand_kw=row(1, 2, 1, 0), breach_price_per_kwh=1.0)
BUS_FAULTS = [
    ("unmet_kw", {"unmet_kw": row(0, 0, 1.5, 0)}),
    ("unmet_kw", {"unmet_kw": row(0, -1, 0, 0)}),
    ("dumped_kw", {"dumped_kw": row(0, 1, 0, 0)}),
]

HARD_BUS = HeatBus(name="heat", demand_kw=row(1, 2), dump=True)
HARD_BUS_FAULTS = [
    ("unmet_kw", {"unmet_kw": row(0, 0.5)}),
    ("dumped_kw", {"dumped_kw": row(0, -1)}),
]

ROOM = make.room(4, high=23, gains=1.0, heat_bus="heat", heating_limit_kw=2.0)
WARM = RoomPlan(
    heating_kw=row(2, 0, 0, 0), cooling_kw=row(0, 0, 0, 0), temperature_c=row(23, 23, 23, 23)
)
ROOM = replace(ROOM, gains_kw=row(1, 0, 0, 0))
ROOM_FAULTS = [
    ("heating_kw", {"heating_kw": row(2.5, 0, 0, 0), "temperature_c": row(23.5, 23, 23, 23)}),
    ("heating_kw", {"heating_kw": row(2, -1, 0, 0), "temperature_c": row(23, 22, 22, 22)}),
    ("cooling_kw", {"cooling_kw": row(0, 1, 0, 0), "temperature_c": row(23, 22, 22, 22)}),
    ("temperature_c", {"heating_kw": row(0, 0, 0, 0), "temperature_c": row(21, 21, 21, 19)}),
    ("temperature_c", {"temperature_c": row(23, 22, 22, 22)}),
    ("temperature_c", {"heating_kw": row(2, 1, 0, 0), "temperature_c": row(23, 24, 24, 24)}),
]

CHILLED = make.room(2, cold_bus="cold")
MILD = RoomPlan(heating_kw=row(0, 0), cooling_kw=row(0, 0), temperature_c=row(20, 20))
CHILLED_FAULTS = [
    ("temperature_c", {"cooling_kw": row(1, 0), "temperature_c": row(19, 19)}),
    ("heating_kw", {"heating_kw": row(1, 0), "temperature_c": row(21, 21)}),  # without a bus
]

STORE = store(
    4,
    capacity=4.0,
    power=2.0,
    minimum=0.5,
    initial=1.0,
    charge_efficiency=0.5,
    discharge_efficiency=0.5,
    least_charge_kw=0.5,
    least_discharge_kw=0.5,
    targets=(target(1, 1.5, 2.5),),
)
MOVED = StoragePlan(
    charge_kw=row(2, 0, 0, 0), discharge_kw=row(0, 0, 0.5, 0), energy_kwh=row(2, 2, 1, 1)
)


def stored(charge, discharge, energy):
    return {
        "charge_kw": row(*charge),
        "discharge_kw": row(*discharge),
        "energy_kwh": row(*energy),
    }


STORE_FAULTS = [
    ("charge_kw", stored((2.2, 0, 0, 0), (0, 0, 0.5, 0), (2.1, 2.1, 1.1, 1.1))),
    ("charge_kw", stored((2, 0, 0, -0.1), (0, 0, 0.5, 0), (2, 2, 1, 0.95))),
    ("charge_kw", stored((2, 0, 0, 0.4), (0, 0, 0.5, 0), (2, 2, 1, 1.2))),  # below its least
    ("charge_kw", stored((2, 0, 2, 0), (0, 0, 1, 0), (2, 2, 1, 1))),  # both at once
    ("discharge_kw", stored((2, 2, 2, 0), (0, 0, 0, 2.1), (2, 3, 4, -0.2))),
    ("discharge_kw", stored((2, 0, 0, 0), (0, 0, 0.4, 0), (2, 2, 1.2, 1.2))),
    ("energy_kwh", stored((2, 0, 0, 0), (0, 0, 0.5, 0), (2, 2, 1, 1.1))),  # from nowhere
    ("energy_kwh", stored((2, 0, 0, 0), (0, 0, 1, 0), (2, 2, 0, 0))),
    ("energy_kwh", stored((2, 2, 2, 2), (0, 0, 0, 0), (2, 3, 4, 5))),  # more than it can hold
    ("targets[0]", stored((0, 0, 0, 0), (0, 0, 0, 0), (1, 1, 1, 1))),
    ("targets[0]", stored((2, 2, 0, 0), (0, 0, 0, 0), (2, 3, 3, 3))),
]
SOFT = replace(STORE, breach_price_per_kwh=1.0)
SOFT_FAULTS = [
    ("energy_kwh", stored((2, 2, 2, 2), (0, 0, 0, 0), (2, 3, 4, 5))),  # more than it can hold
    ("energy_kwh", stored((2, 0, 0, 0), (0, 0, 1.5, 0), (2, 2, -1, -1))),
]

TABLE = [
    (storage.judge, STORE, MOVED, STORE_FAULTS),
    (storage.judge, SOFT, MOVED, SOFT_FAULTS),
    (vehicle.judge, CAR, DRIVEN, CAR_FAULTS),
    (swapping.judge, STATION, SWAPPED, STATION_FAULTS),
    (appliance.judge, WASHER, WASHED, WASHER_FAULTS),
    (appliance.judge, RESTED, replace(WASHED, power_kw=row(0, 2, 1, 0)), RESTED_FAULTS),
    (appliance.judge, PUMP, PUMPED, PUMP_FAULTS),
    (appliance.judge, DRYER, DRIED, DRYER_FAULTS),
    (unit.judge, ENGINE, RAN, ENGINE_FAULTS),
    (unit.judge, REST, UnitPlan(**running(0, 2, 2, 2)), REST_FAULTS),
    (heat.judge, HARD_BUS, BusPlan(dumped_kw=row(0, 0), unmet_kw=row(0, 0)), HARD_BUS_FAULTS),
    (heat.judge, BUS, BusPlan(dumped_kw=row(0, 0, 0, 0), unmet_kw=row(0, 1, 0, 0)), BUS_FAULTS),
    (room.judge, ROOM, WARM, ROOM_FAULTS),
    (room.judge, CHILLED, MILD, CHILLED_FAULTS),
]


def hours(plan):
    first = next(iter(vars_of(plan).values()))
    return np.ones(first.shape[-1])


def vars_of(plan):
    return {
        name: getattr(plan, name)
        for name in plan.__dataclass_fields__
        if isinstance(getattr(plan, name), np.ndarray)
    }


@pytest.mark.parametrize(("judge", "device", "plan", "faults"), TABLE)
def test_a_good_plan_breaks_nothing(judge, device, plan, faults):
    assert faults
    assert judged(judge, device, plan, hours(plan)).violations == []


@pytest.mark.parametrize(
    ("judge", "device", "plan", "rule", "fault"),
    [
        (judge, device, plan, rule, fault)
        for judge, device, plan, faults in TABLE
        for rule, fault in faults
    ],
)
def test_a_planted_fault_is_found(judge, device, plan, rule, fault):
    sheet = judged(judge, device, replace(plan, **fault), hours(plan))
    assert any(rule in violation.path for violation in sheet.violations), sheet.violations


def test_the_costs_of_a_vehicle_are_what_it_wears_misses_and_buys_on_the_road():
    car = replace(CAR, wear_cost_per_kwh=0.1, end_value_per_kwh=0.2)
    costs = judged(vehicle.judge, car, DRIVEN).costs
    moved = 1.5 + 0.5 + 1.0
    assert costs[None, "wear"] == pytest.approx(0.1 * moved)
    assert costs[None, "end value"] == pytest.approx(-0.2 * 1.5)
    assert costs[None, "breach"] == pytest.approx(0.5)
    assert costs[None, "public charging"] == pytest.approx(0.4 * 0.5)


def test_breaches_are_told_with_their_amounts():
    found = judged(vehicle.judge, CAR, DRIVEN).breaches
    assert [(each.path, each.unit, each.amount.tolist(), each.cost) for each in found] == [
        ("x.sessions[1].wanted_kwh", "kWh", [0.5], 0.5)
    ]
    cold = replace(ROOM, breach_price_per_k_h=2.0, temperature_min_c=row(0, 24, 0, 0))
    found = judged(room.judge, cold, WARM).breaches
    assert [(each.path, each.unit, each.cost) for each in found] == [
        ("x.temperature_min_c", "K h", 2.0)
    ]


def test_a_room_forgets_the_cold_exponentially_however_long_the_steps_are():
    cooling = make.room(3, loss=0.5, low=-50, gains=0.0)
    left = [20 * exp(-0.5 * h) for h in (0.5, 2.5, 3.5)]
    plan = RoomPlan(heating_kw=row(0, 0, 0), cooling_kw=row(0, 0, 0), temperature_c=row(*left))
    assert judged(room.judge, cooling, plan, (0.5, 2.0, 1.0)).violations == []


def test_what_runs_gives_reserve_and_what_stands_still_gives_none():
    spare = judged(unit.judge, ENGINE, RAN).spare_kw
    assert spare.tolist() == [0.0, 1.0, 0.5, 1.0]


def test_a_store_gives_in_reserve_what_it_holds_at_both_ends_of_an_hour():
    """It keeps its floor, and gives at most its power besides what it gives already."""
    everywhere = Island(intervals=np.ones(4, np.bool_), reserve_kw=np.ones(4), reserve_h=0.25)
    held = row(0.5, 1.5, 0.5, 0.5) * 0.5 / 0.25
    room = row(2 + 2, 2, 2 - 0.5, 2)
    spare = judged(storage.judge, STORE, MOVED, reserve=everywhere).spare_kw
    assert spare.tolist() == np.minimum(held, room).tolist()
    at_once = replace(everywhere, reserve_h=0.0)
    assert judged(storage.judge, STORE, MOVED, reserve=at_once).spare_kw.tolist() == room.tolist()
    tank = replace(STORE, bus="heat")
    assert not judged(storage.judge, tank, MOVED, reserve=everywhere).spare_kw.any()


def test_heat_that_nobody_takes_is_seen():
    problem = make.with_units([0.3], make.boiler(1), heat=3)
    schedule = solve(problem).schedule
    assert violations(problem, schedule) == []
    more = UnitPlan(on=row(1), input_kw=row(4), electricity_kw=row(0), heat_kw=row(4))
    wasted = replace(schedule, units=(more,), import_kw=row(4))
    assert [each.path for each in violations(problem, wasted)] == ["balance of heat[0]"]
    roomy = replace(problem, buses=(replace(problem.buses[0], dump=True),))
    dumped = replace(wasted, buses=(BusPlan(dumped_kw=row(1), unmet_kw=row(0)),))
    assert violations(roomy, dumped) == []


def test_a_long_run_is_judged_without_a_table_of_its_steps_by_intervals():
    hours = np.random.default_rng(1).uniform(0.1, 1.0, 3_000)
    washer = make.shiftable(np.arange(1_500) % 7, latest=3_000, step_h=0.37)
    horizon = Horizon(start=START, step_h=hours)
    tracemalloc.start()
    try:
        plan = appliance.idle(horizon, washer, {})
        found = judged(appliance.judge, washer, plan, hours)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4e6  # a table would take 36 MB
    assert found.violations == []
    assert plan.power_kw == pytest.approx(washer.run_kw(horizon, 0))
