"""What Prometheus is told: calls, solves, and the lives of worker processes."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_CALL_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_SOLVE_SECONDS = (1e-5, 1e-4, 1e-3, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 60)


class Metrics:
    """The counts and times of one server, in a registry of its own."""

    def __init__(self) -> None:
        to = self.registry = CollectorRegistry()
        self.calls = Counter("loadloom_calls", "Calls ended.", ["method", "code"], registry=to)
        self.call_seconds = Histogram(
            "loadloom_call_seconds",
            "The time from a call's arrival to its end.",
            ["method"],
            buckets=_CALL_SECONDS,
            registry=to,
        )
        self.in_flight = Gauge("loadloom_calls_in_flight", "Calls under way.", registry=to)
        self.solve_seconds = Histogram(
            "loadloom_solve_seconds",
            "The time from a problem, or a batch of a stream, to its solution.",
            ["family", "road"],
            buckets=_SOLVE_SECONDS,
            registry=to,
        )
        self.sites = Counter("loadloom_sites", "Sites solved.", ["family", "reason"], registry=to)
        self.batches = Counter("loadloom_batches", "Batches of streams solved.", registry=to)
        self.points = Gauge(
            "loadloom_stream_values_under_way",
            "Values of the batches of streams under way.",
            registry=to,
        )
        self.deaths = Counter("loadloom_worker_deaths", "Workers found dead.", registry=to)
        self.kills = Counter("loadloom_worker_kills", "Workers killed for overrun.", registry=to)
