"""What runs inside a worker process."""

import os
import signal
from collections.abc import Callable
from functools import cache
from importlib import import_module
from time import sleep
from typing import TypeVar

from loadloom.engine.datasets.temporary import sweep
from loadloom.engine.run.memory import confine

T = TypeVar("T")
A = TypeVar("A")


class OutOfMemory(SystemExit):
    """The end of a worker that needs more memory than it may have.

    It ends, since arrays of a compiled function that failed are never freed, and what cannot be
    read of the next task would be taken for commands.
    """


def work(solve: Callable[[T], A], task: T, memory_bytes: int) -> A:
    """What `solve` makes of the task within that memory; any with 0.

    Raises:
        OutOfMemory: that is too little.
    """
    load(memory_bytes)
    try:
        return solve(task)
    except MemoryError as error:
        raise OutOfMemory(str(error)) from None


@cache
def load(memory_bytes: int) -> int:
    """The id of this process, once what nearly all solves need is loaded; it takes a second.

    A worker may follow one that was killed, whose temporary files it deletes.

    Raises:
        OutOfMemory: there is too little even for that.
    """
    _leave_signals_to_the_server()
    confine(memory_bytes)
    sweep()
    try:
        import loadloom.engine.answers.dispatch
        import loadloom.models.dispatch.conflicts
        import loadloom.models.dispatch.linear  # noqa: F401
    except (
        MemoryError,
        ImportError,
    ) as error:  # a library for which there is no room is the latter
        raise OutOfMemory(str(error)) from None
    return os.getpid()


def load_and_hold(hold_s: float, memory_bytes: int, kernels: str = "") -> None:
    """Loads all that solves need, with a module that loads kernels, and holds it for a moment.

    So as many calls of it as there are workers meet as many processes.
    """
    load(memory_bytes)
    from loadloom.models.dispatch.solve import warm

    try:
        warm()
        if kernels:
            import_module(kernels)
    except (MemoryError, ImportError) as error:  # as above
        raise OutOfMemory(str(error)) from None
    sleep(hold_s)


def _leave_signals_to_the_server() -> None:
    """Ignores the signals that a terminal or a supervisor sends to the whole group of processes.

    Only the server knows which solves are still owed; a worker ends when its pipe does.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
