"""Files of networks and of customers who may be called for less load.

    node,parent,rating_kw,need_kw          customer,node,size_kw,size_sd_kw,acceptance,group,call
    feeder,,800,                           bakery,north,4.5,0.5,0.7,shops,must
    north,feeder,250,18                    smith,north,2,0.3,0.6,,

A network may have needs and a confidence for each node, which hold in all intervals. Customers may
have what Customers has; a column such as acceptance_at_0.25 is the acceptance at that price.

    node,time,excess_kw,sd_kw
    north,2026-08-12T18:00+02:00,12.5,4.1

Needs by time are those that a forecast writes, or a column need_kw alone. What is wrong is told by
line and column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.files import orderly_cells as cells
from loadloom.client.files.columns import number_column, raise_faults, unique_names
from loadloom.client.files.faults import Fault, InputError
from loadloom.client.files.orderly_cells import Cells, Column
from loadloom.client.files.series import instant, parse_time
from loadloom.client.files.tables import Table, read_table
from loadloom.client.response import MUST, NEVER, OFFER, Answer, AnswerWord, Customers

if TYPE_CHECKING:
    import pandas as pd

NODE_COLUMNS = {
    "node": Column(parse=cells.text),
    "parent": Column(parse=cells.text),
    "rating_kw": Column(parse=cells.real(0.0), unit=True),
    "need_kw": Column(parse=cells.real(0.0), unit=True),
    "confidence": Column(parse=cells.real(0.5, 1.0)),
}
"""What a table of nodes may say."""


def _call(text: str, decimal_comma: bool) -> str:  # noqa: ARG001 -- as all readers of cells
    word = text.lower()
    if word not in (MUST, NEVER):
        raise ValueError(f"is {text!r}; must be {MUST}, {NEVER} or empty")
    return word


CUSTOMER_COLUMNS = {
    "customer": Column(parse=cells.text),
    "node": Column(parse=cells.text),
    "size_kw": Column(parse=cells.real(0.0), unit=True),
    "size_sd_kw": Column(parse=cells.real(0.0), unit=True),
    "acceptance": Column(parse=cells.real(0.0, 1.0)),
    "contact_cost": Column(parse=cells.real(0.0)),
    "fatigue_cost": Column(parse=cells.real(0.0)),
    "calls_left": Column(parse=cells.whole(0)),
    "group": Column(parse=cells.text),
    "rebound_share": Column(parse=cells.real(0.0, 1.0)),
    "delivered_share": Column(parse=cells.real(0.0, 10.0)),
    "call": Column(parse=_call),
}
"""What a table of customers may say, beside acceptance at prices."""


def _time(text: str, decimal_comma: bool) -> datetime:  # noqa: ARG001 -- as all readers of cells
    return parse_time(text)


NEED_COLUMNS = {
    "node": Column(parse=cells.text),
    "time": Column(parse=_time),
    "need_kw": Column(parse=cells.real(0.0), unit=True),
    "excess_kw": Column(parse=cells.real(-1e9), unit=True),
    "sd_kw": Column(parse=cells.real(0.0), unit=True),
    "mean_kw": Column(parse=cells.real(-1e9), unit=True),
    "overload_probability": Column(parse=cells.real(0.0, 1.0)),
}
"""What a table of needs may say."""

DEFAULTS = {"size_sd_kw": 0.0, "contact_cost": 0.0, "fatigue_cost": 0.0, "rebound_share": 0.0}
ANY_CALLS = 10.0**9
ONES = {"acceptance": 1.0, "delivered_share": 1.0}
"""What empty cells mean, in columns that may have some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInput:
    """The nodes of a file.

    Attributes:
        names: the nodes.
        parents: the name of the node above each; empty where there is none.
        rating_kw, need_kw, confidence: by node; None without such a column.
        table: the table.
    """

    names: tuple[str, ...]
    parents: tuple[str, ...]
    rating_kw: NDArray[np.float64] | None
    need_kw: NDArray[np.float64] | None
    confidence: NDArray[np.float64] | None
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersInput:
    """The customers of a file, and its table."""

    customers: Customers
    table: Table


def read_network(file: Path) -> NetworkInput:
    """The nodes in a file that ends in .csv, .csv.gz or .parquet.

    Raises:
        InputError: the file cannot be used; everything that is wrong is named.
    """
    reading = Cells(read_table(file), NODE_COLUMNS)
    reading.require("node")
    raise_faults(reading)
    names = unique_names(reading, "node")
    known = set(names)
    parents = []
    for index, name in enumerate(names):
        parent = reading.text("parent", index)
        if parent and parent not in known:
            reading.fault(f"there is no node {parent!r}", "parent", index)
        elif parent == name:
            reading.fault("is the node itself", "parent", index)
        parents.append(parent)
    rating_kw = number_column(reading, "rating_kw", None)
    need_kw = number_column(reading, "need_kw", 0.0)
    confidence = number_column(reading, "confidence", 0.95)
    raise_faults(reading)
    return NetworkInput(
        names=tuple(names),
        parents=tuple(parents),
        rating_kw=rating_kw,
        need_kw=need_kw,
        confidence=confidence,
        table=reading.table,
    )


def read_customers(file: Path, nodes: Sequence[str]) -> CustomersInput:
    """The customers in a file that ends in .csv, .csv.gz or .parquet.

    Args:
        file: the file.
        nodes: the names of the nodes that they can be at.

    Raises:
        InputError: the file cannot be used; everything that is wrong is named.
    """
    table = read_table(file)
    prices, faults = _prices(table)
    offers = {header: Column(parse=cells.real(0.0, 1.0)) for header in prices}
    reading = Cells(table, CUSTOMER_COLUMNS | offers)
    reading.faults += faults
    reading.require("customer", "size_kw")
    if offers and reading.has("acceptance"):
        reading.fault("goes with one price alone; leave it out", "acceptance")
    raise_faults(reading)
    names, known = unique_names(reading, "customer"), set(nodes)
    at = [reading.text("node", index) for index in range(len(names))]
    if reading.has("node"):
        for index, node in enumerate(at):
            if node not in known:
                reading.fault(f"there is no node {node!r}" if node else "is missing", "node", index)
    size_kw = number_column(reading, "size_kw", None)
    columns: dict[str, Any] = {
        name: number_column(reading, name, empty) for name, empty in (DEFAULTS | ONES).items()
    }
    left = number_column(reading, "calls_left", ANY_CALLS)
    calls = [reading.value("call", index) for index in range(len(names))]
    levels = [
        number_column(reading, header, None) for header in sorted(prices, key=prices.__getitem__)
    ]
    raise_faults(reading)
    if levels:
        columns["acceptance"] = np.column_stack([level for level in levels if level is not None])
    return CustomersInput(
        customers=Customers(
            names=tuple(names),
            nodes=tuple(at) if reading.has("node") else (),
            size_kw=np.zeros(0) if size_kw is None else size_kw,
            price_per_kwh=sorted(prices.values()) or None,
            calls_left=left,
            groups=tuple(reading.text("group", index) for index in range(len(names))),
            must_call=[place for place, word in enumerate(calls) if word == MUST],
            never_call=[place for place, word in enumerate(calls) if word == NEVER],
            **columns,
        ),
        table=table,
    )


def read_needs(
    file: Path, nodes: Sequence[str], zone: ZoneInfo, start: datetime | None, end: datetime | None
) -> tuple["pd.DataFrame", "pd.DataFrame | None"]:
    """The needs in a file by time and node, and their spread if it has one.

    Args:
        file: the file.
        nodes: the nodes of the network; those without a need in the file need nothing.
        zone: the zone of times without an offset.
        start: the instant from which needs are taken; all when left out.
        end: the instant at which that is over.

    Raises:
        InputError: the file cannot be used; everything that is wrong is named.
    """
    import pandas as pd
    from pandas.tseries.frequencies import to_offset

    reading = Cells(read_table(file), NEED_COLUMNS)
    reading.require("node", "time")
    what = "excess_kw" if reading.has("excess_kw") and reading.has("sd_kw") else "need_kw"
    reading.require(what)
    raise_faults(reading)
    known, rows = set(nodes), []
    for index in range(len(reading.table.lines)):
        node, moment = reading.text("node", index), reading.value("time", index)
        value, sd = reading.value(what, index), reading.value("sd_kw", index)
        if node not in known:
            reading.fault(f"there is no node {node!r}" if node else "is missing", "node", index)
        for name, found in (("time", moment), (what, value)):
            if found is None and not reading.text(name, index):
                reading.fault("is missing", name, index)
        if moment is None:
            continue
        try:
            rows.append((node, instant(moment, zone).astimezone(UTC), value or 0.0, sd or 0.0))
        except ValueError as error:
            reading.fault(str(error), "time", index)
    raise_faults(reading)
    table = pd.DataFrame(rows, columns=["node", "time", "need", "sd"])
    twice = table.duplicated(["node", "time"]).to_numpy().nonzero()[0].tolist()
    for index in twice:
        reading.fault("is a second need of this node at this time", "time", index)
    raise_faults(reading)
    found = table.pivot_table(index="time", columns="node", values=["need", "sd"])
    times = pd.DatetimeIndex(found.index).tz_convert(zone.key)
    inside = np.ones(len(times), bool)
    inside &= times >= start if start is not None else True
    inside &= times < end if end is not None else True
    if not inside.any():
        raise InputError([reading.table.fault("has no need in the time that was asked for")])
    steps = np.unique(np.diff(times.asi8)) if len(times) > 1 else np.zeros(0)
    if len(steps) != 1:
        raise InputError([reading.table.fault("must have the same step between all times")])
    step = np.diff(times.to_pydatetime())[0]
    index = pd.DatetimeIndex(times[inside], freq=to_offset(step), name="time")
    need, sd = (
        found[name].loc[inside].set_axis(index).reindex(columns=list(nodes)).fillna(0.0)
        for name in ("need", "sd")
    )
    return need, sd if what == "excess_kw" else None


def _answer(text: str, decimal_comma: bool) -> str:  # noqa: ARG001 -- as all readers of cells
    word = text.lower().replace("-", " ").replace("_", " ")
    if word not in get_args(AnswerWord):
        raise ValueError(f"is {text!r}; must be one of {', '.join(get_args(AnswerWord))}")
    return word


ANSWER_COLUMNS = {
    "customer": Column(parse=cells.text),
    "answer": Column(parse=_answer),
    "accepted_kw": Column(parse=cells.real(0.0), unit=True),
}
"""What a table of answers may say."""


def read_answers(file: Path) -> list[Answer]:
    """The answers in a file: customer, answer, and the kW that are accepted if they are named.

    Raises:
        InputError: the file cannot be used; everything that is wrong is named.
    """
    reading = Cells(read_table(file), ANSWER_COLUMNS)
    reading.require("customer", "answer")
    raise_faults(reading)
    names = unique_names(reading, "customer")
    answers = []
    for index, name in enumerate(names):
        word = reading.value("answer", index)
        if word is None and not reading.text("answer", index):
            reading.fault("is missing", "answer", index)
        kw = reading.value("accepted_kw", index)
        answers.append(Answer(customer=name, answer=word or "no answer", accepted_kw=kw))
    raise_faults(reading)
    return answers


def _prices(table: Table) -> tuple[dict[str, float], list[Fault]]:
    """The prices per kWh of the columns that tell acceptance at one, and their faults."""
    prices: dict[str, float] = {}
    faults = []
    for header in table.cells:
        if not header.lower().startswith(OFFER):
            continue
        try:
            price = float(header[len(OFFER) :])
        except ValueError:
            price = -1.0
        if not 0.0 <= price < 1e9:
            message = f"must end in a price per kWh, such as {OFFER}0.25"
            faults.append(table.fault(message, column=header))
        prices[header.lower()] = price
    return prices, faults
