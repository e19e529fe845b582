"""A bus in the general programme: its demand, and what is dumped or left unmet."""

from collections.abc import Callable

import numpy as np

from loadloom.models.dispatch.devices.heat import BusPlan, HeatBus
from loadloom.models.dispatch.programme import FACT, Programme, Rule
from loadloom.models.horizon import FloatArray


def add(programme: Programme, path: str, bus: HeatBus) -> Callable[[FloatArray], BusPlan]:
    """Adds what a bus demands, goes without and leaves over; gives the reader of its plan."""
    count, hours = programme.count, programme.hours
    demand, soft = bus.demand_kw * hours, np.isfinite(bus.breach_price_per_kwh)
    programme.demands(bus.name, demand, bus=bus.name)
    lacking = Rule(
        path=f"{path}.demand_kw",
        says=f"the demand of '{bus.name}' must be met",
        scale=hours,
        cure=f"add a source of {{by}} to '{bus.name}'",
        weight=FACT,
        beyond="lacking",
    )
    unmet = programme.columns(
        count,
        high=demand if soft else 0.0,
        cost=bus.breach_price_per_kwh if soft else 0.0,
        at_most=None if soft else lacking,
    )
    programme.draws(bus.name, unmet, -1.0, bus=bus.name)
    trapped = Rule(
        path=f"{path}.dump",
        says=f"'{bus.name}' may leave nothing over",
        scale=hours,
        cure=f"let '{bus.name}' dump {{by}}",
        weight=FACT,
        beyond="left over",
    )
    dumped = programme.columns(
        count, high=np.inf if bus.dump else 0.0, at_most=None if bus.dump else trapped
    )
    programme.draws(bus.name, dumped, bus=bus.name)

    def read(primal: FloatArray) -> BusPlan:
        off, missed = (np.maximum(primal[columns], 0.0) / hours for columns in (dumped, unmet))
        return BusPlan(dumped_kw=off, unmet_kw=missed)

    return read
