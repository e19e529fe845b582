"""What Prometheus is told of jobs, by servers and by workers."""

import os
import signal
import socket
import urllib.request

from tests.engine.operations.processes import Caller, eventually


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def scraped(port: int) -> dict[str, float]:
    """The samples of a page of metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as page:
        lines = page.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_a_server_tells_what_waits_and_a_worker_what_it_did(launch, url):
    front, back = free_port(), free_port()
    words = ("--job-workers=0", "--workers=1", f"--metrics-port={front}")
    with launch(url, *words) as server:
        caller = Caller(server.address)
        names = [caller.submit(key="fine").name, caller.submit(do="segfault").name]
        waiting = scraped(front)
        assert waiting['loadloom_jobs{state="queued"}'] == 2.0
        assert waiting['loadloom_jobs{state="succeeded"}'] == 0.0
        older = eventually(lambda: scraped(front)["loadloom_job_queue_age_seconds"])
        assert older > 0.0
        with launch(url, "--job-workers=1", f"--metrics-port={back}", worker=True):
            for name in names:
                caller.wait(name)
            told = scraped(front)
            assert told['loadloom_jobs{state="queued"}'] == 0.0
            assert told['loadloom_jobs{state="succeeded"}'] == 1.0
            assert told['loadloom_jobs{state="failed"}'] == 1.0
            assert told["loadloom_job_queue_age_seconds"] == 0.0
            method = 'method="loadloom.test.ProbeService/Run"'
            eventually(
                lambda: scraped(back)[f"loadloom_job_attempt_seconds_count{{{method}}}"] == 4
            )
            did = scraped(back)
        begun, ended = "loadloom_job_attempts_total", "loadloom_job_attempts_ended_total"
        assert did[f'{begun}{{again="False",{method}}}'] == 2.0
        assert did[f'{begun}{{again="True",{method}}}'] == 2.0
        assert did[f'{ended}{{ending="died",{method}}}'] == 3.0
        assert did[f'{ended}{{ending="succeeded",{method}}}'] == 1.0


def test_a_database_that_is_away_leaves_the_other_metrics(launch, postgresql):
    port = free_port()
    words = ("--job-workers=0", "--workers=1", f"--metrics-port={port}")
    with launch(postgresql.new_database(), *words):
        postgresql.stop()
        try:
            told = scraped(port)
        finally:
            postgresql.start()
        assert "loadloom_worker_deaths_total" in told
        assert not any(name.startswith("loadloom_jobs") for name in told)
        assert 'loadloom_jobs{state="queued"}' in eventually(lambda: scraped(port))


def test_a_server_tells_what_its_own_worker_did(launch, new_url):
    port = free_port()
    words = ("--job-workers=1", "--workers=1", "--job-attempts=2", f"--metrics-port={port}")
    begun, ended = "loadloom_job_attempts_total", "loadloom_job_attempts_ended_total"
    method = 'method="loadloom.test.ProbeService/Run"'
    with launch(new_url("sqlite"), *words) as server:
        caller = Caller(server.address)
        for name in [caller.submit(key="fine").name, caller.submit(do="exit").name]:
            caller.wait(name)
        last = f'{ended}{{ending="died",{method}}}'
        told = eventually(lambda: scraped(port), lambda told: told.get(last) == 2.0)
        assert told[f'{begun}{{again="False",{method}}}'] == 2.0
        assert told[f'{begun}{{again="True",{method}}}'] == 1.0
        assert told[f'{ended}{{ending="succeeded",{method}}}'] == 1.0
        assert told[f"loadloom_job_attempt_seconds_count{{{method}}}"] == 3.0
        # A worker that takes the place of another goes on with the same counts.
        os.kill(server.worker(), signal.SIGKILL)
        caller.wait(caller.submit(key="again").name)
        good = f'{ended}{{ending="succeeded",{method}}}'
        eventually(lambda: scraped(port), lambda told: told[good] == 2.0)
