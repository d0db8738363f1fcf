"""HSwish and HardSwish: one name in two repositories' spelling, and two meanings."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Gated(Layer):
    """`top = x * min(max(slope * x + 1/2, 0), 1)`, for x of any shape.

    The slope is 1/6 in most repositories and 0.2 in one. A definition does not say which: the
    layer is refused unless `--dialect` does, hswish or hswish_02.

    Caffe: several small repositories, hard_swish_layer.cpp
    """

    family = "activation"
    slope: ClassVar[float]

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x * (x * self.slope + 0.5).clamp(0, 1)

    def onnx(self, op: Op, x: str) -> Values:
        gate = op.HardSigmoid(x, alpha=self.slope, beta=0.5)
        return op.Mul(x, gate)


class HSwish(Gated, type="HSwish", fork="hswish"):
    """`top = x * min(max(x + 3, 0), 6) / 6`, for x of any shape."""

    slope = 1 / 6


class HardSwish(Gated, type="HardSwish", fork="hswish"):
    """`top = x * min(max(x + 3, 0), 6) / 6`, for x of any shape."""

    slope = 1 / 6


class HSwish02(Gated, type="HSwish", fork="hswish_02"):
    """`top = x * min(max(0.2 * x + 0.5, 0), 1)`, for x of any shape."""

    slope = 0.2


class HardSwish02(Gated, type="HardSwish", fork="hswish_02"):
    """`top = x * min(max(0.2 * x + 0.5, 0), 1)`, for x of any shape."""

    slope = 0.2
