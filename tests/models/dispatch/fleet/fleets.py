"""Random fleets for the tests: homes with a store below feeders, below a substation."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from loadloom.models.dispatch.batch import Batch
from loadloom.models.dispatch.devices.appliance import ShiftableAppliance
from loadloom.models.dispatch.devices.heat import HeatBus
from loadloom.models.dispatch.devices.storage import Storage
from loadloom.models.dispatch.devices.unit import Unit
from loadloom.models.dispatch.devices.vehicle import Session, Vehicle
from loadloom.models.dispatch.fleet.problem import Fleet, Network
from loadloom.models.dispatch.problem import Problem
from loadloom.models.horizon import FloatArray, Horizon

START = datetime(2024, 6, 1, 12, tzinfo=UTC)


def network(
    feeders: int,
    count: int,
    *,
    import_kw: FloatArray | float = np.inf,
    export_kw: FloatArray | float = np.inf,
    breach: float = np.inf,
) -> Network:
    """A substation, node 0, above feeders; limits are (nodes, count), or what becomes that."""
    shape = feeders + 1, count
    return Network(
        names=("substation", *(f"feeder {i + 1}" for i in range(feeders))),
        parents=np.array([-1] + [0] * feeders),
        import_limit_kw=np.array(np.broadcast_to(import_kw, shape), np.float64),
        export_limit_kw=np.array(np.broadcast_to(export_kw, shape), np.float64),
        breach_price_per_kwh=np.full(feeders + 1, breach),
    )


def homes(
    count: int, intervals: int, seed: int, *, feeders: int = 3, negative: bool = False
) -> Fleet:
    """Homes with loads, plants that may be curtailed and stores, without any shared limit.

    With `negative` some prices are below zero, so that losses make the cost of homes non-convex.
    """
    random = np.random.default_rng(seed)
    step = 24.0 / intervals
    hour = (12.0 + step * np.arange(intervals)) % 24.0
    shape = 0.4 + np.exp(-(((hour - 19.0) / 2.5) ** 2))
    load = (
        shape
        * random.gamma(4.0, 0.25, (count, 1))
        * random.gamma(6.0, 1.0 / 6.0, (count, 24))[:, :intervals]
    )
    sun = np.maximum(0.0, np.cos((hour - 13.0) * np.pi / 12.0))
    plant = sun * (random.random((count, 1)) < 0.6) * random.uniform(1.0, 5.0, (count, 1))
    price = 0.2 + 0.12 * np.exp(-(((hour - 19.0) / 2.0) ** 2))
    price -= 0.08 * np.exp(-(((hour - 3.0) / 2.0) ** 2))
    price += random.normal(0.0, 0.015, intervals)
    if negative:
        price -= 0.3 * (np.abs(hour - 13.0) < 3.0)
    capacity = random.uniform(10.0, 40.0, (count, 1))
    power = capacity * random.uniform(0.2, 0.6, (count, 1))
    loss = random.choice([0.0, 0.002], (count, 1))
    sites = Batch(
        horizon=Horizon(start=START, step_h=np.full(intervals, step)),
        site_count=count,
        load_kw=load,
        pv_kw=plant,
        pv_curtailable=np.ones((1, 1)),
        buy_price_per_kwh=price[None, :],
        sell_price_per_kwh=np.where(price > 0.0, 0.6, 1.1)[None, :] * price,
        energy_max_kwh=capacity,
        initial_energy_kwh=capacity * random.uniform(0.1, 0.6, (count, 1)),
        charge_limit_kw=power,
        discharge_limit_kw=power,
        charge_efficiency=random.uniform(0.88, 1.0, (count, 1)),
        discharge_efficiency=random.uniform(0.88, 1.0, (count, 1)),
        self_discharge_per_h=loss,
        wear_cost_per_kwh=random.uniform(0.0, 0.02, (count, 1)),
        end_value_per_kwh=np.full((1, 1), 0.12),
    )
    nodes = 1 + np.arange(count) % feeders
    return Fleet(sites=sites, site_nodes=nodes, network=network(feeders, intervals))


def limited(
    fleet: Fleet, power_kw: FloatArray, share: float, export_share: float = np.inf
) -> Fleet:
    """The fleet under limits at a share of what its nodes draw and feed in without, (nodes, T)."""
    net = fleet.net_load_kwh / fleet.horizon.step_h
    need = np.maximum(net.max(axis=1), 0.0)
    most = np.maximum(share * power_kw.max(axis=1), 1.02 * need)[:, None]
    fed = np.full(most.shape, np.inf)
    if export_share < np.inf:
        fed = export_share * np.maximum(-power_kw.min(axis=1), 0.0)[:, None]
    feeders, count = len(fleet.network.names) - 1, fleet.horizon.count
    return replace(fleet, network=network(feeders, count, import_kw=most, export_kw=fed))


def home(kind: str, intervals: int, seed: int) -> Problem:
    """A home with a load, a plant, and what its kind says: car, tank, both, washer, pump."""
    random = np.random.default_rng(seed)
    plain = homes(1, intervals, seed).sites.site(0)
    random_start = int(random.integers(0, max(1, intervals // 3)))
    more: dict[str, tuple] = {"storages": ()}
    if kind in ("car", "both"):
        stay = Session(
            arrival=random_start, departure=intervals - 1, wanted_kwh=float(random.uniform(10, 25))
        )
        more["vehicles"] = (
            Vehicle(
                name="car",
                capacity_kwh=40.0,
                initial_energy_kwh=float(random.uniform(2.0, 8.0)),
                charge_limit_kw=np.full(intervals, 7.4),
                discharge_limit_kw=np.full(intervals, 5.0 if kind == "both" else 0.0),
                sessions=(stay,),
                charge_efficiency=0.92,
                discharge_efficiency=0.92,
                wear_cost_per_kwh=0.02,
                end_value_per_kwh=0.12,
            ),
        )
    if kind in ("tank", "both", "pump"):
        least = 1.0 if kind == "pump" else 0.0
        more |= _heated(intervals, random.uniform(0.5, 2.5, intervals), least)
    if kind == "washer":
        more["appliances"] = (
            ShiftableAppliance(
                name="washer",
                profile_kw=np.array([2.0, 4.0]),
                profile_step_h=float(plain.horizon.step_h[0]),
                earliest=random_start,
                latest=intervals,
            ),
        )
    return replace(plain, **more)


def _heated(intervals: int, demand: FloatArray, least: float) -> dict[str, tuple]:
    """A heat pump with a tank."""
    full, nothing = np.ones(intervals), np.zeros(intervals)
    pump = Unit(
        name="heat pump",
        electric=True,
        input_limit_kw=3.0 * full,
        input_least_kw=least * full,
        input_cost_per_kwh=nothing,
        electricity_per_input=nothing,
        heat_per_input=3.0 * full,
        bus="heat",
    )
    tank = Storage(
        name="tank",
        energy_min_kwh=nothing,
        energy_max_kwh=20.0 * full,
        initial_energy_kwh=8.0,
        charge_limit_kw=10.0 * full,
        discharge_limit_kw=10.0 * full,
        self_discharge_per_h=0.01,
        bus="heat",
    )
    bus = HeatBus(name="heat", demand_kw=demand, dump=True)
    return {"buses": (bus,), "units": (pump,), "storages": (tank,)}


def with_mixed(fleet: Fleet, kinds: Sequence[str], seed: int = 0) -> Fleet:
    """The fleet with a home of each kind more, in turns below its feeders."""
    count, feeders = fleet.horizon.count, len(fleet.network.names) - 1
    mixed = tuple(home(kind, count, seed + 100 + i) for i, kind in enumerate(kinds))
    return replace(fleet, mixed=mixed, mixed_nodes=1 + np.arange(len(kinds)) % feeders)
