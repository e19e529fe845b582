"""Writes the JSON Schema of site files from the protos, or checks that it is up to date.

    python proto/site_schema.py           write it beside the reader of site files
    python proto/site_schema.py --check   fail if it differs from what would be written

A site file has the fields of the message Site, with series as numbers, lists, columns of other
files or windows of time, instants as texts, and the name of its time zone. What stands there is the
reader's; what each field means, and the range of its numbers, is said in the protos alone.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClassesForFiles

import generate
from loadloom.client.files.site_file import SiteFile

TARGET = generate.ROOT.parent / "clients/python/loadloom/client/files/site.schema.json"
FILES = ("loadloom/v1/dispatch_sites.proto", "loadloom/v1/dispatch_devices.proto")
NOT_SAID = {"Site": {"earlier_schedule", "earlier_grid", "warm_start_key"}}
"""The fields of messages that no site file says."""

OWN = {"Site": {"time_zone"}}
"""The fields of site files that no message has."""

BOUNDS = {"gte": "minimum", "gt": "exclusiveMinimum", "lte": "maximum", "lt": "exclusiveMaximum"}

Told = dict[str, tuple[str, dict[str, float]]]
"""The meaning and the range of each field of a message."""


def messages() -> dict[str, tuple[str, Told]]:
    """The meaning of each message of a site, and what is told of its fields."""
    with tempfile.TemporaryDirectory() as folder:
        raw = generate.compiled(Path(folder)).read_bytes()
    whole = FileDescriptorSet.FromString(raw)
    pool = DescriptorPool()
    for file in whole.file:
        pool.Add(file)
    options = GetMessageClassesForFiles(["google/protobuf/descriptor.proto"], pool)
    read = options["google.protobuf.FieldOptions"]
    rules: Any = pool.FindExtensionByName("buf.validate.field")
    found = {}
    for file in whole.file:
        if file.name not in FILES:
            continue
        said = {tuple(x.path): x.leading_comments for x in file.source_code_info.location}
        for number, message in enumerate(file.message_type):
            told: Told = {}
            for place, field in enumerate(message.field):
                rule = read.FromString(field.options.SerializeToString()).Extensions[rules]
                told[field.name] = (_sentence(said[4, number, 2, place]), _range(rule, field))
            found[message.name] = (_sentence(said[4, number]), told)
    return found


def schema() -> dict[str, Any]:
    """The schema: the reader's, with the meanings and ranges of the protos."""
    found, told = SiteFile.model_json_schema(), messages()
    for name, part in [*found["$defs"].items(), ("SiteFile", found)]:
        message = {"SiteFile": "Site"}.get(name, name.removesuffix("Entry"))
        if message not in told:  # a column or a window
            continue
        part["description"], fields = told[message]
        wanted = set(fields) - NOT_SAID.get(message, set()) | OWN.get(message, set())
        if set(part["properties"]) != wanted:
            odd = ", ".join(sorted(set(part["properties"]) ^ wanted))
            raise SystemExit(f"{name} and message {message} differ in {odd}")
        for field, (meaning, bounds) in fields.items():
            if field in part["properties"]:
                _tell(part["properties"][field], meaning, bounds)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _tell(entry: dict[str, Any], meaning: str, bounds: dict[str, float]) -> None:
    entry["description"] = meaning
    for kind in (entry, *entry.get("anyOf", ())):
        if kind.get("type") in {"number", "integer"}:
            kind.update(bounds)


def _sentence(comment: str) -> str:
    return " ".join(comment.split())


def _range(rule: Any, field: FieldDescriptorProto) -> dict[str, float]:  # noqa: ANN401 -- made at run time
    kind = {field.TYPE_DOUBLE: "double", field.TYPE_UINT32: "uint32"}.get(field.type)
    if kind is None or field.label == field.LABEL_REPEATED or not rule.HasField(kind):
        return {"minimum": 0} if kind == "uint32" else {}
    bounds = getattr(rule, kind)
    found = {ours: getattr(bounds, name) for name, ours in BOUNDS.items() if bounds.HasField(name)}
    least: dict[str, float] = {"minimum": 0} if kind == "uint32" else {}
    return least | found


def main() -> int:
    """The exit code of what the command line asks for."""
    text = json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text)
        return 0
    if TARGET.is_file() and TARGET.read_text() == text:
        return 0
    print(f"{TARGET.name} is out of date; run `make proto`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
