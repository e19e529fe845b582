"""A call that takes too much memory fails by itself; what a killed one left on disk is deleted."""

from pathlib import Path

import anyio
import grpc

from loadloom.engine.guard.metrics import Metrics
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.run.lanes import Workers
from loadloom.engine.settings import Settings
from tests.engine.run.hoard import hoard, hoard_and_tell, leave_a_folder, own_id

GIB = 1 << 30


def test_a_solve_that_takes_too_much_memory_is_refused_and_its_worker_ends(tmp_path):
    async def ask() -> tuple[Refusal | None, int, set[int]]:
        refused = None
        settings = Settings(workers=1, worker_memory_mib=2048)
        async with anyio.create_task_group() as tasks:
            workers = Workers(settings, Metrics(), tasks)
            async with workers.ready():
                little = await workers.run(hoard, GIB // 2, limit_s=20)
            try:
                async with workers.ready():
                    await workers.run(hoard_and_tell, (8 * GIB, tmp_path / "pid"), limit_s=20)
            except Refusal as error:
                refused = error
            seen = set()
            for _ in range(4):
                async with workers.ready():
                    seen.add(await workers.run(own_id, None, limit_s=20))
        return refused, little, seen

    refused, little, seen = anyio.run(ask)
    assert refused is not None
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "OUT_OF_MEMORY",
    )
    assert refused.retry_s is None
    assert little == GIB // 2
    assert seen
    assert int((tmp_path / "pid").read_text()) not in seen  # what lacked memory has ended


def test_files_of_a_killed_worker_are_deleted_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    async def ask() -> tuple[Refusal | None, list[Path]]:
        refused, left = None, []
        async with anyio.create_task_group() as tasks:
            workers = Workers(Settings(workers=1, overrun_s=0.1), Metrics(), tasks)
            async with workers.ready():
                try:
                    await workers.run(leave_a_folder, None, limit_s=2.0)
                except Refusal as error:
                    refused, left = error, list(tmp_path.glob("loadloom-*/readings"))
        return refused, left  # the group has waited for the worker that takes its place

    refused, left = anyio.run(ask)
    assert refused is not None
    assert refused.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(left) == 1
    assert not list(tmp_path.glob("loadloom-*"))
