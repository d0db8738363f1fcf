"""Scale."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.op import Op, Py, Values

from .base_scale import BaseScale
from .covered import spread, spread_shape, spread_source, spread_value


class Scale(BaseScale, type="Scale", bottoms=(1, 2)):
    """`top = x * scale + bias`: scale and bias cover the axes of x from `axis` on.

    With one bottom the scale is a blob, `weight`, of the sizes of `num_axes` axes of x (-1: up to
    the end; 0: one number for all). With two it is the second bottom, whose own axes say what it
    covers. `bias`, of the scale's shape, is there with `bias_term`. Sizes must be equal: nothing
    is broadcast. Without a filler the scale is 1; a filler that is given has a value of 0 unless
    it says otherwise.

    Errors: ShapeError for a scale that does not fit the bottom's axes.
    Caffe: BVLC/caffe, src/caffe/layers/scale_layer.cpp
    """

    def forward(self, x: Tensor, *scale: Tensor) -> Tensor:
        return self.scaled(x, scale[0] if scale else self.weight)

    @property
    def is_affine(self) -> bool:
        return "weight" in self.blob_names and self.axis == 1 and self.weight.dim() <= 1

    def onnx(self, op: Op, x: str, *scale: str) -> Values:
        rank = len(op.shape(x))
        if scale:
            factor = spread_value(op, scale[0], self.axis, rank)
        else:
            factor = op.weight(
                self, "weight", shape=spread_shape(tuple(self.weight.shape), self.axis, rank)
            )
        return self.onnx_scaled(op, x, factor)

    def python(self, py: Py, x: str, *scale: str) -> str:
        rank = len(py.shapes[0])
        if scale:
            factor = spread_source(scale[0], self.axis, *map(len, py.shapes))
        else:
            factor = py.tensor("weight", spread(self.weight, self.axis, rank))
        if not self.bias_term:
            return f"{x} * {factor}"
        return f"{x} * {factor} + {py.tensor('bias', spread(self.bias, self.axis, rank))}"
