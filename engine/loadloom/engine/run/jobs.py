"""The supervisor: keeps a worker process beside the server, and ends it with the server."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from time import monotonic
from uuid import uuid4

import anyio
from anyio import to_thread

from loadloom.engine.guard import log
from loadloom.engine.guard.metrics import Metrics
from loadloom.engine.jobs import Job
from loadloom.engine.run import job_worker
from loadloom.engine.run.job_metrics import JobMetrics
from loadloom.engine.run.lanes import LEISURE_S
from loadloom.engine.settings import Settings
from loadloom.engine.store import claims
from loadloom.engine.store.database import Database, StoreAway

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""The time before a dead worker is started again, which doubles while they die young."""

YOUNG_S = 10.0

STOP_S = 0.8
"""The time beyond the grace that a worker has to give its jobs back."""

SIGNAL_S = 0.1
"""How often a worker is told to stop: it may not have been listening yet."""


class Supervisor:
    """The worker process of one server, which solves as many jobs at once as the settings say.

    One process with many slots rather than many with one: solves have processes of their own in
    any case, and one process asks the database for work.
    """

    def __init__(
        self, settings: Settings, jobs: Sequence[Job], database: Database, metrics: Metrics
    ) -> None:
        self._settings, self._jobs, self._metrics = settings, tuple(jobs), metrics
        self._counts = JobMetrics(metrics.registry)
        self._database, self._errors = database, job_worker.errors(settings)
        self._stopping = False
        self._process: SpawnProcess | None = None

    async def run(self, wanted: anyio.Event) -> None:
        """Starts the worker again and again, until told to stop; at leisure, or when it is wanted.

        Whatever waits in the database from before is there to be solved a moment later.
        """
        if not self._jobs or not self._settings.job_workers:
            return
        with anyio.move_on_after(LEISURE_S):
            await wanted.wait()
        pause_s = FIRST_PAUSE_S
        while not self._stopping:
            began = monotonic()
            await self._live()
            if monotonic() > began + YOUNG_S:
                pause_s = FIRST_PAUSE_S
            if not self._stopping:
                self._metrics.deaths.inc()
                log.event(logging.WARNING, "the job worker died", pause_s=pause_s)
                await anyio.sleep(pause_s)
            pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)

    async def _live(self) -> None:
        """One life of the worker; what it leaves behind goes back into the queue."""
        name, context = uuid4().hex, get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=job_worker.run, args=(self._settings, self._jobs, name, theirs)
        )
        try:
            process.start()
            theirs.close()
            self._process = process
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._count, ours)
                await anyio.wait_readable(process.sentinel)
        finally:
            ours.close()
            self._process = None
            if process.pid is not None:
                process.kill()
                process.join()
            process.close()
        with suppress(StoreAway):  # its lease lapses anyway
            await to_thread.run_sync(
                claims.drop_all_of,
                self._database,
                name,
                self._settings.job_attempts,
                self._errors,
            )

    async def _count(self, told: Connection) -> None:
        """Counts what a worker tells, until it has ended."""
        with suppress(EOFError, OSError):
            while True:
                await anyio.wait_readable(told)
                self._counts.count(told.recv())

    async def stop(self) -> None:
        """Has the worker give its jobs back, and returns when it has ended."""
        self._stopping = True
        with anyio.move_on_after(self._settings.grace_s + STOP_S):
            while self._process is not None:
                self._process.terminate()
                with anyio.move_on_after(SIGNAL_S):
                    while self._process is not None:
                        await anyio.sleep(0.01)
        if self._process is not None:
            self._process.kill()
