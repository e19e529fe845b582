"""The server as a process: how it starts, what it tells, how it is drained, and TLS."""

import datetime
import ipaddress
import os
import queue
import signal
import socket
import subprocess
import sys
import urllib.request

import grpc
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from loadloom.engine.settings import Limits
from loadloom.v1.dispatch_pb2 import StreamSetup
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub
from loadloom.v1.system_pb2 import GetSystemInfoRequest
from loadloom.v1.system_pb2_grpc import SystemServiceStub
from loadloom.wire.columns import decode_response, encode_setup, encode_sites
from tests.pace import Stopwatch

STREAM = "/loadloom.v1.DispatchService/StreamPlanDispatch"
HOME = {"energy_max_kwh": 10.0, "charge_limit_kw": 5.0, "discharge_limit_kw": 5.0}


def run_server(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """A server that is expected to give up at once."""
    return subprocess.run(
        [sys.executable, "-m", "loadloom.engine.main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_bad_settings_are_told_and_end_with_code_2():
    ended = run_server("--port=99999", LOADLOOM_WORKERS="0")
    assert ended.returncode == 2
    assert "port:" in ended.stderr
    assert "workers:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_other_machines_are_not_listened_to_without_tls():
    ended = run_server("--host=0.0.0.0", "--port=0")
    assert ended.returncode == 2
    assert "insecure" in ended.stderr


def test_a_taken_port_is_told_and_ends_with_code_1():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_server(f"--port={taken.getsockname()[1]}")
    assert ended.returncode == 1
    assert "cannot listen on 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_help_tells_every_setting():
    ended = run_server("--help")
    assert ended.returncode == 0
    assert "--tls-client-ca" in ended.stdout
    assert "The time that accepted calls have to finish" in ended.stdout


def test_a_server_serves_metrics_and_when_drained_finishes_accepted_calls_and_ends_in_time(
    launch, connect, request_hard, request_one
):
    request_hard.options.time_limit.seconds = 2
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ("--workers=1", "--grace-s=10", f"--metrics-port={port}")
    with launch(*arguments) as server, connect(server.address) as channel:
        DispatchServiceStub(channel).PlanDispatch(request_one)
        check_metrics(port)
        sent: queue.Queue[bytes | None] = queue.Queue()
        stream = channel.stream_stream(STREAM)(iter(sent.get, None))
        sent.put(encode_setup(StreamSetup(grid=request_one.grid)))
        next(stream)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        call = DispatchServiceStub(channel).PlanDispatch.future(request_hard)
        server.busy(1)
        server.popen.send_signal(signal.SIGTERM)
        told = Stopwatch()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert told.seconds < 0.5
        sent.put(encode_sites("late", 1, {**HOME, "buy_price_per_kwh": 0.3}))
        assert decode_response(next(stream)).error is None
        sent.put(None)
        assert not list(stream)
        assert call.result().plan.HasField("schedule")
        finished = Stopwatch()
        assert server.popen.wait(60) == 0
        assert finished.seconds < 1.0
    assert [event["event"] for event in server.events() if event["event"] != "call"] == [
        "told to stop",
        "stopped",
    ]


def check_metrics(port: int) -> None:
    """Checks that the metrics are served, and know of one call."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        lines = page.read().decode().splitlines()
    method = 'method="/loadloom.v1.DispatchService/PlanDispatch"'
    assert f'loadloom_calls_total{{code="OK",{method}}} 1.0' in lines
    assert 'loadloom_sites_total{family="dispatch",reason="optimal"} 1.0' in lines
    assert 'loadloom_solve_seconds_count{family="dispatch",road="kernel"} 1.0' in lines
    assert "loadloom_worker_deaths_total 0.0" in lines


def test_calls_that_outlast_the_grace_are_cut_off(launch, connect, request_hard):
    with launch("--workers=1", "--grace-s=1") as server, connect(server.address) as channel:
        call = DispatchServiceStub(channel).PlanDispatch.future(request_hard)
        server.busy(1)
        pids = server.workers()
        told = Stopwatch()
        server.popen.send_signal(signal.SIGTERM)
        assert server.popen.wait(60) == 0
        assert told.clock_s > 0.9
        assert told.seconds < 2.0
        assert call.exception().code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert not any(map(psutil.pid_exists, pids))


@pytest.mark.parametrize("told", ["signal", "end of input"])
def test_a_server_with_a_parent_ends_in_order_however_it_is_told(tmp_path, told):
    command = [sys.executable, "-m", "loadloom.engine.main", "--port=0", "--with-parent"]
    command += [f"--database-url=sqlite:///{tmp_path}/db", "--workers=1"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        ) as process,
    ):
        assert process.stdout.readline()
        if told == "signal":
            process.send_signal(signal.SIGTERM)
        else:
            process.stdin.close()
        assert process.wait(30) == 0
    assert "Fatal" not in (tmp_path / "log").read_text()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and a server and a client that it vouches for, as files."""
    folder = tmp_path_factory.mktemp("tls")
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("authority", authority_key, "authority", authority_key)
    _save(folder / "authority", authority, authority_key)
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        _save(folder / name, _certificate(name, key, "authority", authority_key), key)
    return folder


def _certificate(name, key, issuer, issuer_key):
    now = datetime.datetime.now(datetime.UTC)
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _save(path, certificate, key):
    path.with_suffix(".pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def test_tls_asks_callers_for_a_certificate_that_the_authority_vouches_for(start, certificates):
    read = {path.name: path.read_bytes() for path in certificates.iterdir()}
    settings = {
        "tls_certificate": certificates / "server.pem",
        "tls_key": certificates / "server.key",
        "tls_client_ca": certificates / "authority.pem",
    }

    def told_by(credentials: grpc.ChannelCredentials) -> list[str]:
        with grpc.secure_channel(engine.address, credentials) as channel:
            stub = SystemServiceStub(channel)
            return list(stub.GetSystemInfo(GetSystemInfoRequest(), timeout=60).families)

    with start(**settings) as engine:
        known = grpc.ssl_channel_credentials(
            read["authority.pem"], read["client.key"], read["client.pem"]
        )
        assert told_by(known) == ["dispatch", "orderly", "agency", "response"]
        for credentials in (
            grpc.ssl_channel_credentials(read["authority.pem"]),
            grpc.ssl_channel_credentials(),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                told_by(credentials)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        with grpc.insecure_channel(engine.address) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                SystemServiceStub(channel).GetSystemInfo(GetSystemInfoRequest(), timeout=60)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_that_cannot_be_read_is_told(certificates):
    ended = run_server(
        "--port=0",
        f"--tls-certificate={certificates / 'missing.pem'}",
        f"--tls-key={certificates / 'server.key'}",
    )
    assert ended.returncode == 2
    assert "tls_certificate: cannot read" in ended.stderr


def test_a_certificate_that_is_none_is_told(certificates):
    ended = run_server(
        "--port=0",
        f"--tls-certificate={certificates / 'server.key'}",
        f"--tls-key={certificates / 'server.pem'}",
    )
    assert ended.returncode in {1, 2}
    assert "Traceback" not in ended.stderr


@pytest.fixture(scope="module")
def tight(start, connect):
    """A channel to a server with small limits."""
    limits = Limits(calls_under_way=1, intervals=10, solve_seconds=3.0)
    with start(limits=limits) as engine, connect(engine.address) as channel:
        yield channel


def test_limits_of_the_settings_are_kept_and_told(tight, request_one, failure):
    told = failure(lambda: DispatchServiceStub(tight).PlanDispatch(request_one))
    info = SystemServiceStub(tight).GetSystemInfo(GetSystemInfoRequest())
    assert told.paths.keys() == {"grid.count"}
    assert (info.limits.intervals, info.limits.solve_seconds) == (10, 3.0)
