"""Walk protobuf's wire format over a buffer; nothing is copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prototxt.errors import FormatError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}


class Field(NamedTuple):
    """One field, from `start` to `end`.

    A varint's `value` is the number, any other's the offset where its bytes begin.
    """

    number: int
    wire_type: int
    start: int
    value: int
    end: int


def varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and the offset after it."""
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    value = 0
    for index in range(10):
        if at + index >= end:
            raise FormatError(f"byte {at}: a number is cut off at byte {end}")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + index + 1
    raise FormatError(f"byte {at}: a number of more than 10 bytes")


def fields(data: memoryview, start: int, end: int) -> Iterator[Field]:
    """Yield every field of the message between two offsets, in file order."""
    at = start
    while at < end:
        field = read(data, at, end)
        yield field
        at = field.end


def read(data: memoryview, at: int, end: int) -> Field:
    """Return the field that begins at `at`; FormatError if it is none or ends after `end`."""
    key, value = varint(data, at, end)
    number, wire_type = key >> 3, key & 7
    if not 0 < number < 1 << 29:
        raise FormatError(f"byte {at}: field number {number}, which protobuf does not have")
    if wire_type == BYTES:
        if value < end and (size := data[value]) < 0x80:  # most sizes: saves a third of the walk
            value += 1
        else:
            size, value = varint(data, value, end)
        stop = value + size
    elif wire_type == VARINT:
        value, stop = varint(data, value, end)
    elif wire_type in _FIXED:
        stop = value + _FIXED[wire_type]
    else:
        raise FormatError(f"byte {at}: field {number} has wire type {wire_type}")
    if stop > end:
        problem = f"byte {at}: field {number} ends at byte {stop}, there are {end}"
        raise FormatError(problem, fix="is the file cut off? compare its size with its source's")
    return Field(number, wire_type, at, value, stop)


def signed(value: int) -> int:
    """Read a varint as protobuf's int32 and int64 do: two's complement."""
    return value - (1 << 64) if value >> 63 else value


def string(data: memoryview, field: Field) -> str:
    """Return a string field's text."""
    if field.wire_type != BYTES:
        raise FormatError(f"byte {field.start}: field {field.number} holds no text")
    try:
        return bytes(data[field.value : field.end]).decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"byte {field.value}: a name that is not UTF-8") from None


def encode_varint(value: int) -> bytes:
    """Write a number that is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_key(number: int, wire_type: int) -> bytes:
    """Write what stands in front of a field's value."""
    return encode_varint(number << 3 | wire_type)
