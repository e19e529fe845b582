"""Sites with one further device each, small enough to solve by hand, with the arithmetic."""

from dataclasses import dataclass, replace
from math import exp, inf

import numpy as np

from loadloom.models.dispatch.devices.meter import Carbon
from loadloom.models.dispatch.problem import Problem
from tests.models.dispatch.cases import site
from tests.models.dispatch.device_sites import (
    EVENING,
    boiler,
    cold_room,
    generator,
    interruptible,
    shiftable,
    stay,
    tank,
    unit,
    with_appliance,
    with_room,
    with_station,
    with_units,
    with_vehicle,
)
from tests.models.dispatch.meter_cases import with_meter


@dataclass(frozen=True)
class DeviceCase:
    name: str
    problem: Problem
    optimum: float  # inf where no plan exists

    def __str__(self) -> str:
        return self.name


TRIP = [stay(0, 1), stay(2, 3, driven=1.0)]

VEHICLES = [
    # 2 kWh in the two cheapest of three hours.
    DeviceCase("charges when cheap", with_vehicle([0.3, 0.1, 0.2], sessions=[stay(0, 3, 2)]), 0.3),
    # It leaves after the first hour, and arrives late.
    DeviceCase("leaves early", with_vehicle([0.3, 0.1], sessions=[stay(0, 1, 1)]), 0.3),
    DeviceCase("arrives late", with_vehicle([0.1, 0.3], sessions=[stay(1, 2, 1)]), 0.3),
    # Half an hour at 2 kW is 1 kWh, a tenth of it lost: 0.9 at 0.1, the other 0.1 / 0.9 at 0.2.
    DeviceCase(
        "uneven steps and losses",
        with_vehicle(
            [0.1, 0.2], step_h=[0.5, 1], power=2, charge_efficiency=0.9, sessions=[stay(0, 2, 1)]
        ),
        0.1 + 0.2 * 0.1 / 0.9,
    ),
    # It charges with 1 kW or not at all: 2 kWh for the 1.5 that it wants.
    DeviceCase(
        "least power",
        with_vehicle([0.3, 0.1, 0.2], charge_least_kw=1.0, sessions=[stay(0, 3, 1.5)]),
        0.3,
    ),
    # Only 2 of 3 kWh can be charged, and a missed one costs more than charging, or less.
    DeviceCase(
        "misses what cannot be", with_vehicle([0.3, 0.1], sessions=[stay(0, 2, 3, price=0.5)]), 0.9
    ),
    DeviceCase(
        "misses what is too dear",
        with_vehicle([0.3, 0.1], sessions=[stay(0, 2, 3, price=0.2)]),
        0.1 + 2 * 0.2,
    ),
    DeviceCase("cannot be charged", with_vehicle([0.3, 0.1], sessions=[stay(0, 2, 3)]), inf),
    # A kWh bought at 0.1 is sold at 0.5, and what it came with is there when it leaves.
    DeviceCase(
        "gives back",
        with_vehicle(
            [0.1, 0.5],
            sell=[0.1, 0.5],
            capacity=2,
            discharge=1,
            initial=1,
            sessions=[stay(0, 2, 1)],
        ),
        0.1 - 0.5,
    ),
    # Paid 0.1 for the 1 / 0.9 kWh that fit; burning more by giving back is not allowed.
    DeviceCase(
        "burns nothing",
        with_vehicle(
            [-0.1],
            sell=-0.1,
            capacity=1,
            power=9,
            discharge=9,
            charge_efficiency=0.9,
            discharge_efficiency=0.9,
            sessions=[stay(0, 1)],
        ),
        -0.1 / 0.9,
    ),
    # A trip of 1 kWh with 0.5 in the battery: half a kWh before it, at 0.3, or on the road at 0.2.
    DeviceCase("trip", with_vehicle([0.3, 0.1, 0.1], initial=0.5, sessions=TRIP), 0.15),
    DeviceCase(
        "charged on the road",
        with_vehicle([0.3, 0.1, 0.1], initial=0.5, public_price_per_kwh=0.2, sessions=TRIP),
        0.1,
    ),
    # What is left is worth 0.25 a kWh and costs 0.3, 0.1 and 0.01 of wear.
    DeviceCase(
        "value and wear",
        with_vehicle(
            [0.3, 0.1], end_value_per_kwh=0.25, wear_cost_per_kwh=0.01, sessions=[stay(0, 2)]
        ),
        0.1 + 0.01 - 0.25,
    ),
    # It is never there: what it holds is worth 1 all the same.
    DeviceCase("away", with_vehicle([0.3], initial=2, end_value_per_kwh=0.5, sessions=[]), -1.0),
]

APPLIANCES = [
    # 2 kW, then 1 kW: from the second hour on 0.2 + 0.4, from the first 0.6 + 0.1, then 0.8 + 0.2.
    DeviceCase("best start", with_appliance(shiftable([2, 1], latest=4)), 0.6),
    DeviceCase("window", with_appliance(shiftable([2, 1], earliest=2, latest=4)), 1.0),
    # The run that is under way leaves an hour of the window for the next one.
    DeviceCase("too late", with_appliance(shiftable([2, 1], latest=2, carried_h=1)), inf),
    DeviceCase("two runs", with_appliance(shiftable([2, 1], latest=4, run_count=2)), 0.7 + 1.0),
    # The second hour of a run that is under way costs 0.3, and the next one starts after it.
    DeviceCase("carried", with_appliance(shiftable([2, 1], latest=4, carried_h=1)), 0.3 + 0.6),
    DeviceCase(
        "carried alone", with_appliance(shiftable([2, 1], latest=4, carried_h=1, run_count=0)), 0.3
    ),
    DeviceCase(
        "left out", with_appliance(shiftable([2, 1], latest=4, breach_price_per_run=0.5)), 0.5
    ),
    # An hour at 2 kW takes two half hours, or the second half of one hour and the first of another.
    DeviceCase(
        "uneven steps", with_appliance(shiftable([2], latest=4), step_h=[1, 0.5, 0.5, 1]), 0.4
    ),
    # Half an hour of 4 kW and half of 2 are 3 kW of an hour.
    DeviceCase("finer profile", with_appliance(shiftable([4, 2], step_h=0.5, latest=4)), 0.3),
    # Prices that drop to sell: 2 kW of surplus are taken rather than given away.
    DeviceCase("own surplus", with_appliance(shiftable([2], latest=4), pv=[0, 0, 2, 0]), 0.0),
    # Together they would draw 4 kW of the 2 that the connection has: one runs at 0.1, one at 0.2.
    DeviceCase(
        "several at once",
        replace(
            site(EVENING, import_limit=2.0),
            appliances=(shiftable([2], latest=4), interruptible(1, latest=4, power=2.0)),
        ),
        0.2 + 0.4,
    ),
    DeviceCase("cheapest hours", with_appliance(interruptible(2, latest=4)), 0.1 + 0.2),
    DeviceCase(
        "least on", with_appliance(interruptible(2, latest=4, switching={"least_on_h": 2})), 0.4
    ),
    DeviceCase(
        "least off",
        with_appliance(interruptible(2, latest=4, switching={"least_off_h": 2})),
        0.4,
    ),
    DeviceCase(
        "one start", with_appliance(interruptible(2, latest=4, switching={"most_starts": 1})), 0.4
    ),
    # Two starts at 0.04 are cheaper than one that makes it run at 0.3.
    DeviceCase(
        "start cost",
        with_appliance(interruptible(2, latest=4, switching={"start_cost": 0.04})),
        0.38,
    ),
    # It runs, must go on for another hour, and costs 0.3 in it; the second is at 0.1.
    DeviceCase(
        "carried on",
        with_appliance(
            interruptible(
                2,
                latest=4,
                switching={
                    "least_on_h": 2,
                    "initially_on": True,
                    "initial_h": 1,
                    "start_cost": 9,
                },
            )
        ),
        0.4,
    ),
    # It has just stopped and must stand still for two hours.
    DeviceCase(
        "carried off",
        with_appliance(interruptible(1, latest=4, switching={"least_off_h": 2, "initial_h": 0})),
        0.2,
    ),
    # Whole runs only: an hour within the window, two at least, so none fits but at a price.
    DeviceCase(
        "no room to run",
        with_appliance(interruptible(1, earliest=3, latest=4, switching={"least_on_h": 2})),
        inf,
    ),
    DeviceCase(
        "misses hours", with_appliance(interruptible(4, latest=4, breach_price_per_h=0.25)), 0.8
    ),
    # At least one hour: it goes on as long as it is paid.
    DeviceCase(
        "paid to run",
        with_appliance(interruptible(1, latest=4, most=3), [0.1, -0.1, -0.1, 0.1]),
        -0.2,
    ),
    DeviceCase(
        "at least two hours of uneven steps",
        with_appliance(interruptible(2, latest=3, most=3), [0.1, 0.2, 0.3], step_h=[1, 0.5, 1.5]),
        0.1 + 0.45,
    ),
]

UNITS = [
    # 2 kW bought at 0.3, then generated at 0.4.
    DeviceCase("generator", with_units([0.3, 0.5], generator(2), load=2), 0.6 + 0.8),
    # Starting costs more than it saves.
    DeviceCase(
        "start too dear",
        with_units([0.3, 0.5], generator(2, switching={"start_cost": 0.3}), load=2),
        1.6,
    ),
    DeviceCase(
        "start pays",
        with_units([0.3, 0.5], generator(2, switching={"start_cost": 0.1}), load=2),
        1.5,
    ),
    # It runs already, so that is no start: 0.4 for the first hour as well would cost 0.2 more.
    DeviceCase(
        "keeps running",
        with_units(
            [0.35, 0.5],
            generator(2, least=4, switching={"start_cost": 0.2, "initially_on": True}),
            load=2,
        ),
        1.6,
    ),
    # At least 1 kW when on, with a load of 0.5: half of it is given away.
    DeviceCase("least input", with_units([0.3, 2.0], generator(2, least=2), load=0.5), 0.15 + 0.4),
    # On for two hours if it starts at all, at 1 kW in the cheap one.
    DeviceCase(
        "least on",
        with_units([0.3, 0.6, 0.3], generator(3, least=2, switching={"least_on_h": 2}), load=2),
        0.6 + 0.8 + 0.3 + 0.4,
    ),
    # Off for two hours once it stops: it runs through the cheap hour.
    DeviceCase(
        "least off",
        with_units(
            [0.8, 0.3, 0.8],
            generator(3, least=2, switching={"least_off_h": 2, "initially_on": True}),
            load=2,
        ),
        0.8 + 0.3 + 0.4 + 0.8,
    ),
    # A least time that reaches beyond the horizon is over at its end.
    DeviceCase(
        "beyond the end",
        with_units([0.3, 0.5], generator(2, least=2, switching={"least_on_h": 9}), load=2),
        0.6 + 0.8,
    ),
    # Held on by its carried state for one hour at its least.
    DeviceCase(
        "must go on",
        with_units(
            [0.3, 0.3],
            generator(
                2,
                least=2,
                switching={"least_on_h": 2, "initially_on": True, "initial_h": 1},
            ),
            load=2,
        ),
        0.3 + 0.4 + 0.6,
    ),
    # It must go on for an hour with nothing to burn.
    DeviceCase(
        "held on without fuel",
        with_units(
            [0.3, 0.3],
            generator(
                2,
                limit=[0, 4],
                least=2,
                switching={"least_on_h": 2, "initially_on": True, "initial_h": 1},
            ),
        ),
        inf,
    ),
    # 1 kW of electricity an hour more at most: 1, then 2, instead of none and 2.
    DeviceCase(
        "ramp",
        with_units([0.3, 0.9], generator(2, ramp_kw_per_h=2), load=2),
        0.3 + 0.4 + 0.8,
    ),
    # From its least of 1.5 kW on it may rise by half a kW: starting in the dear hour gives 1.5.
    DeviceCase(
        "ramp after a jump",
        with_units([0.3, 0.45], generator(2, least=3, ramp_kw_per_h=1), load=2),
        0.6 + 1.5 * 0.4 + 0.5 * 0.45,
    ),
    # 3 kW of heat take 1 and 1.5 kW of electricity.
    DeviceCase(
        "heat pump",
        with_units(
            [0.3, 0.3],
            unit(2, electric=True, cost=0.0, heat=[3, 2], bus="heat"),
            heat=3,
        ),
        0.75,
    ),
    # 5 kW of gas at 0.06 give 3 kW of heat and 1.5 kW of electricity, sold at 0.1.
    DeviceCase(
        "heat and power",
        with_units(
            [0.3],
            unit(1, limit=9, cost=0.06, electricity=0.3, heat=0.6, bus="heat"),
            heat=3,
            sell=0.1,
        ),
        0.3 - 0.15,
    ),
    # Electricity at 0.9: it runs at 9 kW, and 2.4 kW of heat go to waste.
    DeviceCase(
        "dumps heat",
        with_units(
            [0.9],
            unit(1, limit=9, cost=0.06, electricity=0.3, heat=0.6, bus="heat"),
            heat=3,
            sell=0.9,
            bus={"dump": True},
        ),
        0.54 - 2.7 * 0.9,
    ),
    # A boiler of 4 kW for 5 kW of heat: one is unmet at 2, or there is no plan.
    DeviceCase(
        "unmet", with_units([0.1], boiler(1), heat=5, bus={"breach_price_per_kwh": 2.0}), 0.4 + 2.0
    ),
    DeviceCase("too cold", with_units([0.1], boiler(1), heat=5), inf),
    # 2 kW of fuel at 0.09 are 1.8 kW of heat.
    DeviceCase(
        "gas boiler",
        with_units([0.3], unit(1, cost=0.09, heat=0.9, bus="heat"), heat=1.8),
        0.18,
    ),
    # Half of 4 kWh made at 0.1 is left an hour later, which is cheaper than 2 at 0.3.
    DeviceCase(
        "tank with losses",
        with_units(
            [0.1, 0.3],
            boiler(2),
            heat=[0, 2],
            storages=(tank(2, self_discharge_per_h=0.5),),
        ),
        0.4,
    ),
    # 4 kWh of fuel cost 0.8 and emit 2 kg at 0.1; from the grid it is 1 and 0.2 kg, at 0.02.
    DeviceCase(
        "carbon of fuel",
        with_meter(
            with_units([0.5], generator(1, carbon_kg_per_kwh=0.5), load=2),
            carbon=Carbon(intensity_kg_per_kwh=np.full(1, 0.1), price_per_kg=0.1),
        ),
        0.8 + 0.2,
    ),
    # Heat made at 0.1 and kept in the tank.
    DeviceCase("tank", with_units([0.1, 0.3], boiler(2), heat=2, storages=(tank(2),)), 0.4),
]

SWAPS = [
    # An empty battery for a swap after two hours: charged in the cheaper one.
    DeviceCase("one swap", with_station([0], [(2, [0])]), 0.1),
    # Missing the swap costs less, and at the end there is no rule.
    DeviceCase("missed", with_station([0], [(2, [0])], missed_price=0.05), 0.05),
    DeviceCase("no time", with_station([0], [(0, [0])]), inf),
    DeviceCase("missed at once", with_station([0], [(0, [0])], missed_price=3.0), 3.0),
    # A full one goes at once; what comes back with half a kWh is due after three hours.
    DeviceCase("comes back", with_station([1], [(0, [0.5]), (3, [0])]), 0.05),
    # The fullest goes first, whatever the order in stock: 0.5 kWh for the second.
    DeviceCase("fullest first", with_station([0.5, 1], [(0, [0]), (2, [0])]), 0.05),
    # One slot for two empty batteries, both due after two hours.
    DeviceCase("one slot", with_station([0, 0], [(2, [0, 0])], slots=1), 0.4),
    DeviceCase("many slots", with_station([0, 0], [(2, [0, 0])]), 0.2),
    # A tenth is lost, and what is left at the end is worth 0.25: 2 kWh charged.
    DeviceCase(
        "value",
        with_station([0], [], capacity=1.8, efficiency=0.9, end_value_per_kwh=0.25),
        0.1 + 0.2 - 1.8 * 0.25,
    ),
    # A swap at the end of the horizon takes the full one; what is left is what came back.
    DeviceCase("at the end", with_station([1], [(4, [0.25])], end_value_per_kwh=0.1), -0.025),
    # Two swaps at one boundary and one battery: the second one is missed.
    DeviceCase("twice at once", with_station([1], [(1, [0, 0])], missed_price=5.0), 5.0),
]

ROOMS = [
    # Warmed by a kelvin in the second hour at 0.1, without losses.
    DeviceCase("warmed", with_room([0.3, 0.1], low=[0, 21]), 0.1),
    DeviceCase("warmed early", with_room([0.1, 0.3], low=[0, 21]), 0.1),
    # A kW keeps 20 degrees above outdoors at 0.05 kW a kelvin.
    DeviceCase("held", with_room([0.3, 0.1], loss=0.05), 0.4),
    # After an hour exp(-0.5) of the difference is left; it may cool to 10.
    DeviceCase("cools", with_room([0.3], loss=0.5, low=10), 0.0),
    DeviceCase(
        "cools too far",
        with_room([0.3], loss=0.5, low=15),
        0.3 * (15 - 20 * exp(-0.5)) * 0.5 / (1 - exp(-0.5)),
    ),
    # Half a kelvin short costs 2 an hour, over half an hour, which is more than heating.
    DeviceCase(
        "too cold at a price",
        with_room([9.0], step_h=0.5, low=20.5, breach_price_per_k_h=4.0),
        0.5 * 0.5 * 4.0,
    ),
    DeviceCase("limited", with_room([0.3], low=22, heating_limit_kw=1.0), inf),
    # Gains of 3 kW are taken away by 1 kW of electricity.
    DeviceCase("cooled", cold_room([0.3], gains=3.0, high=20), 0.3),
]

CASES = [*VEHICLES, *APPLIANCES, *UNITS, *SWAPS, *ROOMS]
