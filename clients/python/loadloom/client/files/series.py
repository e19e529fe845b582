"""Series over time, read from tables: even steps, no gaps, numbers only, units converted."""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadloom.client.files.faults import Fault, InputError, shortened
from loadloom.client.files.tables import Table, read_table
from loadloom.client.files.units import UnknownUnit, conversion

FAULTS_TOLD = 5
"""The faults told of each kind in a column; the rest are counted."""

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What a file holds in all: the number of its times, the first and the last of them."""

    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedSeries:
    """The values of one quantity from `start` on, each holding for a step.

    They are those of a column of `table`, row by row, in the unit of a field. `whole` is what the
    file holds, where rows outside of the time that was asked for are left out of the table.
    """

    table: Table
    column: str
    start: datetime
    step: timedelta
    values: NDArray[np.float64]
    currency_code: str = ""
    whole: Extent | None = None

    @property
    def file(self) -> Path:
        """The file that they were read from."""
        return self.table.file

    @property
    def end(self) -> datetime:
        """The end of the last step."""
        return self.start + len(self.values) * self.step


@dataclass(slots=True)
class SeriesReader:
    """Reads series from files, each file once; times without an offset are in `zone`.

    With `start` or `end`, which are instants, what a file holds before or after them is left out.
    """

    zone: tzinfo
    start: datetime | None = None
    end: datetime | None = None
    _tables: dict[Path, Table] = field(default_factory=dict)
    _times: dict[Path, tuple[datetime, timedelta]] = field(default_factory=dict)
    _extents: dict[Path, Extent] = field(default_factory=dict)

    def table(self, file: Path) -> Table:
        """The table in a file; raises InputError if it cannot be read."""
        if file not in self._tables:
            self._tables[file] = self._cut(read_table(file))
        return self._tables[file]

    def _cut(self, table: Table) -> Table:
        """The rows that hold from the start to the end; all of them if times do not increase."""
        if self.start is None and self.end is None:
            return table
        moments = times_of(table, self.zone)
        if len(moments) < 2 or any(later <= earlier for earlier, later in pairwise(moments)):
            return table
        first, last = 0, len(moments)
        if self.start is not None:
            first = bisect_right(moments, self.start) - 1
            first = min(max(first, 0), last - 2)
        if self.end is not None:
            last = max(bisect_left(moments, self.end), first + 2)
        cells = {**table.cells, table.time_column: moments}
        self._extents[table.file] = Extent(count=len(moments), first=moments[0], last=moments[-1])
        return replace(
            table,
            cells={name: column[first:last] for name, column in cells.items()},
            lines=table.lines[first:last],
        )

    def series(self, file: Path, column: str, target: str) -> TimedSeries:
        """The series in a column, in the unit of the field `target`.

        Raises:
            InputError: the file, its times or the column cannot be used.
        """
        table = self.table(file)
        if column not in table.cells:
            columns = ", ".join(table.cells)
            raise InputError([table.fault(f"has no column {column!r}; its columns are {columns}")])
        try:
            scale = conversion(column, target)
        except UnknownUnit as error:
            raise InputError([table.fault(str(error), column=column)]) from None
        if file not in self._times:
            self._times[file] = timeline(table, self.zone)
        start, step = self._times[file]
        return TimedSeries(
            table=table,
            column=column,
            start=start,
            step=step,
            values=numbers(table, column) * scale.above / scale.below,
            currency_code=scale.currency_code,
            whole=self._extents.get(file),
        )


def numbers(table: Table, column: str) -> NDArray[np.float64]:
    """The numbers in a column.

    Raises:
        InputError: some cells hold none; the first of them are named.
    """
    values, faults = np.empty(len(table.lines)), []
    for index, cell in enumerate(table.cells[column]):
        try:
            values[index] = number(cell, table.decimal_comma)
        except ValueError as error:
            faults.append(table.fault(str(error), column=column, index=index))
    _raise(faults)
    return values


def times_of(table: Table, zone: tzinfo) -> list[datetime]:
    """The times of a table in UTC; those without an offset are in `zone`, or in UTC by their name.

    Raises:
        InputError: there are none, or some are no times.
    """
    column = table.time_column
    return _moments(table, column, UTC if column.lower().endswith("_utc") else zone)


def timeline(table: Table, zone: tzinfo) -> tuple[datetime, timedelta]:
    """The start and step of a table's times, the start in UTC.

    Local times that occur twice, when clocks go back, are told apart by their order.

    Raises:
        InputError: the times are not those of even steps; the first faults are named.
    """
    column, moments = table.time_column, times_of(table, zone)
    if len(moments) < 2:
        fault = table.fault("must hold at least two times, which tell the step", column=column)
        raise InputError([fault])
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    step = Counter(gaps).most_common(1)[0][0]
    if step <= timedelta(0):
        step = max(gaps)
    if step < timedelta(0):
        fault = table.fault("goes back in time from row to row; sort the rows", column=column)
        raise InputError([fault])
    wrong = [(i, gap) for i, gap in enumerate(gaps) if gap != step or not gap]
    if wrong and _mixed(table.cells[column]):
        said = "has times with an offset and times without; give it with every time, or with none"
        raise InputError([table.fault(said, column=column)])
    # Where rows are out of order, gaps between them mean nothing.
    backwards = [(i, gap) for i, gap in wrong if gap < timedelta(0)]
    _raise(
        [
            table.fault(_order(moments[i], gap, step, zone), column=column, index=i + 1)
            for i, gap in backwards or wrong
        ]
    )
    return moments[0], step


def _mixed(cells: Sequence[object]) -> bool:
    """Whether some of the times have an offset and others have none."""
    return len({parse_time(cell).tzinfo is None for cell in cells}) > 1


def parse_time(cell: object) -> datetime:
    """The time in a cell.

    Raises:
        ValueError: it is no time in ISO 8601.
    """
    if isinstance(cell, datetime):
        return cell
    try:
        return datetime.fromisoformat(str(cell).strip())
    except ValueError:
        raise ValueError(
            f"{cell!r} is not a time; write it as 2024-06-01T14:00 or 2024-06-01T14:00+02:00"
        ) from None


def instant(moment: datetime, zone: tzinfo, before: Sequence[datetime] = ()) -> datetime:
    """The moment in UTC; without an offset it is in `zone`.

    If it occurs twice, it is the one that goes on in the step of the moments before it, or else the
    first that is after them.

    Raises:
        ValueError: the clocks of the zone skip it.
    """
    if moment.tzinfo is not None:
        return moment.astimezone(UTC)
    first, second = (moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) != moment:
        raise ValueError(
            f"{moment} does not exist in {zone}, where clocks are put forward; "
            "give the offset with every time, or name the column time_utc"
        )
    if len(before) > 1 and second - before[-1] == before[-1] - before[-2]:
        return second
    return second if before and first <= before[-1] else first


def one_instant(moment: datetime, zone: tzinfo) -> datetime:
    """The moment in UTC; without an offset it is in `zone`.

    Raises:
        ValueError: the clocks of the zone skip it, or show it twice.
    """
    first = instant(moment, zone)
    if moment.tzinfo is None and instant(moment, zone, [first]) != first:
        raise ValueError(f"{moment} occurs twice in {zone}; give the offset with it")
    return first


def _moments(table: Table, column: str, zone: tzinfo) -> list[datetime]:
    moments: list[datetime] = []
    faults = []
    for index, cell in enumerate(table.cells[column]):
        try:
            moments.append(instant(parse_time(cell), zone, moments[-2:]))
        except ValueError as error:
            faults.append(table.fault(str(error), column=column, index=index))
    _raise(faults)
    return moments


def _order(before: datetime, gap: timedelta, step: timedelta, zone: tzinfo) -> str:
    """What is wrong with a time that does not follow the one before it by a step."""
    if gap == timedelta(0):
        return "has the same time as the row before it"
    if gap < timedelta(0):
        return "is earlier than the row before it; times must increase"
    first, last = before + step, before + gap - step
    if gap % step:
        return f"comes {gap} after the row before it; the step of the file is {step}"
    times = f"{first.astimezone(zone)}" + (f" to {last.astimezone(zone)}" if last > first else "")
    return f"follows a gap; missing: {times}"


def number(cell: object, decimal_comma: bool) -> float:
    """The number in a cell.

    Raises:
        ValueError: it holds none.
    """
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        text = repr(cell)
    else:
        text = "" if cell is None else str(cell).strip()
    if text.lower() in MISSING:
        raise ValueError("the value is missing")
    try:
        value = float(text.replace(",", ".") if decimal_comma else text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number{_number_hint(text, decimal_comma)}") from None
    if "_" in text or not np.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def _number_hint(text: str, decimal_comma: bool) -> str:
    """What would be right in place of a text that looks like a number."""
    plain = text.rstrip("%").strip()
    if not re.fullmatch(r"[-+]?[\d.,' ]+", plain):
        return ""
    if plain != text:
        return "; write a share from 0 to 1, without %"
    point = "a comma" if decimal_comma else "a point"
    return f"; write it with {point} before the decimals, and nothing between thousands"


def _raise(faults: list[Fault]) -> None:
    """Raises InputError with the first faults and a count of the others, if there are any."""
    if not faults:
        return
    raise InputError(shortened(faults, FAULTS_TOLD))
