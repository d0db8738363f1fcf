"""WindowData."""

from __future__ import annotations

from typing import Any

from ..checks import require
from ..layer import Shape
from .fed import Fed
from .transform import Transform


class WindowData(Fed, type="WindowData", bottoms=0, tops=2):
    """Windows of images, N x C x H x W, and their classes N, from a list that is not read.

    Both are fed. H and W are the `crop_size`; C is known where there is a mean value for each
    channel.

    Errors: ShapeError without a `crop_size`.
    Caffe: BVLC/caffe, src/caffe/layers/window_data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> WindowData:
        transform = Transform.from_caffe(layer.transform_param)
        batch, crop, channels = (
            layer.window_data_param.batch_size,
            transform.crop_size,
            len(transform.mean_value),
        )
        require(crop > 0, "crop_size is 0, wants 1 or more")
        known = batch and channels > 1
        return cls(
            (batch, channels, crop, crop) if known else None,
            (batch,) if batch else None,
            transform=transform,
        )
