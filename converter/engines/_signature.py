"""What an ONNX file takes and gives by its names, read without the package onnx.

Field numbers are those of onnx.proto: ModelProto.graph 7; GraphProto.initializer 5, input 11,
output 12; ValueInfoProto.name 1 and TensorProto.name 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

GRAPH, INITIALIZER, INPUT, OUTPUT, VALUE_NAME, TENSOR_NAME = 7, 5, 11, 12, 1, 8
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Signature:
    """The names of a file's inputs, but for weights among them, and of its outputs, in order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def signature(path: str | PathLike[str]) -> Signature:
    """Return the names of a file's inputs and outputs."""
    graph = next(
        value for field, value in _fields(memoryview(Path(path).read_bytes())) if field == GRAPH
    )
    names: dict[int, list[str]] = {INITIALIZER: [], INPUT: [], OUTPUT: []}
    for field, value in _fields(graph):
        if field in names:
            names[field].append(_name(value, TENSOR_NAME if field == INITIALIZER else VALUE_NAME))
    weights = set(names[INITIALIZER])
    inputs = tuple(name for name in names[INPUT] if name not in weights)
    return Signature(inputs, tuple(names[OUTPUT]))


def _name(message: memoryview, wanted: int) -> str:
    found = (bytes(value).decode() for field, value in _fields(message) if field == wanted)
    return next(found, "")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the fields of a message that are bytes, by their numbers; numbers are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == BYTES:
            size, at = _varint(message, at)
            yield key >> 3, message[at : at + size]
            at += size
        elif kind == VARINT:
            _, at = _varint(message, at)
        else:
            at += {FIXED64: 8, FIXED32: 4}[kind]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number in base 128, lowest digits first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
