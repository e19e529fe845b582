"""Parts of data sets in which a row is a reading.

Readings come in any order, so they are first spread over files of this machine by user, few enough
for a part to be put together in memory; for a small data set there is one part. If there are
several readings of a user in a slot, the last one read stands and is marked, as is one that arrived
after the cut-off.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pandas.util import hash_array

from loadloom.engine.datasets.checks import check_words, text_column, user_names
from loadloom.engine.datasets.data_set import DataSet
from loadloom.engine.datasets.roots import refusal
from loadloom.engine.datasets.tables import Batch, Table, told
from loadloom.engine.datasets.times import instants, slots_of
from loadloom.engine.datasets.wide import in_kw
from loadloom.models.agency.completeness import Mark
from loadloom.models.agency.curves import Chunk
from loadloom.models.horizon import Horizon

PART_READINGS = 4_000_000
"""About the readings of one part: some 300 MB while they are put together."""

CHUNK_VALUES = 1_000_000
"""The most readings of a chunk; putting it together takes some ten times its memory."""

BATCH_ROWS = 250_000
"""The readings that are read at a time."""

BYTES_A_READING = 20
"""About what a reading takes in a CSV file; a guess that decides on the number of parts only."""

SCHEMA = pa.schema(
    [
        ("user", pa.string()),
        ("area", pa.string()),
        ("slot", pa.int32()),
        ("load", pa.float64()),
        ("late", pa.bool_()),
        ("row", pa.int64()),
        ("file", pa.int32()),
    ]
)
"""What is kept of a reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongPart:
    """The readings of some users, in a file of this machine.

    Attributes:
        path: the file.
        shown: the files of the data set, for messages.
        data_set: how readings stand in them.
        horizon: the slots.
    """

    path: Path
    shown: tuple[str, ...]
    data_set: DataSet
    horizon: Horizon

    def chunks(self) -> Iterator[Chunk]:
        """The curves of the users, in the order of their first reading.

        Raises:
            InvalidProblem: a user has two areas, or readings of another resolution.
        """
        with pa.OSFile(str(self.path), "rb") as file:
            readings = pa.ipc.open_stream(file).read_all()
        users = readings["user"].combine_chunks().dictionary_encode()
        code = users.indices.to_numpy(zero_copy_only=False)
        names = users.dictionary.to_pylist()
        area, area_names = self._areas(readings, code, len(names))
        columns = {
            name: readings[name].to_numpy() for name in ("slot", "load", "late", "row", "file")
        }
        order = np.argsort(code, kind="stable")
        ends = np.searchsorted(code[order], np.arange(len(names) + 1))
        step = max(1, CHUNK_VALUES // self.horizon.count)
        for first in range(0, len(names), step):
            last = min(first + step, len(names))
            taken = order[ends[first] : ends[last]]
            some = {name: column[taken] for name, column in columns.items()}
            load_kw, marks = self._curves(code[taken] - first, some, last - first)
            self._check_resolution(load_kw, names[first:last])
            yield Chunk(
                load_kw=in_kw(load_kw, self.data_set.unit, self.horizon),
                group=area[first:last],
                group_names=area_names,
                names=tuple(names[first:last]),
                marks=marks,
                first_row=first,
                source=", ".join(self.shown[:3]),
            )

    def _curves(
        self, user: NDArray[np.integer], some: dict[str, NDArray], count: int
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """The readings (n, T), NaN where there is none, and their marks."""
        slots = self.horizon.count
        place = user.astype(np.int64) * slots + some["slot"]
        load = np.full(count * slots, np.nan)
        marks = np.zeros(count * slots, np.uint8)
        load[place] = some["load"]  # the last one stands
        marks[np.bincount(place, minlength=load.size) > 1] |= np.uint8(Mark.DUPLICATE)
        late = np.zeros(load.size, np.bool_)
        late[place] = some["late"]
        marks[late] |= np.uint8(Mark.LATE)
        return load.reshape(count, slots), marks.reshape(count, slots)

    def _areas(
        self, readings: pa.Table, code: NDArray[np.integer], count: int
    ) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        """The index of each user's area, and the areas."""
        areas = readings["area"].combine_chunks().dictionary_encode()
        index = areas.indices.to_numpy(zero_copy_only=False)
        found = np.zeros(count, np.int32)
        found[code[::-1]] = index[::-1]
        wrong = np.flatnonzero(found[code] != index)
        if wrong.size:
            row, file = readings["row"][int(wrong[0])], readings["file"][int(wrong[0])].as_py()
            user, area = readings["user"][int(wrong[0])], readings["area"][int(wrong[0])]
            words = f"row {row}, column {self.data_set.area_column!r}: user {user} is in {area}"
            other = areas.dictionary[int(found[code[wrong[0]]])]
            raise refusal(self.shown[file], f"{words}, and in {other} before")
        return found, tuple(areas.dictionary.to_pylist()) or ("",)

    def _check_resolution(self, load_kw: NDArray[np.float64], names: Sequence[str]) -> None:
        """Raises InvalidProblem for a user with readings all over, but never two in a row."""
        there = ~np.isnan(load_kw)
        alone = ~(there[:, 1:] & there[:, :-1]).any(axis=1) & (there.sum(axis=1) >= 4)
        if alone.any():
            user = int(np.argmax(alone))
            gaps = np.diff(np.flatnonzero(there[user]))
            words = f"user {names[user]!r} has readings every {np.bincount(gaps).argmax()} slots"
            right = "all readings must have the resolution of the slots"
            raise refusal(", ".join(self.shown[:3]), f"{words} at most; {right}")


def spread_out(
    tables: Sequence[Table],
    data_set: DataSet,
    horizon: Horizon,
    currency: str | None,
    cut_off: datetime | None,
    folder: Path,
) -> list[LongPart]:
    """The readings of all files, spread by user over files in a folder.

    Raises:
        InvalidProblem: a file is damaged, or a row is at fault.
    """
    rows = sum(_guessed_rows(table) for table in tables)
    paths = [folder / f"{k}.arrow" for k in range(max(1, -(-rows // PART_READINGS)))]
    writers = [pa.ipc.new_stream(str(path), SCHEMA) for path in paths]
    for number, table in enumerate(tables):
        for batch in table.batches(data_set, BATCH_ROWS):
            with told(table.location.shown):
                check_words(batch, data_set, table.location.shown, currency)
                readings = _readings(batch, table, data_set, horizon, cut_off, number)
            if len(writers) == 1:
                writers[0].write_batch(readings)
                continue
            user = readings["user"].dictionary_encode()
            names = np.asarray(user.dictionary.to_pylist(), dtype=object)
            hashes: NDArray[np.uint64] = hash_array(names)  # pyright: ignore[reportCallIssue] -- lazy
            place = (hashes % len(writers)).astype(np.int64)
            place = place[user.indices.to_numpy(zero_copy_only=False)]
            for k in np.unique(place).tolist():
                writers[int(k)].write_batch(readings.filter(pa.array(place == k)))
    for writer in writers:
        writer.close()
    shown = tuple(table.location.shown for table in tables)
    return [LongPart(path=path, shown=shown, data_set=data_set, horizon=horizon) for path in paths]


def _guessed_rows(table: Table) -> int:
    if table.group_rows:
        return sum(table.group_rows)
    with table.location.open() as file:
        return file.seek(0, 2) // BYTES_A_READING


def _readings(
    batch: Batch,
    table: Table,
    data_set: DataSet,
    horizon: Horizon,
    cut_off: datetime | None,
    number: int,
) -> pa.RecordBatch:
    """What is kept of the rows of a batch."""
    shown, count = table.location.shown, batch.rows.num_rows
    user = user_names(batch, data_set, shown)
    late = np.zeros(count, np.bool_)
    if data_set.arrival_column and cut_off is not None:
        arrival = instants(batch, data_set.arrival_column, horizon.time_zone, shown)
        late = arrival > round(cut_off.timestamp() * 1e6)
    area = (
        text_column(batch, data_set.area_column)
        if data_set.area_column
        else pa.nulls(count, pa.string())
    )
    load = batch.rows.column(data_set.load_column).cast(pa.float64())
    return pa.record_batch(
        [
            user,
            pc.fill_null(area, ""),  # pyright: ignore[reportAttributeAccessIssue]
            pa.array(slots_of(batch, data_set.time_column, horizon, shown)),
            pc.fill_null(load, np.nan),  # pyright: ignore[reportAttributeAccessIssue]
            pa.array(late),
            pa.array(np.arange(batch.first_row, batch.first_row + count)),
            pa.array(np.full(count, number, np.int32)),
        ],
        schema=SCHEMA,
    )
