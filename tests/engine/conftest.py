"""A real server, in this process or as one of its own, and requests to send to it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import sin
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import numpy as np
import psutil
import pytest
from anyio.from_thread import start_blocking_portal
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from loadloom.engine.run import jobs, lanes
from loadloom.engine.server import Engine, running
from loadloom.engine.settings import Settings
from loadloom.v1 import dispatch_pb2 as pb
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub

COUNT = 24


@pytest.fixture(scope="session", autouse=True)
def _started_when_needed() -> Iterator[None]:
    """Servers in this process start others with the first call that needs one, and not at leisure.

    Most tests need none, and the four of a server take some six seconds of a core. Those that are
    started at leisure are waited for in servers of their own: `run/test_lanes.py` has all workers
    loaded before any call, `operations/test_faults.py` the worker of jobs.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (lanes, jobs):
            patch.setattr(module, "LEISURE_S", 3600.0)
        yield


@contextmanager
def serving(**settings: object) -> Iterator[Engine]:
    with (
        TemporaryDirectory() as folder,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            running(Settings(**{**usual(Path(folder)), **settings}))
        ) as engine,
    ):
        yield engine


def usual(folder: Path) -> dict[str, object]:
    """The settings of servers of tests, with the folder for what they keep."""
    return {"port": 0, "workers": 1, "job_workers": 1, "database_url": f"sqlite:///{folder}/db"}


def opened(address: str) -> grpc.Channel:
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
    return grpc.insecure_channel(address, options=options)


@pytest.fixture(scope="session")
def start() -> Callable:
    """Starts a server in a thread of this process, with other settings than the usual."""
    return serving


@pytest.fixture(scope="session")
def connect() -> Callable:
    """Opens a channel to an address."""
    return opened


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A server with usual settings, for all tests that leave it as it was."""
    with serving() as engine:
        yield engine


@pytest.fixture(scope="session")
def channel(engine: Engine) -> Iterator[grpc.Channel]:
    with opened(engine.address) as channel:
        yield channel


@pytest.fixture(scope="session")
def stub(channel: grpc.Channel) -> DispatchServiceStub:
    return DispatchServiceStub(channel)


@pytest.fixture
def request_one() -> pb.PlanDispatchRequest:
    """A request for a home with a load, a plant and a battery."""
    return home()


@pytest.fixture
def request_hard() -> pb.PlanDispatchRequest:
    """A request that keeps a worker busy for longer than any test lasts."""
    return hard()


def home(count: int = COUNT) -> pb.PlanDispatchRequest:
    request = pb.PlanDispatchRequest()
    request.grid.start_time.FromJsonString("2024-06-01T00:00:00Z")
    request.grid.step.seconds = 3600
    request.grid.count = count
    request.site.name = "home"
    meter = request.site.meter
    meter.currency_code = "EUR"
    meter.buy_price_per_kwh.values.extend(0.2 + 0.1 * sin(t) for t in range(count))
    meter.sell_price_per_kwh.values.append(0.05)
    request.site.loads.add(name="load").power_kw.values.append(1.0)
    plant = request.site.photovoltaics.add(name="roof", curtailable=True)
    plant.power_kw.values.extend(max(0.0, 3.0 * sin(t / 8)) for t in range(count))
    storage = request.site.storages.add(name="battery", initial_energy_kwh=2.0)
    storage.charge_efficiency = storage.discharge_efficiency = 0.95
    storage.energy_max_kwh.values.append(10.0)
    storage.charge_limit_kw.values.append(5.0)
    storage.discharge_limit_kw.values.append(5.0)
    return request


def hard() -> pb.PlanDispatchRequest:
    count, generator = 600, np.random.default_rng(1)
    request = home(count)
    request.site.meter.sell_price_per_kwh.values[:] = generator.normal(0.05, 0.1, count)
    request.site.meter.buy_price_per_kwh.values[:] = generator.normal(0.0, 0.1, count)
    for index in range(1, 4):
        storage = request.site.storages.add()
        storage.CopyFrom(request.site.storages[0])
        storage.name = f"battery {index}"
        storage.charge_efficiency -= 0.01 * index
    return request


@dataclass(frozen=True)
class Told:
    """What an error tells."""

    code: grpc.StatusCode
    reason: str = ""
    paths: dict[str, str] = field(default_factory=dict)
    retry_s: float | None = None
    facts: dict[str, str] = field(default_factory=dict)
    message: str = ""


def read_status(status: Status) -> Told:
    found: dict[str, object] = {}
    for detail in status.details:
        bad, info, retry = BadRequest(), ErrorInfo(), RetryInfo()
        if detail.Unpack(bad):
            found["paths"] = {v.field: v.description for v in bad.field_violations}
        elif detail.Unpack(info):
            found |= {"reason": info.reason, "facts": dict(info.metadata)}
        elif detail.Unpack(retry):
            found["retry_s"] = retry.retry_delay.ToNanoseconds() / 1e9
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return Told(code, message=status.message, **found)


def failed(call: Callable[[], object]) -> Told:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    for key, value in caught.value.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            told = read_status(Status.FromString(value))
            assert told.code == caught.value.code()
            return told
    return Told(caught.value.code())


@pytest.fixture(scope="session")
def failure() -> Callable[[Callable[[], object]], Told]:
    """What the error that a call fails with tells."""
    return failed


@pytest.fixture(scope="session")
def told() -> Callable[[Status], Told]:
    """What a status tells."""
    return read_status


@dataclass
class Process:
    """A server in a process of its own."""

    popen: subprocess.Popen
    address: str
    log: Path

    def events(self) -> list[dict]:
        """What it has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def workers(self) -> dict[int, float]:
        """The CPU seconds that each of its worker processes has used, by pid."""
        used = {}
        for child in psutil.Process(self.popen.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "anyio.to_process" in child.cmdline():
                    used[child.pid] = sum(child.cpu_times()[:2])
        return used

    def busy(self, count: int, beyond_s: float = 0.1) -> list[int]:
        """The pids of that many workers, once they have used CPU since this was called."""
        before = self.workers()

        def busy() -> list[int]:
            used = self.workers().items()
            return [pid for pid, used_s in used if used_s > before.get(pid, 0.0) + beyond_s]

        return eventually(busy, lambda pids: len(pids) >= count)

    def settle(self, count: int) -> list[int]:
        """The pids of that many workers, once they have all loaded their libraries."""
        eventually(self._loaded, lambda found: found == count, timeout_s=60.0)
        last = self.workers()
        while True:
            time.sleep(0.3)
            now = self.workers()
            if len(now) == count and sum(now.values()) - sum(last.values()) < 0.02:
                return list(now)
            last = now

    def _loaded(self) -> int:
        """How many workers have loaded the library that comes last, however slow the machine."""
        found = 0
        for pid in self.workers():
            with suppress(OSError):
                found += "highspy" in Path(f"/proc/{pid}/maps").read_text()
        return found


def eventually(look: Callable, good: Callable[[object], bool], timeout_s: float = 60.0) -> object:
    until = time.monotonic() + timeout_s
    while not good(seen := look()):
        assert time.monotonic() < until, seen
        time.sleep(0.02)
    return seen


@contextmanager
def launched(log: Path, *arguments: str, module: str = "loadloom.engine.main") -> Iterator[Process]:
    database = f"sqlite:///{log.parent}/db"
    with log.open("w") as stderr:
        popen = subprocess.Popen(
            [sys.executable, "-m", module, "--port=0", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("LOADLOOM_")},
                "LOADLOOM_DATABASE_URL": database,
                "LOADLOOM_LOAD_AHEAD": "false",
            },
        )
    try:
        line = popen.stdout.readline()
        assert line, log.read_text()
        yield Process(popen, json.loads(line)["address"], log)
    finally:
        popen.kill()
        popen.wait()
        popen.stdout.close()


@pytest.fixture(scope="session")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """Starts a server process with arguments; a context manager that kills it in the end."""
    return lambda *arguments: launched(tmp_path_factory.mktemp("server") / "log", *arguments)
