"""Random sites of meter, loads, plants and stores with the rules that the general road takes."""

from math import inf

import numpy as np

from loadloom.models.dispatch.devices.meter import (
    Carbon,
    Circuit,
    Commitment,
    DemandCharge,
    Island,
    Load,
    Meter,
    Tier,
)
from loadloom.models.dispatch.devices.storage import DepthWear, Storage
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.scenarios import Risk, Scenario
from tests.models.dispatch.instances import random_problem


def random_meter(rng: np.random.Generator, site: Problem) -> Meter:
    """The meter of a site with some of the further rules."""
    count, meter = site.horizon.count, site.meter

    def sometimes(value, otherwise, chance=0.4):
        return value if rng.random() < chance else otherwise

    circuits = [
        Circuit(
            name="main",
            devices=("load 0",),
            import_limit_kw=np.full(count, rng.uniform(2.0, 8.0)),
            export_limit_kw=np.full(count, sometimes(np.inf, 3.0)),
            breach_price_per_kwh=sometimes(inf, rng.uniform(0.1, 2.0), 0.3),
        ),
        Circuit(
            name="sub",
            devices=tuple(storage.name for storage in site.storages),
            parent="main",
            import_limit_kw=np.full(count, 2.0),
            export_limit_kw=np.full(count, np.inf),
        ),
    ]
    where = rng.random(count) < 0.6
    tiers = (Tier(from_kw=0.0, price_per_kw=rng.uniform(0.0, 2.0)),)
    if rng.random() < 0.6:
        tiers += (Tier(from_kw=rng.uniform(0.5, 3.0), price_per_kw=rng.uniform(0.0, 2.0)),)
        tiers += (Tier(from_kw=rng.uniform(3.5, 6.0), price_per_kw=rng.uniform(0.0, 2.0)),)
    charge = DemandCharge(
        name="peak", intervals=where, tiers=tiers, reached_peak_kw=sometimes(1.5, 0.0)
    )
    island = np.zeros(count, np.bool_)
    island[: count // 3] = True
    return Meter(
        buy_price_per_kwh=meter.buy_price_per_kwh,
        sell_price_per_kwh=meter.sell_price_per_kwh,
        import_limit_kw=sometimes(np.full(count, 3.0), meter.import_limit_kw),
        export_limit_kw=meter.export_limit_kw,
        import_breach_price_per_kwh=sometimes(0.5, inf, 0.7),
        export_breach_price_per_kwh=sometimes(0.3, inf),
        demand_charges=sometimes((charge,), ()),
        carbon=sometimes(
            Carbon(
                intensity_kg_per_kwh=rng.uniform(0.0, 1.0, count),
                price_per_kg=rng.uniform(0.0, 0.2),
                cap_kg=sometimes(rng.uniform(5.0, 30.0), np.inf),
            ),
            None,
        ),
        commitment=sometimes(
            Commitment(
                committed_kw=rng.normal(1.0, 2.0, count),
                more_price_per_kwh=rng.uniform(0.0, 0.3, count),
                less_price_per_kwh=rng.uniform(0.0, 0.3, count),
            ),
            None,
        ),
        island=sometimes(
            Island(intervals=island, reserve_kw=np.full(count, 0.5), reserve_h=0.5), None, 0.3
        ),
        circuits=sometimes(tuple(circuits), ()),
    )


def random_storage(rng: np.random.Generator, storage: Storage) -> Storage:
    """A store with some of the further rules."""
    wear = tuple(
        DepthWear(from_share=share, cost_per_kwh=cost)
        for share, cost in ((0.0, 0.01), (0.3, 0.03), (0.7, 0.2))
    )
    with_wear = storage.self_discharge_per_h == 0.0 and rng.random() < 0.4
    return Storage(
        name=storage.name,
        energy_min_kwh=storage.energy_min_kwh,
        energy_max_kwh=storage.energy_max_kwh,
        initial_energy_kwh=storage.initial_energy_kwh,
        charge_limit_kw=storage.charge_limit_kw,
        discharge_limit_kw=storage.discharge_limit_kw,
        charge_efficiency=storage.charge_efficiency,
        discharge_efficiency=storage.discharge_efficiency,
        self_discharge_per_h=storage.self_discharge_per_h,
        wear_cost_per_kwh=storage.wear_cost_per_kwh,
        end_value_per_kwh=storage.end_value_per_kwh,
        targets=storage.targets,
        breach_price_per_kwh=rng.uniform(0.1, 1.0) if rng.random() < 0.5 else np.inf,
        least_charge_kw=rng.uniform(0.1, 2.0) if rng.random() < 0.2 else 0.0,
        least_discharge_kw=rng.uniform(0.1, 2.0) if rng.random() < 0.2 else 0.0,
        depth_wear=wear if with_wear else (),
    )


def random_general(rng: np.random.Generator, *, count: int, stores: int, convex: bool) -> Problem:
    """A random site of meter, loads, plants and stores with further rules and scenarios."""
    plain = random_problem(rng, count=count, stores=stores, convex=convex)
    loads = [
        Load(name=load.name, power_kw=load.power_kw, shed_price_per_kwh=0.8, shed_share=0.9)
        if rng.random() < 0.7
        else load
        for load in plain.loads
    ]
    scenarios, risk = (), None
    if rng.random() < 0.3:
        scenarios = tuple(
            Scenario(
                name=f"case {k}",
                probability=probability,
                buy_price_per_kwh=plain.meter.buy_price_per_kwh * rng.uniform(0.5, 2.0),
                loads_kw={"load 0": plain.loads[0].power_kw * rng.uniform(0.7, 1.3)},
            )
            for k, probability in enumerate((0.5, 0.3, 0.2))
        )
        risk = Risk(weight=0.5, level=0.6) if rng.random() < 0.7 else None
    return Problem(
        horizon=plain.horizon,
        meter=random_meter(rng, plain),
        loads=tuple(loads),
        photovoltaics=plain.photovoltaics,
        storages=tuple(random_storage(rng, storage) for storage in plain.storages),
        scenarios=scenarios,
        risk=risk,
    )
