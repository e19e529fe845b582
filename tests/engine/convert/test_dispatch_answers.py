"""What plans tell beside schedules: limits that gave way, values of energy, peaks."""

import pytest
from google.protobuf.json_format import ParseDict

from loadloom.v1 import dispatch_pb2 as pb
from tests.engine.dispatch_sites import everything, paths_of, plan_of, series

GRID = {"start_time": "2024-06-01T00:00:00Z", "step": "3600s", "count": 3}
METER = {"buy_price_per_kwh": series(0.1), "currency_code": "EUR"}
LOAD = {"name": "load", "power_kw": series(1, 5, 1)}
STORE = {
    "name": "store",
    "energy_max_kwh": series(10),
    "charge_limit_kw": series(1),
    "discharge_limit_kw": series(1),
    "breach_price_per_kwh": 5,
}
BUS = {"name": "heat", "demand_kw": series(0)}


def metered(**rules):
    return {"meter": METER | rules}


SITES = {
    # Two of five kW are beyond the connection, at 2 each.
    "meter.import_limit_kw": (
        metered(import_limit_kw=series(3), import_breach_price_per_kwh=2) | {"loads": [LOAD]},
        ("kWh", [1], [2.0], 4.0),
    ),
    "meter.export_limit_kw": (
        metered(export_limit_kw=series(1), export_breach_price_per_kwh=0.5)
        | {"photovoltaics": [{"name": "roof", "power_kw": series(0, 0, 4)}]},
        ("kWh", [2], [3.0], 1.5),
    ),
    "meter.circuits[0].import_limit_kw": (
        metered(
            circuits=[
                {
                    "name": "hall",
                    "devices": ["load"],
                    "import_limit_kw": series(4),
                    "breach_price_per_kwh": 3,
                }
            ]
        )
        | {"loads": [LOAD]},
        ("kWh", [1], [1.0], 3.0),
    ),
    # A kW fills two of four kWh by two o'clock, and three by three.
    "storages[0].targets[0]": (
        metered()
        | {"storages": [STORE | {"targets": [{"time": "2024-06-01T02:00:00Z", "min_kwh": 4}]}]},
        ("kWh", [1], [2.0], 10.0),
    ),
    "storages[0].energy_min_kwh": (
        metered() | {"storages": [STORE | {"energy_min_kwh": series(0, 0, 4)}]},
        ("kWh", [2], [1.0], 5.0),
    ),
    "vehicles[0].sessions[0].wanted_kwh": (
        metered()
        | {
            "vehicles": [
                {
                    "name": "car",
                    "capacity_kwh": 10,
                    "charge_limit_kw": series(1),
                    "sessions": [
                        {
                            "departure_time": "2024-06-01T02:00:00Z",
                            "wanted_kwh": 5,
                            "breach_price_per_kwh": 1,
                        }
                    ],
                }
            ]
        },
        ("kWh", [1], [3.0], 3.0),
    ),
    "swap_stations[0].bookings": (
        metered()
        | {
            "swap_stations": [
                {
                    "name": "docks",
                    "capacity_kwh": 5,
                    "initial_energy_kwh": [0],
                    "slot_count": 1,
                    "slot_limit_kw": 1,
                    "bookings": [{"time": "2024-06-01T02:00:00Z", "returned_kwh": [0]}],
                    "missed_swap_price": 20,
                }
            ]
        },
        ("swaps", [1], [1.0], 20.0),
    ),
    # Running costs 0.2, and not to run 0.05.
    "appliances[0].fixed.run_count": (
        metered()
        | {
            "appliances": [
                {
                    "name": "washer",
                    "fixed": {
                        "profile_kw": [2],
                        "profile_step_h": 1,
                        "breach_price_per_run": 0.05,
                    },
                }
            ]
        },
        ("runs", [-1], [1.0], 0.05),
    ),
    "appliances[0].interruptible.running_min_h": (
        metered()
        | {
            "appliances": [
                {
                    "name": "pump",
                    "interruptible": {
                        "power_kw": 1,
                        "running_min_h": 2,
                        "breach_price_per_h": 0.05,
                    },
                }
            ]
        },
        ("h", [-1], [2.0], 0.1),
    ),
    "heat_buses[0].demand_kw": (
        metered()
        | {
            "heat_buses": [BUS | {"demand_kw": series(3, 5, 4), "breach_price_per_kwh": 2}],
            "boilers": [{"name": "rod", "heat_limit_kw": series(3.5), "heat_bus": "heat"}],
        },
        ("kWh", [1, 2], [1.5, 0.5], 4.0),
    ),
    # Nothing warms the room, which stays at 20 degrees.
    "rooms[0].temperature_min_c": (
        metered()
        | {
            "heat_buses": [BUS],
            "rooms": [
                {
                    "name": "office",
                    "heat_bus": "heat",
                    "capacity_kwh_per_k": 1,
                    "outdoor_temperature_c": series(20),
                    "temperature_min_c": series(20, 20, 21.5),
                    "temperature_max_c": series(25),
                    "initial_temperature_c": 20,
                    "breach_price_per_k_h": 2,
                }
            ],
        },
        ("K h", [2], [1.5], 3.0),
    ),
}
"""By the limit's path: the site, and the unit, intervals, amounts and cost of its breach."""


def request_of(site: dict) -> pb.PlanDispatchRequest:
    return ParseDict({"grid": GRID, "site": {"name": "site"} | site}, pb.PlanDispatchRequest())


@pytest.mark.parametrize("path", SITES)
def test_a_breach_tells_its_limit_time_amount_and_cost(path):
    site, (unit, intervals, amounts, cost) = SITES[path]
    plan = plan_of(request_of(site))
    (told,) = plan.breaches
    assert (told.rule, told.unit, list(told.intervals)) == (f"site.{path}", unit, intervals)
    assert list(told.amounts) == pytest.approx(amounts)
    assert told.cost == pytest.approx(cost)
    assert {item.name: item.amount for item in plan.costs}["breach"] == pytest.approx(cost)
    assert told.text.startswith(f"site.{path} gives way by {sum(amounts):.4g} {unit}")
    when = f" between 0{intervals[0]}:00 and 0{intervals[-1] + 1}:00"
    assert (when in told.text) == (intervals[0] >= 0)


def test_a_breach_in_one_scenario_names_it():
    site, _ = SITES["meter.import_limit_kw"]
    calm = {"name": "calm", "probability": 0.75, "loads": [LOAD | {"power_kw": series(1)}]}
    storm = {"name": "storm", "probability": 0.25}
    plan = plan_of(request_of(site | {"scenarios": [calm, storm]}))
    assert [(told.scenario, list(told.intervals)) for told in plan.breaches] == [("storm", [1])]
    assert {item.name: item.amount for item in plan.costs}["breach"] == pytest.approx(0.25 * 4.0)


def test_what_keeps_its_limits_breaches_none():
    site, _ = SITES["meter.import_limit_kw"]
    assert not plan_of(request_of(site | {"loads": [LOAD | {"power_kw": series(3)}]})).breaches


def test_values_are_told_for_all_that_holds_energy():
    request = everything()
    request.detail = pb.PLAN_DETAIL_VALUES
    site, values = request.site, plan_of(request).values
    for kind in ("storages", "vehicles", "swap_stations", "rooms", "heat_buses"):
        told = [device.name for device in getattr(values, kind)]
        assert told == [device.name for device in getattr(site, kind)]
    (docks,) = values.swap_stations
    assert docks.battery_stored_value_per_kwh.rows == 3
    assert len(docks.battery_stored_value_per_kwh.values.values) == 3 * request.grid.count
    assert len(values.rooms[0].stored_value_per_kwh.values) == request.grid.count


@pytest.mark.parametrize(
    ("active", "peaks"),
    [((1, 1, 1), [(5.0, 1)]), ((1, 0, 1), [(1.0, 0)]), ((0, 0, 1), [(1.0, 2)]), ((0, 0, 0), [])],
)
def test_a_peak_is_one_of_the_hours_that_its_charge_looks_at(active, peaks):
    charge = {"name": "peak", "active": series(*active), "price_per_kw": 1}
    plan = plan_of(request_of(metered(demand_charges=[charge]) | {"loads": [LOAD]}))
    assert [(peak.peak_kw, peak.interval) for peak in plan.demand_peaks] == peaks


def test_nothing_drawn_is_a_peak_in_the_first_hour_that_counts():
    charge = {"name": "peak", "active": series(0, 1, 1), "price_per_kw": 1}
    (peak,) = plan_of(request_of(metered(demand_charges=[charge]))).demand_peaks
    assert (peak.peak_kw, peak.interval) == (0.0, 1)


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("2020-05-15T02:00:00Z", "before the horizon begins at 2024-06-01 00:00:00+00:00"),
        ("2024-06-02T00:00:00Z", "after the horizon ends at 2024-06-01 03:00:00+00:00"),
        ("2024-06-01T01:07:00Z", "must be at the start or end of an interval of the grid"),
    ],
)
def test_a_time_off_the_grid_is_told_with_where_it_lies(time, words):
    site, _ = SITES["vehicles[0].sessions[0].wanted_kwh"]
    request = request_of(site)
    request.site.vehicles[0].sessions[0].departure_time.FromJsonString(time)
    told = paths_of(request)["site.vehicles[0].sessions[0].departure_time"]
    assert told.startswith(f"is {time[:10]} {time[11:16]}")
    assert words in told
