"""Log."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .affine import affine, emit_affine
from .base import log_of_base


class Log(Layer, type="Log", param="log_param"):
    """`top = log(shift + scale * x)` to the base `base`, for x of any shape; -1 stands for e.

    Errors: ShapeError for any other base that is 1, or not positive and finite.
    Caffe: BVLC/caffe, src/caffe/layers/log_layer.cpp
    """

    def __init__(self, *, base: float = -1.0, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.base = float32(base)
        self.scale = float32(scale)
        self.shift = float32(shift)
        log_base = log_of_base(self.base)
        require(log_base != 0, f"base {self.base} has no logarithms, wants another than 1")
        self._outer = 1 / log_base

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return affine(affine(x, self.scale, self.shift).log(), self._outer, 0)

    def onnx(self, op: Op, x: str) -> Values:
        logs = op.Log(emit_affine(op, x, self.scale, self.shift))
        return emit_affine(op, logs, self._outer, 0)
