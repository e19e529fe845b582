"""Requests for sites with devices of every kind."""

import pytest
from google.protobuf.json_format import ParseDict

from loadloom.engine.answers.dispatch import answer
from loadloom.engine.convert import dispatch as convert
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin
from loadloom.v1 import dispatch_pb2 as pb

COUNT = 6
LIMITS = Limits(points=10_000, solve_seconds=10.0)
UNITS = ("generators", "combined_heat_and_powers", "boilers", "heat_pumps", "chillers")


def series(*values: float) -> dict:
    return {"values": list(values)}


ON_OFF = {
    "start_cost": 0.2,
    "min_on_h": 1,
    "min_off_h": 1,
    "most_starts": 4,
    "initial_h": 3,
}
FUEL = {"price_per_kwh": series(0.06), "carbon_kg_per_kwh": 0.2}
RUNNING = {**ON_OFF, "initially_on": True}
RAMP = {"limit_kw_per_h": 20, "initial_power_kw": 2}

METER = {
    "buy_price_per_kwh": series(0.3, 0.1, 0.2, 0.4, 0.15, 0.3),
    "sell_price_per_kwh": series(0.05),
    "import_limit_kw": series(60),
    "export_limit_kw": series(40),
    "currency_code": "EUR",
    "import_breach_price_per_kwh": 3,
    "export_breach_price_per_kwh": 2,
    "demand_charges": [
        {
            "name": "peak",
            "active": series(1, 1, 0, 1, 1, 1),
            "price_per_kw": 0.5,
            "reached_peak_kw": 2,
            "tiers": [{"from_kw": 20, "price_per_kw": 1}],
        }
    ],
    "carbon": {"intensity_kg_per_kwh": series(0.3), "price_per_kg": 0.05, "cap_kg": 500},
    "commitment": {
        "committed_kw": series(5),
        "more_price_per_kwh": series(0.02),
        "less_price_per_kwh": series(0.01),
    },
    "island": {
        "off_grid": series(0, 0, 0, 0, 1, 0),
        "reserve_kw": series(0.5),
        "reserve_h": 0.5,
    },
    "circuits": [
        {"name": "garage", "import_limit_kw": series(30), "export_limit_kw": series(30)},
        {
            "name": "posts",
            "parent": "garage",
            "devices": ["car"],
            "import_limit_kw": series(11),
            "export_limit_kw": series(8),
            "breach_price_per_kwh": 1,
        },
    ],
}

SITE = {
    "name": "everything",
    "warm_start_key": "everything",
    "meter": METER,
    "loads": [
        {
            "name": "hall",
            "power_kw": series(3),
            "shed_price_per_kwh": 2,
            "shed_share": 0.5,
        }
    ],
    "photovoltaics": [{"name": "roof", "power_kw": series(4), "curtailable": True}],
    "wind_turbines": [{"name": "turbine", "power_kw": series(2), "curtailable": True}],
    "storages": [
        {
            "name": "battery",
            "energy_min_kwh": series(1),
            "energy_max_kwh": series(20),
            "initial_energy_kwh": 8,
            "charge_limit_kw": series(8),
            "discharge_limit_kw": series(8),
            "charge_efficiency": 0.95,
            "discharge_efficiency": 0.9,
            "wear_cost_per_kwh": 0.01,
            "end_value_per_kwh": 0.02,
            "targets": [{"time": "2024-06-01T06:00:00Z", "min_kwh": 4, "max_kwh": 18}],
            "breach_price_per_kwh": 5,
            "charge_min_kw": 0.5,
            "discharge_min_kw": 0.5,
            "wear_steps": [
                {"from_depth": 0, "cost_per_kwh": 0.01},
                {"from_depth": 0.5, "cost_per_kwh": 0.03},
            ],
        },
        {
            "name": "tank",
            "energy_max_kwh": series(10),
            "initial_energy_kwh": 3,
            "charge_limit_kw": series(10),
            "discharge_limit_kw": series(10),
            "self_discharge_per_h": 0.01,
            "heat_bus": "heat",
        },
    ],
    "vehicles": [
        {
            "name": "car",
            "capacity_kwh": 40,
            "initial_energy_kwh": 20,
            "charge_limit_kw": series(11),
            "discharge_limit_kw": series(5),
            "charge_min_kw": 1.4,
            "charge_efficiency": 0.93,
            "discharge_efficiency": 0.92,
            "wear_cost_per_kwh": 0.01,
            "end_value_per_kwh": 0.02,
            "energy_min_kwh": 2,
            "public_price_per_kwh": 0.6,
            "sessions": [
                {"departure_time": "2024-06-01T02:00:00Z", "wanted_kwh": 25},
                {
                    "arrival_time": "2024-06-01T03:00:00Z",
                    "departure_time": "2024-06-01T06:00:00Z",
                    "consumption_kwh": 8,
                    "wanted_kwh": 24,
                    "breach_price_per_kwh": 1,
                },
            ],
        }
    ],
    "swap_stations": [
        {
            "name": "docks",
            "capacity_kwh": 10,
            "initial_energy_kwh": [10, 4, 2],
            "slot_count": 2,
            "slot_limit_kw": 4,
            "charge_efficiency": 0.95,
            "bookings": [
                {"time": "2024-06-01T02:00:00Z", "returned_kwh": [1]},
                {"time": "2024-06-01T05:00:00Z", "returned_kwh": [2]},
            ],
            "missed_swap_price": 20,
            "end_value_per_kwh": 0.03,
        }
    ],
    "appliances": [
        {
            "name": "washer",
            "earliest_time": "2024-06-01T01:00:00Z",
            "latest_time": "2024-06-01T05:00:00Z",
            "fixed": {
                "profile_kw": [2, 0.5],
                "profile_step_h": 0.5,
                "run_count": 2,
                "carried_h": 0.5,
                "breach_price_per_run": 4,
            },
        },
        {
            "name": "pump",
            "earliest_time": "2024-06-01T01:00:00Z",
            "latest_time": "2024-06-01T06:00:00Z",
            "interruptible": {
                "power_kw": 1,
                "running_min_h": 2,
                "running_max_h": 4,
                "breach_price_per_h": 2,
                "on_off": ON_OFF,
            },
        },
    ],
    "generators": [
        {
            "name": "diesel",
            "fuel": FUEL,
            "power_limit_kw": series(10),
            "power_min_kw": 2,
            "efficiency": 0.4,
            "on_off": RUNNING,
            "ramp": RAMP,
        }
    ],
    "combined_heat_and_powers": [
        {
            "name": "engine",
            "fuel": FUEL,
            "power_limit_kw": series(5),
            "power_min_kw": 2,
            "electric_efficiency": 0.4,
            "heat_efficiency": 0.5,
            "heat_bus": "heat",
            "on_off": RUNNING,
            "ramp": RAMP,
        }
    ],
    "boilers": [
        {
            "name": "gas",
            "fuel": FUEL,
            "heat_limit_kw": series(12),
            "heat_min_kw": 1,
            "efficiency": 0.9,
            "heat_bus": "heat",
            "on_off": RUNNING,
            "ramp": RAMP,
        },
        {"name": "rod", "heat_limit_kw": series(6), "efficiency": 0.99, "heat_bus": "heat"},
    ],
    "heat_pumps": [
        {
            "name": "heat pump",
            "power_limit_kw": series(3),
            "power_min_kw": 0.5,
            "coefficient_of_performance": series(3),
            "heat_bus": "heat",
            "on_off": RUNNING,
            "ramp": RAMP,
        }
    ],
    "chillers": [
        {
            "name": "chiller",
            "power_limit_kw": series(4),
            "power_min_kw": 0.2,
            "energy_efficiency_ratio": series(4),
            "heat_bus": "cold",
            "on_off": RUNNING,
            "ramp": RAMP,
        }
    ],
    "heat_buses": [
        {
            "name": "heat",
            "demand_kw": series(3),
            "surplus_allowed": True,
            "breach_price_per_kwh": 3,
        },
        {"name": "cold", "demand_kw": series(1), "surplus_allowed": True},
    ],
    "rooms": [
        {
            "name": "office",
            "heat_bus": "heat",
            "cold_bus": "cold",
            "heating_limit_kw": 8,
            "cooling_limit_kw": 8,
            "capacity_kwh_per_k": 4,
            "loss_kw_per_k": 0.2,
            "outdoor_temperature_c": series(8),
            "gains_kw": series(0.5),
            "temperature_min_c": series(19),
            "temperature_max_c": series(23),
            "initial_temperature_c": 20,
            "breach_price_per_k_h": 1,
        }
    ],
    "scenarios": [
        {"name": "as told", "probability": 0.7},
        {
            "name": "dear",
            "probability": 0.3,
            "buy_price_per_kwh": series(0.5),
            "sell_price_per_kwh": series(0.02),
            "loads": [{"name": "hall", "power_kw": series(4)}],
            "photovoltaics": [{"name": "roof", "power_kw": series(1)}],
            "wind_turbines": [{"name": "turbine", "power_kw": series(1)}],
        },
    ],
    "risk": {"weight": 0.3, "confidence": 0.6},
}


def everything() -> pb.PlanDispatchRequest:
    """The request for a site that has every device, with every field of each."""
    grid = {"start_time": "2024-06-01T00:00:00Z", "step": "3600s", "count": COUNT}
    return ParseDict({"grid": grid, "site": SITE}, pb.PlanDispatchRequest())


def refusal(request: pb.PlanDispatchRequest) -> Refusal:
    with pytest.raises(Refusal) as raised:
        convert.parse(request, LIMITS)
    return raised.value


def paths_of(request: pb.PlanDispatchRequest) -> dict[str, str]:
    return {violation.path: violation.message for violation in refusal(request).violations}


def plan_of(request: pb.PlanDispatchRequest) -> pb.DispatchPlan:
    task = convert.parse(request, LIMITS).within(LIMITS.solve_seconds)
    return convert.render(task, answer(task), Origin(digest="", queue_s=0.0)).plan
