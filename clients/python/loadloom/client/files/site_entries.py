"""The entries of site files for all devices, made from what the client says of them.

An entry has the fields of the dataclass of its name: a series may be a number, a list or a column
of another file, a time is a text, and what says when something holds may also be given by windows.
"""

import re
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from numpy.typing import ArrayLike
from pydantic import Discriminator, Field, Tag, create_model

from loadloom.client.files.entries import Entry
from loadloom.client.files.windows import Window

MASKS = ("active", "off_grid")
"""The series of 1 and 0, which windows of time can tell."""


class FileColumn(Entry):
    """A column of a CSV or Parquet file; the end of its name is its unit, such as `_kw`."""

    file: str
    """The path of the file, from the folder of the site file."""
    column: str
    """The name of the column."""


def _kind(entry: object) -> str:
    if isinstance(entry, list):
        return "windows" if entry and isinstance(entry[0], (dict, Window)) else "a list"
    return "a column" if isinstance(entry, (dict, FileColumn)) else "a number"


Series = Annotated[
    Annotated[float, Tag("a number")]
    | Annotated[list[float], Tag("a list")]
    | Annotated[FileColumn, Tag("a column")],
    Discriminator(_kind),
]

Mask = Annotated[
    Annotated[float, Tag("a number")]
    | Annotated[list[float], Tag("a list")]
    | Annotated[FileColumn, Tag("a column")]
    | Annotated[list[Window], Tag("windows")],
    Discriminator(_kind),
]

E = TypeVar("E", bound=Entry)

KINDS: dict[type[Entry], type] = {}
"""The dataclass that each entry says."""


@cache
def entry_of(kind: type) -> type[Entry]:
    """The entry that says what a dataclass holds."""
    return extended(kind, Entry)


def extended(kind: type, base: type[E], **others: Any) -> type[E]:  # noqa: ANN401 -- as pydantic
    """The entry of a dataclass on top of a base, whose fields go before those of the dataclass.

    `others` are fields as `pydantic.create_model` has them, which go before all.
    """
    hints, told = get_type_hints(kind), _told(kind)
    said: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in base.model_fields:
            continue
        hint, needed = _entry_hint(field.name, hints[field.name]), field.default is MISSING
        default = field.default if field.default != () else MISSING
        if needed:
            of = Field(description=told.get(field.name))
        elif default is MISSING:
            of = Field(default_factory=list, description=told.get(field.name))
        else:
            hint = hint | None if default is None else hint
            of = Field(default=default, description=told.get(field.name))
        said[field.name] = (hint, of)
    name = f"{kind.__name__}Entry" if base is Entry else base.__name__.replace("Base", "Entry")
    about = (kind.__doc__ or "").partition("\n")[0]
    entry = create_model(name, __base__=base, __doc__=about, **said | others)
    KINDS[entry] = kind
    return entry


def _told(kind: type) -> dict[str, str]:
    """What the docstring of a dataclass says of its attributes."""
    found = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", kind.__doc__ or "", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def times_of(kind: type) -> frozenset[str]:
    """The fields of a dataclass that hold instants."""
    found = get_type_hints(kind).items()
    return frozenset(name for name, hint in found if _bare(hint) is datetime)


def nested(entry: type[Entry]) -> dict[str, type[Entry]]:
    """The entries that stand under the names below an entry, at any depth."""
    here = {
        name: below
        for name, field in entry.model_fields.items()
        for below in _entries_in(field.annotation)
    }
    deeper = [nested(below) for below in here.values()]
    return {name: below for names in (*deeper, here) for name, below in names.items()}


def _entries_in(hint: Any) -> list[type[Entry]]:  # noqa: ANN401 -- any annotation
    if isinstance(hint, type) and issubclass(hint, Entry) and hint not in {FileColumn, Window}:
        return [hint]
    return [entry for part in get_args(hint) for entry in _entries_in(part)]


def _entry_hint(name: str, hint: Any) -> Any:  # noqa: ANN401 -- any annotation
    if name in MASKS:
        return Mask
    if hint in (ArrayLike, ArrayLike | None):
        return Series
    bare = _bare(hint)
    if bare is datetime:
        return str
    if get_origin(bare) is Sequence:
        (item,) = get_args(bare)
        return list[entry_of(item) if is_dataclass(item) else item]
    return entry_of(bare) if is_dataclass(bare) else bare


def _bare(hint: Any) -> Any:  # noqa: ANN401 -- any annotation
    """The annotation without None."""
    if get_origin(hint) not in (Union, UnionType):
        return hint
    parts = [part for part in get_args(hint) if part is not type(None)]
    return parts[0] if len(parts) == 1 else hint
