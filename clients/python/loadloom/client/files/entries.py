"""The entries of YAML files: their fields, and faults told by line and column."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from loadloom.client.files.documents import Document, Keys
from loadloom.client.files.faults import InputError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

TAGS = ("a number", "a list", "a column", "windows")
"""The kinds of a series, which are no keys of a document."""


class Entry(BaseModel):
    """A part of a file: nothing but the fields it knows, each of its own type."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


E = TypeVar("E", bound=Entry)


def validated(document: Document, kind: type[E], entries: Mapping[str, type[Entry]]) -> E:
    """The document as an entry of a kind.

    Args:
        document: the document.
        kind: what it should be.
        entries: what stands under each name in it, and under "" what stands under all others.

    Raises:
        InputError: it is no such entry; every fault is named.
    """
    try:
        return kind.model_validate(document.content)
    except ValidationError as error:
        # What is missing comes last: a misspelt name tells more than the lack of the right one.
        found = sorted(error.errors(), key=lambda fault: fault["type"] == "missing")
    faults = []
    for fault in found:
        keys = tuple(key for key in fault["loc"] if key not in TAGS)
        hint = _did_you_mean(keys, kind, entries) if fault["type"] == "extra_forbidden" else ""
        faults.append(document.fault(keys, _message(fault) + hint))
    raise InputError(faults)


def _did_you_mean(keys: Keys, kind: type[Entry], entries: Mapping[str, type[Entry]]) -> str:
    """The name that is known where an unknown one stands and looks most like it."""
    around = [key for key in keys[:-1] if isinstance(key, str)]
    entry = entries.get(around[-1], entries.get("", kind)) if around else kind
    close = get_close_matches(str(keys[-1]), entry.model_fields, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _message(found: "ErrorDetails") -> str:
    match found["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not known here"
        case "value_error":
            return f"is {found['input']!r}; {found['msg'].removeprefix('Value error, ')}"
        case "model_type":
            return "must be a mapping of names to values"
        case _:
            return f"is {found['input']!r}; {_lower(found['msg'])}"


def _lower(sentence: str) -> str:
    return sentence.removeprefix("Input ").replace("should", "must")
