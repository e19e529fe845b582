"""The commands that become a server, a worker, or the command of tokens."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from loadloom.client.embedded import (
    ENGINE_MODULE,
    TOKEN_MODULE,
    WORKER_MODULE,
    EngineMissing,
    engine_command,
)


def serve_with(arguments: Sequence[str]) -> NoReturn:
    """Replaces this process by an engine with its own arguments, so that signals reach it."""
    _become(ENGINE_MODULE, arguments)


def work_with(arguments: Sequence[str]) -> NoReturn:
    """Replaces this process by a worker for the servers on a database."""
    _become(WORKER_MODULE, arguments)


def token_with(arguments: Sequence[str]) -> NoReturn:
    """Replaces this process by the command that makes and revokes tokens."""
    _become(TOKEN_MODULE, arguments)


def _become(module: str, arguments: Sequence[str]) -> NoReturn:
    try:
        command = engine_command(*arguments, module=module)
    except EngineMissing as error:
        sys.exit(f"loadloom: {error}")
    os.execv(command[0], command)  # noqa: S606 -- no shell is wanted
