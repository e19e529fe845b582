"""Sites small enough to solve by hand, with the arithmetic."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf

import numpy as np

from loadloom.models.dispatch.problem import (
    EnergyTarget,
    Load,
    Meter,
    Photovoltaic,
    Problem,
    Storage,
)
from loadloom.models.horizon import Horizon

START = datetime(2024, 5, 13, tzinfo=UTC)


def column(values, count):
    return np.broadcast_to(np.asarray(values, dtype=float), count).copy()


def store(count, *, capacity=1.0, power=1.0, minimum=0.0, initial=0.0, name="battery", **more):
    return Storage(
        name=name,
        energy_min_kwh=column(minimum, count),
        energy_max_kwh=column(capacity, count),
        initial_energy_kwh=initial,
        charge_limit_kw=column(power, count),
        discharge_limit_kw=column(more.pop("discharge", power), count),
        **more,
    )


def site(
    buy,
    *,
    sell=0.0,
    load=0.0,
    pv=None,
    curtailable=False,
    import_limit=inf,
    export_limit=inf,
    stores=(),
    step_h=1.0,
    time_zone="UTC",
    start=START,
):
    """A site on hourly intervals; `stores` are keyword dictionaries of `store`."""
    count = len(buy)
    plants = () if pv is None else (pv if isinstance(pv, tuple) else ((pv, curtailable),))
    return Problem(
        horizon=Horizon(start=start, step_h=column(step_h, count), time_zone=time_zone),
        meter=Meter(
            buy_price_per_kwh=column(buy, count),
            sell_price_per_kwh=column(sell, count),
            import_limit_kw=column(import_limit, count),
            export_limit_kw=column(export_limit, count),
        ),
        loads=(Load(name="load", power_kw=column(load, count)),),
        photovoltaics=tuple(
            Photovoltaic(name=f"pv{i}", power_kw=column(power, count), curtailable=free)
            for i, (power, free) in enumerate(plants)
        ),
        storages=tuple(store(count, **{"name": f"store{i}", **s}) for i, s in enumerate(stores)),
    )


@dataclass(frozen=True)
class Case:
    name: str
    problem: Problem
    optimum: float  # inf where no plan exists

    def __str__(self) -> str:
        return self.name


def target(interval, low=-inf, high=inf):
    return EnergyTarget(interval=interval, min_kwh=low, max_kwh=high)


CASES = [
    # Nothing to decide: 2 kWh at 0.5 and 1 kWh sold at 0.2.
    Case("no store", site([0.5, 0.5], sell=0.2, load=[2, 0], pv=[0, 1]), 2 * 0.5 - 0.2),
    # Buy 1 kWh at 1, sell it at 2.
    Case("arbitrage", site([1, 3], sell=[0, 2], stores=[{}]), 1 - 2),
    # 1 kWh at 10:00 takes 1 / 0.9 stored and 1 / 0.81 drawn at 0.1 instead of 0.3.
    Case(
        "losses",
        site(
            [0.1, 0.3],
            load=[0, 1],
            stores=[
                {
                    "capacity": 2,
                    "power": 2,
                    "charge_efficiency": 0.9,
                    "discharge_efficiency": 0.9,
                }
            ],
        ),
        0.1 / 0.81,
    ),
    # As before, with 2 / 0.9 kWh moved at a wear of 0.05 each.
    Case(
        "wear",
        site(
            [0.1, 0.3],
            load=[0, 1],
            stores=[
                {
                    "capacity": 2,
                    "power": 2,
                    "charge_efficiency": 0.9,
                    "discharge_efficiency": 0.9,
                    "wear_cost_per_kwh": 0.05,
                }
            ],
        ),
        0.1 / 0.81 + 0.05 * 2 / 0.9,
    ),
    # Wear of 0.1 in and out eats the difference of 0.2 and more: buy when it is needed.
    Case(
        "wear too dear",
        site([0.1, 0.3], load=[0, 1], stores=[{"wear_cost_per_kwh": 0.11}]),
        0.3,
    ),
    # A tenth is lost in the hour between: 1 / 0.9 drawn.
    Case(
        "self-discharge",
        site(
            [0.1, 0.3],
            load=[0, 1],
            stores=[{"power": 2, "capacity": 2, "self_discharge_per_h": 0.1}],
        ),
        0.1 / 0.9,
    ),
    # In half an hour 2 kW are 1 kWh; the second interval lasts an hour and needs 1 kW.
    Case(
        "uneven steps", site([0.1, 0.3], load=[0, 1], step_h=[0.5, 1], stores=[{"power": 2}]), 0.1
    ),
    # Paid 0.1 for each of the 1 / 0.9 kWh that fit; burning more by discharging is not allowed.
    Case(
        "negative price with losses",
        site(
            [-0.1],
            sell=-0.1,
            stores=[{"power": 5, "charge_efficiency": 0.9, "discharge_efficiency": 0.9}],
        ),
        -0.1 / 0.9,
    ),
    # Full at the start: the store must not cycle within the interval, whatever it would earn.
    Case(
        "full at a negative price",
        site(
            [-0.1],
            sell=-0.1,
            stores=[
                {
                    "initial": 1.0,
                    "power": 5,
                    "charge_efficiency": 0.9,
                    "discharge_efficiency": 0.9,
                }
            ],
        ),
        0.0,
    ),
    # 1 kWh of sun, half of it fits, none may leave: a linear programme would burn the rest.
    Case(
        "trapped sun",
        site([0.1], pv=1.0, export_limit=0, stores=[{"capacity": 0.5, "charge_efficiency": 0.9}]),
        inf,
    ),
    Case(
        "trapped sun, curtailed",
        site([0.1], pv=1.0, curtailable=True, export_limit=0, stores=[{"capacity": 0.5}]),
        0.0,
    ),
    # Selling costs 0.2: leave the sun unused.
    Case("curtailing pays", site([0.1], sell=-0.2, pv=1.0, curtailable=True), 0.0),
    # Buying earns 0.1 a kWh: leave the sun unused and draw the load.
    Case("curtailing to buy", site([-0.1], sell=-0.2, load=2, pv=1.0, curtailable=True), -0.2),
    # Buying earns 0.1, selling 0.3: sell 2, since curtailing 3 to buy 1 earns less.
    Case(
        "curtail or sell",
        site([-0.1], sell=0.3, load=1, pv=3.0, curtailable=True),
        -0.3 * 2,
    ),
    # The other way round: buying 3 earns more than selling 0.1 kWh.
    Case(
        "curtail to buy beside a selling price",
        site([-0.1], sell=0.3, load=3, pv=3.1, curtailable=True),
        -0.1 * 3,
    ),
    # Selling pays more than buying costs; the meter cannot do both, so fill first and sell later.
    Case("sell above buy", site([0.1, 0.1], sell=0.3, stores=[{}]), 0.1 - 0.3),
    # The energy must be there at 01:00, however dear.
    Case("target", site([0.5, 0.1], stores=[{"targets": (target(0, low=1),)}]), 0.5),
    # At most 0.4 may be left at 01:00, so 0.6 of the cheap kWh is not stored.
    Case(
        "upper target",
        site([0.1, 0.3], load=[0, 1], stores=[{"targets": (target(0, high=0.4),)}]),
        0.1 * 0.4 + 0.3 * 0.6,
    ),
    # What was taken must be bought back.
    Case(
        "end as it began",
        site([0.3, 0.1], load=[1, 0], stores=[{"initial": 1.0, "targets": (target(1, 1, 1),)}]),
        0.1,
    ),
    Case("end value", site([0.1], stores=[{"end_value_per_kwh": 0.2}]), 0.1 - 0.2),
    # 2 kW needed, 1 may be drawn, 1 comes from the store.
    Case("import limit", site([0.5], load=2, import_limit=1, stores=[{"initial": 1.0}]), 0.5),
    Case(
        "import limit too low", site([0.5], load=3, import_limit=1, stores=[{"initial": 1.0}]), inf
    ),
    # 3 kWh stored, 1 sold in each of two hours.
    Case(
        "export limit",
        site([1, 1], sell=0.5, export_limit=1, stores=[{"capacity": 3, "initial": 3, "power": 3}]),
        -1.0,
    ),
    # Cannot charge 1 kWh with 0.5 kW in an hour.
    Case(
        "target out of reach", site([0.1], stores=[{"power": 0.5, "targets": (target(0, 1),)}]), inf
    ),
    # Bounds that step up force charging in the dear hour.
    Case(
        "minimum that rises",
        site([0.2, 0.9], stores=[{"power": 0.5, "minimum": [0, 0.9]}]),
        0.5 * 0.2 + 0.4 * 0.9,
    ),
]

SEVERAL_STORES = [
    # The lossless store takes the 1 kWh, the lossy one the second: 1 / 0.8 drawn at 0.1.
    Case(
        "two stores",
        site(
            [0.1, 0.5],
            load=[0, 2],
            stores=[{}, {"power": 2, "capacity": 2, "charge_efficiency": 0.8}],
        ),
        0.1 + 0.1 / 0.8,
    ),
    # One store must not discharge into the other to burn energy at a negative price.
    Case(
        "no burning by two stores",
        site([-1.0], sell=-1.0, import_limit=0, export_limit=0, stores=[{}, {}]),
        0.0,
    ),
]
