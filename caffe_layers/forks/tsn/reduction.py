"""Reduction, with yjxiong's TOPK."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer, Registry
from caffe_layers.base.message import enum_name
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class TopKReduction(Layer, type="Reduction", fork="tsn", param="reduction_param"):
    """`operation` TOPK: `top = coeff * mean of the k largest` values from `axis` on.

    Errors: ShapeError for a k below 1 or beyond the number of values.
    Caffe: yjxiong/caffe, src/caffe/layers/reduction_layer.cpp
    """

    def __init__(self, *, k: int = 1, axis: int = 0, coeff: float = 1.0) -> None:
        super().__init__()
        require(k >= 1, f"k is {k}, wants 1 or more")
        self.k, self.axis, self.coeff = k, axis, float32(coeff)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return enum_name(layer.reduction_param, "operation") == "TOPK"

    @classmethod
    def meant_by(cls, layer: Any, registry: Registry) -> type[Layer]:
        return cls if cls.fits(layer, None) else registry.layers["Reduction"]["bvlc"]

    def shapes(self, x: Shape) -> list[Shape]:
        axis = canonical_axis(self.axis, len(x))
        count = prod(x[axis:])
        require(self.k <= count, f"k is {self.k} of only {count} values")
        return [x[:axis]]

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(self.axis).topk(self.k, -1).values.mean(-1) * self.coeff

    def onnx(self, op: Op, x: str) -> Values:
        axis = canonical_axis(self.axis, len(op.shape(x)))
        rows = op.Reshape(x, op.ints(*(0,) * axis, -1))
        largest, _ = op.TopK(rows, op.ints(self.k), axis=-1)
        if self.coeff == 1:
            return op.reduce("ReduceMean", largest, [axis], keepdims=0)
        mean = op.reduce("ReduceMean", largest, [axis], keepdims=0)
        return op.Mul(mean, op.scalar(self.coeff))
