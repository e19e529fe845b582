"""Messages a little off: valid ones of which some fields are odd, missing, doubled or dropped."""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import islice

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

NUMBERS = (0.0, -1.0, 0.5, 1.0, 1e-308, 1e6, 1e9, 1e308, math.nan, math.inf, -math.inf)
WHOLE = (0, 1, 2, 3, 4, 5, 24, 100, 10**6, 2**31 - 1, -1, -(2**31), 2**32 - 1, 2**63 - 1)
TEXTS = ("", "x", "home", "battery", "EUR", "Europe/Amsterdam", "日本", "\0", "a" * 300)
CHOICES = (0, 1, 2, 3, 4, 5, 99)
MOST = 4
"""The changes to one message."""


def mutant(message: Message, generator: random.Random) -> Message:
    """A copy of the message with a few changes."""
    found = type(message)()
    found.CopyFrom(message)
    for _ in range(generator.randint(1, MOST)):
        _change(found, generator)
    return found


def singles(message: Message) -> Iterator[Message]:
    """Copies of the message with one change each: every field within, with every odd value."""
    whole = message.SerializeToString()
    for place in range(sum(1 for _ in _places(message))):
        for turn in range(len(WHOLE)):
            found = type(message).FromString(whole)
            inner, field = next(islice(_places(found), place, None))
            values = [value for value in _odds(field) if _fits(field, value)]
            if turn >= len(values):
                break
            if field.is_repeated:
                getattr(inner, field.name)[:1] = [values[turn]]
            else:
                setattr(inner, field.name, values[turn])
            yield found


def _places(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """The fields of the message, and of those within, that hold values; of many, of the first."""
    for field in message.DESCRIPTOR.fields:
        if not field.message_type:
            yield message, field
        elif not field.is_repeated:
            yield from _places(getattr(message, field.name)) if message.HasField(field.name) else ()
        elif getattr(message, field.name):
            yield from _places(getattr(message, field.name)[0])


def _change(message: Message, generator: random.Random) -> None:
    """Changes one field of the message, or of one within."""
    fields = message.DESCRIPTOR.fields
    if not fields:
        return
    field = generator.choice(fields)
    if field.message_type and field.is_repeated:
        _change_messages(getattr(message, field.name), generator)
    elif field.message_type:
        _change_message(message, field.name, generator)
    elif field.is_repeated:
        _change_values(getattr(message, field.name), field, generator)
    elif (value := _odd(field, generator)) is not None:
        setattr(message, field.name, value)


def _change_message(message: Message, name: str, generator: random.Random) -> None:
    kind = generator.random()
    if kind < 0.1:
        message.ClearField(name)
    elif kind < 0.2:
        getattr(message, name).SetInParent()
    else:
        _change(getattr(message, name), generator)


def _change_messages(messages, generator: random.Random) -> None:
    kind = generator.random()
    if kind < 0.2 or not messages:
        _change(messages.add(), generator)
    elif kind < 0.3:
        del messages[generator.randrange(len(messages))]
    elif kind < 0.4:
        messages.add().CopyFrom(generator.choice(messages))
    else:
        _change(generator.choice(messages), generator)


def _change_values(values, field: FieldDescriptor, generator: random.Random) -> None:
    kind, value = generator.random(), _odd(field, generator)
    if value is None:
        return
    if kind < 0.3 or not values:
        values.append(value)
    elif kind < 0.9:
        values[generator.randrange(len(values))] = value
    else:
        del values[generator.randrange(len(values))]


def _odd(field: FieldDescriptor, generator: random.Random) -> object:
    """An odd value that the field can hold; None if it cannot hold the one drawn."""
    value = generator.choice(_odds(field))
    return value if _fits(field, value) else None


def _odds(field: FieldDescriptor) -> Sequence[object]:
    """The odd values of the field's kind."""
    kind = field.cpp_type
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return NUMBERS
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return (False, True)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return CHOICES
    if kind == FieldDescriptor.CPPTYPE_STRING:
        as_bytes = field.type == FieldDescriptor.TYPE_BYTES
        return [text.encode() for text in TEXTS] if as_bytes else TEXTS
    return WHOLE


def _fits(field: FieldDescriptor, value: object) -> bool:
    """Whether the field can hold the value."""
    low, high = RANGES.get(field.cpp_type, (-math.inf, math.inf))
    return not isinstance(value, int) or low <= value <= high


RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
