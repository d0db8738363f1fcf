"""Power."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape

from .affine import affine, emit_affine

PRODUCTS = range(3, 9)
"""Powers that are written as products: some engines know those of negative numbers as NaN."""


class Power(Layer, type="Power", param="power_param"):
    """`top = (shift + scale * x) ^ power`, for x of any shape.

    NaN where a negative number has a fractional power. Where `power * scale` is 0 the top does not
    depend on x, not even on NaN. Unlike Caffe's, its gradient is right in place and at x = 0.

    Caffe: BVLC/caffe, src/caffe/layers/power_layer.cpp
    """

    def __init__(self, *, power: float = 1.0, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.power = float32(power)
        self.scale = float32(scale)
        self.shift = float32(shift)

    @property
    def constant(self) -> float | None:
        """The value that the top has everywhere, None where it depends on x."""
        if self.power * self.scale != 0:
            return None
        # Not Python's power, which makes complex numbers of negative ones.
        return torch.tensor(self.shift, dtype=torch.float64).pow(self.power).item()

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        if self.constant is not None:
            return torch.full_like(x, self.constant)
        inner = affine(x, self.scale, self.shift)
        return inner if self.power == 1 else inner.pow(self.power)

    def onnx(self, op: Op, x: str) -> Values:
        if self.constant is not None:
            return op.Expand(op.scalar(self.constant), op.Shape(x))
        if self.power == 1:
            return emit_affine(op, x, self.scale, self.shift)
        inner = emit_affine(op, x, self.scale, self.shift)
        if self.power in PRODUCTS:
            return _emit_product(op, inner, int(self.power))
        return op.Reciprocal(inner) if self.power == -1 else op.Pow(inner, op.scalar(self.power))

    def python(self, py: Py, x: str) -> str:
        if self.constant is not None:
            return py.call("torch.full_like", x, self.constant)
        inner = x if self.scale == 1 else f"{self.scale} * {x}"
        inner += f" + {self.shift}" if self.shift else ""
        return inner if self.power == 1 else f"({inner}) ** {self.power}"


def _emit_product(op: Op, x: str, power: int) -> str:
    """Append a whole power of x by squares: x^5 is x^2^2 times x."""
    top = ""
    while power:
        if power % 2:
            top = op.Mul(top, x) if top else x
        power //= 2
        x = op.Mul(x, x) if power else x
    return top
