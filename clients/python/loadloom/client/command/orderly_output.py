"""Weekly plans as tables for programs: a row for each event, a row for each slot."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from loadloom.client.orderly_plan import WeeklyPlan

if TYPE_CHECKING:
    import pandas as pd


def write_events(plan: WeeklyPlan, file: Path) -> None:
    """Writes the events as Parquet or, with times in ISO 8601, as CSV."""
    write_table(plan.frame, file)


def write_coverage(plan: WeeklyPlan, file: Path) -> None:
    """Writes shortage, what covers it and prices by slot, the whole first and then each feeder."""
    write_table(coverage_table(plan), file)


def coverage_table(plan: WeeklyPlan) -> "pd.DataFrame":
    """The coverage of the whole and of each feeder, one after the other; the whole has no name."""
    import pandas as pd

    parts = {"": plan.coverage, **plan.feeders}
    named = [table.reset_index().assign(feeder=feeder) for feeder, table in parts.items()]
    return pd.concat(named, ignore_index=True)


def write_table(table: "pd.DataFrame", file: Path) -> None:
    """Writes a table as Parquet or, with times in ISO 8601, as CSV."""
    if file.suffix.lower() == ".parquet":
        table.to_parquet(file, index=False)
        return
    written = table.copy()
    for name, column in table.select_dtypes("datetimetz").items():
        written[name] = column.map(datetime.isoformat)
    written.to_csv(file, index=False)
