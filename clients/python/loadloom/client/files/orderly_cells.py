"""Cells of the tables of weekly schedules: what each column may hold, and in which unit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, get_args

from loadloom.client.files.faults import Fault
from loadloom.client.files.series import MISSING, number
from loadloom.client.files.tables import Table
from loadloom.client.files.units import Conversion, UnknownUnit, conversion
from loadloom.client.orderly import Kind, Notice

MOST_TOLD = 20
"""The faults told of a table; the rest are counted."""

NO_UNIT = Conversion(above=1, below=1)

Parse = Callable[[str, bool], Any]
"""What makes a value of a cell's text, given whether numbers are written with a comma."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that a table may have: how a cell of it is read; raises ValueError if it cannot."""

    parse: Parse
    unit: bool = False


@dataclass(slots=True)
class Cells:
    """The reading of a table by known columns; faults are collected.

    Attributes:
        table: the table.
        columns: the columns that it may have.
        faults: what is wrong with it.
    """

    table: Table
    columns: dict[str, Column]
    faults: list[Fault] = field(default_factory=list)
    _named: dict[str, tuple[str, Conversion]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for header in self.table.cells:
            self._name(header)

    def require(self, *names: str) -> None:
        """Notes the columns that are missing."""
        for name in names:
            if name not in self._named:
                there = ", ".join(self.table.cells)
                self.faults.append(
                    self.table.fault(f"has no column {name}; its columns are {there}")
                )

    def has(self, name: str) -> bool:
        """Whether the table has a column of the name, in whatever unit."""
        return name in self._named

    def value(self, name: str, index: int) -> Any:  # noqa: ANN401 -- what the column holds
        """The value in a row; None if the cell is empty or at fault, which is noted."""
        text = self.text(name, index)
        if not text:
            return None
        _, scale = self._named[name]
        try:
            value = self.columns[name].parse(text, self.table.decimal_comma)
        except ValueError as error:
            self.fault(str(error), name, index)
            return None
        if scale is NO_UNIT:
            return value
        if isinstance(value, list):
            return [one * scale.above / scale.below for one in value]
        return value * scale.above / scale.below

    def text(self, name: str, index: int) -> str:
        """The text of a cell; empty where there is none, or no such column."""
        if name not in self._named:
            return ""
        cell = self.table.cells[self._named[name][0]][index]
        text = "" if cell is None else str(cell).strip()
        return "" if text.lower() in MISSING else text

    def fault(self, message: str, name: str, index: int | None = None) -> None:
        """Notes a fault in a cell or a column."""
        self.faults.append(self.table.fault(message, column=self.header(name), index=index))

    def header(self, name: str) -> str:
        """The header of a column of the name, in whatever unit; empty without one."""
        return self._named[name][0] if name in self._named else ""

    def line(self, index: int) -> str:
        """The place of a row in words."""
        return f"{self.table.line_word} {self.table.lines[index]}"

    def _name(self, header: str) -> None:
        """Notes what a header means, or that it means nothing."""
        try:
            name, scale = self._meaning(header)
        except ValueError as error:
            self.faults.append(self.table.fault(str(error), column=header))
            return
        if name in self._named:
            told = f"means {name}, as {self._named[name][0]} does; keep one of them"
            self.faults.append(self.table.fault(told, column=header))
        else:
            self._named[name] = (header, scale)

    def _meaning(self, header: str) -> tuple[str, Conversion]:
        word = header.lower()
        if word in self.columns:
            return word, NO_UNIT
        for name in self._with_unit():
            priced = name.endswith("_per_kwh")
            stem = name.removesuffix("_per_kwh") if priced else name.rpartition("_")[0]
            if word == stem:
                raise ValueError(f"must end in its unit; call it {name}")
            if word.startswith(f"{stem}_"):
                return name, _scale(word, stem, name)
        close = get_close_matches(word, self.columns, 1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(self.columns)}"
        raise ValueError(f"is not known here; {hint}")

    def _with_unit(self) -> Iterator[str]:
        return (name for name, column in self.columns.items() if column.unit)


def told(faults: list[Fault]) -> list[Fault]:
    """The first faults in the order of their files and lines, and how many more there are."""
    places = sorted(
        faults,
        key=lambda one: (str(one.file), one.is_rest, one.line or 0, one.column or 0),
    )
    more = len(places) - MOST_TOLD
    if more <= 0:
        return places
    rest = Fault(file=places[0].file, message=f"{more} more faults", is_rest=True)
    return [*places[:MOST_TOLD], rest]


def real(low: float, high: float = 1e9) -> Parse:
    """How to read a number in a range."""
    where = f"from {low:g} to {high:g}" if high < 1e9 else f"at least {low:g}"

    def parse(text: str, decimal_comma: bool) -> float:
        value = number(text, decimal_comma)
        if not low <= value <= high:
            raise ValueError(f"is {value:g}; must be {where}")
        return value

    return parse


def whole(low: int, high: int = 10**9) -> Parse:
    """How to read a whole number in a range."""
    check = real(low, high)

    def parse(text: str, decimal_comma: bool) -> int:
        value = check(text, decimal_comma)
        if value != int(value):
            raise ValueError(f"is {value:g}; must be a whole number")
        return int(value)

    return parse


def profile(text: str, decimal_comma: bool) -> list[float]:
    """The numbers of a profile, with spaces between them, none below zero."""
    check = real(0.0)
    return [check(word, decimal_comma) for word in text.split()]


def text(text: str, decimal_comma: bool) -> str:  # noqa: ARG001 -- as all readers of cells
    """The text itself."""
    return text


def words(text: str, decimal_comma: bool) -> list[str]:  # noqa: ARG001
    """The words in a text."""
    return text.replace(",", " ").split()


def kind(text: str, decimal_comma: bool) -> str:  # noqa: ARG001
    """The kind of a measure."""
    return _known(text, get_args(Kind))


def notice(text: str, decimal_comma: bool) -> str:  # noqa: ARG001
    """The notice of a measure."""
    return _known(text.replace("_", " ").replace("-", " "), get_args(Notice))


def _known(text: str, known: tuple[str, ...]) -> str:
    word = text.lower()
    if word in known:
        return word
    close = get_close_matches(word, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"must be one of {', '.join(known)}"
    raise ValueError(f"{text!r} is not known; {hint}")


def _scale(word: str, stem: str, name: str) -> Conversion:
    """The conversion from the unit at the end of a header to that of a column."""
    try:
        if name.endswith("_per_kwh"):
            return conversion(f"price{word.removeprefix(stem)}", "price_per_kwh")
        return conversion(word, name)
    except UnknownUnit:
        unit = name.removeprefix(stem)
        raise ValueError(f"must end in a unit of the kind of {unit}; call it {name}") from None
