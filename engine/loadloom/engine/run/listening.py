"""What keeps a server from listening somewhere, told before anything is tried in earnest."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL

from prometheus_client import CollectorRegistry, start_http_server


def obstacle(host: str, port: int, prefix: str = "") -> str:
    """Why nobody can listen there, naming the setting to change; empty if somebody can.

    `prefix` is that of the settings' names, such as "metrics_".
    """
    host = host.strip("[]")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return f"{prefix}host {host}: is neither an address nor a name that is known here"
    for family, kind, protocol, _, address in found:
        try:
            _try(family, kind, protocol, address)
        except OSError as error:
            return _told(error, host, port, prefix)
    return ""


@contextmanager
def metrics_served(host: str, port: int, registry: CollectorRegistry) -> Iterator[None]:
    """Serves metrics while the block runs; not with port 0.

    Raises:
        OSError: the address cannot be listened on.
    """
    if not port:
        yield
        return
    if reason := obstacle(host, port, "metrics_"):
        raise OSError(f"cannot serve metrics: {reason}")
    server, thread = start_http_server(port, host, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _try(family: int, kind: int, protocol: int, address: tuple[object, ...]) -> None:
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)


def _told(error: OSError, host: str, port: int, prefix: str) -> str:
    if error.errno == EADDRINUSE:
        cure = "0 for none" if prefix else "0 for any that is free"
        return f"{prefix}port {port}: is taken; choose another one, or {cure}"
    if error.errno == EADDRNOTAVAIL:
        return f"{prefix}host {host}: is not an address of this machine"
    if error.errno == EACCES:
        return f"{prefix}port {port}: may not be used by this user; choose one from 1024 on"
    return f"{prefix}host {host}, {prefix}port {port}: {error.strerror or error}"
