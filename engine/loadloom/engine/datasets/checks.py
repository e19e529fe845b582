"""What every row of a data set must say alike: its unit and its currency."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from loadloom.engine.datasets.data_set import DataSet
from loadloom.engine.datasets.roots import refusal
from loadloom.engine.datasets.tables import Batch, Table


def first_currency(tables: Sequence[Table], data_set: DataSet) -> str | None:
    """The currency of the first row of all; None if nothing is said of one."""
    if not data_set.currency_column:
        return None
    for table in tables:
        for batch in replace(table, columns=(data_set.currency_column,)).batches(data_set, 1):
            return batch.rows.column(0).cast(pa.string())[0].as_py()
    return None


def check_words(batch: Batch, data_set: DataSet, shown: str, currency: str | None) -> None:
    """Raises InvalidProblem for a row of another unit or currency than is due."""
    if data_set.unit_column:
        _same(batch, data_set.unit_column, data_set.unit.value, shown)
    if data_set.currency_column:
        _same(batch, data_set.currency_column, currency, shown)


def _same(batch: Batch, name: str, due: str | None, shown: str) -> None:
    said = batch.rows.column(name).cast(pa.string()).fill_null("")
    other = pc.index(pc.not_equal(said, due or ""), True).as_py()  # pyright: ignore[reportAttributeAccessIssue]
    if other >= 0:
        row = batch.first_row + other
        word = said[other].as_py()
        raise refusal(shown, f"row {row}, column {name!r}: is {word!r}; must be {due!r} everywhere")
