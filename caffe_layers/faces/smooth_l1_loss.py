"""SmoothL1Loss, as happynear reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from prototxt.errors import UnsupportedError

from ..checks import legacy_shape, require
from ..layer import Layer, Shape
from ..loss.normalizer import leading_count
from ..message import is_set
from ..ssd.smooth_l1 import emit_smooth_l1, smooth_l1


class FaceSmoothL1Loss(Layer, type="SmoothL1Loss", fork="happynear", bottoms=(2, 3)):
    """`top = sum(f(w * (a - b))) / N`, a scalar, for bottoms a, b and, if given, w of N samples.

    `f(d)` is `d^2 / 2` where `|d| < 1`, else `|d| - 1/2`, which is that of a `turn_point` of 1.

    Errors: ShapeError for bottoms that differ; UnsupportedError for another turn_point.
    Caffe: happynear/caffe-windows, src/caffe/layers/smooth_L1_loss_layer.cu
    """

    is_loss = True
    auto_tops = True
    fixed_bottoms = (2,)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer, "smoothl1_param")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> FaceSmoothL1Loss:
        if is_set(layer, "smoothl1_param") and (turn := layer.smoothl1_param.turn_point) != 1:
            raise UnsupportedError(
                f"turn_point is {turn:g}: the published facts say only what 1 means, where the "
                "square ends and how steep it is"
            )
        return cls()

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
