"""SmoothL1Loss, as SSD reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..checks import legacy_shape, require
from ..layer import Layer, Shape
from ..loss.normalizer import leading_count
from ..message import is_set
from .smooth_l1 import emit_smooth_l1, smooth_l1


class SmoothL1Loss(Layer, type="SmoothL1Loss", fork="ssd", bottoms=(2, 3)):
    """`top = sum(f(w * (a - b))) / N`, a scalar, for bottoms a, b and, if given, w of N samples.

    `f(d)` is `d^2 / 2` where `|d| < 1`, else `|d| - 1/2`. R-CNN's has a sigma, and weights inside
    and outside of f. Both a and b get a gradient, w none.

    Errors: ShapeError for bottoms that differ.
    Caffe: weiliu89/caffe, src/caffe/layers/smooth_L1_loss_layer.cpp
    """

    is_loss = True
    auto_tops = True
    fixed_bottoms = (2,)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        rcnn = is_set(layer, "smooth_l1_loss_param")
        rfcn = len(layer.bottom) == 3 and is_set(layer, "loss_param")
        return len(layer.bottom) in cls.bottoms and len(layer.top) <= 1 and not (rcnn or rfcn)

    def shapes(self, a: Shape, b: Shape, weight: Shape | None = None) -> list[Shape]:
        legacy_shape(a, "bottom")
        for name, other in (("b", b), ("the weights", weight)):
            require(other in (None, a), f"{name} {other} and a {a} differ in shape")
        return [()]

    def forward(self, a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
        d = a - b if weight is None else weight.detach() * (a - b)
        return smooth_l1(d).sum() / a.shape[0]

    def onnx(self, op: Any, a: str, b: str, weight: str | None = None) -> Any:
        d = op.Sub(a, b, name="difference")
        if weight is not None:
            d = op.Mul(weight, d, name="weighted")
        total = op.ReduceSum(emit_smooth_l1(op, d, "f"), keepdims=0, name="total")
        return op.Div(total, leading_count(op, a, 1))
