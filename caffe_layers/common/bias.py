"""Bias."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape

from .covered import check_covers, covered_shape, spread, spread_shape, spread_source, spread_value


class Bias(Layer, type="Bias", param="bias_param", bottoms=(1, 2)):
    """`top = x + bias`: the bias covers the axes of x from `axis` on.

    With one bottom it is a blob, `bias`, of the sizes of `num_axes` axes of x (-1: up to the end;
    0: one number for all). With two it is the second bottom, whose own axes say what it covers.
    Sizes must be equal: nothing is broadcast.

    Errors: ShapeError for a bias that does not fit the bottom's axes.
    Caffe: BVLC/caffe, src/caffe/layers/bias_layer.cpp
    """

    family = "scale"

    def __init__(
        self, *bottoms: Shape, axis: int = 1, num_axes: int = 1, filler: Filler = Filler()
    ) -> None:
        super().__init__()
        self.axis = axis
        if len(bottoms) == 1:
            self.add_blob("bias", covered_shape(bottoms[0], axis, num_axes), filler)

    @classmethod
    def learns(cls, layer: Any) -> bool:
        return len(layer.bottom) == 1

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Bias:
        return cls(*bottoms, **cls.fields(layer))

    def shapes(self, x: Shape, *bias: Shape) -> list[Shape]:
        check_covers(x, self.axis, bias[0] if bias else tuple(self.bias.shape), "the bias")
        return [x]

    def forward(self, x: Tensor, *bias: Tensor) -> Tensor:
        return x + spread(bias[0] if bias else self.bias, self.axis, x.dim())

    @property
    def is_affine(self) -> bool:
        return "bias" in self.blob_names and self.axis == 1 and self.bias.dim() <= 1

    def onnx(self, op: Op, x: str, *bias: str) -> Values:
        rank = len(op.shape(x))
        if bias:
            return op.Add(x, spread_value(op, bias[0], self.axis, rank))
        shape = spread_shape(tuple(self.bias.shape), self.axis, rank)
        return op.Add(x, op.weight(self, "bias", shape=shape))

    def python(self, py: Py, x: str, *bias: str) -> str:
        if bias:
            return f"{x} + {spread_source(bias[0], self.axis, *map(len, py.shapes))}"
        return f"{x} + {py.tensor('bias', spread(self.bias, self.axis, len(py.shapes[0])))}"
