"""Files of networks whose limits the sites of a fleet share.

    node,parent,rating_kw,import_limit_kw,export_limit_kw,breach_price_per_kwh
    substation,,10000,,,
    feeder 1,substation,,1400,1100,

A rating is the limit in both directions, unless another one is named for one of them; what is
empty is no limit. Without a breach price limits are kept in any case. Limits that change with time
stand in a table of their own, and go before those of the network:

    node,time,import_limit_kw
    feeder 1,2024-05-14T17:00,900
    feeder 1,2024-05-14T18:00,1400
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.files import orderly_cells as cells
from loadloom.client.files.alignment import sample
from loadloom.client.files.columns import number_column, raise_faults, unique_names
from loadloom.client.files.faults import Fault
from loadloom.client.files.orderly_cells import Cells, Column
from loadloom.client.files.series import TimedSeries, instant, parse_time
from loadloom.client.files.tables import read_table
from loadloom.client.fleet_parts import Node
from loadloom.client.grid import Grid

LIMITS = ("import_limit_kw", "export_limit_kw")

RATING, PRICE = "rating_kw", "breach_price_per_kwh"

NODE_COLUMNS = {
    "node": Column(parse=cells.text),
    "parent": Column(parse=cells.text),
    **{name: Column(parse=cells.real(0.0), unit=True) for name in (RATING, *LIMITS, PRICE)},
}
"""What a table of nodes may say."""


def _time(text: str, decimal_comma: bool) -> datetime:  # noqa: ARG001 -- as all readers of cells
    return parse_time(text)


LIMIT_COLUMNS = {
    "node": Column(parse=cells.text),
    "time": Column(parse=_time),
    **{name: Column(parse=cells.real(0.0), unit=True) for name in (RATING, *LIMITS)},
}
"""What a table of limits by time may say."""


NO_TIMES = datetime(1970, 1, 1, tzinfo=UTC), timedelta(hours=1)
"""Stands for times that make no sense, which is told already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInput:
    """The nodes of a file, and the reading of its table, which knows the headers."""

    nodes: tuple[Node, ...]
    reading: Cells

    @property
    def names(self) -> list[str]:
        """The names of the nodes."""
        return [node.name for node in self.nodes]

    @property
    def parents(self) -> dict[str, str]:
        """The name of the node above each; empty where there is none."""
        return {node.name: node.parent for node in self.nodes}

    def fault(self, column: str | None, row: int, message: str) -> Fault:
        """A fault in a column of nodes, at the cell that it comes from."""
        header = self.reading.header(column or "node")
        if not header and column in LIMITS:
            header = self.reading.header(RATING)
        header = header or self.reading.header("node")
        return self.reading.table.fault(message, column=header, index=row)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedLimit:
    """A limit of a node that changes with time."""

    node: str
    rule: str
    series: TimedSeries


def read_network(file: Path) -> NetworkInput:
    """The nodes in a file that ends in .csv, .csv.gz or .parquet.

    Raises:
        InputError: the file cannot be used; everything that is wrong is named.
    """
    reading = Cells(read_table(file), NODE_COLUMNS)
    reading.require("node")
    raise_faults(reading)
    names = unique_names(reading, "node")
    parents = _parents(reading, names)
    limits, prices = _limits(reading), number_column(reading, PRICE, np.inf)
    raise_faults(reading)
    nodes = []
    for index, name in enumerate(names):
        said = {rule: _finite(column, index) for rule, column in (limits | {PRICE: prices}).items()}
        nodes.append(Node(name=name, parent=parents[index], **said))
    return NetworkInput(nodes=tuple(nodes), reading=reading)


def read_limits(file: Path, network: NetworkInput, zone: ZoneInfo) -> list[TimedLimit]:
    """The limits in a file by node and time; times without an offset are in `zone`.

    Raises:
        InputError: the file cannot be used; everything that is wrong is named.
    """
    reading = Cells(read_table(file), LIMIT_COLUMNS)
    reading.require("node", "time")
    if not any(map(reading.has, (RATING, *LIMITS))):
        wanted = f"one of {', '.join((RATING, *LIMITS))}"
        reading.faults.append(reading.table.fault(f"has no column of limits; must have {wanted}"))
    raise_faults(reading)
    rows: dict[str, list[int]] = {}
    for index in range(len(reading.table.lines)):
        name = reading.text("node", index)
        if name not in network.parents:
            told = f"there is no node {name!r}" if name else "is missing"
            reading.fault(told, "node", index)
        rows.setdefault(name, []).append(index)
    columns = _limits(reading)
    times = {name: _times(reading, own, zone) for name, own in rows.items()}
    raise_faults(reading)
    found = []
    for name, own in rows.items():
        start, step = times[name]
        for rule, column in columns.items():
            series = TimedSeries(
                table=reading.table, column=rule, start=start, step=step, values=column[own]
            )
            found.append(TimedLimit(node=name, rule=rule, series=series))
    return found


def limited(network: NetworkInput, limits: list[TimedLimit], grid: Grid) -> list[Node]:
    """The nodes, with their limits by time over a grid that these cover."""
    said: dict[str, dict[str, NDArray[np.float64]]] = {}
    for limit in limits:
        said.setdefault(limit.node, {})[limit.rule] = sample(limit.series, grid)
    return [replace(node, **said.get(node.name, {})) for node in network.nodes]


def _limits(reading: Cells) -> dict[str, NDArray[np.float64]]:
    """The limits of each row in each direction that is limited, inf where there is none."""
    ratings = number_column(reading, RATING, np.inf)
    found = {}
    for rule in LIMITS:
        own = number_column(reading, rule, np.inf)
        if own is None or ratings is None:
            said = ratings if own is None else own
        else:
            said = np.where(np.isfinite(own), own, ratings)
        if said is not None:
            found[rule] = said
    return found


def _parents(reading: Cells, names: list[str]) -> list[str]:
    """The node above each; what is none, or is below itself, is noted."""
    parents = [reading.text("parent", index) for index in range(len(names))]
    above = dict(zip(names, parents, strict=True))
    for index, (name, parent) in enumerate(zip(names, parents, strict=True)):
        if parent and parent not in above:
            reading.fault(f"there is no node {parent!r}", "parent", index)
            continue
        way = [name]
        while (step := above.get(way[-1], "")) and step not in way:
            way.append(step)
        if step == name:
            told = "is the node itself" if parent == name else f"is below {name!r} itself"
            reading.fault(told, "parent", index)
    return parents


def _times(reading: Cells, own: list[int], zone: ZoneInfo) -> tuple[datetime, timedelta]:
    """The first time of a node's rows and the step between them; other steps are noted."""
    moments: list[datetime] = []
    for index in own:
        moment = reading.value("time", index)
        if moment is None:
            if not reading.text("time", index):
                reading.fault("is missing", "time", index)
            continue
        try:
            moments.append(instant(moment, zone, moments[-2:]))
        except ValueError as error:
            reading.fault(str(error), "time", index)
    if len(moments) < len(own):
        return NO_TIMES  # told already
    if len(moments) == 1:
        reading.fault("is the only one of its node; two tell the step", "time", own[0])
        return NO_TIMES
    step = moments[1] - moments[0]
    for index, (earlier, later) in zip(own[1:], pairwise(moments), strict=True):
        if later - earlier != step or step <= timedelta(0):
            told = f"is {later - earlier} after the row before it of its node; must be {step}"
            reading.fault(told if step > timedelta(0) else "times must increase", "time", index)
    return moments[0], step


def _finite(column: NDArray[np.float64] | None, index: int) -> float | None:
    """The number in a row; None where there is none."""
    value = np.inf if column is None else float(column[index])
    return value if np.isfinite(value) else None
