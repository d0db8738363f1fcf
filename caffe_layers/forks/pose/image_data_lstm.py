"""ImageDataLstm, of 3Dpose_ssl."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.shape import Shape
from caffe_layers.data.data_transformer import DataTransformer
from caffe_layers.data.fed import Fed


class ImageDataLstm(Fed, type="ImageDataLstm", fork="pose_ssl", bottoms=0, tops=(1, 2)):
    """Frames N x C x H x W and `label_dim` numbers of each, N x `label_dim`, which are fed.

    C is 3, or 1 without `is_color`. H and W are known where the layer crops or resizes.

    Caffe: chanyn/3Dpose_ssl, caffe-3dssl/src/caffe/my_layers/image_data_lstm_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ImageDataLstm:
        param, batch = layer.image_data_lstm_param, layer.image_data_lstm_param.batch_size
        crop = layer.transform_param.crop_size
        height, width = crop or param.new_height, crop or param.new_width
        image = (batch, 3 if param.is_color else 1, height, width)
        tops = (image if min(image) else None, (batch, param.label_dim))
        transform = DataTransformer.from_caffe(layer.transform_param)
        return cls(*tops[: len(layer.top)], transform=transform)
