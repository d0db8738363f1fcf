"""InnerProduct."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class InnerProduct(Layer, type="InnerProduct", param="inner_product_param"):
    """`top = x * weight^T + bias` over all axes of x from `axis` on, seen as one of K values.

    x is ... x K, the top ... x num_output. Blobs: weight, num_output x K (K x num_output with
    `transpose`), and bias, num_output, if there is a `bias_term`. `inputs` is K.

    Errors: ShapeError for a bottom whose axes from `axis` on do not hold K values.
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
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.bottom) == 1  # happynear's takes its weight from more

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> InnerProduct:
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

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.t() if self.transpose else self.weight
        return F.linear(x.flatten(self.axis), weight, self.bias if self.bias_term else None)

    def onnx(self, op: Op, x: str) -> Values:
        axis = canonical_axis(self.axis, len(op.shape(x)))
        weight = op.weight(self, "weight")
        bias = [op.weight(self, "bias")] if self.bias_term else []
        if axis == 1:
            rows = x if len(op.shape(x)) == 2 else op.Flatten(x, axis=1)
            return op.Gemm(rows, weight, *bias, transB=int(not self.transpose))
        # The axes in front may be several, and free: MatMul keeps them.
        rows = op.Reshape(x, op.ints(*(0,) * axis, self.inputs))
        if not self.transpose:
            weight = op.Transpose(weight, perm=[1, 0])
        if not bias:
            return op.MatMul(rows, weight)
        return op.Add(op.MatMul(rows, weight), *bias)

    def python(self, py: Py, x: str) -> str:
        axis, rank = canonical_axis(self.axis, len(py.shapes[0])), len(py.shapes[0])
        weight = self.weight.t() if self.transpose else self.weight
        tensors = {"weight": weight, "bias": self.bias if self.bias_term else None}
        linear = py.module(
            "nn.Linear", self.inputs, self.num_output, bias=self.bias_term, tensors=tensors
        )
        return f"{linear}({x if axis == rank - 1 else py.call('torch.flatten', x, axis)})"

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return prod(tops[0]) * self.inputs
