"""What the files and options of `loadloom agency` say, and where faults in them stand."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from numpy.typing import ArrayLike

from loadloom.client.agency import Curves, DataSet
from loadloom.client.agency_fields import Source
from loadloom.client.command.agency_remote import Remote
from loadloom.client.command.orderly_place import own_zone
from loadloom.client.command.verbs import WRONG_INPUT, fail
from loadloom.client.errors import Violation
from loadloom.client.files.agency_curves import read_curves
from loadloom.client.files.agency_prices import PricesInput, read_prices
from loadloom.client.files.agency_users import PRICE, UsersInput, read_users
from loadloom.client.files.faults import InputError
from loadloom.client.grid import Grid

T = TypeVar("T")

ROW = re.compile(r"(?:curves|candidates)\.(?:names|areas)\[(\d+)\].*")
CELL = re.compile(
    r"(?:curves|candidates)\.load_kw(?:_float32)?(?:\.values)?\[(\d+)\](?:\[(\d+)\])?"
)
PREPAID = re.compile(r"prepaid_minor\[(\d+)\]")

OPTIONS = {
    "terms.highest_price_per_kwh": "--highest-price",
    "highest_price_per_kwh": "--highest-price",
    "terms.currency_code": "--currency",
    "currency_code": "--currency",
    "terms.profit_rate": "--profit-rate",
    "terms.rule": "--rule",
    "terms.sharing.peak_count": "--peak-count",
    "terms.sharing.peak_mode": "--peak",
    "options.time_limit": "--time-limit",
    "options.relative_gap": "--gap",
    "options.explain_users": "--explain",
    "options.bands": "--band",
    "options.rules.fills": "--fill",
    "options.rules.spike": "--spike",
    "options.rules.replace": "--replace",
    "options.rules.cut_off_time": "--cut-off",
    "options.quantiles": "--quantile",
    "request_id": "--request-id",
    "reason": "--reason",
    "title": "--title",
}
"""The options that fields of a request come from."""

PRICES = ("price", "plants", "contracts", "purchase", "options.price")
"""The fields of a request that come from the file of prices."""


class Reading(NamedTuple):
    """The files of load curves and users, the zone of their times, and whether a server has them.

    With `remote` the path of the curves is one below a root of the server.
    """

    curves: Path | None
    users: Path | None
    time_zone: str | None
    remote: Remote | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The users, their curves and the prices that files say.

    Attributes:
        reading: the files.
        source: the curve of each user, or the files of the server that have them.
        users: what a file says of the users; None without one.
        prices: what is bought at; None without a file.
        currency_code: the one currency of all; empty when none is named.
    """

    reading: Reading
    source: Source
    users: UsersInput | None = None
    prices: PricesInput | None = None
    currency_code: str = ""
    groups: tuple[str, ...] = field(default=())

    @property
    def curves(self) -> Curves:
        """The curve of each user.

        Raises:
            TypeError: a server has them.
        """
        if not isinstance(self.source, Curves):
            raise TypeError("the curves are in files of the server")
        return self.source

    @property
    def grid(self) -> Grid:
        """The intervals."""
        return self.source.grid if isinstance(self.source, DataSet) else self.curves.grid

    def trace(self, violation: Violation) -> str:
        """What the server found, at the place in the files or the option that it comes from."""
        path = violation.path
        if self.reading.remote is not None and path.startswith(("data_set", "grid")):
            return self.reading.remote.trace(str(self.reading.curves), violation)
        if (found := PREPAID.fullmatch(path)) and self.users is not None:
            index = int(found[1])
            return str(self.users.table.fault(violation.message, column="prepaid", index=index))
        if found := ROW.fullmatch(path) or CELL.match(path):
            return self._of_user(int(found[1]), violation)
        told = self.users is not None and self.users.highest_price_per_kwh is not None
        if told and path.partition("[")[0].endswith("highest_price_per_kwh"):
            return f"{self.reading.users} ({PRICE}): {violation.message}"
        if self.prices is not None and path.startswith(PRICES):
            return str(self.prices.fault(path.removeprefix("options."), violation.message))
        for start, option in OPTIONS.items():
            if path.startswith(start):
                return f"{option}: {violation.message}"
        if path.startswith(("curves", "candidates", "grid")):
            return f"{self.reading.curves} ({path}): {violation.message}"
        return str(violation)

    def highest_price(self, said: float | None) -> ArrayLike:
        """The highest price of each user; ends the program if there is none, or if there are two.

        That of the option holds for all; otherwise the file of users tells it.
        """
        found = None if self.users is None else self.users.highest_price_per_kwh
        if said is not None and found is not None:
            told = f"--highest-price: {self.reading.users} has one for each user; keep one of them"
            raise fail(WRONG_INPUT, told)
        if said is not None:
            return said
        if found is None:
            told = "--highest-price is missing; give it, or a column highest_price_..._per_kwh"
            raise fail(WRONG_INPUT, told)
        return found

    def _of_user(self, index: int, violation: Violation) -> str:
        """A fault in the row of a user, or in a cell of its curve."""
        if self.users is not None:
            fault = self.users.table.fault(violation.message, column="user", index=index)
            return str(fault)
        name = self.curves.names[index] if index < len(self.curves.names) else "?"
        return f"{self.reading.curves} ({name}): {violation.message}"


def read(
    reading: Reading, prices: Path | None = None, *, currency: str = "", gaps: bool = False
) -> Pool:
    """What the files say; ends the program if they cannot be used, with all that is wrong."""
    if reading.remote is not None:
        return _read_remote(reading, reading.remote, prices, currency)
    files = filter(None, (reading.curves, reading.users, prices))
    if absent := [file for file in files if not file.exists()]:
        raise fail(WRONG_INPUT, *(f"{file}: is not there" for file in absent))
    if reading.curves is None:
        raise fail(WRONG_INPUT, f"--users {reading.users}: needs --curves")
    zone = _zone(reading)
    faults: list[str] = []
    said = None if prices is None else _tried(lambda: read_prices(prices), faults)
    source = reading.curves
    curves = _tried(lambda: read_curves(source, zone, gaps=gaps), faults)
    found = None
    if reading.users is not None and curves is not None:
        file, known = reading.users, curves
        found = _tried(lambda: read_users(file, known), faults)
    code = _currency(reading, prices, said, found, currency, faults)
    if faults or curves is None:
        raise fail(WRONG_INPUT, *faults)
    if found is not None:
        areas = found.areas if any(found.areas) else ()
        curves = replace(found.curves, areas=areas)
    return Pool(
        reading=reading,
        source=curves,
        users=found,
        prices=said,
        currency_code=code,
        groups=curves.areas,
    )


def source_of(reading: Reading) -> tuple[Callable[[Grid], Source], Callable[[Violation], str]]:
    """What gives curves whose grid is known elsewhere, and what tells where faults in them stand.

    It ends the program if they cannot be used.
    """
    remote = reading.remote
    if remote is None:
        pool = read(reading)
        return lambda _: pool.source, pool.trace
    path = (reading.curves or Path()).as_posix()
    return lambda grid: remote.data_set(path, grid.time_zone, grid), partial(remote.trace, path)


def _read_remote(reading: Reading, remote: Remote, prices: Path | None, currency: str) -> Pool:
    """The files of a server, and what the file of prices here says."""
    if reading.users is not None:
        told = "--users: does not go with --root, as the users are known to the server alone"
        raise fail(WRONG_INPUT, told)
    said = None if prices is None else price_alone(prices)
    source = remote.data_set((reading.curves or Path()).as_posix(), _zone(reading))
    faults: list[str] = []
    code = _currency(reading, prices, said, None, currency, faults)
    if faults:
        raise fail(WRONG_INPUT, *faults)
    return Pool(reading=reading, source=source, prices=said, currency_code=code)


def cut_off(reading: Reading, said: str | None) -> datetime | None:
    """The instant after which readings are late; ends the program if it is none, or here."""
    if said is None:
        return None
    if reading.remote is None:
        told = "--cut-off: for curves below a --root of the server alone, with a column of arrivals"
        raise fail(WRONG_INPUT, told)
    return reading.remote.moment("--cut-off", said, _zone(reading))


def _zone(reading: Reading) -> str:
    """The zone of times; ends the program if there is none of the name."""
    zone = reading.time_zone or own_zone()
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        told = f"--time-zone: is {zone!r}; must be an IANA zone, such as Asia/Shanghai"
        raise fail(WRONG_INPUT, told) from None
    return zone


def price_alone(file: Path) -> PricesInput:
    """The prices in a file; ends the program if it cannot be used."""
    if not file.exists():
        raise fail(WRONG_INPUT, f"{file}: is not there")
    try:
        return read_prices(file)
    except InputError as error:
        raise fail(WRONG_INPUT, *map(str, error.faults)) from None


def _tried(read_file: Callable[[], T], faults: list[str]) -> T | None:
    try:
        return read_file()
    except InputError as error:
        faults += map(str, error.faults)
        return None


def _currency(
    reading: Reading,
    prices: Path | None,
    said: PricesInput | None,
    found: UsersInput | None,
    option: str,
    faults: list[str],
) -> str:
    """The one currency of the option and the files; a mix is noted."""
    named = {
        "--currency": option.upper(),
        str(prices): "" if said is None else said.currency_code,
        str(reading.users): "" if found is None else found.currency_code,
    }
    known = {where: code for where, code in named.items() if code}
    if len(set(known.values())) > 1:
        told = ", ".join(f"{where} in {code}" for where, code in known.items())
        faults.append(f"the amounts are in different currencies: {told}")
    return next(iter(known.values()), "")
