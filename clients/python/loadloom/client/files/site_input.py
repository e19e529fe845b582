"""What the files of a site say, made into a site and its grid."""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from loadloom.client.files.alignment import Span, common_grid, rows, sample
from loadloom.client.files.documents import Document, Keys, path_keys, path_text
from loadloom.client.files.entries import Entry
from loadloom.client.files.faults import Fault, InputError
from loadloom.client.files.prices import Prices, read_prices
from loadloom.client.files.series import SeriesReader, TimedSeries, one_instant, parse_time
from loadloom.client.files.site_entries import KINDS, FileColumn, times_of
from loadloom.client.files.site_file import SiteBase, read_site_file
from loadloom.client.files.windows import Window, faults, mask
from loadloom.client.grid import Grid
from loadloom.client.site import Meter, Site

METER_KEYS: Keys = ("meter",)
BUY: Keys = ("meter", "buy_price_per_kwh")
SELL: Keys = ("meter", "sell_price_per_kwh")

DEAR_PER_KWH, KNOWN = 10.0, frozenset(("", "EUR", "USD", "GBP", "CHF", "AUD", "CAD", "NZD"))
"""What a kWh costs in no usual hour in currencies of which that is known; "" is one not told."""

NEVER = datetime.max.replace(tzinfo=UTC)
"""Stands for a time that makes no sense, which is told already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteInput:
    """A site and its grid, and the document and series to which faults in them can be traced.

    `prices` says which columns of a file of prices were taken, and for what; `doubts` what in them
    is possible but unlikely.
    """

    site: Site
    grid: Grid
    document: Document
    series: Mapping[Keys, TimedSeries]
    prices: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def place(self, path: str) -> str:
        """Where the rule that a field path names stands in the site file."""
        return self.fault(path, "").place

    def fault(self, path: str, message: str) -> Fault:
        """A fault that the server found at a field path, traced to the file it comes from."""
        keys = path_keys(path.removeprefix("site."))
        series = self.series.get(keys[:-1])
        if series is None or not isinstance(keys[-1], int):
            return self.document.fault(keys, message)
        row = int(rows(series, self.grid)[keys[-1]])
        found = series.table.fault(message, column=series.column, index=row)
        return replace(found, where=f"{series.column}, {path_text(keys)}")


@dataclass(slots=True)
class Reading:
    """The reading of a site's files: the series found so far, and the faults."""

    site_file: SiteBase
    document: Document
    zone: ZoneInfo
    series: dict[Keys, TimedSeries] = field(default_factory=dict)
    prices: tuple[str, ...] = ()
    faults: list[Fault] = field(default_factory=list)

    @contextmanager
    def noting(self, named: Keys = ()) -> Iterator[None]:
        """Keeps the faults that its block finds for later.

        Those of a whole file tell where the site file names it, under `named`.
        """
        try:
            yield
        except InputError as error:
            for fault in error.faults:
                if named and fault.line is None:
                    place = self.document.fault(named, "").place
                    fault = replace(fault, message=f"{fault.message}; named in {place}")
                if fault not in self.faults:
                    self.faults.append(fault)

    def finish(self) -> None:
        """Raises InputError if there were faults."""
        if self.faults:
            raise InputError(self.faults)


def read_input(
    file: Path,
    prices: Path | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    beside: Sequence[TimedSeries] = (),
) -> SiteInput:
    """The site in a site file under the prices in a file, from `start` to `end`.

    Times without an offset are local. The horizon is that of the buying price unless told
    otherwise, and that of the first series when the price is a number. What files hold outside of
    it is of no interest. Prices in the file of prices go before those in the site file, but a
    market price is not taken for selling when the site file tells a selling price. The step is the
    finest of all series, those `beside` the site's own among them.

    Raises:
        InputError: the files cannot be used; every fault that could be found is named.
    """
    site_file, document = read_site_file(file)
    reading = Reading(site_file, document, ZoneInfo(site_file.time_zone))
    first, last = (_instant_or_none(moment, reading.zone) for moment in (start, end))
    reader = SeriesReader(reading.zone, first, last)
    for keys, column in _columns(site_file, ()):
        with reading.noting(keys):
            path = file.parent / column.file
            reading.series[keys] = reader.series(path, column.column, str(keys[-1]))
    with reading.noting():
        if prices is None:
            _check_buying_price(reading)
        else:
            _take_prices(reading, read_prices(prices, reader))
    reading.finish()
    span = _span(reading, start, end)
    grid = common_grid([*reading.series.values(), *beside], span, site_file.time_zone)
    site = _site(reading, grid)
    _check_targets(reading, site, grid)
    reading.finish()
    doubts = tuple(dict.fromkeys(_doubts(reading, site)))
    return SiteInput(
        site=site,
        grid=grid,
        document=document,
        series=reading.series,
        prices=reading.prices,
        doubts=doubts,
    )


def _instant_or_none(moment: datetime | None, zone: ZoneInfo) -> datetime | None:
    """The instant of a moment; None for one that makes no sense, which is told with the horizon."""
    try:
        return None if moment is None else one_instant(moment, zone)
    except ValueError:
        return None


def _columns(entry: Entry, keys: Keys) -> Iterator[tuple[Keys, FileColumn]]:
    """The columns of files that an entry and those below it name."""
    for name in type(entry).model_fields:
        content = getattr(entry, name)
        if isinstance(content, FileColumn):
            yield (*keys, name), content
        elif isinstance(content, Entry):
            yield from _columns(content, (*keys, name))
        elif isinstance(content, list):
            for index, item in enumerate(content):
                if isinstance(item, Entry):
                    yield from _columns(item, (*keys, name, index))


def _take_prices(reading: Reading, prices: Prices) -> None:
    """Takes the prices of a file; a market price is for selling too where no other price is."""
    selling = prices.sell
    if selling is None and reading.site_file.meter.sell_price_per_kwh is None:
        selling = prices.both
    uses: dict[str, list[str]] = {}
    for keys, use, series in (
        (BUY, "buying", prices.buy or prices.both),
        (SELL, "selling", selling),
    ):
        if series is not None:
            reading.series[keys] = series
            uses.setdefault(f"{series.file}, {series.column}", []).append(use)
    reading.prices = tuple(f"{column}, for {' and '.join(use)}" for column, use in uses.items())


def _doubts(reading: Reading, site: Site) -> Iterator[str]:
    """Prices of a kWh that look like those of a MWh."""
    for keys, price in (
        (BUY, site.meter.buy_price_per_kwh),
        (SELL, site.meter.sell_price_per_kwh),
    ):
        usual = 0.0 if price is None else float(np.median(np.abs(np.asarray(price))))
        code = site.meter.currency_code
        if usual > DEAR_PER_KWH and code in KNOWN:
            series = reading.series.get(keys)
            inside = reading.document.fault(keys, "").place
            place = inside if series is None else f"{series.file}, {series.column}"
            said = f"{usual:,.4g} {code}".strip()
            yield f"{place}: a kWh costs {said} in the middle; is it the price of a MWh?"


def _check_buying_price(reading: Reading) -> None:
    if reading.site_file.meter.buy_price_per_kwh is None:
        message = "is missing; give it here, or give a file of prices"
        raise InputError([reading.document.fault(BUY, message)])


def _span(reading: Reading, start: datetime | None, end: datetime | None) -> Span:
    leading = reading.series.get(BUY) or next(iter(reading.series.values()), None)
    if leading is None:
        message = "has no series with times, which would tell the horizon; give a file of prices"
        raise InputError([Fault(file=reading.document.file, message=message)])
    try:
        span = Span(
            start=leading.start if start is None else one_instant(start, reading.zone),
            end=leading.end if end is None else one_instant(end, reading.zone),
        )
    except ValueError as error:
        raise InputError([Fault(file=reading.document.file, message=str(error))]) from None
    if span.start < span.end:
        return span
    first = "--from" if start else f"where {leading.file} starts"
    last = "--to" if end else f"where {leading.file} ends"
    message = (
        f"the horizon would start at {_local(span.start, reading)} ({first}), which is not before "
        f"its end at {_local(span.end, reading)} ({last})"
    )
    raise InputError([Fault(file=leading.file, message=message, where=leading.column)])


def _check_targets(reading: Reading, site: Site, grid: Grid) -> None:
    """Notes every target outside of the horizon, which mostly means that prices are too short."""
    leading = reading.series.get(BUY) or next(iter(reading.series.values()))
    first, last = grid.boundaries[0], grid.boundaries[-1]
    for store, storage in enumerate(site.storages):
        for index, target in enumerate(storage.targets):
            if first < target.time <= last or target.time == NEVER:
                continue
            wanted = (target.time - grid.start) / grid.steps[0]
            there = f"{grid.count:,} intervals of {grid.steps[0]} from {first} to {last}"
            cure = f"{wanted:,.6g} would reach it" if target.time > last else "choose a later time"
            message = (
                f"{_local(target.time, reading)} is outside of the horizon, which has {there} "
                f"({leading.column} in {leading.file}, --from, --to); {cure}"
            )
            keys = ("storages", store, "targets", index, "time")
            reading.faults.append(reading.document.fault(keys, message))


def _local(moment: datetime, reading: Reading) -> str:
    return moment.astimezone(reading.zone).isoformat(" ")


def _site(reading: Reading, grid: Grid) -> Site:
    site = reading.site_file
    names = site.model_fields_set - {"meter", "time_zone"}
    return Site(meter=_meter(reading, grid), **_fields(reading, grid, site, (), names))


def _meter(reading: Reading, grid: Grid) -> Meter:
    meter = reading.site_file.meter
    said = _fields(reading, grid, meter, METER_KEYS, meter.model_fields_set)
    for keys in (BUY, SELL):
        if keys in reading.series:
            said[str(keys[-1])] = sample(reading.series[keys], grid)
    said["currency_code"] = _currency_code(reading)
    return Meter(**said)


def _fields(
    reading: Reading, grid: Grid, entry: Entry, keys: Keys, names: Set[str]
) -> dict[str, Any]:
    """Fields that an entry gives, as the data of the client have them."""
    times = times_of(KINDS[type(entry)])
    said = {}
    for name in names:
        content, where = getattr(entry, name), (*keys, name)
        if content is not None:
            read = _instant if name in times else _content
            said[name] = read(reading, grid, content, where)
    return said


def _content(reading: Reading, grid: Grid, content: object, keys: Keys) -> object:
    """What stands in a field: a column sampled, windows as a mask, entries as what they say."""
    if isinstance(content, FileColumn):
        return sample(reading.series[keys], grid)
    if isinstance(content, Entry):
        given = _fields(reading, grid, content, keys, content.model_fields_set)
        return KINDS[type(content)](**given)
    if not isinstance(content, list) or not content or not isinstance(content[0], Entry):
        return content
    if isinstance(content[0], Window):
        wrong = [
            reading.document.fault((*keys, index, *place), message)
            for index, window in enumerate(content)
            for place, message in faults(window, reading.zone)
        ]
        reading.faults += wrong
        return 0.0 if wrong else mask(content, grid, reading.zone)
    return [_content(reading, grid, item, (*keys, i)) for i, item in enumerate(content)]


def _instant(reading: Reading, _: Grid, text: str, keys: Keys) -> datetime:
    try:
        return one_instant(parse_time(text), reading.zone)
    except ValueError as error:
        reading.faults.append(reading.document.fault(keys, str(error)))
        return NEVER


def _currency_code(reading: Reading) -> str:
    """The currency of the prices, which must be one."""
    said = reading.site_file.meter.currency_code
    series = [reading.series[keys] for keys in (BUY, SELL) if keys in reading.series]
    codes = {entry.currency_code for entry in series if entry.currency_code} | {said or ""} - {""}
    if len(codes) > 1:
        message = f"the prices are in different currencies: {', '.join(sorted(codes))}"
        reading.faults.append(reading.document.fault(("meter", "currency_code"), message))
    return next(iter(codes), "")
