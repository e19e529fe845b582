"""What a plan says of rules: limits that gave way, prices of those that bind, and peaks."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from loadloom.client.grid import Grid
from loadloom.v1.dispatch_fleet_pb2 import FleetPlan
from loadloom.v1.dispatch_pb2 import DispatchPlan

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A limit that gave way at its price.

    Attributes:
        rule: the field path of the limit.
        unit: the unit of the amounts.
        starts: the start of each interval in which it gave way; empty for the whole horizon.
        amounts: the amount beyond the limit in each of them.
        cost: the cost of all of them.
        scenario: the scenario in which it gave way; empty where it is the same in all.
        text: the breach in a sentence.
    """

    rule: str
    unit: str
    starts: tuple[datetime, ...]
    amounts: tuple[float, ...]
    cost: float
    scenario: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandPeak:
    """The highest power drawn in the intervals of a demand charge, and when it is drawn first."""

    name: str
    peak_kw: float
    start: datetime


def breaches_of(plan: DispatchPlan | FleetPlan, grid: Grid) -> list[Breach]:
    """The limits that gave way in a plan."""
    return [
        Breach(
            rule=breach.rule,
            unit=breach.unit,
            starts=tuple(grid.boundaries[t] for t in breach.intervals if t >= 0),
            amounts=tuple(breach.amounts),
            cost=breach.cost,
            scenario=breach.scenario,
            text=breach.text,
        )
        for breach in plan.breaches
    ]


def demand_peaks_of(plan: DispatchPlan, grid: Grid) -> list[DemandPeak]:
    """The peaks of a plan."""
    return [
        DemandPeak(name=peak.name, peak_kw=peak.peak_kw, start=grid.boundaries[peak.interval])
        for peak in plan.demand_peaks
    ]


def limit_prices_of(plan: DispatchPlan, grid: Grid) -> "pd.DataFrame":
    """The prices of limits, a row for each rule and interval; no time stands for the horizon."""
    import pandas as pd

    rows = [
        (limit.rule, limit.unit, grid.boundaries[t] if t >= 0 else None, price)
        for limit in plan.limit_prices
        for t, price in zip(limit.intervals, limit.prices, strict=True)
    ]
    return pd.DataFrame(rows, columns=["rule", "unit", "time", "price"])
