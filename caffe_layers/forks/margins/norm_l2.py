"""NormL2, of xialuxi's AdaCos."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

EPS = 1e-7


class NormL2(Layer, type="NormL2", fork="arcface"):
    """`top = x / sqrt(sum of x^2 + 1e-7)` for each sample of N x C (x H x W), with four axes.

    Caffe: xialuxi/arcface-caffe, AdaCos/normL2_layer.cpp
    """

    family = "normalization"

    def shapes(self, x: Shape) -> list[Shape]:
        return [legacy_shape(x, "bottom")]

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(legacy_shape(x.shape, "bottom"))
        return x / (x.square().sum((1, 2, 3), keepdim=True) + EPS).sqrt()

    def onnx(self, op: Op, x: str) -> Values:
        x = op.reshape_to_top(x)
        total = op.reduce("ReduceSumSquare", x, [1, 2, 3], keepdims=1)
        return op.Div(x, op.Sqrt(op.Add(total, op.scalar(EPS))))
