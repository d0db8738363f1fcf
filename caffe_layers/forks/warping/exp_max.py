"""ExpMax, of LiteFlowNet."""

from __future__ import annotations

from math import exp, log

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class ExpMax(Layer, type="ExpMax", fork="liteflownet", param="expmax_param"):
    """`top = base ** (shift + scale * (x - the largest x of its place's channels))`.

    A `base` of -1 is e. The largest value has no gradient of its own.

    Errors: ShapeError for another base that is not above 0, and x without 2 axes.
    Caffe: twhui/LiteFlowNet, src/caffe/layers/expmax_layer.{cpp,cu}
    """

    family = "activation"

    def __init__(self, *, base: float = -1.0, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        base = float32(base)
        if base != -1 and base <= 0:
            raise ShapeError(f"base is {base:g}, wants -1 or more than 0")
        power = 1.0 if base == -1 else log(base)
        self.inner = power * float32(scale)
        self.outer = exp(power * float32(shift))

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 at least")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return ((x - x.detach().amax(1, keepdim=True)) * self.inner).exp() * self.outer

    def onnx(self, op: Op, x: str) -> Values:
        less = op.Sub(x, op.reduce("ReduceMax", x, [1], keepdims=1))
        grown = op.Exp(op.Mul(less, op.scalar(self.inner)))
        return op.Mul(grown, op.scalar(self.outer))
