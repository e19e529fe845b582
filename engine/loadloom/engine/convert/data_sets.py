"""Data sets that requests name, read."""

from datetime import datetime

from loadloom.engine.answers.files import Files
from loadloom.engine.datasets.data_set import DataSet, Format, Layout, Unit
from loadloom.engine.datasets.roots import Roots
from loadloom.models.checks import InvalidProblem, Violation
from loadloom.v1 import agency_pb2 as pb

FORMATS = {
    pb.DATA_SET_FORMAT_UNSPECIFIED: Format.AUTO,
    pb.DATA_SET_FORMAT_PARQUET: Format.PARQUET,
    pb.DATA_SET_FORMAT_CSV: Format.CSV,
}

LAYOUTS = {
    pb.DATA_SET_LAYOUT_WIDE_LIST: Layout.WIDE_LIST,
    pb.DATA_SET_LAYOUT_WIDE_COLUMNS: Layout.WIDE_COLUMNS,
    pb.DATA_SET_LAYOUT_LONG: Layout.LONG,
}

UNITS = {
    pb.READING_UNIT_UNSPECIFIED: Unit.KW,
    pb.READING_UNIT_KW: Unit.KW,
    pb.READING_UNIT_W: Unit.W,
    pb.READING_UNIT_MW: Unit.MW,
    pb.READING_UNIT_KWH: Unit.KWH,
}

USUAL_COLUMNS = {"user_column": "user", "load_column": "load_kw", "time_column": "time"}
"""The names of columns that a request leaves out."""

OPTIONAL_COLUMNS = ("arrival_column", "area_column", "unit_column", "currency_column")


def data_set(
    message: pb.DataSet,
    roots: Roots,
    found: list[Violation],
    *,
    cut_off: datetime | None = None,
    currency: str = "",
) -> Files | None:
    """The files of a data set; None, with its faults noted, if there can be no such files.

    What is quickly told of a path is told at once; files are looked for and read in a worker.
    """
    columns = {name: getattr(message, name) or usual for name, usual in USUAL_COLUMNS.items()}
    optional = {name: getattr(message, name) for name in OPTIONAL_COLUMNS}
    try:
        roots.check(message.root, message.path)
        named = DataSet(
            root=message.root,
            path=message.path,
            format=FORMATS.get(message.format, Format.AUTO),
            layout=LAYOUTS.get(message.layout, Layout.LONG),
            slot_columns=tuple(message.slot_columns),
            unit=UNITS.get(message.unit, Unit.KW),
            **columns,
            **optional,
        )
    except InvalidProblem as error:
        found.extend(error.violations)
        return None
    return Files(data_set=named, roots=roots, cut_off=cut_off, currency=currency)
