"""Places that calls with many wishes and calls with one take in turn."""

import anyio
import pytest

from loadloom.engine.run.turns import Turns

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_one_wish_waits_for_one_of_many():
    turns, came, rounds = Turns(1), [], 8

    async def solve(call):
        async with turns.turn(call):
            came.append(call)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for call in ["batch"] * rounds + ["other batch"] * rounds + ["single"]:
            group.start_soon(solve, call)
    assert came[:6] == ["batch", "batch", "other batch", "single", "batch", "other batch"]
    assert came.count("batch") == came.count("other batch") == rounds


async def test_there_are_never_more_at_once_than_places():
    turns, under_way, most = Turns(2), 0, 0

    async def solve(call):
        nonlocal under_way, most
        async with turns.turn(call):
            under_way += 1
            most = max(most, under_way)
            await anyio.lowlevel.checkpoint()
            under_way -= 1

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(solve, number % 3)
    assert most == 2


async def test_a_wish_that_is_given_up_takes_no_place():
    turns = Turns(1)

    async def given_up():
        with anyio.move_on_after(0.01):
            async with turns.turn("impatient"):
                pytest.fail("there was no place")

    async with turns.turn("first"), anyio.create_task_group() as group:
        group.start_soon(given_up)
        group.start_soon(given_up)
    with anyio.fail_after(5.0):
        async with turns.turn("next"):
            pass


async def test_a_place_given_to_one_who_is_cancelled_in_that_moment_goes_on():
    turns = Turns(1)
    async with anyio.create_task_group() as group:
        async with turns.turn("first"):
            group.start_soon(_held, turns)
            await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    with anyio.fail_after(5.0):
        async with turns.turn("next"):
            pass


async def _held(turns: Turns) -> None:
    async with turns.turn("cancelled"):
        await anyio.sleep_forever()
