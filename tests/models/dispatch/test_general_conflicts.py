"""Sites of any devices without a plan are told the rule that was planted, and a cure that cures."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.dispatch.conflicts import conflicts
from loadloom.models.dispatch.devices.appliance import InterruptibleAppliance, ShiftableAppliance
from loadloom.models.dispatch.devices.heat import HeatBus
from loadloom.models.dispatch.devices.meter import Carbon, Island
from loadloom.models.dispatch.devices.storage import DepthWear, EnergyTarget
from loadloom.models.dispatch.devices.swapping import Booking, SwappingStation
from loadloom.models.dispatch.devices.unit import Unit
from loadloom.models.dispatch.devices.vehicle import Session, Vehicle
from loadloom.models.dispatch.scenarios import Scenario
from loadloom.models.dispatch.solve import solve
from loadloom.solvers.termination import Reason
from tests.models.dispatch.meter_cases import charge, circuit, with_meter
from tests.models.dispatch.sites import battery, site


def priced(problem):
    """The site with a demand charge that costs nothing, so that only the general road takes it."""
    free = charge((0.0, 0.0), count=problem.horizon.count)
    return with_meter(problem, demand_charges=free)


def islanded(problem, *hours, reserve=0.0):
    mask = np.zeros(problem.horizon.count, np.bool_)
    mask[list(hours)] = True
    reserve_kw = np.full(mask.size, reserve)
    island = Island(intervals=mask, reserve_kw=reserve_kw, reserve_h=1.0)
    return with_meter(problem, island=island)


def target(least):
    return (EnergyTarget(interval=1, min_kwh=least, max_kwh=np.inf),)


def half_shed():
    problem = site(buy=[0.1], load=[9.0], import_limit=3.0)
    load = replace(problem.loads[0], shed_price_per_kwh=2.0, shed_share=0.5)
    return replace(problem, loads=(load,))


def stormy():
    """A scenario in which the load is beyond the connection."""
    problem = site(buy=[0.1, 0.1], load=[2.0, 2.0], import_limit=3.0)
    storm = Scenario(name="storm", probability=0.5, loads_kw={"load": np.array([2.0, 5.0])})
    return replace(problem, scenarios=(Scenario(name="calm", probability=0.5), storm))


def parked(*, wanted: float, charge: float, import_limit=np.inf):
    """A car that stays for two hours and must leave with so much."""
    car = Vehicle(
        name="car",
        capacity_kwh=60.0,
        initial_energy_kwh=0.0,
        charge_limit_kw=np.full(2, charge),
        discharge_limit_kw=np.zeros(2),
        charge_efficiency=0.9,
        sessions=(Session(arrival=0, departure=2, wanted_kwh=wanted),),
    )
    return replace(site(buy=[0.1] * 2, import_limit=import_limit), vehicles=(car,))


def heated(*, demand: list[float], pump_kw: float | None):
    """A bus with a demand, and a heat pump that makes three of one."""
    count = len(demand)
    pump = [] if pump_kw is None else [unit("pump", count, electric=True, limit=pump_kw, heat=3.0)]
    bus = HeatBus(name="heat", demand_kw=np.array(demand))
    return replace(site(buy=[0.1] * count), buses=(bus,), units=tuple(pump))


def unit(name, count, *, electric, limit, heat=0.0, power=0.0):
    return Unit(
        name=name,
        electric=electric,
        input_limit_kw=np.full(count, limit),
        input_least_kw=np.zeros(count),
        input_cost_per_kwh=np.zeros(count),
        electricity_per_input=np.full(count, power),
        heat_per_input=np.full(count, heat),
        bus="heat" if heat else "",
    )


def swapping():
    """One battery that charges 3.2 kWh in the two hours before it is to be handed over."""
    station = SwappingStation(
        name="station",
        capacity_kwh=10.0,
        initial_energy_kwh=(4.0,),
        slot_count=1,
        slot_limit_kw=2.0,
        efficiency=0.8,
        bookings=(Booking(boundary=2, returned_kwh=(5.0,)),),
    )
    return replace(site(buy=[0.1] * 3), swappings=(station,))


def drying():
    dryer = InterruptibleAppliance(
        name="dryer", power_kw=4.0, earliest=0, latest=1, running_min_h=1.0
    )
    return replace(site(buy=[0.1], import_limit=3.0), appliances=(dryer,))


def sunny():
    """A circuit that may give less than its plant does."""
    sun = replace(
        circuit("roof", "pv", limit=np.inf, count=2), export_limit_kw=np.array([9.0, 1.0])
    )
    return with_meter(site(buy=[0.1] * 2, pv=[4.0, 4.0]), circuits=(sun,))


PLANTED = {
    "car": (parked(wanted=30.0, charge=5.0), "site.vehicles[0].sessions[0].wanted_kwh", 21.0, 1),
    "car behind a small connection": (
        parked(wanted=10.0, charge=9.0, import_limit=3.0),
        "site.vehicles[0].sessions[0].wanted_kwh",
        4.6,
        1,
    ),
    "heat without a source": (
        heated(demand=[0.0, 2.0], pump_kw=None),
        "site.buses[0].demand_kw",
        2.0,
        1,
    ),
    "heat beyond the pump": (
        heated(demand=[3.0, 6.0], pump_kw=1.0),
        "site.units[0].input_limit_kw",
        1.0,
        1,
    ),
    "generator too small for an island": (
        replace(
            islanded(site(buy=[0.1] * 2, load=[1.0, 3.0]), 1),
            units=(unit("diesel", 2, electric=False, limit=4.0, power=0.5),),
        ),
        "site.units[0].input_limit_kw",
        2.0,
        1,
    ),
    "swap": (swapping(), "site.swappings[0].capacity_kwh", 2.8, 1),
    "appliance beyond the connection": (drying(), "site.meter.import_limit_kw", 1.0, 0),
    "export of a circuit": (sunny(), "site.meter.circuits[0].export_limit_kw", 3.0, 1),
    "import limit": (
        priced(site(buy=[0.1] * 3, load=[1.0, 5.0, 1.0], import_limit=3.0)),
        "site.meter.import_limit_kw",
        2.0,
        1,
    ),
    "export limit": (
        priced(site(buy=[0.1] * 2, pv=[0.0, 4.0], export_limit=1.0)),
        "site.meter.export_limit_kw",
        3.0,
        1,
    ),
    "import limit beside shedding": (half_shed(), "site.meter.import_limit_kw", 1.5, 0),
    "import limit in a scenario": (stormy(), "site.meter.import_limit_kw", 2.0, 1),
    "no grid": (
        islanded(site(buy=[0.1] * 3, load=[1.0, 2.0, 1.0]), 1),
        "site.meter.island.intervals",
        2.0,
        1,
    ),
    "no grid for surplus": (
        islanded(site(buy=[0.1] * 2, pv=[0.0, 2.0]), 1),
        "site.meter.island.intervals",
        2.0,
        1,
    ),
    "reserve": (
        islanded(site(battery(2, charge=3.0, initial=1.0), buy=[0.1] * 2), 0, reserve=9.0),
        "site.meter.island.reserve_kw",
        8.0,
        0,
    ),
    "reserve of a store that the sun fills later": (
        islanded(site(battery(2), buy=[0.1] * 2, pv=[5.0, 0.0]), 0, reserve=2.0),
        "site.meter.island.reserve_kw",
        2.0,
        0,
    ),
    "carbon cap": (
        with_meter(
            site(buy=[0.1] * 2, load=[2.0, 2.0]),
            carbon=Carbon(intensity_kg_per_kwh=np.ones(2), cap_kg=3.0),
        ),
        "site.meter.carbon.cap_kg",
        1.0,
        0,
    ),
    "circuit": (
        with_meter(
            site(buy=[0.1] * 2, load=[1.0, 4.0]),
            circuits=(circuit("house", "load", limit=3.0, count=2),),
        ),
        "site.meter.circuits[0].import_limit_kw",
        1.0,
        1,
    ),
    "circuit above": (
        with_meter(
            site(buy=[0.1] * 2, load=[1.0, 4.0]),
            circuits=(
                circuit("street", limit=2.0, count=2),
                circuit("house", "load", limit=9.0, count=2, parent="street"),
            ),
        ),
        "site.meter.circuits[0].import_limit_kw",
        2.0,
        1,
    ),
    "target": (
        priced(site(battery(2, charge=3.0, targets=target(8.0)), buy=[0.1] * 2)),
        "site.storages[0].targets[0]",
        2.0,
        1,
    ),
    "least energy": (
        priced(site(battery(2, charge=1.0, least=[0.0, 4.0], capacity=4.0), buy=[0.1] * 2)),
        "site.storages[0].energy_min_kwh",
        2.0,
        1,
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_planted_conflict_is_named(name):
    problem, rule, amount, interval = PLANTED[name]
    assert solve(problem).termination.reason is Reason.INFEASIBLE
    found = conflicts(problem)
    named = [conflict for conflict in found if conflict.rule == rule]
    assert named, found
    assert sum(conflict.amount for conflict in found) == pytest.approx(amount, abs=1e-5)
    assert {conflict.interval for conflict in named} == {interval}
    giving = [conflict for conflict in found if conflict.amount > 0.0]
    assert all(conflict.cure and "but up to" in conflict.what for conflict in giving)


def test_a_limit_that_a_reserve_rests_on_can_be_the_cure():
    # A generator of 5 kW and a load of 10, and 2 kW more in reserve.
    alone = islanded(site(buy=[0.1] * 2, load=[10.0, 10.0]), 0, 1, reserve=2.0)
    problem = replace(alone, units=(unit("diesel", 2, electric=False, limit=5.0, power=1.0),))
    giving = [conflict for conflict in conflicts(problem) if conflict.amount > 0.0]
    assert "site.units[0].input_limit_kw" in {conflict.rule for conflict in giving}
    assert "site.meter.island.intervals" not in {conflict.rule for conflict in giving}


def test_the_limit_of_a_store_with_a_least_power_is_named():
    store = battery(2, charge=2.0, least_charge_kw=1.0, targets=target(8.0))
    assert {conflict.rule for conflict in conflicts(site(store, buy=[0.1] * 2))} == {
        "site.storages[0].charge_limit_kw",
        "site.storages[0].targets[0]",
    }


def test_large_sites_have_their_own_sizes():
    """Far bounds come from the data: 20 GW are no more infeasible than 20 kW."""
    for scale in (1.0, 1e6):
        problem = priced(site(buy=[0.1], load=[20.0 * scale], import_limit=15.0 * scale))
        assert sum(each.amount for each in conflicts(problem)) == pytest.approx(5.0 * scale)
        roomy = priced(site(buy=[0.1], load=[20.0 * scale]))
        assert solve(roomy).termination.objective == pytest.approx(2.0 * scale)


def test_the_words_tell_rule_time_and_cure():
    problem, *_ = PLANTED["no grid"]
    (found,) = conflicts(problem)
    assert found.what == (
        "nothing can be drawn from 19:00 to 20:00, but up to 2 kW are needed, 2 kWh more in all"
    )
    assert found.cure == "let 2 kW be drawn from 19:00 to 20:00"
    assert (found.unit, found.peak) == ("kWh", pytest.approx(2.0))


@pytest.mark.parametrize("tiers", [((0.0, 0.1), (4.0, 1.0)), ((0.0, 1.0), (4.0, 0.1))])
def test_a_tariff_takes_no_part_in_a_conflict(tiers):
    """Also where its tiers fall, so that a row says that the cheap one comes last."""
    plain = parked(wanted=14.0, charge=5.0)
    found = conflicts(with_meter(plain, demand_charges=charge(*tiers, count=2)))
    assert found == conflicts(plain)
    assert {conflict.rule for conflict in found} == {
        "site.vehicles[0].charge_limit_kw",
        "site.vehicles[0].sessions[0].wanted_kwh",
    }


def test_wear_by_depth_takes_no_part_in_a_conflict():
    store = battery(2, capacity=6.0, targets=target(8.0))
    worn = replace(store, depth_wear=(DepthWear(from_share=0.0, cost_per_kwh=0.1),))
    found = conflicts(site(worn, buy=[0.1] * 2))
    assert found == conflicts(site(store, buy=[0.1] * 2))
    assert {conflict.rule for conflict in found} == {
        "site.storages[0].energy_max_kwh",
        "site.storages[0].targets[0]",
    }


def test_what_is_missing_is_told_to_the_digit():
    # 3 kW of heat take 1.2 kW at a ratio of 2.5.
    problem = heated(demand=[3.0], pump_kw=1.0)
    pump = replace(problem.units[0], heat_per_input=np.full(1, 2.5))
    told = {each.rule: each for each in conflicts(replace(problem, units=(pump,)))}
    limit = told["site.units[0].input_limit_kw"]
    assert limit.what.endswith("but up to 1.2 kW are needed, 0.2 kWh more in all")
    assert limit.cure.startswith("raise site.units[0].input_limit_kw by 0.2 kW from ")
    assert told["site.buses[0].demand_kw"].what == (
        "the demand of 'heat' must be met from 18:00 to 19:00"
    )


def test_one_run_is_told_as_one():
    washer = ShiftableAppliance(
        name="washer",
        profile_kw=np.ones(2),
        profile_step_h=1.0,
        earliest=0,
        latest=2,
        carried_h=1.0,
    )
    (found,) = conflicts(replace(site(buy=[0.1] * 2), appliances=(washer,)))
    assert found.what == "'washer' must make at least 1 run, but up to 1 run is missing"


def test_a_site_with_a_plan_has_no_conflicts():
    assert conflicts(priced(site(battery(2), buy=[0.1, 0.3], load=[1.0, 2.0]))) == []


def test_energy_is_not_burnt_to_find_a_plan():
    # 3 kW of sun, a full store, no way out: a linear programme would charge and discharge at once.
    full = battery(1, initial=10.0, charge=4.0, efficiency=0.5)
    problem = priced(site(full, buy=[0.2], pv=[3.0], export_limit=0.0))
    assert sum(conflict.amount for conflict in conflicts(problem)) == pytest.approx(1.5, abs=1e-5)
