"""Plans real sites with a real server, and shows what came back.

    python examples/demo.py [workshop] [street] [fleet] [agency] [park] [response]
        [--out FOLDER]

Starts an engine of its own, plans (a) a workshop with a battery and (b) a street of 1,000 homes
over a week of Dutch day-ahead prices with negative hours, and (c) 1,000 homes with cars below
feeders that cannot carry what each would do alone, settles (d) a month with 200 users who buy
together from two plants, plans (e) a park of 60 users through four weeks that are short of power,
calls (f) homes on a hot evening on which two transformers would be overloaded, and writes charts;
all of these, or the parts that are named. Where the data come from is told in
examples/data/NOTICE.md.
"""

import sys
from pathlib import Path

from loadloom.client.command.interrupts import end_quietly

if __name__ == "__main__":
    end_quietly()  # Ctrl-C must be quiet during the imports too, which take a second
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where `examples` is found

import argparse
from contextlib import ExitStack
from time import perf_counter

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from examples.agency import run_agency
from examples.fleet import run_fleet
from examples.park import run_park
from examples.response import run_response
from loadloom.client.charts import style, write_chart
from loadloom.client.client import Client
from loadloom.client.command.report import plan_report
from loadloom.client.command.terminal import Terminal
from loadloom.client.embedded import engine
from loadloom.client.files.site_input import read_input
from loadloom.client.fleet import GatheredPlans

HERE = Path(__file__).resolve().parent
PRICES = HERE / "data/day_ahead_nl_2024_w20.csv"
HOMES, SEED = 1_000, 20
MARKUP_PER_KWH = 0.13
"""What a home pays on top of the day-ahead price for grid and taxes, in EUR; a round figure."""

console = Terminal()


def main() -> None:
    """Runs the demo, or the parts of it that are named."""
    parts = {
        "workshop": plan_workshop,
        "street": plan_street,
        "fleet": run_fleet,
        "agency": run_agency,
        "park": run_park,
        "response": run_response,
    }
    parser = argparse.ArgumentParser(description="Plans real sites with a real server.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; all")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="where charts go")
    wishes = parser.parse_args()
    unknown = [name for name in wishes.parts if name not in parts]
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(parts)}")
    out: Path = wishes.out
    out.mkdir(parents=True, exist_ok=True)
    start = perf_counter()
    with ExitStack() as stack:
        with console.status("Starting an engine (the first time, its kernels are compiled)"):
            target = stack.enter_context(engine())
        console.print(f"Engine at {target} after {perf_counter() - start:.1f} s\n")
        client = stack.enter_context(Client(target))
        for name in wishes.parts or parts:
            parts[name](client, out)
    console.print(f"\nCharts are in {out}/")


def plan_workshop(client: Client, out: Path) -> None:
    """Plans the workshop's week and explains one of its days."""
    console.rule(Text("A workshop: 800 kWh of battery, a roof of solar panels", style="bold"))
    found = read_input(HERE / "workshop.yaml", PRICES)
    start = perf_counter()
    plan = client.plan_dispatch(found.site, found.grid, detail="reasons")
    seconds = perf_counter() - start
    quiet = client.plan_dispatch(found.site, found.grid)
    console.print(plan_report(found.site, quiet))
    told = f"the answer with all reasons took {1000 * seconds:.0f} ms over gRPC\n"
    console.print(told, style="dim")
    table = Table(title="Why, on Monday", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("from", "to", "does", "kWh", "because"):
        table.add_column(name, justify="right" if name == "kWh" else "left", overflow="fold")
    monday = [r for r in plan.reasons if r.start.date() == plan.grid.boundaries[0].date()]
    for reason in monday[:10]:
        table.add_row(
            f"{reason.start:%H:%M}",
            f"{reason.end:%H:%M}",
            reason.action,
            f"{reason.energy_kwh:.0f}",
            reason.text,
        )
    console.print(table)
    write_chart(found.site, plan, out / "workshop.png")


def plan_street(client: Client, out: Path) -> None:
    """Streams 1,000 different homes, and sums up what they gain."""
    console.rule(Text(f"A street of {HOMES:,} homes, streamed", style="bold"))
    spot = prices()
    columns = street()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Planning homes", total=HOMES)
        start = perf_counter()
        fleet = client.plan_sites(
            columns,
            spot,
            buy_price_per_kwh=spot + MARKUP_PER_KWH,
            sell_price_per_kwh=spot,
            currency_code="EUR",
            progress=lambda done, _: progress.update(task, completed=done),
        )
        seconds = perf_counter() - start
    summary = fleet.summary
    gap = (summary["objective"] - summary["bound"]).clip(lower=0)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("without batteries", f"{summary['baseline_cost'].sum():,.2f} EUR")
    cost, saving = (f"{summary[name].sum():,.2f} EUR" for name in ("objective", "saving"))
    table.add_row("with the plans", Text(cost, style="bold"))
    table.add_row("saving", Text(saving, style="bold green"))
    saved = summary["saving"].quantile([0.1, 0.5, 0.9])
    table.add_row("a home saves (10 %, half, 90 %)", ", ".join(f"{v:.2f}" for v in saved))
    outcomes = summary["outcome"].value_counts()
    table.add_row("outcomes", ", ".join(f"{n:,} {name}" for name, n in outcomes.items()))
    table.add_row("largest gap of any home", f"{gap.max():.1e} EUR")
    table.add_row("time", f"{seconds:.2f} s for {HOMES:,} x {len(spot)} quarter hours")
    console.print(table)
    idle = idle_fleet(client, columns, spot)
    street_chart(idle, fleet, spot).savefig(out / "street.png", dpi=150)


def idle_fleet(client: Client, columns: dict[str, np.ndarray], spot: pd.Series) -> GatheredPlans:
    """The plans of the same homes if no battery moved: only what pays nothing is curtailed."""
    still = {"charge_limit_kw": np.zeros((1, 1)), "discharge_limit_kw": np.zeros((1, 1))}
    return client.plan_sites(
        columns | still,
        spot,
        buy_price_per_kwh=spot + MARKUP_PER_KWH,
        sell_price_per_kwh=spot,
        columns=["import_kw", "export_kw"],
    )


def prices() -> pd.Series:
    """The day-ahead price of every quarter hour of the week, in EUR per kWh."""
    frame = pd.read_csv(PRICES)
    hours = pd.DatetimeIndex(frame["time"]).tz_convert("Europe/Amsterdam")
    quarters = pd.date_range(hours[0], periods=4 * len(hours), freq="15min", name="time")
    return pd.Series(np.repeat(frame["price_eur_per_mwh"].to_numpy() / 1000, 4), quarters)


def street() -> dict[str, np.ndarray]:
    """Homes of all sorts: two mixed and shifted load profiles each, PV and a battery."""
    frame = pd.read_csv(HERE / "data/simbench_w20.csv", index_col="time")
    loads = frame[[c for c in frame if c.startswith("h0")]].to_numpy().T
    suns = frame[[c for c in frame if c.startswith("pv")]].to_numpy().T
    rng = np.random.default_rng(SEED)
    first, second = rng.integers(0, len(loads), (2, HOMES))
    share = rng.uniform(0.0, 1.0, (HOMES, 1))
    mixed = share * loads[first] + (1.0 - share) * loads[second]
    mixed = np.stack(
        [np.roll(m, s) for m, s in zip(mixed, rng.integers(-4, 5, HOMES), strict=True)]
    )
    yearly_kwh = rng.uniform(1_800, 6_000, (HOMES, 1))
    capacity_kwh = rng.choice([5.0, 7.5, 10.0, 15.0], (HOMES, 1))
    power_kw = capacity_kwh * rng.uniform(0.3, 0.6, (HOMES, 1))

    return {
        "load_kw": mixed / mixed.mean(axis=1, keepdims=True) * yearly_kwh / 8_760,
        "pv_kw": suns[rng.integers(0, len(suns), HOMES)] * rng.uniform(0.0, 9.0, (HOMES, 1)),
        "pv_curtailable": np.ones(HOMES),
        "import_limit_kw": np.full((1, 1), 17.0),
        "export_limit_kw": np.full((1, 1), 17.0),
        "energy_max_kwh": capacity_kwh,
        "initial_energy_kwh": 0.5 * capacity_kwh[:, 0],
        "end_energy_min_kwh": 0.5 * capacity_kwh[:, 0],
        "charge_limit_kw": power_kw,
        "discharge_limit_kw": power_kw,
        "charge_efficiency": rng.uniform(0.93, 0.98, HOMES),
        "discharge_efficiency": rng.uniform(0.93, 0.98, HOMES),
        "wear_cost_per_kwh": np.full(HOMES, 0.01),
    }


def grid_kw(fleet: GatheredPlans) -> np.ndarray:
    """The power that all homes draw from the grid, negative where they feed in."""
    return (fleet.columns["import_kw"] - fleet.columns["export_kw"]).sum(axis=0)


def street_chart(idle: GatheredPlans, fleet: GatheredPlans, spot: pd.Series) -> Figure:
    """Prices, what the street draws with and without its batteries, and what homes save."""
    stored = fleet.columns["state_of_charge_kwh"].sum(axis=0)
    times = pd.DatetimeIndex(spot.index).tz_localize(None)
    with mpl.rc_context(style()):
        figure = Figure(figsize=(11, 9), layout="constrained")
        price, power, energy, savings = figure.subplots(4, 1, height_ratios=(2, 4, 2, 3))
        price.plot(times, spot, color="#5e548e", drawstyle="steps-post")
        price.fill_between(times, spot.clip(upper=0), color="#e5383b", alpha=0.4, step="post")
        price.set_ylabel("EUR per kWh")
        power.plot(times, grid_kw(idle), color="#8d99ae", label="without batteries")
        power.plot(times, grid_kw(fleet), color="#2a9d8f", label="with the plans")
        power.set_ylabel("kW from the grid, local time")
        power.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2)
        energy.fill_between(times, stored, color="#1d3557", alpha=0.5)
        energy.set_ylabel("kWh stored")
        for axes in (price, power, energy):
            axes.axhline(0, color="#3b4252", linewidth=0.8)
            axes.margins(x=0)
        savings.hist(fleet.summary["saving"], bins=50, color="#2a9d8f")
        savings.set_xlabel("EUR saved in the week")
        savings.set_ylabel("homes")
        figure.suptitle(f"{HOMES:,} homes, 13-19 May 2024", x=0.01, ha="left", fontweight="bold")
    return figure


if __name__ == "__main__":
    main()
