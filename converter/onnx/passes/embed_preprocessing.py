"""Preprocessing as the first nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from converter.onnx.graph import Graph
from converter.preprocessing.spec import LUMA, Preprocessing, read_size
from prototxt.errors import UnsupportedError

IMAGE = "image"
"""The graph's new input: RGB images, N x H x W x 3 bytes; with `@` where a value is called so."""

RESIZE, CROP = "caffeport.resize", "caffeport.crop"
"""What the model's metadata call its sizes: the shorter side, or height x width."""


def embed_preprocessing(graph: Graph, data: str, preprocessing: Preprocessing) -> None:
    """Put preprocessing in front of the input `data`; the graph then takes `image`.

    Raises UnsupportedError where it resizes nothing: images smaller than the crop would pass.
    """
    if preprocessing.resize is None:
        raise UnsupportedError("images of any size are to be resized", fix="give --resize")
    _Embedding(graph, preprocessing).write(data)
    sizes = {RESIZE: preprocessing.resize, CROP: preprocessing.crop}
    for key, size in sizes.items():
        if size is not None:
            graph.metadata[key] = str(size) if isinstance(size, int) else "{}x{}".format(*size)


def embedded_sizes(metadata: Mapping[str, str]) -> Preprocessing | None:
    """Return the resizing and the crop that a model's metadata tell of, None if they do not."""
    if RESIZE not in metadata:
        return None
    crop = read_size(metadata[CROP]) if CROP in metadata else None
    assert not isinstance(crop, int)  # without `shorter` a size has two numbers
    return Preprocessing(resize=read_size(metadata[RESIZE], shorter=True), crop=crop)


class _Embedding:
    def __init__(self, graph: Graph, preprocessing: Preprocessing) -> None:
        self.graph, self.preprocessing = graph, preprocessing
        self.image = IMAGE
        while self.image in graph.inputs.keys() | graph.values.keys() | graph.outputs.keys():
            self.image += "@"
        self.nodes: list[Any] = []

    def write(self, data: str) -> None:
        what = self.preprocessing
        kind, dims = self.graph.inputs.pop(data)
        self.graph.image = self.image
        self.graph.inputs[self.image] = (TensorProto.UINT8, [dims[0], "height", "width", 3])
        self.dtype = helper.tensor_dtype_to_np_dtype(kind)
        # Resizing is in float32: ONNX Runtime has no double or half one on every device.
        x = self.add("Cast", self.image, name="bytes", to=TensorProto.FLOAT)
        x = self.add("Transpose", x, name="planes", perm=[0, 3, 1, 2])
        x = self.ordered(x)
        x = self.resized(x)
        x = self.add("Sub", x, self.const("mean", what.mean_planes), name="centred")
        if what.crop is not None:
            x = self.cropped(x, what.crop)
        if kind != TensorProto.FLOAT:
            x = self.add("Cast", x, name="cast", to=kind)
        scale = self.const("scale", np.array(what.scale, self.dtype))
        self.nodes.append(helper.make_node("Mul", [x, scale], [data]))
        self.graph.values[data] = (kind, dims)
        self.graph.nodes[:0] = self.nodes

    def add(self, op: str, *inputs: str, name: str, **attributes: Any) -> str:
        made = f"{self.image}/{name}"
        self.nodes.append(helper.make_node(op, list(inputs), [made], **attributes))
        return made

    def const(self, name: str, value: np.ndarray) -> str:
        key = f"{self.image}/{name}"
        self.graph.initializers[key] = value
        return key

    def ints(self, name: str, *values: int) -> str:
        return self.const(name, np.array(values, np.int64))

    def ordered(self, x: str) -> str:
        if self.preprocessing.order == "RGB":
            return x
        if self.preprocessing.order == "BGR":
            return self.add("Gather", x, self.ints("order", 2, 1, 0), name="ordered", axis=1)
        weights = self.const("luma", np.array(LUMA, np.float32)[:, None, None])
        weighted = self.add("Mul", x, weights, name="weighted")
        axis = self.ints("channels", 1)
        return self.add("ReduceSum", weighted, axis, name="gray", keepdims=1)

    def resized(self, x: str) -> str:
        resize = self.preprocessing.resize
        shape = self.add("Shape", x, name="shape")
        first = self.add("Slice", shape, self.ints("0", 0), self.ints("2", 2), name="batch")
        if isinstance(resize, tuple):
            size = self.ints("size", *resize)
        else:
            assert resize is not None  # `embed` has seen to it
            sides = self.add("Slice", shape, self.ints("2", 2), self.ints("4", 4), name="sides")
            short = self.add("ReduceMin", sides, name="short", keepdims=1)
            longer = self.add("Mul", sides, self.ints("shorter", resize), name="times")
            size = self.add("Div", longer, short, name="resized_sides")
        whole = self.add("Concat", first, size, name="sizes", axis=0)
        return self.add(
            "Resize",
            x,
            "",
            "",
            whole,
            name="resized",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def cropped(self, x: str, crop: tuple[int, int]) -> str:
        shape = self.add("Shape", x, name="resized_shape")
        sides = self.add("Slice", shape, self.ints("2", 2), self.ints("4", 4), name="resized_size")
        size = self.ints("crop", *crop)
        spare = self.add("Sub", sides, size, name="spare")
        begin = self.add("Div", spare, self.ints("2", 2), name="begin")
        end = self.add("Add", begin, size, name="end")
        return self.add("Slice", x, begin, end, self.ints("axes", 2, 3), name="cropped")
