import subprocess

import pytest

from loadloom.client.client import Client
from loadloom.client.connection import Tls, call_timeout_s
from loadloom.client.embedded import engine
from loadloom.client.errors import Unavailable


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


@pytest.fixture(scope="module")
def secure(certificate):
    """The address of an engine that wants TLS and a certificate of its callers."""
    file, key = map(str, certificate)
    tls = ("--tls-certificate", file, "--tls-key", key, "--tls-client-ca", file)
    with engine("--workers", "1", *tls) as target:
        yield target


def test_a_client_with_a_certificate_is_served(secure, certificate):
    file, key = certificate
    tls = Tls(root_certificates=file, client_certificate=file, client_key=key)
    with Client(secure, tls=tls) as client:
        assert client.system_info().families


@pytest.mark.parametrize("trusting", [True, False])
def test_a_client_without_a_certificate_or_without_trust_is_not_served(
    secure, certificate, trusting
):
    tls = Tls(root_certificates=certificate[0] if trusting else None)
    with Client(secure, tls=tls) as client, pytest.raises(Unavailable):
        client.system_info(timeout_s=5)


@pytest.mark.parametrize(
    ("asked", "limit", "expected"), [(None, None, 60), (None, 300, 305), (None, 3, 60), (2, 300, 2)]
)
def test_a_call_may_take_as_long_as_its_solve(asked, limit, expected):
    assert call_timeout_s(asked, 60, {"time_limit_s": limit}) == expected
