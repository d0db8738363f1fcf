"""Exp."""

from __future__ import annotations

from math import exp

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .affine import affine, emit_affine
from .base import log_of_base


class Exp(Layer, type="Exp", param="exp_param"):
    """`top = base ^ (shift + scale * x)`, for x of any shape; `base` -1 stands for e.

    Errors: ShapeError for any other base that is not positive and finite.
    Caffe: BVLC/caffe, src/caffe/layers/exp_layer.cpp
    """

    def __init__(self, *, base: float = -1.0, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.base = float32(base)
        self.scale = float32(scale)
        self.shift = float32(shift)
        log_base = log_of_base(self.base)
        self._inner = log_base * self.scale
        self._outer = exp(log_base * self.shift)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return affine(affine(x, self._inner, 0).exp(), self._outer, 0)

    def onnx(self, op: Op, x: str) -> Values:
        powers = op.Exp(emit_affine(op, x, self._inner, 0))
        return emit_affine(op, powers, self._outer, 0)
