"""The command that becomes a server."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from loadloom.client.embedded import EngineMissing, engine_command


def serve_with(arguments: Sequence[str]) -> NoReturn:
    """Replaces this process by an engine with its own arguments, so that signals reach it."""
    try:
        command = engine_command(*arguments)
    except EngineMissing as error:
        sys.exit(f"loadloom: {error}")
    os.execv(command[0], command)  # noqa: S606 -- no shell is wanted
