"""ReLU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.rectifier import onnx_rectify, rectify, rectify_source
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class ReLU(Layer, type="ReLU", param="relu_param"):
    """`top = max(x, 0) + negative_slope * min(x, 0)`, for x of any shape.

    Caffe: BVLC/caffe, src/caffe/layers/relu_layer.cpp
    """

    family = "activation"

    def __init__(self, *, negative_slope: float = 0.0) -> None:
        super().__init__()
        self.negative_slope = float32(negative_slope)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return rectify(x, self.negative_slope)

    def bound(self, x: Shape) -> Callable[[Tensor], Tensor]:
        slope = self.negative_slope
        return partial(F.leaky_relu, negative_slope=slope) if slope else torch.relu

    def onnx(self, op: Op, x: str) -> Values:
        return onnx_rectify(op, x, self.negative_slope)

    def python(self, py: Py, x: str) -> str:
        return rectify_source(py, x, self.negative_slope)
