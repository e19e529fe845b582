"""Sites with the rules of meter, loads and stores, small enough to solve by hand."""

from dataclasses import replace

import numpy as np

from loadloom.models.dispatch.devices.meter import (
    Carbon,
    Circuit,
    Commitment,
    DemandCharge,
    Island,
    Tier,
)
from loadloom.models.dispatch.devices.storage import DepthWear, EnergyTarget
from loadloom.models.dispatch.problem import Problem
from loadloom.models.dispatch.scenarios import Risk, Scenario
from tests.models.dispatch.sites import battery, site


def with_meter(problem: Problem, **rules) -> Problem:
    return replace(problem, meter=replace(problem.meter, **rules))


def charge(*tiers, count: int, reached: float = 0.0, hours=None) -> tuple[DemandCharge, ...]:
    """A charge for the peak of some hours, of all if none are named."""
    where = np.ones(count, np.bool_) if hours is None else np.isin(np.arange(count), hours)
    parts = tuple(Tier(from_kw=start, price_per_kw=price) for start, price in tiers)
    return (DemandCharge(name="peak", intervals=where, tiers=parts, reached_peak_kw=reached),)


def circuit(name: str, *devices: str, limit: float, count: int, parent: str = "") -> Circuit:
    return Circuit(
        name=name,
        devices=devices,
        parent=parent,
        import_limit_kw=np.full(count, limit),
        export_limit_kw=np.full(count, np.inf),
    )


def by_price(*rows: tuple[float, float, float], load: float) -> Problem:
    """A store and a load an hour later, prices by scenario: probability, now, then."""
    scenarios = tuple(
        Scenario(name=f"{k}", probability=p, buy_price_per_kwh=np.array([now, then]))
        for k, (p, now, then) in enumerate(rows)
    )
    plain = site(battery(2), buy=[0.0, 0.0], load=[0.0, load])
    return replace(plain, scenarios=scenarios)


SITES = {
    # Two hours before and at the peak hold 8 kWh, so the peak falls to 4 kW.
    "demand charge": (
        with_meter(
            site(battery(3), buy=[0.1] * 3, load=[2.0, 6.0, 2.0]),
            demand_charges=charge((0.0, 1.0), count=3),
        ),
        1.0 + 4.0,
    ),
    "peak already reached": (
        with_meter(
            site(battery(3), buy=[0.1] * 3, load=[2.0, 6.0, 2.0]),
            demand_charges=charge((0.0, 1.0), count=3, reached=5.0),
        ),
        1.0,
    ),
    # The first two hours reach 6 kW at 1, the last two 8 kW at a half.
    "demand charges of two windows": (
        with_meter(
            site(buy=[0.1] * 3, load=[2.0, 6.0, 8.0]),
            demand_charges=(
                *charge((0.0, 1.0), count=3, hours=[0, 1]),
                replace(charge((0.0, 0.5), count=3, hours=[1, 2])[0], name="late"),
            ),
        ),
        1.6 + 6.0 + 4.0,
    ),
    # In the hour without a charge the store fills for the one with it.
    "demand charge of a window": (
        with_meter(
            site(battery(2), buy=[0.1] * 2, load=[1.0, 5.0]),
            demand_charges=charge((0.0, 1.0), count=2, hours=[1]),
        ),
        0.6,
    ),
    "falling tiers": (
        with_meter(
            site(buy=[0.1], load=[6.0]),
            demand_charges=charge((0.0, 1.0), (4.0, 0.1), count=1),
        ),
        0.6 + 4.0 + 0.2,
    ),
    "rising tiers": (
        with_meter(
            site(buy=[0.1], load=[6.0]),
            demand_charges=charge((0.0, 0.1), (4.0, 1.0), count=1, reached=2.0),
        ),
        0.6 + 0.2 + 2.0,
    ),
    "carbon price": (
        with_meter(
            site(buy=[0.1], load=[2.0]),
            carbon=Carbon(intensity_kg_per_kwh=np.array([0.5]), price_per_kg=0.2),
        ),
        0.2 + 0.2,
    ),
    # One of the two kWh must come from the clean hour, although it is the dearer one.
    "carbon cap": (
        with_meter(
            site(battery(2), buy=[0.3, 0.1], load=[2.0, 2.0]),
            carbon=Carbon(intensity_kg_per_kwh=np.array([0.0, 1.0]), cap_kg=1.0),
        ),
        0.9 + 0.1,
    ),
    "commitment": (
        with_meter(
            site(buy=[0.1] * 2, load=[3.0, 1.0]),
            commitment=Commitment(
                committed_kw=np.array([2.0, 2.0]),
                more_price_per_kwh=np.array([0.5, 0.5]),
                less_price_per_kwh=np.array([0.05, 0.05]),
            ),
        ),
        0.4 + 0.5 + 0.05,
    ),
    "import at a breach price": (
        with_meter(site(buy=[0.1], load=[5.0], import_limit=3.0), import_breach_price_per_kwh=2.0),
        0.5 + 4.0,
    ),
    "export at a breach price": (
        with_meter(
            site(buy=[0.1], sell=[0.2], pv=[5.0], export_limit=3.0),
            export_breach_price_per_kwh=0.5,
        ),
        -1.0 + 1.0,
    ),
    "island": (
        with_meter(
            site(battery(2), buy=[0.1] * 2, load=[1.0, 1.0]),
            island=Island(intervals=np.array([False, True]), reserve_kw=np.zeros(2)),
        ),
        0.2,
    ),
    # Half an hour of 2 kW besides needs one more kWh in the store.
    "island with reserve": (
        with_meter(
            site(battery(2), buy=[0.1] * 2, load=[1.0, 1.0]),
            island=Island(
                intervals=np.array([False, True]), reserve_kw=np.full(2, 2.0), reserve_h=0.5
            ),
        ),
        0.3,
    ),
    # The sun fills the store in the hour without grid, but the reserve may be called at its start.
    "island with reserve from its start": (
        with_meter(
            site(battery(2), buy=[0.1] * 2, pv=[0.0, 5.0]),
            island=Island(
                intervals=np.array([False, True]), reserve_kw=np.full(2, 2.0), reserve_h=0.5
            ),
        ),
        0.1,
    ),
    "circuit": (
        with_meter(
            site(battery(2), buy=[0.0, 1.0], load=[0.0, 3.0]),
            circuits=(circuit("garage", "battery", limit=1.0, count=2),),
        ),
        2.0,
    ),
    "nested circuits": (
        with_meter(
            site(battery(2), buy=[0.0, 1.0], load=[0.0, 3.0]),
            circuits=(
                circuit("yard", limit=0.5, count=2),
                circuit("garage", "battery", limit=1.0, count=2, parent="yard"),
            ),
        ),
        2.5,
    ),
    "breaker of a circuit at a price": (
        with_meter(
            site(battery(2), buy=[0.0, 1.0], load=[0.0, 3.0]),
            circuits=(
                replace(
                    circuit("garage", "battery", limit=1.0, count=2), breach_price_per_kwh=0.25
                ),
            ),
        ),
        0.5,
    ),
    # Of 4 kW of sun 1 may leave the roof.
    "export of a circuit at a price": (
        with_meter(
            site(buy=[0.1], sell=[0.5], pv=[4.0]),
            circuits=(
                replace(
                    circuit("roof", "pv", limit=np.inf, count=1),
                    export_limit_kw=np.array([1.0]),
                    breach_price_per_kwh=0.25,
                ),
            ),
        ),
        -2.0 + 0.75,
    ),
    "target at a breach price": (
        site(
            battery(
                1,
                charge=3.0,
                targets=(EnergyTarget(interval=0, min_kwh=6.0, max_kwh=np.inf),),
                breach_price_per_kwh=0.7,
            ),
            buy=[0.1],
        ),
        0.3 + 2.1,
    ),
    "least energy at a breach price": (
        site(battery(1, initial=1.0, charge=1.0, least=4.0, breach_price_per_kwh=0.7), buy=[0.1]),
        0.1 + 1.4,
    ),
    # It may hold 1 kWh after two hours, and can only give 2 of its 6.
    "most energy at a breach price": (
        site(
            battery(2, initial=6.0, discharge=1.0, capacity=[9.0, 1.0], breach_price_per_kwh=0.7),
            buy=[0.1] * 2,
        ),
        2.1,
    ),
    # It gives both kWh at once, and the second one to the grid for nothing.
    "least power out": (
        site(battery(2, initial=2.0, least_discharge_kw=2.0), buy=[0.3, 0.1], load=[1.0, 1.0]),
        0.1,
    ),
    # Four kWh at once, though only two can be used, are cheaper than buying these later.
    "least power": (
        site(battery(2, least_charge_kw=4.0), buy=[0.1, 0.5], load=[0.0, 2.0]),
        0.4,
    ),
    # The first half of the store is free to use, the second costs more than the grid.
    "wear by depth": (
        site(
            battery(
                1,
                initial=10.0,
                discharge=9.0,
                depth_wear=(
                    DepthWear(from_share=0.0, cost_per_kwh=0.0),
                    DepthWear(from_share=0.5, cost_per_kwh=1.0),
                ),
            ),
            buy=[0.6],
            load=[8.0],
        ),
        1.8,
    ),
    "expected cost": (by_price((0.5, 0.35, 0.1), (0.5, 0.35, 0.5), load=1.0), 0.3),
    "worst half alone": (
        replace(
            by_price((0.5, 0.35, 0.1), (0.5, 0.35, 0.5), load=1.0),
            risk=Risk(weight=1.0, level=0.5),
        ),
        0.35,
    ),
}


def shed_load() -> tuple[Problem, float]:
    problem = site(buy=[0.1], load=[4.0], import_limit=3.0)
    load = replace(problem.loads[0], shed_price_per_kwh=2.0, shed_share=0.5)
    return replace(problem, loads=(load,)), 0.3 + 2.0


SITES["shed load"] = shed_load()
