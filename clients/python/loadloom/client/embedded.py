"""An engine of one's own: started beside this program, stopped with it.

    with engine() as target, Client(target) as client:
        plan = client.plan_dispatch(site, prices.index)

The engine runs as a process of its own and is never imported here.
"""

import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread

ENGINE_MODULE, WORKER_MODULE = "loadloom.engine.main", "loadloom.engine.worker_main"
TOKEN_MODULE = "loadloom.engine.token_main"  # noqa: S105 -- the name of a module

ENGINE_NEEDS = (
    *("alembic", "anyio", "grpc_health", "highspy", "numba", "protovalidate", "pydantic_settings"),
    "sqlalchemy",
)
"""Modules that come with the extra `engine` alone."""

UNGUARDED = tuple(
    f"--{name}=null" for name in ("token-hashes", "tls-certificate", "tls-key", "tls-client-ca")
)
"""What an engine of one's own, which this machine alone reaches, does without, whatever a server's
settings in the environment say."""

START_S = 180.0
"""The longest wait for an engine; its first start compiles kernels for half a minute or more."""

STOP_S = 25.0
"""The longest wait for an engine to stop, beyond its own grace for calls under way."""


class EngineMissing(Exception):  # noqa: N818
    """The engine is not installed; the message says how to install it."""


class EngineFailed(Exception):  # noqa: N818
    """The engine did not start; the message says what it said."""


def engine_command(*arguments: str, module: str = ENGINE_MODULE) -> list[str]:
    """The command that starts the engine, or a worker, with its own arguments, as "--port 0".

    Raises:
        EngineMissing: the engine is not installed.
    """
    if missing := [name for name in ENGINE_NEEDS if find_spec(name) is None]:
        raise EngineMissing(
            f"the engine is not installed (no {', '.join(missing)}); "
            "install it: pip install 'loadloom[engine]'"
        )
    return [sys.executable, "-m", module, *arguments]


@contextmanager
def engine(*arguments: str) -> Iterator[str]:
    """Runs an engine on a free port of this machine, and yields its address.

    What it keeps of operations is forgotten with it, unless its arguments name a database.

    Raises:
        EngineMissing: the engine is not installed.
        EngineFailed: it did not start.
    """
    with TemporaryDirectory(prefix="loadloom-", ignore_cleanup_errors=True) as folder:
        own = ("--host", "127.0.0.1", "--port", "0", "--with-parent", *UNGUARDED)
        database = f"--database-url=sqlite:///{Path(folder) / 'loadloom.db'}"
        with _running(engine_command(*own, database, *arguments)) as address:
            yield address


@contextmanager
def _running(command: Sequence[str]) -> Iterator[str]:
    # It ends with this process, however that ends: then nobody holds its standard input open.
    with subprocess.Popen(  # noqa: S603 -- our own module, by the interpreter that runs us
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        # A terminal's Ctrl-C reaches this process alone, which then stops the engine in order.
        start_new_session=True,
    ) as process:
        lines: SimpleQueue[str | None] = SimpleQueue()
        # What the engine says is read to the end, or it would stop when the pipe is full.
        listener = Thread(target=_listen, args=(process, lines), daemon=True)
        try:
            listener.start()
            yield _address(lines)
        finally:
            _stop(process)
            if listener.is_alive():  # not so if it was interrupted before it began
                listener.join()


def _listen(process: subprocess.Popen[str], lines: SimpleQueue[str | None]) -> None:
    """Hands on the lines up to the one that tells the address, and drops all others."""
    wanted = True
    for line in process.stdout or ():
        if wanted:
            lines.put(line)
            wanted = _event(line).get("event") != "listening"
    lines.put(None)


def _address(lines: SimpleQueue[str | None]) -> str:
    said: deque[str] = deque(maxlen=20)
    try:
        while (line := lines.get(timeout=START_S)) is not None:
            told = _event(line)
            if told.get("event") == "listening":
                return str(told["address"])
            said.append(line)
    except Empty:
        raise EngineFailed(f"the engine did not serve within {START_S:.0f} s") from None
    raise EngineFailed("the engine did not start:\n" + "".join(said).rstrip())


def _event(line: str) -> dict[str, object]:
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
