"""SmoothL1Loss, as happynear reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caffe_layers.base.message import is_set
from caffe_layers.base.shape import Shape
from caffe_layers.forks.ssd.base_smooth_l1_loss import BaseSmoothL1Loss
from prototxt.errors import UnsupportedError


class FaceSmoothL1Loss(BaseSmoothL1Loss, type="SmoothL1Loss", fork="happynear", bottoms=(2, 3)):
    """`top = sum(f(w * (a - b))) / N`, a scalar, for bottoms a, b and, if given, w of N samples.

    `f(d)` is `d^2 / 2` where `|d| < 1`, else `|d| - 1/2`, which is that of a `turn_point` of 1.

    Errors: ShapeError for bottoms that differ; UnsupportedError for another turn_point.
    Caffe: happynear/caffe-windows, src/caffe/layers/smooth_L1_loss_layer.cu
    """

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
