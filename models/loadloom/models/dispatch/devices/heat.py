"""A bus on which heat, or cold, is balanced in every interval.

    minimise   sum_t breach_price * unmet[t] * step_h[t]
    subject to what units and tanks give - what tanks and rooms take
                   = demand[t] - unmet[t] + dumped[t]
               0 <= unmet <= demand,  dumped >= 0

Only a bus with a finite breach price leaves demand unmet, and only one that may dump lets heat go.
A tank is a storage on a bus. What is cold on a bus is drawn and given like heat.
"""

from collections.abc import Collection
from dataclasses import dataclass
from math import inf

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray, Horizon


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatBus:
    """A bus with its demand, shape (count,).

    Surplus may be `dump`ed or not; each kWh of demand unmet costs `breach_price_per_kwh`; inf lets
    none be unmet.
    """

    name: str
    demand_kw: FloatArray
    dump: bool = False
    breach_price_per_kwh: float = inf

    def check(self, checks: Checks, path: str, horizon: Horizon, _: Collection[str]) -> None:
        """Notes what is wrong with a bus."""
        checks.require(self.name != "", f"{path}.name", "is empty; a bus must have a name")
        if checks.length(f"{path}.demand_kw", self.demand_kw, horizon.count):
            checks.numbers(f"{path}.demand_kw", self.demand_kw, low=0.0)
        checks.breach_price(f"{path}.breach_price_per_kwh", self.breach_price_per_kwh)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusPlan:
    """What is left of a bus: heat dumped and demand unmet, each (count,)."""

    dumped_kw: FloatArray
    unmet_kw: FloatArray
