"""What is acknowledged survives: killed and frozen processes, databases that are away or full."""

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import grpc
import psutil
import pytest
from google.rpc.code_pb2 import Code
from grpc_health.v1 import health_pb2, health_pb2_grpc

from loadloom.engine.store import operations as store
from loadloom.engine.store.database import BUSY_S, StoreAway
from loadloom.engine.store.migrate import prepared
from tests.engine.operations.processes import (
    CANCELLED,
    QUEUED,
    ROOT,
    RUNNING,
    SLACK_S,
    SUCCEEDED,
    Caller,
    answer,
    eventually,
    metadata,
)
from tests.engine.operations.test_store import new
from tests.pace import Stopwatch

GRACE_S = 1.0

QUICK = ("--job-workers=2", "--grace-s=1", "--workers=1", "--lease-s=2", "--job-attempts=30")


UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
GONE = {
    UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}


def persistent(call, timeout_s: float = 60.0):
    """What a call returns once the server is there again."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() not in GONE or time.monotonic() > until:
                raise
        time.sleep(0.02)


class Victims:
    """A server that is killed and started again, with its worker."""

    def __init__(self, launch, url: str) -> None:
        self._launch, self._url = launch, url
        self._stack = ExitStack()
        self.kills = 0
        self.start()

    def start(self) -> None:
        self.server = self._stack.enter_context(self._launch(self._url, *QUICK))
        self.caller = Caller(self.server.address)

    def kill(self, whom: str) -> None:
        if whom != "server":
            os.kill(self.server.worker(), signal.SIGKILL)
        if whom != "worker":
            self.server.kill()
            self.start()
        self.kills += 1

    def close(self) -> None:
        self._stack.close()


def check_kills(launch, url: str, count: int, plan: list[str], pause_s: float) -> None:
    """Submits probes while processes are killed, and checks that each ends once and is right."""
    victims = Victims(launch, url)
    acknowledged: dict[str, str] = {}

    def submit() -> None:
        for index in range(count):
            asked = {"key": str(index), "request_id": f"id {index}", "seconds": 0.02}
            made = persistent(lambda asked=asked: victims.caller.submit(**asked))
            acknowledged[made.name] = str(index)

    try:
        submitter = threading.Thread(target=submit)
        submitter.start()
        for whom in plan:
            time.sleep(pause_s)
            victims.kill(whom)
        submitter.join()
        assert len(acknowledged) == count
        for name, key in acknowledged.items():
            ended = persistent(lambda name=name: victims.caller.wait(name, 60.0))
            assert answer(ended)["done"] == key
            events = persistent(lambda name=name: list(victims.caller.watch(name)))
            assert [e.number for e in events] == list(range(1, len(events) + 1))
            ends = [e for e in events if e.state not in {QUEUED, RUNNING}]
            assert [e.state for e in ends] == [SUCCEEDED]
        pages = persistent(lambda: victims.caller.page(page_size=1000))
        assert len(pages.operations) == min(count, 1000)
    finally:
        victims.close()


def test_killed_servers_and_workers_lose_nothing_and_do_nothing_twice(launch, url):
    check_kills(launch, url, 30, ["worker", "both"], 0.3)


@pytest.mark.slow
def test_a_thousand_jobs_survive_random_kills(launch, url):
    generator = random.Random(3)
    plan = [generator.choice(["server", "worker", "both", "worker"]) for _ in range(20)]
    check_kills(launch, url, 1_000, plan, 1.5)


def test_a_killed_worker_takes_its_solves_with_it_and_is_replaced(launch, url):
    with launch(url, "--job-workers=1", "--workers=1") as server:
        caller = Caller(server.address)
        made = caller.submit(do="work", key="again", seconds=1.0)
        caller.running(made.name)
        eventually(lambda: metadata(caller.get(made.name)).progress.value)
        worker = psutil.Process(server.worker())
        family = worker.children(recursive=True)
        assert len(family) >= 2
        worker.kill()
        watch = Stopwatch()
        eventually(lambda: _waits_or_runs_again(caller, made.name))
        eventually(lambda: not any(_alive(process) for process in family))
        assert watch.seconds < 5.0
        states = [event.state for event in caller.watch(made.name)]
        assert QUEUED in states[states.index(RUNNING) :]
        ended = caller.wait(made.name)
        assert answer(ended)["done"] == "again"
        assert metadata(ended).attempt == 2
        assert watch.seconds < 15.0


def _waits_or_runs_again(caller: Caller, name: str) -> bool:
    now = metadata(caller.get(name))
    return now.state == QUEUED or now.attempt > 1


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def freeze(popen: subprocess.Popen, url: str) -> None:
    """Stops a process outside its transactions: a file that a frozen process locks stays locked."""
    while True:
        popen.send_signal(signal.SIGSTOP)
        eventually(lambda: _thread_states(popen.pid) == {"T"})
        if not url.startswith("sqlite"):
            return
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), 0.0, isolation_level=None)
        with closing(connection), suppress(sqlite3.OperationalError):
            connection.execute("BEGIN IMMEDIATE")
            return
        popen.send_signal(signal.SIGCONT)
        time.sleep(0.01)


def _thread_states(pid: int) -> set[str]:
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return {stat.read_text().rpartition(")")[2].split()[0] for stat in stats}


def test_a_frozen_worker_that_wakes_up_is_refused(launch, url):
    frozen_words = ("--job-workers=1", "--lease-s=1")
    with (
        launch(url, "--job-workers=0", "--workers=1") as server,
        launch(url, *frozen_words, worker=True) as frozen,
    ):
        caller = Caller(server.address)
        made = caller.submit(do="work", key="mine", seconds=2.0)
        caller.running(made.name)
        freeze(frozen.popen, url)  # its solve goes on, and will be finished
        with launch(url, "--job-workers=1", worker=True):
            ended = caller.wait(made.name)
            assert metadata(ended).attempt == 2
            frozen.popen.send_signal(signal.SIGCONT)
            said = eventually(lambda: frozen.events("job"))
        assert said[0]["ending"] == "lost"
        assert caller.get(made.name) == ended
        assert [e.state for e in caller.watch(made.name)].count(SUCCEEDED) == 1


def test_told_to_stop_a_server_gives_its_jobs_back_and_tells_who_waits(launch, url):
    words = ("--job-workers=1", f"--grace-s={GRACE_S}", "--workers=1")
    with launch(url, *words) as server:
        caller = Caller(server.address)
        runs = caller.submit(do="deaf", value=3)
        waits = caller.submit(key="waits")
        caller.running(runs.name)
        stream = caller.watch(runs.name)
        next(stream)
        wait = threading.Thread(target=_unavailable, args=(lambda: caller.wait(runs.name),))
        wait.start()
        watch = health_pb2_grpc.HealthStub(caller.channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        since = Stopwatch()
        server.popen.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        _unavailable(lambda: list(stream))
        wait.join()
        assert server.popen.wait(60) == 0
        assert since.seconds < GRACE_S + 1.0 + SLACK_S
        ends = [event["ending"] for event in server.events("job")]
        assert ends == ["handed back"]
    with launch(url, "--job-workers=0", "--workers=1") as server:
        caller = Caller(server.address)
        for made, attempt in ((runs, 1), (waits, 0)):
            now = metadata(caller.get(made.name))
            assert (now.state, now.attempt) == (QUEUED, attempt)


def _unavailable(call) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_told_to_stop_a_worker_finishes_what_it_can_within_the_grace(launch, url):
    with launch(url, "--job-workers=0", "--workers=1") as server:
        caller = Caller(server.address)
        with launch(url, "--job-workers=1", "--grace-s=20", worker=True) as worker:
            runs, waits = (caller.submit(key=key, seconds=0.5) for key in ("runs", "waits"))
            caller.running(runs.name)
            since = Stopwatch()
            assert worker.terminate() == 0
            assert since.seconds < 5.0
        assert answer(caller.get(runs.name))["done"] == "runs"
        assert metadata(caller.get(waits.name)).state == QUEUED


def test_a_watcher_resumes_at_another_server(launch, url):
    words = ("--grace-s=0.2", "--workers=1")
    with launch(url, "--job-workers=1", worker=True):
        with launch(url, *words, "--job-workers=0") as server:
            caller = Caller(server.address)
            made = caller.submit(key="watched", seconds=60.0)
            stream, events = caller.watch(made.name), []
            while len(events) < 5:
                events.append(next(stream))
            server.terminate()
            with pytest.raises(grpc.RpcError):
                events.extend(stream)
        with launch(url, *words, "--job-workers=0") as server:
            caller = Caller(server.address)
            caller.cancel(made.name)
            events += caller.watch(made.name, after=events[-1].number)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert events[-1].state == CANCELLED


def test_a_database_that_is_away_is_unavailable_and_comes_back_alone(launch, failure, postgresql):
    url = postgresql.new_database()
    with launch(url, "--job-workers=1", "--workers=1", "--lease-s=20") as server:
        caller = Caller(server.address)
        before = caller.submit(key="before")
        caller.wait(before.name)
        runs = caller.submit(key="runs", seconds=1.0)
        caller.running(runs.name)
        stream = caller.watch(runs.name)
        next(stream)
        postgresql.stop()
        try:
            for call in (
                lambda: caller.submit(key="lost", request_id="lost"),
                lambda: caller.get(before.name),
                lambda: caller.wait(before.name),
                lambda: caller.cancel(before.name),
                lambda: caller.delete(before.name),
                caller.page,
                lambda: list(caller.watch(before.name)),
            ):
                told = failure(call)
                assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_AWAY")
                assert told.retry_s > 0
            _unavailable(lambda: list(stream))
            eventually(lambda: server.events("database away"))
        finally:
            postgresql.start()
        made = persistent(lambda: caller.submit(key="lost", request_id="lost"))
        assert answer(caller.wait(made.name))["done"] == "lost"
        ended = caller.wait(runs.name)
        assert (answer(ended)["done"], metadata(ended).attempt) == ("runs", 1)
        assert answer(caller.get(before.name))["done"] == "before"


def test_a_process_frozen_while_it_writes_blocks_nobody_for_long(launch, failure, new_url):
    """SQLite has no cure for it but to go on, or to be killed; callers are told at once."""
    url = new_url("sqlite")
    with launch(url, "--job-workers=1", "--workers=1", "--lease-s=60") as server:
        caller = Caller(server.address)
        before = caller.submit(key="before")
        caller.wait(before.name)
        command = [sys.executable, "-m", "tests.engine.operations.freezer", url]
        with subprocess.Popen(command, cwd=ROOT) as frozen:
            try:
                eventually(lambda: _thread_states(frozen.pid) == {"T"})
                for within_s in (BUSY_S + 5.0, 5.0):  # who comes later need not wait
                    since = Stopwatch()
                    told = failure(lambda: caller.submit(key="lost"))
                    assert since.seconds < within_s
                    assert (told.code, told.reason) == (UNAVAILABLE, "DATABASE_AWAY")
                    assert told.retry_s > 0
                assert answer(caller.get(before.name))["done"] == "before"
                assert [o.name for o in caller.page().operations] == [before.name]
            finally:
                frozen.send_signal(signal.SIGCONT)
            assert frozen.wait(30) == 0
        made = caller.submit(key="after")
        assert answer(caller.wait(made.name))["done"] == "after"
        assert len(caller.page().operations) == 3  # the frozen one went on where it was


def test_a_full_disk_acknowledges_nothing_that_is_not_there(launch, failure, new_url):
    """No file of the server may grow any more, which is how a full disk looks to SQLite."""
    with launch(new_url("sqlite"), "--job-workers=0", "--workers=1") as server:
        caller, process = Caller(server.address), psutil.Process(server.popen.pid)
        names = [caller.submit(key=str(index)).name for index in range(3)]
        _, most = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(resource.RLIMIT_FSIZE, (20_000, most))
        told = failure(lambda: caller.submit(key="lost" * 10_000, request_id="lost"))
        assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_AWAY")
        assert caller.get(names[0]).name == names[0]
        assert len(caller.page().operations) == 3
        process.rlimit(resource.RLIMIT_FSIZE, (most, most))
        names.append(caller.submit(key="lost" * 10_000, request_id="lost").name)
        assert [o.name for o in caller.page().operations] == names[::-1]


def test_a_full_database_keeps_what_it_acknowledged(new_url):
    database = prepared(new_url("sqlite"))
    with database.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 10}")
    names = []

    def fill() -> None:
        while len(names) < 1000:
            names.append(store.create(database, new(request=b"x" * 3000)).name)

    with pytest.raises(StoreAway, match="full"):
        fill()
    assert 0 < len(names) < 100
    for name in names:
        assert store.find(database, "", name).name == name
    with database.writing() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    store.create(database, new())
    database.close()


def test_cancel_is_prompt_whether_the_solve_heeds_it_or_not(launch, url):
    """Not a measurement, which benchmarks make, but no order of magnitude may be lost."""
    with launch(url, "--job-workers=1", "--workers=1") as server:
        caller = Caller(server.address)
        caller.wait(caller.submit().name)
        for do, within_s in (("work", 1.0), ("deaf", 2.0)):
            busy = caller.submit(do=do, seconds=60)
            caller.running(busy.name)
            probe = caller.submit(key="probe")
            since = Stopwatch()
            caller.cancel(busy.name)
            assert caller.wait(probe.name).done
            assert since.seconds < within_s
            assert caller.get(busy.name).error.code == Code.CANCELLED
