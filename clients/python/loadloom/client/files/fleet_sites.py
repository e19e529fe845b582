"""Files of the sites of a fleet: a line for each, with a load, a photovoltaic plant and one store.

    site,node,load_profile,load_scale,pv_profile,pv_scale,energy_max_kwh,charge_limit_kw,plugged
    home 1,feeder 3,h0_a,4.2,pv3,6.5,10,4.6,
    home 2,feeder 3,h0_b,3.1,,,58,11,17:30-07:00

A profile is a column of a table of profiles, multiplied by the scale; with `load_offset_minutes` it
comes that much later. `load_kw` instead is a load that stays as it is. A car is a store that is
`plugged` in within a window of the day, and holds `wanted_kwh` at the end of it at least. What is
empty is none: no load, no plant, no store, no limit; efficiencies are 1. A site with devices of any
kind has nothing but a `site_file`: its YAML, beside this file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from loadloom.client.files import orderly_cells as cells
from loadloom.client.files.alignment import sample
from loadloom.client.files.columns import number_column, raise_faults, unique_names
from loadloom.client.files.faults import Fault
from loadloom.client.files.orderly_cells import Cells, Column
from loadloom.client.files.series import TimedSeries, numbers, timeline
from loadloom.client.files.tables import Table, read_table
from loadloom.client.files.windows import Window, mask
from loadloom.client.fleet_parts import FleetSites, Scaled, SiteColumn
from loadloom.client.grid import Grid

YES, NO = ("yes", "true", "1"), ("no", "false", "0")

LONGEST_OFFSET = 7 * 24 * 60
"""The minutes by which a profile may be moved: a week."""

LEAST_EFFICIENCY = 0.001


def _yes(text: str, decimal_comma: bool) -> float:  # noqa: ARG001 -- as all readers of cells
    if text.lower() not in YES + NO:
        raise ValueError(f"is {text!r}; must be yes or no")
    return float(text.lower() in YES)


def _windows(text: str, decimal_comma: bool) -> str:  # noqa: ARG001
    for word in text.split():
        first, _, last = word.partition("-")
        try:
            _ = time.fromisoformat(first), time.fromisoformat(last)
        except ValueError:
            raise ValueError(f"{word!r} is no window; write it as 17:30-07:00") from None
    return " ".join(text.split())


def _number(low: float = 0.0, high: float = 1e9) -> Column:
    return Column(parse=cells.real(low, high))


def _quantity(low: float = 0.0) -> Column:
    return Column(parse=cells.real(low), unit=True)


WORD = Column(parse=cells.text)
OFFSET = Column(parse=cells.whole(-LONGEST_OFFSET, LONGEST_OFFSET))

SITE_COLUMNS = {
    "site": WORD,
    "node": WORD,
    "load_kw": _quantity(),
    "load_profile": WORD,
    "load_scale": _number(),
    "load_offset_minutes": OFFSET,
    "pv_profile": WORD,
    "pv_scale": _number(),
    "pv_offset_minutes": OFFSET,
    "pv_curtailable": Column(parse=_yes),
    "import_limit_kw": _quantity(),
    "export_limit_kw": _quantity(),
    "energy_min_kwh": _quantity(),
    "energy_max_kwh": _quantity(),
    "initial_energy_kwh": _quantity(),
    "end_energy_min_kwh": _quantity(),
    "end_energy_max_kwh": _quantity(),
    "charge_limit_kw": _quantity(),
    "discharge_limit_kw": _quantity(),
    "charge_efficiency": _number(LEAST_EFFICIENCY, 1.0),
    "discharge_efficiency": _number(LEAST_EFFICIENCY, 1.0),
    "self_discharge_per_h": _number(0.0, 1.0),
    "wear_cost_per_kwh": _quantity(),
    "end_value_per_kwh": _quantity(-1e9),
    "plugged": Column(parse=_windows),
    "wanted_kwh": _quantity(),
    "site_file": WORD,
}
"""What a table of sites may say."""

EMPTY = {
    "pv_curtailable": 0.0,
    "import_limit_kw": np.inf,
    "export_limit_kw": np.inf,
    "energy_max_kwh": 0.0,
    "initial_energy_kwh": 0.0,
    "end_energy_min_kwh": 0.0,
    "end_energy_max_kwh": np.inf,
    "charge_efficiency": 1.0,
    "discharge_efficiency": 1.0,
    "self_discharge_per_h": 0.0,
    "wear_cost_per_kwh": 0.0,
    "end_value_per_kwh": 0.0,
}
"""What empty cells mean in the columns that sites have as they stand."""

SHAPED = {
    "load_kw": 0.0,
    "load_scale": 1.0,
    "pv_scale": 1.0,
    "energy_min_kwh": 0.0,
    "charge_limit_kw": 0.0,
    "discharge_limit_kw": 0.0,
    "wanted_kwh": 0.0,
}
"""The same in columns that are made of several."""

STEMS = {"load": "load_kw", "pv": "pv_kw"}
"""What is made of profiles: how the columns of it begin, and the column of sites."""

Key = tuple[str, int]
"""A profile and the minutes by which it is moved."""

NO_PROFILE: Key = ("", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedRow:
    """A site that has a file of its own: its row in the table, its name, its node and the file."""

    row: int
    name: str
    node: str
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SitesInput:
    """The sites of a file, before their horizon is known.

    Attributes:
        rows: the row in the table of each site in columns.
        mixed: the sites that have files of their own.
        names: the names of the sites in columns, as all that follows.
        nodes: the name of the node of each.
        columns: numbers for each site, by the columns of the table.
        keys: the profile of each site, by what is made of it; ("", 0) for none.
        series: the profiles that are used.
        plugged: the windows of each site; empty where it is always plugged in.
        reading: the reading of the table, which knows its headers.
        zone: the zone of the windows.
    """

    rows: list[int]
    mixed: list[MixedRow]
    names: list[str]
    nodes: list[str]
    columns: Mapping[str, NDArray[np.float64]]
    keys: Mapping[str, list[Key]]
    series: Mapping[Key, TimedSeries]
    plugged: list[str]
    reading: Cells
    zone: ZoneInfo

    def over(self, grid: Grid) -> FleetSites:
        """The sites over a grid that the profiles cover."""
        said: dict[str, SiteColumn] = {
            name: _narrow(column) for name, column in self.columns.items() if name in EMPTY
        }
        said.setdefault("energy_max_kwh", 0.0)
        for stem, target in STEMS.items():
            said[target] = self._profiled(stem, grid)
        windows = {words: self._inside(words, grid) for words in dict.fromkeys(self.plugged)}
        for name in ("charge_limit_kw", "discharge_limit_kw"):
            said[name] = _scaled(windows, self.plugged, self._column(name))
        wanted = self._column("wanted_kwh")
        ends = {words: _ends(inside) for words, inside in windows.items()}
        which = [w if kwh > 0.0 else "" for w, kwh in zip(self.plugged, wanted, strict=True)]
        least = np.where(wanted > 0.0, wanted, self._column("energy_min_kwh"))
        said["energy_min_kwh"] = _scaled(ends | {"": np.ones(grid.count)}, which, least)
        return FleetSites(nodes=self.nodes, columns=said, names=self.names)

    def fault(self, column: str, row: int, message: str) -> Fault:
        """A fault in a column of sites, at the cell that it comes from."""
        name = column
        for stem, target in STEMS.items():
            if column == target and self.keys[stem][row][0]:
                name = f"{stem}_scale" if self.reading.has(f"{stem}_scale") else f"{stem}_profile"
        if column == "energy_min_kwh" and self._column("wanted_kwh")[row] > 0.0:
            name = "wanted_kwh"
        return self.row_fault(name, self.rows[row], message)

    def row_fault(self, column: str, row: int, message: str) -> Fault:
        """A fault in a column of a row of the table, at the site's name if there is no such one."""
        header = self.reading.header(column) or self.reading.header("site")
        return self.reading.table.fault(message, column=header, index=row)

    def profile_column(self, column: str, row: int) -> str:
        """The column that names the profile of a site; the column itself where it has none."""
        stems = [stem for stem, target in STEMS.items() if target == column]
        return next((f"{stem}_profile" for stem in stems if self.keys[stem][row][0]), column)

    def _column(self, name: str) -> NDArray[np.float64]:
        return self.columns.get(name, np.zeros(len(self.names)))

    def _profiled(self, stem: str, grid: Grid) -> SiteColumn:
        """The load or sun of each site: a profile times its scale, or what stays as it is."""
        keys = self.keys[stem]
        rows = {key: sample(self.series[key], grid) for key in dict.fromkeys(keys) if key[0]}
        scales = self.columns.get(f"{stem}_scale", np.ones(len(keys)))
        scale = np.where([bool(key[0]) for key in keys], scales, 0.0)
        if stem == "load":
            scale += self._column("load_kw")
        return _scaled(rows | {NO_PROFILE: np.ones(grid.count)}, keys, scale)

    def _inside(self, words: str, grid: Grid) -> NDArray[np.float64]:
        """1 for each interval that begins within windows of the day; everywhere without any."""
        said = [word.partition("-") for word in words.split()]
        windows = [Window.model_validate({"from": a, "to": b}) for a, _, b in said]
        return mask(windows, grid, self.zone) if windows else np.ones(grid.count)


def read_sites(
    file: Path, nodes: Sequence[str], profiles: Path | None, zone: ZoneInfo
) -> SitesInput:
    """The sites in a file that ends in .csv, .csv.gz or .parquet.

    Args:
        file: the file.
        nodes: the names of the nodes that they can be below.
        profiles: the file of profiles: times and a column for each; None if no site has one.
        zone: the zone of times without an offset, and of windows of the day.

    Raises:
        InputError: a file cannot be used; everything that is wrong is named.
    """
    table = None if profiles is None else read_table(profiles)
    reading = Cells(read_table(file), SITE_COLUMNS)
    reading.require("site", "node")
    raise_faults(reading)
    names, known = unique_names(reading, "site"), set(nodes)
    at = [reading.text("node", index) for index in range(len(names))]
    for index, node in enumerate(at):
        if node not in known:
            reading.fault(f"there is no node {node!r}" if node else "is missing", "node", index)
    columns = {}
    for name, empty in (EMPTY | SHAPED).items():
        column = number_column(reading, name, empty)
        if column is not None:
            columns[name] = column
    keys = {stem: _keys(reading, stem, table) for stem in STEMS}
    plugged = [reading.value("plugged", index) or "" for index in range(len(names))]
    for index, words in enumerate(plugged):
        if reading.text("wanted_kwh", index) and not reading.text("plugged", index):
            reading.fault(
                "goes with plugged, at the end of which it is wanted", "wanted_kwh", index
            )
        if words and reading.text("wanted_kwh", index) and reading.text("energy_min_kwh", index):
            reading.fault("goes without energy_min_kwh", "wanted_kwh", index)
    mixed = _mixed(reading, names, at)
    raise_faults(reading)
    used = dict.fromkeys(key for stem in keys.values() for key in stem if key[0])
    others = {each.row for each in mixed}
    rows = [index for index in range(len(names)) if index not in others]
    return SitesInput(
        rows=rows,
        mixed=mixed,
        names=[names[row] for row in rows],
        nodes=[at[row] for row in rows],
        columns={name: column[rows] for name, column in columns.items()},
        keys={stem: [own[row] for row in rows] for stem, own in keys.items()},
        series={} if table is None else _series(table, [*used], zone),
        plugged=[plugged[row] for row in rows],
        reading=reading,
        zone=zone,
    )


def _mixed(reading: Cells, names: list[str], nodes: list[str]) -> list[MixedRow]:
    """The sites that have files of their own, which say all else of them."""
    found, folder = [], reading.table.file.parent
    for row, (name, node) in enumerate(zip(names, nodes, strict=True)):
        said = reading.text("site_file", row)
        if not said:
            continue
        for column in SITE_COLUMNS.keys() - {"site", "node", "site_file"}:
            if reading.text(column, row):
                reading.fault("goes without site_file, which says it", column, row)
        found.append(MixedRow(row=row, name=name, node=node, file=folder / said))
    return found


def _keys(reading: Cells, stem: str, table: Table | None) -> list[Key]:
    """The profile of each site, and by how much it is moved; NO_PROFILE where it has none."""
    profile, scale, offset = (f"{stem}_{word}" for word in ("profile", "scale", "offset_minutes"))
    found = []
    for index in range(len(reading.table.lines)):
        name = reading.text(profile, index)
        if not name:
            for other in (scale, offset):
                if reading.text(other, index):
                    reading.fault(f"goes with {profile}", other, index)
            found.append(NO_PROFILE)
            continue
        if table is None or name not in table.cells or name == table.time_column:
            reading.fault(_no_profile(name, table), profile, index)
        if reading.text(f"{stem}_kw", index):
            reading.fault(f"goes without {profile}, which has {scale}", f"{stem}_kw", index)
        found.append((name, reading.value(offset, index) or 0))
    return found


def _no_profile(name: str, table: Table | None) -> str:
    """What is wrong with a profile that there is not."""
    if table is None:
        return "is a profile, and there is no table of them"
    close = get_close_matches(name, [*table.cells], 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"there is no column {name!r} in {table.file}{hint}"


def _series(table: Table, keys: list[Key], zone: ZoneInfo) -> dict[Key, TimedSeries]:
    """The profiles that are used, each moved by its offset.

    Raises:
        InputError: times or cells cannot be used.
    """
    start, step = timeline(table, zone)
    values = {name: numbers(table, name) for name in dict.fromkeys(key[0] for key in keys)}
    return {
        (name, minutes): TimedSeries(
            table=table,
            column=name,
            start=start + timedelta(minutes=minutes),
            step=step,
            values=values[name],
        )
        for name, minutes in keys
    }


def _scaled(
    rows: Mapping[Any, NDArray[np.float64]], which: Sequence[Any], scale: NDArray[np.float64]
) -> SiteColumn:
    """A column of which each site has one of the rows, times its scale."""
    used = [*dict.fromkeys(which)]
    if len(used) == 1 and (rows[used[0]] == 1.0).all():
        return _narrow(scale)
    place = {key: row for row, key in enumerate(used)}
    return Scaled(
        rows=np.stack([rows[key] for key in used]),
        which=np.array([place[key] for key in which]),
        scale=scale,
    )


def _narrow(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """A column with a row for each site, or one for all if they are alike."""
    return column[: 1 if (column == column[0]).all() else None, np.newaxis]


def _ends(inside: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 for each interval at the end of which a window ends within the horizon."""
    return inside * (1.0 - np.append(inside[1:], 1.0))
