"""Files of what an agent buys at: a price by the load factor, plants, contracts for its users.

    currency_code: EUR
    price:
      affine: {base_per_kwh: 0.05, slope_per_kwh: 0.03}
    plants:
      - name: hill
        load_factor_price: {affine: {base_per_kwh: 0.05, slope_per_kwh: 0.03}}
        power_max_kw: 3000
      - name: harbour
        price_per_kwh: 0.06
        hours:
          - {windows: 07:00-21:00, price_per_kwh: 0.12}
    contracts:
      - {name: north, price: {affine: {base_per_kwh: 0.05, slope_per_kwh: 0.03}}, peak_max_kw: 900}

Each part may be left out. `hours` are clock times of the local day with a price of their own.
Names, defaults and rules are those of the API.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field, field_validator, model_validator

from loadloom.client.agency import (
    AffinePrice,
    LoadFactorPrice,
    PiecewisePrice,
    Plant,
    PortfolioContract,
    Price,
    PurchaseBlock,
    TierPrice,
)
from loadloom.client.agency_fields import WINDOW
from loadloom.client.errors import Violation
from loadloom.client.files.documents import Document, path_keys, read_document
from loadloom.client.files.entries import Entry, validated
from loadloom.client.files.faults import Fault
from loadloom.client.grid import Grid

DAY_MINUTES = 24 * 60

PATH_WORDS = (
    (re.compile(r"\.piecewise\.points"), ".piecewise"),
    (re.compile(r"\.tiers\.tiers"), ".tiers"),
    (re.compile(r"(\.(?:piecewise|tiers)\[\d+\]).*"), r"\1"),
)
"""What a path of the API is in a file, where a message stands for a pair of numbers."""


class LineEntry(Entry):
    """A price base + slope / LF, or base - slope * LF."""

    base_per_kwh: float
    """The base, per kWh."""
    slope_per_kwh: float
    """The slope, per kWh."""


class PriceEntry(Entry):
    """A price by the load factor, of one kind."""

    affine: LineEntry | None = None
    """The price base + slope / LF."""
    piecewise: list[tuple[float, float]] | None = None
    """The price on the lines between points: pairs of 1 / LF and price."""
    load_factor: LineEntry | None = None
    """The price base - slope * LF."""
    tiers: list[tuple[float, float]] | None = None
    """The price in steps: pairs of a load factor, the first 0, and the price from it on."""

    @model_validator(mode="before")
    @classmethod
    def _pairs(cls, said: Any) -> Any:  # noqa: ANN401 -- whatever the document holds
        """Takes lists of two for pairs, as YAML has no others."""
        if not isinstance(said, dict):
            return said
        pairs = {
            name: [tuple(one) if isinstance(one, list) else one for one in said[name]]
            for name in ("piecewise", "tiers")
            if isinstance(said.get(name), list)
        }
        return {**said, **pairs}

    @model_validator(mode="after")
    def _one_kind(self) -> "PriceEntry":
        if len(self.model_fields_set) != 1:
            known = ", ".join(type(self).model_fields)
            raise ValueError(f"must have one of {known}")
        return self

    @property
    def price(self) -> Price:
        """The price as the client has it."""
        if self.affine is not None:
            return AffinePrice(**self.affine.model_dump())
        if self.load_factor is not None:
            return LoadFactorPrice(**self.load_factor.model_dump())
        if self.piecewise is not None:
            return PiecewisePrice(points=self.piecewise)
        return TierPrice(tiers=self.tiers or ())


class HoursEntry(Entry):
    """A price of some hours of the local day."""

    windows: str
    """The clock times, such as "07:00-12:00 18:00-21:00"."""
    price_per_kwh: float
    """The price in them."""

    @field_validator("windows")
    @classmethod
    def _windows(cls, said: str) -> str:
        for window in said.split():
            if WINDOW.fullmatch(window) is None:
                raise ValueError("must be windows such as 07:00-12:00, with spaces between them")
        return said

    def holds(self, minutes: np.ndarray) -> np.ndarray:
        """Whether it holds at each of some minutes of the day."""
        found = np.zeros(minutes.shape, np.bool_)
        for window in self.windows.split():
            hour, minute, end_hour, end_minute = map(int, window.replace("-", ":").split(":"))
            start, end = 60 * hour + minute, (60 * end_hour + end_minute) or DAY_MINUTES
            inside = (minutes >= start) & (minutes < end)
            found |= inside if start < end else (minutes >= start) | (minutes < end)
        return found


class BlockEntry(Entry):
    """A block of a plant."""

    price_per_kwh: float
    """The price of its energy."""
    power_limit_kw: float | None = Field(default=None, ge=0.0)
    """The most power."""
    energy_limit_kwh: float | None = Field(default=None, ge=0.0)
    """The most energy."""


class PlantEntry(Entry):
    """A plant or contract that power is bought from; all its prices add up."""

    name: str = Field(min_length=1)
    """The name."""
    price_per_kwh: float = 0.0
    """The price of energy in all other hours."""
    hours: list[HoursEntry] = Field(default_factory=list)
    """The prices of some hours of the local day."""
    power_max_kw: float | None = Field(default=None, ge=0.0)
    """The most power; no limit when left out."""
    power_min_kw: float | None = Field(default=None, ge=0.0)
    """The least power."""
    load_factor_price: PriceEntry | None = None
    """A price by the load factor of what is bought here."""
    blocks: list[BlockEntry] = Field(default_factory=list)
    """Blocks of power or energy."""
    capacity_price_per_kw: float = Field(default=0.0, ge=0.0)
    """The price of each kW of the largest power."""
    energy_min_kwh: float = Field(default=0.0, ge=0.0)
    """The least energy."""
    energy_max_kwh: float | None = Field(default=None, ge=0.0)
    """The most energy; no limit when left out."""

    def plant(self, grid: Grid) -> Plant:
        """The plant over the intervals of a grid."""
        schedule = self.load_factor_price
        return Plant(
            name=self.name,
            price_per_kwh=self._price_per_kwh(grid),
            power_max_kw=self.power_max_kw,
            power_min_kw=self.power_min_kw,
            load_factor_price=None if schedule is None else schedule.price,
            blocks=[PurchaseBlock(**block.model_dump()) for block in self.blocks],
            capacity_price_per_kw=self.capacity_price_per_kw,
            energy_min_kwh=self.energy_min_kwh,
            energy_max_kwh=self.energy_max_kwh,
        )

    def _price_per_kwh(self, grid: Grid) -> ArrayLike:
        if not self.hours:
            return self.price_per_kwh
        zone = ZoneInfo(grid.time_zone)
        local = [moment.astimezone(zone) for moment in grid.boundaries[:-1]]
        minutes = np.array([60 * moment.hour + moment.minute for moment in local])
        price = np.full(grid.count, self.price_per_kwh)
        for entry in self.hours:
            price[entry.holds(minutes)] = entry.price_per_kwh
        return price


class ContractEntry(Entry):
    """A contract to which users can be taken."""

    name: str = Field(min_length=1)
    """The name."""
    price: PriceEntry
    """The price."""
    energy_min_kwh: float = Field(default=0.0, ge=0.0)
    """The least energy."""
    energy_max_kwh: float | None = Field(default=None, ge=0.0)
    """The most energy; no limit when left out."""
    peak_max_kw: float | None = Field(default=None, ge=0.0)
    """The largest load; no limit when left out."""
    user_count_min: int = Field(default=0, ge=0)
    """The least number of users."""
    user_count_max: int | None = Field(default=None, ge=0)
    """The most users; no limit when left out."""


class PricesFile(Entry):
    """What an agent buys at."""

    currency_code: str = Field(default="", pattern="^([A-Z]{3})?$")
    """The ISO 4217 code of the currency of all prices."""
    price: PriceEntry | None = None
    """The price of what is bought, by its load factor."""
    plants: list[PlantEntry] = Field(default_factory=list)
    """The plants, among which a purchase is divided."""
    contracts: list[ContractEntry] = Field(default_factory=list)
    """The contracts, among which users are divided."""


ENTRIES: dict[str, type[Entry]] = {
    "price": PriceEntry,
    "load_factor_price": PriceEntry,
    "affine": LineEntry,
    "load_factor": LineEntry,
    "hours": HoursEntry,
    "blocks": BlockEntry,
    "plants": PlantEntry,
    "contracts": ContractEntry,
}
"""What stands under each name that has entries below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesInput:
    """What a file of prices says, and where.

    Attributes:
        price: the price of what is bought; None when there is none.
        plants: what makes the plants over a grid.
        contracts: the contracts.
        currency_code: the currency of all; empty when none is named.
        document: the document.
    """

    price: Price | None
    plants: Callable[[Grid], list[Plant]]
    contracts: list[PortfolioContract]
    currency_code: str
    document: Document

    def fault(self, path: str, message: str) -> Fault:
        """A fault at a path of a request, at its place in the file or the nearest one around it."""
        for pattern, plain in PATH_WORDS:
            path = pattern.sub(plain, path)
        return self.document.fault(path_keys(path), message)

    def trace(self, violation: Violation) -> str:
        """What a server found wrong with a request of prices alone, at its place in the file."""
        return str(self.fault(violation.path, violation.message))


def read_prices(file: Path) -> PricesInput:
    """The prices in a YAML file.

    Raises:
        InputError: the file tells none; every fault is named by line and column.
    """
    document = read_document(file)
    said = validated(document, PricesFile, ENTRIES)
    return PricesInput(
        price=None if said.price is None else said.price.price,
        plants=lambda grid: [entry.plant(grid) for entry in said.plants],
        contracts=[
            PortfolioContract(**entry.model_dump(exclude={"price"}), price=entry.price.price)
            for entry in said.contracts
        ],
        currency_code=said.currency_code,
        document=document,
    )
