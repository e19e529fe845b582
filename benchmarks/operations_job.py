"""A job that sleeps, and the service that submits it."""

import time
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct

from loadloom.engine.guard.calls import Deadline
from loadloom.engine.jobs import Job, Progress
from loadloom.engine.services.operations import Operations

STEP_S = 0.005


def sleep(request: bytes, progress: Progress, deadline: Deadline) -> bytes:
    """The request again after the time it asks for, or at its deadline; a deaf one is not told."""
    asked: dict[str, Any] = dict(Struct.FromString(request).items())
    until = time.monotonic() + min(asked["seconds"], deadline.remaining_s)
    progress.report(value=0.0, phase="sleeping", best=lambda: request)
    if asked.get("deaf"):
        time.sleep(asked["seconds"])
    while time.monotonic() < until and not progress.report(value=time.monotonic()):
        time.sleep(STEP_S)
    return request


SLEEP = Job(
    method="loadloom.benchmark.SleepService/Sleep", request=Struct, response=Struct, solve=sleep
)


def services(operations: Operations) -> Iterator[grpc.GenericRpcHandler]:
    """The service's one handler."""

    async def submit(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:  # noqa: ARG001
        asked: dict[str, Any] = dict(Struct.FromString(raw).items())
        return await operations.submit(SLEEP, raw, limit_s=asked.get("limit_s"))

    handler = grpc.unary_unary_rpc_method_handler(submit)
    yield grpc.method_handlers_generic_handler(
        "loadloom.benchmark.SleepService", {"Sleep": handler}
    )
