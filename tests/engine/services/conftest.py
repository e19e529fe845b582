"""Planners and operators of servers on databases of both kinds."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from itertools import count

import pytest

from tests.engine.operations.postgres import Postgres, postgres
from tests.engine.services.orderly_weeks import Planner, planning
from tests.engine.services.response_calls import Operator, operating


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


@pytest.fixture(scope="session")
def planner_on(new_url) -> Iterator[Callable[[str], Planner]]:
    """A planner of a server on a database of a kind, the same for all tests."""
    with ExitStack() as servers:
        yield cache(lambda kind: servers.enter_context(planning(new_url(kind))))


SERIALS = count()


@pytest.fixture(params=["sqlite", "postgresql"])
def planner(request, planner_on) -> Planner:
    """A planner whose users nobody else plans for, ten days before the week."""
    return planner_on(request.param).anew(next(SERIALS))


@pytest.fixture
def shared(planner_on) -> Planner:
    """As `planner`, on one kind of database alone."""
    return planner_on("sqlite").anew(next(SERIALS))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def operator(request, new_url) -> Iterator[Operator]:
    """An operator of a server on a database of each kind, the same for the tests of a module."""
    with operating(new_url(request.param)) as found:
        yield found
