"""Fleets of homes, half with a battery and half with a car, below eight feeders and a substation.

A day of quarter hours from noon to noon. Cars come between 16:00 and 21:00, some may give back, and
want to be nearly full when they leave. Without limits all of them would charge in the same cheap
hours; a feeder may draw 60 % of that peak, but for what its loads need, the substation 93 % of what
its feeders may draw together.
"""

from datetime import datetime

import numpy as np

from benchmarks.instances import ZONE
from loadloom.models.dispatch.batch import Batch
from loadloom.models.dispatch.fleet.explain import unlimited
from loadloom.models.dispatch.fleet.problem import Fleet, Network
from loadloom.models.horizon import FloatArray, Horizon

FEEDERS, COUNT, STEP_H = 8, 96, 0.25

FEEDER_SHARE, SUBSTATION_SHARE = 0.6, 0.93
"""What feeders may draw of the peak without limits, and the substation of what feeders may."""

LEAST_ROOM = 1.12, 1.08
"""What a feeder and the substation may draw at least, as multiples of the peak of the loads."""


def fleet(site_count: int, seed: int = 0) -> Fleet:
    """A fleet of so many homes under limits that bind in the cheap hours."""
    random = np.random.default_rng(seed)
    hour = np.mod(12.0 + STEP_H * np.arange(COUNT, dtype=np.float64), 24.0)
    sites = _homes(site_count, hour, random)
    nodes = 1 + np.arange(site_count) % FEEDERS
    free = Fleet(sites=sites, site_nodes=nodes, network=_network(np.full(FEEDERS, np.inf), np.inf))
    power = unlimited(free, threads=2).power_kw
    need = free.net_load_kwh / STEP_H
    room = np.maximum(FEEDER_SHARE * power.max(axis=1), LEAST_ROOM[0] * need.max(axis=1))[1:]
    whole = max(SUBSTATION_SHARE * room.sum(), LEAST_ROOM[1] * need[0].max())
    return Fleet(sites=sites, site_nodes=nodes, network=_network(room, whole))


def _network(feeder_kw: FloatArray, substation_kw: float) -> Network:
    most = np.append(substation_kw, feeder_kw)[:, None]
    return Network(
        names=("substation", *(f"feeder {number + 1}" for number in range(FEEDERS))),
        parents=np.array([-1] + [0] * FEEDERS),
        import_limit_kw=np.repeat(most, COUNT, axis=1),
        export_limit_kw=np.full((FEEDERS + 1, COUNT), np.inf),
        breach_price_per_kwh=np.full(FEEDERS + 1, np.inf),
    )


def _homes(sites: int, hour: FloatArray, random: np.random.Generator) -> Batch:
    each, series = (sites, 1), (sites, COUNT)
    day = 0.3 + 0.5 * np.exp(-(((hour - 19.0) / 2.5) ** 2))
    day += 0.25 * np.exp(-(((hour - 8.0) / 1.5) ** 2))
    load = 1.5 * day * random.gamma(4.0, 0.25, each) * random.gamma(6.0, 1.0 / 6.0, series)
    sun = np.maximum(0.0, np.cos((hour - 13.0) / 24.0 * 2.0 * np.pi * 1.6))
    sun *= np.abs(hour - 13.0) < 6.0
    plant = sun * (random.random(each) < 0.5) * random.uniform(2.0, 8.0, each)
    price = 0.18 + 0.12 * np.exp(-(((hour - 19.0) / 2.0) ** 2))
    price -= 0.06 * np.exp(-(((hour - 13.0) / 3.0) ** 2))
    price -= 0.05 * np.exp(-(((hour - 3.0) / 2.5) ** 2))
    price += random.normal(0.0, 0.015, COUNT)
    car = random.random(each) < 0.5
    capacity = np.where(car, random.uniform(40.0, 80.0, each), random.uniform(5.0, 15.0, each))
    power = np.where(
        car, random.choice([7.4, 11.0], each), capacity * random.uniform(0.3, 0.6, each)
    )
    start = capacity * random.uniform(0.2, 0.6, each)
    arrival, departure = random.integers(16, 36, each), random.integers(70, 86, each)
    t = np.arange(COUNT)
    plugged = ~car | ((t >= arrival) & (t < departure))
    gives = ~(car & (random.random(each) < 0.7))
    # Nine tenths of what can be charged in the stay, or nine tenths full.
    reached = start + 0.9 * 0.92 * 0.9 * power * STEP_H * (departure - arrival)
    wanted = np.where(car, np.minimum(0.9 * capacity, reached), 0.0)
    start_time = datetime(2024, 5, 15, 12, tzinfo=ZONE)
    return Batch(
        horizon=Horizon(start=start_time, step_h=np.full(COUNT, STEP_H), time_zone=ZONE.key),
        site_count=sites,
        load_kw=load,
        pv_kw=plant * random.uniform(0.8, 1.0, series),
        pv_curtailable=np.ones((1, 1)),
        buy_price_per_kwh=price[None, :],
        sell_price_per_kwh=0.55 * price[None, :],
        import_limit_kw=np.full((1, 1), 25.0),
        export_limit_kw=np.full((1, 1), 25.0),
        energy_min_kwh=np.where(t >= departure - 1, wanted, 0.0),
        energy_max_kwh=capacity,
        initial_energy_kwh=start,
        charge_limit_kw=power * plugged,
        discharge_limit_kw=power * plugged * gives,
        charge_efficiency=random.uniform(0.9, 0.97, each),
        discharge_efficiency=random.uniform(0.9, 0.97, each),
        wear_cost_per_kwh=np.where(car, 0.02, 0.01) * random.uniform(0.7, 1.3, each),
        end_value_per_kwh=np.where(car, 0.0, 0.12),
    )
