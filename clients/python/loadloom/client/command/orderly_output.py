"""Weekly plans as tables for programs: a row for each event, a row for each slot."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from loadloom.client.command.verbs import WRONG_INPUT, fail, note
from loadloom.client.files.formulas import guarded
from loadloom.client.orderly_plan import WeeklyPlan

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Written:
    """The files that a verb writes: before it prints, so that nothing printed can prevent them."""

    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, what: str, file: Path | None, writer: Callable[[Path], object]) -> None:
        """Writes a file if it was asked for, and keeps what is to be told of it."""
        if file is None:
            return
        try:
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                writer(file)
        except OSError as error:
            self.faults.append(f"{file}: cannot be written: {error.strerror or error}")
        else:
            self.notes.append(f"{what} in {file}")
            self.notes.extend(f"{file}: {one.message}" for one in found)

    def tell(self) -> None:
        """Tells of the files; ends the program if one could not be written."""
        for sentence in self.notes:
            note(sentence)
        if self.faults:
            raise fail(WRONG_INPUT, *self.faults)


def write_events(plan: WeeklyPlan, file: Path) -> None:
    """Writes the events as Parquet or, with times in ISO 8601, as CSV."""
    write_table(plan.frame, file)


def write_coverage(plan: WeeklyPlan, file: Path) -> None:
    """Writes shortage, what covers it and prices by slot, the whole first and then each feeder."""
    write_table(coverage_table(plan), file)


def coverage_table(plan: WeeklyPlan) -> "pd.DataFrame":
    """The coverage of the whole and of each feeder, one after the other; the whole has no name.

    A slot whose clock time is left out lasts no time, and has no row.
    """
    import pandas as pd

    parts = {"": plan.coverage, **plan.feeders}
    lasts = np.flatnonzero(plan.week.slot_h)
    named = [
        table.iloc[lasts[lasts < len(table)]].reset_index().assign(feeder=feeder)
        for feeder, table in parts.items()
    ]
    return pd.concat(named, ignore_index=True)


def write_table(table: "pd.DataFrame", file: Path) -> None:
    """Writes a table as Parquet or as CSV: with times in ISO 8601, and no cell a formula."""
    if file.suffix.lower() == ".parquet":
        table.to_parquet(file, index=False)
        return
    written = table.copy()
    for name, column in table.select_dtypes("datetimetz").items():
        written[name] = column.map(datetime.isoformat)
    for name, column in table.select_dtypes(["object", "str"]).items():
        written[name] = column.map(guarded)
    written.to_csv(file, index=False)
