"""Preprocessing as the first nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from onnx import TensorProto, helper

from caffe_layers.base.op import Op
from converter.onnx.builder import Builder
from converter.onnx.graph import Graph
from converter.preprocessing.spec import LUMA, Preprocessing, Size
from prototxt.errors import UnsupportedError

from .request import Request

IMAGE = "image"
"""The graph's new input: RGB images, N x H x W x 3 bytes; with `_` where a value is called so."""


def embed_preprocessing(graph: Graph, request: Request) -> str:
    """Put preprocessing in front of the network's input; the graph then takes `image`.

    Where no axis is to be free, photos have the size that they would be resized to. Raises
    UnsupportedError where it resizes nothing: images smaller than the crop would pass.
    """
    wanted = request.preprocessing
    if wanted is None:
        return ""
    if wanted.resize is None:
        raise UnsupportedError("images of any size are to be resized", fix="give --resize")
    size = None
    if request.options["dynamic"] is not None and not request.options["dynamic"]:
        size = wanted.resize if isinstance(wanted.resize, tuple) else None
    graph.image = _put_in_front(graph, wanted, request.data, size)
    of = "of any size" if size is None else f"of {size[0]} x {size[1]}"
    return f"takes RGB images, N x H x W x 3 bytes {of}, as {graph.image!r}: {wanted}"


def _put_in_front(graph: Graph, wanted: Preprocessing, data: str, size: Size | None) -> str:
    """Put the nodes in front of all others; return the name of the input of images."""
    taken = graph.inputs.keys() | graph.values.keys() | graph.outputs.keys()
    image, layer = _unlike(taken), _unlike(set(graph.layers.values()))
    dtype, dims = graph.inputs.pop(data)
    graph.inputs[image] = (TensorProto.UINT8, [dims[0], *(size or ("height", "width")), 3])
    graph.values[data] = (dtype, dims)
    network, graph.nodes = graph.nodes, []
    float_type = helper.tensor_dtype_to_np_dtype(dtype)
    builder = Builder(graph, dict.fromkeys((*taken, image), ()), {}, float_type)
    builder.write(layer, lambda op, x: _prepared(op, x, wanted, size), [image], [data])
    graph.nodes += network
    return image


def _unlike(taken: Collection[str]) -> str:
    """Return IMAGE, or what is no other's name."""
    name = IMAGE
    while name in taken:
        name += "_"
    return name


def _prepared(op: Op, image: str, wanted: Preprocessing, size: Size | None) -> str:
    # Resizing is in float32: ONNX Runtime has no double or half one on every device.
    x = op.cast(image, np.float32, name="bytes")
    x = op.Transpose(x, perm=[0, 3, 1, 2], name="planes")
    x = _ordered(op, x, wanted.order)
    if size is None:
        x = _resized(op, x, wanted.resize)
    x = op.Sub(x, op.const(wanted.mean_planes), name="centred")
    if wanted.crop is not None:
        x = _cropped(op, x, wanted.crop, size)
    if op.float_type != np.float32:
        x = op.to_float(x, name="cast")
    return op.Mul(x, op.scalar(wanted.scale))


def _ordered(op: Op, x: str, order: str) -> str:
    if order == "RGB":
        return x
    if order == "BGR":
        return op.Gather(x, op.ints(2, 1, 0), axis=1, name="ordered")
    weighted = op.Mul(x, op.const(np.array(LUMA, np.float32)[:, None, None]), name="weighted")
    return op.reduce("ReduceSum", weighted, [1], keepdims=1, name="gray")


def _resized(op: Op, x: str, resize: int | Size | None) -> str:
    shape = op.Shape(x)
    if isinstance(resize, tuple):
        size = op.ints(*resize)
    else:
        assert resize is not None  # `embed_preprocessing` has seen to it
        sides = op.Slice(shape, op.ints(2), op.ints(4), name="sides")
        short = op.ReduceMin(sides, keepdims=1, name="short")
        size = op.Div(op.Mul(sides, op.ints(resize)), short, name="resized_sides")
    batch = op.Slice(shape, op.ints(0), op.ints(2), name="batch")
    sizes = op.Concat(batch, size, axis=0, name="sizes")
    return op.Resize(
        x,
        "",
        "",
        sizes,
        mode="linear",
        coordinate_transformation_mode="half_pixel",
        name="resized",
    )


def _cropped(op: Op, x: str, crop: Size, fixed: Size | None) -> str:
    if fixed == crop:
        return x
    if fixed is not None:
        first = [(size - part) // 2 for size, part in zip(fixed, crop, strict=True)]
        last = [at + part for at, part in zip(first, crop, strict=True)]
        return op.Slice(x, op.ints(*first), op.ints(*last), op.ints(2, 3), name="cropped")
    sides = op.Slice(op.Shape(x), op.ints(2), op.ints(4), name="resized_size")
    size = op.ints(*crop)
    begin = op.Div(op.Sub(sides, size, name="spare"), op.ints(2), name="begin")
    end = op.Add(begin, size, name="end")
    return op.Slice(x, begin, end, op.ints(2, 3), name="cropped")
