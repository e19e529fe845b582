"""The lanes that work runs in: threads for single calls, threads for bulk, and worker processes.

Each lane has its own capacity, so a stream of batches never stands in the way of a single call.
Threads are for what takes milliseconds and leaves the interpreter's lock alone; what may take
longer goes to a process, which is killed when its call is cancelled or outlives its limit.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from math import inf
from typing import Any, TypeVar, TypeVarTuple, Unpack

import anyio
from anyio import BrokenWorkerProcess, CapacityLimiter, to_process
from anyio.abc import TaskGroup

from loadloom.engine.guard import log, refusal
from loadloom.engine.guard.calls import current
from loadloom.engine.guard.metrics import Metrics
from loadloom.engine.run.turns import Turns
from loadloom.engine.run.worker import OutOfMemory, load, load_and_hold, work
from loadloom.engine.settings import Settings

HANDOVERS, HANDOVER_S = 10, 0.002
"""How often to look again, and how long after, for a worker that no other call is about to take."""

LEISURE_S = 1.0
"""How long after its start a server begins the processes that nobody has needed yet.

An engine that lives for one short call is gone before, and longer ones answer their first calls
with all cores.
"""

KERNELS = "loadloom.engine.services.worker_kernels"
"""The module that loads the kernels of all that is solved in workers, or compiles them."""

HOLD_S = 0.05
"""How long a warm worker waits for the others: far longer than it takes to hand over a call."""

KEYS = 20_000
"""The keys of which it is known what worker had them last."""

ENDED = (BrokenWorkerProcess, OSError, MemoryError, OutOfMemory)
"""What tells of a worker that it has ended, or that its next call may not be trusted to it."""

T = TypeVar("T")
A = TypeVar("A")
Arguments = TypeVarTuple("Arguments")


class Lane:
    """Threads, up to a number at once.

    A pool instead of anyio's threads: these give up the event loop three times a call.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="lane")

    async def run(self, function: Callable[[Unpack[Arguments]], A], *arguments: *Arguments) -> A:
        """What the function returns from a thread of this lane; a cancelled call waits no more."""
        loop, context = asyncio.get_running_loop(), copy_context()

        def work() -> A:
            return function(*arguments)

        return await loop.run_in_executor(self._pool, context.run, work)


class Workers:
    """Worker processes, each with one call at a time.

    There is one worker more than may solve at once, so that a call after a worker's end need not
    wait for the libraries to load. A dead worker fails its own call alone, and is replaced at once.
    """

    def __init__(self, settings: Settings, metrics: Metrics, tasks: TaskGroup) -> None:
        self._processes, self._overrun_s = settings.workers + 1, settings.overrun_s
        self._memory_bytes = settings.worker_memory_mib << 20
        self._kernels = KERNELS if settings.load_ahead else ""
        self._metrics, self._tasks = metrics, tasks
        self._slots = Turns(settings.workers)
        self._places = CapacityLimiter(self._processes)
        self._unlimited = CapacityLimiter(inf)  # whoever runs something holds a place already
        self._reserved: set[int] = set()
        self._holders: OrderedDict[str, int] = OrderedDict()
        self._loading: set[asyncio.Task[int]] = set()
        self._replacing = False

    @asynccontextmanager
    async def ready(self, key: str = "") -> AsyncIterator[int]:
        """A worker that lives and has loaded its libraries is there to `run` while the block lasts.

        Its process id is given. Calls take turns, so that one with many solves does not keep others
        waiting for all of them. A worker that died idle, or is still to be started, thereby costs
        nobody's solve any time. What is solved under a key goes to the worker that had it last, as
        it may remember how, unless that one is busy.

        Raises:
            Refusal: one worker after the other died.
        """
        async with self._slots.turn(id(current.get(None))):
            pid = await self._reserve(self._holders.pop(key, None))
            if key:
                self._holders[key] = pid
                while len(self._holders) > KEYS:
                    self._holders.popitem(last=False)
            try:
                async with self._places:
                    yield pid
            finally:
                self._reserved.discard(pid)

    async def _reserve(self, wanted: int | None) -> int:
        """The pid of a loaded worker, one that no other call is about to take if there is such."""
        for _ in range(self._processes):
            if wanted is not None and wanted not in self._reserved:
                _put_next(wanted)
            try:
                pid = await self._loaded()
                for _ in range(HANDOVERS):
                    if pid not in self._reserved:
                        break
                    await anyio.sleep(HANDOVER_S)
                    pid = await self._loaded()
            except ENDED:
                self._died()
                self._replace()
            else:
                self._reserved.add(pid)
                return pid
        raise refusal.worker_died()

    async def _loaded(self) -> int:
        """The pid of an idle worker, started if there is none, once it has loaded its libraries.

        Cancelling a call does not cancel this: anyio loses track of processes that are starting.
        """
        task = asyncio.create_task(self._load())
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)
        return await asyncio.shield(task)

    async def _load(self) -> int:
        async with self._places:
            return await to_process.run_sync(
                load, self._memory_bytes, cancellable=True, limiter=self._unlimited
            )

    async def run(
        self, solve: Callable[[T], A], task: T, *, limit_s: float, pid: int | None = None
    ) -> A:
        """What `solve` makes of the task in a worker, which should end by itself within `limit_s`.

        It is the one of that process id, if it is still idle.

        Raises:
            Refusal: the worker died, was killed because it did not end, or had too little memory.
        """
        if pid is not None:
            _put_next(pid)
        try:
            with anyio.move_on_after(limit_s + self._overrun_s):
                return await to_process.run_sync(
                    work,
                    solve,
                    task,
                    self._memory_bytes,
                    cancellable=True,
                    limiter=self._unlimited,
                )
        except OutOfMemory:
            log.event(logging.WARNING, "a solve took more memory than it may")
            self._replace()
            raise refusal.out_of_memory() from None
        except ENDED:
            self._died()
            self._replace()
            raise refusal.worker_died() from None
        except anyio.get_cancelled_exc_class():
            self._replace()
            raise
        self._metrics.kills.inc()
        log.event(logging.WARNING, "a worker was killed for overrun", limit_s=limit_s)
        self._replace()
        raise refusal.out_of_time(f"no plan was found within {limit_s:.3g} s")

    async def begin(self) -> None:
        """Starts the workers at leisure, each time as many as there are, as callers need cores.

        The first compiles the kernels of all families if nobody has, for the others.
        """
        await anyio.sleep(LEISURE_S)
        count = 0
        while count < self._processes:
            count = min(2 * count or 1, self._processes)
            await self._warm(count, self._kernels)

    async def _warm(self, count: int, kernels: str = "") -> None:
        """Has that many workers loaded, and starts those that are not there."""
        async with anyio.create_task_group() as group:
            for _ in range(count):
                group.start_soon(self._warm_one, kernels)

    async def _warm_one(self, kernels: str) -> None:
        async with self._places:
            try:
                await to_process.run_sync(
                    load_and_hold,
                    HOLD_S,
                    self._memory_bytes,
                    kernels,
                    cancellable=True,
                    limiter=self._unlimited,
                )
            except ENDED:
                self._died()

    def _died(self) -> None:
        self._metrics.deaths.inc()
        log.event(logging.WARNING, "a worker died")

    def _replace(self) -> None:
        if not self._replacing:
            self._replacing = True
            self._tasks.start_soon(self._warm_again)

    async def _warm_again(self) -> None:
        # Without kernels, which would keep all workers from calls for seconds.
        try:
            await self._warm(self._processes)
        finally:
            self._replacing = False


def _put_next(pid: int) -> None:
    """Lets the next call go to this worker, if it is idle.

    It is the last in anyio's list of idle ones, as the next call takes the one used last. That list
    is no part of what anyio promises: without it calls go to any worker.
    """
    known: Any = getattr(to_process, "_process_pool_idle_workers", None)
    try:
        idle = known.get() if known is not None else deque()
    except LookupError:  # no worker has been idle yet
        return
    for place, (process, since_s) in enumerate(idle):
        if process.pid == pid:
            del idle[place]
            idle.append((process, since_s))
            return
