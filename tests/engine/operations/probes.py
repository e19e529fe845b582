"""Jobs that do as they are told, the service that submits them, and processes that solve them.

python -m tests.engine.operations.probes --port=0 --database-url=...         a server
python -m tests.engine.operations.probes worker --database-url=...           a worker
"""

import os
import time
from collections.abc import Iterator

import grpc
from google.protobuf.struct_pb2 import Struct

from loadloom.engine.guard import refusal
from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Job, Progress
from loadloom.engine.services.operations import Operations

SERVICE = "loadloom.test.ProbeService"


def solve(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """The bytes of {"done": key of the request, "pid": ...}, after what the request asks for."""
    asked = dict(Struct.FromString(request).items())
    BEHAVIOURS[asked.get("do", "work")](asked, progress, deadline)
    return answer(asked)


def answer(asked: dict, **more: object) -> bytes:
    response = Struct()
    response.update({"done": asked.get("key", ""), "pid": os.getpid(), **more})
    return response.SerializeToString()


def work(asked: dict, progress: Progress, deadline: Deadline) -> None:
    """Works for a time, heeding a cancel and the deadline."""
    until = time.monotonic() + asked.get("seconds", 0.0)
    value = 100.0
    while time.monotonic() < until and deadline.remaining_s > 0.0:
        value -= 1.0
        best = answer(asked, value=value)
        if progress.report(value=value, bound=1.0, phase="working", best=lambda best=best: best):
            return
        time.sleep(0.005)


def deaf(asked: dict, progress: Progress, deadline: Deadline) -> None:  # noqa: ARG001
    """Tells of a plan, and then hears nothing any more."""
    if "value" in asked:
        best = answer(asked, value=asked["value"])
        progress.report(value=asked["value"], phase="deaf", best=lambda: best)
    while True:
        sum(range(10_000))


def segfault(asked: dict, progress: Progress, deadline: Deadline) -> None:  # noqa: ARG001
    import ctypes

    ctypes.string_at(0)


def exit_hard(asked: dict, progress: Progress, deadline: Deadline) -> None:  # noqa: ARG001
    os._exit(0)


def raise_error(asked: dict, progress: Progress, deadline: Deadline) -> None:  # noqa: ARG001
    raise ZeroDivisionError("a fault of ours")


def eat_memory(asked: dict, progress: Progress, deadline: Deadline) -> None:  # noqa: ARG001
    eaten = []
    while True:
        eaten.append(bytearray(16 << 20))


def refuse(asked: dict, progress: Progress, deadline: Deadline) -> None:  # noqa: ARG001
    raise refusal.malformed("the probe refuses")


BEHAVIOURS = {
    "work": work,
    "deaf": deaf,
    "segfault": segfault,
    "exit": exit_hard,
    "raise": raise_error,
    "memory": eat_memory,
    "refuse": refuse,
}

PROBE = Job(method=f"{SERVICE}/Run", request=Struct, response=Struct, solve=solve)
PROBES = (PROBE,)


class ProbeService:
    """Submits what it is sent."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def run(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:  # noqa: ARG002
        asked = Struct.FromString(raw)
        words = ("request_id", "priority", "limit_s", "deadline_s")
        wishes = {name: asked[name] for name in words if name in asked}
        if "priority" in wishes:
            wishes["priority"] = int(wishes["priority"])
        return await self._operations.submit(PROBE, raw, **wishes)


def services(operations: Operations) -> Iterator[grpc.GenericRpcHandler]:
    run = grpc.unary_unary_rpc_method_handler(ProbeService(operations).run)
    yield grpc.method_handlers_generic_handler(SERVICE, {"Run": run})
