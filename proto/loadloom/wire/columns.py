"""The messages of a stream of plans, as arrays: the batches of sites, and the plans of them.

Encoding joins headers and arrays, decoding reads the arrays where they stand in the bytes; see
`loadloom.wire.fields` for why the result is nevertheless always protobuf's. Only a matrix's
own shape is checked here; what rows and columns a batch needs is for its reader to say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from numpy.typing import ArrayLike, NDArray

from loadloom.v1.common_pb2 import Matrix, Provenance, Series
from loadloom.v1.dispatch_pb2 import (
    PlanBatch,
    SiteBatch,
    StreamPlanDispatchRequest,
    StreamPlanDispatchResponse,
    StreamReady,
    StreamSetup,
)
from loadloom.wire import arrays, varints
from loadloom.wire.fields import Fields, MalformedMessage, read, tags

Columns = dict[str, NDArray[np.float64]]
"""Arrays by the name of their field."""

_LENGTH_WIDTH = 5
_NUMBER_WIDTH = 10


def _names(message: type[Message], column: type[Message]) -> tuple[str, ...]:
    fields = message.DESCRIPTOR.fields
    return tuple(field.name for field in fields if field.message_type is column.DESCRIPTOR)


SITE_MATRICES = _names(SiteBatch, Matrix)
"""The matrices of a batch of sites."""

PLAN_MATRICES = _names(PlanBatch, Matrix)
"""The matrices of a batch of plans."""

PLAN_SERIES = _names(PlanBatch, Series)
"""The series of a batch of plans."""


class BadMatrix(ValueError):  # noqa: N818 -- it names the matrix's state, not a failure of ours
    """Matrices of the batch `key` whose values do not fill their rows and columns.

    `violations` holds the field and what is wrong with it, for each of them.
    """

    def __init__(self, key: str, violations: Iterable[tuple[str, str]]) -> None:
        self.key = key
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{name} {message}" for name, message in self.violations))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sites:
    """A batch of sites: the matrices that were given, each of (rows, columns)."""

    key: str
    site_count: int
    matrices: Columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """The plans of a batch of sites: one value a site in series, (sites, intervals) in matrices.

    With an `error` there is nothing else.
    """

    key: str
    error: Status | None = None
    reasons: NDArray[np.int32]
    conflict_intervals: NDArray[np.int32]
    series: Columns
    matrices: Columns
    solve_time_s: float
    provenance: Provenance | None = None


def decode_request(raw: bytes) -> StreamSetup | Sites:
    """What a message to the server says.

    Raises MalformedMessage for bytes that are not such a message, and BadMatrix.
    """
    found = read(raw, StreamPlanDispatchRequest)
    if "setup" in found:
        return found["setup"]
    if "sites" not in found:
        raise MalformedMessage("the message holds neither a setup nor sites")
    batch = found["sites"]
    key = batch.get("key", "")
    return Sites(
        key=key,
        site_count=batch.get("site_count", 0),
        matrices=_matrices(key, batch, SITE_MATRICES),
    )


def decode_response(raw: bytes) -> StreamReady | Plans:
    """What a message from the server says.

    Raises MalformedMessage for bytes that are not such a message, and BadMatrix.
    """
    found = read(raw, StreamPlanDispatchResponse)
    if "ready" in found:
        return found["ready"]
    if "plans" not in found:
        raise MalformedMessage("the message holds neither a consent nor plans")
    batch = found["plans"]
    key = batch.get("key", "")
    duration = batch.get("solve_time", {})
    return Plans(
        key=key,
        error=batch.get("error"),
        reasons=batch.get("reasons", np.empty(0, np.int32)),
        conflict_intervals=batch.get("conflict_intervals", np.empty(0, np.int32)),
        series={name: _values(batch[name]) for name in PLAN_SERIES if name in batch},
        matrices=_matrices(key, batch, PLAN_MATRICES),
        solve_time_s=duration.get("seconds", 0) + duration.get("nanos", 0) * 1e-9,
        provenance=batch.get("provenance"),
    )


def encode_setup(setup: StreamSetup) -> bytes:
    """The message to the server that opens a stream."""
    return StreamPlanDispatchRequest(setup=setup).SerializeToString()


def encode_sites(key: str, site_count: int, matrices: Mapping[str, ArrayLike]) -> bytes:
    """The message to the server with a batch of sites.

    A matrix is a number, which holds for all sites and intervals, or has two dimensions. Raises
    ValueError for any other shape, and for a name that is no matrix of SiteBatch.
    """
    head = SiteBatch(key=key, site_count=site_count).SerializeToString()
    columns = {name: _matrix(name, matrices[name], SITE_MATRICES) for name in matrices}
    return _join(StreamPlanDispatchRequest, "sites", SiteBatch, head, columns)


def encode_ready(*, sites_per_batch: int, points: int, batches_under_way: int) -> bytes:
    """The message from the server that consents to a setup."""
    ready = StreamReady(
        sites_per_batch=sites_per_batch, points=points, batches_under_way=batches_under_way
    )
    return StreamPlanDispatchResponse(ready=ready).SerializeToString()


def encode_error(key: str, error: Status) -> bytes:
    """The message from the server with the fault in a batch."""
    return StreamPlanDispatchResponse(plans=PlanBatch(key=key, error=error)).SerializeToString()


def encode_plans(
    key: str,
    *,
    reasons: ArrayLike,
    conflict_intervals: ArrayLike,
    series: Mapping[str, ArrayLike],
    matrices: Mapping[str, ArrayLike],
    solve_time_s: float,
    provenance: Provenance | None = None,
) -> bytes:
    """The message from the server with the plans of a batch; reasons are TerminationReason numbers.

    Raises ValueError for a name that is no series or no matrix of PlanBatch, and as `encode_sites`.
    """
    duration = Duration()
    duration.FromNanoseconds(round(solve_time_s * 1e9))
    head = PlanBatch(key=key, solve_time=duration, provenance=provenance).SerializeToString()
    head += _field(PlanBatch, "reasons", varints.encode_many(reasons))
    head += _field(PlanBatch, "conflict_intervals", varints.encode_many(conflict_intervals))
    for name, values in series.items():
        _check_name(name, PLAN_SERIES)
        head += _field(PlanBatch, name, arrays.packed(values))
    columns = {name: _matrix(name, matrices[name], PLAN_MATRICES) for name in matrices}
    return _join(StreamPlanDispatchResponse, "plans", PlanBatch, head, columns)


def _values(column: Fields) -> NDArray[np.float64]:
    return column.get("values", np.empty(0))


def _matrices(key: str, batch: Fields, names: tuple[str, ...]) -> Columns:
    found, violations = {}, []
    for name in names:
        if name not in batch:
            continue
        matrix = batch[name]
        rows, columns = matrix.get("rows", 0), matrix.get("cols", 0)
        values = _values(matrix.get("values", {}))
        if values.size and values.size == rows * columns:
            found[name] = values.reshape(rows, columns)
        else:
            has = f"has {values.size} values for {rows} rows of {columns}"
            violations.append((name, f"{has}; must have one for each, and at least one"))
    if violations:
        raise BadMatrix(key, violations)
    return found


def _check_name(name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise ValueError(f"{name!r} is not a column; must be one of {', '.join(names)}")


def _matrix(name: str, values: ArrayLike, names: tuple[str, ...]) -> NDArray[np.float64]:
    _check_name(name, names)
    array = np.asarray(values, dtype=arrays.DOUBLE)
    if array.ndim not in {0, 2}:
        raise ValueError(f"{name} has {array.ndim} dimensions; must be a number or have two")
    return np.ascontiguousarray(array.reshape(array.shape or (1, 1)))


def _field(message: type[Message], name: str, content: bytes) -> bytes:
    return tags(message)[name] + varints.encode(len(content)) + content


def _join(
    message: type[Message], name: str, batch: type[Message], head: bytes, columns: Columns
) -> bytes:
    outer = tags(message)[name]
    pieces: list[bytes | memoryview] = [head]
    begin = position = len(outer) + _LENGTH_WIDTH
    position += len(head)
    for column, values in columns.items():
        header = _header(tags(batch)[column], values, position)
        pieces += header, values.data
        position += len(header) + values.nbytes
    return b"".join((outer, varints.encode(position - begin, _LENGTH_WIDTH), *pieces))


def _header(tag: bytes, values: NDArray[np.float64], position: int) -> bytes:
    """What stands before the values of a matrix that begins at a position.

    The number of rows takes as many bytes as bring the values to a multiple of eight, so that they
    can be read where they stand; to protobuf it is the same number. Lengths have one width, since
    positions depend on theirs.
    """
    rows, columns = values.shape
    run = arrays.VALUES_TAG + varints.encode(values.nbytes)
    series = tags(Matrix)["values"] + varints.encode(len(run) + values.nbytes) + run
    after = tags(Matrix)["cols"] + varints.encode(columns) + series
    start = position + len(tag) + _LENGTH_WIDTH + len(tags(Matrix)["rows"]) + len(after)
    least = len(varints.encode(rows))
    width = min(least + -(start + least) % 8, _NUMBER_WIDTH)
    body = tags(Matrix)["rows"] + varints.encode(rows, width) + after
    return tag + varints.encode(len(body) + values.nbytes, _LENGTH_WIDTH) + body
