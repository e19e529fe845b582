"""Handles to operations, on a real server with jobs for tests."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from loadloom.client import operations
from loadloom.client.aio import AsyncClient
from loadloom.client.client import Client
from loadloom.client.errors import (
    Cancelled,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    LoadloomError,
    NotFound,
    Unavailable,
)
from loadloom.client.operations import AsyncOperation, Operation, State
from tests.engine.operations.processes import Caller, launched

WORDS = ("--workers=1", "--job-workers=2", "--grace-s=1")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("operations")
    with launched(folder / "log", f"sqlite:///{folder}/db", *WORDS) as server:
        yield server


@pytest.fixture(scope="module")
def caller(server):
    return Caller(server.address)


@pytest.fixture(scope="module")
def probed(server):
    with Client(server.address) as client:
        yield client


def test_a_handle_brings_the_response(caller, probed):
    operation = probed.operation(caller.submit(key="mine", seconds=0.3).name)
    assert not operation.done
    assert operation.state in {State.QUEUED, State.RUNNING}
    assert operation.method == "loadloom.test.ProbeService/Run"
    assert abs(operation.create_time - datetime.now(UTC)) < timedelta(minutes=1)
    assert operation.result(30.0)["done"] == "mine"
    assert (operation.done, operation.state) == (True, State.SUCCEEDED)
    assert operation.progress.phase == "working"
    assert operation.progress.relative_gap is None
    assert "succeeded" in repr(operation)


def test_a_response_is_read_as_the_caller_likes(caller, probed):
    made = caller.submit(key="read")
    operation = Operation(probed._channel, made, read=lambda packed: packed.TypeName())
    assert operation.result(30.0) == "google.protobuf.Struct"


def test_events_come_in_order_up_to_the_end(caller, probed):
    operation = probed.operation(caller.submit(seconds=0.4).name)
    events = list(operation.events())
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert [event.state for event in (events[0], events[-1])] == [State.QUEUED, State.SUCCEEDED]
    assert events[0].progress.value is None
    assert events[-1].progress.value < 100.0
    assert events[0].time <= events[-1].time
    assert list(operation.events(after=2)) == events[2:]


def test_cancelling_ends_with_an_error_of_its_own(caller, probed):
    operation = probed.operation(caller.submit(seconds=60).name)
    operation.cancel()
    with pytest.raises(Cancelled):
        operation.result(30.0)
    operation.delete()
    with pytest.raises(NotFound):
        operation.refresh()


def test_errors_of_operations_are_those_of_calls(caller, probed):
    refused = probed.operation(caller.submit(do="refuse").name)
    with pytest.raises(InvalidRequest, match="the probe refuses"):
        refused.result(30.0)
    died = probed.operation(caller.submit(do="exit").name)
    with pytest.raises(InternalError, match="3 attempts"):
        died.result(30.0)


def test_a_result_that_takes_too_long_is_not_waited_for(caller, probed):
    operation = probed.operation(caller.submit(seconds=60).name)
    with pytest.raises(DeadlineExceeded):
        operation.result(0.3)
    assert not operation.done
    operation.cancel()


def test_operations_are_listed_and_then_bring_their_response(caller, probed):
    names = [caller.submit(key=str(i), priority=1).name for i in range(3)]
    for name in names:
        probed.operation(name).result(30.0)
    listed = list(probed.operations("state = SUCCEEDED"))
    assert [operation.name for operation in listed][:3] == names[::-1]
    assert listed[0].result(5.0)["done"] == "2"
    with pytest.raises(LoadloomError, match="filter"):
        list(probed.operations("colour = red"))


def test_an_operation_that_is_not_there_is_not_found(probed):
    with pytest.raises(NotFound):
        probed.operation("operations/" + "0" * 32)


def test_everything_works_for_callers_that_await(caller, server):
    made = caller.submit(key="awaited", seconds=0.4).name
    hangs = caller.submit(seconds=60).name

    async def use() -> None:
        async with AsyncClient(server.address) as client:
            operation = await client.operation(made)
            events = [event async for event in operation.events()]
            assert events[-1].state is State.SUCCEEDED
            assert (await operation.result(30.0))["done"] == "awaited"
            await operation.delete()
            with pytest.raises(NotFound):
                await client.operation(made)
            other = await client.operation(hangs)
            with pytest.raises(DeadlineExceeded):
                await other.result(0.2)
            await other.cancel()
            with pytest.raises(Cancelled):
                await other.result(30.0)
            names = [one.name async for one in client.operations("state = CANCELLED")]
            assert hangs in names
            assert isinstance(other, AsyncOperation)

    asyncio.run(use())


def test_handles_wait_through_a_restart_of_the_server(tmp_path, free_port):
    url = f"sqlite:///{tmp_path}/db"
    words = (*WORDS, f"--port={free_port}")
    with launched(tmp_path / "first", url, *words) as server, Client(server.address) as client:
        operation = client.operation(Caller(server.address).submit(key="on", seconds=2.0).name)
        events, results = [], []
        watcher = threading.Thread(target=lambda: events.extend(operation.events()))
        again = client.operation(operation.name)
        waiter = threading.Thread(target=lambda: results.append(again.result(90.0)))
        for thread in (watcher, waiter):
            thread.start()
        while len(events) < 1 and not operation.progress.value:
            operation.refresh()
        assert server.terminate() == 0
        with launched(tmp_path / "second", url, *words):
            for thread in (watcher, waiter):
                thread.join()
    assert results[0]["done"] == "on"
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert events[-1].state is State.SUCCEEDED


def test_a_server_that_stays_away_is_told(monkeypatch, free_port):
    monkeypatch.setattr(operations, "AWAY_S", 0.5)
    with Client(f"127.0.0.1:{free_port}") as client:
        message = operations.longrunning.Operation(name="operations/" + "0" * 32)
        with pytest.raises(Unavailable):
            Operation(client._channel, message).result(30.0)


@pytest.fixture
def free_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
