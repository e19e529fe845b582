"""Files of prices: what buying costs and selling earns, found by the names of their columns."""

from dataclasses import dataclass
from pathlib import Path

from loadloom.client.files.faults import InputError
from loadloom.client.files.series import SeriesReader, TimedSeries
from loadloom.client.files.tables import Table
from loadloom.client.files.units import price_side


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The series in a file of prices; `both` is a market price, that of buying and selling."""

    buy: TimedSeries | None
    sell: TimedSeries | None
    both: TimedSeries | None


def read_prices(file: Path, reader: SeriesReader) -> Prices:
    """The prices in a file: those of `buy_price_*` and `sell_price_*`, or of one other price.

    Raises:
        InputError: the file has no such columns, or more than one other price.
    """
    table = reader.table(file)
    found = {name: side for name in table.cells if (side := price_side(name)) is not None}
    buys = [name for name, side in found.items() if side.startswith("buy")]
    sells = [name for name, side in found.items() if side.startswith("sell")]
    others = [name for name in found if name not in buys + sells]
    if not (buys or others):
        raise InputError([table.fault(_no_price(table, found))])
    names = [_only(table, group) for group in (buys, sells, [] if buys else others)]
    buy, sell, both = (
        None if name is None else reader.series(file, name, "buy_price_per_kwh") for name in names
    )
    return Prices(buy=buy, sell=sell, both=both)


def _no_price(table: Table, found: dict[str, str]) -> str:
    """What is wrong with a file that has no price to buy at."""
    right = "such as price_eur_per_mwh or buy_price_per_kwh"
    nearly = [name for name in table.cells if "price" in name.lower() and name not in found]
    if nearly:
        return f"has no price in a known unit, {right}; {', '.join(nearly)} tells none"
    return f"has no column of prices, {right}; its columns are {', '.join(table.cells)}"


def _only(table: Table, names: list[str]) -> str | None:
    if len(names) > 1:
        fault = table.fault(f"has {len(names)} prices of one kind: {', '.join(names)}; keep one")
        raise InputError([fault])
    return names[0] if names else None
