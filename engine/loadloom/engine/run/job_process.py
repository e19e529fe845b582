"""A process for one solve: begun in milliseconds, listened to, told to stop, killed.

Processes come from Python's fork server, which has loaded the libraries and nothing else: a new
process costs some 10 ms, and one that was killed leaves nothing behind. Each is on a leash, a pipe
that only the worker holds the other end of: the system ends the process when the worker is gone.
"""

import fcntl
import logging
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from time import monotonic
from types import TracebackType
from typing import Self

import psutil

from loadloom.engine.guard import log, refusal
from loadloom.engine.guard.calls import Deadline
from loadloom.engine.guard.refusal import Refusal
from loadloom.engine.jobs import Job, Progress
from loadloom.engine.run.memory import confine
from loadloom.engine.store.claims import Claim
from loadloom.engine.store.operations import Standing

SAID_BEFORE_ITS_END_S = 5.0
"""The longest wait for a process to end that has closed its pipe."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A solve told how far it is, and maybe what its response would be."""

    standing: Standing
    best: bytes | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A solve handed over a part of what is kept beside its response."""

    part: bytes


@dataclass(frozen=True, slots=True)
class Solved:
    """A solve ended with a response."""

    response: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A solve ended with an error, a google.rpc.Status."""

    error: bytes


@dataclass(frozen=True, slots=True)
class Died:
    """The process of a solve ended without a word."""

    exit_code: int | None


Said = Reported | Kept | Solved | Refused | Died


def fork_server(jobs: Iterable[Job]) -> ForkServerContext:
    """The fork server that has loaded what the jobs need; it starts with the first process.

    A signal to stop that goes to all processes of a service does not reach it or its processes.
    """
    context = get_context("forkserver")
    modules = {name for job in jobs for name in (*job.loads, job.solve.__module__)}
    context.set_forkserver_preload(["__main__", __name__, *sorted(modules)])
    return context


def kill_fork_server() -> None:
    """Ends the fork server of this process, even while it loads."""
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if any("multiprocessing.forkserver" in word for word in child.cmdline()):
                child.kill()


def do_nothing() -> None:
    """Returns, in a process that thereby shows that the fork server is ready."""


class JobProcess:
    """A process that solves one claim from its start on."""

    def __init__(
        self,
        context: ForkServerContext,
        job: Job,
        claim: Claim,
        limit_s: float,
        memory_bytes: int,
    ) -> None:
        """Starts the process; the solve should end by itself within the limit."""
        self._ours, theirs = context.Pipe()
        leash, self._leash = context.Pipe(duplex=False)
        self._told, self._cpu_s = False, 0.0
        arguments = (job, replace(claim, best=None), limit_s, memory_bytes, theirs, leash)
        self._process = context.Process(target=_solve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        leash.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kills the process if it still runs."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._ours.close()
        self._leash.close()

    def said(self, within_s: float) -> list[Said]:
        """What the process has said, at the latest after that time; empty if it said nothing.

        A part is the last for now: there may be many, which are to be written one by one.
        """
        found: list[Said] = []
        try:
            while self._ours.poll(0.0 if found else within_s):
                found.append(self._ours.recv())
                if isinstance(found[-1], Kept):
                    break
        except (EOFError, ConnectionError):
            self._process.join(SAID_BEFORE_ITS_END_S)
            found.append(Died(self._process.exitcode))
        return found

    @property
    def cpu_s(self) -> float:
        """The CPU seconds that it has taken, of all its threads, when it was last seen alive."""
        with suppress(psutil.Error):
            seen = psutil.Process(self._process.pid).cpu_times()
            self._cpu_s = seen.user + seen.system
        return self._cpu_s

    def cancel(self) -> None:
        """Tells the solve that it was cancelled."""
        if not self._told:
            self._told = True
            with suppress(OSError):  # it may have ended by now
                self._ours.send(None)


def _solve(
    job: Job,
    claim: Claim,
    limit_s: float,
    memory_bytes: int,
    connection: Connection,
    leash: Connection,
) -> None:
    """Solves a claim, in a process of its own."""
    _leave_signals_to_the_worker()
    confine(memory_bytes)
    _tie(leash)
    progress = Progress(
        send=lambda standing, best: connection.send(Reported(standing, best)),
        cancel_asked=connection.poll,
        hand=lambda part: connection.send(Kept(part)),
    )
    deadline = Deadline(at_s=monotonic() + limit_s if limit_s < inf else inf)
    with _LastWords(claim):
        connection.send(_outcome(job, claim.request, progress, deadline))


def _outcome(job: Job, request: bytes, progress: Progress, deadline: Deadline) -> Solved | Refused:
    """The end of a solve; one for which there is too little memory would lack it again."""
    try:
        return Solved(job.solve(request, progress, deadline))
    except Refusal as refused:
        return Refused(refused.status().SerializeToString())
    except MemoryError:
        pass  # told below, where what the solve held is gone
    return Refused(refusal.out_of_memory("job_memory_mib").status().SerializeToString())


class _LastWords:
    """Logs what ends a solve unexpectedly, and ends the process."""

    def __init__(self, claim: Claim) -> None:
        self._claim = claim

    def __enter__(self) -> None:
        log.configure("error")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            name, attempt = self._claim.name, self._claim.attempt
            log.event(logging.ERROR, "fault", error=error, operation=name, attempt=attempt)
            os._exit(1)


def _leave_signals_to_the_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _tie(leash: Connection) -> None:
    """Has the system end this process when nobody holds the other end of the leash any more.

    SIGIO ends a process that does not expect it, even while a library holds the interpreter's lock.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(leash.fileno(), fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(
        leash.fileno(), fcntl.F_SETFL, fcntl.fcntl(leash.fileno(), fcntl.F_GETFL) | os.O_ASYNC
    )
    if leash.poll():  # it was let go before
        os._exit(1)
