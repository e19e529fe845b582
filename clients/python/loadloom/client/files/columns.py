"""Columns of a table as names and as numbers; what is wrong is noted at its cell."""

import numpy as np
from numpy.typing import NDArray

from loadloom.client.files.faults import InputError
from loadloom.client.files.orderly_cells import Cells, told


def unique_names(reading: Cells, column: str) -> list[str]:
    """The names in a column, each one once."""
    found: list[str] = []
    first: dict[str, int] = {}
    for index in range(len(reading.table.lines)):
        name = reading.text(column, index)
        if not name:
            reading.fault("is missing", column, index)
        elif name in first:
            reading.fault(f"{name!r} is already in {reading.line(first[name])}", column, index)
        first.setdefault(name, index)
        found.append(name)
    if not found:
        reading.faults.append(reading.table.fault("has no rows"))
    return found


def number_column(reading: Cells, name: str, empty: float | None) -> NDArray[np.float64] | None:
    """The numbers of a column; empty cells have a value, or are noted. None without the column."""
    if not reading.has(name):
        return None
    values = np.zeros(len(reading.table.lines))
    for index in range(len(values)):
        value = reading.value(name, index)
        if value is None and empty is None and not reading.text(name, index):
            reading.fault("is missing", name, index)
        values[index] = (empty or 0.0) if value is None else value
    return values


def raise_faults(reading: Cells) -> None:
    """Raises InputError with the faults that were noted, if there are any."""
    if reading.faults:
        raise InputError(told(reading.faults))
