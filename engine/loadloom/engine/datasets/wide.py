"""Parts of data sets in which a row is a user's curve."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from loadloom.engine.datasets.checks import check_words, text_column, user_names
from loadloom.engine.datasets.data_set import DataSet, Layout, Unit
from loadloom.engine.datasets.roots import refusal
from loadloom.engine.datasets.tables import Batch, Table, told
from loadloom.models.agency.curves import Chunk
from loadloom.models.agency.problem import LoadArray
from loadloom.models.horizon import Horizon
from loadloom.solvers.kernels.columns import gather

CHUNK_VALUES, LIST_VALUES = 5_000_000, 1_600_000
"""The most readings of a chunk, 20 MB as float32: enough to forget what a column costs by itself.
Lists are one column, and stay in the cache from being decoded until they are added up."""

POWER = {Unit.KW: 1.0, Unit.W: 1e-3, Unit.MW: 1e3, Unit.KWH: 1.0}
"""kW a unit; energies are divided by the hours of their slots beside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WidePart:
    """A file, or one row group of it.

    Attributes:
        table: the file.
        data_set: how curves stand in it.
        horizon: the slots that every curve must have.
        currency: that of every row, where there is a column of them.
        group: the row group, or None for all rows.
        first_user: the place of its first user in the data set; for CSV in its file.
        with_names: whether the users' names are read.
    """

    table: Table
    data_set: DataSet
    horizon: Horizon
    currency: str | None
    group: int | None
    first_user: int
    with_names: bool

    def chunks(self) -> Iterator[Chunk]:
        """The curves, some at a time.

        Raises:
            InvalidProblem: the file is damaged, or a row has not the slots of the horizon.
        """
        table, done = self.table, 0
        slots = table.columns[len(self.data_set.row_columns) :]
        keep = [name for name in table.columns if self._wanted(name)]
        table = replace(table, columns=tuple(keep))
        lists = self.data_set.layout is Layout.WIDE_LIST
        rows = max(1, (LIST_VALUES if lists else CHUNK_VALUES) // self.horizon.count)
        for batch in table.batches(self.data_set, rows, self.group):
            with told(table.location.shown):
                chunk = self._chunk(batch, slots, done)
            yield chunk
            done += batch.rows.num_rows

    def _chunk(self, batch: Batch, slots: tuple[str, ...], done: int) -> Chunk:
        """The curves of a batch, before which the part had so many users."""
        data_set, shown = self.data_set, self.table.location.shown
        check_words(batch, data_set, shown, self.currency)
        if data_set.layout is Layout.WIDE_LIST:
            load_kw = self._lists(batch)
        else:
            load_kw = self._columns(batch, slots)
        group, group_names = areas(batch, data_set)
        names = user_names(batch, data_set, shown).to_pylist() if self.with_names else None
        return Chunk(
            load_kw=self._in_kw(load_kw),
            group=group,
            group_names=group_names,
            names=None if names is None else tuple(names),
            first_row=self.first_user + done,
            source=f"{shown} from row {batch.first_row}",
        )

    def _wanted(self, name: str) -> bool:
        return self.with_names or name != self.data_set.user_column

    def _lists(self, batch: Batch) -> LoadArray:
        """The curves (n, T) of a column of lists; a list that is null is all gaps."""
        count = self.horizon.count
        column = batch.rows.column(self.data_set.load_column)
        lengths = pc.fill_null(pc.list_value_length(column), count).to_numpy(zero_copy_only=False)  # pyright: ignore[reportAttributeAccessIssue]
        wrong = np.flatnonzero(lengths != count)
        if wrong.size:
            where = f"row {batch.first_row + int(wrong[0])}, column {self.data_set.load_column!r}"
            words = f"{where}: has {lengths[wrong[0]]} values; {slots_due(self.horizon)}"
            raise refusal(self.table.location.shown, words)
        there = column.drop_null() if column.null_count else column
        flat = _numbers(there.flatten()).reshape(-1, count)
        if not column.null_count:
            return flat
        load_kw = np.full((len(column), count), np.nan, flat.dtype)
        load_kw[column.is_valid().to_numpy(zero_copy_only=False)] = flat
        return load_kw

    def _columns(self, batch: Batch, slots: tuple[str, ...]) -> LoadArray:
        """The curves (n, T) of a column a slot."""
        if len(slots) != self.horizon.count:
            words = f"has {len(slots)} columns of slots; {slots_due(self.horizon)}"
            raise refusal(self.table.location.shown, words)
        columns = [_numbers(batch.rows.column(name)) for name in slots]
        kind = np.float32 if all(one.dtype == np.float32 for one in columns) else np.float64
        columns = [np.ascontiguousarray(one, kind) for one in columns]
        load_kw = np.empty((batch.rows.num_rows, len(slots)), kind)
        gather(np.array([one.ctypes.data for one in columns], np.uint64), load_kw)
        return load_kw

    def _in_kw(self, load: LoadArray) -> LoadArray:
        if self.data_set.unit is Unit.KW:
            return load
        return in_kw(load, self.data_set.unit, self.horizon).astype(load.dtype)


def in_kw(load: NDArray[np.floating], unit: Unit, horizon: Horizon) -> NDArray[np.floating]:
    """Readings (n, T) in kW."""
    return load * POWER[unit] / (horizon.step_h if unit is Unit.KWH else 1.0)


def _numbers(column: pa.Array) -> LoadArray:
    """A column as float32 if it is that, else as float64; NaN for null."""
    if not pa.types.is_float32(column.type) and not pa.types.is_float64(column.type):
        column = column.cast(pa.float32() if pa.types.is_float16(column.type) else pa.float64())
    return column.to_numpy(zero_copy_only=False)


def slots_due(horizon: Horizon) -> str:
    """How many slots a curve must have, and of what."""
    last = horizon.boundary(horizon.count)
    step_h = horizon.step_h
    even = f" of {60 * step_h[0]:g} minutes" if np.ptp(step_h) == 0.0 else ""
    span = f"{horizon.boundary(0):%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
    change = ", in which clocks change," if horizon.changes_clocks else ""
    return f"{span} in {horizon.time_zone}{change} has {horizon.count} slots{even}"


def areas(batch: Batch, data_set: DataSet) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """The index of each row's area, and the areas."""
    if not data_set.area_column:
        return None, ("",)
    column = text_column(batch, data_set.area_column).fill_null("").dictionary_encode()
    index = column.indices.to_numpy(zero_copy_only=False).astype(np.int32)
    return index, tuple(column.dictionary.to_pylist())
