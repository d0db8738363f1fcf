"""ImageSegData, from DeepLab and PSPNet, and WindowSegData, from DeconvNet."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.message import fork_field
from caffe_layers.base.shape import Shape
from caffe_layers.data.data_transformer import DataTransformer
from caffe_layers.data.fed import Fed
from prototxt.errors import ShapeError


class ImageSegData(Fed, type="ImageSegData", fork="deeplab", bottoms=0, tops=(1, 3)):
    """Images N x C x H x W, labels N x 1 x H x W and sizes N x 1 x 1 x 2, not read: all are fed.

    C is 3, or 1 without `is_color`; H and W are known where the layer crops (`crop_size`, or
    `crop_height` and `crop_width`) or resizes.

    Errors: ShapeError for one of `crop_height` and `crop_width`, or both beside `crop_size`.
    Caffe: hszhao/PSPNet, src/caffe/layers/image_seg_data_layer.cpp
    """

    fork_fields = ("image_data_param.has_label",)  # the number of tops says it too

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ImageSegData:
        param, transform = layer.image_data_param, layer.transform_param
        batch, crop = param.batch_size, transform.crop_size
        require(batch > 0, "batch_size is 0, wants 1 or more")
        height = fork_field(transform, "crop_height", 0)
        width = fork_field(transform, "crop_width", 0)
        if bool(height) != bool(width) or (height and crop):
            raise ShapeError("the crop wants crop_size, or crop_height and crop_width")
        height = height or crop or param.new_height
        width = width or crop or param.new_width
        image = label = None
        if height and width:
            image = (batch, 3 if param.is_color else 1, height, width)
            label = (batch, 1, height, width)
        tops = (image, label, (batch, 1, 1, 2))
        return cls(*tops[: len(layer.top)], transform=DataTransformer.from_caffe(transform))


class WindowSegData(ImageSegData, type="WindowSegData", fork="deconvnet", bottoms=0, tops=(1, 3)):
    """Windows of images with a label for each pixel, of the shapes of ImageSegData: fed.

    Caffe: HyeonwooNoh/caffe, src/caffe/layers/window_seg_data_layer.cpp
    """
