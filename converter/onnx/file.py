"""Writing an ONNX file: a small serialised skeleton, then the weights as they lie in memory."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from onnx import helper

from prototxt.atomic import writing
from prototxt.binary.wire import BYTES, encode_key, encode_varint

from .graph import Dim, Graph

PRODUCER = "caffeport"
LARGEST_MESSAGE = 2**31 - 1
"""Protobuf's largest message; weights beyond it go into a file beside the model."""

INLINE_BELOW = 1024
"""Weights of fewer bytes stay in the model: shape inference reads sizes and axes only there."""

# Fields of onnx.proto, by number.
MODEL_GRAPH, GRAPH_INITIALIZER, TENSOR_RAW_DATA = 7, 5, 9


def model_of(graph: Graph, version: str) -> onnx.ModelProto:
    """Return the model without its weights."""
    proto = onnx.GraphProto(name=graph.name, node=graph.nodes)
    for where, infos in (
        (proto.input, graph.inputs),
        (proto.output, graph.outputs),
        (proto.value_info, graph.values),
    ):
        where.extend(_value_info(name, *info) for name, info in infos.items())
    opset = helper.make_opsetid("", graph.opset)
    model = onnx.ModelProto(
        ir_version=helper.find_min_ir_version_for([opset]),
        producer_name=PRODUCER,
        producer_version=version,
        opset_import=[opset],
        graph=proto,
    )
    for key, value in sorted(graph.metadata.items()):
        model.metadata_props.add(key=key, value=value)
    return model


def _value_info(name: str, dtype: int, dims: list[Dim]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, dims)


def write_onnx(
    graph: Graph, path: Path, version: str, *, limit: int = LARGEST_MESSAGE
) -> list[Path]:
    """Write the model, whole or not at all; return the files written.

    A model of more than `limit` bytes keeps its weights in `<path>.data`, which must stay beside
    it. Equal graphs give equal bytes.
    """
    model = model_of(graph, version)
    skeleton = model.graph.SerializeToString(deterministic=True)
    model.ClearField("graph")
    head = model.SerializeToString(deterministic=True)
    weights = [
        (_tensor(name, array), np.ascontiguousarray(array))
        for name, array in graph.initializers.items()
    ]
    size = len(skeleton) + sum(_inline_size(proto, array) for proto, array in weights)
    if len(head) + size + 12 <= limit:
        with writing(path) as file:
            file.write(head + _key(MODEL_GRAPH, size) + skeleton)
            for proto, array in weights:
                _write_inline(file, proto, array)
        return [path]
    data = path.with_name(path.name + ".data")
    with writing(data) as file:
        protos = [
            _inline(proto, array)
            if array.nbytes < INLINE_BELOW
            else _write_external(file, data.name, proto, array)
            for proto, array in weights
        ]
    body = b"".join(_key(GRAPH_INITIALIZER, len(proto)) + proto for proto in protos)
    with writing(path) as file:
        file.write(head + _key(MODEL_GRAPH, len(skeleton) + len(body)) + skeleton + body)
    return [path, data]


def _tensor(name: str, array: np.ndarray) -> onnx.TensorProto:
    dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.TensorProto(name=name, data_type=dtype, dims=array.shape)


def _inline_size(proto: onnx.TensorProto, array: np.ndarray) -> int:
    inner = proto.ByteSize() + len(_key(TENSOR_RAW_DATA, array.nbytes)) + array.nbytes
    return len(_key(GRAPH_INITIALIZER, inner)) + inner


def _write_inline(file: BinaryIO, proto: onnx.TensorProto, array: np.ndarray) -> None:
    raw = _key(TENSOR_RAW_DATA, array.nbytes)
    head = proto.SerializeToString(deterministic=True)
    file.write(_key(GRAPH_INITIALIZER, len(head) + len(raw) + array.nbytes) + head + raw)
    file.write(_bytes_of(array))


def _inline(proto: onnx.TensorProto, array: np.ndarray) -> bytes:
    proto.raw_data = bytes(_bytes_of(array))
    return proto.SerializeToString(deterministic=True)


def _write_external(
    file: BinaryIO, location: str, proto: onnx.TensorProto, array: np.ndarray
) -> bytes:
    offset = -file.tell() % 64  # aligned, so that a reader may map it
    file.write(bytes(offset))
    proto.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (
        ("location", location),
        ("offset", str(file.tell())),
        ("length", str(array.nbytes)),
    ):
        proto.external_data.add(key=key, value=value)
    file.write(_bytes_of(array))
    return proto.SerializeToString(deterministic=True)


def _bytes_of(array: np.ndarray) -> memoryview:
    """Return the array's bytes without a copy, little-endian as ONNX wants them."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view(np.uint8).data


def _key(number: int, size: int) -> bytes:
    """Return the key and length in front of a length-delimited field."""
    return encode_key(number, BYTES) + encode_varint(size)
