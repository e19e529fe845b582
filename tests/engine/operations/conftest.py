"""Databases of both kinds, servers and workers with the jobs of `probes`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from loadloom.engine.server import Offer, running
from loadloom.engine.settings import Settings
from loadloom.engine.store.database import Database
from loadloom.engine.store.migrate import prepared
from tests.engine.operations.postgres import Postgres, postgres
from tests.engine.operations.probes import PROBES, services
from tests.engine.operations.processes import Caller, launched


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgres]:
    """A PostgreSQL that runs for as long as the tests."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def new_url(tmp_path_factory: pytest.TempPathFactory, request) -> Callable[[str], str]:
    """Makes an empty database of a kind, and gives its URL."""

    def made(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('database') / 'loadloom.db'}"
        return request.getfixturevalue("postgresql").new_database()

    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, new_url) -> str:
    """The URL of an empty database."""
    return new_url(request.param)


@pytest.fixture
def database(url) -> Iterator[Database]:
    """An empty database with the tables."""
    found = prepared(url)
    yield found
    found.close()


@contextmanager
def probed(url: str, **settings: object) -> Iterator[Caller]:
    """A caller of a server in this process, whose worker is a process as ever."""
    usual = {"port": 0, "workers": 1, "job_workers": 2, "grace_s": 1.0, "database_url": url}
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            running(Settings(**{**usual, **settings}), Offer(jobs=PROBES, services=services))
        ) as engine,
    ):
        caller = Caller(engine.address)
        yield caller
        caller.close()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def caller(request, new_url) -> Iterator[Caller]:
    """A caller of a server with usual settings, for all tests that leave it as it was."""
    with probed(new_url(request.param)) as found:
        yield found


@pytest.fixture
def serve() -> Callable:
    """Starts a server in this process; a context manager that gives a caller."""
    return probed


@pytest.fixture
def launch(tmp_path) -> Callable:
    """Starts a server or a worker as a process; a context manager that kills it in the end."""
    numbers = count()

    def start(url: str, *arguments: str, worker: bool = False):
        log: Path = tmp_path / f"log{next(numbers)}"
        return launched(log, url, *arguments, worker=worker)

    return start
