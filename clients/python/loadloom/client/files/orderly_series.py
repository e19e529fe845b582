"""Files of loads and of what is short, over the slots of a week."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.files.faults import Fault, InputError, shortened
from loadloom.client.files.orderly_cells import told
from loadloom.client.files.series import FAULTS_TOLD, numbers, timeline
from loadloom.client.files.tables import Table, read_table
from loadloom.client.files.units import POWERS, conversion
from loadloom.client.orderly import Shortage
from loadloom.client.orderly_week import MOST_SLOTS, Week

WHOLE = ("shortage_kw", "capacity_kw", "reserve_kw")
"""The columns of what is short by the name of the field."""

DAY = timedelta(days=1)


@dataclass(slots=True)
class WeekTable:
    """A table of times whose columns are read over the slots of a week; faults are collected."""

    table: Table
    week: Week
    faults: list[Fault] = field(default_factory=list)
    _start: datetime = field(init=False)
    _step: timedelta = field(init=False)

    def __post_init__(self) -> None:
        zone = ZoneInfo(self.week.time_zone)
        self._start, self._step = timeline(self.table, zone)
        end = self._start + len(self.table.lines) * self._step
        first, last = self.week.boundaries[0], self.week.boundaries[-1]
        if self._start > first or end < last:
            there = f"{self._start.astimezone(zone)} to {end.astimezone(zone)}"
            message = f"covers {there}; {self.week.name} is {first} to {last}"
            column = self.table.time_column
            raise InputError([self.table.fault(message, column=column)])

    @property
    def names(self) -> list[str]:
        """The names of the columns beside that of times."""
        return [name for name in self.table.cells if name != self.table.time_column]

    def values(
        self, column: str, *, in_kw: bool = False, least: float = 0.0
    ) -> NDArray[np.float64] | None:
        """The mean in kW in each slot of a column; None if it is at fault.

        Args:
            column: the column, in the unit at the end of its name.
            in_kw: whether it is in kW whatever its name.
            least: the least value that makes sense.
        """
        scale = conversion("load_kw" if in_kw else column, "load_kw")
        above, below = scale.above, scale.below
        try:
            values = numbers(self.table, column) * above / below
        except InputError as error:
            self.faults.extend(error.faults)
            return None
        low = [
            self.table.fault(
                f"is {values[index]:g} kW; must be at least {least:g}", column=column, index=index
            )
            for index in np.flatnonzero(values < least).tolist()
        ]
        self.faults += shortened(low, FAULTS_TOLD)
        return self.week.sample(self._start, self._step, values)


def read_loads(file: Path, week: Week, users: list[str]) -> dict[str, NDArray[np.float64]]:
    """The load of each user, or profile, in each slot, by a file with a column for each of them.

    Raises:
        InputError: the file, or the column of one of them, cannot be used; all faults are named.
    """
    found = WeekTable(read_table(file), week)
    columns = _by_user(found.names)
    loads = {}
    for user in users:
        column = columns.get(user)
        if column is None:
            found.faults.append(_missing(found.table, user, columns))
            continue
        # The name of a user is no unit, though it may end like one: hall_w.
        values = found.values(column, in_kw=column == user)
        if values is not None:
            loads[user] = values
    if found.faults:
        raise InputError(told(found.faults))
    return loads


def read_shortage(file: Path, week: Week, unserved_price_per_kwh: float | None) -> Shortage:
    """What is short over a week, by a file of times.

    Its columns are `shortage_kw`, or `capacity_kw` and `reserve_kw`, and `NAME_shortage_kw` for
    each feeder; a shortage below zero is room for what returns.

    Raises:
        InputError: the file cannot be used; everything that is wrong with it is named.
    """
    found = WeekTable(read_table(file), week)
    rows: dict[str, NDArray[np.float64]] = {}
    feeders: dict[str, NDArray[np.float64]] = {}
    for column in found.names:
        try:
            name, feeder = _meaning(column)
        except ValueError as error:
            found.faults.append(found.table.fault(str(error), column=column))
            continue
        least = -np.inf if name == "shortage_kw" else 0.0
        values = found.values(column, least=least)
        if values is not None:
            (feeders if feeder else rows)[feeder or name] = values
    _check_whole(found, {_name(column) for column in found.names})
    if found.faults:
        raise InputError(told(found.faults))
    return Shortage(feeders=feeders, unserved_price_per_kwh=unserved_price_per_kwh, **rows)


def slots_of_file(file: Path, time_zone: str) -> int:
    """The number of slots of a day that a file's step makes.

    Raises:
        InputError: the file has no even step, or one that makes no slots of a day.
    """
    table = read_table(file)
    _, step = timeline(table, ZoneInfo(time_zone))
    if step > DAY or DAY % step or DAY // step > MOST_SLOTS:
        message = f"its step of {step} makes no slots of a day; tell their number with --slots"
        raise InputError([table.fault(message, column=table.time_column)])
    return DAY // step


def _meaning(column: str) -> tuple[str, str]:
    """The field that a column is of, and the feeder if it is that of one.

    Raises:
        ValueError: it is of none.
    """
    name = _name(column)
    if name in WHOLE:
        return name, ""
    if name.endswith("_shortage_kw"):
        return "shortage_kw", column[: len(name) - len("_shortage_kw")]
    right = f"must be {', '.join(WHOLE)}, or FEEDER_shortage_kw"
    close = get_close_matches(name, WHOLE, 1)
    hint = f"did you mean {close[0]}?" if close else right
    raise ValueError(f"is not known here; {hint}")


def _name(column: str) -> str:
    """The name of a column with the unit kW in place of its own."""
    stem, _, unit = column.lower().rpartition("_")
    return f"{stem}_kw" if unit in POWERS else column.lower()


def _check_whole(found: WeekTable, names: set[str]) -> None:
    if "shortage_kw" in names and "capacity_kw" in names:
        message = "has shortage_kw and capacity_kw; keep one of them"
    elif not names & {"shortage_kw", "capacity_kw"}:
        columns = ", ".join(found.table.cells)
        message = f"has no column shortage_kw or capacity_kw; its columns are {columns}"
    elif "reserve_kw" in names and "capacity_kw" not in names:
        message = "has reserve_kw, which needs capacity_kw beside it"
    else:
        return
    found.faults.append(found.table.fault(message))


def _by_user(names: list[str]) -> dict[str, str]:
    """The column of each user, whose name may be followed by a unit."""
    found = {}
    for column in names:
        stem, _, unit = column.rpartition("_")
        if unit.lower() in POWERS:
            found.setdefault(stem, column)
    return found | {column: column for column in names}


def _missing(table: Table, user: str, columns: dict[str, str]) -> Fault:
    close = get_close_matches(user, [*columns], 1)
    hint = f"; did you mean {columns[close[0]]}?" if close else ""
    return table.fault(f"has no column for the load of {user!r}{hint}")
