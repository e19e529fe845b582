"""Load curves in files of the server: what options say of them, and where faults in them are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from loadloom.client import agency
from loadloom.client.agency import DataSet
from loadloom.client.command.verbs import WRONG_INPUT, fail
from loadloom.client.errors import Violation
from loadloom.client.files.series import instant, parse_time
from loadloom.client.grid import Grid

KINDS = ("user", "load", "time", "arrival", "area", "unit", "currency")
"""The kinds of columns that can be named."""

GRID = "--start, --end and --step"

COLUMN = re.compile(r"data_set\.([a-z]+)_column")
OPTIONS = {
    "data_set.root": "--root",
    "data_set.layout": "--layout",
    "data_set.unit": "--unit",
    "data_set.path": "CURVES",
    "grid": GRID,
}
"""The options that fields of a request come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """What is said of curves below a root of the server; all but the root may be left out.

    Attributes:
        root: the name of the root.
        layout: how curves stand in the files.
        column: the names of columns, as KIND=NAME.
        unit: the unit of readings.
        start, end: the first instant, and the end of the last interval.
        step: the minutes of an interval.
    """

    root: str
    layout: str | None
    column: Sequence[str] | None
    unit: str | None
    start: str | None
    end: str | None
    step: float | None

    def data_set(self, path: str, time_zone: str, grid: Grid | None = None) -> DataSet:
        """The data set at a path; ends the program if the options do not tell it.

        The grid is needed where nothing else tells it.
        """
        if self.layout is None:
            raise fail(WRONG_INPUT, "--layout: is missing; --root needs it")
        columns: dict[str, Any] = {f"{kind}_column": name for kind, name in self._columns()}
        return DataSet(
            root=self.root,
            path=path,
            grid=self._grid(time_zone) if grid is None else grid,
            layout=cast("agency.DataSetLayout", self.layout.replace("-", " ")),
            unit=cast("agency.ReadingUnit", self.unit or "kw"),
            **columns,
        )

    def _columns(self) -> list[tuple[str, str]]:
        found = []
        for said in self.column or ():
            kind, sign, name = said.partition("=")
            if kind not in KINDS or not sign or not name:
                told = f"--column {said}: must be such as user=meter; there are {', '.join(KINDS)}"
                raise fail(WRONG_INPUT, told)
            found.append((kind, name))
        return found

    def _grid(self, time_zone: str) -> Grid:
        if self.start is None or self.end is None or self.step is None:
            raise fail(WRONG_INPUT, f"--root needs {GRID}, which tell the intervals")
        start, end = (self.moment(*one, time_zone) for one in self._ends())
        minutes = (end - start) / timedelta(minutes=1)
        if not self.step > 0.0 or minutes <= 0.0 or minutes % self.step:
            told = f"--step: is {self.step:g} minutes; some of them must last from --start to --end"
            raise fail(WRONG_INPUT, told)
        step = timedelta(minutes=self.step)
        return Grid(start=start, step=step, count=int(minutes / self.step), time_zone=time_zone)

    def _ends(self) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
        return ("--start", self.start), ("--end", self.end)

    def moment(self, option: str, said: str | None, time_zone: str) -> datetime:
        """The instant that an option says; ends the program if it is none."""
        try:
            return instant(parse_time(said), ZoneInfo(time_zone)).astimezone(UTC)
        except ValueError as error:
            raise fail(WRONG_INPUT, f"{option}: {error}") from None

    def trace(self, path: str, violation: Violation) -> str:
        """What the server found, at the option that it comes from, or in its file."""
        if found := COLUMN.match(violation.path):
            return f"--column {found[1]}: {violation.message}"
        for start, option in OPTIONS.items():
            if violation.path.startswith(start):
                return f"{option}: {violation.message}"
        if violation.path.startswith("data_set"):
            return f"{self.root}/{path}: {violation.message}"
        return str(violation)


def remote_of(*, root: str | None, **said: Any) -> Remote | None:  # noqa: ANN401 -- as options have them
    """What options say of curves at the server; None if they are here.

    Ends the program if they say something of such curves, and no root.
    """
    if root is not None:
        return Remote(root=root, **said)
    if told := [f"--{name}" for name, value in said.items() if value]:
        raise fail(WRONG_INPUT, f"{', '.join(told)}: for curves below a --root of the server alone")
    return None
