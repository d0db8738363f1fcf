"""SmoothL1LossOHEM, R-FCN's SmoothL1Loss with the loss of each region as a second top."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.loss.normalizer import emit_normalized, normalized, read_normalization
from prototxt.errors import ShapeError


class SmoothL1LossOHEM(
    Layer, type="SmoothL1LossOHEM", fork="rfcn", param="loss_param", bottoms=(2, 3), tops=(1, 2)
):
    """`top = sum(f(w * (a - b))) / count`, a scalar, for bottoms a, b and, if given, w.

    The bottoms are N x C (x H x W); `f(d)` is `d^2 / 2` where `|d| < 1`, else `|d| - 1/2`. The
    count is N H W for FULL and VALID `normalization`, N for BATCH_SIZE, `pre_fixed_normalizer`
    (1 at least) for PRE_FIXED and 1 for NONE. The second top, N x 1 x H x W, holds the sums of f
    over the channels, without a gradient. As in Caffe w counts once in the gradient of a and b, in
    f's slope: it is meant to be 0 or 1.

    Errors: ShapeError for bottoms that differ.
    Caffe: daijifeng001/caffe-rfcn, src/caffe/layers/smooth_L1_loss_ohem_layer.cpp
    """

    is_loss = True
    fixed_bottoms = (2,)

    def __init__(
        self, *, normalization: str = "VALID", pre_fixed_normalizer: float = 1.0, tops: int = 1
    ) -> None:
        super().__init__()
        self.normalization = normalization
        self.pre_fixed_normalizer = float32(pre_fixed_normalizer)
        self.each = tops == 2

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SmoothL1LossOHEM:
        normalization = read_normalization(layer.loss_param, "VALID", pre_fixed=True)
        return cls(tops=len(layer.top), **cls.fields(layer, normalization=normalization))

    def shapes(self, a: Shape, b: Shape, weight: Shape | None = None) -> list[Shape]:
        n, c, h, w = legacy_shape(a, "bottom")
        for name, other in (("b", b), ("the weights", weight)):
            if other is not None and legacy_shape(other, name) != (n, c, h, w):
                raise ShapeError(f"{name} {other} and a {a} differ in shape")
        return [(), (n, 1, h, w)] if self.each else [()]

    def forward(
        self, a: Tensor, b: Tensor, weight: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        rest = a - b.reshape(a.shape)
        d = rest.detach()
        d = d if weight is None else weight.detach().reshape(a.shape) * d
        f = torch.where(d.abs() < 1, 0.5 * d * d, d.abs() - 0.5)
        each = f.reshape(a.shape[0], prod(a.shape[1:2]), -1).sum(1)
        slope = gradient_of(f, d.clamp(-1, 1) * rest)
        loss = normalized(
            slope.reshape(a.shape[0], prod(a.shape[1:2]), -1).sum(1),
            None,
            1,
            self.normalization,
            self.pre_fixed_normalizer,
        )
        return (loss, each.reshape(self.shapes(a.shape, a.shape)[1])) if self.each else loss

    def onnx(self, op: Op, a: str, b: str, weight: str | None = None) -> Values:
        b, *rest = (
            op.Reshape(x, op.Shape(a)) if op.shape(x) != op.shape(a) else x
            for x in (b, *((weight,) if weight else ()))
        )
        d = op.Sub(a, b)
        d = op.Mul(d, rest[0]) if rest else d
        extent = op.Abs(d)
        square = op.Mul(op.Mul(d, d), op.scalar(0.5))
        linear = op.Sub(extent, op.scalar(0.5))
        f = op.Where(op.Less(extent, op.scalar(1)), square, linear)
        channels = op.shape(a)[1] if len(op.shape(a)) > 1 else 1
        rows = op.Reshape(f, op.ints(0, channels, -1))
        each = op.ReduceSum(rows, op.ints(1), keepdims=0)
        loss = emit_normalized(op, each, None, a, 1, self.normalization, self.pre_fixed_normalizer)
        if not self.each:
            return loss
        return loss, op.reshape_to_top(each, 1)


class RFCNSmoothL1Loss(
    SmoothL1LossOHEM, type="SmoothL1Loss", fork="rfcn", bottoms=(2, 3), tops=(1, 2)
):
    """SmoothL1LossOHEM by the name that R-FCN's first version gave it.

    Told from SSD's and R-CNN's by its second top, or by a `loss_param` beside 3 bottoms.
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        if len(layer.bottom) not in cls.bottoms or is_set(layer, "smooth_l1_loss_param"):
            return False
        return len(layer.top) == 2 or (len(layer.bottom) == 3 and is_set(layer, "loss_param"))
