"""Units, which are the ends of column names: `load_kw`, `stored_mwh`, `buy_price_eur_per_mwh`."""

import re
from dataclasses import dataclass

POWERS = {"w": (1, 1000), "kw": (1, 1), "mw": (1000, 1), "gw": (1_000_000, 1)}
ENERGIES = {f"{unit}h": ratio for unit, ratio in POWERS.items()}
PRICES = {f"per_{unit}": (below, above) for unit, (above, below) in ENERGIES.items()}

PLAIN = ("coefficient_of_performance", "energy_efficiency_ratio", "active", "off_grid")
"""The fields of no unit."""

PRICE_NAME = re.compile(r"(?:(?P<side>.+)_)?price(?:_(?P<currency>[a-z]{3}))?_(?P<unit>per_[a-z]+)")


class UnknownUnit(ValueError):  # noqa: N818 -- it names the column's state
    """The name of a column tells no unit that fits; the message says which ones would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """How the numbers of a column become those of a field: times above, divided by below.

    A fraction of integers, since 22.39 / 1000 is 0.02239 and 22.39 * 0.001 is not.
    """

    above: int
    below: int
    currency_code: str = ""


def conversion(column: str, field: str) -> Conversion:
    """The conversion from the unit of a column to that of a field of the API.

    Raises:
        UnknownUnit: the column has no unit of the field's kind.
    """
    if field.endswith("price_per_kwh"):
        return _price(column)
    if field in PLAIN or field.endswith(("_c", "_kg_per_kwh")):
        return _as_it_is(column, field)
    units, example = (ENERGIES, "stored_kwh") if field.endswith("_kwh") else (POWERS, "load_kw")
    unit = column.lower().rpartition("_")[2]
    if unit not in units:
        known = ", ".join(f"_{name}" for name in units)
        raise UnknownUnit(f"its name must end in a unit for {field}: {known}, as {example} does")
    above, below = units[unit]
    return Conversion(above=above, below=below)


def _as_it_is(column: str, field: str) -> Conversion:
    """The conversion of what is told in one unit alone, or in none."""
    unit = next((unit for unit in ("_kg_per_kwh", "_c") if field.endswith(unit)), "")
    if not column.lower().endswith(unit):
        raise UnknownUnit(f"its name must end in the unit of {field}, {unit}")
    return Conversion(above=1, below=1)


def price_side(column: str) -> str | None:
    """What stands before "price" in a column's name, such as "buy"; None if it is no price."""
    match = PRICE_NAME.fullmatch(column.lower())
    return None if match is None else match["side"] or ""


def _price(column: str) -> Conversion:
    match = PRICE_NAME.fullmatch(column.lower())
    if match is None or match["unit"] not in PRICES:
        known = ", ".join(f"_{name}" for name in PRICES)
        raise UnknownUnit(
            f"its name must tell a price and its unit, {known}, "
            "as buy_price_per_kwh or price_eur_per_mwh do"
        )
    above, below = PRICES[match["unit"]]
    return Conversion(above=above, below=below, currency_code=(match["currency"] or "").upper())
