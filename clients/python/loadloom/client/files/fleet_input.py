"""What the files of a fleet say, over one grid, and where in them a fault of the server stands."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from loadloom.client.errors import Violation
from loadloom.client.files.alignment import Span, common_grid, rows, sample
from loadloom.client.files.faults import Fault, InputError
from loadloom.client.files.fleet_network import NetworkInput, limited, read_limits, read_network
from loadloom.client.files.fleet_sites import MixedRow, SitesInput, read_sites
from loadloom.client.files.prices import read_prices
from loadloom.client.files.series import SeriesReader, TimedSeries, one_instant
from loadloom.client.files.site_input import SiteInput, read_input
from loadloom.client.fleet_parts import FleetSite, FleetSites, Node, Scaled
from loadloom.client.grid import Grid

BUY, SELL = "buy_price_per_kwh", "sell_price_per_kwh"

CELL = re.compile(r"sites\.columns\.(\w+)\[(\d+)(?:,(\d+))?\]")
FACTOR = re.compile(r"sites\.shared_rows\[(\d+)\]\.factors\[(\d+)\]")
OF_SITE = re.compile(r"sites\.(nodes|names)\[(\d+)\]")
OF_MIXED = re.compile(r"mixed_sites\[(\d+)\]\.site(?:\.(.*))?")
OF_NODE = re.compile(r"nodes\[(\d+)\](?:\.(\w+))?(?:\[(\d+)\])?")
"""The paths of faults that stand in a file."""

HEADERS = {"nodes": "node", "names": "site", "name": "node"}
"""The columns of files that have another name than the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFiles:
    """The files of a fleet, and the horizon if it is not that of the prices."""

    sites: Path
    network: Path
    prices: Path
    profiles: Path | None
    limits: Path | None
    start: datetime | None
    end: datetime | None
    zone: ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetInput:
    """A fleet over its grid.

    Attributes:
        sites: the sites in columns; None if there are none. `mixed_sites` are all others.
        nodes: the network.
        grid: the intervals.
        currency_code: that of all prices.
        used: the columns of the file of prices that were taken, and for what.
        said: the sites as their file says them; `network` the same of nodes.
        mixed: the same of each mixed site.
        series: the prices, by the column of sites.
    """

    sites: FleetSites | None
    mixed_sites: list[FleetSite]
    nodes: list[Node]
    grid: Grid
    currency_code: str
    used: tuple[str, ...]
    said: SitesInput
    network: NetworkInput
    mixed: list[SiteInput]
    series: Mapping[str, TimedSeries]

    def fault(self, violation: Violation) -> Fault | None:
        """A fault that the server found, at the place in a file that it comes from, if any."""
        path, message = violation.path, violation.message
        if found := CELL.fullmatch(path):
            return self._cell(found[1], int(found[2]), int(found[3] or 0), message)
        if found := FACTOR.fullmatch(path):
            name = self.shared[int(found[1])]
            return self.said.fault(name, int(found[2]), message)
        if found := OF_SITE.fullmatch(path):
            return self.said.fault(HEADERS[found[1]], int(found[2]), message)
        if found := OF_MIXED.fullmatch(path):
            place = int(found[1])
            if found[2]:
                return self.mixed[place].fault(found[2], message)
            return self.said.row_fault("site_file", self.said.mixed[place].row, message)
        if found := OF_NODE.fullmatch(path):
            return self.network.fault(HEADERS.get(found[2], found[2]), int(found[1]), message)
        return None

    @property
    def shared(self) -> list[str]:
        """The columns whose rows sites share, in the order of the request."""
        columns = self.sites.columns if self.sites is not None else {}
        return [name for name, each in columns.items() if isinstance(each, Scaled)]

    def _cell(self, name: str, row: int, interval: int, message: str) -> Fault:
        if name in self.series:
            series = self.series[name]
            index = int(rows(series, self.grid)[interval])
            return series.table.fault(message, column=series.column, index=index)
        column = None if self.sites is None else self.sites.columns.get(name)
        if isinstance(column, Scaled):  # the row is that of a profile: told at its first site
            row = int(np.flatnonzero(np.asarray(column.which) == row)[0])
            name = self.said.profile_column(name, row)
        return self.said.fault(name, row, message)


def read_fleet(files: FleetFiles) -> FleetInput:
    """The fleet in files; the horizon is that of the buying price unless told otherwise.

    Times without an offset are in the zone. A market price is for buying and selling.

    Raises:
        InputError: the files cannot be used; every fault that could be found is named.
    """
    faults: list[Fault] = []
    network = said = prices = None
    try:
        prices = read_prices(files.prices, _reader(files))
    except InputError as error:
        faults += error.faults
    try:
        network = read_network(files.network)
        said = read_sites(files.sites, network.names, files.profiles, files.zone)
    except InputError as error:
        faults += error.faults
    limits = []
    if files.limits is not None and network is not None:
        try:
            limits = read_limits(files.limits, network, files.zone)
        except InputError as error:
            faults += error.faults
    if faults or network is None or said is None or prices is None:
        raise InputError(faults)
    buy, sell = prices.buy or prices.both, prices.sell or prices.both
    series = {name: one for name, one in ((BUY, buy), (SELL, sell)) if one is not None}
    every = [*series.values(), *said.series.values(), *(limit.series for limit in limits)]
    grid = common_grid(every, _span(series[BUY], files), files.zone.key)
    finest = min(every, key=lambda one: one.step)
    mixed = [_mixed(each, said, files, finest, grid) for each in said.mixed]
    named = zip(said.mixed, mixed, strict=True)
    return FleetInput(
        sites=_priced(said.over(grid), series, grid) if said.rows else None,
        mixed_sites=[
            FleetSite(site=replace(own.site, name=each.name), node=each.node) for each, own in named
        ],
        nodes=limited(network, limits, grid),
        grid=grid,
        currency_code=_currency_code(series, files.prices),
        used=_used(series),
        said=said,
        network=network,
        mixed=mixed,
        series=series,
    )


def _priced(sites: FleetSites, series: Mapping[str, TimedSeries], grid: Grid) -> FleetSites:
    """The sites with prices that hold for all of them."""
    prices = {name: sample(one, grid)[np.newaxis] for name, one in series.items()}
    return replace(sites, columns={**sites.columns, **prices})


def _mixed(
    row: MixedRow, said: SitesInput, files: FleetFiles, finest: TimedSeries, grid: Grid
) -> SiteInput:
    """A site with a file of its own, on the grid of the fleet.

    Raises:
        InputError: its files cannot be used, or have a finer step than those of the fleet.
    """
    found = read_input(row.file, files.prices, files.start, files.end, beside=(finest,))
    if found.grid.start != grid.start or found.grid.steps != grid.steps:
        told = (
            f"{row.file} has steps of {found.grid.steps[0]}, other files {grid.steps[0]}; give "
            "prices in the finer step"
        )
        raise InputError([said.row_fault("site_file", row.row, told)])
    return found


def _reader(files: FleetFiles) -> SeriesReader:
    """What reads the file of prices from the start to the end that was asked for."""
    return SeriesReader(files.zone, _moment(files.start, files), _moment(files.end, files))


def _moment(said: datetime | None, files: FleetFiles) -> datetime | None:
    try:
        return None if said is None else one_instant(said, files.zone)
    except ValueError as error:
        raise InputError([Fault(file=files.prices, message=f"--from, --to: {error}")]) from None


def _span(leading: TimedSeries, files: FleetFiles) -> Span:
    """The horizon."""
    start, end = _moment(files.start, files), _moment(files.end, files)
    span = Span(start=start or leading.start, end=end or leading.end)
    if span.start < span.end:
        return span
    first, last = (moment.astimezone(files.zone) for moment in (span.start, span.end))
    message = f"the horizon would begin at {first}, which is not before its end at {last}"
    raise InputError([Fault(file=leading.file, message=message, where=leading.column)])


def _currency_code(series: Mapping[str, TimedSeries], file: Path) -> str:
    """The currency of the prices, which must be one."""
    codes = sorted({one.currency_code for one in series.values() if one.currency_code})
    if len(codes) > 1:
        told = f"the prices are in different currencies: {', '.join(codes)}"
        raise InputError([Fault(file=file, message=told)])
    return codes[0] if codes else ""


def _used(series: Mapping[str, TimedSeries]) -> tuple[str, ...]:
    """The columns of prices, and what each is for."""
    uses: dict[str, list[str]] = {}
    for use, name in (("buying", BUY), ("selling", SELL)):
        if name in series:
            uses.setdefault(f"{series[name].file}, {series[name].column}", []).append(use)
    return tuple(f"{column}, for {' and '.join(use)}" for column, use in uses.items())
