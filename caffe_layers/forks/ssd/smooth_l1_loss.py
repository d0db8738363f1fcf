"""SmoothL1Loss, as SSD reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.message import is_set
from caffe_layers.base.shape import Shape

from .base_smooth_l1_loss import BaseSmoothL1Loss


class SmoothL1Loss(BaseSmoothL1Loss, type="SmoothL1Loss", fork="ssd", bottoms=(2, 3)):
    """`top = sum(f(w * (a - b))) / N`, a scalar, for bottoms a, b and, if given, w of N samples.

    `f(d)` is `d^2 / 2` where `|d| < 1`, else `|d| - 1/2`. R-CNN's has a sigma, and weights inside
    and outside of f. Both a and b get a gradient, w none; it is not multiplied by w again.

    Errors: ShapeError for bottoms that differ.
    Caffe: weiliu89/caffe, src/caffe/layers/smooth_L1_loss_layer.cpp
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        rcnn = is_set(layer, "smooth_l1_loss_param")
        rfcn = len(layer.bottom) == 3 and is_set(layer, "loss_param")
        return len(layer.bottom) in cls.bottoms and len(layer.top) <= 1 and not (rcnn or rfcn)

    def weighted(self, d: Tensor, weight: Tensor) -> Tensor:
        return gradient_of(weight * d, d)
