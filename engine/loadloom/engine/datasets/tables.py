"""Batches of rows from Parquet and CSV files, their faults told with file, row and column."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from loadloom.engine.datasets.data_set import DataSet, Format, Layout
from loadloom.engine.datasets.roots import SUFFIXES, Location, reading_faults, refusal

CSV_BLOCK = 4 << 20
"""The bytes of CSV that become one batch."""

READ_BYTES = 1 << 20
"""The bytes of a column of a Parquet file that are read at once: row groups may be large."""

NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal)
LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
WORDS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_integer,
    pa.types.is_null,
)
"""The types of columns of readings, of lists of them, and of names."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of a file: the first of them is its row `first_row`, counted from 1."""

    rows: pa.RecordBatch
    first_row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A file of a data set, and the columns that are read of it.

    Attributes:
        location: the file.
        format: PARQUET or CSV.
        names: all its columns.
        columns: the columns that are read, those of slots in order.
        group_rows: the rows of each row group; empty for CSV.
        footer: what a Parquet file says of itself, read once for all row groups. It stays in this
            process: that of a file with many columns and row groups is larger than one of them.
    """

    location: Location
    format: Format
    names: tuple[str, ...]
    columns: tuple[str, ...]
    group_rows: tuple[int, ...] = ()
    footer: pq.FileMetaData | None = None

    def __reduce__(self) -> tuple[Callable[..., "Table"], tuple[()]]:
        """All but the footer goes to other processes."""
        its = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "footer"}
        return partial(Table, **its), ()

    def batches(
        self, data_set: DataSet, most_rows: int, group: int | None = None
    ) -> Iterator[Batch]:
        """The rows of a file, or of one row group, some at a time.

        Raises:
            InvalidProblem: the file is damaged, or a value is none of its column.
        """
        with self.location.open() as file, told(self.location.shown, self.names):
            first = 1
            if self.format is Format.PARQUET:
                groups = range(len(self.group_rows)) if group is None else [group]
                first += sum(self.group_rows[: groups[0]]) if groups else 0
                # Elsewhere each read is a request, so that a column of a row group is one.
                ahead = 0 if self.location.url else READ_BYTES
                opened = pq.ParquetFile(file, metadata=self.footer, buffer_size=ahead)
                rows = opened.iter_batches(
                    batch_size=most_rows,
                    row_groups=list(groups),
                    columns=list(self.columns),
                    use_threads=False,
                )
            else:
                rows = _csv(file, data_set, self.columns)
            for batch in rows:
                yield Batch(batch, first)
                first += batch.num_rows


def table(location: Location, data_set: DataSet) -> Table:
    """A file with the columns that the data set asks for.

    Raises:
        InvalidProblem: it is no such file, or has not these columns, or not of these types.
    """
    format_ = data_set.format
    if format_ is Format.AUTO:
        format_ = Format(SUFFIXES.get(PurePosixPath(location.shown).suffix, "parquet"))
    with location.open() as file, told(location.shown):
        if format_ is Format.PARQUET:
            opened = pq.ParquetFile(file)
            schema, footer = opened.schema_arrow, opened.metadata
            rows = tuple(footer.row_group(k).num_rows for k in range(footer.num_row_groups))
        else:
            footer = None
            schema = pa_csv.open_csv(
                file, read_options=pa_csv.ReadOptions(use_threads=False)
            ).schema
            rows = ()
        names = tuple(schema.names)
    columns = _columns(names, data_set, location.shown)
    if format_ is Format.PARQUET:
        _check_types(schema, data_set, columns, location.shown)
    return Table(
        location=location,
        format=format_,
        names=names,
        columns=columns,
        group_rows=rows,
        footer=footer,
    )


def _columns(names: Sequence[str], data_set: DataSet, shown: str) -> tuple[str, ...]:
    known = Counter(names)
    twice = sorted(name for name, count in known.items() if count > 1)
    if twice:
        raise refusal(shown, f"has columns {twice} twice")
    wanted = [*data_set.row_columns, *data_set.value_columns]
    missing = [name for name in wanted if name not in known]
    if missing:
        raise refusal(shown, f"has no column {missing[0]!r}; it has {_some(names)}")
    if data_set.layout is Layout.WIDE_COLUMNS and not data_set.slot_columns:
        others = set(wanted)
        wanted += [name for name in names if name not in others]
    return tuple(wanted)


def _check_types(schema: pa.Schema, data_set: DataSet, columns: Sequence[str], shown: str) -> None:
    """Raises InvalidProblem for the first column that does not hold what it should."""
    of_rows, is_list = set(data_set.row_columns), data_set.layout is Layout.WIDE_LIST
    for name in columns:
        kind, due, right = schema.field(name).type, NUMBERS, "numbers"
        if name in of_rows:
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            due, right = WORDS, "words"
        elif name in (data_set.time_column, data_set.arrival_column):
            continue  # looked at when they are read
        elif is_list:
            if not _is(kind, LISTS):
                raise refusal(shown, f"column {name!r} is {kind}; must be a list of numbers")
            kind = kind.value_type
        if not _is(kind, due):
            raise refusal(shown, f"column {name!r} is {kind}; must be {right}")


def _is(kind: pa.DataType, due: Sequence[Callable[[pa.DataType], bool]]) -> bool:
    return any(is_kind(kind) for is_kind in due)


def _csv(file: object, data_set: DataSet, columns: Sequence[str]) -> pa_csv.CSVStreamingReader:
    words = {*data_set.row_columns, data_set.time_column, data_set.arrival_column}
    types = {name: pa.string() if name in words else pa.float64() for name in columns}
    return pa_csv.open_csv(
        file,
        # In one thread, as only then faults are told with their rows.
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK),
        convert_options=pa_csv.ConvertOptions(
            column_types=types, include_columns=list(columns), strings_can_be_null=True
        ),
    )


_CONVERSION = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?(.*)", re.DOTALL)
_COUNT = re.compile(r"CSV parse error: (?:Row #(\d+): )?(.*)", re.DOTALL)


@contextmanager
def told(shown: str, names: Sequence[str] = ()) -> Iterator[None]:
    """Says of faults of a file where they are; pyarrow counts the line of names as a row."""
    try:
        yield
    except MemoryError:  # that of pyarrow is an ArrowException too
        raise
    except UnicodeError as error:
        raise refusal(shown, "has words that are not UTF-8") from error
    except (pa.ArrowException, *reading_faults()) as error:
        words = str(error).split("\n", 1)[0]
        if found := _CONVERSION.match(words):
            column, row, what = found.groups()
            name = repr(names[int(column)]) if names else str(int(column) + 1)
            where = f"row {int(row) - 1}, " if row else ""
            raise refusal(shown, f"{where}column {name}: {what}") from error
        if found := _COUNT.match(words):
            row, what = found.groups()
            raise refusal(shown, f"row {int(row) - 1}: {what}" if row else what) from error
        raise refusal(shown, f"is damaged, or no such file: {words}") from error


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(map(repr, names[:8])) + more
