"""Turns of many streams in a room of few values."""

import anyio
import pytest

from loadloom.engine.run.room import Room

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_turns_come_in_the_order_of_asking_also_for_the_large():
    room, came = Room(10, unread_s=60.0), []

    async def batch(name, points):
        held = await room.take(points, anyio.CancelScope())
        came.append(name)
        assert room.taken <= 10
        await anyio.lowlevel.checkpoint()
        room.give(held)

    async with anyio.create_task_group() as group:
        for name, points in [("a", 6), ("large", 10), ("b", 1), ("c", 1)]:
            group.start_soon(batch, name, points)
    assert came == ["a", "large", "b", "c"]
    assert room.taken == 0


async def test_what_is_larger_than_the_room_has_it_alone():
    room = Room(10, unread_s=60.0)
    assert await room.take(99, anyio.CancelScope()) == 10
    with anyio.move_on_after(0.05) as scope:
        await room.take(1, anyio.CancelScope())
    assert scope.cancelled_caught
    room.give(10)
    assert await room.take(1, anyio.CancelScope()) == 1


async def test_one_that_gives_up_waiting_stands_in_nobodys_way():
    room = Room(10, unread_s=60.0)
    held = await room.take(5, anyio.CancelScope())
    with anyio.move_on_after(0.01):
        await room.take(10, anyio.CancelScope())
    with anyio.fail_after(1):
        await room.take(5, anyio.CancelScope())
    room.give(held)
    assert room.taken == 5


async def test_an_unread_answer_ends_its_stream_only_when_another_waits():
    room, read, ended = Room(10, unread_s=0.05), anyio.Event(), []

    async def stream(name, patience):
        with anyio.CancelScope() as scope:
            await room.take(5, scope)
            with room.unread(scope):
                await patience()
        ended.append((name, scope.cancelled_caught))
        room.give(5)

    async with anyio.create_task_group() as group:
        group.start_soon(stream, "reads", read.wait)
        group.start_soon(stream, "never reads", anyio.sleep_forever)
        await anyio.sleep(0.2)
        assert not ended  # nobody else wants the room
        read.set()
        await anyio.wait_all_tasks_blocked()
        await room.take(10, anyio.CancelScope())
    assert sorted(ended) == [("never reads", True), ("reads", False)]


async def test_a_stream_is_not_ended_for_its_own_sake():
    room = Room(10, unread_s=0.02)
    with anyio.CancelScope() as scope:
        await room.take(10, scope)
        with room.unread(scope), anyio.move_on_after(0.2) as waited:
            await room.take(1, scope)
    assert waited.cancelled_caught
    assert not scope.cancelled_caught
