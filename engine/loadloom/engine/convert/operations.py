"""Operations between their rows in the database and the messages of google.longrunning."""

import base64
import binascii
import re

from google.longrunning.operations_pb2 import ListOperationsRequest
from google.longrunning.operations_pb2 import Operation as OperationMessage
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.status_pb2 import Status

from loadloom.engine.guard import refusal
from loadloom.engine.store.operations import Event, Filter, Operation, Standing
from loadloom.engine.store.schema import State
from loadloom.models.checks import Violation
from loadloom.v1 import operations_pb2 as pb

NAME = re.compile(r"operations/[0-9a-f]{32}")
REQUEST_ID = re.compile(r"[\x20-\x7e]{0,200}")

TYPE_PREFIX = "type.googleapis.com/"

PAGE, LARGEST_PAGE = 50, 1_000
"""The operations in a page unless asked otherwise, and the most there may be."""

STATES = {
    State.QUEUED: pb.OPERATION_STATE_QUEUED,
    State.RUNNING: pb.OPERATION_STATE_RUNNING,
    State.SUCCEEDED: pb.OPERATION_STATE_SUCCEEDED,
    State.FAILED: pb.OPERATION_STATE_FAILED,
    State.CANCELLED: pb.OPERATION_STATE_CANCELLED,
}

_TERM = re.compile(r'\s*(state|method|done)\s*=\s*(?:"([\w./]{1,200})"|([\w./]{1,200}))\s*')
_AND = re.compile(r"\bAND\b")
_VALUES: dict[str, tuple[str, ...]] = {"state": tuple(State), "done": ("true", "false")}
"""The values that a term may have, where there are few."""


def parse_name(name: str) -> str:
    """The name of an operation.

    Raises:
        Refusal: it is none.
    """
    if NAME.fullmatch(name):
        return name
    said = 'must be "operations/" and 32 hexadecimal digits'
    raise refusal.invalid([Violation("name", said)])


def parse_list(request: ListOperationsRequest) -> tuple[Filter, int | None, int]:
    """What to list: the filter, the number that a page begins before, and how many there are.

    Raises:
        Refusal: the request breaks rules.
    """
    violations: list[Violation] = []
    if request.name not in {"", "operations"}:
        violations.append(Violation("name", 'must be "operations" or empty'))
    if request.page_size < 0:
        violations.append(
            Violation("page_size", f"is {request.page_size}; it must not be less than 0")
        )
    wanted = _filter(request.filter, violations)
    before = _before(request.page_token, violations)
    if violations:
        raise refusal.invalid(violations)
    return wanted, before, min(request.page_size or PAGE, LARGEST_PAGE)


def page_token(last: Operation) -> str:
    """The token of the page after an operation."""
    return base64.urlsafe_b64encode(last.number.to_bytes(8, "big")).decode()


def _before(token: str, violations: list[Violation]) -> int | None:
    if not token:
        return None
    try:
        number = int.from_bytes(base64.b64decode(token, altchars=b"-_", validate=True), "big")
    except (binascii.Error, ValueError):
        number = -1
    if not 0 < number < 2**63:
        violations.append(Violation("page_token", "is not one that this server gave"))
    return number


def _filter(text: str, violations: list[Violation]) -> Filter:
    """The filter in a text such as 'state = RUNNING AND method = "..."'."""
    found: dict[str, str] = {}
    for term in _AND.split(text) if text.strip() else ():
        match = _TERM.fullmatch(term)
        name, value = (match[1], match[2] or match[3]) if match else ("", "")
        if value not in _VALUES.get(name, (value,)) or not name or name in found:
            said = (
                'must be terms such as state = RUNNING, method = "..." and done = true, each at '
                "most once, joined by AND"
            )
            violations.append(Violation("filter", said))
            return Filter()
        found[name] = value
    return Filter(
        state=State(found["state"]) if "state" in found else None,
        method=found.get("method"),
        ended=found["done"] == "true" if "done" in found else None,
    )


def render(operation: Operation) -> OperationMessage:
    """The message of an operation."""
    message = OperationMessage(name=operation.name, done=operation.ended)
    message.metadata.Pack(_metadata(operation))
    if operation.error is not None and operation.ended:
        message.error.CopyFrom(Status.FromString(operation.error))
    elif operation.response is not None:
        message.response.type_url = f"{TYPE_PREFIX}{operation.response_type}"
        message.response.value = operation.response
    return message


def render_event(event: Event) -> pb.WatchOperationResponse:
    """The message of an event."""
    return pb.WatchOperationResponse(
        event=pb.OperationEvent(
            number=event.number,
            event_time=_timestamp(event.event_time),
            state=STATES[event.state],
            attempt=event.attempt,
            progress=_progress(event.standing),
        )
    )


def _metadata(operation: Operation) -> pb.OperationMetadata:
    return pb.OperationMetadata(
        method=operation.method,
        state=STATES[operation.state],
        create_time=_timestamp(operation.create_time),
        start_time=_timestamp(operation.start_time),
        update_time=_timestamp(operation.update_time),
        end_time=_timestamp(operation.end_time),
        attempt=operation.attempt,
        progress=_progress(operation.standing),
        cancel_asked=operation.cancel_asked,
        event=operation.event,
        priority=operation.priority,
    )


def _progress(standing: Standing) -> pb.OperationProgress:
    return pb.OperationProgress(
        value=standing.value,
        bound=standing.bound,
        relative_gap=standing.relative_gap,
        phase=standing.phase,
    )


def _timestamp(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    stamp = Timestamp()
    stamp.FromMicroseconds(round(seconds * 1e6))
    return stamp
