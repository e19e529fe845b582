"""Servers under measurement: processes of their own, started, watched and stopped."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import psutil
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

ROOT = Path(__file__).parents[1]
START_LIMIT_S, STOP_LIMIT_S = 120.0, 30.0
SETTLE_LIMIT_S, SETTLE_STEP_S = 30.0, 0.5

LEISURE_S = 1.5
"""Within this time of its start a server begins its other processes."""

LOADLOOM = ("loadloom.engine.main", "--port", "0", "--log-level", "error")
PYOMO = ("benchmarks.peers.pyomo_service",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server: where it listens, its process, and how long it took to get there."""

    address: str
    pid: int
    ready_s: float


@contextmanager
def running(module: Sequence[str]) -> Iterator[Server]:
    """A server that is ready to answer; it is told to stop afterwards.

    Raises:
        RuntimeError: it ended before it was ready.
    """
    started = time.perf_counter()
    command = [sys.executable, "-m", *module]
    with (
        TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "LOADLOOM_DATABASE_URL": f"sqlite:///{folder}/loadloom.db"},
        ) as process,
    ):
        try:
            address = _address(process)
            with grpc.insecure_channel(address) as channel:
                grpc.channel_ready_future(channel).result(timeout=START_LIMIT_S)
                _await_health(channel)
            ready_s = time.perf_counter() - started
            yield Server(address=address, pid=process.pid, ready_s=ready_s)
        finally:
            process.terminate()
            process.wait(STOP_LIMIT_S)


def _address(process: subprocess.Popen[str]) -> str:
    """The address in the line that a server prints once it listens."""
    for line in process.stdout or ():
        if line.startswith("{") and "address" in (event := json.loads(line)):
            return event["address"]
    msg = f"the server ended with {process.wait()} before it listened"
    raise RuntimeError(msg)


def _await_health(channel: grpc.Channel) -> None:
    """Waits until the server says that it serves, if it has a health service."""
    watch = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )
    try:
        for answer in watch(HealthCheckRequest(), timeout=START_LIMIT_S):
            if answer.status == HealthCheckResponse.SERVING:
                return
    except grpc.RpcError as error:
        if not isinstance(error, grpc.Call) or error.code() != grpc.StatusCode.UNIMPLEMENTED:
            raise


def settle(server: Server) -> None:
    """Waits until a server is idle: it may go on loading what only long solves need."""
    time.sleep(LEISURE_S)
    for _ in range(round(SETTLE_LIMIT_S / SETTLE_STEP_S)):
        before = cpu_seconds(server.pid)
        time.sleep(SETTLE_STEP_S)
        if cpu_seconds(server.pid) - before < SETTLE_STEP_S / 20.0:
            return


def cpu_seconds(pid: int) -> float:
    """The processor time that a process and all below it have used."""
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in family)
