"""Files of load curves: a column for each user, or a row for each reading.

    time,bakery,foundry_mw              user,time,energy_kwh
    2026-10-01T00:00+02:00,40,1.2       bakery,2026-10-01T00:00+02:00,10
    2026-10-01T00:15+02:00,42,1.1       bakery,2026-10-01T00:15+02:00,10.5

The end of a name is its unit: a power, or the energy of each interval; a column without one is in
kW. All curves have the same even steps. What is wrong is told by line and column: times that are
missing, twice or of another step, a clock time that does not exist, values that are no numbers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.agency import Curves
from loadloom.client.files.faults import Fault, InputError, shortened
from loadloom.client.files.orderly_cells import told
from loadloom.client.files.series import (
    FAULTS_TOLD,
    MISSING,
    instant,
    number,
    parse_time,
    timeline,
)
from loadloom.client.files.tables import Table, read_table
from loadloom.client.files.units import ENERGIES, POWERS
from loadloom.client.grid import Grid

USER_NAMES = frozenset({"user", "meter", "name"})
"""The names of the column of users in a table with a row for each reading."""

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What a column of readings holds: the name before its unit, and what makes kW of it."""

    name: str
    above: float
    below: float


@dataclass(slots=True)
class CurvesTable:
    """The reading of a table of curves; faults are collected.

    Attributes:
        table: the table.
        zone: the zone of times without an offset.
        gaps: whether readings may be missing, which are then not a number.
        faults: what is wrong with it.
    """

    table: Table
    zone: ZoneInfo
    gaps: bool = False
    faults: list[Fault] = field(default_factory=list)

    def curves(self) -> Curves:
        """The curves in the table.

        Raises:
            InputError: it holds none; everything that is wrong is named.
        """
        users = next((name for name in self.table.cells if name.lower() in USER_NAMES), None)
        found = self._wide() if users is None else self._long(users)
        if self.faults:
            raise InputError(told(self.faults))
        return found

    def _wide(self) -> Curves:
        start, step = timeline(self.table, self.zone)
        columns = [name for name in self.table.cells if name != self.table.time_column]
        if not columns:
            raise InputError([self.table.fault("has times and no curves")])
        rows: dict[str, NDArray[np.float64]] = {}
        for column in columns:
            quantity = _quantity(column, step, default=True)
            if quantity.name in rows:
                message = f"is a second curve of {quantity.name!r}; keep one of them"
                self.faults.append(self.table.fault(message, column=column))
            rows[quantity.name] = self._values(column) * quantity.above / quantity.below
        grid = Grid(start=start, step=step, count=len(self.table.lines), time_zone=self.zone.key)
        return Curves(names=tuple(rows), load_kw=np.stack([*rows.values()]), grid=grid)

    def _long(self, users: str) -> Curves:
        column = self._value_column(users)
        names = [_word(cell) for cell in self.table.cells[users]]
        for index, name in enumerate(names):
            if not name:
                self._note([self.table.fault("is missing", column=users, index=index)])
        values, seconds = self._values(column), self._seconds(names)
        if self.faults:
            raise InputError(told(self.faults))
        known = list(dict.fromkeys(names))
        places = {name: place for place, name in enumerate(known)}
        rows = np.array([places[name] for name in names])
        step_s = self._step_s(rows, seconds, known)
        quantity = _quantity(column, timedelta(seconds=step_s), default=False)
        slots = (seconds - seconds.min()) // step_s
        self._check_once(rows, slots, known)
        load_kw = np.full((len(known), int(slots.max()) + 1), np.nan)
        load_kw[rows, slots] = values * quantity.above / quantity.below
        grid = Grid(
            start=datetime.fromtimestamp(float(seconds.min()), UTC),
            step=timedelta(seconds=step_s),
            count=load_kw.shape[1],
            time_zone=self.zone.key,
        )
        if not self.gaps:
            self._check_whole(load_kw, known, grid)
        return Curves(names=tuple(known), load_kw=load_kw, grid=grid)

    def _value_column(self, users: str) -> str:
        """The column of readings in a table with a row for each."""
        columns = [n for n in self.table.cells if n not in (users, self.table.time_column)]
        measured = [name for name in columns if _unit(name)]
        if len(measured) != 1:
            right = "must have one column of readings, such as load_kw or energy_kwh"
            there = ", ".join(measured or columns) or "none"
            raise InputError([self.table.fault(f"{right}; there is {there}")])
        for name in columns:
            if name not in measured:
                message = "is not known here; keep the user, the time and one column of readings"
                self.faults.append(self.table.fault(message, column=name))
        return measured[0]

    def _values(self, column: str) -> NDArray[np.float64]:
        """The numbers of a column, none below zero; where there is none, not a number."""
        values, faults = np.full(len(self.table.lines), np.nan), []
        for index, cell in enumerate(self.table.cells[column]):
            if self.gaps and _word(cell).lower() in MISSING:
                continue
            try:
                values[index] = number(cell, self.table.decimal_comma)
            except ValueError as error:
                faults.append(self.table.fault(str(error), column=column, index=index))
        if not self.gaps:
            faults += [
                self.table.fault(
                    f"is {values[index]:g}; must be at least 0", column=column, index=index
                )
                for index in np.flatnonzero(values < 0.0).tolist()
            ]
        self._note(faults)
        return values

    def _seconds(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The instant of each row; times that come twice are told apart by their user's order."""
        column = self.table.time_column
        zone = UTC if column.lower().endswith("_utc") else self.zone
        before: dict[str, list[datetime]] = {}
        found = np.zeros(len(names), np.int64)
        faults = []
        for index, (name, cell) in enumerate(zip(names, self.table.cells[column], strict=True)):
            last = before.setdefault(name, [])
            try:
                moment = instant(parse_time(cell), zone, last)
            except ValueError as error:
                faults.append(self.table.fault(str(error), column=column, index=index))
                continue
            before[name] = [*last[-1:], moment]
            found[index] = round(moment.timestamp())
        self._note(faults)
        return found

    def _step_s(
        self, rows: NDArray[np.int64], seconds: NDArray[np.int64], known: Sequence[str]
    ) -> int:
        """The one step of all curves; raises when they have several, or none."""
        order = np.lexsort((seconds, rows))
        gaps = np.diff(seconds[order])
        inner = (np.diff(rows[order]) == 0) & (gaps > 0)
        if not inner.any():
            message = "must hold at least two times of a user, which tell the step"
            raise InputError([self.table.fault(message, column=self.table.time_column)])
        owners, inner_gaps = rows[order][1:][inner], gaps[inner]
        step_s = Counter(inner_gaps.tolist()).most_common(1)[0][0]
        faults = []
        for row in np.unique(owners):
            own = Counter(inner_gaps[owners == row].tolist()).most_common(1)[0][0]
            if own != step_s:
                message = (
                    f"the readings of {known[row]!r} have a step of {timedelta(seconds=own)}, "
                    f"those of others {timedelta(seconds=step_s)}; all must have the same"
                )
                faults.append(self._time_fault(message, int(np.flatnonzero(rows == row)[0])))
        off = np.flatnonzero((seconds - seconds.min()) % step_s)
        if not faults:
            message = f"is beside the steps of {timedelta(seconds=step_s)} of the others"
            faults = [self._time_fault(message, index) for index in off.tolist()]
        if faults:
            raise InputError(shortened(faults, FAULTS_TOLD))
        return int(step_s)

    def _check_once(
        self, rows: NDArray[np.int64], slots: NDArray[np.int64], known: Sequence[str]
    ) -> None:
        """Notes the readings that are not the first of their user and time."""
        first: dict[tuple[int, int], int] = {}
        faults = []
        for index, key in enumerate(zip(rows.tolist(), slots.tolist(), strict=True)):
            if key in first:
                line = f"{self.table.line_word} {self.table.lines[first[key]]}"
                message = f"is a second reading of {known[key[0]]!r} for this time; see {line}"
                faults.append(self._time_fault(message, index))
            else:
                first[key] = index
        self._note(faults)

    def _check_whole(self, load_kw: NDArray[np.float64], known: Sequence[str], grid: Grid) -> None:
        """Notes the users of whom readings are missing, unless others are at fault."""
        missing = np.isnan(load_kw)
        if self.faults or not missing.any():
            return
        self._note(
            [
                self.table.fault(
                    f"{known[row]!r} has no reading at "
                    f"{grid.boundaries[int(missing[row].argmax())]}"
                    f"{_more(int(missing[row].sum()) - 1)}",
                    column=self.table.time_column,
                )
                for row in np.flatnonzero(missing.any(axis=1)).tolist()
            ]
        )

    def _time_fault(self, message: str, index: int) -> Fault:
        return self.table.fault(message, column=self.table.time_column, index=index)

    def _note(self, faults: Sequence[Fault]) -> None:
        self.faults += shortened(faults, FAULTS_TOLD)


def read_curves(file: Path, time_zone: str, *, gaps: bool = False) -> Curves:
    """The load curves in a file that ends in .csv, .csv.gz or .parquet.

    Args:
        file: the file.
        time_zone: the IANA zone of times without an offset, and of the calendar.
        gaps: whether readings may be missing or below zero, as where completeness is asked for.

    Raises:
        InputError: the file cannot be used; everything that is wrong is named.
    """
    return CurvesTable(read_table(file), ZoneInfo(time_zone), gaps).curves()


def _quantity(column: str, step: timedelta, *, default: bool) -> Quantity:
    """What a column holds, by the end of its name; kW when it has none and that is the default."""
    unit = _unit(column)
    if not unit and default:
        return Quantity(name=column, above=1.0, below=1.0)
    above, below = (POWERS | ENERGIES)[unit]
    # Hours are told as seconds over 3600, so that ten kWh in a quarter of an hour are 40 kW.
    if unit in ENERGIES:
        return Quantity(
            name=column[: -len(unit) - 1], above=above * HOUR_S, below=below * step.total_seconds()
        )
    return Quantity(name=column[: -len(unit) - 1], above=above, below=below)


def _unit(column: str) -> str:
    """The unit at the end of a name; empty when it has none."""
    stem, _, unit = column.lower().rpartition("_")
    return unit if stem and unit in POWERS | ENERGIES else ""


def _word(cell: object) -> str:
    return "" if cell is None else str(cell).strip()


def _more(count: int) -> str:
    return f" and at {count:,} more times" if count > 0 else ""


def curves_of_users(
    names: Iterable[str],
    profiles: Sequence[str],
    scales: Sequence[float],
    curves: Curves,
) -> Curves:
    """The curves of users, each a curve among those of profiles times a scale.

    Raises:
        KeyError: there is no such profile.
    """
    places = {name: place for place, name in enumerate(curves.names)}
    rows = np.array([places[profile] for profile in profiles], dtype=np.intp)
    load_kw = curves.load_kw[rows] * np.asarray(scales)[:, np.newaxis]
    return Curves(names=tuple(names), load_kw=load_kw, grid=curves.grid)
