"""The connection to a server: retries, message sizes, TLS, tokens and the time a call may take."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from loadloom.client.request import Wishes

TARGET = "127.0.0.1:8421"
"""Where a server listens unless told otherwise."""

MESSAGE_BYTES = 256 * 2**20
"""The largest message in either direction; the server's own limit may be lower."""

TIMEOUT_S = 60.0
"""How long a call may take unless told otherwise."""

ANSWER_RESERVE_S = 5.0
"""The time for the way there and back, beyond the time limit of a solve."""

TOKEN_VARIABLE = "LOADLOOM_TOKEN"  # noqa: S105 -- the name of one
"""The variable of the environment with the token, unless one is given."""

STREAM_METHOD = "/loadloom.v1.DispatchService/StreamPlanDispatch"

# Only calls that do nothing more the second time, which all of these are, may be tried again. A
# stream is not in the list: once batches are under way, only the caller knows which of them it
# still wants.
RETRIED = (
    {"service": "loadloom.v1.DispatchService", "method": "PlanDispatch"},
    {"service": "loadloom.v1.DispatchService", "method": "BatchPlanDispatch"},
    {"service": "loadloom.v1.SystemService"},
    *(
        {"service": "google.longrunning.Operations", "method": f"{verb}Operation"}
        for verb in ("Get", "Wait", "Cancel")
    ),
    {"service": "google.longrunning.Operations", "method": "ListOperations"},
    # The client gives whatever is kept a request id: it is made once.
    *(
        {"service": "loadloom.v1.OrderlyService", "method": method}
        for method in (
            *("CreateSchedule", "ReviseSchedule", "GetSchedule", "ListSchedules"),
            *("ExplainSchedule", "ListNotices", "AcknowledgeNotice", "RecordDelivery", "GetLedger"),
        )
    ),
    *(
        {"service": "loadloom.v1.AgencyService", "method": method}
        for method in (
            *("AggregateLoads", "AssessPrices", "ShareCost", "PlanPurchase", "FormPortfolio"),
            *("CreateSettlement", "CorrectSettlement", "GetSettlement", "ListSettlements"),
            *("ListStatements", "GetStatement"),
        )
    ),
)

SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": RETRIED,
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "5s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The files for an encrypted connection, in PEM.

    Attributes:
        root_certificates: the authorities to trust; those of gRPC when left out.
        client_certificate: the client's own certificate chain, where the server asks for one.
        client_key: the private key to it.
    """

    root_certificates: Path | str | None = None
    client_certificate: Path | str | None = None
    client_key: Path | str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """The credentials in the files."""
        return grpc.ssl_channel_credentials(
            root_certificates=_content(self.root_certificates),
            private_key=_content(self.client_key),
            certificate_chain=_content(self.client_certificate),
        )


def sync_channel(target: str, tls: Tls | None, token: str | None = None) -> grpc.Channel:
    """A channel for calls that block."""
    credentials = _credentials(tls, token)
    if credentials is None:
        return grpc.insecure_channel(target, options=_options())
    return grpc.secure_channel(target, credentials, options=_options())


def aio_channel(target: str, tls: Tls | None, token: str | None = None) -> grpc.aio.Channel:
    """A channel for calls that are awaited."""
    credentials = _credentials(tls, token)
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=_options())
    return grpc.aio.secure_channel(target, credentials, options=_options())


def call_timeout_s(asked_s: float | None, default_s: float, wishes: Wishes) -> float:
    """How long a call may take: as asked, or the default, or the solve's own limit if longer."""
    if asked_s is not None:
        return asked_s
    return max(default_s, (wishes.get("time_limit_s") or 0.0) + ANSWER_RESERVE_S)


def _credentials(tls: Tls | None, token: str | None) -> grpc.ChannelCredentials | None:
    """What encrypts the connection and proves who calls; None for neither.

    Without TLS a token goes to servers of this machine alone: gRPC refuses to connect to others.
    """
    if token is None:
        token = os.environ.get(TOKEN_VARIABLE, "")
    encrypted = None if tls is None else tls.credentials()
    if not token:
        return encrypted
    bearer = grpc.access_token_call_credentials(token.strip())
    return grpc.composite_channel_credentials(encrypted or grpc.local_channel_credentials(), bearer)


def _options() -> Sequence[tuple[str, Any]]:
    return [
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        ("grpc.enable_retries", 1),
        # A request beyond this buffer, 256 KiB by default, would silently not be tried again.
        ("grpc.per_rpc_retry_buffer_size", MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ("grpc.max_send_message_length", MESSAGE_BYTES),
    ]


def _content(file: Path | str | None) -> bytes | None:
    return None if file is None else Path(file).read_bytes()
