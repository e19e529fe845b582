"""What every test stands on."""

import ast
import os
from pathlib import Path

import pytest

# A worker spends seconds on it, which few servers of tests live to see made good.
os.environ["LOADLOOM_LOAD_AHEAD"] = "false"

ROOT = Path(__file__).parents[1]
KERNELS = ("solvers/loadloom/solvers/kernels", "models/loadloom/models/dispatch")

LONGEST = (
    "engine/operations/test_faults.py",
    "test_readme.py",
    "engine/services/test_orderly.py",
    "engine/run/test_lanes.py",
    "solvers/test_coupled.py",
    "engine/services/test_agency_cluster.py",
    "engine/services/test_orderly_deliveries.py",
    "engine/services/test_orderly_notices.py",
    "solvers/test_neighbourhood.py",
    "models/orderly/test_solve.py",
    "models/response/test_pay.py",
    "models/orderly/test_order.py",
    "clients/test_orderly_command.py",
    "engine/services/test_response_answers.py",
    "engine/services/test_orderly_late.py",
    "engine/services/test_agency_files.py",
    "benchmarks/test_service.py",
    "models/dispatch/test_everything.py",
    "frame/test_package.py",
    "clients/test_operations.py",
    "engine/operations/test_service.py",
    "engine/operations/test_job_metrics.py",
    "models/response/test_solve.py",
    "clients/test_orderly_stream.py",
    "engine/services/test_orderly_kill.py",
    "engine/services/test_orderly_kernels.py",
    "engine/services/test_agency_kernels.py",
    "clients/command/test_interrupts.py",
    "engine/test_server.py",
    "engine/guard/test_roles.py",
    "benchmarks/test_response.py",
    "benchmarks/test_agency.py",
    "engine/datasets/test_memory.py",
)
"""The files that take longest, the longest first: one that began last would be waited for alone."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Drops compiled kernels older than what they call, before processes share the tests.

    Numba compares a compiled function with its own file only, and not with the files it calls into.
    """
    if hasattr(session.config, "workerinput"):
        return
    sources = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts[1:]): path
        for folder in KERNELS
        for path in (ROOT / folder).glob("*.py")
    }
    calls = {name: _imported(path) & sources.keys() for name, path in sources.items()}
    for name, path in sources.items():
        newest = max(sources[one].stat().st_mtime for one in _reached(name, calls))
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.nb[ic]"):
            if compiled.stat().st_mtime < newest:
                compiled.unlink(missing_ok=True)


def _imported(path: Path) -> set[str]:
    """The modules that a source imports, and names that may be modules."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return found


def _reached(name: str, calls: dict[str, set[str]]) -> set[str]:
    """A module, and all that it calls, and those call."""
    found, open_ = {name}, [name]
    while open_:
        new = calls[open_.pop()] - found
        found |= new
        open_ += new
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take longest first, each in its own order."""
    places = {ROOT / "tests" / path: place for place, path in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
