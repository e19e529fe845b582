"""What one more MW would cost in each slot, who would deliver it, and who can deliver no more.

The slot price is the dual of the balance. A source that delivers between its limits sets it; one at
a limit does not, and what it would have saved is the rent of that limit. In a slot of a plant's own
peak one more kW also raises what its peak costs.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from loadloom.models.agency.purchase import Plant, PurchasePlan, PurchaseProblem, PurchaseSolution
from loadloom.models.agency.words import listed
from loadloom.models.horizon import FloatArray

KWH_PER_MWH = 1_000.0

_NEARLY = 1e-6
"""Powers this near to each other, as a share of the highest load, are the same, and prices too."""


Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReason:
    """What holds from `slot` on, for `slot_count` slots.

    Attributes:
        price_per_kwh: what one more kWh costs.
        per_mw: what one more MW for all these slots costs.
        marginal: the sources between their limits.
        at_limit: those that can deliver no more, limits of the whole horizon included.
        at_peak: the plants whose own peak is in these slots and has a price.
        text: all of that in a sentence.
    """

    slot: int
    slot_count: int
    price_per_kwh: float
    per_mw: float
    marginal: tuple[str, ...]
    at_limit: tuple[str, ...]
    at_peak: tuple[str, ...]
    text: str


def slot_reasons(problem: PurchaseProblem, solution: PurchaseSolution) -> list[SlotReason]:
    """The reasons of all slots, equal neighbours joined; none without a plan and prices."""
    plan, price = solution.plan, solution.slot_price_per_kwh
    if plan is None or price is None:
        return []
    states = _states(problem, plan)
    flags = np.concatenate(list(states.values()), axis=1)
    close = _NEARLY * np.maximum(_NEARLY, np.abs(price[:-1]))
    changes = (flags[1:] != flags[:-1]).any(axis=1) | (np.abs(np.diff(price)) > close)
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), price.size]
    return [_reason(problem, states, price, *run) for run in pairwise(edges)]


def _states(problem: PurchaseProblem, plan: PurchasePlan) -> dict[str, Flags]:
    """Whether each source is between its limits, at its most, at a peak with a price: (T, 3)."""
    slack = _NEARLY * max(1.0, float(problem.load_kw.max()))
    states = {}
    for j, plant in enumerate(problem.plants):
        power = plan.power_kw[j]
        full = power >= _most(problem, plant, plan, j, slack) - slack
        low = power <= problem.column(plant.power_min_kw) + slack
        priced = plant.capacity_price_per_kw > 0.0 or _rises(plant)
        peak = priced & (power >= power.max() - slack) & (power > slack)
        states[plant.name] = np.stack((~full & ~low, full, peak), axis=1)
    if problem.spot is not None:
        bought = plan.spot_buy_kw
        full = bought >= problem.column(problem.spot.buy_max_kw) - slack
        trading = (bought > slack) & ~full | (plan.spot_sell_kw > slack)
        states["spot market"] = np.stack((trading, full & ~trading, full & False), axis=1)
    if problem.store is not None:
        moving = (plan.charge_kw > slack) | (plan.discharge_kw > slack)
        full = plan.discharge_kw >= problem.store.discharge_max_kw - slack
        states["store"] = np.stack((moving & ~full, full & moving, full & False), axis=1)
    return states


def _rises(plant: Plant) -> bool:
    """Whether a plant's price rises as its load factor falls."""
    return plant.schedule is not None and bool((plant.schedule.supports(1.0)[1] > 0.0).any())


def _most(
    problem: PurchaseProblem, plant: Plant, plan: PurchasePlan, j: int, slack: float
) -> FloatArray:
    """The most that a plant can deliver in each slot, given what it delivers in all others."""
    hours, power = problem.horizon.step_h, plan.power_kw[j]
    most = problem.column(plant.power_max_kw)
    if plan.block_kw[j].size:
        limits = np.array([block.power_kw for block in plant.blocks])
        used_up = [
            float(kw @ hours) >= block.energy_kwh - slack
            for kw, block in zip(plan.block_kw[j], plant.blocks, strict=True)
        ]
        open_kw = np.where(np.array(used_up)[:, None], plan.block_kw[j], limits[:, None])
        most = np.minimum(most, open_kw.sum(axis=0))
    if float(power @ hours) >= plant.energy_max_kwh - slack:
        most = np.minimum(most, power)
    return most


def _reason(
    problem: PurchaseProblem, states: dict[str, Flags], price: FloatArray, begin: int, end: int
) -> SlotReason:
    horizon = problem.horizon
    each = float(price[begin])
    per_mw = KWH_PER_MWH * each * float(horizon.step_h[begin:end].sum())
    marginal, at_limit, at_peak = (
        tuple(name for name, flags in states.items() if flags[begin, column]) for column in range(3)
    )
    when = f"from {horizon.clock(begin)} to {horizon.clock(end)}"
    text = f"{when} one more MW would cost {per_mw:.2f}, {each:.4f} a kWh"
    if marginal:
        text += f"; {listed(marginal, word='or')} would deliver it"
    if at_limit:
        text += f"; {listed(at_limit)} can deliver no more"
    if at_peak:
        text += f"; it is the peak of {listed(at_peak)}"
    return SlotReason(
        slot=begin,
        slot_count=end - begin,
        price_per_kwh=each,
        per_mw=per_mw,
        marginal=marginal,
        at_limit=at_limit,
        at_peak=at_peak,
        text=text,
    )
