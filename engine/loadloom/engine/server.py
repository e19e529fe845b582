"""The server: built, warmed, serving, and drained."""

import gc
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from threading import Thread

import anyio
import grpc
from anyio import to_thread
from google.longrunning.operations_pb2_grpc import add_OperationsServicer_to_server
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer  # its public name escapes type checkers
from grpc_reflection.v1alpha import reflection

from loadloom.engine.family import Runner
from loadloom.engine.guard import log, tls
from loadloom.engine.guard.admission import Admission
from loadloom.engine.guard.edge import Edge
from loadloom.engine.guard.gate import Gate
from loadloom.engine.guard.metrics import Metrics
from loadloom.engine.guard.tokens import Tokens
from loadloom.engine.job_table import JOBS
from loadloom.engine.jobs import Job
from loadloom.engine.run.cluster import NoCluster, connected
from loadloom.engine.run.job_metrics import StoredJobs
from loadloom.engine.run.jobs import Supervisor
from loadloom.engine.run.lanes import Workers
from loadloom.engine.run.listening import metrics_served, obstacle
from loadloom.engine.run.memory import give_back, keep_freed
from loadloom.engine.services import (
    agency,
    agency_jobs,
    dispatch,
    operations,
    orderly,
    orderly_jobs,
    response,
    system,
)
from loadloom.engine.services.operations import Operations
from loadloom.engine.settings import BadSettings, Limits, Settings, unknown_variables
from loadloom.engine.store.migrate import prepared
from loadloom.engine.store.schedules import Clock, database_time
from loadloom.models.dispatch.solve import warm
from loadloom.v1.operations_pb2_grpc import add_OperationEventServiceServicer_to_server
from loadloom.v1.system_pb2_grpc import add_SystemServiceServicer_to_server

NAMES = (
    dispatch.NAME,
    orderly_jobs.NAME,
    agency_jobs.NAME,
    response.NAME,
    operations.NAME,
    operations.EVENTS_NAME,
    system.NAME,
)

NOTICE_S = 0.1
"""The time from telling health's watchers that the server stops to ending their streams."""


Services = Callable[[Operations], Iterable[grpc.GenericRpcHandler]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a server offers beside the families without jobs.

    Attributes:
        jobs: what it solves as jobs.
        services: more services, which may submit jobs.
        clock: tells schedules and events the time.
    """

    jobs: Sequence[Job] = JOBS
    services: Services = lambda _: ()
    clock: Clock = database_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A server that serves, and where: "host:port"."""

    address: str
    metrics: Metrics


USUAL = Offer()


def serve_until_told(settings: Settings, offer: Offer = USUAL) -> None:
    """Serves until SIGTERM or SIGINT, and returns when accepted calls are finished.

    Raises:
        BadSettings: a file of the settings cannot be read, or the database is not one of ours.
        OSError: an address cannot be listened on, or the database cannot be used.
    """
    log.configure(settings.log_level)
    for name, told in unknown_variables(os.environ).items():
        log.event(logging.WARNING, "unknown setting", variable=name, told=told)
    keep_freed()
    if settings.with_parent:
        Thread(target=_stop_at_the_end_of_input, daemon=True).start()
    anyio.run(_serve_until_told, settings, offer)


def _stop_at_the_end_of_input() -> None:
    """Tells this process to stop when nobody holds the other end of its standard input any more."""
    # Not through Python's buffer: at the end of the process it would be waited for, for a second.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


async def _serve_until_told(settings: Settings, offer: Offer) -> None:
    async with running(settings, offer) as engine:
        # What is loaded by now stays; without it a full collection takes 50 ms off a call.
        gc.collect()
        gc.freeze()
        # A second signal meets the default, which ends the process at once.
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            print(json.dumps({"event": "listening", "address": engine.address}), flush=True)
            async for number in signals:
                log.event(logging.INFO, "told to stop", signal=number.name)
                break


@asynccontextmanager
async def running(settings: Settings, offer: Offer = USUAL) -> AsyncIterator[Engine]:
    """A server that is ready when the block begins, and is drained when it ends.

    Raises:
        BadSettings: a file of the settings cannot be read, or the database is not one of ours, or
            the cluster cannot be reached.
        OSError: an address cannot be listened on, or the database cannot be used.
    """
    if settings.cluster:
        await to_thread.run_sync(_check_cluster, settings.cluster)
    metrics = Metrics()
    tokens = None if settings.token_hashes is None else Tokens(settings.token_hashes)
    edge = Edge(Admission(settings.limits, give_back), metrics, Gate(tokens))
    status = HealthServicer()
    server = grpc.aio.server(interceptors=[edge], options=_options(settings.limits))
    address = _bind(server, settings)
    database = await to_thread.run_sync(prepared, settings.database_url)
    front = Operations(settings, database)
    supervisor = Supervisor(settings, offer.jobs, database, metrics)
    metrics.registry.register(StoredJobs(database))
    served = metrics_served(settings.metrics_host, settings.metrics_port, metrics.registry)
    with closing(database), served:
        async with anyio.create_task_group() as tasks:
            workers = Workers(settings, metrics, tasks)
            runner = Runner(settings, metrics, workers)
            schedules = orderly.OrderlyService(front, runner, workers, offer.clock)
            settlements = agency.AgencyService(front, runner)
            events = response.ResponseService(front, runner, offer.clock)
            handlers = (schedules.handler(), settlements.handler(), events.handler())
            server.add_generic_rpc_handlers(handlers)
            _add_services(server, settings, runner, front, status)
            _add_operations(server, front, offer)
            await _say(status, health_pb2.HealthCheckResponse.NOT_SERVING)
            await server.start()
            try:
                # Kernels first: if they must be compiled, the workers find them in the cache.
                await to_thread.run_sync(warm)
                watches = (front.watch.run, schedules.watch.run, events.watch.run)
                for task in (workers.begin, *watches, front.sweep, schedules.sweep):
                    tasks.start_soon(task)
                tasks.start_soon(supervisor.run, front.submitted)
                await _say(status, health_pb2.HealthCheckResponse.SERVING)
                yield Engine(address=address, metrics=metrics)
            finally:
                with anyio.CancelScope(shield=True):
                    front.watch.close()
                    schedules.watch.close()
                    events.watch.close()
                    async with anyio.create_task_group() as ends:
                        ends.start_soon(supervisor.stop)
                        ends.start_soon(_drain, server, status, edge, settings.grace_s)
                    log.event(logging.INFO, "stopped")
            tasks.cancel_scope.cancel()


def _check_cluster(address: str) -> None:
    """Raises BadSettings if no cluster can be reached there."""
    try:
        with connected(address):
            pass
    except NoCluster as error:
        raise BadSettings(f"cluster: {error}") from error


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_send_message_length", -1),  # answers are measured before they are sent
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.so_reuseport", 0),  # a taken port is an error, not a port to share
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def _bind(server: grpc.aio.Server, settings: Settings) -> str:
    """The address that the server listens on."""
    credentials = tls.credentials(settings)
    host = f"[{settings.host}]" if ":" in settings.host.strip("[]") else settings.host
    wanted = f"{host}:{settings.port}"
    if reason := obstacle(settings.host, settings.port):
        raise OSError(f"cannot listen on {wanted}: {reason}")
    try:
        if credentials is None:
            port = server.add_insecure_port(wanted)
        else:
            port = server.add_secure_port(wanted, credentials)
    except RuntimeError as error:
        why = "its certificate and key do not fit, or others took it just now"
        raise OSError(f"cannot listen on {wanted}: {why}") from error
    return f"{host}:{port}"


def _add_services(
    server: grpc.aio.Server,
    settings: Settings,
    runner: Runner,
    front: Operations,
    status: HealthServicer,
) -> None:
    families = [dispatch.FAMILY.name, orderly.FAMILY, agency.FAMILY, response.FAMILY]
    plans = dispatch.DispatchService(settings, runner, front)
    server.add_generic_rpc_handlers((plans.handler(),))
    add_SystemServiceServicer_to_server(system.SystemService(settings.limits, families), server)
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    if settings.token_hashes is None:
        reflection.enable_server_reflection(
            (*NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )


def _add_operations(server: grpc.aio.Server, front: Operations, offer: Offer) -> None:
    add_OperationsServicer_to_server(operations.OperationsService(front), server)
    add_OperationEventServiceServicer_to_server(operations.OperationEventService(front), server)
    server.add_generic_rpc_handlers(tuple(offer.services(front)))


async def _say(
    status: HealthServicer,
    serving: health_pb2.HealthCheckResponse.ServingStatus.ValueType,
) -> None:
    """Tells callers of the health service how every service does."""
    for name in ("", *NAMES):
        await status.set(name, serving)


async def _drain(
    server: grpc.aio.Server, status: HealthServicer, edge: Edge, grace_s: float
) -> None:
    """Takes no more calls, and lets accepted ones finish within the grace."""
    await status.enter_graceful_shutdown()
    async with anyio.create_task_group() as group:
        group.start_soon(server.stop, grace_s)
        await anyio.sleep(NOTICE_S)
        edge.end_watches()
