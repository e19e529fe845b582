"""What can go wrong with a call, as exceptions that name every fault."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status

DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a request breaks: the field path, and what is wrong and would be right."""

    path: str
    message: str

    def __str__(self) -> str:
        """The path and what is wrong there."""
        return f"{self.path}: {self.message}" if self.path else self.message


class LoadloomError(Exception):
    """A call that brought no answer.

    Attributes:
        code: the name of the gRPC status, such as "UNAVAILABLE".
        violations: the rules that the request breaks, where that is the reason.
        retry_after_s: how long to wait before another try, if the server said so.
        error_id: the name under which the server logged its failure, if it failed.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        violations: Iterable[Violation] = (),
        retry_after_s: float | None = None,
        error_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s
        self.error_id = error_id


class InvalidRequest(LoadloomError):  # noqa: N818 -- it names the request's state
    """The request breaks rules; `violations` names every one, whether client or server found it."""

    @classmethod
    def of(cls, violations: Iterable[Violation]) -> "InvalidRequest":
        """The error for rules that were found broken before anything was sent."""
        found = tuple(violations)
        return cls("; ".join(map(str, found)), code="INVALID_ARGUMENT", violations=found)


class LimitExceeded(LoadloomError):  # noqa: N818
    """The request is larger than the server allows; `Client.system_info` tells its limits."""


class Overloaded(LoadloomError):  # noqa: N818
    """The server has too much to do; try again after `retry_after_s`."""


class DeadlineExceeded(LoadloomError):  # noqa: N818
    """The time for the call ran out before any plan was found."""


class Unavailable(LoadloomError):  # noqa: N818
    """The server cannot be reached or is going away; the retries are used up."""


class ClientClosed(LoadloomError):  # noqa: N818
    """The client was closed before the call."""

    @classmethod
    def now(cls) -> "ClientClosed":
        """The error of a call on a client that is closed."""
        return cls("the client is closed; make a new one", code="FAILED_PRECONDITION")


class Unauthenticated(LoadloomError):  # noqa: N818
    """The server asks for a token, and this one is not known to it."""


class PermissionDenied(LoadloomError):  # noqa: N818
    """The token is known, and its role may not do this."""


class NotFound(LoadloomError):  # noqa: N818
    """What was asked for does not exist, or is somebody else's."""


class AlreadyExists(LoadloomError):  # noqa: N818
    """The request id was used for another request."""


class Cancelled(LoadloomError):  # noqa: N818
    """The operation was cancelled."""


class InternalError(LoadloomError):
    """The server failed; its log has the cause under `error_id`."""


class InfeasibleError(Exception):
    """No plan can keep every rule; raised by `Plan.raise_if_infeasible` alone."""


_CLASSES: dict[str, type[LoadloomError]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "UNAVAILABLE": Unavailable,
    "INTERNAL": InternalError,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": AlreadyExists,
    "CANCELLED": Cancelled,
}


_GRPC_WORDS = re.compile(
    r"failed to connect|dns|name resolution|address lookup|socket closed|connection|recvmsg|"
    r"broken pipe|ssl|tls|handshak|stream removed|deadline exceeded|timeout",
    re.IGNORECASE,
)
"""How the details begin of a call that gRPC itself ended, and no server."""

_MEANINGS = {
    grpc.StatusCode.UNAVAILABLE: "no server can be reached there; is it running, is its address "
    "right, and do both sides use TLS or neither?",
    grpc.StatusCode.DEADLINE_EXCEEDED: "no answer came within the time for the call",
}
"""What it means when gRPC itself ends a call so."""

_NOT_LOCAL = "Endpoint is neither UDS or TCP loopback"
"""What gRPC says where a token would have to leave this machine unencrypted."""

_NEEDS_TLS = "a token goes to other machines over TLS alone; give the files for TLS"


def from_status(status: "Status") -> LoadloomError:
    """The error that a google.rpc.Status tells of."""
    from google.rpc.code_pb2 import Code
    from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo

    violations: list[Violation] = []
    retry_after_s, error_id = None, None
    for packed in status.details:
        if packed.TypeName() == BadRequest.DESCRIPTOR.full_name:
            bad = BadRequest.FromString(packed.value)
            violations += [Violation(v.field, v.description) for v in bad.field_violations]
        elif packed.TypeName() == RetryInfo.DESCRIPTOR.full_name:
            delay = RetryInfo.FromString(packed.value).retry_delay
            retry_after_s = delay.seconds + delay.nanos * 1e-9
        elif packed.TypeName() == ErrorInfo.DESCRIPTOR.full_name:
            error_id = ErrorInfo.FromString(packed.value).metadata.get("error_id", error_id)
        elif packed.TypeName() == RequestInfo.DESCRIPTOR.full_name:
            error_id = RequestInfo.FromString(packed.value).request_id
    code = Code.Name(status.code) if status.code in Code.values() else "UNKNOWN"
    kind = _CLASSES.get(code, LoadloomError)
    if code == "RESOURCE_EXHAUSTED":
        kind = LimitExceeded if retry_after_s is None else Overloaded
    return kind(
        _sentence(status.message, violations),
        code=code,
        violations=violations,
        retry_after_s=retry_after_s,
        error_id=error_id,
    )


def from_call(error: grpc.Call | grpc.aio.AioRpcError) -> LoadloomError:
    """The error that a failed gRPC call tells of."""
    from google.rpc.status_pb2 import Status

    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return from_status(Status.FromString(value))
    code: grpc.StatusCode = error.code()
    said = error.details() or ""
    if not _GRPC_WORDS.match(said):
        return from_status(Status(code=code.value[0], message=said))
    meaning = _NEEDS_TLS if _NOT_LOCAL in said else _MEANINGS.get(code, said)
    found = from_status(Status(code=code.value[0], message=meaning))
    found.add_note(f"gRPC says: {said}")
    return found


@contextmanager
def told() -> Iterator[None]:
    """Turns the gRPC errors of its block into those of this module."""
    try:
        yield
    except grpc.RpcError as error:
        if isinstance(error, (grpc.Call, grpc.aio.AioRpcError)):
            raise from_call(error) from None
        raise


def _sentence(message: str, violations: list[Violation]) -> str:
    missing = [str(v) for v in violations if v.message not in message]
    return "; ".join([*filter(None, [message]), *missing]) or "the server gave no reason"
