# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportReturnType=false
# The stubs of pandas do not know what rows and columns of a DataFrame are.
"""A hot evening on which two transformers would be overloaded, from the forecast to the payment.

    python examples/demo.py response [--out FOLDER]

The network and the load profiles are real; where they come from is told in examples/data/NOTICE.md.
Temperatures, air conditioners, noise, offers and what customers answer are made up: from day to day
more homes have an air conditioner, and on the last evening the loads of two transformers rise above
their ratings for the first time.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.text import Text

from loadloom.client.client import Client
from loadloom.client.command import response_report as report
from loadloom.client.command.terminal import Terminal
from loadloom.client.grid import Grid
from loadloom.client.response import BaselineRule, LoadDriver
from loadloom.client.response_answers import Needs
from loadloom.client.response_charts import EventLoad, write_event_chart
from loadloom.client.response_events import Event, calls_frame

DATA = Path(__file__).resolve().parent / "data"
ZONE = "Europe/Berlin"
STEP_H, SLOTS = 0.5, 48
SEED = 20

COOLED_FROM_C, UNIT_KW_PER_DEGREE = 22.0, 0.17
"""Above this temperature an air conditioner runs; what it takes for each degree in the evening."""

AT_HOME = {0: 0.6, 7: 0.4, 16.5: 0.65, 17.5: 1.0, 20.5: 1.0, 22: 0.75, 24: 0.6}
"""The share of that which it takes at hours of the day, between which it changes evenly."""

SHARE_FIRST, SHARE_LAST = 0.55, 1.0
"""The share of the homes that will cool by the end which do on the first day and on the last."""

FEW_COOL = {"LV2.217": 0.5, "LV2.215": 1.0, "LV2.216": 1.0}
"""The share of homes that cool by the end below some transformers; elsewhere ELSEWHERE."""

ELSEWHERE = 0.6

EVENT = ("17:30", "21:30")
PRICES = (0.25, 0.6)
"""The prices per kWh that are offered, in EUR; the second halves those who do not accept."""

SAVED_SHARE, SAVED_SD = 0.75, 0.15
"""What a customer that accepts takes off the load of its air conditioner, and the spread of it."""

console = Terminal()


SHOWN = ("LV2.215/72", "LV2.215/18", "LV2.216/53", "LV2.216/47")
"""The customers whose readings are among the files, for `loadloom response settle`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evening:
    """The district over the days up to the hot evening, the last of them.

    Attributes:
        network: by node: parent, rating_kw.
        customers: by customer: node, profile, size_kw.
        load_kw: the load of each customer if nobody is called, by time.
        temperature_c: by time.
        cooling: the size of all air conditioners below each node against a usual one, by day.
        unit: the size of that of each customer on the last day; 0 for those without one.
        acceptance: the probability that each customer accepts the first price.
    """

    network: pd.DataFrame
    customers: pd.DataFrame
    load_kw: pd.DataFrame
    temperature_c: pd.Series
    cooling: pd.DataFrame
    unit: NDArray[np.float64]
    acceptance: NDArray[np.float64]

    @property
    def days(self) -> int:
        """The number of days."""
        return len(self.load_kw) // SLOTS

    def node_load_kw(self, load_kw: pd.DataFrame) -> pd.DataFrame:
        """The load of each node, those below it with it, by time."""
        return of_nodes(load_kw.T, self.network, self.customers).T


def run_response(client: Client, out: Path) -> None:
    """Runs the evening at a server, tells what comes out at each step, and writes a chart."""
    console.rule(Text("A hot evening: two transformers, 902 customers", style="bold"))
    evening, rng = district(), np.random.default_rng(SEED + 1)
    start = perf_counter()
    needs = foretold(client, evening)
    console.print(report.needs_report(needs, dict(evening.network["rating_kw"])))
    event = called(client, evening, needs)
    console.print(report.event_report(event))
    calls = calls_frame(client.list_calls(event))
    console.print(report.calls_table(calls.head(5), event.currency_code))
    said = answers(calls.iloc[::2], evening, rng)
    client.record_answers(event, said, close=True)
    event = client.retarget_event(event, reason="half of the customers answered")
    console.print(Text("\nHalf of them answered; the rest is planned anew", style="bold"))
    console.print(report.event_report(event))
    new = calls_frame(client.list_calls(event, ["pending"]))
    counts = client.record_answers(event, dict.fromkeys(new.index, "accepted"), close=True)
    console.print(Text(f"\nThe others answer: {counts}", style="bold"))
    accepted = calls_frame(client.list_calls(event, ["accepted"]))
    readings = metered(evening, event.start, event.end, accepted["asked_kw"])
    made = client.settle_event(
        event,
        readings[list(accepted.index)],
        rule=BaselineRule(method="regression"),
        temperature_c=evening.temperature_c,
    )
    seconds = perf_counter() - start
    settled = client.get_event(event)
    console.print(report.settlement_report(made, settled, client.event_payments(made)))
    told = f"forecast, called, answered, called anew, measured and paid in {seconds:.2f} s\n"
    console.print(told, style="dim")
    write_event_chart(
        event.plan,
        out / "response.png",
        dict(evening.network["parent"]),
        [load_of(evening, event, readings, node) for node in overloaded(evening)],
    )


def district() -> Evening:
    """The network, its customers and their loads, from files and what is made up."""
    rng = np.random.default_rng(SEED)
    network = pd.read_csv(DATA / "response_network.csv", index_col="node").fillna({"parent": ""})
    customers = pd.read_csv(DATA / "response_customers.csv", index_col="customer")
    profiles = pd.read_csv(DATA / "response_profiles_2016.csv.gz", index_col="time")
    times = pd.DatetimeIndex(profiles.index).tz_localize(ZONE)
    days = len(times) // SLOTS
    temperature = weather(days, rng)
    shares = customers["node"].map(FEW_COOL).fillna(ELSEWHERE).to_numpy()
    owner = rng.random(len(customers)) < shares
    last_share = np.linspace(SHARE_FIRST, SHARE_LAST, days)
    # A customer cools from the day on which the share passes its own draw.
    since = np.where(owner, np.searchsorted(last_share, rng.random(len(customers))), days)
    unit = owner * rng.uniform(0.6, 1.4, len(customers))
    cools = np.where(since[:, np.newaxis] <= np.arange(days), unit[:, np.newaxis], 0.0)
    usual_kw = np.tile(at_home(), days) * cooling_degrees(temperature) * UNIT_KW_PER_DEGREE
    running = rng.gamma(25.0, 1.0 / 25.0, (len(customers), len(times)))
    cooling_kw = usual_kw * running * np.repeat(cools, SLOTS, axis=1)
    base_kw = profiles[customers["profile"]].to_numpy().T * customers[["size_kw"]].to_numpy()
    base_kw = base_kw * rng.gamma(16.0, 1.0 / 16.0, base_kw.shape)
    return Evening(
        network=network,
        customers=customers,
        load_kw=pd.DataFrame((base_kw + cooling_kw).T, times, customers.index),
        temperature_c=pd.Series(temperature, times, name="temperature_c"),
        cooling=of_nodes(pd.DataFrame(cools, customers.index), network, customers),
        unit=unit,
        acceptance=rng.uniform(0.4, 0.8, len(customers)),
    )


def of_nodes(table: pd.DataFrame, network: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """The sums of a table's rows, one a customer, for each node with those below it."""
    sums = table.groupby(customers["node"].to_numpy()).sum()
    leaves = network.loc[sums.index, "parent"].to_numpy()
    return pd.concat([sums, sums.groupby(leaves).sum()]).loc[network.index]


def at_home() -> NDArray[np.float64]:
    """The share of its evening power that an air conditioner takes in each half hour of a day."""
    return np.interp(np.arange(SLOTS) * STEP_H, [*AT_HOME], [*AT_HOME.values()])


def cooling_degrees(temperature_c: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far it is above the temperature from which homes are cooled."""
    return np.maximum(0.0, temperature_c - COOLED_FROM_C)


def weather(days: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Temperatures: each day as warm as chance has it, hottest at 17:00, the last the hottest."""
    warmth = np.zeros(days)
    for day in range(1, days):
        warmth[day] = 0.7 * warmth[day - 1] + rng.normal(0.0, 2.6)
    highest = np.clip(27.0 + warmth, 18.0, 34.0)
    highest[-3:] = 32.0, 34.0, 36.0
    hours = np.arange(SLOTS) * STEP_H
    shape = 0.5 + 0.5 * np.cos((hours - 17.0) * 2.0 * np.pi / 24.0)
    return (highest[:, np.newaxis] - 11.0 * (1.0 - shape)).reshape(-1)


def foretold(client: Client, evening: Evening) -> Needs:
    """The needs of the last day, foretold from those before it."""
    past, ahead = slice(None, -SLOTS), slice(-SLOTS, None)
    loads = evening.node_load_kw(evening.load_kw).iloc[past]
    units = evening.cooling.to_numpy(np.float64)
    sold = LoadDriver(
        name="air conditioners", past=units[:, :-1], ahead=units[:, -1:], per_degree=True
    )
    return client.forecast_need(
        loads,
        evening.network["rating_kw"],
        temperature_c=evening.temperature_c.iloc[past],
        temperature_ahead_c=evening.temperature_c.iloc[ahead],
        drivers=[sold],
    )


def called(client: Client, evening: Evening, needs: Needs) -> Event:
    """The event for the needs, in which those with an air conditioner may be called."""
    start, end = times_of_event(evening)
    parents = list(evening.network["parent"])
    return client.create_event(
        needs.network(start, end, parents=parents, confidence=0.95),
        offers(evening, start, end),
        title="hot evening",
        currency_code="EUR",
        mean_ranking=True,
        samples=4000,
        relative_gap=0.005,
        time_limit_s=1.0,
    )


def times_of_event(evening: Evening) -> tuple[pd.Timestamp, pd.Timestamp]:
    """When the event begins, and when it ends."""
    day = evening.load_kw.index[-1].normalize()
    begin, end = (day + pd.Timedelta(f"{clock}:00") for clock in EVENT)
    return begin, end


def offers(evening: Evening, start: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """What is known of those with an air conditioner, as they may be called."""
    inside = (evening.load_kw.index >= start) & (evening.load_kw.index < end)
    usual = cooling_degrees(evening.temperature_c.to_numpy())[inside] * UNIT_KW_PER_DEGREE
    size_kw = SAVED_SHARE * evening.unit * float((usual * at_home()[inside[-SLOTS:]]).mean())
    low, high = PRICES
    columns = {
        "node": evening.customers["node"],
        "size_kw": size_kw,
        "size_sd_kw": SAVED_SD * size_kw,
        "contact_cost": 0.02,
        f"acceptance_at_{low}": evening.acceptance,
        f"acceptance_at_{high}": 0.5 + 0.5 * evening.acceptance,
    }
    return pd.DataFrame(columns)[evening.unit > 0.0]


def answers(calls: pd.DataFrame, evening: Evening, rng: np.random.Generator) -> dict[str, str]:
    """What some customers that are called answer: each as likely as it was thought to be."""
    likely = pd.Series(evening.acceptance, evening.customers.index)[calls.index].to_numpy()
    likely = np.where(calls["price_per_kwh"] > PRICES[0], 0.5 + 0.5 * likely, likely)
    accept = rng.random(len(calls)) < likely
    words = np.where(accept, "accepted", "opted out")
    return dict(zip(calls.index, words.tolist(), strict=True))


def metered(evening: Evening, start: datetime, end: datetime, asked_kw: pd.Series) -> pd.DataFrame:
    """The readings of all customers: those that accepted use less during the event, more after."""
    readings, rng = evening.load_kw, np.random.default_rng(SEED + 2)
    inside = (readings.index >= start) & (readings.index < end)
    after = np.flatnonzero(inside)[-1] + np.arange(1, 4)
    saved = asked_kw.to_numpy() * rng.normal(1.0, SAVED_SD, len(asked_kw)).clip(0.0, 1.5)
    places = readings.columns.get_indexer(asked_kw.index)
    values = readings.to_numpy().copy()
    values[np.ix_(inside, places)] -= saved
    values[np.ix_(after, places)] += 0.2 * saved  # rooms that have warmed up are cooled again
    return pd.DataFrame(np.maximum(values, 0.0), readings.index, readings.columns)


def overloaded(evening: Evening) -> list[str]:
    """The nodes whose load would be above their rating on the last day."""
    last = evening.node_load_kw(evening.load_kw).iloc[-SLOTS:].max()
    return list(last.index[last > evening.network["rating_kw"]])


def load_of(evening: Evening, event: Event, readings: pd.DataFrame, node: str) -> EventLoad:
    """The load of a node on the last day, with the event and without."""
    without, with_it = (
        evening.node_load_kw(loads)[node].iloc[-SLOTS:] for loads in (evening.load_kw, readings)
    )
    inside = np.flatnonzero((without.index >= event.start) & (without.index < event.end))
    half_hours = pd.DatetimeIndex(without.index, freq="30min")
    return EventLoad(
        title=node,
        grid=Grid.of_index(half_hours),
        without_kw=without.to_numpy(),
        with_kw=with_it.to_numpy(),
        start=int(inside[0]),
        stop=int(inside[-1]) + 1,
        limit_kw=float(evening.network.loc[node, "rating_kw"]),  # type: ignore[arg-type] -- a number
    )


def write_files(folder: Path) -> None:
    """Writes the evening as files of the command line, as they stand in examples/data.

    They are the past loads of the nodes, the temperatures, the air conditioners below each node,
    the customers who may be called, and the readings of four who save what they are asked for.
    """
    evening = district()
    days = evening.load_kw.index[::SLOTS].strftime("%Y-%m-%d")
    cooling = pd.DataFrame(evening.cooling.to_numpy().T, days, evening.cooling.index).round(2)
    cooling.to_csv(folder / "response_cooling_2016.csv", index_label="date")
    past = evening.node_load_kw(evening.load_kw).iloc[:-SLOTS].round(1)
    past.index = past.index.tz_localize(None).strftime("%Y-%m-%dT%H:%M")
    past.to_csv(folder / "response_history_2016.csv.gz", index_label="time")
    air = evening.temperature_c.round(1)
    air.index = air.index.tz_localize(None).strftime("%Y-%m-%dT%H:%M")
    air.to_csv(folder / "response_temperature_2016.csv.gz", index_label="time")
    offered = offers(evening, *times_of_event(evening)).round(3)
    offered.to_csv(folder / "response_offers.csv", index_label="customer")
    asked_kw = offered.loc[list(SHOWN), "size_kw"]
    readings = metered(evening, *times_of_event(evening), asked_kw)[list(SHOWN)].round(3)
    readings.index = readings.index.tz_localize(None).strftime("%Y-%m-%dT%H:%M")
    readings.to_csv(folder / "response_readings_2016.csv.gz", index_label="time")
