"""Reduction."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import canonical_axis
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import enum_name
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

ONNX = {
    "SUM": "ReduceSum",
    "ASUM": "ReduceSum",
    "SUMSQ": "ReduceSumSquare",
    "MEAN": "ReduceMean",
}
"""Operation -> ONNX's operator; of ASUM on magnitudes."""


class Reduction(Layer, type="Reduction", param="reduction_param"):
    """`top = coeff * sum(x)` over all axes from `axis` on; axis 0 gives one number without axes.

    `operation` is SUM, ASUM (of magnitudes), SUMSQ (of squares) or MEAN.

    Caffe: BVLC/caffe, src/caffe/layers/reduction_layer.cpp
    """

    def __init__(self, *, operation: str = "SUM", axis: int = 0, coeff: float = 1.0) -> None:
        super().__init__()
        if operation not in ONNX:
            raise UnsupportedError(f"operation {operation!r} is none of {', '.join(ONNX)}")
        self.operation = operation
        self.axis = axis
        self.coeff = float32(coeff)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return enum_name(layer.reduction_param, "operation") in ONNX

    def shapes(self, x: Shape) -> list[Shape]:
        axis = canonical_axis(self.axis, len(x))
        return [x[:axis]]

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(self.axis)
        if self.operation == "ASUM":
            rows = rows.abs()
        elif self.operation == "SUMSQ":
            rows = rows * rows
        top = rows.mean(-1) if self.operation == "MEAN" else rows.sum(-1)
        return top if self.coeff == 1 else top * self.coeff

    def onnx(self, op: Op, x: str) -> Values:
        rank = len(op.shape(x))
        axes = range(canonical_axis(self.axis, rank), rank)
        sizes, known = op.shape(x)[axes.start :], not any(op.dynamic(x)[axes.start :])
        if self.operation == "ASUM":  # not ReduceL1, whose axes OpenVINO ignores below opset 18
            x = op.Abs(x)
        operator, coeff = ONNX[self.operation], self.coeff
        if operator == "ReduceSum" and known and not op.takes(operator, x, axes=[*axes]):
            operator, coeff = "ReduceMean", coeff * prod(sizes)
        reduced = op.reduce(operator, x, axes, keepdims=0)
        return reduced if coeff == 1 else op.Mul(reduced, op.scalar(coeff))
