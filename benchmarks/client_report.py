"""What a client in a process of its own measures, and the line in which it tells it."""

import json
import time
from dataclasses import asdict, dataclass

from benchmarks.harness import Judgement
from benchmarks.servers import cpu_seconds

READY = "ready"
"""The line a client prints when its first pass is through and the clock starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a client measured: sites planned, the times that took, and the referee's word.

    Attributes:
        cpu_s: the processor time of the client and of the server together.
        latencies_s: the elapsed time of each call; empty for streams.
    """

    sites: int
    wall_s: float
    cpu_s: float
    latencies_s: tuple[float, ...] = ()
    gap: float
    broken: tuple[str, ...]

    @property
    def judgement(self) -> Judgement:
        """The referee's word as the harness takes it; costs of many sites are not told."""
        none = float("nan")
        return Judgement(cost=none, claimed_cost=none, gap=self.gap, broken=self.broken)


def told(report: Report) -> str:
    """The line of a report."""
    return json.dumps(asdict(report))


def heard(line: str) -> Report:
    """The report in a line."""
    fields = json.loads(line)
    lists = {name: tuple(fields[name]) for name in ("latencies_s", "broken")}
    return Report(**(fields | lists))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The elapsed time, and the processor time of this client and of its server."""

    server_pid: int
    wall_s: float
    cpu_s: float

    @classmethod
    def now(cls, server_pid: int) -> "Clock":
        """What the clocks show."""
        cpu_s = time.process_time() + cpu_seconds(server_pid)
        return cls(server_pid=server_pid, wall_s=time.perf_counter(), cpu_s=cpu_s)

    def passed(self) -> tuple[float, float]:
        """The elapsed and the processor time since then."""
        now = Clock.now(self.server_pid)
        return now.wall_s - self.wall_s, now.cpu_s - self.cpu_s
