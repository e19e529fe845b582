"""Refusals: why a call has no answer, as a canonical code with google.rpc details."""

from collections.abc import Callable, Sequence
from functools import partial

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from loadloom.models.checks import Violation

DOMAIN = "loadloom"

HEADER_BYTES = 4096
"""The room for details in a trailer: callers take 8 KiB of metadata, and base64 adds a third."""

MESSAGE_CHARACTERS = 500

Metadata = tuple[tuple[str, str | bytes], ...]


class Refusal(Exception):  # noqa: N818 -- an answer to the caller, not a failure of ours
    """The reason a call, or a part of it, has no answer.

    Attributes:
        code: the canonical code.
        reason: the reason in one word of capitals, for programs.
        violations: the fields at fault.
        retry_s: the time after which the same call may succeed; None if it never will.
        facts: what programs may want to know beside the reason.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        retry_s: float | None = None,
        facts: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.violations, self.retry_s, self.facts = tuple(violations), retry_s, facts or {}

    def __reduce__(self) -> tuple[Callable[..., "Refusal"], tuple[grpc.StatusCode, str, str]]:
        # An exception is pickled with its message alone; those of worker processes travel.
        more = {"violations": self.violations, "retry_s": self.retry_s, "facts": self.facts}
        return partial(Refusal, **more), (self.code, self.reason, self.message)

    def status(self, room: int | None = None) -> Status:
        """The refusal as a message, with as many violations as fit into `room` bytes."""
        details: list[Message] = [ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.facts)]
        if self.retry_s is not None:
            retry = RetryInfo()
            retry.retry_delay.FromNanoseconds(round(self.retry_s * 1e9))
            details.append(retry)
        if self.violations:
            details.append(_bad_request(self.violations, room))
        status = Status(code=self.code.value[0], message=_shortened(self.message))
        for detail in details:
            packed = Any()
            packed.Pack(detail)
            status.details.append(packed)
        return status

    def trailer(self) -> Metadata:
        """The trailing metadata that carries the details.

        A negative push-back tells a client that retries by service config not to.
        """
        pause = -1 if self.retry_s is None else round(self.retry_s * 1000)
        return (
            ("grpc-status-details-bin", self.status(HEADER_BYTES).SerializeToString()),
            ("grpc-retry-pushback-ms", str(pause)),
        )


def invalid(violations: Sequence[Violation]) -> Refusal:
    """The refusal of a request that breaks rules."""
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELDS",
        f"{violations[0]}{more}",
        violations=violations,
    )


def malformed(message: str) -> Refusal:
    """The refusal of bytes, or of a sequence of messages, that make no sense."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE", message)


def too_large(path: str, limit: str, asked: int, most: int) -> Refusal:
    """The refusal of a request that is larger than a limit of this server."""
    message = f"asks for {asked:,}; this server takes at most {most:,} {limit}"
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "LIMIT_EXCEEDED",
        f"{path}: {message}",
        violations=[Violation(path, message)],
        facts={"limit": limit, "asked": str(asked), "most": str(most)},
    )


def overloaded(most: int, what: str = "calls") -> Refusal:
    """The refusal of a call beyond what the server takes at once."""
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "OVERLOADED",
        f"{most:,} {what} are under way, which is all this server takes at once; try again",
        retry_s=1.0,
    )


def over_quota(what: str, retry_s: float) -> Refusal:
    """The refusal of a call whose tenant has used all that it may."""
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "QUOTA_EXCEEDED",
        f"{what} are all that this server takes from one tenant; try again later",
        retry_s=retry_s,
    )


def no_setup(seconds: float) -> Refusal:
    """The refusal of a stream that did not begin."""
    return Refusal(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "SETUP_MISSING",
        f"no setup came within {seconds:.3g} s; send it as soon as the stream is open",
    )


def silent(seconds: float) -> Refusal:
    """The refusal of a stream whose caller stopped to send while much is kept of what it sent."""
    return Refusal(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "STREAM_SILENT",
        f"no chunk came for {seconds:.3g} s, and what came before is kept meanwhile; send the "
        "chunks one soon after the other, and then end the stream",
    )


def unread(seconds: float) -> Refusal:
    """The refusal of a stream whose caller did not read while others waited for its room."""
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "ANSWER_UNREAD",
        f"an answer stayed unread for {seconds:.3g} s while other streams waited for room; "
        "read answers as they come, or ask for less at a time",
        retry_s=1.0,
    )


def worker_died() -> Refusal:
    """The refusal of a call whose worker process died."""
    return Refusal(
        grpc.StatusCode.UNAVAILABLE,
        "WORKER_DIED",
        "the process that solved this problem died; try again",
        retry_s=0.5,
    )


def no_cluster(said: str) -> Refusal:
    """The refusal of a sum whose cluster is not there."""
    return Refusal(
        grpc.StatusCode.UNAVAILABLE,
        "CLUSTER_AWAY",
        f"the cluster of this server's setting cluster cannot be used now: {said}",
        retry_s=1.0,
    )


def out_of_memory(setting: str = "worker_memory_mib") -> Refusal:
    """The refusal of what took more memory than a setting lets the process of a solve have."""
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "OUT_OF_MEMORY",
        "this needs more memory than one solve may take here; ask for less at once, or have the "
        f"server's setting {setting} raised",
        facts={"setting": setting},
    )


def going_away() -> Refusal:
    """The refusal of a call that would outlive the server."""
    return Refusal(
        grpc.StatusCode.UNAVAILABLE,
        "GOING_AWAY",
        "the server is being stopped; try another one, or again",
        retry_s=1.0,
    )


def out_of_time(message: str) -> Refusal:
    """The refusal of a call for which nothing was found in time."""
    return Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "OUT_OF_TIME", message)


def store_away() -> Refusal:
    """The refusal of a call that needs the database while it cannot be used."""
    return Refusal(
        grpc.StatusCode.UNAVAILABLE,
        "DATABASE_AWAY",
        "the database of operations cannot be used now; try again",
        retry_s=1.0,
    )


def no_token() -> Refusal:
    """The refusal of a call that bears no token."""
    return Refusal(
        grpc.StatusCode.UNAUTHENTICATED,
        "TOKEN_MISSING",
        "this server asks for a token: --token-file or LOADLOOM_TOKEN of its clients, or the "
        "metadata authorization: Bearer TOKEN",
    )


def unknown_token() -> Refusal:
    """The refusal of a call whose token nobody was given, or was revoked."""
    said = "the token is not known to this server; it may have been revoked, or its time is over"
    return Refusal(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_UNKNOWN", said)


def denied(role: str, least: str | None) -> Refusal:
    """The refusal of a call that the caller's role may not make; `least` is one that may."""
    return Refusal(
        grpc.StatusCode.PERMISSION_DENIED,
        "ROLE_LACKS",
        f"a {role} may not call this" + (f"; a token of role {least} may" if least else ""),
        facts={"role": role, **({"least": least} if least else {})},
    )


def other_user() -> Refusal:
    """The refusal of a member's call about another user."""
    said = "the token is that of one user, who sees its own side alone; leave the user out"
    return Refusal(grpc.StatusCode.PERMISSION_DENIED, "OTHER_USER", said)


def not_found(name: str) -> Refusal:
    """The refusal of a call about something that the caller does not have."""
    return Refusal(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", f"there is no {name}")


def other_request(request_id: str) -> Refusal:
    """The refusal of a request whose id belongs to another one."""
    return Refusal(
        grpc.StatusCode.ALREADY_EXISTS,
        "OTHER_REQUEST",
        f"request_id: {request_id} was used for another request; give every request its own",
        violations=[Violation("request_id", "was used for another request")],
    )


def not_ended(name: str) -> Refusal:
    """The refusal to delete an operation that is under way."""
    return Refusal(
        grpc.StatusCode.FAILED_PRECONDITION,
        "NOT_ENDED",
        f"{name} is still under way; cancel it, or wait for its end",
    )


def wrong_state(message: str) -> Refusal:
    """The refusal of what cannot be done to something in the state it is in."""
    return Refusal(grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE", message)


def overtaken(name: str) -> Refusal:
    """The refusal of a change to something that another call changed at the same time."""
    return Refusal(
        grpc.StatusCode.ABORTED,
        "OVERTAKEN",
        f"another call changed {name} at this moment; look at it and try again",
        retry_s=0.2,
    )


def cancelled() -> Refusal:
    """The end of an operation that a caller cancelled."""
    return Refusal(grpc.StatusCode.CANCELLED, "CANCELLED", "a caller cancelled the operation")


def solve_died(attempts: int) -> Refusal:
    """The end of an operation whose solve died each time."""
    return Refusal(
        grpc.StatusCode.INTERNAL,
        "SOLVE_DIED",
        f"the process that solved this operation died in each of {attempts} attempts; the "
        "server's log says more under the operation's name. If the log has no fault of ours, the "
        "machine may have run out of memory: ask for less at once, or lower job_workers",
        facts={"attempts": str(attempts)},
    )


def internal(error_id: str) -> Refusal:
    """The refusal of a call that met a fault of ours; the log has the rest under the id."""
    return Refusal(
        grpc.StatusCode.INTERNAL,
        "INTERNAL_ERROR",
        f"internal error {error_id}; the server's log says more under this id",
        facts={"error_id": error_id},
    )


def _bad_request(violations: Sequence[Violation], room: int | None) -> BadRequest:
    found = BadRequest()
    for index, violation in enumerate(violations):
        found.field_violations.add(field=violation.path, description=_shortened(violation.message))
        if room is not None and found.ByteSize() > room - 200:
            del found.field_violations[-1:]
            left = len(violations) - index
            found.field_violations.add(description=f"{left} more violations do not fit in here")
            break
    return found


def _shortened(text: str) -> str:
    if len(text) <= MESSAGE_CHARACTERS:
        return text
    return text[: MESSAGE_CHARACTERS - 1] + "…"
