"""A small fleet whose plan is known, for the tests of its client and of its command."""

import numpy as np
import pandas as pd

from loadloom.client.fleet_parts import FleetSites, Node

TIMES = pd.date_range("2024-05-14T00:00", periods=4, freq="h", tz="Europe/Amsterdam", name="time")
PRICES = pd.Series([0.1, 0.1, 0.2, 0.3], TIMES)
WISHES = {"buy_price_per_kwh": PRICES, "currency_code": "EUR", "threads": 1}
"""What a kWh costs; a feeder of 6 kW so spreads 16 kWh as 6, 6 and 4, at 2.00 EUR."""

COST, FREE_COST, LIMIT_KW = 2.0, 1.6, 6.0


def cars(count=2, feeders=("north",)):
    """Cars that want 8 kWh in the end, and can charge with 8 kW."""
    wanted = np.zeros((1, 4))
    wanted[0, -1] = 16.0 / count
    return FleetSites(
        nodes=[feeders[place % len(feeders)] for place in range(count)],
        names=[f"car {place}" for place in range(count)],
        columns={
            "energy_max_kwh": 10.0,
            "energy_min_kwh": wanted,
            "charge_limit_kw": 8.0,
            "discharge_limit_kw": 0.0,
        },
    )


def network(limit_kw=LIMIT_KW):
    """A feeder below a town."""
    return [Node(name="town"), Node(name="north", parent="town", import_limit_kw=limit_kw)]


def write(folder, limit_kw="6"):
    """Writes the same as files."""
    (folder / "cars.csv").write_text(
        "site,node,energy_max_kwh,end_energy_min_kwh,charge_limit_kw\n"
        "car 0,north,10,8,8\n"
        "car 1,north,10,8,8\n"
    )
    (folder / "nodes.csv").write_text(
        f"node,parent,import_limit_kw\ntown,,\nnorth,town,{limit_kw}\n"
    )
    rows = [f"{time.isoformat()},{1000 * price:g}" for time, price in PRICES.items()]
    (folder / "prices.csv").write_text("time,buy_price_eur_per_mwh\n" + "\n".join(rows) + "\n")
