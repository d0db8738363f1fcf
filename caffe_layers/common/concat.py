"""Concat."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Concat(Layer, type="Concat", param="concat_param", bottoms=(1, None)):
    """Puts bottoms, alike but for the size of `axis`, one behind the other along it.

    Errors: ShapeError for bottoms that differ in another axis.
    Caffe: BVLC/caffe, src/caffe/layers/concat_layer.cpp
    """

    family = "sum"

    def __init__(self, *, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Concat:
        param = layer.concat_param
        if not param.HasField("concat_dim"):
            return cls(**cls.fields(layer))
        require(not param.HasField("axis"), "it has both axis and concat_dim, wants one")
        return cls(axis=param.concat_dim)

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        first = bottoms[0]
        axis = canonical_axis(self.axis, len(first))
        others = (*first[:axis], *first[axis + 1 :])
        for index, shape in enumerate(bottoms):
            if len(shape) != len(first) or (*shape[:axis], *shape[axis + 1 :]) != others:
                raise ShapeError(
                    f"bottoms 0 {first} and {index} {shape} differ outside of axis {axis}"
                )
        return [(*first[:axis], sum(shape[axis] for shape in bottoms), *first[axis + 1 :])]

    def forward(self, *bottoms: Tensor) -> Tensor:
        return torch.cat(bottoms, dim=self.axis)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        return op.Concat(*bottoms, axis=canonical_axis(self.axis, len(op.shape(bottoms[0]))))

    def python(self, py: Py, *bottoms: str) -> str:
        return py.call("torch.cat", f"[{', '.join(bottoms)}]", self.axis)
