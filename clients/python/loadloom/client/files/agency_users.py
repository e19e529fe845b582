"""Files of an agent's users: whose load is which curve, what they paid in advance.

    user,area,load_profile,load_scale,prepaid_eur
    bakery,north,g5-a,42.5,880.00
    foundry,south,,,

The load of a user is the curve of its `load_profile` times its `load_scale`, or the curve that is
named after the user. Amounts of money end in their currency, which is the same for all.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadloom.client.agency import Curves
from loadloom.client.agency_money import minor_digits, to_minor
from loadloom.client.files import orderly_cells as cells
from loadloom.client.files.agency_curves import curves_of_users
from loadloom.client.files.faults import InputError
from loadloom.client.files.orderly_cells import Cells, Column, told
from loadloom.client.files.series import number
from loadloom.client.files.tables import Table, read_table

NAME = "user"

AMOUNTS = ("prepaid", "fee")
"""The columns of money; their headers end in the currency."""

PRICE = "highest_price_per_kwh"

AMOUNT_HEADER = re.compile(rf"(?P<name>{'|'.join(AMOUNTS)})_(?P<currency>[a-z]{{3}})")
PRICE_HEADER = re.compile(r"highest_price_(?P<currency>[a-z]{3})_per_[a-z]+")


def _amount(text: str, decimal_comma: bool) -> Decimal:
    """The amount in a cell, digit by digit."""
    number(text, decimal_comma)  # says what is wrong with it
    return Decimal(text.replace(",", ".") if decimal_comma else text)


COLUMNS = {
    NAME: Column(parse=cells.text),
    "area": Column(parse=cells.text),
    "load_profile": Column(parse=cells.text),
    "load_scale": Column(parse=cells.real(0.0)),
    PRICE: Column(parse=cells.real(0.0), unit=True),
    **{name: Column(parse=_amount) for name in AMOUNTS},
}
"""What a table of users may say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersInput:
    """The users of a file.

    Attributes:
        curves: their load curves, in the order of the file.
        areas: the area of each; empty where none is named.
        prepaid_minor: what each paid in advance, in minor units; None without such a column.
        fees_minor: what each costs the agent beside its power, in minor units; None likewise.
        highest_price_per_kwh: the highest price of each; None likewise.
        currency_code: the currency that the headers tell; empty when they tell none.
        table: the table.
    """

    curves: Curves
    areas: tuple[str, ...]
    prepaid_minor: NDArray[np.int64] | None
    fees_minor: NDArray[np.int64] | None
    highest_price_per_kwh: NDArray[np.float64] | None
    currency_code: str
    table: Table

    @property
    def fees(self) -> NDArray[np.float64] | None:
        """What each costs the agent beside its power, in the currency; None likewise."""
        if self.fees_minor is None:
            return None
        return self.fees_minor / 10.0 ** minor_digits(self.currency_code)


def read_users(file: Path, curves: Curves) -> UsersInput:
    """The users in a file, with their curves.

    Args:
        file: the file.
        curves: the curves that users are named after, or whose profiles they have.

    Raises:
        InputError: the file cannot be used; everything that is wrong is named.
    """
    table, currency = _plain_headers(read_table(file))
    reading = Cells(table, COLUMNS)
    reading.require(NAME)
    if reading.faults:
        raise InputError(told(reading.faults))
    places = range(len(table.lines))
    names = _names(reading)
    profiles = _profiles(reading, names, curves)
    scales = [reading.value("load_scale", i) for i in places]
    digits = minor_digits(currency)
    amounts = {name: _minor(reading, name, digits) for name in AMOUNTS}
    prices = _column(reading, PRICE)
    if reading.faults:
        raise InputError(told(reading.faults))
    return UsersInput(
        curves=curves_of_users(
            names, profiles, [1.0 if scale is None else scale for scale in scales], curves
        ),
        areas=tuple(reading.text("area", i) for i in places),
        prepaid_minor=amounts["prepaid"],
        fees_minor=amounts["fee"],
        highest_price_per_kwh=prices,
        currency_code=currency,
        table=table,
    )


def _plain_headers(table: Table) -> tuple[Table, str]:
    """The table with amounts named without their currency, and the one currency of all headers."""
    renamed: dict[str, list[object]] = {}
    currencies: dict[str, str] = {}
    faults = []
    for header, column in table.cells.items():
        word = header.lower()
        amount, price = AMOUNT_HEADER.fullmatch(word), PRICE_HEADER.fullmatch(word)
        if found := amount or price:
            currencies.setdefault(found["currency"].upper(), header)
        if word in AMOUNTS:
            message = f"must end in its currency; call it {word}_eur or the like"
            faults.append(table.fault(message, column=header))
        renamed[amount["name"] if amount else header] = column
    if len(currencies) > 1:
        first, *others = currencies.items()
        faults += [
            table.fault(f"is in {code}; {first[1]} is in {first[0]}", column=header)
            for code, header in others
        ]
    if faults:
        raise InputError(faults)
    return replace(table, cells=renamed), next(iter(currencies), "")


def _names(reading: Cells) -> list[str]:
    """The names of the users, each one once."""
    names: list[str] = []
    first: dict[str, int] = {}
    for index in range(len(reading.table.lines)):
        name = reading.text(NAME, index)
        if not name:
            reading.fault("is missing", NAME, index)
        elif name in first:
            message = f"{name!r} is already in {reading.line(first[name])}"
            reading.fault(message, NAME, index)
        first.setdefault(name, index)
        names.append(name)
    return names


def _profiles(reading: Cells, names: list[str], curves: Curves) -> list[str]:
    """The name of each user's curve."""
    known = set(curves.names)
    found = []
    for index, name in enumerate(names):
        profile = reading.text("load_profile", index)
        wanted = profile or name
        if wanted not in known:
            close = get_close_matches(wanted, curves.names, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            column = "load_profile" if profile else NAME
            reading.fault(f"there is no curve {wanted!r}{hint}", column, index)
        found.append(wanted)
    return found


def _minor(reading: Cells, name: str, digits: int) -> NDArray[np.int64] | None:
    """The amounts of a column in minor units, none where cells are empty; None without it."""
    if not reading.has(name):
        return None
    amounts = np.zeros(len(reading.table.lines), np.int64)
    for index in range(len(amounts)):
        amount = reading.value(name, index)
        try:
            amounts[index] = 0 if amount is None else to_minor(amount, digits)
        except ValueError as error:
            reading.fault(str(error), name, index)
            continue
        if amounts[index] < 0:
            reading.fault(f"is {amount}; must be at least 0", name, index)
    return amounts


def _column(reading: Cells, name: str) -> NDArray[np.float64] | None:
    """The numbers of a column, which must all be there; None without it."""
    if not reading.has(name):
        return None
    values = np.zeros(len(reading.table.lines))
    for index in range(len(values)):
        value = reading.value(name, index)
        if value is None and not reading.text(name, index):
            reading.fault("is missing", name, index)
        values[index] = 0.0 if value is None else value
    return values
