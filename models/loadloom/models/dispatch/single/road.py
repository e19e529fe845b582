"""The roads for sites with a single device, which a dynamic programme solves without a search."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from loadloom.models.dispatch.devices.appliance import (
    InterruptibleAppliance,
    ShiftableAppliance,
)
from loadloom.models.dispatch.devices.heat import HeatBus
from loadloom.models.dispatch.devices.storage import Storage
from loadloom.models.dispatch.devices.unit import Unit
from loadloom.models.dispatch.problem import FAMILIES, Problem
from loadloom.models.dispatch.single.appliance import solve_appliance
from loadloom.models.dispatch.single.tank import solve_tank
from loadloom.models.dispatch.single.vehicle import solve_vehicle
from loadloom.models.dispatch.solution import Solution


def solve_single(
    problem: Problem, solve_store: Callable[[Problem], Solution | None]
) -> Solution | None:
    """The best plan of a site with a plain meter and one device or heat bus; None without a road.

    The general road decides then. `solve_store` is the road of plain sites with one store.
    """
    if not stands_alone(problem):
        return None
    if problem.buses:
        return solve_tank(problem)
    if problem.appliances:
        return solve_appliance(problem, problem.appliances[0])
    return solve_vehicle(problem, problem.vehicles[0], solve_store)


def stands_alone(problem: Problem) -> bool:
    """Whether a site has a plain meter, and one vehicle, one appliance or a heat bus.

    Most of such sites have a road here.
    """
    plain = problem.meter.plain and all(load.plain for load in problem.loads)
    if not plain or problem.scenarios:
        return False
    found = [family for family in FAMILIES for _ in getattr(problem, family)]
    return bool(problem.buses) or found in (["vehicles"], ["appliances"])


def warm(site: Problem, store: Storage) -> None:
    """Compiles the kernels of these roads, or loads them from the cache, on a plain site."""
    count = site.horizon.count
    nothing, ones = np.zeros(count), np.ones(count)
    washer = ShiftableAppliance(
        name="washer", profile_kw=ones, profile_step_h=1.0, earliest=0, latest=count
    )
    pump = InterruptibleAppliance(
        name="pump", power_kw=0.1, earliest=0, latest=count, running_min_h=1.0
    )
    boiler = Unit(
        name="boiler",
        electric=False,
        input_limit_kw=ones,
        input_least_kw=nothing,
        input_cost_per_kwh=ones,
        electricity_per_input=nothing,
        heat_per_input=ones,
        bus="heat",
    )
    bare = replace(site, storages=())
    for appliance in (washer, pump):
        solve_appliance(replace(bare, appliances=(appliance,)), appliance)
    heated = replace(
        bare,
        buses=(HeatBus(name="heat", demand_kw=nothing),),
        storages=(replace(store, bus="heat"),),
        units=(boiler,),
    )
    solve_tank(heated)
