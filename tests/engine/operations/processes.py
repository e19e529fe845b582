"""Servers and workers with the jobs of `probes`, as processes, and callers of them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
from google.longrunning import operations_pb2 as longrunning
from google.longrunning.operations_pb2_grpc import OperationsStub
from google.protobuf.struct_pb2 import Struct

from loadloom.v1 import operations_pb2 as pb
from loadloom.v1.operations_pb2_grpc import OperationEventServiceStub
from tests.engine.operations.probes import SERVICE

ROOT = Path(__file__).parents[3]

SLACK_S = 3.0
"""How much later than a server promises things may happen on a machine that others use too."""


def eventually(look: Callable, good: Callable[[object], bool] = bool, timeout_s: float = 60.0):
    until = time.monotonic() + timeout_s
    while not good(seen := look()):
        assert time.monotonic() < until, seen
        time.sleep(0.01)
    return seen


class Caller:
    """Somebody who submits probes and asks about them."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)])
        self.operations = OperationsStub(self.channel)
        self.events = OperationEventServiceStub(self.channel)
        self._run = self.channel.unary_unary(
            f"/{SERVICE}/Run",
            request_serializer=Struct.SerializeToString,
            response_deserializer=longrunning.Operation.FromString,
        )

    def submit(self, **asked: object) -> longrunning.Operation:
        request = Struct()
        request.update(asked)
        return self._run(request, timeout=60)

    def get(self, name: str) -> longrunning.Operation:
        return self.operations.GetOperation(longrunning.GetOperationRequest(name=name), timeout=60)

    def wait(self, name: str, timeout_s: float = 120.0) -> longrunning.Operation:
        request = longrunning.WaitOperationRequest(name=name)
        request.timeout.FromNanoseconds(round(timeout_s * 1e9))
        return self.operations.WaitOperation(request, timeout=timeout_s + 10)

    def cancel(self, name: str) -> None:
        self.operations.CancelOperation(longrunning.CancelOperationRequest(name=name), timeout=60)

    def delete(self, name: str) -> None:
        self.operations.DeleteOperation(longrunning.DeleteOperationRequest(name=name), timeout=60)

    def page(self, **wanted: object) -> longrunning.ListOperationsResponse:
        return self.operations.ListOperations(
            longrunning.ListOperationsRequest(**wanted), timeout=60
        )

    def watch(self, name: str, after: int = 0) -> Iterator[pb.OperationEvent]:
        request = pb.WatchOperationRequest(name=name, after_event=after)
        return (answer.event for answer in self.events.WatchOperation(request, timeout=60))

    def running(self, name: str) -> None:
        """Returns once a worker solves the operation."""
        eventually(lambda: metadata(self.get(name)).state, lambda s: s == RUNNING)

    def close(self) -> None:
        self.channel.close()


RUNNING, QUEUED = pb.OPERATION_STATE_RUNNING, pb.OPERATION_STATE_QUEUED
SUCCEEDED, FAILED = pb.OPERATION_STATE_SUCCEEDED, pb.OPERATION_STATE_FAILED
CANCELLED = pb.OPERATION_STATE_CANCELLED


def metadata(operation: longrunning.Operation) -> pb.OperationMetadata:
    found = pb.OperationMetadata()
    assert operation.metadata.Unpack(found)
    return found


def answer(operation: longrunning.Operation) -> dict:
    """What the probe answered."""
    assert operation.HasField("response"), operation
    found = Struct()
    assert operation.response.Unpack(found)
    return dict(found.items())


@dataclass
class Process:
    """A server or worker in a process of its own."""

    popen: subprocess.Popen
    log: Path
    address: str = ""

    def events(self, name: str = "") -> list[dict]:
        """What it has logged, or that of one kind."""
        found = []
        for line in self.log.read_text().splitlines():
            with suppress(ValueError):  # a line that is cut off by a kill
                found.append(json.loads(line))
        return [event for event in found if not name or event["event"] == name]

    def worker(self) -> int:
        """The pid of the worker of a server."""
        return eventually(lambda: _workers(self.popen.pid))[0]

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def terminate(self) -> int:
        """The exit code after it was told to stop."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(60)


def _workers(pid: int) -> list[int]:
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children():
            with suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child.pid)
    return found


@contextmanager
def launched(log: Path, url: str, *arguments: str, worker: bool = False) -> Iterator[Process]:
    words = ["worker"] if worker else []
    if not worker and not any(word.startswith("--port") for word in arguments):
        words = ["--port=0"]
    command = [sys.executable, "-m", "tests.engine.operations.probe_main", *words]
    command += [f"--database-url={url}", *arguments]
    with log.open("a") as stderr:
        popen = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("LOADLOOM_")},
                "LOADLOOM_LOAD_AHEAD": "false",
            },
        )
    process = Process(popen, log)
    try:
        if worker:
            eventually(lambda: process.events("worker ready") or popen.poll() is not None)
            assert popen.poll() is None, log.read_text()
        else:
            line = popen.stdout.readline()
            assert line, log.read_text()
            process.address = json.loads(line)["address"]
        yield process
    finally:
        popen.kill()
        popen.wait()
        popen.stdout.close()
