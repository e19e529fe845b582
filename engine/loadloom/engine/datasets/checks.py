"""What rows must say: names of users as requests have them, and one unit and currency for all."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loadloom.engine.datasets.data_set import DataSet
from loadloom.engine.datasets.roots import refusal
from loadloom.engine.datasets.tables import Batch, Table, told

NAME_BYTES = 200
"""The longest name of a user in a request."""


def first_currency(tables: Sequence[Table], data_set: DataSet) -> str | None:
    """The currency of the first row of all; None if nothing is said of one."""
    if not data_set.currency_column:
        return None
    for table in tables:
        for batch in replace(table, columns=(data_set.currency_column,)).batches(data_set, 1):
            with told(table.location.shown):
                if batch.rows.num_rows:
                    return text_column(batch, data_set.currency_column)[0].as_py()
    return None


def text_column(batch: Batch, name: str) -> pa.Array:
    """A column as words.

    Raises:
        pyarrow.ArrowInvalid: they are not UTF-8.
    """
    column = batch.rows.column(name).cast(pa.string())
    column.validate(full=True)
    return column


def user_names(batch: Batch, data_set: DataSet, shown: str) -> pa.Array:
    """The names of the users of a batch.

    Raises:
        InvalidProblem: a row has none, or one that no request could ask for.
    """
    names = text_column(batch, data_set.user_column)
    size = pc.fill_null(pc.binary_length(names), 0).to_numpy(zero_copy_only=False)  # pyright: ignore[reportAttributeAccessIssue]
    odd = pc.fill_null(pc.match_substring(names, "\0"), False).to_numpy(zero_copy_only=False)  # pyright: ignore[reportAttributeAccessIssue]
    wrong = np.flatnonzero((size == 0) | (size > NAME_BYTES) | odd)
    if wrong.size:
        first = int(wrong[0])
        said = "has a name with a NUL"
        if not size[first]:
            said = "has no name"
        elif size[first] > NAME_BYTES:
            said = f"has a name of {size[first]} bytes; must have at most {NAME_BYTES}"
        where = f"row {batch.first_row + first}, column {data_set.user_column!r}"
        raise refusal(shown, f"{where}: {said}")
    return names


def check_words(batch: Batch, data_set: DataSet, shown: str, currency: str | None) -> None:
    """Raises InvalidProblem for a row of another unit or currency than is due."""
    if data_set.unit_column:
        _same(batch, data_set.unit_column, data_set.unit.value, shown)
    if data_set.currency_column:
        _same(batch, data_set.currency_column, currency, shown)


def _same(batch: Batch, name: str, due: str | None, shown: str) -> None:
    said = text_column(batch, name).fill_null("")
    other = pc.index(pc.not_equal(said, due or ""), True).as_py()  # pyright: ignore[reportAttributeAccessIssue]
    if other >= 0:
        row = batch.first_row + other
        word = said[other].as_py()
        raise refusal(shown, f"row {row}, column {name!r}: is {word!r}; must be {due!r} everywhere")
