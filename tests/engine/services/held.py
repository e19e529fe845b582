"""A function that stands still after its first answer, so that a test may act in between."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import ModuleType

import pytest


@contextmanager
def held(
    patches: pytest.MonkeyPatch, module: ModuleType, name: str
) -> Iterator[Callable[[], object]]:
    """Holds back the first answer of a function until the block ends; gives what waits for it."""
    honest, found, go_on = getattr(module, name), Event(), Event()

    def slow(*arguments: object) -> object:
        answer = honest(*arguments)
        if not found.is_set():
            found.set()
            go_on.wait(60)
        return answer

    with patches.context() as patched:
        patched.setattr(module, name, slow)
        try:
            yield lambda: found.wait(60)
        finally:
            go_on.set()
