"""Faults planted in the source of a module, one at a time, which its tests must catch.

    python -m tests.mutation loadloom.models.agency.money tests/models/agency/test_money.py

tells which changes of one operator, comparison, number or condition no test notices. Some of them
change nothing that anybody could notice, such as a tolerance; the others lack a test. Whoever tests
a fault of their own plants it by `caught`.

Libraries and kernels are loaded once; each fault has a process of its own, forked before anything
of its module's package was imported.
"""

import ast
import os
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import CodeType

import pytest

LIBRARIES = ("highspy", "numba", "numpy", "pandas", "loadloom.solvers.highs")
LIMIT_S = 60
"""The longest time for the tests of one fault: one that never ends is caught, too."""

OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
"""What each operator becomes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A change of a source, and where it is."""

    where: str
    source: str


def faults(source: str) -> Iterator[Fault]:
    """Sources with one change each."""
    tree = ast.parse(source)
    for place in range(len(_places(tree))):
        changed = deepcopy(tree)
        node = _places(changed)[place]
        before = ast.unparse(node)
        _change(node)
        line = getattr(node, "lineno", 0)
        yield Fault(f"line {line}: {before} -> {ast.unparse(node)}", ast.unparse(changed))


def _places(tree: ast.AST) -> list[ast.AST]:
    """What can be changed, but for what stands in a message."""
    told = {
        id(one)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for one in ast.walk(node)
    }
    return [node for node in ast.walk(tree) if _is_place(node) and id(node) not in told]


def _is_place(node: ast.AST) -> bool:
    match node:
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op):
            return type(op) in OPERATORS and not _is_words(node)
        case ast.Compare(ops=[op]):
            return type(op) in OPERATORS
        case ast.Constant(value=bool()):
            return True
        case ast.Constant(value=int() | float()) | ast.UnaryOp(op=ast.USub() | ast.Not()):
            return True
    return False


def _is_words(node: ast.AST) -> bool:
    """Whether words or types are joined, and not numbers."""
    return any(
        isinstance(one, ast.JoinedStr) or (isinstance(one, ast.Constant) and one.value is None)
        for one in ast.walk(node)
    )


def _change(node: ast.AST) -> None:
    match node:
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign():
            node.op = OPERATORS[type(node.op)]()
        case ast.Compare():
            node.ops = [OPERATORS[type(node.ops[0])]()]
        case ast.Constant(value=bool() as value):
            node.value = not value
        case ast.Constant(value=int() as value):
            node.value = value + 1
        case ast.Constant(value=float() as value):
            node.value = 2.0 * value + 0.1
        case ast.UnaryOp(op=ast.USub()):
            node.op = ast.UAdd()
        case ast.UnaryOp():
            node.operand = ast.UnaryOp(op=ast.Not(), operand=node.operand)


class _Planted(SourceFileLoader):
    """Loads another source in the place of a module's own."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 -- importlib's
        return compile(self._source, self.path, "exec")


@dataclass(frozen=True, slots=True)
class _Finder:
    """Finds the planted source of one module."""

    name: str
    loader: _Planted

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name != self.name:
            return None
        return spec_from_file_location(name, self.loader.path, loader=self.loader)


def path_of(module: str) -> Path:
    """The file of a module, which is not imported."""
    found = find_spec(module)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(module)
    return Path(found.origin)


def load() -> None:
    """Loads what no fault is planted in."""
    for name in LIBRARIES:
        import_module(name)
    for path in (path_of("loadloom.solvers.highs").parent / "kernels").glob("[a-z]*.py"):
        import_module(f"loadloom.solvers.kernels.{path.stem}")


def caught(module: str, source: str, tests: Sequence[str]) -> bool:
    """Whether some test fails with this source of a module."""
    path = str(path_of(module))
    child = os.fork()
    if child == 0:
        _run(_Finder(module, _Planted(module, path, source)), tests)
    _, status = os.waitpid(child, 0)
    return status != 0


def _run(finder: _Finder, tests: Sequence[str]) -> None:
    """Runs tests, and ends this process with how they ended."""
    signal.alarm(LIMIT_S)
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type] -- all that importlib asks for
    os._exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests])))


def survivors(module: str, changes: Sequence[tuple[str, str]], tests: Sequence[str]) -> list[str]:
    """Which changes of words in a module's source its tests do not notice; for a fresh process.

    Raises:
        ValueError: the words do not stand there once, or the tests fail without any change.
    """
    load()
    source = path_of(module).read_text()
    if caught(module, source, tests):
        raise ValueError("the tests fail without any fault")
    found = []
    for before, after in changes:
        if source.count(before) != 1:
            raise ValueError(f"{module} has {before!r} {source.count(before)} times; must be once")
        if not caught(module, source.replace(before, after), tests):
            found.append(f"{before} -> {after}")
    return found


def main(module: str, *words: str) -> None:
    """Tells which faults of a module its tests do not notice; of a number of them, if one is given.

    The number is followed by how many to leave out: `40 80` looks at the third forty.
    """
    tests = [word for word in words if not word.isdecimal()]
    numbers = [int(word) for word in words if word.isdecimal()]
    load()
    source = path_of(module).read_text()
    if caught(module, source, tests):
        raise SystemExit("the tests fail without any fault")
    found = list(faults(source))
    random.Random(0).shuffle(found)
    if numbers:
        first = numbers[1] if len(numbers) > 1 else 0
        found = found[first : first + numbers[0]]
    alive = 0
    for fault in found:
        if not caught(module, fault.source, tests):
            alive += 1
            print(f"{module} {fault.where}", flush=True)
    print(f"{module}: {len(found) - alive} of {len(found)} faults are caught")


if __name__ == "__main__":
    main(*sys.argv[1:])
