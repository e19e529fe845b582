"""Integers as protobuf writes them: seven bits a byte, lowest first, the eighth bit for more."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LARGEST = 2**31 - 1
_PLACES = np.arange(0, 70, 7, dtype=np.uint64)
_MINUS_ONE = b"\xff" * 9 + b"\x01"


class UnusualEncoding(ValueError):  # noqa: N818 -- it may be legal; protobuf is the judge
    """Bytes that are not encoded as nearly every writer would; protobuf says what they mean."""


def encode(number: int, width: int = 1) -> bytes:
    """The bytes of a number that is not negative, filled up with empty groups to a width."""
    octets = bytearray()
    while number >= 0x80 or len(octets) + 1 < width:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


def decode(raw: bytes, position: int, width: int = 5) -> tuple[int, int]:
    """The number at a position, and the position after it.

    Numbers from 2**31 on are unusual: protobuf cuts them to the width of their field. So are those
    of more than `width` bytes: protobuf refuses tags and lengths of more than five.
    """
    if position < len(raw) and raw[position] < 0x80:  # most of them, and twice as fast
        return raw[position], position + 1
    number = 0
    for shift in range(0, 7 * width, 7):
        if position >= len(raw):
            break
        byte = raw[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80 and number <= _LARGEST:
            return number, position
    raise UnusualEncoding(f"a number cut off, above 2**31 - 1, or longer than {width} bytes")


def encode_many(values: ArrayLike) -> bytes:
    """The bytes of integers one after another; negative ones take ten bytes each."""
    numbers = np.asarray(values, dtype=np.int64)
    if not ((numbers < 0) | (numbers >= 0x80)).any():
        return numbers.astype(np.uint8).tobytes()
    if (numbers == -1).all():  # no conflict at any site: by far the most batches
        return _MINUS_ONE * numbers.size
    rest = numbers.view(np.uint64)[:, np.newaxis] >> _PLACES
    more = rest >> 7 != 0
    octets = (rest & 0x7F | more.astype(np.uint64) << 7).astype(np.uint8)
    used = rest != 0
    used[:, 0] = True
    return octets[used].tobytes()


def decode_many(raw: bytes) -> NDArray[np.int32]:
    """The integers in bytes that hold nothing else, cut to 32 bits as protobuf cuts them."""
    octets = np.frombuffer(raw, dtype=np.uint8)
    final = octets < 0x80
    if final.all():
        return octets.astype(np.int32)
    if raw == _MINUS_ONE * (len(raw) // 10):
        return np.full(len(raw) // 10, -1, dtype=np.int32)
    if not final[-1]:
        raise UnusualEncoding("a number that is cut off")
    ends = np.flatnonzero(final) + 1
    starts = np.concatenate(([0], ends[:-1]))
    widths = ends - starts
    if widths.max() > 10:
        raise UnusualEncoding("a number longer than ten bytes")
    place = np.arange(octets.size) - np.repeat(starts, widths)
    bits = (octets & 0x7F).astype(np.uint64) << (7 * place).astype(np.uint64)
    return np.add.reduceat(bits, starts).astype(np.uint32).view(np.int32)
