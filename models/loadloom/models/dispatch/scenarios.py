"""What may come instead of the forecast, and how much the bad outcomes count.

    minimise (1 - weight) * sum_k probability[k] * cost[k] + weight * CVaR
    CVaR = min over x of x + sum_k probability[k] * max(0, cost[k] - x) / (1 - level)

cost[k] is what the plan costs in scenario k: devices do the same in all, the meter, curtailment and
shedding follow each. CVaR is the mean of the dearest outcomes of probability 1 - level (Rockafellar
and Uryasev, 2000, "Optimization of conditional value-at-risk").
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from loadloom.models.horizon import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What differs from the forecast: prices, or the powers of loads and plants by their names."""

    name: str
    probability: float
    buy_price_per_kwh: FloatArray | None = None
    sell_price_per_kwh: FloatArray | None = None
    loads_kw: Mapping[str, FloatArray] = field(default_factory=dict)
    photovoltaics_kw: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """How much of the objective is CVaR, from 0 to 1, and the level of it, from 0 to below 1."""

    weight: float
    level: float = 0.9

    def objective(self, probability: FloatArray, cost: FloatArray) -> float:
        """The objective of costs by scenario, shapes (scenarios,)."""
        return float((1.0 - self.weight) * (probability @ cost)) + self.weight * cvar(
            probability, cost, self.level
        )


def cvar(probability: FloatArray, cost: FloatArray, level: float) -> float:
    """The mean of the dearest outcomes of probability 1 - level."""
    order = np.argsort(-cost)
    left, tail = 1.0 - level, 0.0
    for k in order:
        part = min(left, float(probability[k]))
        tail += part * float(cost[k])
        left -= part
    return tail / (1.0 - level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One outcome: prices of shape (count,), loads (loads, count) and plants (plants, count)."""

    probability: float
    buy: FloatArray
    sell: FloatArray
    loads_kw: FloatArray
    plants_kw: FloatArray
