"""Ctrl-C, which ends a command with one line."""

import signal
import sys
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
"""The exit code of a command that was interrupted, as shells have it."""


def end_quietly() -> None:
    """Has Ctrl-C end this program with a line, once an engine it started is stopped.

    A second Ctrl-C ends it at once; the engine then stops by itself.
    """
    signal.signal(signal.SIGINT, _end)


def _end(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 -- as signals have it
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    print("\ninterrupted", file=sys.stderr, flush=True)
    sys.exit(INTERRUPTED)
