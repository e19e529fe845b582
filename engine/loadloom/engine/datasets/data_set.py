"""What a data set is: where its files are, and how curves stand in them."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from loadloom.models.checks import Checks


class Format(Enum):
    """How files are written; AUTO tells it by the ends of their names."""

    AUTO = "auto"
    PARQUET = "parquet"
    CSV = "csv"


class Layout(Enum):
    """How readings stand in rows."""

    WIDE_LIST = "a row a user, with a list of its loads"
    WIDE_COLUMNS = "a row a user, with a column a slot"
    LONG = "a row a reading"


class Unit(Enum):
    """What readings are in; the value is what the unit column of a file has to say."""

    KW = "kW"
    W = "W"
    MW = "MW"
    KWH = "kWh"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Load curves in files below a root.

    Attributes:
        root: the name of the root.
        path: of a file or a folder below it, with slashes.
        layout: how readings stand in rows.
        format: how files are written.
        user_column: the users' names.
        load_column: the list, or the load of a row.
        slot_columns: the columns of the slots, in order; empty for all that nothing else names.
        time_column: when a reading's slot begins, with an offset or in the horizon's zone.
        arrival_column: when a reading arrived; empty for none.
        area_column: the user's area; empty for none.
        unit_column: the unit of a row, which must be `unit`; empty for none.
        currency_column: the currency of a row, which must be one and the same; empty for none.
        unit: what readings are in.

    Raises:
        InvalidProblem: two columns have one name, or one that a layout needs has none.
    """

    root: str
    path: str
    layout: Layout
    format: Format = Format.AUTO
    user_column: str = "user"
    load_column: str = "load_kw"
    slot_columns: tuple[str, ...] = ()
    time_column: str = "time"
    arrival_column: str = ""
    area_column: str = ""
    unit_column: str = ""
    currency_column: str = ""
    unit: Unit = Unit.KW

    def __post_init__(self) -> None:
        checks = Checks()
        named = [*self.row_columns, *self.value_columns]
        twice = sorted(name for name, count in Counter(named).items() if count > 1)
        checks.require(not twice, "data_set", f"names columns {twice} twice; they must differ")
        checks.require(all(named), "data_set", "has a column without a name")
        late = bool(self.arrival_column) and self.layout is not Layout.LONG
        checks.require(not late, "data_set.arrival_column", "is for long files only")
        checks.finish()

    @property
    def row_columns(self) -> list[str]:
        """The columns of a row beside its readings."""
        optional = (self.area_column, self.unit_column, self.currency_column)
        return [self.user_column, *(name for name in optional if name)]

    @property
    def value_columns(self) -> list[str]:
        """The columns of the readings themselves, as far as they are named."""
        if self.layout is Layout.WIDE_LIST:
            return [self.load_column]
        if self.layout is Layout.WIDE_COLUMNS:
            return list(self.slot_columns)
        times = [self.time_column, *([self.arrival_column] if self.arrival_column else [])]
        return [*times, self.load_column]
