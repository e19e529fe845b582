"""An agent that buys for 200 users from two plants, and settles a month with each of them.

    python examples/demo.py agency [--out FOLDER]

The load curves are real profiles of October 2016, which has 745 hours; where they come from is
told in examples/data/NOTICE.md. Prices and prepayments are made up.
"""

from pathlib import Path
from time import perf_counter
from typing import cast

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from loadloom.client.agency import AffinePrice, Curves, Plant
from loadloom.client.agency_charts import Gain, write_pool_chart
from loadloom.client.agency_pages import write_statement
from loadloom.client.agency_settlement import Settlement
from loadloom.client.client import Client
from loadloom.client.command import agency_report as report
from loadloom.client.command.terminal import Terminal
from loadloom.client.files.agency_curves import read_curves
from loadloom.client.files.agency_prices import read_prices
from loadloom.client.files.agency_users import UsersInput, read_users

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
ZONE = "Europe/Berlin"

HIGHEST_PRICE_PER_KWH, PROFIT_RATE = 0.16, 0.05
"""What the agent announced beforehand, in EUR."""

console = Terminal()


def run_agency(client: Client, out: Path) -> None:
    """Buys and settles at a server, tells what comes out, and writes a chart and a statement."""
    console.rule(Text("200 users who buy together from two plants", style="bold"))
    users, plants = pool()
    curves = users.curves
    start = perf_counter()
    purchase = client.plan_purchase(curves.total_kw, plants, curves.grid, currency_code="EUR")
    made = client.create_settlement(
        curves,
        purchase,
        title="October 2016",
        highest_price_per_kwh=HIGHEST_PRICE_PER_KWH,
        profit_rate=PROFIT_RATE,
        currency_code="EUR",
        prepaid_minor=users.prepaid_minor,
    )
    statements = client.statements(made)
    seconds = perf_counter() - start
    console.print(report.bought(purchase))
    console.print(report.balance(made))
    said = f"bought, settled and kept in {seconds:.2f} s; {len(statements)} statements\n"
    console.print(said, style="dim")
    alone = bought_alone(curves, plants)
    ordered = statements.loc[list(curves.names)]
    bills = np.array([float(bill) for bill in ordered["bill"]])
    tell_gain(curves, made, alone, ordered["cost_share"].to_numpy(np.float64), bills)
    statement = client.get_statement(made, str(statements["contribution"].idxmax()))
    console.print(report.statement_report(statement))
    write_statement(statement, made, out / "statement.html")
    gain = Gain(
        names=curves.names,
        energy_kwh=curves.energy_kwh,
        alone=alone,
        together=bills,
        currency_code="EUR",
    )
    kinds = [name.partition("-")[0] for name in curves.names]
    write_pool_chart(curves, out / "agency.png", kinds, gain)


def pool() -> tuple[UsersInput, list[Plant]]:
    """The users with their curves and prepayments, and the plants, from the files beside this."""
    curves = read_curves(DATA / "agency_loads_2016_10.csv.gz", ZONE)
    users = read_users(DATA / "agency_users.csv", curves)
    return users, read_prices(HERE / "agency_prices.yaml").plants(curves.grid)


def bought_alone(curves: Curves, plants: list[Plant]) -> NDArray[np.float64]:
    """What each user would pay alone, buying as well as it can from the same plants.

    Hill sells up to a power of the user's choice, by a price of energy and one of that power, which
    is the peak that it pays for; Harbour sells the rest. The cost is convex in the power with kinks
    at the loads of the hours alone, so that one of these is best.
    """
    hill, harbour = plants
    price = cast("AffinePrice", hill.load_factor_price)
    hours = float(curves.step_h.sum())
    rest_per_kwh = np.asarray(harbour.price_per_kwh)
    costs = []
    for load_kw in curves.load_kw.astype(np.float64):
        power_kw = np.unique(np.append(load_kw, 0.0))[:, np.newaxis]
        taken_kw = np.minimum(load_kw, power_kw)
        energy = taken_kw @ (price.base_per_kwh * curves.step_h)
        rest = (load_kw - taken_kw) @ (rest_per_kwh * curves.step_h)
        peak = price.slope_per_kwh * hours * power_kw[:, 0]
        costs.append(float((energy + rest + peak).min()))
    return np.array(costs)


def tell_gain(
    curves: Curves,
    made: Settlement,
    alone: NDArray[np.float64],
    share: NDArray[np.float64],
    bills: NDArray[np.float64],
) -> None:
    """Tells what pooling does: peaks, cost, and whether anybody would be better off alone."""
    own_kw = float(curves.load_kw.max(axis=1).sum())
    worse, dearer = (int((paid > alone + 0.01).sum()) for paid in (share, bills))
    less = 1.0 - float(made.cost) / alone.sum()
    pairs = (
        ("peaks", f"{own_kw:,.0f} kW one by one, {made.peak_kw:,.0f} kW together"),
        ("cost alone", f"{alone.sum():,.2f} EUR, each as well as it can from the same plants"),
        ("cost together", f"{made.cost:,} EUR, {less:.1%} less"),
        ("dearer than alone", f"{worse or 'none'} of {len(alone)} users by the share of the cost"),
        ("", f"{dearer or 'none'} of {len(alone)} with the agent's profit in the bill"),
    )
    console.print(Text("Pooled against alone", style="bold"))
    console.print(report.facts(*pairs))
    console.print()
