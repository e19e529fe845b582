"""What the files of `loadloom response` say, and where in them a fault of the server stands."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from loadloom.client.agency import Curves
from loadloom.client.command.orderly_place import own_zone
from loadloom.client.command.verbs import WRONG_INPUT, fail
from loadloom.client.errors import InvalidRequest, Violation
from loadloom.client.files.agency_curves import read_curves
from loadloom.client.files.faults import InputError
from loadloom.client.files.response_customers import (
    CustomersInput,
    NetworkInput,
    read_customers,
    read_needs,
    read_network,
)
from loadloom.client.files.series import instant, numbers, parse_time, timeline, times_of
from loadloom.client.files.tables import read_table
from loadloom.client.grid import Grid
from loadloom.client.request import Times
from loadloom.client.response import LoadDriver, Network

T = TypeVar("T")

NAMED = re.compile(r"(customers|network)\.(\w+)\[(?:'(.*)'|\"(.*)\"|(\d+))\]")
"""A value in a column of customers or nodes, by its name or place."""

HEADERS = {
    "names": "customer",
    "nodes": "node",
    "groups": "group",
    "must_call": "call",
    "never_call": "call",
}
"""The columns of customers that have another name in files."""

NODE_HEADERS = {"names": "node", "parents": "parent"}

OPTIONS = {
    "budget": "--budget",
    "currency_code": "--currency",
    "grid": "--from and --to",
    "request_id": "--request-id",
    "detail.samples": "--samples",
    "answer_time": "--answer-until",
    "season": "--season",
    "options.time_limit": "--time-limit",
    "temperature": "--temperature",
    "drivers": "--driver or --cooling-driver",
    "problem.customers.fixed_payment": "--fixed-payment",
    "customers.fixed_payment": "--fixed-payment",
    "fixed_from_share": "--fixed-from-share",
    "confidence": "--confidence",
    "holidays": "--holiday",
    "readings.holidays": "--holiday",
    "readings.temperature_c": "--temperature",
    "rule": "--baseline",
}
"""The options that fields of a request come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From when to when, and by which steps, as options say it; None where they do not."""

    start: str | None = None
    end: str | None = None
    step_minutes: float | None = None
    time_zone: str | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times; ends the program if there is none of the name."""
        name = self.time_zone or own_zone()
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            told = f"--time-zone: is {name!r}; must be an IANA zone, such as Europe/Berlin"
            raise fail(WRONG_INPUT, told) from None

    @property
    def ends(self) -> tuple[datetime | None, datetime | None]:
        """The two instants; ends the program if they are none."""
        return self._moment("--from", self.start), self._moment("--to", self.end)

    def grid(self) -> Grid:
        """The intervals between them; ends the program if the options do not tell them."""
        start, end = self.ends
        if start is None or end is None:
            raise fail(WRONG_INPUT, "--from and --to are missing; without --needs they are needed")
        minutes = (end - start) / timedelta(minutes=1)
        step = minutes if self.step_minutes is None else self.step_minutes
        if minutes <= 0.0 or step <= 0.0 or minutes % step:
            told = f"--step: is {step:g} minutes; some of them must last from --from to --to"
            raise fail(WRONG_INPUT, told)
        count = int(minutes / step)
        return Grid(start=start, step=timedelta(minutes=step), count=count, time_zone=self.zone.key)

    def _moment(self, option: str, said: str | None) -> datetime | None:
        try:
            return None if said is None else instant(parse_time(said), self.zone)
        except ValueError as error:
            raise fail(WRONG_INPUT, f"{option}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetInput:
    """The question that files and options ask.

    Attributes:
        network: the nodes and their needs.
        customers: the customers.
        grid: the intervals; None where the needs tell them.
        nodes: the file of nodes; `said` that of customers.
    """

    network: Network
    said: CustomersInput
    grid: Times
    nodes: NetworkInput

    @property
    def parents(self) -> dict[str, str]:
        """The name of the node above each."""
        return dict(zip(self.nodes.names, self.nodes.parents, strict=True))

    def trace(self, violation: Violation) -> str:
        """What the server found, at the place in the files or the option that it comes from."""
        found = NAMED.fullmatch(violation.path)
        if found is None:
            return of_option(violation)
        of_customer, field = found[1] == "customers", found[2]
        table, names = self.nodes.table, list(self.nodes.names)
        headers = HEADERS if of_customer else NODE_HEADERS
        if of_customer:
            table, names = self.said.table, list(self.said.customers.names)
        name = found[3] or found[4]
        index = int(found[5]) if name is None else names.index(name)
        column = headers.get(field, field)
        if column not in table.cells:
            column = "customer" if of_customer else "node"
        return str(table.fault(violation.message, column=column, index=index))


def of_option(violation: Violation) -> str:
    """What the server found, at the option that it comes from, if there is one."""
    for start, option in OPTIONS.items():
        if violation.path.startswith(start):
            return f"{option}: {violation.message}"
    return str(violation)


def read_targets(network: Path, customers: Path, needs: Path | None, span: Span) -> TargetInput:
    """The question; ends the program if files or options cannot be used, with all that is wrong."""
    _check_there(network, customers, needs)
    nodes = tried(lambda: read_network(network))
    said = tried(lambda: read_customers(customers, nodes.names))
    confidence = nodes.confidence
    if needs is not None:
        start, end = span.ends
        need, sd = tried(lambda: read_needs(needs, nodes.names, span.zone, start, end))
        whole = Network(
            names=nodes.names,
            parents=nodes.parents,
            need_kw=need,
            need_sd_kw=sd,
            confidence=confidence,
        )
        return TargetInput(network=whole, said=said, grid=None, nodes=nodes)
    if nodes.need_kw is None:
        raise fail(WRONG_INPUT, f"{network}: has no column need_kw; give it, or --needs")
    whole = Network(
        names=nodes.names, parents=nodes.parents, need_kw=nodes.need_kw, confidence=confidence
    )
    return TargetInput(network=whole, said=said, grid=span.grid(), nodes=nodes)


def read_history(history: Path, network: Path, span: Span) -> tuple[Curves, NetworkInput]:
    """The past loads of nodes, and the nodes that have some; ends the program if it cannot."""
    _check_there(history, network)
    curves = tried(lambda: read_curves(history, span.zone.key, gaps=True))
    nodes = tried(lambda: read_network(network))
    if nodes.rating_kw is None:
        raise fail(WRONG_INPUT, f"{network}: has no column rating_kw")
    strange = [name for name in curves.names if name not in nodes.names]
    if strange:
        told = [f"{history} ({name}): there is no such node in {network}" for name in strange[:5]]
        raise fail(WRONG_INPUT, *told)
    return curves, nodes


def read_temperature(file: Path | None, zone: ZoneInfo) -> pd.Series | None:
    """The temperatures in a file by time; None without one; ends the program if it cannot."""
    if file is None:
        return None
    _check_there(file)

    def read() -> pd.Series:
        table = read_table(file)
        start, step = timeline(table, zone)
        columns = [name for name in table.cells if name != table.time_column]
        if len(columns) != 1:
            message = f"must have one column of temperatures, such as temperature_c; has {columns}"
            raise InputError([table.fault(message)])
        values = numbers(table, columns[0])
        times = pd.date_range(start, periods=len(values), freq=step).tz_convert(zone.key)
        return pd.Series(values, times)

    return tried(read)


def read_driver(
    file: Path, curves: Curves, days_ahead: int, zone: ZoneInfo, *, per_degree: bool
) -> LoadDriver:
    """What drives loads on each past day and on those ahead; ends the program if it cannot.

    The file has a row for each day, with one value for all nodes or a column for each.
    """
    _check_there(file)
    past = sorted({each.astimezone(zone).date() for each in curves.grid.boundaries[:-1]})
    days = [*past, *(past[-1] + timedelta(days=1 + day) for day in range(days_ahead))]

    def read() -> LoadDriver:
        table = read_table(file)
        columns = [name for name in table.cells if name != table.time_column]
        if len(columns) != 1 and set(columns) != set(curves.names):
            message = f"must have one column beside the days, or one for each node; has {columns}"
            raise InputError([table.fault(message)])
        known = [each.astimezone(zone).date() for each in times_of(table, zone)]
        row = {day: index for index, day in enumerate(known)}
        faults = [
            table.fault(f"is {day}, a second time", column=table.time_column, index=index)
            for index, day in enumerate(known)
            if row[day] != index
        ]
        if missing := [day for day in days if day not in row]:
            more = f" and {len(missing) - 1} more days" if len(missing) > 1 else ""
            faults.append(table.fault(f"has no value for {missing[0]}{more}"))
        if faults:
            raise InputError(faults)
        named = columns if len(columns) == 1 else curves.names
        values = np.array([numbers(table, name) for name in named])[:, [row[day] for day in days]]
        return LoadDriver(
            name=file.name.partition(".")[0],
            past=values[:, : len(past)],
            ahead=values[:, len(past) :],
            per_degree=per_degree,
        )

    return tried(read)


def read_meters(file: Path, zone: ZoneInfo) -> Curves:
    """The readings in a file, with gaps; ends the program if it cannot."""
    _check_there(file)
    return tried(lambda: read_curves(file, zone.key, gaps=True))


def tried(read: Callable[[], T]) -> T:
    """What a function reads; ends the program with all that is wrong if it cannot."""
    try:
        return read()
    except InputError as error:
        raise fail(WRONG_INPUT, *map(str, error.faults)) from None
    except InvalidRequest as error:
        raise fail(WRONG_INPUT, *map(str, error.violations)) from None


def _check_there(*files: Path | None) -> None:
    if absent := [file for file in files if file is not None and not file.exists()]:
        raise fail(WRONG_INPUT, *(f"{file}: is not there" for file in absent))
