"""What the messages of every family share: declared rules, time, wishes, proofs and origins."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from math import inf
from typing import TypeVar
from zoneinfo import available_timezones

import numpy as np
import protovalidate
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from protovalidate import FieldPathElementPb

from loadloom.engine.guard import refusal
from loadloom.engine.settings import Limits
from loadloom.engine.task import Origin
from loadloom.models.certificate import Certificate, Proof
from loadloom.models.checks import Violation
from loadloom.models.horizon import LONGEST_STEP_H, FloatArray, Horizon
from loadloom.models.options import Method, SolveOptions
from loadloom.solvers import termination
from loadloom.v1 import common_pb2 as pb

T = TypeVar("T")

EARLIEST_S = int(datetime(1, 1, 2, tzinfo=UTC).timestamp())
LATEST_S = int(datetime(9999, 12, 30, tzinfo=UTC).timestamp())
"""The instants that have a local time in every zone within the years 1 to 9999."""

SHORTEST_STEP_S = 1.0
"""The shortest interval: targets are matched with the ends of intervals to the second."""

STAND_IN_START = datetime(2000, 1, 1, tzinfo=UTC)

METHODS = {
    Method.KERNEL: pb.METHOD_KERNEL,
    Method.LINEAR: pb.METHOD_LINEAR,
    Method.MIXED_INTEGER: pb.METHOD_MIXED_INTEGER,
    Method.REFERENCE: pb.METHOD_REFERENCE,
}

PROOFS = {
    Proof.NONE: pb.PROOF_UNSPECIFIED,
    Proof.DUAL: pb.PROOF_DUAL,
    Proof.DYNAMIC_PROGRAM: pb.PROOF_DYNAMIC_PROGRAM,
    Proof.BRANCH_AND_BOUND: pb.PROOF_BRANCH_AND_BOUND,
    Proof.RELAXATION: pb.PROOF_RELAXATION,
}

REASONS = {
    termination.Reason.OPTIMAL: pb.TERMINATION_REASON_OPTIMAL,
    termination.Reason.FEASIBLE: pb.TERMINATION_REASON_FEASIBLE,
    termination.Reason.INFEASIBLE: pb.TERMINATION_REASON_INFEASIBLE,
    termination.Reason.UNBOUNDED: pb.TERMINATION_REASON_UNBOUNDED,
    termination.Reason.NO_SOLUTION_FOUND: pb.TERMINATION_REASON_NO_SOLUTION_FOUND,
}

TOOLS = {
    Method.KERNEL: ("numba", "numpy"),
    Method.LINEAR: ("highspy", "numpy"),
    Method.MIXED_INTEGER: ("highspy", "numpy"),
    Method.REFERENCE: ("highspy", "pyomo"),
}
"""The libraries that take part in each technique."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The time axis of a request as far as it makes sense.

    With violations, the parts of the horizon that are at fault are stand-ins, so that the rest of
    the request can be checked all the same; `count` is None where the number of intervals is open.
    """

    horizon: Horizon
    count: int | None
    violations: list[Violation]


def declared(message: Message) -> list[Violation]:
    """The violations of the rules that the proto declares for the message."""
    found = protovalidate.collect_violations(message)
    return [Violation(_path(v.proto.field), v.proto.message) for v in found]


def under(prefix: str, violations: Iterable[Violation]) -> list[Violation]:
    """The violations with their paths below a prefix."""
    return [Violation(f"{prefix}{v.path}", v.message) for v in violations]


def accepted(value: T | None, *groups: Iterable[Violation]) -> T:
    """The value; of several violations at one path, the one in the last group is told.

    Raises:
        Refusal: there are violations.
    """
    found = {violation.path: violation for group in groups for violation in group}
    if found or value is None:
        raise refusal.invalid(list(found.values()))
    return value


def grid(message: pb.TimeGrid, limits: Limits, path: str = "grid") -> Grid:
    """The time axis that stands at a path, with violations under paths like "grid.step"."""
    intervals = len(message.steps) or message.count
    for name, asked in (("steps", len(message.steps)), ("count", message.count)):
        if asked > limits.intervals:
            raise refusal.too_large(f"{path}.{name}", "intervals", asked, limits.intervals)
    found: list[Violation] = []
    step_h = _steps_h(message, path, found)
    start = None
    if message.HasField("start_time"):
        start = _start(message.start_time, path, found)
    if start is not None and step_h is not None:
        _check_end(message.start_time.seconds, step_h, path, found)
    zone = message.time_zone or "UTC"
    if zone not in _zones():
        found.append(Violation(f"{path}.time_zone", f"{zone!r} is not a zone of the IANA database"))
        zone = "UTC"
    horizon = Horizon(
        start=start or STAND_IN_START,
        step_h=np.ones(intervals or 1) if step_h is None else step_h,
        time_zone=zone,
    )
    return Grid(horizon=horizon, count=intervals or None, violations=found)


def _steps_h(message: pb.TimeGrid, path: str, found: list[Violation]) -> FloatArray | None:
    """The length of every interval in hours, or None if that makes no sense."""
    before = len(found)
    if message.HasField("step") == bool(message.steps):
        right = "must be given with count, or else steps without it"
        found.append(Violation(f"{path}.step", right))
    elif message.steps:
        if message.count not in {0, len(message.steps)}:
            right = f"must be the number of steps, {len(message.steps)}, or left out"
            found.append(Violation(f"{path}.count", f"is {message.count}; {right}"))
    elif not message.count:
        found.append(Violation(f"{path}.count", "is 0; must be at least 1"))
    if message.HasField("step"):
        steps_s = np.full(message.count, _length_s(f"{path}.step", message.step, found))
    else:
        steps = enumerate(message.steps)
        steps_s = np.array([_length_s(f"{path}.steps[{i}]", step, found) for i, step in steps])
    return None if len(found) > before else steps_s / 3600.0


def _length_s(path: str, step: Duration, found: list[Violation]) -> float:
    length_s = seconds(step)
    if length_s is None or not SHORTEST_STEP_S <= length_s <= LONGEST_STEP_H * 3600:
        right = f"must be a duration of at least one second and at most {LONGEST_STEP_H:g} h"
        found.append(Violation(path, right))
        return SHORTEST_STEP_S
    return length_s


def seconds(duration: Duration) -> float | None:
    """The length of a duration, or None if it is none by its own rules."""
    try:
        duration.ToJsonString()
    except ValueError:
        return None
    return duration.seconds + duration.nanos * 1e-9


def instant(timestamp: Timestamp) -> datetime | None:
    """The instant, or None if it has no local time in every zone, or is none at all."""
    if EARLIEST_S <= timestamp.seconds <= LATEST_S and 0 <= timestamp.nanos < 10**9:
        return timestamp.ToDatetime(UTC)
    return None


def _start(timestamp: Timestamp, path: str, found: list[Violation]) -> datetime | None:
    start = instant(timestamp)
    if start is None:
        found.append(Violation(f"{path}.start_time", "must lie within the years 1 to 9999"))
    return start


def _check_end(start_s: int, step_h: FloatArray, path: str, found: list[Violation]) -> None:
    if start_s + float(step_h.sum()) * 3600.0 > LATEST_S:
        name = "count" if step_h.size > 1 and (step_h == step_h[0]).all() else "step"
        right = "puts the end of the horizon beyond the year 9999"
        found.append(Violation(f"{path}.{name}", right))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def options(message: pb.SolveOptions, found: list[Violation]) -> SolveOptions:
    """The wishes about how to solve; what is at fault is noted under "options."."""
    limit_s = seconds(message.time_limit) if message.HasField("time_limit") else inf
    if limit_s is None:
        found.append(Violation("options.time_limit", "must be a duration"))
    method = next((ours for ours, theirs in METHODS.items() if theirs == message.method), None)
    return SolveOptions(
        time_limit_s=limit_s or inf,
        relative_gap=message.relative_gap or SolveOptions().relative_gap,
        seed=message.seed,
        method=method,
    )


def ending(found: termination.Termination) -> pb.Termination:
    """The way a solve ended, as a message."""
    return pb.Termination(reason=REASONS[found.reason], detail=found.detail)


def certificate(found: Certificate) -> pb.Certificate:
    """The proof, as a message without duals."""
    return pb.Certificate(
        objective=found.objective,
        bound=found.bound,
        relative_gap=found.relative_gap,
        proof=PROOFS[found.proof],
    )


def provenance(
    origin: Origin, *, method: Method, road: str, seed: int, threads: int, solve_s: float
) -> pb.Provenance:
    """The origin of an answer, as a message."""
    found = pb.Provenance(
        request_digest=origin.digest,
        versions=_versions(method),
        method=METHODS[method],
        road=road,
        seed=seed,
        threads=threads,
    )
    found.queue_time.FromNanoseconds(round(origin.queue_s * 1e9))
    found.solve_time.FromNanoseconds(round(solve_s * 1e9))
    return found


@cache
def _versions(method: Method) -> tuple[pb.Version, ...]:
    return tuple(installed(name) for name in ("loadloom", *TOOLS[method]))


def installed(name: str) -> pb.Version:
    """The name and version of an installed distribution, found without loading it."""
    return pb.Version(name=name, version=version(name))


def _path(field: object) -> str:
    return "".join(map(_step, getattr(field, "elements", ()))).removeprefix(".")


def _step(element: FieldPathElementPb) -> str:
    index = "" if element.subscript is None else f"[{element.subscript.value}]"
    return f".{element.field_name}{index}"
