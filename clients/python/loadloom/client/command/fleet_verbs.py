"""What `loadloom fleet` does; `fleet_app` tells its options."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from google.protobuf.json_format import MessageToJson

from loadloom.client.client import Client
from loadloom.client.command.fleet_report import fleet_report
from loadloom.client.command.orderly_output import Written, write_table
from loadloom.client.command.orderly_place import Place, opened
from loadloom.client.command.orderly_progress import followed
from loadloom.client.command.response_input import Span, tried
from loadloom.client.command.terminal import Terminal
from loadloom.client.command.verbs import (
    NO_PLAN,
    TABLE_SUFFIXES,
    check_output,
    check_time_limit,
    note,
)
from loadloom.client.errors import Violation
from loadloom.client.files.fleet_input import FleetFiles, FleetInput, read_fleet
from loadloom.client.files.formulas import guarded
from loadloom.client.fleet_charts import SUFFIXES, Point, write_fleet_chart
from loadloom.client.fleet_plan import FleetPlan, SitePlans
from loadloom.client.fleet_request import FleetWishes

OPTIONS = {
    "options.time_limit": "--time-limit",
    "options.relative_gap": "--gap",
    "grid": "--prices, --from and --to",
}
"""The options that fields of a request come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What to read, and the horizon if it is not that of the prices."""

    sites: Path
    network: Path
    prices: Path
    profiles: Path | None
    limits: Path | None
    start: datetime | None
    end: datetime | None
    time_zone: str | None

    def read(self) -> FleetInput:
        """What the files say; ends the program if they cannot be used, with all that is wrong."""
        zone = Span(time_zone=self.time_zone).zone
        files = FleetFiles(
            sites=self.sites,
            network=self.network,
            prices=self.prices,
            profiles=self.profiles,
            limits=self.limits,
            start=self.start,
            end=self.end,
            zone=zone,
        )
        return tried(lambda: read_fleet(files))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What to write, and whether to print JSON."""

    out: Path | None
    costs: Path | None
    schedules: Path | None
    plot: Path | None
    as_json: bool

    def check(self) -> None:
        """Ends the program if a file could not be written in the end."""
        for option, file in (
            ("--out", self.out),
            ("--costs", self.costs),
            ("--schedules", self.schedules),
        ):
            check_output(option, file, TABLE_SUFFIXES)
        check_output("--plot", self.plot, SUFFIXES)


def fleet(
    place: Place, files: Files, outputs: Outputs, gap: float, time_limit_s: float | None
) -> None:
    """Plans the fleet in the files, tells the plan, and writes what was asked for."""
    place.check()
    outputs.check()
    check_time_limit(time_limit_s)
    found = files.read()
    wishes: FleetWishes = {
        "currency_code": found.currency_code,
        "time_limit_s": time_limit_s,
        "relative_gap": gap,
        "mixed_sites": found.mixed_sites,
    }
    if outputs.schedules is None:
        wishes["columns"] = ["import_kw", "export_kw"]
    points: list[Point] = []
    with opened(place, lambda violation: _traced(found, violation)) as client:
        operation = client.plan_fleet(found.sites, found.nodes, found.grid, **wishes)
        made = followed(
            operation,
            place,
            quiet=outputs.as_json,
            each=lambda seconds, progress: points.append(
                Point(seconds=seconds, value=progress.value, bound=progress.bound)
            ),
        )
        written = _written(client, made, outputs, points) if made.exists else Written()
    if outputs.as_json:
        print(MessageToJson(made.message, preserving_proto_field_name=True))
    else:
        Terminal().print(fleet_report(made, lambda path: _place(found, path)))
    for column in found.used:
        note(f"Prices: {column}")
    if not made.exists:
        raise typer.Exit(NO_PLAN)
    written.tell()
    note(f"{made.operation} is kept in {place.words}")


def write_schedules(pages: Iterable[SitePlans], file: Path) -> None:
    """Writes what each site does as Parquet or, with times in ISO 8601, as CSV, page by page."""
    if file.suffix.lower() == ".parquet":
        _write_parquet(pages, file)
    else:
        _write_csv(pages, file)


def _written(client: Client, made: FleetPlan, outputs: Outputs, points: list[Point]) -> Written:
    """The files that were asked for."""
    written = Written()
    frame = made.frame.replace(np.inf, np.nan)
    written.add("Nodes", outputs.out, lambda file: write_table(frame, file))

    def costs(file: Path) -> None:
        pages = client.list_site_plans(made, without_columns=True)
        write_table(pd.concat([page.summary for page in pages]).reset_index(), file)

    written.add("Costs of sites", outputs.costs, costs)
    schedules = client.list_site_plans(made)
    written.add("Schedules", outputs.schedules, lambda file: write_schedules(schedules, file))
    written.add("Chart", outputs.plot, lambda file: write_fleet_chart(made, file, points))
    return written


def _write_csv(pages: Iterable[SitePlans], file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as target:
        for number, page in enumerate(pages):
            frame, count = page.frame, page.grid.count
            # Once a page, and not once a row: 10,000 sites of a day have a million.
            frame["site"] = np.repeat([str(guarded(name)) for name in page.names], count)
            times = [moment.isoformat() for moment in page.grid.boundaries[:-1]]
            frame["time"] = np.tile(times, len(page))
            frame.to_csv(target, index=False, header=number == 0)


def _write_parquet(pages: Iterable[SitePlans], file: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    writer = None
    try:
        for page in pages:
            table = pa.Table.from_pandas(page.frame, preserve_index=False)
            writer = writer or parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _traced(found: FleetInput, violation: Violation) -> str:
    """What the server found, at the option or the place in a file that it comes from."""
    fault = found.fault(violation)
    if fault is not None:
        return str(fault)
    for path, option in OPTIONS.items():
        if violation.path.startswith(path):
            return f"{option}: {violation.message}"
    return str(violation)


def _place(found: FleetInput, path: str) -> str:
    """Where a rule that a field path names stands in a file."""
    fault = found.fault(Violation(path, ""))
    return path if fault is None else fault.place
