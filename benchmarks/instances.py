"""The sites that are solved: one business with a battery of round numbers, and a street of homes.

The business draws up to 60 kW, has 80 kWp on the roof that may be curtailed, may draw 120 kW and
feed in 60 kW. Its battery holds 100 kWh, charges and discharges with 50 kW at 95 % each way, wears
by 0.01 per kWh moved, starts half full and must end at least half full.

Loads and sun are a week of SimBench's profiles, over and over; prices are the Dutch day-ahead
prices of 2024. Where they come from is told in examples/data/NOTICE.md.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from loadloom.models.dispatch.batch import Batch
from loadloom.models.dispatch.problem import (
    EnergyTarget,
    Load,
    Meter,
    Photovoltaic,
    Problem,
    Storage,
)
from loadloom.models.horizon import FloatArray, Horizon

DATA = Path(__file__).parents[1] / "examples/data"
ZONE = ZoneInfo("Europe/Amsterdam")
PROFILES_START = datetime(2024, 5, 13, tzinfo=ZONE)
QUARTER_H = 0.25

HORIZONS = {96: 0.25, 672: 0.25, 8_760: 1.0, 35_040: 0.25}
"""The step in hours of each number of intervals: a day, a week, a year by hours and by quarters."""

YEAR = datetime(2024, 1, 1, tzinfo=UTC)
DAY = datetime(2024, 5, 15, tzinfo=ZONE)
STARTS = {96: DAY, 672: PROFILES_START}
"""The start of the short horizons, a Wednesday and a Monday in May; the others are the year."""

NEGATIVE_STARTS = {96: datetime(2024, 5, 12, tzinfo=ZONE), 672: datetime(2024, 5, 6, tzinfo=ZONE)}
"""A Sunday on which prices fell to minus 0.2 per kWh, and the week that it ended."""

ENERGY_TAX, FEED_IN_FEE = 0.12, 0.005
"""What a kWh bought costs above the day-ahead price, and what is kept back of a kWh sold."""

PRICE_FLOOR = 0.01
"""The least price where sites are to be convex, so that linear programmes are right too."""


@cache
def _week() -> pd.DataFrame:
    """The shares of their largest that loads and plants draw and give in the quarters of a week."""
    return pd.read_csv(DATA / "simbench_w20.csv", index_col="time")


@cache
def _day_ahead() -> FloatArray:
    """The price per kWh in every hour of 2024; one that is missing is that of the hour before."""
    frame = pd.read_csv(DATA / "day_ahead_nl_2024.csv.gz", parse_dates=["time"], index_col="time")
    hours = pd.date_range(YEAR, periods=366 * 24, freq="h")
    return frame.reindex(hours).ffill()["price_eur_per_mwh"].to_numpy() / 1000.0


def profile(name: str, horizon: Horizon) -> FloatArray:
    """A profile of SimBench by its name, its mean in every interval, shape (count,)."""
    quarters = round(horizon.step_h[0] / QUARTER_H)
    first = round((horizon.start - PROFILES_START).total_seconds() / 900.0)
    at = (first + np.arange(horizon.count * quarters)) % len(_week())
    return _week()[name].to_numpy()[at].reshape(-1, quarters).mean(axis=1)


def day_ahead(horizon: Horizon) -> FloatArray:
    """The day-ahead price per kWh in every interval, shape (count,)."""
    hours = (horizon.start - YEAR).total_seconds() / 3600.0
    return _day_ahead()[(hours + horizon.boundaries_h[:-1]).astype(int)]


def _horizon(count: int, starts: dict[int, datetime]) -> Horizon:
    start = starts.get(count, YEAR)
    return Horizon(start=start, step_h=np.full(count, HORIZONS[count]), time_zone=ZONE.key)


def _meter(price_per_kwh: FloatArray, tax: float, export_kw: float = 60.0) -> Meter:
    count = price_per_kwh.size
    return Meter(
        buy_price_per_kwh=price_per_kwh + tax,
        sell_price_per_kwh=price_per_kwh - FEED_IN_FEE,
        import_limit_kw=np.full(count, 120.0),
        export_limit_kw=np.full(count, export_kw),
        currency_code="EUR",
    )


def _battery(count: int, wear_cost_per_kwh: float = 0.01) -> Storage:
    return Storage(
        name="battery",
        energy_min_kwh=np.zeros(count),
        energy_max_kwh=np.full(count, 100.0),
        initial_energy_kwh=50.0,
        charge_limit_kw=np.full(count, 50.0),
        discharge_limit_kw=np.full(count, 50.0),
        charge_efficiency=0.95,
        discharge_efficiency=0.95,
        wear_cost_per_kwh=wear_cost_per_kwh,
        targets=(EnergyTarget(interval=count - 1, min_kwh=50.0, max_kwh=np.inf),),
    )


def _varied(price_per_kwh: FloatArray, variant: int) -> FloatArray:
    """The prices as a later forecast has them: up to a tenth away, never of another sign."""
    rng = np.random.default_rng([price_per_kwh.size, variant])
    return price_per_kwh * rng.uniform(0.9, 1.1, price_per_kwh.size)


def business(count: int, variant: int = 0) -> Problem:
    """The business with prices above zero, a convex problem; variants differ in their prices."""
    horizon = _horizon(count, STARTS)
    price = np.maximum(day_ahead(horizon), PRICE_FLOOR)
    return Problem(
        horizon=horizon,
        meter=_meter(_varied(price, variant), ENERGY_TAX),
        loads=_business_load(horizon),
        photovoltaics=_business_plant(horizon),
        storages=(_battery(count),),
        name=f"business, {count} intervals",
    )


def negative_prices(count: int, variant: int = 0) -> Problem:
    """The business untaxed on a day of negative prices, with a battery whose wear is not priced.

    Whoever charges and discharges at once draws more, and is paid for it: not a convex problem.
    """
    horizon = _horizon(count, NEGATIVE_STARTS)
    return Problem(
        horizon=horizon,
        meter=_meter(_varied(day_ahead(horizon), variant), 0.02),
        loads=_business_load(horizon),
        photovoltaics=_business_plant(horizon),
        storages=(_battery(count, wear_cost_per_kwh=0.0),),
        name=f"negative prices, {count} intervals",
    )


def negative_days() -> list[Problem]:
    """The business on every day of the year on which buying was paid for in two hours or more."""
    days = pd.date_range("2024-01-02", "2024-12-30", freq="D", tz=ZONE).to_pydatetime()
    horizons = [_horizon(96, {96: day}) for day in days]
    return [
        replace(negative_prices(96), horizon=horizon, meter=_meter(day_ahead(horizon), 0.02))
        for horizon in horizons
        if np.count_nonzero(day_ahead(horizon) < -0.02) >= 8
    ]


def trapped_pv(variant: int = 0) -> Problem:
    """A holiday without export or curtailment, with more sun than the battery can hold.

    No plan exists, but for whoever burns the surplus by charging and discharging at once.
    """
    horizon = _horizon(96, STARTS)
    price = np.maximum(day_ahead(horizon), PRICE_FLOOR)
    sun = np.maximum(0.0, np.sin(np.pi * (horizon.boundaries_h[:-1] - 6.0) / 12.0))
    return Problem(
        horizon=horizon,
        meter=_meter(_varied(price, variant), ENERGY_TAX, export_kw=0.0),
        loads=(Load(name="load", power_kw=np.full(96, 6.0)),),
        photovoltaics=(Photovoltaic(name="pv", power_kw=23.0 * sun),),
        storages=(_battery(96),),
        name="trapped photovoltaic surplus",
    )


def _business_load(horizon: Horizon) -> tuple[Load]:
    return (Load(name="load", power_kw=60.0 * profile("g3_a_pu", horizon)),)


def _business_plant(horizon: Horizon) -> tuple[Photovoltaic]:
    power_kw = 80.0 * profile("pv3_pu", horizon)
    return (Photovoltaic(name="pv", power_kw=power_kw, curtailable=True),)


def variants(make: Callable[[int], Problem], count: int) -> list[Problem]:
    """As many problems that differ in their prices."""
    return [make(variant) for variant in range(count)]


def street_prices() -> tuple[FloatArray, FloatArray]:
    """The prices at which all homes of the street buy and sell, for a day."""
    price = np.maximum(day_ahead(_horizon(96, STARTS)), PRICE_FLOOR)
    return price + ENERGY_TAX, price - FEED_IN_FEE


def street(site_count: int, seed: int, *, full: bool = False) -> dict[str, FloatArray]:
    """The columns of different homes for a day of quarter hours, named as in the API.

    Limits are one value a home, or with `full` a profile a home, so that eight matrices are full.
    """
    rng = np.random.default_rng(seed)
    horizon = _horizon(96, STARTS)

    def per_home(low: float, high: float) -> FloatArray:
        return rng.uniform(low, high, (site_count, 1))

    def some_of(family: str) -> FloatArray:
        """A profile of the family for each home, by chance."""
        names = [name for name in _week().columns if name.startswith(family)]
        shapes = np.stack([profile(name, horizon) for name in names])
        return shapes[rng.integers(len(names), size=site_count)]

    energy = per_home(5.0, 15.0)
    columns = {
        "load_kw": per_home(4.0, 12.0) * some_of("h0") * rng.uniform(0.8, 1.2, (site_count, 96)),
        "pv_kw": per_home(0.0, 8.0) * some_of("pv"),
        "import_limit_kw": np.full((site_count, 1), 17.25),
        "export_limit_kw": per_home(6.0, 12.0),
        "energy_min_kwh": 0.05 * energy,
        "energy_max_kwh": energy,
        "charge_limit_kw": 0.5 * energy,
        "discharge_limit_kw": 0.5 * energy,
    }
    if full:
        columns = {
            name: np.ascontiguousarray(np.broadcast_to(matrix, (site_count, 96)))
            for name, matrix in columns.items()
        }
    return columns | {
        "pv_curtailable": np.ones((1, 1)),
        "initial_energy_kwh": 0.5 * energy,
        "end_energy_min_kwh": 0.5 * energy,
        "charge_efficiency": per_home(0.93, 0.97),
        "discharge_efficiency": per_home(0.93, 0.97),
        "wear_cost_per_kwh": per_home(0.01, 0.03),
    }


def street_batch(site_count: int, seed: int, *, full: bool = False) -> Batch:
    """The homes of a street as a batch with its prices."""
    buy, sell = street_prices()
    columns = street(site_count, seed, full=full)
    return Batch(
        horizon=_horizon(96, STARTS),
        site_count=site_count,
        buy_price_per_kwh=buy[None, :],
        sell_price_per_kwh=sell[None, :],
        **columns,
    )


def business_batch(count: int, site_count: int) -> Batch:
    """As many businesses as a batch, each with prices of its own; the first is variant 1."""
    horizon = _horizon(count, STARTS)
    (load,), (plant,) = _business_load(horizon), _business_plant(horizon)
    price = np.maximum(day_ahead(horizon), PRICE_FLOOR)
    prices = np.stack([_varied(price, variant) for variant in range(1, site_count + 1)])

    def one(value: float) -> FloatArray:
        return np.full((1, 1), value)

    return Batch(
        horizon=horizon,
        site_count=site_count,
        load_kw=load.power_kw[None, :],
        pv_kw=plant.power_kw[None, :],
        pv_curtailable=one(1.0),
        buy_price_per_kwh=prices + ENERGY_TAX,
        sell_price_per_kwh=prices - FEED_IN_FEE,
        import_limit_kw=one(120.0),
        export_limit_kw=one(60.0),
        energy_max_kwh=one(100.0),
        initial_energy_kwh=one(50.0),
        charge_limit_kw=one(50.0),
        discharge_limit_kw=one(50.0),
        charge_efficiency=one(0.95),
        discharge_efficiency=one(0.95),
        wear_cost_per_kwh=one(0.01),
        end_energy_min_kwh=one(50.0),
    )
