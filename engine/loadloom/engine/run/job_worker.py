"""The worker: claims jobs from the database and has each solved in a process of its own.

One thread a slot looks after one claim at a time. It never solves, so whatever a solve does, there
is somebody to renew the lease, to see that a caller cancelled, and to kill what does not stop. A
caller's cancel is seen within `LOOK_S`; a solve that heeds it ends at the next report, any other is
killed `FORCE_S` later, and the next process is a fork of loaded libraries away, so that its slot is
free again within some 0.1 s, or 0.7 s.
"""

import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from multiprocessing import forkserver, parent_process
from multiprocessing.connection import Connection, wait
from threading import Event, Lock, Thread
from time import monotonic, sleep
from uuid import uuid4

from prometheus_client import CollectorRegistry

from loadloom.engine.guard import log, refusal
from loadloom.engine.jobs import Job
from loadloom.engine.run.job_metrics import Begun, Ended, JobMetrics
from loadloom.engine.run.job_process import (
    Died,
    JobProcess,
    Kept,
    Refused,
    Reported,
    Said,
    Solved,
    do_nothing,
    fork_server,
    kill_fork_server,
)
from loadloom.engine.run.listening import metrics_served
from loadloom.engine.settings import Settings
from loadloom.engine.store import claims, quotas
from loadloom.engine.store.claims import Claim, Errors, LostClaim
from loadloom.engine.store.database import Database, StoreAway

POLL_S = 0.05
"""How often an idle worker looks for jobs: a question of 0.1 ms to SQLite."""

LOOK_S = 0.05
"""How often a slot looks at its process, and whether a caller cancelled."""

TIDY_S = 1.0
"""How often a worker looks for leases that lapsed and deadlines that passed."""

FORCE_S = 0.5
"""The time that a solve has to stop by itself when it is cancelled."""

BEST_S = 2.0
"""The shortest time between two best responses of a solve that are written; they may be large."""

AWAY_S = 0.25
"""The time between two tries while the database is away."""

LEASE_SHARE = 0.25
"""The share of a lease after which it is renewed."""

Ending = Callable[[], None]
"""What writes the end of an attempt; raises LostClaim or StoreAway."""

Tell = Callable[[Begun | Ended], None]
"""Hears of attempts, to count them."""


def errors(settings: Settings) -> Errors:
    """The errors that operations end with when nobody solved them."""
    late = refusal.out_of_time("the deadline of the operation came before any plan was found")
    return Errors(
        cancelled=_packed(refusal.cancelled()),
        died=_packed(refusal.solve_died(settings.job_attempts)),
        late=_packed(late),
    )


def _packed(refused: refusal.Refusal) -> bytes:
    return refused.status().SerializeToString()


def run(
    settings: Settings, jobs: Sequence[Job], name: str = "", server: Connection | None = None
) -> None:
    """Solves jobs until the process is told to stop, or its parent, if Python made it, is gone.

    Args:
        settings: the settings of the worker.
        jobs: what it can solve.
        name: the name of the worker, which no other worker ever had.
        server: takes what there is to count, if a server does that for this worker; else it has a
            page of its own.
    """
    log.configure(settings.log_level)
    threading.excepthook = _end_all
    registry = CollectorRegistry()
    tell = JobMetrics(registry).count if server is None else _telling(server)
    worker = Worker(settings, jobs, name or uuid4().hex, tell)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the fork server inherits it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forkserver.ensure_running()
    gc.freeze()  # what is loaded stays; to free it one by one would take half a second at the end
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    if (parent := parent_process()) is not None:
        Thread(target=_stop_without, args=(parent.sentinel,), daemon=True).start()
    port = settings.metrics_port if server is None else 0
    with metrics_served(settings.metrics_host, port, registry):
        worker.run()


def _telling(server: Connection) -> Tell:
    """What sends to a server what it is to count; nothing to one that is gone."""
    turn = Lock()

    def tell(what: Begun | Ended) -> None:
        with turn, suppress(OSError):
            server.send(what)

    return tell


def _end_all(fault: threading.ExceptHookArgs) -> None:
    """Logs a fault of ours in a slot, and ends the process, as a lame worker is worse than none."""
    log.event(logging.CRITICAL, "fault", error=fault.exc_value)
    os._exit(1)


def _stop_without(sentinel: int) -> None:
    """Tells this process to stop when the one that started it has ended."""
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


class Worker:
    """A number of slots, each for one job at a time."""

    def __init__(self, settings: Settings, jobs: Sequence[Job], name: str, tell: Tell) -> None:
        self.settings, self.name, self._tell = settings, name, tell
        self.jobs = {job.method: job for job in jobs}
        self.database = Database(settings.database_url)
        self.errors = errors(settings)
        self.context = fork_server(jobs)
        self._stopping, self._turn = Event(), Lock()
        self._stopped_s = inf

    def stop(self) -> None:
        """Tells the slots to take no more jobs, and to give back those that outlast the grace."""
        if not self._stopping.is_set():
            self._stopped_s = monotonic()
            self._stopping.set()

    @property
    def out_of_grace(self) -> bool:
        """Whether the jobs under way must be given back now."""
        return monotonic() >= self._stopped_s + self.settings.grace_s

    def run(self) -> None:
        """Returns when told to stop and all jobs are ended or given back."""
        if not self._loaded():
            return
        log.event(logging.INFO, "worker ready", worker=self.name, jobs=self.settings.job_workers)
        slots = [Thread(target=self._serve) for _ in range(self.settings.job_workers)]
        for slot in slots:
            slot.start()
        while not self._stopping.wait(TIDY_S):
            self._tidy()
        for slot in slots:
            slot.join()
        self.database.close()
        log.event(logging.INFO, "worker stopped", worker=self.name)

    def _loaded(self) -> bool:
        """Whether the fork server has loaded all that solves need; not if told to stop before.

        The first time on a machine it compiles kernels, for a minute or so.
        """
        loaded = Event()

        def begin() -> None:
            try:
                first = self.context.Process(target=do_nothing, daemon=True)
                first.start()
            except EOFError:
                if not self._stopping.is_set():
                    raise
                return
            first.join()
            loaded.set()

        Thread(target=begin, daemon=True).start()
        while not loaded.wait(POLL_S):
            if self._stopping.is_set():
                kill_fork_server()
                return False
        return True

    def _serve(self) -> None:
        """Solves one job after the other."""
        while (claim := self._claimed()) is not None:
            started = monotonic()
            self._tell(Begun(claim.method, claim.attempt > 1))
            try:
                word = self._work(claim)
            except LostClaim:
                word = "lost"
            self._tell(Ended(claim.method, word, monotonic() - started))
            log.event(
                logging.INFO,
                "job",
                operation=claim.name,
                method=claim.method,
                attempt=claim.attempt,
                ending=word,
                seconds=monotonic() - started,
            )

    def _claimed(self) -> Claim | None:
        """The next claim, waited for; None when told to stop. One slot at a time looks."""
        methods, lease_s = list(self.jobs), self.settings.lease_s
        with self._turn:
            while not self._stopping.is_set():
                try:
                    if claims.waiting(self.database, methods):
                        found = claims.claim(self.database, methods, self.name, lease_s)
                        if found is not None:
                            return found
                except StoreAway as error:
                    self.away(error)
                    self._stopping.wait(AWAY_S)
                self._stopping.wait(POLL_S)
        return None

    def _tidy(self) -> None:
        """Takes jobs from workers that are not heard of any more, and ends those that are late."""
        try:
            found = claims.tidy(self.database, self.settings.job_attempts, self.errors)
        except StoreAway as error:
            self.away(error)
            return
        if found:
            log.event(logging.WARNING, "jobs were left behind", count=found)

    def _work(self, claim: Claim) -> str:
        """What came of a claim, in a word."""
        job, settings = self.jobs[claim.method], self.settings
        limits = (settings.job_limit_s, claim.limit_s, claim.left_s)
        limit_s = min(limit for limit in limits if limit is not None)
        if limit_s <= 0.0 and claim.best is not None:
            ending = partial(claims.succeed, self.database, claim, claim.best, job.keep)
            return self._ended("best in time", ending)
        if limit_s <= 0.0:
            return self._ended("late", partial(claims.fail, self.database, claim, self.errors.late))
        memory_bytes = settings.job_memory_mib << 20
        equipped = replace(claim, request=job.equip(claim.request, settings))
        try:
            process = JobProcess(self.context, job, equipped, limit_s, memory_bytes)
        except (OSError, EOFError) as error:  # no more processes, or no fork server
            log.event(logging.ERROR, "no process could be started", why=str(error))
            self._stopping.wait(AWAY_S)
            ending = partial(claims.hand_back, self.database, claim, None, self.errors)
            return self._ended("handed back", ending)
        attempt = _Attempt(self, claim, limit_s)
        with process:
            word, ending = attempt.watched(process)
        self._charge(claim, attempt.cpu_s)
        return self._ended(word, ending)

    def _charge(self, claim: Claim, cpu_s: float) -> None:
        """Adds what an attempt took to what its tenant has used, where that is limited."""
        if not self.settings.limits.tenant_cpu_seconds:
            return
        try:
            quotas.charge(self.database, claim.tenant, cpu_s)
        except StoreAway as error:
            self.away(error)

    def _ended(self, word: str, ending: Ending) -> str:
        """The word, when the end of an attempt is written or cannot be any more."""
        while True:
            try:
                ending()
            except StoreAway as error:
                self.away(error)
                if self.out_of_grace:
                    return "unwritten"
                sleep(AWAY_S)
            else:
                return word

    def away(self, error: StoreAway) -> None:
        """Logs that the database cannot be used."""
        log.event(logging.WARNING, "database away", why=str(error))


class _Attempt:
    """A slot's watch over one attempt; `cpu_s` is what its process has taken of the processor."""

    def __init__(self, worker: Worker, claim: Claim, limit_s: float) -> None:
        self._worker, self._claim, self._database = worker, claim, worker.database
        self._lease_s = worker.settings.lease_s
        self._killed_s = monotonic() + limit_s + worker.settings.overrun_s
        self._late_s = inf if claim.left_s is None else monotonic() + claim.left_s
        self._kept_s, self._wrote_best_s, self._cancelled_s = monotonic(), -inf, inf
        self._best, self.cpu_s = claim.best, 0.0

    def watched(self, process: JobProcess) -> tuple[str, Ending]:
        """How the attempt ends, in a word and as what has to be written.

        Raises:
            LostClaim: the operation is somebody else's by now.
        """
        while True:
            for said in process.said(LOOK_S):
                if isinstance(said, Reported):
                    self._report(said)
                elif isinstance(said, Kept):
                    self._keep_part(said.part)
                else:
                    return self._end_said(said)
            self._look_after(process)
            self.cpu_s = process.cpu_s
            ending = self._end_by_force()
            if ending is not None:
                return ending

    def _report(self, said: Reported) -> None:
        """Writes how far the solve is, and its best response if none was written lately."""
        if said.best is not None:
            self._best = said.best
        due = said.best is not None and monotonic() >= self._wrote_best_s + BEST_S
        best = said.best if due else None
        try:
            claims.report(self._database, self._claim, said.standing, best, self._lease_s)
        except StoreAway as error:
            self._worker.away(error)
        else:
            self._kept_s = monotonic()
            self._wrote_best_s = monotonic() if due else self._wrote_best_s

    def _keep_part(self, part: bytes) -> None:
        """Writes a part of what is kept beside the response.

        Raises:
            LostClaim: the operation is somebody else's by now, or the database stays away.
        """
        keep = self._worker.jobs[self._claim.method].keep_part
        while True:
            try:
                claims.keep_part(self._database, self._claim, part, keep, self._lease_s)
            except StoreAway as error:
                self._worker.away(error)
                if self._worker.out_of_grace or monotonic() >= self._killed_s:
                    raise LostClaim(self._claim.name) from error
                sleep(AWAY_S)
            else:
                self._kept_s = monotonic()
                return

    def _look_after(self, process: JobProcess) -> None:
        """Renews the lease when it is time, and passes on that a caller cancelled."""
        try:
            if monotonic() >= self._kept_s + LEASE_SHARE * self._lease_s:
                claims.keep(self._database, self._claim, self._lease_s)
                self._kept_s = monotonic()
            if claims.cancel_asked(self._database, self._claim):
                self._cancelled_s = min(self._cancelled_s, monotonic())
                process.cancel()
        except StoreAway as error:
            self._worker.away(error)

    def _end_said(self, said: Said) -> tuple[str, Ending]:
        """The end that the process itself brought about."""
        if self._cancelled_s < inf:
            return self._cancelled()
        if isinstance(said, Solved):
            return "succeeded", self._succeeded(said.response)
        if isinstance(said, Refused):
            return "refused", self._ending(claims.fail, said.error)
        code = said.exit_code if isinstance(said, Died) else None
        log.event(logging.ERROR, "a solve died", operation=self._claim.name, exit_code=code)
        return "died", self._dropped()

    def _end_by_force(self) -> tuple[str, Ending] | None:
        """The end that the worker brings about by killing the process, if it is time."""
        if monotonic() >= self._cancelled_s + FORCE_S:
            return self._cancelled()
        if monotonic() >= self._killed_s:
            return self._overrun()
        if self._worker.out_of_grace:
            errors = self._worker.errors
            return "handed back", self._ending(claims.hand_back, self._best, errors)
        return None

    def _overrun(self) -> tuple[str, Ending]:
        """The best response so far is the answer of a solve that does not end in time."""
        if self._best is not None:
            return "best in time", self._succeeded(self._best)
        log.event(logging.ERROR, "a solve was killed for overrun", operation=self._claim.name)
        if monotonic() >= self._late_s:
            return "late", self._ending(claims.fail, self._worker.errors.late)
        return "killed", self._dropped()

    def _succeeded(self, response: bytes) -> Ending:
        keep = self._worker.jobs[self._claim.method].keep
        return self._ending(claims.succeed, response, keep)

    def _cancelled(self) -> tuple[str, Ending]:
        return "cancelled", self._ending(claims.end_cancelled, self._worker.errors.cancelled)

    def _dropped(self) -> Ending:
        worker = self._worker
        return self._ending(claims.drop, worker.settings.job_attempts, worker.errors)

    def _ending(self, write: Callable[..., None], *results: object) -> Ending:
        return partial(write, self._database, self._claim, *results)
