"""InnerProduct, with what happynear added."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.normalization.unit_rows import kept_unit, unit_rows
from prototxt.errors import ShapeError, UnsupportedError


class FaceInnerProduct(
    Layer, type="InnerProduct", fork="happynear", param="inner_product_param", bottoms=(1, 3)
):
    """InnerProduct whose weight is of unit length for each output, or comes from a bottom.

    With `normalize` each pass first divides each row w of the stored weight by
    `sqrt(|w|^2 + 1e-6)`, and so keeps it, but in a compiled model; gradients are those for the row
    as it is then. A second bottom, num_output x K, is the weight, a third, num_output, the bias:
    then there are no blobs, and `normalize` has no effect.

    Errors: those of InnerProduct; UnsupportedError for `normalize` with `transpose`, whose rows
    Caffe mixes, and for a bias that is a blob beside a weight that is none, where it crashes.
    Caffe: happynear/caffe-windows, src/caffe/layers/inner_product_layer.cpp
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
        normalize: bool = False,
        bottoms: int = 1,
    ) -> None:
        super().__init__()
        require(num_output > 0, f"num_output is {num_output}, wants 1 or more")
        if bottoms == 1 and normalize and transpose:
            raise UnsupportedError(
                "normalize with transpose divides pieces of several rows by one length"
            )
        if bottoms > 1 and bias_term != (bottoms == 3):
            raise UnsupportedError(
                f"{bottoms} bottoms with bias_term {str(bias_term).lower()}",
                fix="give weight and bias as bottoms, or the weight alone and no bias_term",
            )
        self.inputs, self.num_output = inputs, num_output
        self.axis, self.transpose = axis, transpose
        self.normalize = normalize and bottoms == 1
        if bottoms == 1:
            shape = (inputs, num_output) if transpose else (num_output, inputs)
            self.add_blob("weight", shape, weight_filler)
            if bias_term:
                self.add_blob("bias", (num_output,), bias_filler)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer.inner_product_param, "normalize") or len(layer.bottom) > 1

    @classmethod
    def learns(cls, layer: Any) -> bool:
        return len(layer.bottom) == 1

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> FaceInnerProduct:
        param = layer.inner_product_param
        x, *given = bottoms
        return cls(
            prod(x[canonical_axis(param.axis, len(x)) :]),
            bottoms=len(bottoms),
            **cls.fields(layer, num_output=given[0][0] if given else param.num_output),
        )

    def shapes(self, x: Shape, *given: Shape) -> list[Shape]:
        axis = canonical_axis(self.axis, len(x))
        inputs = prod(x[axis:])
        if inputs != self.inputs:
            raise ShapeError(
                f"bottom {x} has {inputs} values from axis {axis} on, wants {self.inputs}"
            )
        count = given[0][0] if given else self.num_output
        for name, shape, want in zip(
            ("weight", "bias"), given, (count * inputs, count), strict=False
        ):
            require(prod(shape) == want, f"the {name} is {shape}, wants {want} values")
        return [(*x[:axis], count)]

    def forward(self, x: Tensor, *given: Tensor) -> Tensor:
        rows = x.flatten(self.axis)
        if not given:
            weight = kept_unit(self.weight) if self.normalize else self.weight
            bias = self.bias if "bias" in self.blob_names else None
        else:
            weight = given[0].reshape(given[0].shape[0], -1)
            weight = weight.reshape(self.inputs, -1) if self.transpose else weight
            bias = given[1].flatten() if len(given) == 2 else None
        return F.linear(rows, weight.t() if self.transpose else weight, bias)

    def onnx(self, op: Op, x: str, *given: str) -> Values:
        axis = canonical_axis(self.axis, len(op.shape(x)))
        rows = op.Reshape(x, op.ints(*(0,) * axis, self.inputs))
        weight, bias = self._onnx_blobs(op) if not given else self._onnx_given(op, given)
        if not self.transpose:
            weight = op.Transpose(weight, perm=[1, 0])
        if bias is None:
            return op.MatMul(rows, weight)
        return op.Add(op.MatMul(rows, weight), bias)

    def _onnx_blobs(self, op: Op) -> tuple[str, str | None]:
        bias = op.weight(self, "bias") if "bias" in self.blob_names else None
        if not self.normalize:
            return op.weight(self, "weight"), bias
        unit = unit_rows(self.weight.detach().cpu().double())
        return op.array("unit_weight", unit.numpy()), bias

    def _onnx_given(self, op: Op, given: tuple[str, ...]) -> tuple[str, str | None]:
        shape = (self.inputs, -1) if self.transpose else (-1, self.inputs)
        weight = op.Reshape(given[0], op.ints(*shape))
        if len(given) == 1:
            return weight, None
        return weight, op.Reshape(given[1], op.ints(-1))

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return prod(tops[0]) * self.inputs
