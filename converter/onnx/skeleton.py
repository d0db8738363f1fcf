"""An ONNX file without its weights: they stay where they lie, for ONNX Runtime to map."""

from __future__ import annotations

from pathlib import Path

import onnx

from prototxt.binary.wire import BYTES, encode_key, encode_varint, fields
from prototxt.file_state import mapped

from .file import GRAPH_INITIALIZER, INLINE_BELOW, MODEL_GRAPH, TENSOR_RAW_DATA

_DATA_LOCATION = 14  # a field of TensorProto


def read_skeleton(path: Path) -> onnx.ModelProto:
    """Return the model of a file, its large weights as places in that very file.

    Those are external data of `path.name`, to be found in the file's folder. A file that keeps
    weights beside it is read as it is, since these are external already.
    Raises FormatError or protobuf's DecodeError for a file that is no model.
    """
    with path.open("rb") as file:
        data = mapped(file)
    pieces: list[bytes] = []
    for field in fields(data, 0, len(data)):
        if field.number != MODEL_GRAPH or field.wire_type != BYTES:
            pieces.append(bytes(data[field.start : field.end]))
            continue
        graph = _graph(data, field.value, field.end, path.name)
        pieces += [encode_key(MODEL_GRAPH, BYTES), encode_varint(len(graph)), graph]
    return onnx.ModelProto.FromString(b"".join(pieces))


def _graph(data: memoryview, begin: int, end: int, name: str) -> bytes:
    """Return a graph's bytes, with its weights shortened."""
    pieces = []
    for field in fields(data, begin, end):
        if field.number != GRAPH_INITIALIZER or field.wire_type != BYTES:
            pieces.append(bytes(data[field.start : field.end]))
            continue
        weight = _weight(data, field.value, field.end, name)
        pieces += [encode_key(GRAPH_INITIALIZER, BYTES), encode_varint(len(weight)), weight]
    return b"".join(pieces)


def _weight(data: memoryview, begin: int, end: int, name: str) -> bytes:
    """Return a weight's bytes, with the place of its values for them if they are many."""
    kept = []
    place = onnx.TensorProto()
    for field in fields(data, begin, end):
        size = field.end - field.value
        if field.number == _DATA_LOCATION and field.value:
            return bytes(data[begin:end])
        if (field.number, field.wire_type) != (TENSOR_RAW_DATA, BYTES) or size < INLINE_BELOW:
            kept.append(bytes(data[field.start : field.end]))
            continue
        place.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", name), ("offset", field.value), ("length", size)):
            place.external_data.add(key=key, value=str(value))
    return b"".join([*kept, place.SerializeToString()])
