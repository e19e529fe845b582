"""The published schemas of OpenADR 3, and whether objects keep them."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

PUBLISHED = json.loads((Path(__file__).parent / "openadr_schemas.json").read_text())

FORMATS = FormatChecker()


@FORMATS.checks("date-time", raises=ValueError)
def _is_instant(value: object) -> bool:
    """Whether a text names an instant; jsonschema itself leaves that to other packages."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def _strict(schema: Any) -> Any:
    """A schema of OpenAPI 3.0 as JSON Schema: null where it may be, and no unknown properties."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    own = {
        name: _strict(its) for name, its in schema.items() if name not in {"nullable", "example"}
    }
    if isinstance(schema.get("properties"), dict):
        own["additionalProperties"] = False
    return {"anyOf": [{"type": "null"}, own]} if schema.get("nullable") is True else own


WHOLE = _strict(PUBLISHED)


def faults(name: str, text: str) -> list[str]:
    """What is wrong with an object of a kind."""
    schema = {**WHOLE, "$ref": f"#/schemas/{name}"}
    validator = Draft202012Validator(schema, format_checker=FORMATS)
    return [f"{each.json_path}: {each.message}" for each in validator.iter_errors(json.loads(text))]
