"""Purchase: what to buy from which plant in each slot, so that all users' load costs least.

    minimise   sum_j cost[j] + sum_t step_h[t] * (buy[t] * bought[t] - sell[t] * sold[t])
    where      cost[j] = sum_t step_h[t] * price[j, t] * power[j, t]        by time of use
                       + sum_b,t step_h[t] * block_price[j, b] * block[j, b, t]
                       + E[j] * g_j(H * P[j] / E[j])                        by load factor
                       + capacity_price[j] * P[j]                           of its own peak
               E[j] = sum_t step_h[t] * power[j, t],  P[j] >= power[j, t]
    subject to balance           sum_j power[j, t] + bought[t] - sold[t] + discharged[t]
                                 - charged[t] = load[t]
               blocks            sum_b block[j, b, t] = power[j, t]
               power_min_kw <= power <= power_max_kw,  energy_min_kwh <= E <= energy_max_kwh
               0 <= block <= power_kw of the block, its energy over all slots <= its energy_kwh
               0 <= bought <= buy_max_kw,  0 <= sold <= sell_max_kw
               stored[t] = stored[t-1] + step_h[t] * (charge_efficiency * charged[t]
                           - discharged[t] / discharge_efficiency)
               0 <= stored <= energy_max_kwh,  stored at the end >= end_energy_min_kwh,
               charged and discharged never both above zero, nor bought and sold

It is one linear programme, since load-factor prices that are convex and never fall are the highest
of their tangents; only where energy is a burden, so that a store would waste it, does it take
binaries. The dual of `balance` is what one more kWh would cost in each slot. At these prices all
users together pay the cost and, beyond it, the rents of limits that the agent owns:

    sum_t slot_price[t] * step_h[t] * load[t] = cost + sum of rents

A limit from above earns a rent, one from below, as energy that must be taken, costs one. By duality
no coalition that can buy the same way pays less alone than its load at these prices, but for rents.
Prices of a purchase that took binaries hold with the directions of the store as found, and prove no
such thing.
"""

from dataclasses import dataclass, field
from math import inf

import numpy as np

from loadloom.models.agency.contracts import LARGEST_KWH
from loadloom.models.agency.prices import PriceSchedule
from loadloom.models.certificate import Proof
from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray, Horizon
from loadloom.solvers.termination import Termination


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A part of a plant's delivery at a price of its own, on top of the plant's other prices.

    Attributes:
        price_per_kwh: what its energy costs more.
        power_kw: the most of it in a slot.
        energy_kwh: the most of it over all slots.
    """

    price_per_kwh: float
    power_kw: float = inf
    energy_kwh: float = inf


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A plant or a contract with one; every price adds up.

    Attributes:
        name: how answers call it.
        price_per_kwh: by time of use, one number, (), or one a slot, (T,).
        schedule: a price by the load factor of what this plant delivers; convex in 1 / load factor
            and never falling.
        capacity_price_per_kw: for each kW of the highest power of the horizon.
        blocks: the parts of its delivery, cheapest first; without any it is one part.
        power_max_kw, power_min_kw: the most and the least power, () or (T,).
        energy_max_kwh, energy_min_kwh: the most and the least energy of the horizon.
    """

    name: str
    price_per_kwh: FloatArray = field(default_factory=lambda: np.zeros(()))
    schedule: PriceSchedule | None = None
    capacity_price_per_kw: float = 0.0
    blocks: tuple[Block, ...] = ()
    power_max_kw: FloatArray = field(default_factory=lambda: np.full((), inf))
    power_min_kw: FloatArray = field(default_factory=lambda: np.zeros(()))
    energy_max_kwh: float = inf
    energy_min_kwh: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A market in which energy is bought and sold by the slot; each column is () or (T,).

    `sell_price_per_kwh` must nowhere be above `buy_price_per_kwh`.
    """

    buy_price_per_kwh: FloatArray
    sell_price_per_kwh: FloatArray = field(default_factory=lambda: np.zeros(()))
    buy_max_kw: FloatArray = field(default_factory=lambda: np.full((), inf))
    sell_max_kw: FloatArray = field(default_factory=lambda: np.zeros(()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A store that the agent owns. Powers are those at its connection, efficiencies 0..1."""

    energy_max_kwh: float
    charge_max_kw: float
    discharge_max_kw: float
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    initial_energy_kwh: float = 0.0
    end_energy_min_kwh: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PurchaseProblem:
    """A purchase that is asked for, valid once made.

    Attributes:
        horizon: the T slots.
        load_kw: what all users draw together, (T,).
        plants: those that can deliver.
        spot: a market, or None.
        store: a store, or None.

    Raises:
        InvalidProblem: data that breaks a rule, all of it named by paths.
    """

    horizon: Horizon
    load_kw: FloatArray
    plants: tuple[Plant, ...]
    spot: Spot | None = None
    store: Store | None = None

    def __post_init__(self) -> None:
        checks = Checks()
        load = np.asarray(self.load_kw, dtype=np.float64)
        object.__setattr__(self, "load_kw", load)
        if checks.length("load_kw", load, self.horizon.count):
            checks.numbers("load_kw", load, low=0.0)
        some = bool(self.plants) or self.spot is not None
        checks.require(some, "plants", "is empty; must hold a plant where there is no spot market")
        checks.distinct("plants", [plant.name for plant in self.plants])
        for index, plant in enumerate(self.plants):
            _check_plant(checks, f"plants[{index}]", plant, self.horizon.count)
        if self.spot is not None:
            _check_spot(checks, self.spot, self.horizon.count)
        if self.store is not None:
            _check_store(checks, self.store)
        checks.finish()

    def column(self, values: FloatArray | float) -> FloatArray:
        """One value for each slot, (T,)."""
        return np.broadcast_to(np.asarray(values, dtype=np.float64), (self.horizon.count,))


def _column(
    checks: Checks, path: str, values: FloatArray, count: int, **limits: float | bool
) -> bool:
    array = np.asarray(values, dtype=np.float64)
    good = array.shape in ((), (count,))
    checks.require(good, path, f"has {array.size} values; must have 1 or {count}")
    return good and checks.numbers(path, array, **limits)  # pyright: ignore[reportArgumentType] -- its own keywords


def _check_plant(checks: Checks, path: str, plant: Plant, count: int) -> None:
    checks.require(bool(plant.name), f"{path}.name", "is empty; must be a name")
    _column(checks, f"{path}.price_per_kwh", plant.price_per_kwh, count)
    good = _column(
        checks, f"{path}.power_max_kw", plant.power_max_kw, count, low=0.0, infinite=True
    )
    if good and _column(checks, f"{path}.power_min_kw", plant.power_min_kw, count, low=0.0):
        ordered = bool(np.all(np.asarray(plant.power_min_kw) <= plant.power_max_kw))
        checks.require(ordered, f"{path}.power_min_kw", "must nowhere be above power_max_kw")
    checks.numbers(f"{path}.capacity_price_per_kw", plant.capacity_price_per_kw, low=0.0)
    high, energy = LARGEST_KWH, plant.energy_max_kwh
    good = checks.numbers(f"{path}.energy_max_kwh", energy, low=0.0, high=high, infinite=True)
    least = plant.energy_min_kwh
    if checks.numbers(f"{path}.energy_min_kwh", least, low=0.0, high=high) and good:
        ordered = least <= energy
        checks.require(ordered, f"{path}.energy_min_kwh", "must not be above energy_max_kwh")
    if plant.schedule is not None and not plant.schedule.is_stable:
        why = "; ".join(plant.schedule.reasons)
        message = f"must be convex in 1/load factor and never fall ({why})"
        checks.require(False, f"{path}.schedule", message)
    for number, block in enumerate(plant.blocks):
        here = f"{path}.blocks[{number}]"
        checks.numbers(f"{here}.price_per_kwh", block.price_per_kwh)
        checks.numbers(f"{here}.power_kw", block.power_kw, low=0.0, infinite=True)
        energy = block.energy_kwh
        checks.numbers(f"{here}.energy_kwh", energy, low=0.0, high=high, infinite=True)
        dearer = number == 0 or block.price_per_kwh >= plant.blocks[number - 1].price_per_kwh
        message = "is below that of the block before; cheaper blocks come first"
        checks.require(dearer, f"{here}.price_per_kwh", message)


def _check_spot(checks: Checks, spot: Spot, count: int) -> None:
    good = _column(checks, "spot.buy_price_per_kwh", spot.buy_price_per_kwh, count)
    good &= _column(checks, "spot.sell_price_per_kwh", spot.sell_price_per_kwh, count)
    limits = {"low": 0.0, "infinite": True}
    _column(checks, "spot.buy_max_kw", spot.buy_max_kw, count, **limits)
    sells = _column(checks, "spot.sell_max_kw", spot.sell_max_kw, count, **limits)
    if good and sells:
        apart = np.asarray(spot.sell_price_per_kwh) <= spot.buy_price_per_kwh
        apart = apart | (np.asarray(spot.sell_max_kw) == 0.0)
        message = "must not be above buy_price_per_kwh where anything can be sold"
        checks.require(bool(np.all(apart)), "spot.sell_price_per_kwh", message)


def _check_store(checks: Checks, store: Store) -> None:
    for name in ("energy_max_kwh", "charge_max_kw", "discharge_max_kw"):
        checks.numbers(f"store.{name}", getattr(store, name), low=0.0)
    for name in ("charge_efficiency", "discharge_efficiency"):
        checks.numbers(f"store.{name}", getattr(store, name), low=1e-3, high=1.0)
    for name in ("initial_energy_kwh", "end_energy_min_kwh"):
        checks.numbers(f"store.{name}", getattr(store, name), low=0.0, high=store.energy_max_kwh)


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchasePlan:
    """What is bought: plants by row (J, T), their blocks (B, T), and columns (T,).

    `block_kw` has no rows for a plant without blocks; `energy_kwh` is what is stored at the end of
    each slot. Without a spot market or a store their columns are 0.
    """

    power_kw: FloatArray
    block_kw: tuple[FloatArray, ...]
    spot_buy_kw: FloatArray
    spot_sell_kw: FloatArray
    charge_kw: FloatArray
    discharge_kw: FloatArray
    energy_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Rent:
    """What a limit earns its owner at the prices of slots, or costs, where it is from below."""

    source: str
    rule: str
    amount: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseConflict:
    """A rule that cannot be kept with the others, over a run of slots.

    `amount` is the energy by which it gives way in the least change that cures the whole, `peak_kw`
    the most in one slot, 0 for a rule of the whole horizon.
    """

    source: str
    rule: str
    slot: int
    slot_count: int
    amount_kwh: float
    peak_kw: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseSolution:
    """How the solve ended, and the plan if there is one.

    Attributes:
        termination: its objective is the cost, F1.
        proof: the kind of argument behind the bound.
        slot_price_per_kwh: what one more kWh would cost in each slot, (T,).
        rents: what limits earn beyond the cost; only those that bind.
        conflicts: what cannot be kept, where nothing is feasible.
    """

    termination: Termination
    proof: Proof = Proof.NONE
    plan: PurchasePlan | None = None
    slot_price_per_kwh: FloatArray | None = None
    rents: tuple[Rent, ...] = ()
    conflicts: tuple[PurchaseConflict, ...] = ()

    @property
    def cost(self) -> float:
        """What all of it costs, F1; inf without a plan."""
        return self.termination.objective

    @property
    def rent(self) -> float:
        """What the slot prices bring in above the cost."""
        return sum(rent.amount for rent in self.rents)
