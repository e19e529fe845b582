"""What is wrong with a device is told by the path of the field, all at once."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.dispatch.devices.swapping import Booking
from loadloom.models.dispatch.switching import Switching
from tests.models.dispatch import device_sites as make
from tests.models.dispatch.cases import site

PRICES = [0.3, 0.1, 0.4, 0.2]
BASE = replace(
    make.with_units(PRICES, make.boiler(4), heat=1.0),
    vehicles=(make.vehicle(4, sessions=[make.stay(0, 2, 1), make.stay(3, 4)]),),
    swappings=(make.station([1], [(1, [0.5]), (3, [0])]),),
    appliances=(make.shiftable([1], latest=4), replace(make.interruptible(1, latest=4))),
    rooms=(make.room(4, heat_bus="heat"),),
)
NAN, MINUS, SHORT = np.full(4, np.nan), np.full(4, -1.0), np.zeros(3)

FAULTS = [
    ("vehicles", 0, "capacity_kwh", -1.0, "capacity_kwh"),
    ("vehicles", 0, "initial_energy_kwh", 5.0, "initial_energy_kwh"),
    ("vehicles", 0, "energy_min_kwh", 0.5, "initial_energy_kwh"),
    ("vehicles", 0, "charge_limit_kw", NAN, "charge_limit_kw[0]"),
    ("vehicles", 0, "discharge_limit_kw", SHORT, "discharge_limit_kw"),
    ("vehicles", 0, "charge_least_kw", -1.0, "charge_least_kw"),
    ("vehicles", 0, "charge_efficiency", 1.1, "charge_efficiency"),
    ("vehicles", 0, "discharge_efficiency", 0.0, "discharge_efficiency"),
    ("vehicles", 0, "wear_cost_per_kwh", -1.0, "wear_cost_per_kwh"),
    ("vehicles", 0, "end_value_per_kwh", np.nan, "end_value_per_kwh"),
    ("vehicles", 0, "public_price_per_kwh", -1.0, "public_price_per_kwh"),
    ("vehicles", 0, "sessions", (make.stay(2, 2),), "sessions[0]"),
    ("vehicles", 0, "sessions", (make.stay(0, 5),), "sessions[0]"),
    ("vehicles", 0, "sessions", (make.stay(-1, 5),), "sessions[0]"),
    ("vehicles", 0, "sessions", (make.stay(0, 2), make.stay(2, 3)), "sessions[1]"),
    ("vehicles", 0, "sessions", (make.stay(0, 2, 9),), "sessions[0].wanted_kwh"),
    ("vehicles", 0, "sessions", (make.stay(0, 2, driven=1),), "sessions[0].consumption_kwh"),
    ("vehicles", 0, "sessions", (make.stay(0, 2, price=-1),), "sessions[0].breach_price_per_kwh"),
    ("swappings", 0, "initial_energy_kwh", (), "initial_energy_kwh"),
    ("swappings", 0, "initial_energy_kwh", (2.0,), "initial_energy_kwh[0]"),
    ("swappings", 0, "slot_count", 0, "slot_count"),
    ("swappings", 0, "slot_limit_kw", -1.0, "slot_limit_kw"),
    ("swappings", 0, "efficiency", 0.0, "efficiency"),
    ("swappings", 0, "missed_price", -1.0, "missed_price"),
    ("swappings", 0, "capacity_kwh", np.nan, "capacity_kwh"),
    ("swappings", 0, "bookings", (Booking(boundary=5, returned_kwh=(0.0,)),), "bookings[0]"),
    ("swappings", 0, "bookings", (Booking(boundary=1, returned_kwh=(2.0,)),), "returned_kwh[0]"),
    (
        "swappings",
        0,
        "bookings",
        (Booking(boundary=2, returned_kwh=()), Booking(boundary=1, returned_kwh=())),
        "bookings[1]",
    ),
    ("appliances", 0, "profile_kw", np.zeros(0), "profile_kw"),
    ("appliances", 0, "profile_kw", MINUS, "profile_kw[0]"),
    ("appliances", 0, "profile_step_h", 0.0, "profile_step_h"),
    ("appliances", 0, "run_count", -1, "run_count"),
    ("appliances", 0, "carried_h", 2.0, "carried_h"),
    ("appliances", 0, "latest", 5, "earliest"),
    ("appliances", 0, "earliest", 4, "earliest"),
    ("appliances", 0, "profile_step_h", 5.0, "latest"),
    ("appliances", 0, "breach_price_per_run", np.nan, "breach_price_per_run"),
    ("appliances", 1, "power_kw", 0.0, "power_kw"),
    ("appliances", 1, "running_min_h", 2.0, "running_min_h"),
    ("appliances", 1, "running_max_h", -1.0, "running_max_h"),
    ("appliances", 1, "breach_price_per_h", -1.0, "breach_price_per_h"),
    ("appliances", 1, "switching", Switching(least_on_h=-1), "switching.least_on_h"),
    ("appliances", 1, "switching", Switching(least_off_h=np.nan), "switching.least_off_h"),
    ("appliances", 1, "switching", Switching(start_cost=-1), "switching.start_cost"),
    ("appliances", 1, "switching", Switching(initial_h=-1), "switching.initial_h"),
    ("appliances", 1, "switching", Switching(most_starts=-1), "switching.most_starts"),
    (
        "appliances",
        1,
        "switching",
        Switching(initially_on=True, least_on_h=6, initial_h=1),
        "earliest",
    ),
    ("units", 0, "input_limit_kw", NAN, "input_limit_kw[0]"),
    ("units", 0, "input_least_kw", SHORT, "input_least_kw"),
    ("units", 0, "input_cost_per_kwh", NAN, "input_cost_per_kwh[0]"),
    ("units", 0, "heat_per_input", MINUS, "heat_per_input[0]"),
    ("units", 0, "electricity_per_input", np.ones(4), "electricity_per_input"),
    ("units", 0, "bus", "cold", "bus"),
    ("units", 0, "bus", "", "bus"),
    ("units", 0, "carbon_kg_per_kwh", -1.0, "carbon_kg_per_kwh"),
    ("units", 0, "ramp_kw_per_h", np.nan, "ramp_kw_per_h"),
    ("units", 0, "initial_input_kw", -1.0, "initial_input_kw"),
    ("units", 0, "rated", 0.0, "rated"),
    ("buses", 0, "demand_kw", MINUS, "demand_kw[0]"),
    ("buses", 0, "breach_price_per_kwh", -1.0, "breach_price_per_kwh"),
    ("rooms", 0, "heat_bus", "cold", "heat_bus"),
    ("rooms", 0, "cold_bus", "heat", "cold_bus"),
    ("rooms", 0, "temperature_min_c", np.full(4, 30.0), "temperature_min_c[0]"),
    ("rooms", 0, "outdoor_temperature_c", np.full(4, -300.0), "outdoor_temperature_c[0]"),
    ("rooms", 0, "gains_kw", NAN, "gains_kw[0]"),
    ("rooms", 0, "capacity_kwh_per_k", 0.0, "capacity_kwh_per_k"),
    ("rooms", 0, "loss_kw_per_k", -1.0, "loss_kw_per_k"),
    ("rooms", 0, "initial_temperature_c", np.nan, "initial_temperature_c"),
    ("rooms", 0, "heating_limit_kw", -1.0, "heating_limit_kw"),
    ("rooms", 0, "cooling_limit_kw", np.nan, "cooling_limit_kw"),
    ("rooms", 0, "breach_price_per_k_h", -1.0, "breach_price_per_k_h"),
]


@pytest.mark.parametrize(
    ("family", "index", "name", "value", "path"),
    FAULTS,
    ids=[f"{family}.{path}-{i}" for i, (family, _, _, _, path) in enumerate(FAULTS)],
)
def test_a_fault_is_told_by_its_path(family, index, name, value, path):
    devices = list(getattr(BASE, family))
    devices[index] = replace(devices[index], **{name: value})
    with pytest.raises(InvalidProblem) as caught:
        replace(BASE, **{family: tuple(devices)})
    paths = [violation.path for violation in caught.value.violations]
    assert any(each.startswith(f"{family}[{index}]") and each.endswith(path) for each in paths)


def test_all_faults_are_told_at_once():
    with pytest.raises(InvalidProblem) as caught:
        replace(
            site(PRICES),
            vehicles=(make.vehicle(4, capacity=-1.0, sessions=[]),),
            units=(make.unit(4, heat=1.0), make.unit(4, limit=np.nan)),
        )
    paths = {violation.path for violation in caught.value.violations}
    assert paths == {
        "vehicles[0].capacity_kwh",
        "units[0].bus",
        "units[1].name",
        "units[1].input_limit_kw[0]",
    }
