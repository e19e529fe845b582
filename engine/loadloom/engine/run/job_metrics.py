"""What Prometheus is told of jobs: by a server what its database says, by a worker what it did.

The worker beside a server tells the server, whose page then has both.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from loadloom.engine.guard import log
from loadloom.engine.store.counts import counts
from loadloom.engine.store.database import Database, StoreAway

_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600)


class StoredJobs(Collector):
    """The jobs in a database, which several servers and workers may share; asked at each scrape."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterator[Metric]:
        """Nothing: whoever registers this need not ask the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The metrics, or none of them while the database is away."""
        try:
            found = counts(self._database)
        except StoreAway as error:
            log.event(logging.WARNING, "database away", why=str(error))
            return
        jobs = GaugeMetricFamily("loadloom_jobs", "Jobs kept in the database.", labels=["state"])
        for state, count in found.by_state.items():
            jobs.add_metric([state.value.lower()], count)
        yield jobs
        yield GaugeMetricFamily(
            "loadloom_job_queue_age_seconds",
            "How long the job has waited that waits longest.",
            value=found.oldest_s,
        )


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt at a job has begun, the first or again."""

    method: str
    again: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt at a job has ended, how, and after how long."""

    method: str
    ending: str
    seconds: float


class JobMetrics:
    """The counts and times of one worker."""

    def __init__(self, to: CollectorRegistry) -> None:
        self._attempts = Counter(
            "loadloom_job_attempts", "Attempts at jobs begun.", ["method", "again"], registry=to
        )
        self._ends = Counter(
            "loadloom_job_attempts_ended", "Attempts ended.", ["method", "ending"], registry=to
        )
        self._seconds = Histogram(
            "loadloom_job_attempt_seconds",
            "The time from claiming a job to its end.",
            ["method"],
            buckets=_SECONDS,
            registry=to,
        )

    def count(self, what: Begun | Ended) -> None:
        """Counts an attempt that has begun, or ended."""
        if isinstance(what, Begun):
            self._attempts.labels(what.method, what.again).inc()
        else:
            self._ends.labels(what.method, what.ending).inc()
            self._seconds.labels(what.method).observe(what.seconds)
