"""Time as an idle machine would have counted it, for limits that a service promises on one.

Tests share their machine with each other and with whatever else it does, and some machines are
slow. A limit of two seconds is one of what the service does, so it is compared with the time that
was taken divided by how much slower than usual the machine computes just then.
"""

from time import perf_counter

ADDITIONS = 2_000_000
USUAL_S = 0.023
"""What that many additions take on one idle core of a usual server."""


def slowness() -> float:
    """How many times longer than usual this machine takes to compute now; at least 1."""
    began = perf_counter()
    sum(range(ADDITIONS))
    return max(1.0, (perf_counter() - began) / USUAL_S)


class Stopwatch:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._slowness = slowness()
        self._began = perf_counter()

    @property
    def clock_s(self) -> float:
        """The seconds that have passed."""
        return perf_counter() - self._began

    @property
    def seconds(self) -> float:
        """The seconds that an idle machine would have taken."""
        passed = self.clock_s  # before the second look at the machine, which takes time
        return passed / max(self._slowness, slowness())
