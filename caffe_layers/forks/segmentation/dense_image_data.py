"""DenseImageData, from SegNet and ENet."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.message import fork_field
from caffe_layers.base.shape import Shape
from caffe_layers.data.fed import Fed
from prototxt.errors import ShapeError


class DenseImageData(Fed, type="DenseImageData", fork="segnet", bottoms=0, tops=2):
    """Images N x C x H x W and their labellings N x 1 x H x W, not read: both are fed.

    C is 3, or 1 without `is_color`; H and W are known where the layer crops or resizes. ENet's
    `label_divide_factor` divides the labelling's H and W.

    Errors: ShapeError for only one of `new_height` and `new_width`, or of the crop's.
    Caffe: alexgkendall/caffe-segnet, src/caffe/layers/dense_image_data_layer.cpp
    """

    fork_fields = ("dense_image_data_param.label_divide_factor",)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DenseImageData:
        param = layer.dense_image_data_param
        for kind in ("new", "crop"):
            height, width = getattr(param, f"{kind}_height"), getattr(param, f"{kind}_width")
            if bool(height) != bool(width):
                pair = f"{kind}_height is {height} and {kind}_width {width}"
                raise ShapeError(f"{pair}, wants both or none")
        height, width = param.crop_height or param.new_height, param.crop_width or param.new_width
        batch, divisor = param.batch_size, fork_field(param, "label_divide_factor", 1)
        require(batch > 0, "batch_size is 0, wants 1 or more")
        require(divisor > 0, "label_divide_factor is 0, wants 1 or more")
        if not height:
            return cls(None, None)
        channels = 3 if param.is_color else 1
        label = (batch, 1, height // divisor, width // divisor)
        return cls((batch, channels, height, width), label)
