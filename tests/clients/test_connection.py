import asyncio
import subprocess
import sys
from dataclasses import dataclass
from socket import AF_INET, create_server

import psutil
import pytest
from typer.testing import CliRunner

from loadloom.client.aio import AsyncClient
from loadloom.client.client import Client
from loadloom.client.command.app import app
from loadloom.client.connection import Tls, call_timeout_s
from loadloom.client.embedded import engine
from loadloom.client.errors import PermissionDenied, Unauthenticated, Unavailable


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate that is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-keyout key.pem -out certificate.pem -subj /CN=localhost "
        "-addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "certificate.pem", folder / "key.pem"


@dataclass
class Tokens:
    """The file of their digests, and tokens by their roles."""

    file: str
    viewer: str
    submitter: str


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """Tokens that the command made."""
    file = str(tmp_path_factory.mktemp("tokens") / "hashes")

    def made(role):
        words = ("token", "new", "--role", role, "--token-hashes", file)
        command = [sys.executable, "-m", "loadloom.client.main", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return Tokens(file, made("viewer"), made("submitter"))


@pytest.fixture(scope="module")
def secure(certificate, tokens):
    """The address of an engine that wants TLS, and a certificate and a token of its callers."""
    file, key = map(str, certificate)
    tls = ("--tls-certificate", file, "--tls-key", key, "--tls-client-ca", file)
    with engine("--workers", "1", *tls, "--token-hashes", tokens.file) as target:
        yield target


@pytest.fixture(scope="module")
def guarded(tokens):
    """The address of an engine that wants a token."""
    with engine("--workers", "1", "--token-hashes", tokens.file) as target:
        yield target


def test_a_client_with_a_certificate_and_a_token_is_served(secure, certificate, tokens):
    file, key = certificate
    tls = Tls(root_certificates=file, client_certificate=file, client_key=key)
    with Client(secure, tls=tls, token=tokens.viewer) as client:
        assert client.system_info().families
    with Client(secure, tls=tls, token="") as client, pytest.raises(Unauthenticated):
        client.system_info()


def test_a_token_lets_a_client_do_what_its_role_may(guarded, tokens):
    with Client(guarded, token=tokens.viewer) as client:
        assert list(client.list_schedules()) == []
        with pytest.raises(PermissionDenied, match=r"a viewer may not .* role operator may"):
            client.delete_schedule("schedules/" + "0" * 32)
    wrong = Client(guarded, token=f"{tokens.viewer}x")
    with wrong as client, pytest.raises(Unauthenticated, match="not known"):
        client.system_info()


def test_the_token_of_the_environment_is_used_unless_one_is_given(guarded, tokens, monkeypatch):
    monkeypatch.setenv("LOADLOOM_TOKEN", tokens.viewer)

    async def families(token=None):
        async with AsyncClient(guarded, token=token) as client:
            return (await client.system_info()).families

    assert "orderly" in asyncio.run(families())
    with pytest.raises(Unauthenticated, match="asks for a token"):
        asyncio.run(families(""))


def outer_address():
    """An address of this machine that is not of its loopback; empty if it has none."""
    found = [a for its in psutil.net_if_addrs().values() for a in its if a.family == AF_INET]
    return next((a.address for a in found if not a.address.startswith("127.")), "")


@pytest.mark.skipif(not outer_address(), reason="this machine is in no network")
def test_a_token_is_not_sent_beyond_the_loopback_without_tls(tokens):
    with create_server((outer_address(), 0)) as server:
        target = f"{outer_address()}:{server.getsockname()[1]}"
        with Client(target, token=tokens.viewer) as client, pytest.raises(Unavailable) as caught:
            client.system_info(timeout_s=20)
        server.settimeout(20)
        with server.accept()[0] as met:
            met.settimeout(20)
            assert b"".join(iter(lambda: met.recv(4096), b"")) == b""
    assert "a token goes to other machines over TLS alone" in str(caught.value)


def test_the_command_line_takes_a_token_from_a_file(guarded, tokens, tmp_path, monkeypatch):
    monkeypatch.delenv("LOADLOOM_TOKEN", raising=False)
    file = tmp_path / "token"
    file.write_text(f"{tokens.viewer}\n")

    def run(*words):
        return CliRunner().invoke(app, [*words, "--server", guarded, "--token-file", str(file)])

    assert run("info").exit_code == 0
    assert run("orderly", "list").exit_code == 0
    done = run("orderly", "delete", "that")
    assert done.exit_code == 2  # it looked for it, which it may
    done = run("orderly", "acknowledge", "1", "anna")
    assert done.exit_code == 1
    assert done.stderr.strip() == "a viewer may not call this; a token of role operator may"
    file.write_text("two words")
    done = run("info")
    assert (done.exit_code, "holds no token" in done.stderr) == (2, True)
    file.unlink()
    assert run("info").exit_code == 2


def test_an_engine_of_ones_own_asks_for_no_token(tokens, tmp_path, monkeypatch):
    monkeypatch.setenv("LOADLOOM_TOKEN_HASHES", tokens.file)
    monkeypatch.setenv("LOADLOOM_TOKEN", "stale")
    done = CliRunner().invoke(app, ["orderly", "list", "--store", str(tmp_path)])
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize("trusting", [True, False])
def test_a_client_without_a_certificate_or_without_trust_is_not_served(
    secure, certificate, trusting
):
    tls = Tls(root_certificates=certificate[0] if trusting else None)
    with Client(secure, tls=tls) as client, pytest.raises(Unavailable):
        client.system_info(timeout_s=60)


@pytest.mark.parametrize(
    ("asked", "limit", "expected"), [(None, None, 60), (None, 300, 305), (None, 3, 60), (2, 300, 2)]
)
def test_a_call_may_take_as_long_as_its_solve(asked, limit, expected):
    assert call_timeout_s(asked, 60, {"time_limit_s": limit}) == expected
