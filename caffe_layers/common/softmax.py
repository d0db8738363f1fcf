"""Softmax."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from caffe_layers.base.checks import canonical_axis
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class Softmax(Layer, type="Softmax", param="softmax_param"):
    """`top = exp(x) / sum(exp(x))`, the sum over `axis`, for x of any shape with that axis.

    Errors: ShapeError where x lacks the axis (the default, 1, is no axis of a vector).
    Caffe: BVLC/caffe, src/caffe/layers/softmax_layer.cpp
    """

    family = "activation"

    def __init__(self, *, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis

    def shapes(self, x: Shape) -> list[Shape]:
        canonical_axis(self.axis, len(x))
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.softmax(self.axis)

    def bound(self, x: Shape) -> Callable[[Tensor], Tensor]:
        return partial(torch.softmax, dim=self.axis)

    def onnx(self, op: Op, x: str) -> Values:
        return op.Softmax(x, axis=self.axis)

    def python(self, py: Py, x: str) -> str:
        return py.call("torch.softmax", x, self.axis)
