"""What every test stands on."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KERNELS = ("solvers/loadloom/solvers/kernels", "models/loadloom/models/dispatch")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Drops compiled kernels older than any of their sources, before processes share the tests.

    Numba compares a compiled function with its own file only, and not with the files it calls into.
    """
    if hasattr(session.config, "workerinput"):
        return
    sources = [path for folder in KERNELS for path in (ROOT / folder).glob("*.py")]
    newest = max(path.stat().st_mtime for path in sources)
    for folder in KERNELS:
        for path in (ROOT / folder / "__pycache__").glob("*.nb[ic]"):
            if path.stat().st_mtime < newest:
                path.unlink(missing_ok=True)
