"""ImageData."""

from __future__ import annotations

from typing import Any

from ..checks import require
from ..layer import Shape
from .fed import Fed
from .transform import Transform


class ImageData(Fed, type="ImageData", bottoms=0, tops=2):
    """Images N x C x H x W and their labels N from a list of files, not read: both are fed.

    C is 3, or 1 without `is_color`; H and W are known where the layer crops or resizes.

    Errors: ShapeError for only one of `new_height` and `new_width`.
    Caffe: BVLC/caffe, src/caffe/layers/image_data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ImageData:
        param = layer.image_data_param
        transform = Transform.from_caffe(layer.transform_param)
        height, width, batch = param.new_height, param.new_width, param.batch_size
        both = bool(height) == bool(width)
        require(both, f"new_height is {height} and new_width {width}, wants both or none")
        require(batch > 0, "batch_size is 0, wants 1 or more")
        if transform.crop_size:
            height = width = transform.crop_size
        image = (batch, 3 if param.is_color else 1, height, width) if height else None
        return cls(image, (batch,), transform=transform)
