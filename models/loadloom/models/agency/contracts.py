"""The contracts that users are bought for under, and what each lets in.

With the users of contract k, whose loads add up to A[t], energy to E and hours to H, it costs

    cost[k] = E * g(u),  u = H * P / E,  P = max_t A[t]
            = max over lines l of  per_kwh[l] * E + per_peak[l] * H * P

where the lines touch the price schedule g from below. That is so exactly if g is convex and never
falls, so other schedules are refused: under these more users can be worse than fewer.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from loadloom.models.agency.prices import PriceSchedule
from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray
from loadloom.solvers.selection.items import Bins

LARGEST_KWH = 1e12
"""The largest energy of a limit: a terawatt over a thousand hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A contract of an agent, or an agent, and its limits.

    Attributes:
        name: how answers call it.
        schedule: its price by load factor; convex in 1 / load factor and never falling.
        energy_min_kwh, energy_max_kwh: the least and the most energy of its users.
        peak_max_kw: the highest that its users' load may be.
        user_count_min, user_count_max: the fewest and the most users; None for no limit.
    """

    name: str
    schedule: PriceSchedule
    energy_min_kwh: float = 0.0
    energy_max_kwh: float = inf
    peak_max_kw: float = inf
    user_count_min: int = 0
    user_count_max: int | None = None

    @property
    def most_users(self) -> float:
        """The most users; inf without a limit."""
        return inf if self.user_count_max is None else float(self.user_count_max)


def check_contracts(checks: Checks, contracts: tuple[Contract, ...]) -> None:
    """Notes all that contracts break."""
    checks.require(bool(contracts), "contracts", "is empty; must hold at least one contract")
    checks.distinct("contracts", [contract.name for contract in contracts])
    for index, contract in enumerate(contracts):
        _check(checks, f"contracts[{index}]", contract)


def _check(checks: Checks, path: str, contract: Contract) -> None:
    checks.require(bool(contract.name), f"{path}.name", "is empty; must be a name")
    low, high = contract.energy_min_kwh, contract.energy_max_kwh
    good = checks.numbers(f"{path}.energy_min_kwh", low, low=0.0, high=LARGEST_KWH)
    good &= checks.numbers(f"{path}.energy_max_kwh", high, low=0.0, high=LARGEST_KWH, infinite=True)
    if good:
        message = f"is {low:g}; must be at most energy_max_kwh, {high:g}"
        checks.require(low <= high, f"{path}.energy_min_kwh", message)
    checks.numbers(f"{path}.peak_max_kw", contract.peak_max_kw, low=0.0, infinite=True)
    fewest, most = contract.user_count_min, contract.most_users
    message = f"is {fewest}; must be from 0 to user_count_max"
    checks.require(0 <= fewest <= most, f"{path}.user_count_min", message)
    if not contract.schedule.is_stable:
        why = "; ".join(contract.schedule.reasons)
        message = f"must be convex in 1/load factor and never fall ({why})"
        checks.require(False, f"{path}.schedule", message)


def bins_of(contracts: tuple[Contract, ...], hours: float) -> Bins:
    """The contracts as bins, whose peaks cost per kW, over a horizon of so many hours."""
    lines = [contract.schedule.supports(1.0) for contract in contracts]
    most = max(per_kwh.size for per_kwh, _ in lines)

    def column(values: list[float]) -> FloatArray:
        return np.array(values, dtype=np.float64)

    return Bins(
        per_size=np.array([_filled(per_kwh, most) for per_kwh, _ in lines]),
        per_peak=np.array([_filled(per_peak, most) * hours for _, per_peak in lines]),
        size_low=column([contract.energy_min_kwh for contract in contracts]),
        size_high=column([contract.energy_max_kwh for contract in contracts]),
        count_low=column([contract.user_count_min for contract in contracts]),
        count_high=column([contract.most_users for contract in contracts]),
        peak_high=column([contract.peak_max_kw for contract in contracts]),
    )


def _filled(values: FloatArray, count: int) -> FloatArray:
    """The values with the last repeated, as a line that stands twice changes nothing."""
    return np.append(values, np.full(count - values.size, values[-1]))
