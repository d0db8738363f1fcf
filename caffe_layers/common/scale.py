"""Scale."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..filler import Filler
from ..layer import Layer, Shape
from .covered import (
    check_covers,
    covered_shape,
    spread,
    spread_shape,
    spread_source,
    spread_value,
)


class Scale(Layer, type="Scale", bottoms=(1, 2)):
    """`top = x * scale + bias`: scale and bias cover the axes of x from `axis` on.

    With one bottom the scale is a blob, `weight`, of the sizes of `num_axes` axes of x (-1: up to
    the end; 0: one number for all). With two it is the second bottom, whose own axes say what it
    covers. `bias`, of the scale's shape, is there with `bias_term`. Sizes must be equal: nothing
    is broadcast. Without a filler the scale is 1; a filler that is given has a value of 0 unless
    it says otherwise.

    Errors: ShapeError for a scale that does not fit the bottom's axes.
    Caffe: BVLC/caffe, src/caffe/layers/scale_layer.cpp
    """

    def __init__(
        self,
        *bottoms: Shape,
        axis: int = 1,
        num_axes: int = 1,
        filler: Filler = Filler(value=1.0),
        bias_term: bool = False,
        bias_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        x = bottoms[0]
        self.axis = axis
        self.bias_term = bias_term
        if len(bottoms) == 1:
            self.add_blob("weight", covered_shape(x, axis, num_axes), filler)
        else:
            num_axes = len(bottoms[1])
        if bias_term:
            self.add_blob("bias", covered_shape(x, axis, num_axes), bias_filler)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Scale:
        param = layer.scale_param
        has = param.HasField("filler")
        return cls(
            *bottoms,
            axis=param.axis,
            num_axes=param.num_axes,
            filler=Filler.from_caffe(param.filler) if has else Filler(value=1.0),
            bias_term=param.bias_term,
            bias_filler=Filler.from_caffe(param.bias_filler),
        )

    def shapes(self, x: Shape, *scale: Shape) -> list[Shape]:
        check_covers(x, self.axis, scale[0] if scale else tuple(self.weight.shape), "the scale")
        if self.bias_term:
            check_covers(x, self.axis, tuple(self.bias.shape), "the bias")
        return [x]

    def forward(self, x: Tensor, *scale: Tensor) -> Tensor:
        top = x * spread(scale[0] if scale else self.weight, self.axis, x.dim())
        return top + spread(self.bias, self.axis, x.dim()) if self.bias_term else top

    @property
    def is_affine(self) -> bool:
        return "weight" in self.blob_names and self.axis == 1 and self.weight.dim() <= 1

    def onnx(self, op: Any, x: str, *scale: str) -> Any:
        rank = len(op.shape(x))
        if scale:
            factor = spread_value(op, scale[0], self.axis, rank, "scale")
        else:
            factor = op.weight(
                self, "weight", shape=spread_shape(tuple(self.weight.shape), self.axis, rank)
            )
        if not self.bias_term:
            return op.Mul(x, factor)
        bias = spread_shape(tuple(self.bias.shape), self.axis, rank)
        return op.Add(op.Mul(x, factor, name="product"), op.weight(self, "bias", shape=bias))

    def python(self, py: Any, x: str, *scale: str) -> Any:
        rank = len(py.shapes[0])
        if scale:
            factor = spread_source(scale[0], self.axis, *map(len, py.shapes))
        else:
            factor = py.tensor("weight", spread(self.weight, self.axis, rank))
        if not self.bias_term:
            return f"{x} * {factor}"
        return f"{x} * {factor} + {py.tensor('bias', spread(self.bias, self.axis, rank))}"
