import pickle

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from loadloom.client.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    LimitExceeded,
    LoadloomError,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Violation,
    from_status,
)


def status(code, message, *details):
    answer = Status(code=code.value[0], message=message)
    for detail in details:
        packed = Any()
        packed.Pack(detail)
        answer.details.append(packed)
    return answer


def bad_request(**violations):
    found = BadRequest()
    for path, message in violations.items():
        found.field_violations.add(field=path, description=message)
    return found


def test_an_invalid_request_names_every_violation():
    answer = status(
        grpc.StatusCode.INVALID_ARGUMENT,
        "a: is nan (and 1 more)",
        bad_request(a="is nan", b="is negative"),
    )
    error = from_status(answer)
    assert type(error) is InvalidRequest
    assert error.violations == (Violation("a", "is nan"), Violation("b", "is negative"))
    assert str(error) == "a: is nan (and 1 more); b: is negative"


def test_what_is_too_large_and_what_is_too_much_are_told_apart():
    retry = RetryInfo()
    retry.retry_delay.FromMilliseconds(1500)
    busy = from_status(status(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", retry))
    assert (type(busy), busy.retry_after_s) == (Overloaded, 1.5)
    large = from_status(status(grpc.StatusCode.RESOURCE_EXHAUSTED, "too large"))
    assert (type(large), large.retry_after_s) == (LimitExceeded, None)


def test_an_internal_error_carries_the_id_of_the_log():
    detail = ErrorInfo(reason="INTERNAL_ERROR", metadata={"error_id": "7f3a"})
    error = from_status(status(grpc.StatusCode.INTERNAL, "internal error", detail))
    assert (type(error), error.error_id) == (InternalError, "7f3a")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDenied),
        (grpc.StatusCode.OUT_OF_RANGE, LoadloomError),
    ],
)
def test_every_code_has_its_error(code, kind):
    error = from_status(status(code, "because"))
    assert (type(error), error.code, str(error)) == (kind, code.name, "because")


def test_a_code_of_a_later_version_is_unknown():
    assert from_status(Status(code=99, message="?")).code == "UNKNOWN"


def test_errors_survive_a_trip_to_another_process():
    error = InvalidRequest.of([Violation("a", "is nan")])
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.violations) == (
        InvalidRequest,
        "a: is nan",
        error.violations,
    )
