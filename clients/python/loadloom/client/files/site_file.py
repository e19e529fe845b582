"""Site files: a site in YAML, with series in numbers, lists, or columns of other files.

    name: bakery
    time_zone: Europe/Amsterdam
    meter: {import_limit_kw: 50}
    loads:
      - {name: ovens, power_kw: {file: load.csv, column: load_kw}}
    storages:
      - {name: battery, energy_max_kwh: 100, charge_limit_kw: 50, discharge_limit_kw: 50}

Names, defaults and rules are those of the API; its ranges are checked by the server alone. What
says when something holds may be windows of local time, such as `[{from: "16:00", to: "21:00"}]`.
"""

from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from loadloom.client.files.documents import Document, read_document
from loadloom.client.files.entries import Entry, validated
from loadloom.client.files.site_entries import FileColumn, Series, extended, nested
from loadloom.client.files.windows import Window
from loadloom.client.site import Meter, Site


class MeterBase(Entry):
    """What is looked for in the meter of a site file."""

    buy_price_per_kwh: Series | None = None
    """The price of a kWh drawn from the grid, unless a file of prices is given."""
    sell_price_per_kwh: Series | None = None
    """The price of a kWh fed into the grid; zero when nothing else tells it."""
    currency_code: str | None = None
    """The ISO 4217 code of all prices; that in the names of price columns when left out."""


class SiteBase(Entry):
    """What a site file says beside the devices."""

    time_zone: str
    """The IANA zone of the site, such as "Europe/Amsterdam"."""
    meter: MeterBase = Field(default_factory=MeterBase)
    """The connection to the grid."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # unknown, malformed, or the folder of a region
            raise ValueError("must be an IANA zone, such as Europe/Amsterdam") from None
        return name


MeterEntry = extended(Meter, MeterBase)
SiteFile = extended(Site, SiteBase, meter=(MeterEntry, Field(default_factory=MeterEntry)))

ENTRIES: dict[str, type[Entry]] = {"": FileColumn, **nested(SiteFile)}
ENTRIES |= {"active": Window, "off_grid": Window}
"""What stands under each name that has entries below it, and under all others."""


def read_site_file(file: Path) -> tuple[SiteBase, Document]:
    """The site in a YAML file, and the document it stands in.

    Raises:
        InputError: the file is not a site file; every fault is named.
    """
    document = read_document(file)
    return validated(document, SiteFile, ENTRIES), document
