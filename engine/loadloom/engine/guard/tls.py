"""The server's credentials."""

import grpc

from loadloom.engine.settings import BadSettings, Settings


def credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """The credentials that the settings name, or None to listen without TLS.

    Raises:
        BadSettings: a file cannot be read.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    certificate, key = _content("tls_certificate", settings), _content("tls_key", settings)
    authorities = _content("tls_client_ca", settings) if settings.tls_client_ca else None
    return grpc.ssl_server_credentials(
        [(key, certificate)],
        root_certificates=authorities,
        require_client_auth=authorities is not None,
    )


def _content(name: str, settings: Settings) -> bytes:
    try:
        return getattr(settings, name).read_bytes()
    except OSError as error:
        raise BadSettings(f"{name}: cannot read it: {error}") from error
