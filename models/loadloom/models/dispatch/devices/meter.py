"""The connection to the grid with its tariff, and what is only counted behind it.

demand charge  sum over tiers of price_per_kw * (the peak's part from the tier's start to the
               next one's), less the same of the peak already reached
carbon         intensity * import, priced and capped; fuels of units count too
commitment     more_price * max(0, exchange - committed) + less_price * max(0, committed -
               exchange), exchange being import less export
island         no exchange in its intervals, and in them a reserve: power that storages and
               running units could give besides for `reserve_h`, storages out of what they hold
               at either end of the interval; ramps and limits of circuits are no part of it
circuit        what its devices and the circuits below it draw or give in sum, within limits
"""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from loadloom.models.checks import Checks
from loadloom.models.horizon import FloatArray, Horizon

BoolArray = NDArray[np.bool_]

MOST_KG_PER_KWH, MOST_PRICE_PER_KG = 1e3, 1e6
"""More than any fuel emits and anyone pays for it; together no more than any price of a kWh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A part of a demand charge: the price of each kW of the peak above `from_kw`."""

    from_kw: float
    price_per_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandCharge:
    """A charge on the highest import of some intervals, given as a mask of shape (count,).

    The tiers begin at 0 and rise in `from_kw`; their prices may rise or fall. Only what is added to
    the charge of the peak already reached is counted.
    """

    name: str
    intervals: BoolArray
    tiers: tuple[Tier, ...]
    reached_peak_kw: float = 0.0

    def cost(self, peak_kw: float) -> float:
        """What a peak of the horizon adds to the charge."""
        return self.total(max(peak_kw, self.reached_peak_kw)) - self.total(self.reached_peak_kw)

    def total(self, peak_kw: float) -> float:
        """The whole charge of a peak."""
        ends = [tier.from_kw for tier in self.tiers[1:]] + [np.inf]
        return sum(
            tier.price_per_kw * max(0.0, min(peak_kw, end) - tier.from_kw)
            for tier, end in zip(self.tiers, ends, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Carbon:
    """What the grid's energy emits, shape (count,), the price of it and the most there may be."""

    intensity_kg_per_kwh: FloatArray
    price_per_kg: float = 0.0
    cap_kg: float = np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """An exchange promised a day ahead, and what a kWh more or less costs; shapes (count,)."""

    committed_kw: FloatArray
    more_price_per_kwh: FloatArray
    less_price_per_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Island:
    """Intervals without grid, a mask of shape (count,), and the reserve in kW (count,) in them.

    Whenever in such an interval the reserve is called, what storages hold must last for
    `reserve_h`. Whether units ramp up in time, and circuits let it through, is not asked.
    """

    intervals: BoolArray
    reserve_kw: FloatArray
    reserve_h: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Circuit:
    """Devices, named, that share limits of shape (count,) with the circuits whose parent it is."""

    name: str
    devices: tuple[str, ...]
    import_limit_kw: FloatArray
    export_limit_kw: FloatArray
    parent: str = ""
    breach_price_per_kwh: float = inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """The connection to the grid; every array has shape (count,), a limit of inf is none.

    With a breach price a limit may be passed at that price for each kWh beyond it.
    """

    buy_price_per_kwh: FloatArray
    sell_price_per_kwh: FloatArray
    import_limit_kw: FloatArray
    export_limit_kw: FloatArray
    currency_code: str = ""
    import_breach_price_per_kwh: float = inf
    export_breach_price_per_kwh: float = inf
    demand_charges: tuple[DemandCharge, ...] = ()
    carbon: Carbon | None = None
    commitment: Commitment | None = None
    island: Island | None = None
    circuits: tuple[Circuit, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether it has prices and hard limits only."""
        soft = min(self.import_breach_price_per_kwh, self.export_breach_price_per_kwh) < inf
        parts = (self.demand_charges, self.carbon, self.commitment, self.island, self.circuits)
        return not soft and not any(parts)

    def check(self, checks: Checks, path: str, horizon: Horizon) -> None:
        """Notes every rule that the meter's own data break."""
        count = horizon.count
        for name in ("buy_price_per_kwh", "sell_price_per_kwh"):
            _series(checks, f"{path}.{name}", getattr(self, name), count)
        for name in ("import_limit_kw", "export_limit_kw"):
            _limit(checks, f"{path}.{name}", getattr(self, name), count)
        for name in ("import_breach_price_per_kwh", "export_breach_price_per_kwh"):
            checks.breach_price(f"{path}.{name}", getattr(self, name))
        checks.distinct(f"{path}.demand_charges", [charge.name for charge in self.demand_charges])
        for index, charge in enumerate(self.demand_charges):
            _check_charge(checks, f"{path}.demand_charges[{index}]", charge, count)
        self._check_parts(checks, path, count)
        self._check_circuits(checks, f"{path}.circuits", count)

    def _check_parts(self, checks: Checks, path: str, count: int) -> None:
        if carbon := self.carbon:
            name = f"{path}.carbon.intensity_kg_per_kwh"
            intensity = carbon.intensity_kg_per_kwh
            if checks.length(name, intensity, count):
                checks.numbers(name, intensity, low=0.0, high=MOST_KG_PER_KWH)
            price, most = carbon.price_per_kg, MOST_PRICE_PER_KG
            checks.numbers(f"{path}.carbon.price_per_kg", price, low=0.0, high=most)
            checks.numbers(f"{path}.carbon.cap_kg", carbon.cap_kg, low=0.0, infinite=True)
        if promise := self.commitment:
            _series(checks, f"{path}.commitment.committed_kw", promise.committed_kw, count)
            for name in ("more_price_per_kwh", "less_price_per_kwh"):
                _series(checks, f"{path}.commitment.{name}", getattr(promise, name), count, low=0.0)
        if island := self.island:
            _mask(checks, f"{path}.island.intervals", island.intervals, count)
            _series(checks, f"{path}.island.reserve_kw", island.reserve_kw, count, low=0.0)
            checks.numbers(f"{path}.island.reserve_h", island.reserve_h, low=0.0, high=8_784.0)

    def _check_circuits(self, checks: Checks, path: str, count: int) -> None:
        names = {circuit.name for circuit in self.circuits}
        checks.distinct(path, [circuit.name for circuit in self.circuits])
        for index, circuit in enumerate(self.circuits):
            place = f"{path}[{index}]"
            for name in ("import_limit_kw", "export_limit_kw"):
                _limit(checks, f"{place}.{name}", getattr(circuit, name), count)
            price = circuit.breach_price_per_kwh
            checks.breach_price(f"{place}.breach_price_per_kwh", price)
            known = not circuit.parent or circuit.parent in names
            checks.require(known, f"{place}.parent", f"{circuit.parent!r} is no circuit")
        for index in _in_rings(self.circuits):
            checks.require(False, f"{path}[{index}].parent", "makes a ring of circuits")

    def circuit_members(self) -> tuple[set[str], ...]:
        """For each circuit the names of its devices and of those of the circuits below it.

        Only of a valid meter: in a ring it would not end.
        """
        parents = _parents(self.circuits)
        members = tuple(set(circuit.devices) for circuit in self.circuits)
        for circuit, above in zip(self.circuits, parents, strict=True):
            while above is not None:
                members[above].update(circuit.devices)
                above = parents[above]
        return members


def _parents(circuits: tuple[Circuit, ...]) -> list[int | None]:
    """For each circuit the place of its parent; None is the meter."""
    places = {circuit.name: place for place, circuit in enumerate(circuits)}
    return [places.get(circuit.parent) if circuit.parent else None for circuit in circuits]


def _in_rings(circuits: tuple[Circuit, ...]) -> list[int]:
    """The circuits from which the way up never comes to the meter."""
    parents = _parents(circuits)
    lost: dict[int | None, bool] = {None: False}
    for place in range(len(circuits)):
        line: list[int] = []
        step: int | None = place
        while step is not None and step not in lost:
            lost[step] = True  # as long as it is not known: who comes by again is in a ring
            line.append(step)
            step = parents[step]
        lost.update(dict.fromkeys(line, lost[step]))
    return [place for place in range(len(circuits)) if lost[place]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A demand, shape (count,); up to `shed_share` of it may be left unserved at a price."""

    name: str
    power_kw: FloatArray
    shed_price_per_kwh: float = inf
    shed_share: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether it must be met as it comes."""
        return self.shed_share == 0.0

    def check(self, checks: Checks, path: str, horizon: Horizon) -> None:
        """Notes every rule that its data break."""
        _series(checks, f"{path}.power_kw", self.power_kw, horizon.count, low=0.0)
        checks.numbers(f"{path}.shed_share", self.shed_share, low=0.0, high=1.0)
        price, path = self.shed_price_per_kwh, f"{path}.shed_price_per_kwh"
        if checks.breach_price(path, price):
            checks.require(
                self.plain or price < inf, path, "is infinite; a load to shed has a price"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Photovoltaic:
    """A photovoltaic or wind forecast, shape (count,)."""

    name: str
    power_kw: FloatArray
    curtailable: bool = False

    def check(self, checks: Checks, path: str, horizon: Horizon) -> None:
        """Notes every rule that its data break."""
        _series(checks, f"{path}.power_kw", self.power_kw, horizon.count, low=0.0)


def _check_charge(checks: Checks, path: str, charge: DemandCharge, count: int) -> None:
    _mask(checks, f"{path}.intervals", charge.intervals, count)
    checks.numbers(f"{path}.reached_peak_kw", charge.reached_peak_kw, low=0.0)
    starts = [tier.from_kw for tier in charge.tiers]
    rising = bool(starts) and starts[0] == 0.0 and all(np.diff(starts) > 0.0)
    checks.require(rising, f"{path}.tiers", "must begin at 0 kW and rise")
    for index, tier in enumerate(charge.tiers):
        checks.numbers(f"{path}.tiers[{index}].from_kw", tier.from_kw, low=0.0)
        checks.numbers(f"{path}.tiers[{index}].price_per_kw", tier.price_per_kw, low=0.0)


def _series(checks: Checks, path: str, values: FloatArray, count: int, low: float = -1e9) -> None:
    if checks.length(path, values, count):
        checks.numbers(path, values, low=low)


def _limit(checks: Checks, path: str, values: FloatArray, count: int) -> None:
    if checks.length(path, values, count):
        checks.numbers(path, values, low=0.0, infinite=True)


def _mask(checks: Checks, path: str, values: BoolArray, count: int) -> None:
    good = values.shape == (count,)
    checks.require(good, path, f"has {values.size} values; must have {count}")
