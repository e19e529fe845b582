"""Columns of times, read: instants with an offset, or local times of the horizon's zone."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from loadloom.engine.datasets.roots import refusal
from loadloom.engine.datasets.tables import Batch
from loadloom.models.horizon import Horizon

MICROSECONDS = pa.timestamp("us")
INSTANTS = pa.timestamp("us", "UTC")
WITH_OFFSET = r"(Z|[+-]\d\d:?\d\d)$"


def instants(batch: Batch, name: str, zone: str, shown: str) -> NDArray[np.int64]:
    """The instants of a column, in microseconds since 1970, UTC.

    Raises:
        InvalidProblem: a time is missing or none, or a local one comes twice or never that day.
    """
    column = batch.rows.column(name)

    def fault(rows: pa.Array, words: str) -> None:
        row = pc.index(rows, True).as_py()  # pyright: ignore[reportAttributeAccessIssue]
        if row >= 0:
            said = batch.rows.column(name)[row]
            where = f"row {batch.first_row + row}, column {name!r}"
            raise refusal(shown, f"{where}: {said} {words}")

    fault(column.is_null(), "is no time")
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _parsed(batch, name, shown)
    elif not pa.types.is_timestamp(column.type):
        raise refusal(shown, f"column {name!r} is {column.type}; must be times")
    if column.type.tz is None:
        local = column.cast(MICROSECONDS, safe=False)
        first = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="earliest")  # pyright: ignore[reportAttributeAccessIssue]
        last = pc.assume_timezone(local, zone, ambiguous="latest", nonexistent="latest")  # pyright: ignore[reportAttributeAccessIssue]
        words = f"comes twice or never in {zone}, where clocks change; give times with an offset"
        fault(pc.not_equal(first, last), words)  # pyright: ignore[reportAttributeAccessIssue]
        column = first
    found = column.cast(INSTANTS, safe=False).cast(pa.int64())
    return found.to_numpy(zero_copy_only=False)


def _parsed(batch: Batch, name: str, shown: str) -> pa.Array:
    """Times from words, all with an offset or all without."""
    column = batch.rows.column(name).cast(pa.string())
    aware = pc.match_substring_regex(column, WITH_OFFSET)  # pyright: ignore[reportAttributeAccessIssue]
    kind = INSTANTS if aware[0].as_py() else MICROSECONDS
    if len(pc.unique(aware)) > 1:  # pyright: ignore[reportAttributeAccessIssue]
        row = pc.index(aware, not aware[0].as_py()).as_py()  # pyright: ignore[reportAttributeAccessIssue]
        where = f"row {batch.first_row + row}, column {name!r}"
        words = f"{where}: {column[row]} has an offset or none unlike row {batch.first_row}"
        raise refusal(shown, words)
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        for row, word in enumerate(column):
            try:
                word.cast(kind)
            except pa.ArrowInvalid as error:
                where = f"row {batch.first_row + row}, column {name!r}"
                raise refusal(shown, f"{where}: {word} is no time") from error
        raise


def slots_of(batch: Batch, name: str, horizon: Horizon, shown: str) -> NDArray[np.int32]:
    """The slot that begins at each time of a column.

    Raises:
        InvalidProblem: besides, no slot begins then.
    """
    found = instants(batch, name, horizon.time_zone, shown)
    begins = round(horizon.start.timestamp() * 1e6) + np.rint(horizon.boundaries_h * 3.6e9).astype(
        np.int64
    )
    slot = np.searchsorted(begins, found)
    good = (slot < horizon.count) & (begins[np.minimum(slot, horizon.count)] == found)
    if not good.all():
        row = int(np.argmin(good))
        where = f"row {batch.first_row + row}, column {name!r}"
        said = batch.rows.column(name)[row]
        first, last = (horizon.boundary(t).isoformat() for t in (0, horizon.count))
        inside = begins[0] <= found[row] < begins[-1]
        right = (
            "is not the begin of a slot; all readings must have one resolution"
            if inside
            else f"is not from {first} to {last}"
        )
        raise refusal(shown, f"{where}: {said} {right}")
    return slot.astype(np.int32)
