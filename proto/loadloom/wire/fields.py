"""The fields of a message of columns, read from its bytes without an object for each value.

The bytes are walked as long as they are encoded as nearly every writer does it: known fields, each
at most once, numbers packed. At the first thing that is not, protobuf parses the message instead
and the same fields are taken from there, so the answer is always protobuf's. The numbers of fields
come from the descriptors.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from loadloom.v1.common_pb2 import Matrix, Provenance, Series
from loadloom.v1.dispatch_pb2 import PlanBatch, SiteBatch
from loadloom.wire import arrays, varints
from loadloom.wire.varints import UnusualEncoding

Fields = dict[str, Any]
"""The fields that are present in a message, by name; one that holds fields is such a dict again."""

Reader = Callable[[bytes, int], tuple[Any, int]]
"""Reads the value of a field that begins at a position: the value, and the position after it."""

WALKED = (SiteBatch, PlanBatch, Matrix, Series, Duration)
"""The messages read into fields. All others stay messages, and are left to protobuf."""


class MalformedMessage(ValueError):  # noqa: N818 -- it names the message's state, not a failure of ours
    """Bytes that protobuf does not take for the message they should be."""


def read(raw: bytes, message: type[Message]) -> Fields:
    """The fields of a message in bytes; raises MalformedMessage where protobuf refuses them."""
    try:
        return walk(raw, 0, len(raw), table(message.DESCRIPTOR))
    except UnusualEncoding:
        pass
    try:
        return contents(message.FromString(raw))
    except (DecodeError, UnicodeDecodeError) as error:  # the latter where protobuf is pure Python
        raise MalformedMessage(str(error)) from error


def contents(message: Message) -> Fields:
    """The fields of a parsed message."""
    return {field.name: _content(value) for field, value in message.ListFields()}


def _content(value: Any) -> Any:  # noqa: ANN401 -- whatever a field of protobuf holds
    if isinstance(value, Series):
        values = arrays.from_series(value)
        values.flags.writeable = False  # as where they are walked
        return {"values": values}
    if isinstance(value, WALKED):
        return contents(value)
    if isinstance(value, str | int | Message):
        return value
    return np.array(value, dtype=np.int32)


def walk(raw: bytes, position: int, stop: int, readers: Mapping[int, tuple[str, Reader]]) -> Fields:
    """The fields of a message between two positions; raises UnusualEncoding for any doubt."""
    found: Fields = {}
    while position < stop:
        tag, position = varints.decode(raw, position)
        if tag not in readers:
            raise UnusualEncoding(f"tag {tag}")
        name, reader = readers[tag]
        if name in found:  # protobuf merges messages and keeps the last of all else
            raise UnusualEncoding(f"{name} for a second time")
        found[name], position = reader(raw, position)
    if position != stop:
        raise UnusualEncoding("a field that runs past the end of its message")
    return found


@cache
def table(message: Descriptor) -> dict[int, tuple[str, Reader]]:
    """The name and the reader of the fields of a message that can be walked, by tag."""
    return {
        field.number << 3 | _wire_type(field): (field.name, reader)
        for field in message.fields
        if (reader := _reader(field)) is not None
    }


@cache
def tags(message: type[Message]) -> dict[str, bytes]:
    """The tags of the fields of a message that can be walked, by name."""
    readers = table(message.DESCRIPTOR)
    return {name: varints.encode(tag) for tag, (name, _) in readers.items()}


def _wire_type(field: FieldDescriptor) -> int:
    numbers = {FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64}
    return 0 if field.type in numbers and not field.is_repeated else 2


def _reader(field: FieldDescriptor) -> Reader | None:
    if field.message_type in {message.DESCRIPTOR for message in WALKED}:
        return partial(_message, readers=table(field.message_type))
    if field.message_type is Provenance.DESCRIPTOR:
        return _provenance
    return _READERS.get((field.type, field.is_repeated))


def _message(
    raw: bytes, position: int, *, readers: Mapping[int, tuple[str, Reader]]
) -> tuple[Fields, int]:
    start, stop = _span(raw, position)
    return walk(raw, start, stop, readers), stop


def _provenance(raw: bytes, position: int) -> tuple[Provenance, int]:
    """A small message among large columns, which must not send them all to protobuf."""
    start, stop = _span(raw, position)
    try:
        return Provenance.FromString(raw[start:stop]), stop
    except (DecodeError, UnicodeDecodeError) as error:
        raise UnusualEncoding(str(error)) from error


def _text(raw: bytes, position: int) -> tuple[str, int]:
    start, stop = _span(raw, position)
    try:
        return raw[start:stop].decode(), stop
    except UnicodeDecodeError as error:
        raise UnusualEncoding(str(error)) from error


def _doubles(raw: bytes, position: int) -> tuple[NDArray[np.float64], int]:
    start, stop = _span(raw, position)
    if (stop - start) % arrays.DOUBLE.itemsize:
        raise UnusualEncoding("a run of doubles that ends within one")
    values = np.frombuffer(raw, arrays.DOUBLE, (stop - start) // arrays.DOUBLE.itemsize, start)
    # A view of the bytes if it is aligned: new memory for a copy of 8 x 1,000 x 96 values costs 2
    # to 5 ms, nearly all of it page faults. Else the copy: numpy takes twice as long for each look
    # at unaligned values, and Numba takes every array for aligned.
    values = values.astype(np.float64, copy=not values.flags.aligned)
    values.flags.writeable = False
    return values, stop


def _integers(raw: bytes, position: int) -> tuple[NDArray[np.int32], int]:
    start, stop = _span(raw, position)
    return varints.decode_many(raw[start:stop]), stop


def _span(raw: bytes, position: int) -> tuple[int, int]:
    length, start = varints.decode(raw, position)
    if start + length > len(raw):
        raise UnusualEncoding("a length past the end")
    return start, start + length


_number = partial(varints.decode, width=10)

_READERS: dict[tuple[int, bool], Reader] = {
    (FieldDescriptor.TYPE_STRING, False): _text,
    (FieldDescriptor.TYPE_UINT32, False): _number,
    (FieldDescriptor.TYPE_INT32, False): _number,
    (FieldDescriptor.TYPE_INT64, False): _number,
    (FieldDescriptor.TYPE_DOUBLE, True): _doubles,
    (FieldDescriptor.TYPE_INT32, True): _integers,
    (FieldDescriptor.TYPE_ENUM, True): _integers,
}
