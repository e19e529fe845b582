"""What Prometheus is told of jobs: by a server what its database says, by a worker what it did."""

import logging
from collections.abc import Iterator

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


class JobMetrics:
    """The counts and times of one worker, in a registry of its own."""

    def __init__(self) -> None:
        to = self.registry = CollectorRegistry()
        self.attempts = Counter(
            "loadloom_job_attempts", "Attempts at jobs begun.", ["method", "again"], registry=to
        )
        self.ends = Counter(
            "loadloom_job_attempts_ended", "Attempts ended.", ["method", "ending"], registry=to
        )
        self.seconds = Histogram(
            "loadloom_job_attempt_seconds",
            "The time from claiming a job to its end.",
            ["method"],
            buckets=_SECONDS,
            registry=to,
        )
