"""Pairwise, from happynear."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Pairwise(Layer, type="Pairwise", fork="happynear", param="pairwise_param", bottoms=2):
    """Each row of a, M x K, with each row of b, N x K: M x N x K.

    `operation` is SUM (`coeff[0] * a + coeff[1] * b`), PROD or MAX, whose ties go to b.

    Errors: ShapeError for rows of different lengths, for values behind them, and for coefficients
    that are not two, or of a PROD.
    Caffe: happynear/caffe-windows, src/caffe/layers/pairwise_layer.cpp
    """

    def __init__(self, *, operation: str = "SUM", coeff: Sequence[float] = ()) -> None:
        super().__init__()
        assert operation in ("SUM", "PROD", "MAX")
        require(len(coeff) in (0, 2), f"{len(coeff)} coeff, wants one for each of the 2 bottoms")
        require(operation != "PROD" or not coeff, "coeff with PROD, they are for sums")
        self.operation = operation
        self.coeff = tuple(map(float32, coeff)) or (1.0, 1.0)

    def shapes(self, a: Shape, b: Shape) -> list[Shape]:
        (m, k, *behind), (n, also, *more) = (legacy_shape(shape, "bottom") for shape in (a, b))
        require(k == also, f"bottoms {a} and {b} differ in the length of their rows")
        if set(behind) | set(more) != {1}:
            raise ShapeError(
                f"bottoms {a} and {b} have values behind their rows, which Caffe mixes up"
            )
        return [(m, n, k)]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = a.reshape(a.shape[0], 1, -1), b.reshape(1, b.shape[0], -1)
        if self.operation == "PROD":
            return a * b
        if self.operation == "MAX":
            return torch.where(a > b, a, b)
        return self.coeff[0] * a + self.coeff[1] * b

    def onnx(self, op: Op, a: str, b: str) -> Values:
        length = op.shape(op.tops[0])[2]
        a = op.Reshape(a, op.ints(-1, 1, length))
        b = op.Reshape(b, op.ints(1, -1, length))
        if self.operation == "PROD":
            return op.Mul(a, b)
        if self.operation == "MAX":
            return op.Max(a, b)
        first = op.Mul(a, op.scalar(self.coeff[0]))
        return op.Add(first, op.Mul(b, op.scalar(self.coeff[1])))
