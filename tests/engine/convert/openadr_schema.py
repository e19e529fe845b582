"""The published schemas of OpenADR 3, and whether objects keep them."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

SCHEMAS = json.loads((Path(__file__).parent / "openadr_schemas.json").read_text())["schemas"]

KINDS = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def faults(name: str, text: str) -> list[str]:
    """What is wrong with an object of a kind, by the keywords that these schemas use."""
    return list(_faults(SCHEMAS[name], json.loads(text), name))


def _faults(schema: dict[str, Any], value: object, path: str) -> Iterator[str]:
    if "$ref" in schema:
        yield from _faults(SCHEMAS[schema["$ref"].rsplit("/", 1)[1]], value, path)
        return
    if value is None and schema.get("nullable"):
        return
    if "anyOf" in schema:
        if all(list(_faults(each, value, path)) for each in schema["anyOf"]):
            yield f"{path}: {value!r} is none of what it may be"
        return
    if "type" in schema and not KINDS[schema["type"]](value):
        yield f"{path}: {value!r} is not of type {schema['type']}"
        return
    if isinstance(value, dict):
        yield from (
            f"{path}: lacks {name}" for name in schema.get("required", ()) if name not in value
        )
        for name, its in value.items():
            if name not in schema.get("properties", {}):
                yield f"{path}: {name} is not known"
            else:
                yield from _faults(schema["properties"][name], its, f"{path}.{name}")
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _faults(schema["items"], each, f"{path}[{index}]")
    if isinstance(value, str):
        yield from _faults_of_text(schema, value, path)
    if KINDS["number"](value):
        low, high = schema.get("minimum", -1e308), schema.get("maximum", 1e308)
        if not low <= value <= high:  # pyright: ignore[reportOperatorIssue] -- a number
            yield f"{path}: {value} is not from {low} to {high}"


def _faults_of_text(schema: dict[str, Any], value: str, path: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9):
        yield f"{path}: {value!r} is too short or too long"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: {value!r} is not like {schema['pattern']}"
    if schema.get("format") == "date-time":
        try:
            zone = datetime.fromisoformat(value).tzinfo
        except ValueError:
            zone = None
        if zone is None:
            yield f"{path}: {value!r} is no instant"
