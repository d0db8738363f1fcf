"""The SmoothL1Loss that SSD and happynear share: one weight, inside of the function."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.loss.normalizer import leading_count

from .smooth_l1 import emit_smooth_l1, smooth_l1


class BaseSmoothL1Loss(Layer):
    """`top = sum(f(w * (a - b))) / N`, a scalar, for bottoms a, b and, if given, w of N samples.

    `f(d)` is `d^2 / 2` where `|d| < 1`, else `|d| - 1/2`. Both a and b get a gradient, w none.

    Errors: ShapeError for bottoms that differ.
    """

    is_loss = True
    fixed_bottoms = (2,)

    def shapes(self, a: Shape, b: Shape, weight: Shape | None = None) -> list[Shape]:
        legacy_shape(a, "bottom")
        for name, other in (("b", b), ("the weights", weight)):
            require(other in (None, a), f"{name} {other} and a {a} differ in shape")
        return [()]

    def forward(self, a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
        d = a - b
        d = d if weight is None else self.weighted(d, weight.detach())
        return smooth_l1(d).sum() / a.shape[0]

    def weighted(self, d: Tensor, weight: Tensor) -> Tensor:
        """Return `w * d`, with the gradient that Caffe takes of it."""
        return weight * d

    def onnx(self, op: Op, a: str, b: str, weight: str | None = None) -> Values:
        d = op.Sub(a, b)
        if weight is not None:
            d = op.Mul(weight, d)
        total = op.ReduceSum(emit_smooth_l1(op, d), keepdims=0)
        return op.Div(total, leading_count(op, a, 1))
