r"""Homes below eight feeders and a substation: files for `loadloom fleet`, and a part of the demo.

    .venv/bin/python examples/fleet.py --homes 10000 --out fleet
    .venv/bin/loadloom fleet fleet/homes.csv --network fleet/feeders.csv --prices fleet/prices.csv \
        --profiles examples/data/simbench_w20.csv --time-zone Europe/Amsterdam \
        --from 2024-05-14T12:00 --to 2024-05-15T12:00 --plot fleet.html

Load and sun are real profiles and prices real day-ahead prices, of a day from noon to noon on which
prices are below zero at first; where they come from is told in examples/data/NOTICE.md. Which home
has which profile, plant, battery or car is drawn at random, with a seed. Each would buy when it is
cheapest; their feeders cannot carry that.
"""

import argparse
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from rich.text import Text

from loadloom.client.client import Client
from loadloom.client.command.fleet_report import fleet_report
from loadloom.client.command.terminal import Terminal
from loadloom.client.files.fleet_input import FleetFiles, read_fleet
from loadloom.client.fleet_charts import Point, write_fleet_chart

DATA = Path(__file__).resolve().parent / "data"
PRICES, PROFILES = DATA / "day_ahead_nl_2024_w20.csv", DATA / "simbench_w20.csv"
ZONE = "Europe/Amsterdam"
START, END = datetime(2024, 5, 14, 12), datetime(2024, 5, 15, 12)
HOMES, FEEDERS, SEED = 1_000, 8, 20

MARKUP_PER_MWH = 130.0
"""What a home pays on top of the day-ahead price for grid and taxes, in EUR; a round figure."""

IMPORT_KW = np.array([2.2, 1.8, 2.6, 2.0, 2.8, 1.9, 2.4, 2.1])
EXPORT_SHARE, SUBSTATION_SHARE = 0.15, 0.9
"""What each feeder carries for a home of its own, what of that it takes back, and what the
substation carries of all feeders."""

WITH_SUN, WITH_BATTERY, WITH_CAR = 0.4, 0.3, 0.4
"""The shares of homes that have a plant, and a battery or a car."""

console = Terminal()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The files of a fleet."""

    homes: Path
    feeders: Path
    prices: Path

    @property
    def files(self) -> FleetFiles:
        """The files and the day, as they are read."""
        return FleetFiles(
            sites=self.homes,
            network=self.feeders,
            prices=self.prices,
            profiles=PROFILES,
            limits=None,
            start=START,
            end=END,
            zone=ZoneInfo(ZONE),
        )


def homes(count: int, seed: int = SEED) -> pd.DataFrame:
    """Homes of all sorts, a row for each, in the columns of `loadloom fleet`."""
    random = np.random.default_rng(seed)
    known = pd.read_csv(PROFILES, index_col="time")
    loads = known.filter(regex="^h0")
    which = random.integers(0, loads.shape[1], count)
    yearly_kwh = random.uniform(1_800.0, 6_000.0, count)
    sunny = random.random(count) < WITH_SUN
    kind = random.random(count)
    battery, car = kind < WITH_BATTERY, kind > 1.0 - WITH_CAR
    size_kwh = random.choice([5.0, 7.5, 10.0, 15.0], count)
    car_kwh, car_kw = random.uniform(40.0, 80.0, count), random.choice([7.4, 11.0], count)
    energy_kwh = np.where(car, car_kwh, np.where(battery, size_kwh, 0.0))
    held = np.where(car, random.uniform(0.2, 0.6, count), 0.5) * energy_kwh
    power_kw = np.where(car, car_kw, size_kwh * random.uniform(0.3, 0.6, count))
    comes, leaves = random.integers(33, 42, count), random.integers(13, 18, count)
    # What can be charged in a stay, less a tenth; nobody wants more than nine tenths of full.
    reached = held + 0.9 * 0.93 * power_kw * (24.0 + (leaves - comes) / 2.0)
    windows = [f"{clock(a)}-{clock(b)}" for a, b in zip(comes, leaves, strict=True)]
    empty = np.full(count, np.nan)
    frame = pd.DataFrame(
        {
            "site": [f"home {number:05}" for number in range(1, count + 1)],
            "node": [f"feeder {1 + number % FEEDERS}" for number in range(count)],
            "load_profile": loads.columns[which],
            "load_scale": yearly_kwh / 8_760.0 / loads.mean().to_numpy()[which],
            "load_offset_minutes": 15 * random.integers(-4, 5, count),
            "pv_profile": np.where(sunny, [f"pv{n}_pu" for n in random.integers(1, 9, count)], ""),
            "pv_scale": np.where(sunny, random.uniform(2.0, 9.0, count), empty),
            "pv_curtailable": "yes",
            "import_limit_kw": 17.0,
            "export_limit_kw": 17.0,
            "energy_max_kwh": np.where(battery | car, energy_kwh, empty),
            "initial_energy_kwh": np.where(battery | car, held, empty),
            "end_energy_min_kwh": np.where(battery, held, empty),
            "charge_limit_kw": np.where(battery | car, power_kw, empty),
            "discharge_limit_kw": np.where(battery, power_kw, empty),
            "charge_efficiency": np.where(battery | car, 0.94, empty),
            "discharge_efficiency": np.where(battery, 0.94, empty),
            "wear_cost_per_kwh": np.where(battery, 0.01, empty),
            "plugged": np.where(car, windows, ""),
            "wanted_kwh": np.where(car, np.minimum(0.9 * car_kwh, reached), empty),
        }
    )
    return frame.round(3)


def clock(half_hours: int) -> str:
    """A time of day, counted in half hours."""
    return f"{half_hours // 2:02}:{half_hours % 2 * 30:02}"


def feeders(home_count: int) -> pd.DataFrame:
    """The substation and its feeders, which carry so much for each home."""
    each = IMPORT_KW * home_count / FEEDERS
    limits = np.append(SUBSTATION_SHARE * each.sum(), each)
    names = ["substation", *(f"feeder {number + 1}" for number in range(FEEDERS))]
    return pd.DataFrame(
        {
            "node": names,
            "parent": ["", *["substation"] * FEEDERS],
            "import_limit_kw": limits.round(1),
            "export_limit_kw": (EXPORT_SHARE * limits).round(1),
        }
    )


def prices() -> pd.DataFrame:
    """What homes pay and earn for a MWh, by the hour."""
    spot = pd.read_csv(PRICES)
    paid = (spot["price_eur_per_mwh"] + MARKUP_PER_MWH).round(2)
    return pd.DataFrame(
        {
            "time": spot["time"],
            "buy_price_eur_per_mwh": paid,
            "sell_price_eur_per_mwh": spot["price_eur_per_mwh"],
        }
    )


def write_files(home_count: int, folder: Path) -> Written:
    """Writes homes, feeders and prices to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    named = Written(**{name: folder / f"{name}.csv" for name in ("homes", "feeders", "prices")})
    homes(home_count).to_csv(named.homes, index=False)
    feeders(home_count).to_csv(named.feeders, index=False)
    prices().to_csv(named.prices, index=False)
    return named


def run_fleet(client: Client, out: Path) -> None:
    """Plans homes below feeders that cannot carry what each would do alone."""
    console.rule(Text(f"{HOMES:,} homes below {FEEDERS} feeders", style="bold"))
    found = read_fleet(write_files(HOMES, out / "fleet").files)
    points: list[Point] = []
    start = perf_counter()
    with console.status("Planning the homes"):
        operation = client.plan_fleet(
            found.sites, found.nodes, found.grid, currency_code=found.currency_code
        )
        for event in operation.events():
            progress, seconds = event.progress, perf_counter() - start
            points.append(Point(seconds=seconds, value=progress.value, bound=progress.bound))
        plan = operation.result()
    console.print(fleet_report(plan))
    console.print()
    write_fleet_chart(plan, out / "fleet.html", points)


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(description="Writes files for `loadloom fleet`.")
    parser.add_argument("--homes", type=int, default=HOMES, help="how many homes there are")
    parser.add_argument("--out", type=Path, default=Path("fleet"), help="where the files go")
    wishes = parser.parse_args()
    written = write_files(wishes.homes, wishes.out)
    print(f"{wishes.homes:,} homes in {written.homes}, their network in {written.feeders}")


if __name__ == "__main__":
    main()
