"""Data."""

from __future__ import annotations

from typing import Any

from ..layer import Shape
from .fed import Fed
from .transform import Transform


class Data(Fed, type="Data", bottoms=0, tops=(1, 2)):
    """Images N x C x H x W and their labels N from a database, which is not read: both are fed.

    The definition says N, and H and W where it crops; C only where there is a mean value for each
    channel.

    Caffe: BVLC/caffe, src/caffe/layers/data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Data:
        transform = Transform.from_caffe(layer.transform_param)
        batch, crop, channels = (
            layer.data_param.batch_size,
            transform.crop_size,
            len(transform.mean_value),
        )
        known = batch and crop and channels > 1
        tops = ((batch, channels, crop, crop) if known else None, (batch,) if batch else None)
        return cls(*tops[: len(layer.top)], transform=transform)
