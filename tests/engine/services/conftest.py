"""Planners of servers on databases of both kinds."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.engine.operations.postgres import Postgres, postgres
from tests.engine.services.orderly_weeks import Planner, planning


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
            return f"sqlite:///{tmp_path_factory.mktemp('schedules') / 'loadloom.db'}"
        return request.getfixturevalue("postgresql").new_database()

    return made


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def served(request, new_url) -> Iterator[Planner]:
    """A planner of a server on a database of either kind."""
    with planning(new_url(request.param)) as found:
        yield found


SERIALS = count()


@pytest.fixture
def planner(served) -> Planner:
    """A planner whose users nobody else plans for, ten days before the week."""
    return served.anew(next(SERIALS))


@pytest.fixture(scope="session")
def sqlite_planner(new_url) -> Iterator[Planner]:
    with planning(new_url("sqlite")) as found:
        yield found


@pytest.fixture
def shared(sqlite_planner) -> Planner:
    """As `planner`, on one kind of database alone."""
    return sqlite_planner.anew(next(SERIALS))
