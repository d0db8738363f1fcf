"""The arithmetic of InnerProduct and of the types that do the same with rounded weights."""

from __future__ import annotations

from math import prod
from typing import Any, TypedDict

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class InnerProductFields(TypedDict, total=False):
    """What an inner product is told, for those that hand it on: `BaseInnerProduct`'s keywords."""

    bias_term: bool
    weight_filler: Filler
    bias_filler: Filler
    axis: int
    transpose: bool


class BaseInnerProduct(Layer, param="inner_product_param"):
    """InnerProduct, under whatever name: see there for the formula, shapes and errors.

    Caffe: BVLC/caffe, src/caffe/layers/inner_product_layer.cpp
    """

    family = "inner product"

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        bias_term: bool = True,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
        axis: int = 1,
        transpose: bool = False,
    ) -> None:
        super().__init__()
        require(num_output > 0, f"num_output is {num_output}, wants 1 or more")
        self.inputs = inputs
        self.num_output = num_output
        self.bias_term = bias_term
        self.axis = axis
        self.transpose = transpose
        shape = (inputs, num_output) if transpose else (num_output, inputs)
        self.add_blob("weight", shape, weight_filler)
        if bias_term:
            self.add_blob("bias", (num_output,), bias_filler)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BaseInnerProduct:
        axis, x = layer.inner_product_param.axis, bottoms[0]
        return cls(prod(x[canonical_axis(axis, len(x)) :]), **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        axis = canonical_axis(self.axis, len(x))
        inputs = prod(x[axis:])
        if inputs != self.inputs:
            raise ShapeError(
                f"bottom {x} has {inputs} values from axis {axis} on, wants {self.inputs}"
            )
        return [(*x[:axis], self.num_output)]

    def used_weight(self) -> Tensor:
        """Return the weight as it is used: some forks round it first."""
        weight: Tensor = self.weight
        return weight

    def used_bias(self) -> Tensor | None:
        """Return the bias as it is used."""
        return self.bias if self.bias_term else None

    def onnx_weights(self, op: Op) -> list[str]:
        """Return the names of the weight and, where there is one, the bias, as they are used."""
        return [op.weight(self, name) for name in self.blob_names]

    def onnx_bottom(self, op: Op, x: str) -> str:
        """Append what happens to the bottom before the product: here nothing."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        weight = self.used_weight()
        weight = weight.t() if self.transpose else weight
        return F.linear(x.flatten(self.axis), weight, self.used_bias())

    def onnx(self, op: Op, x: str) -> Values:
        axis = canonical_axis(self.axis, len(op.shape(x)))
        weight, *bias = self.onnx_weights(op)
        if axis == 1:
            seen = self.onnx_bottom(op, x)
            rows = seen if len(op.shape(x)) == 2 else op.Flatten(seen, axis=1)
            return op.Gemm(rows, weight, *bias, transB=int(not self.transpose))
        # The axes in front may be several, and free: MatMul keeps them.
        rows = op.Reshape(self.onnx_bottom(op, x), op.ints(*(0,) * axis, self.inputs))
        if not self.transpose:
            weight = op.Transpose(weight, perm=[1, 0])
        if not bias:
            return op.MatMul(rows, weight)
        return op.Add(op.MatMul(rows, weight), *bias)

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return prod(tops[0]) * self.inputs
