"""Slice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

END = 2**63 - 1
"""ONNX's way to say: up to the end."""


class Slice(Layer, type="Slice", param="slice_param", tops=(1, None)):
    """Cuts an axis into as many parts as there are tops: equal ones, or at `slice_point`.

    Errors: ShapeError for points that do not grow or lie outside, and for an axis that equal parts
    do not fill.
    Caffe: BVLC/caffe, src/caffe/layers/slice_layer.cpp
    """

    family = "shape"

    def __init__(self, tops: int, *, slice_point: Sequence[int] = (), axis: int = 1) -> None:
        super().__init__()
        self.parts = tops
        self.slice_point = tuple(slice_point)
        self.axis = axis
        if len(self.slice_point) not in (0, tops - 1):
            raise ShapeError(
                f"{len(self.slice_point)} slice points for {tops} tops, wants {tops - 1}"
            )

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Slice:
        param, tops = layer.slice_param, len(layer.top)
        if not param.HasField("slice_dim"):
            return cls(tops, **cls.fields(layer))
        require(not param.HasField("axis"), "it has both axis and slice_dim, wants one")
        return cls(tops, **cls.fields(layer, axis=param.slice_dim))

    def shapes(self, x: Shape) -> list[Shape]:
        axis = canonical_axis(self.axis, len(x))
        return [(*x[:axis], part, *x[axis + 1 :]) for part in self._sizes(x[axis])]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(x.tensor_split(self.slice_point or self.parts, dim=self.axis))

    def onnx(self, op: Op, x: str) -> Values:
        axis = canonical_axis(self.axis, len(op.shape(x)))
        if self.parts == 1:
            return x
        if not op.dynamic(x)[axis]:
            sizes = op.ints(*self._sizes(op.shape(x)[axis]))
            return op.Split(x, sizes, axis=axis, outputs=self.parts)
        if not self.slice_point:
            # Equal parts need no sizes; from opset 18 on their number must be said.
            number = self.parts if op.opset >= 18 else None
            return op.Split(x, axis=axis, num_outputs=number, outputs=self.parts)
        return [
            op.Slice(x, op.ints(start), op.ints(end), op.ints(axis))
            for start, end in pairwise((0, *self.slice_point, END))
        ]

    def python(self, py: Py, x: str) -> str:
        parts = py.call("torch.tensor_split", x, self.slice_point or self.parts, self.axis)
        return parts if self.parts > 1 else x

    def _sizes(self, size: int) -> list[int]:
        if not self.slice_point:
            if size % self.parts != 0:
                raise ShapeError(f"{self.parts} equal parts do not fill an axis of {size}")
            return [size // self.parts] * self.parts
        sizes = [end - start for start, end in pairwise((0, *self.slice_point, size))]
        if min(sizes) <= 0:
            raise ShapeError(f"slice points {self.slice_point} leave a part of {size} empty")
        return sizes
