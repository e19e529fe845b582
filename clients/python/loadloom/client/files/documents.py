"""YAML documents that know where everything in them stands.

The scalars are those of YAML 1.2's core schema: times stay texts, `no` is a word, 1e-3 a number.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from loadloom.client.files.faults import Fault, InputError

Keys = tuple[str | int, ...]
PATH_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class CoreLoader(yaml.SafeLoader):
    """A loader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The content of a YAML file, and the line and column of each key and item in it."""

    file: Path
    content: object
    marks: dict[Keys, tuple[int, int]]

    def fault(self, keys: Keys, message: str) -> Fault:
        """A fault at a place in the document, or at the nearest one around it."""
        around = keys
        while around not in self.marks:
            around = around[:-1]
        line, column = self.marks[around]
        return Fault(
            file=self.file, message=message, line=line, column=column, where=path_text(keys)
        )


def read_document(file: Path) -> Document:
    """The document in a YAML file.

    Raises:
        InputError: the file cannot be read, is no YAML, or has a key twice.
    """
    try:
        loader = CoreLoader(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        content = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        fault = Fault(
            file=file,
            message=error.problem or "is not YAML",
            line=mark and mark.line + 1,
            column=mark and mark.column + 1,
        )
        raise InputError([fault]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError([Fault(file=file, message=f"is not YAML: {error}")]) from None
    except OSError as error:
        fault = Fault(file=file, message=f"cannot be read: {error.strerror}")
        raise InputError([fault]) from None
    marks: dict[Keys, tuple[int, int]] = {(): (1, 1)}
    faults: list[Fault] = []
    if node is not None:
        _mark(file, node, (), marks, faults)
    if faults:
        raise InputError(faults)
    return Document(file=file, content=content, marks=marks)


def path_text(keys: Keys) -> str:
    """A path in words: "storages[0].charge_efficiency"."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return "".join(parts).removeprefix(".")


def path_keys(text: str) -> Keys:
    """The keys of a path in words."""
    return tuple(name or int(index) for name, index in PATH_PART.findall(text))


def _mark(
    file: Path,
    node: yaml.Node,
    keys: Keys,
    marks: dict[Keys, tuple[int, int]],
    faults: list[Fault],
) -> None:
    """Notes the place of everything below a node, and keys that stand twice."""
    if isinstance(node, yaml.SequenceNode):
        children = [((*keys, index), item, item) for index, item in enumerate(node.value)]
    elif isinstance(node, yaml.MappingNode):
        children = [((*keys, str(key.value)), key, value) for key, value in node.value]
    else:
        return
    for path, place, child in children:
        line, column = place.start_mark.line + 1, place.start_mark.column + 1
        if path in marks:
            message = f"stands a second time; first on line {marks[path][0]}"
            fault = Fault(
                file=file, message=message, line=line, column=column, where=path_text(path)
            )
            faults.append(fault)
        marks.setdefault(path, (line, column))
        _mark(file, child, path, marks, faults)
