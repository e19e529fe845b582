"""Site files: a site in YAML, with series in numbers, lists, or columns of other files.

    name: bakery
    time_zone: Europe/Amsterdam
    meter: {import_limit_kw: 50}
    loads:
      - {name: ovens, power_kw: {file: load.csv, column: load_kw}}
    storages:
      - {name: battery, energy_max_kwh: 100, charge_limit_kw: 50, discharge_limit_kw: 50}

Names, defaults and rules are those of the API; its ranges are checked by the server alone.
"""

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Discriminator, Field, Tag, field_validator

from loadloom.client.files.documents import Document, read_document
from loadloom.client.files.entries import Entry, validated


class FileColumn(Entry):
    """A column of a CSV or Parquet file; the end of its name is its unit, such as `_kw`."""

    file: str
    """The path of the file, from the folder of the site file."""
    column: str
    """The name of the column."""


def _kind(entry: object) -> str:
    if isinstance(entry, list):
        return "a list"
    return "a column" if isinstance(entry, (dict, FileColumn)) else "a number"


Series = Annotated[
    Annotated[float, Tag("a number")]
    | Annotated[list[float], Tag("a list")]
    | Annotated[FileColumn, Tag("a column")],
    Discriminator(_kind),
]


class MeterEntry(Entry):
    """The connection to the grid."""

    buy_price_per_kwh: Series | None = None
    """The price of a kWh drawn from the grid, unless a file of prices is given."""
    sell_price_per_kwh: Series | None = None
    """The price of a kWh fed into the grid; zero when nothing else tells it."""
    import_limit_kw: Series | None = None
    """The most that may be drawn; no limit when left out."""
    export_limit_kw: Series | None = None
    """The most that may be fed in; no limit when left out."""
    currency_code: str | None = None
    """The ISO 4217 code of all prices; that in the names of price columns when left out."""


class LoadEntry(Entry):
    """A demand that must be met as it comes."""

    name: str = ""
    """The name, unique within the site."""
    power_kw: Series
    """The power drawn."""


class PhotovoltaicEntry(Entry):
    """A photovoltaic plant."""

    name: str = ""
    """The name, unique within the site."""
    power_kw: Series
    """The power forecast."""
    curtailable: bool = False
    """Whether the plant may produce less than it could."""


class TargetEntry(Entry):
    """A range that the stored energy must be in at a time."""

    time: str
    """The time, the end of an interval, in ISO 8601; without an offset it is local time."""
    min_kwh: float | None = None
    """The least energy."""
    max_kwh: float | None = None
    """The most energy."""


class StorageEntry(Entry):
    """A battery, or any store that loses energy in the same ways."""

    name: str = ""
    """The name, unique within the site."""
    energy_max_kwh: Series
    """The most energy at the end of each interval."""
    charge_limit_kw: Series
    """The most power to charge with, at the meter side."""
    discharge_limit_kw: Series
    """The most power to discharge with, at the meter side."""
    energy_min_kwh: Series | None = None
    """The least energy at the end of each interval; zero when left out."""
    initial_energy_kwh: float = 0.0
    """The energy at the start."""
    charge_efficiency: float = 1.0
    """The share of charged energy that is stored."""
    discharge_efficiency: float = 1.0
    """The share of energy taken out that reaches the meter side."""
    self_discharge_per_h: float = 0.0
    """The share of the stored energy lost in an hour."""
    wear_cost_per_kwh: float = 0.0
    """The cost of each kWh that moves into or out of the store."""
    end_value_per_kwh: float = 0.0
    """The value of each kWh left at the end."""
    targets: list[TargetEntry] = Field(default_factory=list)
    """The ranges at given times."""


class SiteFile(Entry):
    """A site: one meter and what is behind it."""

    name: str = ""
    """The name."""
    time_zone: str
    """The IANA zone of the site, such as "Europe/Amsterdam"."""
    meter: MeterEntry = Field(default_factory=MeterEntry)
    """The connection to the grid."""
    loads: list[LoadEntry] = Field(default_factory=list)
    """The demands that must be met."""
    photovoltaics: list[PhotovoltaicEntry] = Field(default_factory=list)
    """The photovoltaic plants."""
    storages: list[StorageEntry] = Field(default_factory=list)
    """The stores."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # unknown, malformed, or the folder of a region
            raise ValueError("must be an IANA zone, such as Europe/Amsterdam") from None
        return name


ENTRIES: dict[str, type[Entry]] = {
    "": FileColumn,
    "meter": MeterEntry,
    "loads": LoadEntry,
    "photovoltaics": PhotovoltaicEntry,
    "storages": StorageEntry,
    "targets": TargetEntry,
}
"""What stands under each name that has entries below it, and under all others."""


def read_site_file(file: Path) -> tuple[SiteFile, Document]:
    """The site in a YAML file, and the document it stands in.

    Raises:
        InputError: the file is not a site file; every fault is named.
    """
    document = read_document(file)
    return validated(document, SiteFile, ENTRIES), document
