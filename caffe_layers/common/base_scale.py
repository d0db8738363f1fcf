"""What Scale has in common with a fork's: its blobs, its shapes and its end."""

from __future__ import annotations

from typing import Any, TypedDict

from torch import Tensor

from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape

from .covered import check_covers, covered_shape, spread, spread_shape


class ScaleFields(TypedDict, total=False):
    """What a scale is told, for those that hand it on: `BaseScale`'s keywords."""

    axis: int
    num_axes: int
    filler: Filler
    bias_term: bool
    bias_filler: Filler


class BaseScale(Layer, param="scale_param"):
    """A bottom times a scale, which is a blob or the second bottom, plus the blob `bias` if asked.

    Caffe: BVLC/caffe, src/caffe/layers/scale_layer.cpp
    """

    family = "scale"

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
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BaseScale:
        return cls(*bottoms, **cls.fields(layer))

    @classmethod
    def learns(cls, layer: Any) -> bool:
        return len(layer.bottom) == 1 or bool(layer.scale_param.bias_term)

    def shapes(self, x: Shape, *scale: Shape) -> list[Shape]:
        check_covers(x, self.axis, scale[0] if scale else tuple(self.weight.shape), "the scale")
        if self.bias_term:
            check_covers(x, self.axis, tuple(self.bias.shape), "the bias")
        return [x]

    def scaled(self, x: Tensor, scale: Tensor) -> Tensor:
        """Return `x * scale`, plus the bias if there is one."""
        top = x * spread(scale, self.axis, x.dim())
        return top + spread(self.bias, self.axis, x.dim()) if self.bias_term else top

    def onnx_scaled(self, op: Op, x: str, factor: str) -> str:
        """Append the product with a factor that has the axes of x, and the sum with the bias."""
        if not self.bias_term:
            return op.Mul(x, factor)
        bias = spread_shape(tuple(self.bias.shape), self.axis, len(op.shape(x)))
        return op.Add(op.Mul(x, factor), op.weight(self, "bias", shape=bias))
