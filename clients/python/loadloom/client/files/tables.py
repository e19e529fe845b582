"""Tables as they stand in CSV and Parquet files, with the place of every cell."""

import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadloom.client.files.faults import Fault, InputError, shortened

if TYPE_CHECKING:
    import pyarrow as pa

TIME_NAMES = ("time", "timestamp", "datetime", "date_time", "start_time", "start", "date")
TIME_COLUMNS = frozenset([*TIME_NAMES, *(f"{name}_utc" for name in TIME_NAMES)])
"""The names of a column of times; with `_utc`, times without an offset are in UTC."""

NO_TEXT = "not a text in UTF-8; save the sheet as CSV in UTF-8"

SECOND = "names a second column; the first line holds the names of the columns"

UNEVEN_TOLD = 5
"""The rows of another length than the header that are told; the rest are counted."""

PANDAS_INDEX = "__index_level_0__"
"""The name that pandas gives a nameless index in a Parquet file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The cells of a file by column: texts from CSV, values from Parquet.

    Attributes:
        file: the file.
        cells: the cells of each column, in the order of the file.
        lines: the line, or for Parquet the row, of each cell.
        line_word: "line" or "row".
        decimal_comma: whether numbers are written with a comma.
    """

    file: Path
    cells: dict[str, list[object]]
    lines: list[int]
    line_word: str = "line"
    decimal_comma: bool = False

    def fault(self, message: str, *, column: str = "", index: int | None = None) -> Fault:
        """A fault in the table, a column of it, or the cell of a column at an index."""
        header = 1 if column and self.line_word == "line" else None
        return Fault(
            file=self.file,
            message=message,
            line=header if index is None else self.lines[index],
            column=[*self.cells].index(column) + 1 if column in self.cells else None,
            where=column if column in self.cells else "",
            line_word=self.line_word,
        )

    @property
    def time_column(self) -> str:
        """The name of the column of times.

        Raises:
            InputError: there is none.
        """
        for name in self.cells:
            if name.lower() in TIME_COLUMNS or name == PANDAS_INDEX:
                return name
        known = ", ".join(TIME_NAMES)
        fault = self.fault(
            f"has no column of times; its columns are {', '.join(self.cells)}; call one of them "
            f"one of {known}, or with _utc after it for times in UTC"
        )
        raise InputError([fault])


def read_table(file: Path) -> Table:
    """The table in a file that ends in .csv, .csv.gz or .parquet.

    Raises:
        InputError: the file cannot be read as such.
    """
    readers = {".csv": _read_csv, ".csv.gz": _read_csv, ".parquet": _read_parquet}
    reader = next((readers[end] for end in readers if file.name.lower().endswith(end)), None)
    if reader is None:
        raise InputError([Fault(file=file, message=f"must end in one of {', '.join(readers)}")])
    try:
        return reader(file)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        fault = Fault(file=file, message=f"is not a whole gzip file: {error}")
        raise InputError([fault]) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError([Fault(file=file, message=f"cannot be read: {reason}")]) from None


def _read_csv(file: Path) -> Table:
    try:
        packed = file.suffix.lower() == ".gz"
        raw = gzip.decompress(file.read_bytes()) if packed else file.read_bytes()
        text = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError([Fault(file=file, line=line, message=f"is {NO_TEXT}")]) from None
    if "\0" in text:  # as in the files of spreadsheets themselves
        raise InputError([Fault(file=file, message=f"is {NO_TEXT}")])
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)  # the first of them if there is none
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    try:
        numbered = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError([Fault(file=file, line=reader.line_num, message=str(error))]) from None
    if not numbered:
        raise InputError([Fault(file=file, message="is empty")])
    header = [name.strip() for name in numbered[0][1]]
    _check_shape(file, header, numbered)
    columns = zip(*(row for _, row in numbered[1:]), strict=True)
    return Table(
        file=file,
        cells=dict(zip(header, map(list, columns), strict=False)) or {name: [] for name in header},
        lines=[line for line, _ in numbered[1:]],
        decimal_comma=delimiter != ",",
    )


def _check_shape(file: Path, header: list[str], numbered: list[tuple[int, list[str]]]) -> None:
    faults = [
        Fault(file=file, line=1, column=index + 1, message=f"{name!r} {SECOND}")
        for index, name in enumerate(header)
        if name in header[:index]
    ]
    uneven = []
    for line, row in numbered[1:]:
        if len(row) != len(header):
            more = "; a comma in a cell parts it, unless quoted" if len(row) > len(header) else ""
            message = f"has {len(row)} cells; the header has {len(header)}{more}"
            uneven.append(Fault(file=file, line=line, message=message))
    faults += shortened(uneven, UNEVEN_TOLD)
    if faults:
        raise InputError(faults)


def _read_parquet(file: Path) -> Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(file)
    except pa.ArrowInvalid as error:
        raise InputError([Fault(file=file, message=f"is not a Parquet file: {error}")]) from None
    return Table(
        file=file,
        cells={name: _pylist(table.column(name)) for name in table.column_names},
        lines=list(range(1, table.num_rows + 1)),
        line_word="row",
    )


def _pylist(column: "pa.ChunkedArray") -> list[object]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):  # to microseconds, the resolution of datetime
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    return column.to_pylist()
