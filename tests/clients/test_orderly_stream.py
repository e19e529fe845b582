"""Streams of notices: through a restart of the server, and at the command line."""

import signal
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from loadloom.client import operations
from loadloom.client.client import Client
from loadloom.client.embedded import engine
from loadloom.client.errors import Unavailable
from loadloom.client.orderly_week import Week
from tests.clients.orderly_cases import shortage, users

LIMIT_S = 60.0


def published(client, prefix):
    """A plan whose first notices are due at once: its week begins within a week."""
    some = [
        replace(user, measures=[replace(user.measures[0], notice="week")]) for user in users(prefix)
    ]
    soon = Week(start=datetime.now(UTC).date() + timedelta(days=1))
    operation = client.create_schedule(soon, some, shortage(), title=prefix, time_limit_s=LIMIT_S)
    return client.publish_schedule(operation.result(LIMIT_S), late_notice=True)


@pytest.fixture
def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_stream_goes_on_where_it_was_when_the_server_comes_back(tmp_path, free_port):
    words = (f"--port={free_port}", f"--database-url=sqlite:///{tmp_path / 'db'}", "--grace-s=1")
    with Client(f"127.0.0.1:{free_port}") as client:
        with engine(*words):
            plan = published(client, "first ")
            stream = client.stream_notices()
            due = list(client.list_notices(plan, states=["due"]))
            numbers = [next(stream).number for _ in due]
        with engine(*words):
            plan = published(client, "second ")
            notice = next(stream)
            stream.close()
    assert numbers == sorted(notice.number for notice in due)
    assert notice.schedule == plan.name
    assert notice.number > max(numbers)


def test_a_server_that_stays_away_ends_the_stream(monkeypatch, free_port):
    monkeypatch.setattr(operations, "AWAY_S", 0.3)
    with Client(f"127.0.0.1:{free_port}") as client, pytest.raises(Unavailable):
        next(client.stream_notices())


def test_notices_are_followed_until_ctrl_c(client, target):
    plan = published(client, "followed ")
    words = ("orderly", "notices", "--follow", "--schedule", plan.name, "--server", target)
    command = [sys.executable, "-m", "loadloom.client.main", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        told = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT_S)
    assert "followed user" in told
    assert "announcement" in told
    assert "due" in told
    assert process.returncode == 130
    assert "Traceback" not in errors
