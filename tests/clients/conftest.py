"""A real engine for the tests of its clients."""

import pytest

from loadloom.client.client import Client
from loadloom.client.embedded import engine


@pytest.fixture(scope="session")
def target():
    """The address of an engine that runs for as long as the tests."""
    with engine("--workers", "1") as address:
        yield address


@pytest.fixture(scope="session")
def client(target):
    """A client of that engine."""
    with Client(target) as client:
        yield client
